#include "engine/check_private.h"

#include "lists/address.h"
#include "lists/provider.h"
#include "src/db/attrs.h"
#include "src/db/ledger.h"

#include <stdio.h>
#include <stdlib.h>

enum { LETTER_ARENA = 32 << 10, LETTER_MAX = 128 << 20 };
static const int64_t MB = 1 << 20;

int check_reader_init(struct check_reader *r, struct check_shared *s, struct err *e)
{
	*r = (struct check_reader){.s = s, .first_failed = -1};
	arena_init(&r->arena, LETTER_ARENA, LETTER_MAX);
	arena_init(&r->close, LETTER_ARENA, 4 * (size_t)LETTER_MAX);
	check_table_init(&r->table);
	r->signer = token_signer_new(s->o->keys);
	r->lint = malloc(sizeof *r->lint);
	r->have = calloc(s->nslots + 1, sizeof *r->have);
	if (r->signer == NULL || r->lint == NULL || r->have == NULL)
		return err_set(e, ERR_INTERNAL, "check", "out of memory");
	return 0;
}

void check_reader_release(struct check_reader *r)
{
	token_signer_free(&r->signer);
	arena_release(&r->arena);
	arena_release(&r->close);
	check_table_release(&r->table);
	free(r->lint);
	free(r->have);
}

/* ---- Composing ---- */

static bool can_sign(struct check_reader *r, struct letter *letter, struct err *why)
{
	struct check_shared *s = r->s;
	if (__atomic_load_n(&s->signing, __ATOMIC_ACQUIRE) == SIGNED || letter->mail.skip.n != 0)
		return true;
	pthread_mutex_lock(&s->lock);
	if (s->signing == UNSIGNED) {
		struct letter copy = *letter;
		bool ok = letter_sign(&copy, s->l->dkim, s->now, s->l->route, &r->arena, &s->sign_error) == 0;
		s->signatures = (int64_t)copy.mail.header.n - (int64_t)letter->mail.header.n;
		__atomic_store_n(&s->signing, ok ? SIGNED : CANNOT_SIGN, __ATOMIC_RELEASE);
	}
	bool ok = s->signing == SIGNED;
	if (!ok)
		*why = s->sign_error;
	pthread_mutex_unlock(&s->lock);
	return ok;
}

static void compose_failed(struct check_reader *r, const struct err *why, const struct check_who *who)
{
	char where[320] = "";
	r->failed++;
	if (r->first_failed < 0) {
		r->first_failed = who->number;
		r->first = *why;
		snprintf(r->address, sizeof r->address, "%.*s", STR_ARG(who->address));
	}
	if (!r->s->o->findings)
		return;
	if (why->file[0] != '\0' && why->line > 0)
		snprintf(where, sizeof where, "%s:%ld:%ld", why->file, why->line, why->column);
	check_addf(&r->table, "cannot-be-composed", LINT_FAIL,
		where[0] != '\0' ? str_from(where) : str_from(why->what), who, false, why->remedy, "%s",
		why->why);
}

/* ---- Every message ---- */

static void carrier(struct check_reader *r, struct str domain, int64_t bytes, const struct check_who *who)
{
	if (bytes <= MB)
		return;
	const char *p = provider_of_domain(domain);
	int most = strcmp(p, "softbank") == 0 ? 1 : strcmp(p, "au") == 0 ? 3 : 0;
	if (most != 0 && bytes > most * MB)
		check_addf(&r->table, "too-large-for-carrier", LINT_WARN, str_from(p), who, false,
			"make images and attachments smaller, or link to them", "%s takes %d MB at most", p,
			most);
}

static void sizes(struct check_reader *r, const struct letter *l, int64_t bytes, struct str domain,
	const struct check_who *who)
{
	static const char remedy[] = "make images and attachments smaller, or link to them";
	const struct check_shared *s = r->s;
	carrier(r, domain, bytes, who);
	if (bytes > s->size_limit)
		check_addf(&r->table, "message-too-large", s->size_known ? LINT_FAIL : LINT_WARN,
			STR("message"), who, false, remedy,
			s->size_known ? "the relay takes %lld MB at most"
				      : "many servers take no more than %lld MB",
			(long long)(s->size_limit / MB));
	if (bytes <= LINT_CLIP_NEAR)
		return;
	size_t html = peek_html_size(&l->mail);
	if (html > LINT_CLIP)
		check_addf(&r->table, "html-clipped", LINT_FAIL, STR("text/html"), who, false,
			"shorten it: Gmail cuts off what is beyond 102 KB, and the unsubscribe link with it",
			"the HTML has %zu KB", html >> 10);
	else if (html > LINT_CLIP_NEAR)
		check_addf(&r->table, "html-nearly-clipped", LINT_WARN, STR("text/html"), who, false,
			"shorten it: Gmail cuts off what is beyond 102 KB", "the HTML has %zu KB",
			html >> 10);
}

static bool blank(struct str s)
{
	return str_trim(s).n == 0;
}

