/* Documents of JSON into events, and events into findings. */
#include "engine/bounce/provider_private.h"

#include "src/base/clock.h"
#include "src/db/delivery.h"

#include <limits.h>
#include <stdlib.h>

/* ---- fields ---- */

struct str event_str(struct event *v, const json_t *object, const char *key)
{
	const json_t *s = json_object_get(object, key);
	if (!json_is_string(s))
		return str_n(NULL, 0);
	struct str in = str_n(json_string_value(s), json_string_length(s));
	return in.n != 0 ? arena_str(v->q->a, str_n(in.p, in.n < MAIL_TEXT_MAX ? in.n : MAIL_TEXT_MAX)) : in;
}

long event_int(const json_t *object, const char *key)
{
	const json_t *n = json_object_get(object, key);
	long long value = 0;
	if (json_is_string(n) &&
		!str_int(str_n(json_string_value(n), json_string_length(n)), 0, INT_MAX, &value))
		return 0;
	if (json_is_number(n))
		value = json_number_value(n) > 0 && json_number_value(n) < INT_MAX
				? (long long)json_number_value(n)
				: 0;
	return (long)value;
}

void event_kind(struct event *v, enum mail_kind kind, const char *source)
{
	v->q->out->kind = kind;
	v->q->out->because.source = source;
}

/* What the service calls it decides where the reply that it quotes says no more than no. */
static void decide(struct event *v, struct failure *f, struct str words)
{
	failure_decide(v->q, f);
	bool vague = f->diagnostic.n == 0 || str_is(f->verdict.reason, "recipient-refused") ||
		     (f->verdict.class == CLASS_SOFT && str_is(f->verdict.reason, "user-unknown"));
	if (!vague || words.n == 0)
		return;
	struct verdict own;
	rules_decide(v->q->r->rules, STR("direct/notice"), STR("returned"),
		f->action == REPORT_DELAYED ? 450 : 550, str_n(NULL, 0), words, &own);
	if (f->diagnostic.n == 0 || own.class == CLASS_HARD)
		f->verdict = own;
	if (f->diagnostic.n == 0)
		f->diagnostic = words;
}

void event_person(struct event *v, struct str address, enum report_action action, long code,
	struct str enhanced, struct str diagnostic, struct str words)
{
	struct str who = address_of_field(address);
	struct failure *f = who.n != 0 ? failure_add(v->q, who) : NULL;
	if (f == NULL)
		return;
	struct diagnosis d;
	diagnose(v->q, diagnostic, &d);
	f->who = f->why = (struct evidence){v->n->provider, 0, 0};
	f->action = action;
	f->code = code >= 200 && code < 600 ? (int)code : 0;
	f->enhanced = enhanced_find(enhanced);
	failure_merge(v->q, f, &d);
	if (action == REPORT_FAILED || action == REPORT_DELAYED)
		decide(v, f, words);
}

void event_candidates(struct event *v, const char *name, const json_t *value)
{
	json_t *in = (json_t *)(uintptr_t)value; /* iterating wants it so; nothing is changed */
	if (json_is_string(value)) {
		struct str s = str_n(json_string_value(value), json_string_length(value));
		candidate_add(v->q, CANDIDATE_REPORT, str_from(name), arena_str(v->q->a, s));
	} else if (json_is_object(value)) {
		for (void *at = json_object_iter(in); at != NULL; at = json_object_iter_next(in, at))
			if (json_is_string(json_object_iter_value(at)))
				event_candidates(v, arena_strdup(v->q->a, json_object_iter_key(at)),
					json_object_iter_value(at));
	} else if (json_is_array(value)) {
		for (size_t i = 0; i < json_array_size(value); i++)
			if (json_is_string(json_array_get(value, i)))
				event_candidates(v, name, json_array_get(value, i));
	}
}

void event_message_id(struct event *v, struct str id)
{
	id = str_trim(id);
	if (id.n > 2 && id.p[0] == '<' && id.p[id.n - 1] == '>')
		id = str_n(id.p + 1, id.n - 2);
	if (id.n == 0)
		return;
	v->q->out->message_id = id;
	candidate_add(v->q, CANDIDATE_RETURNED, STR("Message-ID"), id);
}

/* ---- events ---- */

struct source {
	struct reader *r;
	const struct provider_keys *keys;
	int (*each)(void *ctx, const struct notice *n);
	void *ctx;
	struct err *e;
};

static int give(struct source *s, struct notice *n, const json_t *doc)
{
	if (n->findings.kind == MAIL_NONE)
		return 0;
	char *text = json_dumps(doc, JSON_COMPACT);
	n->evidence = str_from(text);
	int rc = text != NULL ? s->each(s->ctx, n) : err_set(s->e, ERR_INTERNAL, "event", "out of memory");
	free(text);
	return rc;
}

static int read_event(struct source *s, const json_t *doc, bool verified)
{
	arena_reset(&s->r->arena);
	struct notice n = {.provider = "", .verified = verified};
	n.findings = (struct findings){.failures = s->r->failures, .candidates = s->r->candidates};
	struct reading q = {.r = s->r, .a = &s->r->arena, .mail = &s->r->mail, .out = &n.findings};
	s->r->mail = (struct mail){0};
	struct event v = {&q, &n};
	bool forged = false;
	bool known = ses_event(&v, doc) || sparkpost_event(&v, doc) ||
		     mailgun_event(&v, doc, s->keys, &forged) || postmark_event(&v, doc) ||
		     sendgrid_event(&v, doc) || mailjet_event(&v, doc) || brevo_event(&v, doc);
	if (forged)
		return err_set(s->e, ERR_DATA, "event of Mailgun", "its signature is false");
	if (!known)
		return err_set(s->e, ERR_DATA, "event", "not of a service that is known here");
	if (s->r->arena.failed)
		return err_set(s->e, ERR_INTERNAL, "event", "out of memory");
	return give(s, &n, doc);
}

