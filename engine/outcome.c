#include "engine/outcome.h"

#include "engine/rulefile.h"
#include "engine/smtp/client.h"
#include "engine/textset.h"
#include "src/base/file.h"

#include <assert.h>
#include <stdlib.h>

extern const unsigned char asset_rules_conf[];
extern const size_t asset_rules_conf_len;

#define RULE_FILE_MAX (1 << 20)
#define TEXT_MAX      2000 /* bytes of a reply that are looked at */
#define CODES         601  /* 0 to 599, and one for all others */
#define PROVIDERS     63   /* named in rules: the bits of a word, but one, so that all bits mean any */

struct rules {
	struct arena arena;
	struct rule_list list;
	struct textset *texts;
	struct str providers[PROVIDERS]; /* each is a bit in `masks` */
	int nproviders;
	uint64_t *masks;         /* for each rule; all bits: any */
	uint16_t *literals;      /* numbers in `texts` of all pieces of all rules, in order */
	uint32_t *first_literal; /* for each rule */
	uint16_t *by_code;       /* rules that match a code, in order */
	uint32_t first[CODES + 1];
};

/* ---- loading ---- */

static int too_many(const char *what, struct err *e)
{
	return err_set(e, ERR_CONFIG, "reply rules", "too many different %s", what);
}

static int provider_bit(struct rules *r, struct str name)
{
	for (int i = 0; i < r->nproviders; i++)
		if (str_eq(r->providers[i], name))
			return i;
	if (r->nproviders == PROVIDERS)
		return -1;
	r->providers[r->nproviders] = name;
	return r->nproviders++;
}

static int index_providers(struct rules *r, struct err *e)
{
	for (size_t i = 0; i < r->list.n; i++) {
		const struct rule *rule = &r->list.v[i];
		r->masks[i] = rule->nproviders == 0 ? UINT64_MAX : 0;
		for (size_t k = 0; k < rule->nproviders; k++) {
			int bit = provider_bit(r, rule->providers[k]);
			if (bit < 0)
				return too_many("providers", e);
			r->masks[i] |= UINT64_C(1) << bit;
		}
	}
	return 0;
}

static size_t count_pieces(const struct rules *r)
{
	size_t n = 0;
	for (size_t i = 0; i < r->list.n; i++)
		for (size_t k = 0; k < r->list.v[i].ntexts; k++)
			n += r->list.v[i].texts[k].npieces;
	return n;
}

static int index_texts(struct rules *r, struct err *e)
{
	uint32_t at = 0;
	for (size_t i = 0; i < r->list.n; i++) {
		const struct rule *rule = &r->list.v[i];
		r->first_literal[i] = at;
		for (size_t k = 0; k < rule->ntexts; k++)
			for (size_t j = 0; j < rule->texts[k].npieces; j++) {
				int id = textset_add(r->texts, rule->texts[k].pieces[j]);
				if (id < 0)
					return too_many("texts", e);
				r->literals[at++] = (uint16_t)id;
			}
	}
	return textset_build(r->texts) == 0 ? 0 : err_set(e, ERR_INTERNAL, "reply rules", "out of memory");
}

static bool rule_has_code(const struct rule *rule, unsigned code)
{
	for (size_t i = 0; i < rule->ncodes; i++)
		if (code >= rule->codes[i].low && code <= rule->codes[i].high)
			return true;
	return rule->ncodes == 0;
}

static int index_codes(struct rules *r, struct err *e)
{
	for (int pass = 0; pass < 2; pass++) {
		uint32_t n = 0;
		for (unsigned code = 0; code < CODES; code++) {
			r->first[code] = n;
			for (size_t i = 0; i < r->list.n; i++) {
				if (!rule_has_code(&r->list.v[i], code))
					continue;
				if (pass == 1)
					r->by_code[n] = (uint16_t)i;
				n++;
			}
		}
		r->first[CODES] = n;
		if (pass == 0 && (r->by_code = malloc((n + 1) * sizeof *r->by_code)) == NULL)
			return err_set(e, ERR_INTERNAL, "reply rules", "out of memory");
	}
	return 0;
}

