#include "engine/bounce/intake.h"

#include "engine/bounce/provider.h"
#include "lists/address.h"
#include "src/base/hash.h"
#include "src/db/contacts.h"
#include "src/db/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct intake {
	struct intake_options o;
	struct token_signer *signer;
	struct reader *reader;
	struct arena arena; /* of the message at hand */
	struct intake_event events[INTAKE_EVENTS];
	size_t nevents;
};

struct job { /* one message */
	struct intake *in;
	const struct findings *f;
	struct str evidence;
	const struct intake_source *source;
	ms_t at;
	unsigned char identity[SHA256_LEN];
	struct err *e;
};

int intake_new(struct intake **out, const struct intake_options *o, struct err *e)
{
	struct intake *in = calloc(1, sizeof *in);
	if (in == NULL)
		return err_set(e, ERR_INTERNAL, "returned mail", "out of memory");
	in->o = *o;
	arena_init(&in->arena, 16 << 10, 4 << 20);
	in->signer = token_signer_new(o->keys);
	in->reader = reader_new(o->rules);
	if (in->signer == NULL || in->reader == NULL) {
		intake_free(&in);
		return err_set(e, ERR_INTERNAL, "returned mail", "out of memory");
	}
	*out = in;
	return 0;
}

void intake_free(struct intake **in)
{
	if (*in == NULL)
		return;
	token_signer_free(&(*in)->signer);
	reader_free(&(*in)->reader);
	arena_release(&(*in)->arena);
	free(*in);
	*in = NULL;
}

enum token_address intake_address(struct intake *in, struct str address)
{
	struct attribution unused;
	return attribute_address(in->signer, address, &unused);
}

/* ---- What makes it the same message ---- */

/* Its own Message-ID; copies that came another way have other fields in front, and the same one. */
static struct str own_message_id(struct str head)
{
	while (head.n != 0) {
		size_t end = str_find(head, '\n');
		struct str line = str_trim(str_n(head.p, end));
		if (line.n > 11 && strncasecmp(line.p, "Message-ID:", 11) == 0)
			return str_trim(str_n(line.p + 11, line.n - 11));
		end += end < head.n;
		head = str_n(head.p + end, head.n - end);
	}
	return str_n(NULL, 0);
}

static size_t header_end(struct str m)
{
	for (size_t i = 0; i < m.n; i++)
		if (m.p[i] == '\n' && i + 1 < m.n &&
			(m.p[i + 1] == '\n' || (m.p[i + 1] == '\r' && i + 2 < m.n && m.p[i + 2] == '\n')))
			return i + 1;
	return m.n;
}

/* Without one: what it says, whatever its line ends. */
static bool body_identity(struct str body, unsigned char out[SHA256_LEN])
{
	size_t n = 0;
	char *text = malloc(body.n + 1);
	if (text == NULL)
		return false;
	for (size_t i = 0; i < body.n; i++)
		if (body.p[i] != '\r')
			text[n++] = body.p[i];
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	sha256(str_n(text, n), out);
	free(text);
	return true;
}

static bool identity(struct str message, unsigned char out[SHA256_LEN])
{
	size_t head = header_end(message);
	struct str id = own_message_id(str_n(message.p, head));
	if (id.n != 0) {
		sha256(id, out);
		return true;
	}
	if (head == message.n)
		head = 0; /* an event, or a row: all of it */
	return body_identity(str_n(message.p + head, message.n - head), out);
}

/* ---- What it says of the person concerned ---- */

/* The address as known to us, its key and its campaign; nothing for one that is not there. */
static int who_is_it(struct job *j, struct intake_event *ev, struct str *key, ms_t *first_attempt)
{
	struct intake *in = j->in;
	struct err none = {0};
	struct delivery_row d;
	struct contact_row c;
	*key = str_n(NULL, 0);
	*first_attempt = 0;
	int64_t contact = ev->who.contact;
	if (DELIVERY_NUMBER(ev->who.delivery) != 0 &&
		store_delivery_get(in->o.store, ev->who.delivery, true, &d, &none) == 0) {
		contact = d.contact;
		*first_attempt = d.first_attempt;
		ev->campaign = arena_str(&in->arena, d.campaign);
	}
	if ((none.code == 0 || none.code == ERR_NOINPUT) && contact != 0) {
		none = (struct err){0};
		if (store_contact_by_id(in->o.store, contact, &c, &none) == 0) {
			ev->address = arena_str(&in->arena, c.address);
			*key = arena_str(&in->arena, c.key);
		}
	}
	if (none.code == 0 || none.code == ERR_NOINPUT)
		return in->arena.failed ? err_set(j->e, ERR_INTERNAL, "returned mail", "out of memory") : 0;
	*j->e = none;
	return -1;
}

