#include "engine/rulefile.h"

#include "engine/smtp/client.h"
#include "src/db/delivery.h"

#include <assert.h>
#include <stdlib.h>

#define LINE_MAX_BYTES 4000
#define TOKENS_MAX     16
#define ALTS_MAX       64

struct token {
	struct str s; /* as written, without the quotes */
	bool quoted;
};

struct parser {
	struct arena *a;
	const char *name;
	long line;
	struct err *e;
	struct str lower; /* the rule's text field, folded: pieces point into it */
};

const char *const verdict_action_names[ACTION_NACTIONS] = {
	[ACTION_FAIL] = "fail",
	[ACTION_SUPPRESS] = "suppress",
	[ACTION_RETRY] = "retry",
	[ACTION_REQUEUE] = "requeue",
	[ACTION_SLOW] = "slow",
	[ACTION_SUSPEND] = "suspend",
	[ACTION_PAUSE] = "pause",
	[ACTION_RECONNECT] = "reconnect",
};

/* The words of the file. */
static const char *const class_words[CLASS_NCLASSES] = {"", "hard", "soft", "block", "message", "config"};
static const char *const scope_words[SCOPE_NSCOPES] = {"address", "message", "site", "route", "account"};

static int bad(struct parser *p, const char *why, struct str what)
{
	err_set(p->e, ERR_CONFIG, "reply rules", "%s%s%.*s%s", why, what.n != 0 ? ": \"" : "",
		what.n > 80 ? 80 : (int)what.n, what.p != NULL ? what.p : "", what.n != 0 ? "\"" : "");
	return err_at(p->e, p->name, p->line);
}

static int no_memory(struct parser *p)
{
	return err_set(p->e, ERR_INTERNAL, "reply rules", "out of memory");
}

/* The next alternative of "a|b|c" from *s; a backslash takes the next byte's meaning away. False: none left.
 */
static bool next_part(struct str *s, char by, struct str *part)
{
	if (s->p == NULL)
		return false;
	size_t i = 0;
	while (i < s->n && s->p[i] != by)
		i += s->p[i] == '\\' && i + 1 < s->n ? 2 : 1;
	*part = str_n(s->p, i);
	*s = i < s->n ? str_n(s->p + i + 1, s->n - i - 1) : str_n(NULL, 0);
	return true;
}

static bool is_any(const struct token *t)
{
	return !t->quoted && str_is(t->s, "*");
}

/* ---- tokens ---- */

