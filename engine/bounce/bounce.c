/* Bounces, delays and deliveries: by the fields of a report, by X-Failed-Recipients, by prose. */
#include "engine/bounce/reader_private.h"

static struct str top(struct reading *q, const char *name)
{
	return field_find(q->a, q->mail->header, name);
}

/* ---- may the prose name recipients? ---- */

/* It was sent to the address of a list program that only bounces are expected at ("list-bounces@"). */
static bool is_for_list_bounces(struct reading *q)
{
	for (int i = 0; i < q->nown; i++) {
		struct str local = str_n(q->own[i].p, str_find(q->own[i], '@'));
		if (str_ends(local, STR("-bounces")) && !same_address(q->own[i], q->out->from))
			return true;
	}
	return false;
}

static bool has_reply(struct reading *q)
{
	for (int i = 0; i < q->prose.n; i++) {
		int code;
		struct str s = q->prose.line[i].s;
		if (s.n != 0 && s.p[0] != '>' && reply_find(s, false, &code) < s.n)
			return true;
	}
	return false;
}

/* A server's reply in it, or the message that came back: what a notice about mail does not have. */
static bool has_evidence(struct reading *q)
{
	return q->returned.n != 0 || has_reply(q);
}

/* The first lines are those of a mail system, whoever stands in From. */
static bool opens_as_machine(const struct prose *p)
{
	int seen = 0;
	for (int i = 0; i < p->n && seen < 4; i++)
		if (p->line[i].s.n != 0) {
			if (p->line[i].signs & SAYS_MACHINE)
				return true;
			seen++;
		}
	return false;
}

static bool is_list_mail(struct reading *q)
{
	return top(q, "List-Id").n != 0 || top(q, "List-Unsubscribe").n != 0;
}

/* Is the prose a mail system's, as far as can be told without a report part? A person may quote a bounce, a
 * newsletter may be about them, and a postmaster warns of full mailboxes. */
static bool prose_is_sure(struct reading *q)
{
	uint32_t said = q->prose.signs;
	bool failed = (said & SAYS_FAILED) != 0, subject = (q->subject & (SAYS_BOUNCE | SAYS_WARNING)) != 0;
	if (!q->signed_by_daemon && is_auto_answer(q) && !has_reply(q))
		return false;
	/* A list that passes on what its own address was sent adds its headers to the bounces too. */
	if (!q->signed_by_daemon && is_list_mail(q) && !is_for_list_bounces(q))
		return false;
	if (is_for_list_bounces(q) && failed && subject)
		return top(q, "In-Reply-To").n == 0;
	if (((q->subject | said) & SAYS_NOTICE) && !has_evidence(q))
		return false;
	if (q->signed_by_daemon)
		return failed || subject;
	if ((q->subject & SAYS_NOTICE) || top(q, "In-Reply-To").n != 0)
		return false;
	if (q->daemon && (subject || (failed && has_evidence(q))))
		return true;
	if (opens_as_machine(&q->prose))
		return failed;
	return failed && subject && has_evidence(q);
}

/* ---- the ways ---- */

/* Fields of a report count where a mail system wrote it, not where somebody attached one. */
static bool read_status_parts(struct reading *q)
{
	bool any = false;
	bool subject = (q->subject & (SAYS_BOUNCE | SAYS_WARNING | SAYS_DELIVERED)) != 0;
	if (!q->signed_by_daemon && !str_is(q->mail->type, "multipart/report") && !(q->daemon && subject))
		return false;
	for (int i = 0; i < q->mail->nparts; i++) {
		const struct part *p = &q->mail->part[i];
		if (p->role == PART_STATUS)
			any = status_read(q, part_text(q->a, p), i + 1, "delivery-status") > 0 || any;
	}
	for (int i = 0; i < q->mail->nparts && !any && q->prose.status; i++) {
		const struct part *p = &q->mail->part[i];
		if (p->role == PART_TEXT)
			any = status_read(q, part_text(q->a, p), i + 1, "text") > 0;
	}
	return any;
}