static bool same_address(struct intake *in, struct str found, struct str key)
{
	struct address a;
	struct err none = {0};
	return found.n != 0 && key.n != 0 && address_parse(found, &in->arena, &a, &none) == 0 &&
	       str_eq(a.key, key);
}

static bool has_failed(const struct failure *f)
{
	return f->action == REPORT_FAILED || f->action == REPORT_UNSTATED;
}

/* Of several: the one about this person; else the mildest. Where mail to them was handed on and only some of
 * it failed, they are none of it. */
static const struct failure *choose(struct job *j, struct str key, bool *partial)
{
	const struct failure *mildest = NULL, *theirs = NULL;
	for (size_t i = 0; i < j->f->nfailures; i++) {
		const struct failure *f = &j->f->failures[i];
		if (!has_failed(f))
			continue;
		bool handed_on = f->other.n != 0 && j->f->nthrough != 0;
		if (theirs == NULL && !handed_on &&
			(same_address(j->in, f->address, key) || same_address(j->in, f->other, key)))
			theirs = f;
		if (mildest == NULL ||
			(mildest->verdict.class == CLASS_HARD && f->verdict.class != CLASS_HARD))
			mildest = f;
	}
	*partial = theirs == NULL && j->f->nthrough != 0;
	return theirs != NULL ? theirs : mildest;
}

/* ---- Acting ---- */

static void fingerprint(const struct job *j, const struct intake_event *ev, unsigned char out[SHA256_LEN])
{
	/* No memory is asked for: of a part of it another message would be made, and this one counted twice.
	 */
	char text[128 + sizeof j->identity + 300];
	struct str address = ev->failure != NULL ? ev->failure->address : str_n(NULL, 0);
	size_t n = (size_t)snprintf(text, 128, "%d %lld %lld %lld ", (int)ev->effect,
		(long long)ev->who.delivery, (long long)ev->who.contact, (long long)ev->who.list);
	memcpy(text + n, j->identity, sizeof j->identity);
	n += sizeof j->identity;
	if (j->f->nfailures > 1 && address.n != 0) {
		size_t most = address.n < 300 ? address.n : 300;
		memcpy(text + n, address.p, most);
		n += most;
	}
	sha256(str_n(text, n), out);
}

/* The configured scope: everything, or the list that the token names, or that of the delivery. */
static int64_t stop_scope(const struct config *cfg, const struct attribution *who)
{
	if (cfg->unsubscribe.scope_all)
		return 0;
	return who->list != 0 || who->trust == TRUST_UNSUBSCRIBE ? who->list : RETURNED_ITS_LIST;
}

static struct str rule_name(struct arena *a, const struct verdict *v)
{
	return arena_printf(a, "%s:%d", v->builtin ? "rules.conf" : "own rules", v->rule_line);
}

static struct returned_new describe(struct job *j, struct intake_event *ev, unsigned char print[SHA256_LEN])
{
	struct intake *in = j->in;
	const struct failure *f = ev->failure;
	fingerprint(j, ev, print);
	struct returned_new r = {.fingerprint = str_n((const char *)print, SHA256_LEN),
		.effect = ev->effect,
		.delivery = ev->who.delivery,
		.contact = ev->who.contact,
		.list = stop_scope(in->o.config, &ev->who),
		.at = j->at,
		.kind = str_from(mail_kind_names[j->f->kind]),
		.source = str_from(j->source->name),
		.trust = str_from(trust_names[ev->who.trust]),
		.class = CLASS_NONE,
		.diagnostic = j->f->subject,
		.host = j->f->reporting_host,
		.message = j->evidence};
	if (j->f->kind == MAIL_COMPLAINT || ev->effect == RETURNED_STOP)
		r.reason = ev->effect == RETURNED_STOP ? STR("unsubscribe") : STR("complaint");
	if (f == NULL)
		return r;
	if (ev->address.n == 0 || !str_eq(f->address, ev->address))
		r.address = f->address;
	if (f->host.n != 0)
		r.host = f->host;
	if (f->diagnostic.n != 0)
		r.diagnostic = f->diagnostic;
	r.code = f->code;
	snprintf(r.enhanced, sizeof r.enhanced, "%.*s", STR_ARG(f->enhanced));
	if (j->f->kind == MAIL_BOUNCE) {
		r.class = f->verdict.class;
		r.scope = f->verdict.scope;
		r.reason = f->verdict.reason;
		r.rule = rule_name(&in->arena, &f->verdict);
	}
	return r;
}