static int read_document(struct source *s, const json_t *doc);

/* An SNS envelope: its Message is the event, or a text. */
static int read_envelope(struct source *s, const json_t *doc)
{
	bool verified = false;
	const char *url = json_string_value(json_object_get(doc, "SigningCertURL"));
	if (url == NULL)
		url = json_string_value(json_object_get(doc, "SigningCertUrl"));
	if (s->keys != NULL && s->keys->certificate != NULL) {
		struct buf pem = BUF_INIT(64 << 10);
		int rc = -1;
		if (url == NULL || !sns_certificate_url(str_from(url)))
			err_set(s->e, ERR_DATA, "SNS message",
				"its certificate is not at an address of Amazon's");
		else if (s->keys->certificate(s->keys->ctx, url, &pem, s->e) == 0)
			rc = sns_verify(doc, buf_get(&pem), s->e);
		buf_release(&pem);
		if (rc != 0)
			return -1;
		verified = true;
	}
	const json_t *message = json_object_get(doc, "Message");
	const char *type = json_string_value(json_object_get(doc, "Type"));
	if (type == NULL || strcmp(type, "Notification") != 0)
		return 0; /* a subscription to be confirmed, which a person does */
	json_t *inner = json_is_string(message)
				? json_loadb(json_string_value(message), json_string_length(message), 0, NULL)
				: NULL;
	int rc = json_is_object(inner) ? read_event(s, inner, verified) : 0;
	json_decref(inner);
	return rc;
}

static int read_document(struct source *s, const json_t *doc)
{
	if (json_is_array(doc)) {
		for (size_t i = 0; i < json_array_size(doc); i++)
			if (read_document(s, json_array_get(doc, i)) != 0)
				return -1;
		return 0;
	}
	if (!json_is_object(doc))
		return err_set(s->e, ERR_DATA, "event", "not a JSON object");
	if (json_object_get(doc, "TopicArn") != NULL && json_object_get(doc, "Type") != NULL)
		return read_envelope(s, doc);
	return read_event(s, doc, false);
}

static struct str skip_blanks(struct str s)
{
	if (str_starts(s, STR("\xef\xbb\xbf")))
		s = str_n(s.p + 3, s.n - 3);
	while (s.n != 0 && strchr(" \t\r\n,\x1e", s.p[0]) != NULL && s.p[0] != '\0')
		s = str_n(s.p + 1, s.n - 1);
	return s;
}

bool provider_is_json(struct str bytes)
{
	struct str s = skip_blanks(bytes);
	if (s.n < 2 || (s.p[0] != '{' && s.p[0] != '['))
		return false;
	s = skip_blanks(str_n(s.p + 1, s.n - 1));
	return s.n != 0 && (s.p[0] == '"' || s.p[0] == '{' || s.p[0] == '}' || s.p[0] == ']');
}

int provider_read_json(struct reader *r, struct str bytes, const struct provider_keys *keys,
	int (*each)(void *ctx, const struct notice *n), void *ctx, struct err *e)
{
	struct source s = {r, keys, each, ctx, e};
	if (bytes.n > PROVIDER_BYTES)
		return err_set(e, ERR_DATA, "events", "more than %d MB", PROVIDER_BYTES >> 20);
	long read = 0;
	for (struct str rest = skip_blanks(bytes); rest.n != 0; read++) {
		json_error_t error;
		json_t *doc = json_loadb(rest.p, rest.n, JSON_DISABLE_EOF_CHECK, &error);
		if (doc == NULL) {
			err_set(e, ERR_DATA, "events", "document %ld is not JSON: %s", read + 1, error.text);
			return -1;
		}
		int rc = read_document(&s, doc);
		json_decref(doc);
		if (rc != 0)
			return -1;
		rest = skip_blanks(str_n(rest.p + error.position, rest.n - (size_t)error.position));
	}
	return read != 0 ? 0 : err_set(e, ERR_DATA, "events", "empty");
}

/* ---- read again ---- */

bool provider_is_source(struct str source)
{
	static const char *const names[] = {
		"ses", "sendgrid", "mailgun", "postmark", "mailjet", "brevo", "sparkpost", "csv"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_is(source, names[i]))
			return true;
	return false;
}

int provider_read_again(struct reader *r, struct str source, struct str evidence,
	int (*each)(void *ctx, const struct notice *n), void *ctx, struct err *e)
{
	struct err why = {0};
	int rc = 0;
	if (!str_is(source, "csv"))
		rc = provider_read_json(r, evidence, NULL, each, ctx, &why);
	else if (evidence.n != 0 && evidence.p[evidence.n - 1] == '\n' && /* it is whole */
		 provider_is_csv(evidence))
		rc = provider_read_csv(r, evidence, each, ctx, &why);
	if (rc == 0 || why.code == ERR_DATA)
		return 0;
	*e = why;
	return -1;
}
