/* In which order a message is asked what it is. Structure first, then prose; what a person may have written,
 * or quoted, is only taken for a bounce where a mail system signs it. */
#include "engine/bounce/reader_private.h"

#include <gmime/gmime.h>
#include <stdlib.h>

#define ARENA_FIRST (256 << 10)
#define ARENA_MAX   (24 << 20)

const char *const mail_kind_names[MAIL_NKINDS] = {
	[MAIL_NONE] = "none",
	[MAIL_BOUNCE] = "bounce",
	[MAIL_DELAYED] = "delayed",
	[MAIL_DELIVERED] = "delivered",
	[MAIL_COMPLAINT] = "complaint",
	[MAIL_OPTOUT] = "optout",
	[MAIL_AUTOREPLY] = "autoreply",
	[MAIL_CHALLENGE] = "challenge",
	[MAIL_RECEIPT] = "receipt",
	[MAIL_REPORT] = "report",
};

struct reader *reader_new(const struct rules *rules)
{
	struct reader *r = calloc(1, sizeof *r);
	if (r == NULL)
		return NULL;
	g_mime_init();
	arena_init(&r->arena, ARENA_FIRST, ARENA_MAX);
	r->rules = rules;
	r->phrases = phrases_new(phrase_list, phrase_list_n);
	r->stages = phrases_new(stage_list, stage_list_n);
	if (r->phrases == NULL || r->stages == NULL)
		reader_free(&r);
	return r;
}

void reader_free(struct reader **r)
{
	if (*r == NULL)
		return;
	phrases_free(&(*r)->phrases);
	phrases_free(&(*r)->stages);
	arena_release(&(*r)->arena);
	free(*r);
	*r = NULL;
}

/* ---- who wrote it ---- */

static struct str top(struct reading *q, const char *name)
{
	return field_find(q->a, q->mail->header, name);
}

static bool null_sender(struct reading *q)
{
	if (q->env != NULL && q->env->sender_known)
		return q->env->sender.n == 0;
	struct str path = top(q, "Return-Path");
	return str_is(path, "<>") || str_is(path, "< >") || find_nocase(path, "mailer-daemon") < path.n;
}

static void read_header(struct reading *q)
{
	struct str from = top(q, "From");
	q->out->from = address_of_field(from);
	q->out->subject = field_decode(q->a, top(q, "Subject"));
	q->subject = phrases_in(q->r->phrases, q->out->subject);
	q->signed_by_daemon = (phrases_in(q->r->phrases, field_decode(q->a, from)) & SAYS_DAEMON) != 0;
	q->daemon = q->signed_by_daemon || null_sender(q) || str_is(from, "<>") ||
		    top(q, "X-Failed-Recipients").n != 0 || str_is(q->mail->report_type, "delivery-status");
}

/* ---- bounces, delays, deliveries ---- */

/* It was sent to where only bounces are expected. */
static bool is_for_bounces(struct reading *q)
{
	for (int i = 0; i < q->nown; i++)
		if (find_nocase(q->own[i], "bounce") < q->own[i].n && !same_address(q->own[i], q->out->from))
			return true;
	return false;
}

/* Is it signed by a mail system as far as a report without its report part can be? */
static bool prose_is_sure(struct reading *q)
{
	uint32_t said = q->prose.signs;
	if (is_for_bounces(q))
		return q->daemon ? (said & SAYS_FAILED) || (q->subject & (SAYS_BOUNCE | SAYS_WARNING))
				 : (said & SAYS_FAILED) && (q->subject & SAYS_BOUNCE);
	/* A list that passes on what its own address was sent adds its headers to the bounces too. */
	if (!q->signed_by_daemon && (top(q, "List-Id").n != 0 || top(q, "List-Unsubscribe").n != 0))
		return false;
	if (q->daemon)
		return (said & SAYS_FAILED) || (q->subject & (SAYS_BOUNCE | SAYS_WARNING));
	return (said & SAYS_FAILED) && (q->subject & SAYS_BOUNCE) && top(q, "In-Reply-To").n == 0;
}

static void add_failed_recipients(struct reading *q)
{
	struct str v = top(q, "X-Failed-Recipients");
	size_t at = 0;
	struct found_address a;
	while (address_next(v, &at, &a)) {
		struct failure *f = failure_add(q, a.text);
		if (f != NULL && f->who.source == NULL)
			f->who = f->why = (struct evidence){"x-failed-recipients", 0, 0};
	}
}

/* The report names a file or a pipe; the header says whose it is. */
static void name_by_header(struct reading *q)
{
	struct failure *f = &q->r->failures[0];
	struct str who = address_of_field(top(q, "X-Failed-Recipients"));
	if (q->out->nfailures != 1 || who.n == 0 || str_find(f->address, '@') < f->address.n)
		return;
	f->final = f->address;
	f->address = who;
}

static bool read_status_parts(struct reading *q)
{
	bool any = false;
	for (int i = 0; i < q->mail->nparts; i++)
		if (q->mail->part[i].role == PART_STATUS)
			any = status_read(q, part_text(q->a, &q->mail->part[i]), i + 1, "delivery-status") >
				      0 ||
			      any;
	return any;
}

/* The report names nobody, but something came back: whom it was for is who failed. */
static void add_returned_to(struct reading *q)
{
	struct str who = q->out->to;
	if (who.n == 0 || is_own(q, who))
		return;
	struct failure *f = failure_add(q, who);
	if (f == NULL)
		return;
	f->who = (struct evidence){"returned message", 0, mail_line(q->mail, who.p)};
	f->why = (struct evidence){"text", 0, 0};
}

