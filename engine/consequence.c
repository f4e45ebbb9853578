#include "engine/consequence.h"

#include "engine/schedule.h"

#include <ctype.h>
#include <stdio.h>

static bool id_char(char c)
{
	return isalnum((unsigned char)c) || strchr("-_.@+=/", c) != NULL;
}

static struct str word_at(struct str text, size_t at)
{
	size_t end = at;
	while (end < text.n && id_char(text.p[end]))
		end++;
	while (end > at && (text.p[end - 1] == '.' || text.p[end - 1] == ','))
		end--;
	return str_n(text.p + at, end - at);
}

static bool has_digit(struct str id)
{
	for (size_t k = 0; k < id.n; k++)
		if (isdigit((unsigned char)id.p[k]))
			return true;
	return false;
}

/* What stands at or behind `at`, where blanks and an opening bracket do not count. A word without a digit is
 * prose ("Ok thanks"), not an id. */
static struct str id_at(struct str text, size_t at)
{
	while (at < text.n && strchr(" <[(", text.p[at]) != NULL)
		at++;
	struct str id = word_at(text, at);
	return id.n >= 4 && has_digit(id) ? id : str_n(NULL, 0);
}

/* Gmail: "OK  1700000000 d9443c01a7336-1d0c0b7-si1 - gsmtp" begins with the time. */
static struct str behind_time(struct str text, struct str id)
{
	size_t at = (size_t)(id.p - text.p) + id.n;
	for (size_t i = 0; i < id.n; i++)
		if (!isdigit((unsigned char)id.p[i]))
			return id;
	struct str next = id.n == 10 ? id_at(text, at) : str_n(NULL, 0);
	return next.n != 0 ? next : id;
}

struct str consequence_relay_id(struct str reply)
{
	/* Exchange; Postfix and its kin; others of that form; Exim; KumoMTA; Haraka; Stalwart; qmail-like
	 * "ok 1700000000 qp 1234"; SES, SparkPost, Gmail: "Ok <id>". */
	static const char *const before[] = {"[internalid=", "queued as", "queued mail for delivery",
		" id=", " ids=", "message queued", "with id", "qp ", "received ok", "ok "};
	for (size_t b = 0; b < sizeof before / sizeof before[0]; b++) {
		size_t n = strlen(before[b]);
		for (size_t i = 0; i + n < reply.n; i++) {
			if (strncasecmp(reply.p + i, before[b], n) != 0)
				continue;
			struct str id = id_at(reply, i + n);
			if (id.n != 0)
				return behind_time(reply, id);
		}
	}
	struct str first = word_at(reply, 0); /* OpenSMTPD: "6f1a2b3c Message accepted for delivery" */
	return first.n >= 6 && has_digit(first) ? first : str_n(NULL, 0);
}

/* What is common to all that an attempt can be about. */
struct attempt {
	const struct config *c;
	const struct claim *claim;
	ms_t paused, now;
};

static void retry_or_expire(
	const struct attempt *a, enum outcome_kind kind, ms_t least, struct outcome_row *row)
{
	row->kind = kind;
	row->state = kind == OUTCOME_REQUEUE ? DELIVERY_QUEUED : DELIVERY_DEFERRED;
	row->due = schedule_retry(a->c, a->claim->attempt, a->claim->first_attempt, a->paused, a->now, least,
		(uint64_t)a->claim->delivery);
	if (row->due == 0) {
		row->kind = OUTCOME_FINAL;
		row->state = DELIVERY_EXPIRED;
	}
}

static void in_doubt(const struct config *c, const struct attempt_facts *f, struct outcome_row *row)
{
	row->kind = OUTCOME_DOUBT;
	row->state = DELIVERY_DOUBT;
	row->reason = STR("no-final-reply");
	/* Sent once more, with the same Message-ID; a second loss stays in doubt. */
	if (c->doubt == DOUBT_RESEND && !f->claim->doubted)
		row->due = schedule_retry(c, f->claim->attempt, f->claim->first_attempt, f->paused, f->now, 0,
			(uint64_t)f->claim->delivery);
}

enum { DIRECT_NAME = 64 };

