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

/* ---- wrapped reports ---- */

/* A gateway that wraps the report it was sent and names nobody itself: the report inside is read. */
struct str wrapped_report(struct reading *q)
{
	struct str none = str_n(NULL, 0), type = field_find(q->a, q->returned, "content-type");
	if (q->depth > 0 || !q->signed_by_daemon || (q->subject & SAYS_NOTICE) ||
		find_nocase(field_parameter(type, "report-type"), "delivery-status") != 0 ||
		field_parameter(type, "report-type").n == 0)
		return none;
	const char *at = q->returned.p, *begin = q->mail->text.p, *end = begin + q->mail->text.n;
	if (at >= begin && at < end)
		return str_n(at, (size_t)(end - at));
	struct str in_prose = q->prose.returned;
	return in_prose.n != 0 && at >= in_prose.p && at < in_prose.p + in_prose.n ? in_prose : none;
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
	if (report_read(q) || feedback_read(q) || ses_mail(q))
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
	if (read_one(&q, message) == 0 && !r->arena.failed)
		return 0;
	if (r->arena.total < ARENA_MAX / 2)
		return -1;
	/* It was made to need more than any report does. */
	*out = (struct findings){
		.failures = r->failures, .candidates = r->candidates, .broken = true, .cut = true};
	return 0;
}