/* Nobody's, as the one whom it names was forgotten: nothing of that is written down. */
static int spare_forgotten(struct job *j, struct returned_new *r)
{
	struct address a;
	struct err none = {0};
	if (r->address.n == 0 || address_parse(r->address, &j->in->arena, &a, &none) != 0)
		return 0;
	int rc = store_is_forgotten(j->in->o.store, a.key, j->e);
	if (rc == 1)
		r->address = r->diagnostic = r->message = str_n("", 0);
	return rc < 0 ? -1 : 0;
}

static int act(struct job *j, struct intake_event *ev)
{
	struct intake *in = j->in;
	unsigned char print[SHA256_LEN];
	if (in->o.dry_run)
		return 0;
	struct returned_new r = describe(j, ev, print);
	if (spare_forgotten(j, &r) != 0)
		return -1;
	return store_returned(in->o.store, &r, &ev->done, j->e);
}

static struct intake_event *add_event(
	struct job *j, const struct attribution *who, enum returned_effect effect)
{
	struct intake *in = j->in;
	struct intake_event *ev = &in->events[in->nevents++];
	*ev = (struct intake_event){
		.who = *who, .effect = who->trust != TRUST_NONE ? effect : RETURNED_NOTHING};
	return ev;
}

static int failure_event(struct job *j, const struct attribution *who, const struct failure *only)
{
	struct str key;
	ms_t first;
	struct intake_event *ev = add_event(j, who, RETURNED_FAILED);
	if (who_is_it(j, ev, &key, &first) != 0)
		return -1;
	ev->failure = only != NULL ? only : choose(j, key, &ev->partial);
	if (ev->failure == NULL)
		return 0;
	ev->class = ev->failure->verdict.class;
	ev->late = first != 0 && j->at - first > INTAKE_LATE;
	if (ev->late || ev->partial)
		ev->effect = RETURNED_NOTHING;
	return act(j, ev);
}

static int person_event(struct job *j, const struct attribution *who, enum returned_effect effect,
	const struct failure *named)
{
	struct str key;
	ms_t first;
	struct intake_event *ev = add_event(j, who, effect);
	ev->failure = named;
	if (who_is_it(j, ev, &key, &first) != 0)
		return -1;
	return act(j, ev);
}

/* ---- The kinds ---- */

static const struct failure *first_of(const struct findings *f)
{
	return f->nfailures != 0 ? &f->failures[0] : NULL;
}

/* Each person that a source named whom the operator vouches for. */
static int vouched(struct job *j, enum returned_effect effect)
{
	const struct attribute_context c = {j->in->o.config, j->in->signer, j->in->o.store};
	for (size_t i = 0; i < j->f->nfailures && j->in->nevents < INTAKE_EVENTS; i++) {
		const struct failure *f = &j->f->failures[i];
		struct attribution who;
		if (effect == RETURNED_FAILED && !has_failed(f))
			continue;
		if (attribute_vouched(&c, f->address, j->f->relay_id, j->at - INTAKE_LATE, &who, j->e) != 0)
			return -1;
		int rc = effect == RETURNED_FAILED ? failure_event(j, &who, f)
						   : person_event(j, &who, effect, f);
		if (rc != 0)
			return -1;
	}
	return 0;
}

static int process(struct job *j)
{
	struct intake *in = j->in;
	const struct attribute_context c = {in->o.config, in->signer, in->o.store};
	const struct findings *f = j->f;
	struct attribution who;
	bool report = f->kind == MAIL_BOUNCE || f->kind == MAIL_DELAYED || f->kind == MAIL_DELIVERED ||
		      f->kind == MAIL_COMPLAINT || f->kind == MAIL_REPORT;
	bool person = f->kind == MAIL_COMPLAINT || f->kind == MAIL_OPTOUT;
	if (attribute_token(&c, f, person, &who, j->e) != 0)
		return -1;
	/* Any mail to such an address asks for it, by whatever program it was written. */
	if (who.trust == TRUST_UNSUBSCRIBE && !report && who.contact == 0)
		return 0; /* of a test message */
	if (who.trust == TRUST_UNSUBSCRIBE && !report)
		return person_event(j, &who, RETURNED_STOP, NULL);
	enum returned_effect effect = f->kind == MAIL_BOUNCE      ? RETURNED_FAILED
				      : f->kind == MAIL_COMPLAINT ? RETURNED_COMPLAINT
				      : f->kind == MAIL_OPTOUT    ? RETURNED_STOP
								  : RETURNED_NOTHING;
	if (effect == RETURNED_NOTHING)
		return 0;
	if (who.trust == TRUST_NONE && j->source->vouched && f->nfailures != 0)
		return vouched(j, effect);
	/* Mail to the unsubscribe address that did not get there says nothing of the person. */
	if (who.trust == TRUST_UNSUBSCRIBE && effect == RETURNED_FAILED)
		who = (struct attribution){.why_not = "it was returned to an unsubscribe address"};
	return effect == RETURNED_FAILED ? failure_event(j, &who, NULL)
					 : person_event(j, &who, effect, first_of(f));
}