/* A quoted text from s->p[0] == '"'. */
static int read_quoted(struct parser *p, struct str *s, struct str *out)
{
	size_t i = 1;
	while (i < s->n && s->p[i] != '"')
		i += s->p[i] == '\\' && i + 1 < s->n ? 2 : 1;
	if (i >= s->n)
		return bad(p, "a quotation mark is not closed", *s);
	*out = str_n(s->p + 1, i - 1);
	*s = str_n(s->p + i + 1, s->n - i - 1);
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Words, "quoted texts" and name="quoted text"; the last becomes two tokens: name= and the text. */
static int tokenize(struct parser *p, struct str s, struct token *t, size_t *n)
{
	for (*n = 0;; (*n)++) {
		while (s.n != 0 && is_blank(s.p[0]))
			s = str_n(s.p + 1, s.n - 1);
		if (s.n == 0 || s.p[0] == '#')
			return 0;
		if (*n == TOKENS_MAX)
			return bad(p, "too many fields", s);
		t[*n] = (struct token){.quoted = s.p[0] == '"'};
		if (t[*n].quoted) {
			if (read_quoted(p, &s, &t[*n].s) != 0)
				return -1;
			continue;
		}
		size_t i = 0;
		while (i < s.n && !is_blank(s.p[i]) && s.p[i] != '"')
			i++;
		t[*n].s = str_n(s.p, i);
		s = str_n(s.p + i, s.n - i);
	}
}

/* ---- the fields on the left ---- */

/* Makes room for as many elements as the field has alternatives. */
static void *alternatives(struct parser *p, struct str field, size_t size)
{
	size_t n = 0;
	struct str part;
	while (next_part(&field, '|', &part))
		if (++n > ALTS_MAX) {
			bad(p, "too many alternatives", part);
			return NULL;
		}
	void *v = arena_zalloc(p->a, n * size);
	if (v == NULL)
		no_memory(p);
	return v;
}

static bool is_word(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-'))
			return false;
	return s.n > 0 && s.n <= 32;
}

static int parse_providers(struct parser *p, const struct token *t, struct rule *r)
{
	if (is_any(t))
		return 0;
	struct str rest = t->s, part;
	r->providers = alternatives(p, rest, sizeof *r->providers);
	if (r->providers == NULL)
		return -1;
	while (next_part(&rest, '|', &part)) {
		if (!is_word(part))
			return bad(p, "not the name of a provider", part);
		r->providers[r->nproviders] = arena_str(p->a, part);
		if (r->providers[r->nproviders++].p == NULL)
			return no_memory(p);
	}
	return 0;
}

int rule_stage(struct str word)
{
	for (int i = 0; i < SMTP_NSTAGES; i++)
		if (str_is(word, smtp_stage_names[i]))
			return i;
	return str_is(word, "returned") ? RULE_RETURNED : -1;
}

static int parse_stages(struct parser *p, const struct token *t, struct rule *r)
{
	r->stages = is_any(t) ? (2u << RULE_RETURNED) - 1 : 0;
	struct str rest = is_any(t) ? str_n(NULL, 0) : t->s, part;
	while (next_part(&rest, '|', &part)) {
		int i = rule_stage(part);
		if (i < 0)
			return bad(p, "unknown stage", part);
		r->stages |= 1u << i;
	}
	return 0;
}

/* "550", "55x", "5xx", "-" */
static bool code_parse(struct str s, struct rule_code *c)
{
	if (str_is(s, "-")) {
		*c = (struct rule_code){0, 0};
		return true;
	}
	if (s.n != 3 || s.p[0] < '2' || s.p[0] > '5')
		return false;
	unsigned low = 0, high = 0;
	bool open = false;
	for (int i = 0; i < 3; i++) {
		bool x = s.p[i] == 'x';
		if ((!x && (s.p[i] < '0' || s.p[i] > '9')) || (open && !x))
			return false;
		open = open || x;
		low = low * 10 + (x ? 0 : (unsigned)(s.p[i] - '0'));
		high = high * 10 + (x ? 9 : (unsigned)(s.p[i] - '0'));
	}
	*c = (struct rule_code){(uint16_t)low, (uint16_t)high};
	return true;
}

static int parse_codes(struct parser *p, const struct token *t, struct rule *r)
{
	if (is_any(t))
		return 0;
	struct str rest = t->s, part;
	r->codes = alternatives(p, rest, sizeof *r->codes);
	if (r->codes == NULL)
		return -1;
	while (next_part(&rest, '|', &part))
		if (!code_parse(part, &r->codes[r->ncodes++]))
			return bad(p, "not a reply code (550, 55x, 5xx, or - for no reply)", part);
	return 0;
}

static bool number(struct str s, int16_t *out)
{
	long long v;
	if (s.n == 0 || s.n > 3 || s.p[0] == '+' || s.p[0] == '-' || !str_int(s, 0, 999, &v))
		return false;
	*out = (int16_t)v;
	return true;
}

bool rule_enhanced_parse(struct str s, int16_t out[3])
{
	struct str part;
	for (int i = 0; i < 3; i++)
		if (!next_part(&s, '.', &part) || !number(part, &out[i]))
			return false;
	return s.p == NULL;
}

/* "5.1.1", "x.1.1", "5.7.x", "5.7.606-649", "-" */
static bool enhanced_pattern(struct str s, struct rule_enhanced *c)
{
	*c = (struct rule_enhanced){RULE_ANY, RULE_ANY, 0, 999};
	struct str part;
	if (str_is(s, "-")) {
		c->class = RULE_NONE;
		return true;
	}
	if (!next_part(&s, '.', &part) || (!str_is(part, "x") && !number(part, &c->class)))
		return false;
	if (!next_part(&s, '.', &part) || (!str_is(part, "x") && !number(part, &c->subject)))
		return false;
	if (!next_part(&s, '.', &part) || s.p != NULL)
		return false;
	if (str_is(part, "x"))
		return true;
	size_t dash = str_find(part, '-');
	if (!number(str_n(part.p, dash), &c->low))
		return false;
	c->high = c->low;
	return dash == part.n ||
	       (number(str_n(part.p + dash + 1, part.n - dash - 1), &c->high) && c->low <= c->high);
}

static int parse_enhanced(struct parser *p, const struct token *t, struct rule *r)
{
	if (is_any(t))
		return 0;
	struct str rest = t->s, part;
	r->enhanced = alternatives(p, rest, sizeof *r->enhanced);
	if (r->enhanced == NULL)
		return -1;
	while (next_part(&rest, '|', &part))
		if (!enhanced_pattern(part, &r->enhanced[r->nenhanced++]))
			return bad(p,
				"not an enhanced code (5.1.1, x.1.1, 5.7.x, 5.7.606-649, or - for none)",
				part);
	return 0;
}

/* Lower case, escapes taken out. */
static struct str plain_text(struct parser *p, struct str s)
{
	char *out = arena_bytes(p->a, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; out != NULL && i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		out[n++] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + ('a' - 'A')) : s.p[i];
	}
	return str_n(out, n);
}