/* The operator of the recipient's own host, as the rules want it named. */
static struct str direct_provider(const struct claim *claim, char out[DIRECT_NAME])
{
	int n = snprintf(out, DIRECT_NAME, "direct/%.*s", STR_ARG(claim->provider));
	return str_n(out, claim->provider.n == 0 ? strlen("direct")
			  : n < DIRECT_NAME      ? (size_t)n
						 : DIRECT_NAME - 1);
}

static struct outcome_row row_of(const struct claim *claim, ms_t now)
{
	return (struct outcome_row){.delivery = claim->delivery,
		.at = now,
		.provider = claim->provider,
		.domain = claim->domain,
		.attempt = claim->attempt,
		.address = claim->address};
}

static void follow(const struct attempt *a, const struct verdict *v, struct outcome_row *row)
{
	row->class = v->class;
	row->scope = v->scope;
	row->reason = v->reason;
	row->action = verdict_action_names[v->action];
	switch (v->action) {
	case ACTION_FAIL:
	case ACTION_SUPPRESS:
		row->kind = OUTCOME_FINAL;
		row->state = v->class == CLASS_BLOCK || v->class == CLASS_MESSAGE || v->class == CLASS_CONFIG
				     ? DELIVERY_BLOCKED
				     : DELIVERY_BOUNCED;
		row->suppress = v->action == ACTION_SUPPRESS && v->class == CLASS_HARD;
		break;
	case ACTION_RECONNECT:
		row->kind = OUTCOME_REQUEUE;
		row->state = DELIVERY_QUEUED;
		row->due = a->now;
		/* A server that says so every time is not about the connection. */
		if (a->claim->attempt >= 5)
			retry_or_expire(a, OUTCOME_REQUEUE, v->delay, row);
		break;
	case ACTION_PAUSE:
		/* It waits for the person who resumes, not for a time. */
		row->kind = OUTCOME_REQUEUE;
		row->state = DELIVERY_QUEUED;
		row->due = a->now;
		break;
	case ACTION_REQUEUE:
		retry_or_expire(a, OUTCOME_REQUEUE, v->delay, row);
		break;
	default: /* RETRY, SLOW, SUSPEND */
		retry_or_expire(a,
			v->scope == SCOPE_ROUTE || v->scope == SCOPE_ACCOUNT ? OUTCOME_REQUEUE
									     : OUTCOME_DEFER,
			v->delay, row);
		break;
	}
}

void consequence_decide(const struct config *c, const struct rules *r, const struct attempt_facts *f,
	struct outcome_row *row, struct verdict *v)
{
	const struct smtp_result *res = f->result;
	const struct attempt a = {c, f->claim, f->paused, f->now};
	char who[DIRECT_NAME];
	*row = row_of(f->claim, f->now);
	*v = (struct verdict){0};
	row->reply = str_from(res->why);
	if (res->reply != NULL) {
		row->code = res->reply->code;
		memcpy(row->enhanced, res->reply->enhanced, sizeof row->enhanced);
		row->reply = res->reply->text;
	}
	if (res->accepted) {
		row->kind = OUTCOME_FINAL;
		row->state = DELIVERY_SENT;
		row->relay_id = consequence_relay_id(row->reply);
		return;
	}
	if (res->doubt) {
		in_doubt(c, f, row);
		return;
	}
	rules_decide(r, f->direct ? direct_provider(f->claim, who) : f->claim->provider,
		str_from(smtp_stage_names[res->stage]), row->code, str_from(row->enhanced), row->reply, v);
	follow(&a, v, row);
}

void consequence_unsited(const struct config *c, const struct rules *r, const struct unsited_facts *f,
	struct outcome_row *row, struct verdict *v)
{
	const struct attempt a = {c, f->claim, f->paused, f->now};
	char who[DIRECT_NAME];
	*row = row_of(f->claim, f->now);
	row->code = f->code;
	row->reply = f->text;
	snprintf(row->enhanced, sizeof row->enhanced, "%.*s", STR_ARG(f->enhanced));
	rules_decide(r, direct_provider(f->claim, who), str_from(smtp_stage_names[f->stage]), f->code,
		f->enhanced, f->text, v);
	follow(&a, v, row);
	if (f->reason != NULL && v->builtin)
		row->reason = str_from(f->reason);
}
