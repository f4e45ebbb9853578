/* Complaints and requests to stop: ARF (RFC 5965), the forms of Microsoft and Yahoo, Apple's unsubscribe
 * mail. Authentication failure reports (RFC 6591) use the same part and are reports, nobody's complaint. */
#include "engine/bounce/reader_private.h"

static void person(struct reading *q, struct str v, const char *source, int part)
{
	struct str a = address_of_field(v);
	if (a.n == 0)
		return;
	struct failure *f = failure_add(q, a);
	if (f != NULL && f->who.source == NULL)
		f->who = f->why = (struct evidence){source, part, mail_line(q->mail, part, a)};
}

/* What a redacted recipient looks like: "redacted", "redacted@", "<>", a keyed hash without a domain. */
static bool is_redacted(struct str v)
{
	struct str a = address_of_field(v);
	return a.n == 0 || find_nocase(a, "redacted") < a.n || str_find(a, '@') == a.n;
}

static void feedback_fields(struct reading *q, struct str text, int part)
{
	struct feedback *f = &q->out->feedback;
	size_t at = 0;
	struct field x;
	while (at < text.n) {
		if (!field_next(text, &at, &x)) {
			/* An empty line between the fields ends nothing here. */
			size_t skip = str_find(str_n(text.p + at, text.n - at), '\n');
			at += skip + 1;
			continue;
		}
		struct str v = field_unfold(q->a, x.value);
		if (str_is_nocase(x.name, "Feedback-Type"))
			f->type = lower_copy(q->a, v);
		else if (str_is_nocase(x.name, "User-Agent"))
			f->user_agent = v;
		else if (str_is_nocase(x.name, "Source-IP") || str_is_nocase(x.name, "Source"))
			f->source_ip = f->source_ip.n == 0 ? v : f->source_ip;
		else if (str_is_nocase(x.name, "Arrival-Date") || str_is_nocase(x.name, "Received-Date"))
			f->arrival = v;
		else if (str_is_nocase(x.name, "Reported-Domain"))
			f->reported_domain = v;
		else if (str_is_nocase(x.name, "Auth-Failure"))
			f->auth_failure = lower_copy(q->a, v);
		else if (str_is_nocase(x.name, "Original-Mail-From")) {
			f->mail_from = v;
			candidate_add(q, CANDIDATE_REPORT, x.name, v);
		} else if (str_is_nocase(x.name, "Original-Envelope-Id") ||
			   str_is_nocase(x.name, "Message-ID") || str_is_nocase(x.name, "Feedback-ID") ||
			   str_is_nocase(x.name, "X-Original-Message-ID")) {
			candidate_add(q, CANDIDATE_REPORT, x.name, v);
		} else if ((str_is_nocase(x.name, "Original-Rcpt-To") ||
				   str_is_nocase(x.name, "Removal-Recipient") ||
				   str_is_nocase(x.name, "Original-Recipient")) &&
			   !is_redacted(v)) {
			person(q, v, "feedback-report", part);
		}
	}
}

/* The person may also be named in the returned message. */
static void person_of_returned(struct reading *q)
{
	struct str top = field_find(q->a, q->mail->header, "X-HmXmrOriginalRecipient");
	if (top.n != 0)
		person(q, top, "X-HmXmrOriginalRecipient", 0);
	static const char *const names[] = {"X-HmXmrOriginalRecipient", "X-Original-To", "Delivered-To",
		"X-Envelope-To", "Envelope-To", "X-Rcpt-To", "To"};
	for (size_t i = 0; i < sizeof names / sizeof names[0] && q->out->nfailures == 0; i++) {
		struct str v = field_find(q->a, q->returned, names[i]);
		if (v.n != 0 && !is_redacted(v) && find_nocase(v, "undisclosed") == v.n)
			person(q, v, "returned message", 0);
	}
}

static enum mail_kind kind_of(struct str type)
{
	if (str_starts(type, STR("opt-out")) || str_starts(type, STR("opt out")) ||
		str_starts(type, STR("unsubscribe")))
		return MAIL_OPTOUT;
	if (str_starts(type, STR("auth-failure")) || str_starts(type, STR("not-spam")) ||
		str_starts(type, STR("dmarc")) || str_starts(type, STR("virus")) ||
		str_starts(type, STR("miscategorized")))
		return MAIL_REPORT;
	return MAIL_COMPLAINT;
}