static int parse_pieces(struct parser *p, struct str alt, struct rule_text *text)
{
	struct str rest = alt, piece;
	while (next_part(&rest, '*', &piece))
		text->npieces++;
	text->pieces = arena_alloc(p->a, text->npieces * sizeof *text->pieces);
	if (text->pieces == NULL)
		return no_memory(p);
	text->npieces = 0;
	rest = alt;
	while (next_part(&rest, '*', &piece)) {
		if (piece.n == 0)
			return bad(p, "empty piece in a text", alt);
		struct str *to = &text->pieces[text->npieces++];
		*to = plain_text(p, piece);
		if (to->p == NULL)
			return no_memory(p);
	}
	return 0;
}

static int parse_texts(struct parser *p, const struct token *t, struct rule *r)
{
	if (is_any(t))
		return 0;
	if (!t->quoted)
		return bad(p, "the text must stand in quotation marks, or be *", t->s);
	struct str rest = t->s, part;
	r->texts = alternatives(p, rest, sizeof *r->texts);
	if (r->texts == NULL)
		return -1;
	while (next_part(&rest, '|', &part))
		if (parse_pieces(p, part, &r->texts[r->ntexts++]) != 0)
			return -1;
	return 0;
}

/* ---- the fields on the right ---- */

static int name_find(struct str s, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (names[i][0] != '\0' && str_is(s, names[i]))
			return i;
	return -1;
}

static int parse_verdict(struct parser *p, const struct token *t, struct verdict *v)
{
	int class = name_find(t[0].s, class_words, CLASS_NCLASSES);
	int scope = name_find(t[1].s, scope_words, SCOPE_NSCOPES);
	int action = name_find(t[3].s, verdict_action_names, ACTION_NACTIONS);
	if (class < 0)
		return bad(p, "unknown class (hard, soft, block, message, config)", t[0].s);
	if (scope < 0)
		return bad(p, "unknown scope (address, message, site, route, account)", t[1].s);
	if (!is_word(t[2].s))
		return bad(p, "not a reason (lower-case letters, digits and hyphens)", t[2].s);
	if (action < 0)
		return bad(p,
			"unknown action (fail, suppress, retry, requeue, slow, suspend, pause, reconnect)",
			t[3].s);
	v->class = (enum reply_class) class;
	v->scope = (enum reply_scope)scope;
	v->action = (enum verdict_action)action;
	v->reason = arena_str(p->a, t[2].s);
	return v->reason.p != NULL ? 0 : no_memory(p);
}

static int parse_option(struct parser *p, const struct token *t, size_t n, struct verdict *v)
{
	if (str_is(t->s, "remedy=") && n > 1 && t[1].quoted && v->remedy.n == 0) {
		v->remedy = t[1].s.n != 0 ? arena_str(p->a, t[1].s) : str_n(NULL, 0);
		return v->remedy.p != NULL ? 2 : bad(p, "empty remedy", t->s);
	}
	if (str_starts(t->s, STR("pause=")) && v->pause.n == 0) {
		struct str word = str_n(t->s.p + 6, t->s.n - 6);
		if (!str_is(word, "login") && !str_is(word, "sender-refused") && !str_is(word, "quota"))
			return bad(p, "unknown reason for a pause (login, sender-refused, quota)", word);
		v->pause = arena_str(p->a, word);
		return v->pause.p != NULL ? 1 : no_memory(p);
	}
	if (str_starts(t->s, STR("delay=")) && v->delay == 0 && t->s.n < 6 + 20) {
		char span[20];
		memcpy(span, t->s.p + 6, t->s.n - 6);
		span[t->s.n - 6] = '\0';
		if (clock_span(span, &v->delay, NULL) != 0 || v->delay <= 0 || v->delay > 7 * DAY)
			return bad(p, "not a delay (10m, 2h, at most 7d)", t->s);
		return 1;
	}
	return bad(p, "unknown or repeated option (delay=, pause=, remedy=\"…\")", t->s);
}

/* May this rule mark an address as bad? Only a 5xx to RCPT or to the message's end is about the recipient,
 * and a final failure that comes back. */
static bool may_suppress(const struct rule *r)
{
	if (r->stages & ~(1u << SMTP_RCPT | 1u << SMTP_END | 1u << RULE_RETURNED) || r->ncodes == 0)
		return false;
	for (size_t i = 0; i < r->ncodes; i++)
		if (r->codes[i].low < 500)
			return false;
	return r->verdict.class == CLASS_HARD && r->verdict.scope == SCOPE_ADDRESS;
}