static bool read_failed_recipients(struct reading *q)
{
	struct str v = top(q, "X-Failed-Recipients");
	size_t at = 0;
	struct found_address a;
	while (address_next(v, &at, &a)) {
		struct failure *f = failure_add(q, a.text);
		if (f != NULL && f->who.source == NULL)
			f->who = f->why = (struct evidence){"x-failed-recipients", 0, 0};
	}
	return q->out->nfailures != 0;
}

/* The report names a file or a pipe; the header says whose it is. */
static void name_by_header(struct reading *q)
{
	struct failure *f = &q->r->failures[0];
	struct str who = address_of_field(top(q, "X-Failed-Recipients"));
	if (q->out->nfailures != 1 || who.n == 0 || str_find(f->address, '@') < f->address.n)
		return;
	f->other = f->address;
	f->address = who;
}

/* The report names nobody, but something came back: whom it was for is who failed. */
static bool read_returned_to(struct reading *q)
{
	struct str who = q->out->to;
	if (!q->daemon || who.n == 0 || is_own(q, who) || wrapped_report(q).n != 0)
		return false;
	struct failure *f = failure_add(q, who);
	if (f == NULL)
		return false;
	f->who = (struct evidence){"returned message", 0, mail_line(q->mail, 0, who)};
	f->why = (struct evidence){"text", 0, 0};
	prose_explain(q);
	return true;
}

/* ---- what it comes to ---- */

static bool is_delay(struct reading *q)
{
	uint32_t said = q->prose.signs | (q->subject & ~(uint32_t)SAYS_BOUNCE);
	if (said & SAYS_GIVEN_UP)
		return false;
	return (said & SAYS_DELAYED) || ((q->subject & SAYS_WARNING) && !(q->subject & SAYS_BOUNCE));
}

static bool is_success(struct reading *q, const struct failure *f)
{
	if (f->enhanced.n != 0 && f->enhanced.p[0] == '2')
		return true;
	return f->code == 0 && ((q->prose.signs | q->subject) & SAYS_DELIVERED);
}

/* What the recipients' actions make of the whole. Those that were delivered are kept only where all were. */
static void settle(struct reading *q)
{
	struct findings *out = q->out;
	enum report_action unstated = is_delay(q) ? REPORT_DELAYED : REPORT_FAILED;
	size_t failed = 0, delayed = 0, n = 0;
	for (size_t i = 0; i < out->nfailures; i++) {
		struct failure *f = &q->r->failures[i];
		if (f->action == REPORT_UNSTATED)
			f->action = is_success(q, f) ? REPORT_DELIVERED : unstated;
		failed += f->action == REPORT_FAILED;
		delayed += f->action == REPORT_DELAYED;
	}
	out->kind = failed != 0 ? MAIL_BOUNCE : delayed != 0 ? MAIL_DELAYED : MAIL_DELIVERED;
	for (size_t i = 0; i < out->nfailures; i++) {
		struct failure *f = &q->r->failures[i];
		bool bad = f->action == REPORT_FAILED || f->action == REPORT_DELAYED;
		if (!bad && failed + delayed != 0)
			continue;
		if (bad)
			failure_decide(q, f);
		q->r->failures[n++] = *f;
	}
	out->nthrough = out->nfailures - n;
	out->nfailures = n;
}

bool bounce_read(struct reading *q)
{
	q->text_is_sure = prose_is_sure(q);
	if (read_status_parts(q)) {
		q->out->because.source = "delivery-status";
		name_by_header(q);
		prose_explain(q);
	} else if (read_failed_recipients(q)) {
		q->out->because.source = "x-failed-recipients";
		prose_explain(q);
	} else if (q->text_is_sure && (prose_read(q) > 0 || read_returned_to(q))) {
		q->out->because.source = "text";
	} else {
		return false;
	}
	settle(q);
	return true;
}