static void words(struct check_reader *r, const struct letter *l, const struct check_who *who)
{
	static const char give[] = "give the name a default: {{ first_name | default: \"reader\" }}";
	char room[PEEK_MAX];
	if (blank(l->mail.subject))
		check_addf(&r->table, "subject-empty", LINT_FAIL, STR("Subject"), who, false,
			"write a subject; where it is a value, give it a default", "the subject is empty");
	else if (lint_subject_gap(l->mail.subject).n != 0)
		check_addf(&r->table, "subject-gap", LINT_WARN, STR("Subject"), who, false, give,
			"a value seems to be missing: \"%.*s\"",
			(int)(l->mail.subject.n < 100 ? l->mail.subject.n : 100), l->mail.subject.p);
	struct str g = lint_greeting(peek_text(&l->mail, room));
	if (g.n != 0)
		check_addf(&r->table, "greeting-empty", LINT_WARN, STR("text/plain"), who, false, give,
			"the greeting has no name: \"%.*s\"", (int)(g.n < 60 ? g.n : 60), g.p);
}

/* ---- Some messages, closely ---- */

/* Notes which of the message's names this person has; a number for the combination. */
static uint64_t values_of(struct check_reader *r, const struct contact_row *c)
{
	uint64_t pattern = 0;
	for (struct attr_iter i = attrs_begin(c->attrs); attrs_next(&i);) {
		int slot = i.value.n != 0 ? personal_slot(r->s->l->personal, i.id) : -1;
		if (slot < 0)
			continue;
		r->have[slot]++;
		pattern += ((uint64_t)slot + 1) * 0x9e3779b97f4a7c15;
	}
	return pattern;
}

static bool new_pattern(struct check_reader *r, uint64_t pattern)
{
	for (size_t i = 0; i < r->npatterns; i++)
		if (r->patterns[i] == pattern)
			return false;
	if (r->npatterns == CHECK_PATTERNS)
		return false;
	r->patterns[r->npatterns++] = pattern;
	return true;
}

/* What is looked at in every message anyway. */
static bool counted_for_all(const char *id)
{
	static const char *const ids[] = {
		"subject-empty", "subject-gap", "html-clipped", "html-nearly-clipped"};
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
		if (strcmp(id, ids[i]) == 0)
			return true;
	return false;
}

static void keep_finding(struct check_reader *r, const struct lint_finding *f, const struct check_who *who)
{
	struct str where = lint_where(f, &r->close);
	struct check_entry e = {.id = f->id,
		.severity = f->severity,
		.place = f->decoded ? where : f->place,
		.where = where,
		.text = f->text,
		.remedy = str_from(f->remedy)};
	/* The greeting is counted for all where the text part begins in a way that can be read at once. */
	for (size_t i = 0; strcmp(f->id, "greeting-empty") == 0 && i < r->table.n; i++)
		if (strcmp(r->table.v[i].id, "greeting-empty") == 0 && r->table.v[i].recipients != 0)
			return;
	if (!counted_for_all(f->id))
		check_add(&r->table, &e, who, true);
}

static void read_closely(struct check_reader *r, const struct claim *claim, const struct check_who *who)
{
	struct letter l = {0};
	struct err why;
	arena_reset(&r->close);
	if (personal_compose(r->s->l->personal, r->signer, claim, true, &r->close, &l, &why) != 0 ||
		l.mail.skip.n != 0)
		return;
	char *all = arena_bytes(&r->close, composed_size(&l.mail) + 1);
	if (all == NULL)
		return;
	memcpy(all, l.mail.header.p, l.mail.header.n);
	memcpy(all + l.mail.header.n, l.mail.body.p, l.mail.body.n);
	if (l.mail.tail.n != 0)
		memcpy(all + l.mail.header.n + l.mail.body.n, l.mail.tail.p, l.mail.tail.n);
	r->read++;
	lint_message(r->lint, &r->close, str_n(all, composed_size(&l.mail)));
	for (size_t i = 0; i < r->lint->n; i++)
		keep_finding(r, &r->lint->found[i], who);
	check_law(&r->table, r->s->l->config, &l, &r->close, who);
}

static void skipped(struct check_reader *r, struct str reason, const struct check_who *who)
{
	char text[300];
	snprintf(text, sizeof text, "the message says not to send it: %.*s",
		(int)(reason.n < 200 ? reason.n : 200), reason.p);
	struct check_entry e = {.id = "skipped",
		.severity = LINT_INFO,
		.place = reason,
		.where = STR("abort_message"),
		.text = str_from(text)};
	check_add(&r->table, &e, who, false);
}

void check_letter(
	struct check_reader *r, const struct contact_row *c, const struct list_row *list, int64_t number)
{
	struct letter letter = {0};
	struct claim claim;
	struct err why = {0};
	const struct check_who who = {number, c->address};
	r->checked++;
	claim_of_contact(&claim, c, list, r->s->now);
	arena_reset(&r->arena);
	uint64_t pattern = r->s->o->findings ? values_of(r, c) : 0;
	if (personal_compose(r->s->l->personal, r->signer, &claim, false, &r->arena, &letter, &why) != 0 ||
		!can_sign(r, &letter, &why)) {
		compose_failed(r, &why, &who);
		return;
	}
	if (letter.mail.skip.n != 0) {
		r->skipped++;
		if (r->s->o->findings)
			skipped(r, letter.mail.skip, &who);
		return;
	}
	int64_t bytes = (int64_t)composed_size(&letter.mail) + r->s->signatures;
	bool largest = bytes > r->bytes;
	if (largest)
		r->bytes = bytes;
	if (!r->s->o->findings)
		return;
	sizes(r, &letter, bytes, claim.domain, &who);
	words(r, &letter, &who);
	if (number < CHECK_READ || largest || new_pattern(r, pattern))
		read_closely(r, &claim, &who);
}