static bool set(struct reading *q, enum mail_kind kind, const char *source, int part)
{
	q->out->kind = kind;
	q->out->because = (struct evidence){source, part, 0};
	return true;
}

/* Microsoft's JMRP sends the message back with a field in its header, and nothing else. */
static bool read_jmrp(struct reading *q)
{
	static const char *const marks[] = {"X-HmXmrOriginalRecipient", "X-HmXmrOriginalRecipients"};
	for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
		if (field_find(q->a, q->returned, marks[i]).n != 0 ||
			field_find(q->a, q->mail->header, marks[i]).n != 0) {
			q->out->feedback.type = STR("abuse");
			person_of_returned(q);
			return set(q, MAIL_COMPLAINT, "X-HmXmrOriginalRecipient", 0);
		}
	struct str subject = q->out->subject;
	bool microsoft = find_nocase(q->out->from, "@hotmail.com") < q->out->from.n ||
			 find_nocase(q->out->from, "@live.com") < q->out->from.n ||
			 find_nocase(q->out->from, "@outlook.com") < q->out->from.n;
	if (microsoft && find_nocase(subject, "complaint about message from") < subject.n &&
		q->returned.n != 0) {
		q->out->feedback.type = STR("abuse");
		person_of_returned(q);
		return set(q, MAIL_COMPLAINT, "subject", 0);
	}
	return false;
}

/* Feedback loops that send text and the message, without a feedback-report. */
static bool read_loop_text(struct reading *q)
{
	static const char *const subjects[] = {"abuse report", "feedback report", "spam complaint",
		"complaint about message", "spam feedback", "fbl report", "email feedback",
		"client tos notification"};
	struct str s = q->out->subject;
	bool says = false;
	for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
		says = says || find_nocase(s, subjects[i]) < s.n;
	struct str header = q->mail->header;
	bool mark =
		field_find(q->a, header, "X-Rp-Fbl").n != 0 || field_find(q->a, header, "X-Loop-Fbl").n != 0;
	struct str from = q->out->from;
	mark = mark || find_nocase(from, "feedbackloop") < from.n || find_nocase(from, "fbl") < from.n ||
	       find_nocase(from, "complaints@") < from.n || find_nocase(from, "abuse") < from.n ||
	       find_nocase(from, "staff@") < from.n || find_nocase(from, "scomp@") < from.n;
	if (!mark || !says || q->returned.n == 0)
		return false;
	q->out->feedback.type = STR("abuse");
	person_of_returned(q);
	return set(q, MAIL_COMPLAINT, "subject", 0);
}

/* A mail program that unsubscribes for its user, or the user himself. */
static bool read_unsubscribe(struct reading *q)
{
	struct str header = q->mail->header, s = str_trim(q->out->subject);
	bool apple = field_find(q->a, header, "X-Apple-Unsubscribe").n != 0;
	static const char *const words[] = {"unsubscribe", "remove", "opt-out", "optout", "abmelden",
		"d\xc3\xa9sabonner", "d\xc3\xa9sinscription", "darse de baja", "cancelar", "配信停止", "退会",
		"解除", "退订", "取消订阅", "수신거부"};
	bool says = false;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		says = says || str_is_nocase(s, words[i]);
	if (!apple && (!says || q->daemon))
		return false;
	person(q, q->out->from, "from", 0);
	return set(q, MAIL_OPTOUT, apple ? "X-Apple-Unsubscribe" : "subject", 0);
}

bool feedback_read(struct reading *q)
{
	for (int i = 0; i < q->mail->nparts; i++) {
		const struct part *p = &q->mail->part[i];
		if (p->role != PART_FEEDBACK)
			continue;
		feedback_fields(q, part_text(q->a, p), i + 1);
		enum mail_kind kind = kind_of(q->out->feedback.type);
		if (kind == MAIL_REPORT)
			q->out->nfailures = 0;
		else
			person_of_returned(q);
		return set(q, kind, "feedback-report", i + 1);
	}
	if (str_is(q->mail->report_type, "feedback-report"))
		return set(q, MAIL_REPORT, "report-type", 0);
	return read_jmrp(q) || read_unsubscribe(q) || read_loop_text(q);
}