static int index_all(struct rules *r, struct err *e)
{
	r->texts = textset_new();
	r->masks = calloc(r->list.n + 1, sizeof *r->masks);
	r->first_literal = calloc(r->list.n + 1, sizeof *r->first_literal);
	r->literals = calloc(count_pieces(r) + 1, sizeof *r->literals);
	if (r->texts == NULL || r->masks == NULL || r->first_literal == NULL || r->literals == NULL)
		return err_set(e, ERR_INTERNAL, "reply rules", "out of memory");
	if (index_providers(r, e) != 0 || index_texts(r, e) != 0)
		return -1;
	return index_codes(r, e);
}

static struct rules *load(struct str user_rules, const char *name, struct err *e)
{
	struct rules *r = calloc(1, sizeof *r);
	if (r == NULL) {
		err_set(e, ERR_INTERNAL, "reply rules", "out of memory");
		return NULL;
	}
	arena_init(&r->arena, 64 << 10, 16 << 20);
	struct str shipped = str_n((const char *)asset_rules_conf, asset_rules_conf_len);
	if (rulefile_parse(user_rules, name, false, &r->arena, &r->list, e) != 0 ||
		rulefile_parse(shipped, "rules.conf (built in)", true, &r->arena, &r->list, e) != 0 ||
		index_all(r, e) != 0)
		rules_free(&r);
	return r;
}

struct rules *rules_parse(struct str user_rules, struct err *e)
{
	return load(user_rules, "reply rules", e);
}

struct rules *rules_load(const char *user_file, struct err *e)
{
	struct buf b = BUF_INIT(RULE_FILE_MAX);
	struct rules *r = NULL;
	if (user_file == NULL || file_read(user_file, &b, e) == 0)
		r = load(buf_get(&b), user_file, e);
	else if (e != NULL && (e->code == ERR_NOINPUT || e->code == ERR_IO))
		e->code = ERR_CONFIG; /* which names it */
	buf_release(&b);
	return r;
}

void rules_free(struct rules **r)
{
	if (*r == NULL)
		return;
	textset_free(&(*r)->texts);
	free((*r)->masks);
	free((*r)->literals);
	free((*r)->first_literal);
	free((*r)->by_code);
	free((*r)->list.v);
	arena_release(&(*r)->arena);
	free(*r);
	*r = NULL;
}

/* ---- deciding ---- */

struct question {
	uint64_t providers;
	unsigned stages;
	bool enhanced;
	int16_t e[3];
	struct str text; /* in `copy` */
	char copy[TEXT_MAX];
	struct textset_hits hits;
};

/* "rcpt", "returned", "returned/rcpt". */
static unsigned stages_of(struct str stage)
{
	unsigned stages = 0;
	while (stage.n != 0) {
		size_t n = str_find(stage, '/');
		int number = rule_stage(str_n(stage.p, n));
		assert(number >= 0);
		stages |= 1u << number;
		stage = n < stage.n ? str_n(stage.p + n + 1, stage.n - n - 1) : str_n(NULL, 0);
	}
	return stages;
}

static uint64_t provider_mask(const struct rules *r, struct str name)
{
	for (int i = 0; i < r->nproviders; i++)
		if (str_eq(r->providers[i], name))
			return UINT64_C(1) << i;
	return 0;
}

static bool enhanced_matches(const struct rule *rule, const struct question *q)
{
	for (size_t i = 0; i < rule->nenhanced; i++) {
		const struct rule_enhanced *p = &rule->enhanced[i];
		if (!q->enhanced) {
			if (p->class == RULE_NONE)
				return true;
			continue;
		}
		if ((p->class == RULE_ANY || p->class == q->e[0]) &&
			(p->subject == RULE_ANY || p->subject == q->e[1]) && q->e[2] >= p->low &&
			q->e[2] <= p->high)
			return true;
	}
	return rule->nenhanced == 0;
}