static int run(struct job *j, struct intake_result *out)
{
	struct intake *in = j->in;
	arena_reset(&in->arena);
	in->nevents = 0;
	*out = (struct intake_result){.found = *j->f};
	if (!identity(j->evidence, j->identity))
		return err_set(j->e, ERR_INTERNAL, "returned mail", "out of memory");
	int rc = process(j);
	out->events = in->events;
	out->nevents = in->nevents;
	return rc;
}

int intake_findings(struct intake *in, const struct findings *f, struct str evidence,
	const struct intake_source *source, ms_t at, struct intake_result *out, struct err *e)
{
	struct job j = {.in = in, .f = f, .evidence = evidence, .source = source, .at = at, .e = e};
	return run(&j, out);
}

int intake_message(struct intake *in, struct str message, const struct envelope *env,
	const struct intake_source *source, ms_t at, struct intake_result *out, struct err *e)
{
	struct findings f;
	if (reader_read(in->reader, message, env, &f) != 0)
		return err_set(e, ERR_INTERNAL, "returned mail", "out of memory");
	return intake_findings(in, &f, message, source, at, out, e);
}

/* ---- Read again ---- */

struct again {
	struct job *j;
	struct str key; /* of the person */
	bool failed;    /* somebody, and the verdict is about that */
	struct verdict verdict;
};

static void judge(struct again *a, const struct findings *f)
{
	bool partial;
	a->j->f = f;
	const struct failure *x = f->kind == MAIL_BOUNCE ? choose(a->j, a->key, &partial) : NULL;
	a->j->f = NULL; /* it was lent */
	if (x == NULL)
		return;
	a->failed = true;
	a->verdict = x->verdict;
}

static int judge_notice(void *ctx, const struct notice *n)
{
	judge(ctx, &n->findings);
	return 0;
}

/* Of an event of several people: the one whom the row names, where nobody is known to us. */
static struct str named_key(struct intake *in, struct str address)
{
	struct address a;
	struct err none = {0};
	return address.n != 0 && address_parse(address, &in->arena, &a, &none) == 0 ? a.key : str_n(NULL, 0);
}

/* 0, INTAKE_UNREAD, -1 */
static int read_kept(struct again *a, const struct returned_row *was, struct str message)
{
	struct intake *in = a->j->in;
	struct findings f;
	if (provider_is_source(was->source)) {
		if (provider_read_again(in->reader, was->source, message, judge_notice, a, a->j->e) != 0)
			return -1;
		return a->failed ? 0 : INTAKE_UNREAD;
	}
	if (reader_read(in->reader, message, NULL, &f) != 0)
		return err_set(a->j->e, ERR_INTERNAL, "returned mail", "out of memory");
	judge(a, &f);
	return 0;
}

int intake_again(struct intake *in, const struct returned_row *was, struct str message,
	struct returned_change *now, struct err *e)
{
	struct attribution who = {.delivery = was->delivery, .contact = was->contact};
	struct intake_event ev = {.who = who};
	struct job j = {.in = in, .e = e};
	struct again a = {.j = &j};
	ms_t first;
	*now = (struct returned_change){.id = was->id, .reason = STR(""), .rule = STR("")};
	if (!str_is(was->kind, mail_kind_names[MAIL_BOUNCE]))
		return 0;
	arena_reset(&in->arena);
	if (who_is_it(&j, &ev, &a.key, &first) != 0)
		return -1;
	if (a.key.n == 0)
		a.key = named_key(in, was->address);
	int rc = read_kept(&a, was, message);
	if (rc != 0)
		return rc;
	if (a.failed) {
		now->class = a.verdict.class;
		now->scope = a.verdict.scope;
		now->reason = a.verdict.reason;
		now->rule = rule_name(&in->arena, &a.verdict);
	}
	return now->class != was->class || now->scope != was->scope || !str_eq(now->reason, was->reason);
}