static int check_rule(struct parser *p, const struct rule *r)
{
	const struct verdict *v = &r->verdict;
	bool final = v->action == ACTION_FAIL || v->action == ACTION_SUPPRESS;
	if (v->action == ACTION_SUPPRESS && !may_suppress(r))
		return bad(p,
			"suppress needs stage rcpt, end or returned, codes 5xx, class hard and scope address",
			str_n(NULL, 0));
	if (final && (v->scope == SCOPE_ROUTE || v->scope == SCOPE_ACCOUNT || v->class == CLASS_CONFIG))
		return bad(p,
			"a delivery does not end for what is wrong with the route, the account or the "
			"configuration",
			str_n(NULL, 0));
	if ((v->action == ACTION_PAUSE) != (v->pause.n != 0))
		return bad(p, "pause= belongs to the action pause, and to no other", str_n(NULL, 0));
	if ((final || v->action == ACTION_RECONNECT) && v->delay != 0)
		return bad(p, "this action has no delay", str_n(NULL, 0));
	return 0;
}

static int parse_rule(struct parser *p, struct str line, bool builtin, struct rule *r)
{
	struct token t[TOKENS_MAX];
	size_t n;
	*r = (struct rule){0};
	if (tokenize(p, line, t, &n) != 0)
		return -1;
	if (n < 10 || t[5].quoted || !str_is(t[5].s, "->"))
		return bad(p, "a rule is: provider stage code enhanced \"text\" -> class scope reason action",
			n > 0 ? t[0].s : str_n(NULL, 0));
	if (parse_providers(p, &t[0], r) != 0 || parse_stages(p, &t[1], r) != 0 ||
		parse_codes(p, &t[2], r) != 0 || parse_enhanced(p, &t[3], r) != 0 ||
		parse_texts(p, &t[4], r) != 0 || parse_verdict(p, t + 6, &r->verdict) != 0)
		return -1;
	for (size_t i = 10; i < n;) {
		int used = parse_option(p, t + i, n - i, &r->verdict);
		if (used < 0)
			return -1;
		i += (size_t)used;
	}
	r->verdict.rule_line = (int)p->line;
	r->verdict.builtin = builtin;
	return check_rule(p, r);
}

/* ---- lines ---- */

static int list_add(struct parser *p, struct rule_list *l, const struct rule *r)
{
	if (l->n == RULES_MAX)
		return bad(p, "too many rules", str_n(NULL, 0));
	if (l->n == l->cap) {
		size_t cap = l->cap == 0 ? 64 : l->cap * 2;
		struct rule *v = realloc(l->v, cap * sizeof *v);
		if (v == NULL)
			return no_memory(p);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *r;
	return 0;
}

static struct str next_line(struct str *s)
{
	size_t n = str_find(*s, '\n');
	struct str line = str_n(s->p, n);
	size_t skip = n < s->n ? n + 1 : n;
	*s = str_n(s->p + skip, s->n - skip);
	if (line.n != 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static int check_bytes(struct parser *p, struct str line)
{
	for (size_t i = 0; i < line.n; i++)
		if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f)
			return bad(p, "control character", str_n(NULL, 0));
	return line.n <= LINE_MAX_BYTES ? 0 : bad(p, "line too long", str_n(NULL, 0));
}

/* A rule and the indented lines that continue it, joined in `joined`. */
static int rule_lines(struct parser *p, struct str *file, struct str first, long *line, struct buf *joined)
{
	buf_clear(joined);
	buf_str(joined, first);
	while (file->n != 0 && is_blank(file->p[0])) {
		struct str after = *file, more = next_line(&after);
		if (str_trim(more).n == 0)
			break;
		*file = after;
		++*line;
		if (check_bytes(p, more) != 0)
			return -1;
		if (str_trim(more).p[0] != '#')
			buf_str(joined, more);
	}
	return joined->failed ? bad(p, "rule too long", str_n(NULL, 0)) : 0;
}

int rulefile_parse(struct str file, const char *name, bool builtin, struct arena *a, struct rule_list *out,
	struct err *e)
{
	struct parser p = {.a = a, .name = name, .e = e};
	struct buf joined = BUF_INIT(4 * LINE_MAX_BYTES);
	long line = 0;
	int rc = 0;
	if (str_starts(file, STR("\xef\xbb\xbf")))
		file = str_n(file.p + 3, file.n - 3);
	while (rc == 0 && file.n != 0) {
		p.line = ++line;
		struct str first = next_line(&file), text = str_trim(first);
		if (text.n == 0 || text.p[0] == '#')
			continue;
		struct rule r;
		if (is_blank(first.p[0]))
			rc = bad(&p, "an indented line continues a rule, and none stands above", text);
		else if (check_bytes(&p, first) != 0 || rule_lines(&p, &file, first, &line, &joined) != 0)
			rc = -1;
		else if (parse_rule(&p, buf_get(&joined), builtin, &r) != 0)
			rc = -1;
		else
			rc = list_add(&p, out, &r);
	}
	buf_release(&joined);
	return rc;
}