static bool begins_nocase(struct str s, struct str piece)
{
	return s.n >= piece.n && strncasecmp(s.p, piece.p, piece.n) == 0;
}

/* All pieces occur; do they in this order? */
static bool pieces_in_order(struct str s, const struct rule_text *t)
{
	for (size_t i = 0; i < t->npieces; i++) {
		while (s.n != 0 && !begins_nocase(s, t->pieces[i]))
			s = str_n(s.p + 1, s.n - 1);
		if (s.n < t->pieces[i].n)
			return false;
		s = str_n(s.p + t->pieces[i].n, s.n - t->pieces[i].n);
	}
	return true;
}

static bool text_matches(const struct rule *rule, const uint16_t *literal, const struct question *q)
{
	for (size_t i = 0; i < rule->ntexts; i++) {
		const struct rule_text *t = &rule->texts[i];
		bool all = true;
		for (size_t k = 0; k < t->npieces; k++)
			all = textset_hit(&q->hits, *literal++) && all;
		if (all && (t->npieces == 1 || pieces_in_order(q->text, t)))
			return true;
	}
	return rule->ntexts == 0;
}

static bool in_address(char c)
{
	static const char other[] = "!#$%&'*+-/=?^_`{|}~.@";
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (unsigned char)c >= 0x80 || (c != '\0' && strchr(other, c) != NULL);
}

/* The text without the addresses it quotes, of which only "@" stays: a person whose address holds the word
 * spam, or a domain that does, must not decide what the server meant. */
static size_t without_addresses(struct str s, char *out)
{
	size_t n = 0, i = 0;
	while (i < s.n) {
		size_t at = i + str_find(str_n(s.p + i, s.n - i), '@');
		memcpy(out + n, s.p + i, at - i);
		size_t least = n;
		n += at - i;
		if (at == s.n)
			break;
		while (n > least && in_address(out[n - 1]))
			n--;
		out[n++] = '@';
		for (i = at + 1; i < s.n && in_address(s.p[i]);)
			i++;
	}
	return n;
}

static void ask(const struct rules *r, struct str provider, struct str stage, struct str enhanced,
	struct str text, struct question *q)
{
	size_t slash = str_find(provider, '/');
	struct str first = str_n(provider.p, slash);
	q->providers = provider_mask(r, first);
	if (slash < provider.n)
		q->providers |= provider_mask(r, str_n(provider.p + slash + 1, provider.n - slash - 1));
	if (!str_is(first, "direct"))
		q->providers |= provider_mask(r, STR("relay"));
	q->stages = stages_of(stage);
	assert(q->stages != 0);
	q->enhanced = rule_enhanced_parse(enhanced, q->e);
	q->text = str_n(
		q->copy, without_addresses(str_n(text.p, text.n < TEXT_MAX ? text.n : TEXT_MAX), q->copy));
	textset_find(r->texts, q->text, &q->hits);
}

void rules_decide(const struct rules *r, struct str provider, struct str stage, int code, struct str enhanced,
	struct str text, struct verdict *v)
{
	struct question q;
	ask(r, provider, stage, enhanced, text, &q);
	unsigned slot = code >= 0 && code < CODES - 1 ? (unsigned)code : CODES - 1;
	for (uint32_t i = r->first[slot]; i < r->first[slot + 1]; i++) {
		size_t n = r->by_code[i];
		const struct rule *rule = &r->list.v[n];
		if ((rule->stages & q.stages) == 0)
			continue;
		if (r->masks[n] != UINT64_MAX && (r->masks[n] & q.providers) == 0)
			continue;
		if (!enhanced_matches(rule, &q) || !text_matches(rule, r->literals + r->first_literal[n], &q))
			continue;
		*v = rule->verdict;
		return;
	}
	assert(!"the shipped rules end with one that matches everything");
}