static bool is_delay(struct reading *q)
{
	uint32_t said = q->prose.signs | (q->subject & ~(uint32_t)SAYS_BOUNCE);
	if (said & SAYS_GIVEN_UP)
		return false;
	if (said & SAYS_DELAYED)
		return true;
	return (q->subject & SAYS_WARNING) && !(q->subject & SAYS_BOUNCE);
}

/* What the recipients' actions make of the whole. Those that were delivered are kept only where all were. */
static void settle(struct reading *q)
{
	struct findings *out = q->out;
	enum report_action unstated = is_delay(q) ? REPORT_DELAYED : REPORT_FAILED;
	size_t failed = 0, delayed = 0;
	for (size_t i = 0; i < out->nfailures; i++) {
		struct failure *f = &q->r->failures[i];
		if (f->action == REPORT_UNSTATED)
			f->action =
				f->enhanced.n != 0 && f->enhanced.p[0] == '2' ? REPORT_DELIVERED : unstated;
		failed += f->action == REPORT_FAILED;
		delayed += f->action == REPORT_DELAYED;
	}
	out->kind = failed != 0 ? MAIL_BOUNCE : delayed != 0 ? MAIL_DELAYED : MAIL_DELIVERED;
	size_t n = 0;
	for (size_t i = 0; i < out->nfailures; i++) {
		struct failure *f = &q->r->failures[i];
		bool bad = f->action == REPORT_FAILED || f->action == REPORT_DELAYED;
		if (!bad && failed + delayed != 0)
			continue;
		if (bad)
			failure_decide(q, f);
		q->r->failures[n++] = *f;
	}
	out->nfailures = n;
}

/* A gateway that wraps the report it was sent and names nobody itself: the report inside is read. */
static struct str wrapped_report(struct reading *q)
{
	struct str none = str_n(NULL, 0), type = field_find(q->a, q->returned, "content-type");
	if (q->depth > 0 || !q->daemon ||
		find_nocase(field_parameter(type, "report-type"), "delivery-status") != 0 ||
		field_parameter(type, "report-type").n == 0)
		return none;
	const char *at = q->returned.p, *begin = q->mail->text.p, *end = begin + q->mail->text.n;
	if (at >= begin && at < end)
		return str_n(at, (size_t)(end - at));
	struct str in_prose = q->prose.returned;
	return at >= in_prose.p && at < in_prose.p + in_prose.n ? in_prose : none;
}

static bool bounce_read(struct reading *q)
{
	bool status = read_status_parts(q);
	q->text_is_sure = prose_is_sure(q);
	bool prose = false;
	if (status) {
		q->out->because.source = "delivery-status";
		name_by_header(q);
		prose_explain(q);
	} else if (q->prose.status && q->daemon) {
		for (int i = 0; i < q->mail->nparts && !status; i++)
			if (q->mail->part[i].role == PART_TEXT)
				status =
					status_read(q, part_text(q->a, &q->mail->part[i]), i + 1, "text") > 0;
		if (status)
			prose_explain(q);
	}
	if (!status && top(q, "X-Failed-Recipients").n != 0) {
		add_failed_recipients(q);
		status = q->out->nfailures > 0;
		if (status) {
			q->out->because.source = "x-failed-recipients";
			prose_explain(q);
		}
	}
	if (!status && q->text_is_sure) {
		prose = prose_read(q) > 0;
		if (!prose && q->daemon && wrapped_report(q).n == 0 &&
			(q->subject & (SAYS_BOUNCE | SAYS_WARNING) || q->prose.signs & SAYS_FAILED)) {
			add_returned_to(q);
			prose_explain(q);
			prose = q->out->nfailures > 0;
		}
		q->out->because.source = "text";
	}
	if (!status && !prose)
		return false;
	settle(q);
	return true;
}

static int read_one(struct reading *q, struct str message);

static int read_wrapped(struct reading *q, struct str inside)
{
	struct reading inner = {
		.r = q->r, .a = q->a, .mail = q->mail, .env = q->env, .out = q->out, .depth = q->depth + 1};
	q->out->message_id = q->out->return_path = q->out->to = str_n(NULL, 0);
	return read_one(&inner, inside);
}

static int read_one(struct reading *q, struct str message)
{
	if (mail_parse(q->a, message, q->mail) != 0)
		return -1;
	q->out->broken = q->out->broken || q->mail->broken;
	q->out->cut = q->out->cut || q->mail->cut;
	read_header(q);
	candidates_read(q);
	prose_split(q);
	returned_read(q);
	if (report_read(q) || feedback_read(q))
		return 0;
	if (bounce_read(q))
		return 0;
	struct str inside = wrapped_report(q);
	if (inside.n != 0)
		return read_wrapped(q, inside);
	notice_read(q);
	return 0;
}

int reader_read(struct reader *r, struct str message, const struct envelope *env, struct findings *out)
{
	arena_reset(&r->arena);
	r->arena.failed = false;
	*out = (struct findings){.failures = r->failures, .candidates = r->candidates};
	struct reading q = {.r = r, .a = &r->arena, .mail = &r->mail, .env = env, .out = out};
	return read_one(&q, message) != 0 || r->arena.failed ? -1 : 0;
}
