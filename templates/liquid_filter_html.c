/* Filters that encode or decode text: HTML, URLs, base64. */
#include "templates/liquid_private.h"

#include "src/base/utf8.h"

static int safe(struct vm *vm, struct text *t, struct value *out)
{
	if (lq_give(vm, t, out) != 0)
		return -1;
	out->safe = vm->l->o.escape == LIQUID_HTML;
	return 0;
}

/* Who escapes for the HTML part does not want to see that in the subject, or in the text part that is made
 * from it. */
static bool no_html(const struct vm *vm)
{
	return vm->l->o.escape == LIQUID_TEXT || vm->l->o.escape == LIQUID_HEADER;
}

static int filter_escape(struct vm *vm, const struct call *c, struct value *out)
{
	struct text t;
	if (no_html(vm) || c->in.type == V_NIL || (c->in.type == V_STR && c->in.safe)) {
		*out = c->in;
		return 0;
	}
	struct str s = lq_to_s(vm, &c->in);
	lq_text_init(&t, vm->a, s.n + 32);
	lq_escape(&t, s);
	return safe(vm, &t, out);
}

/* Length of "&name;" or "&#123;" at s.p[i], or 0. */
static size_t entity(struct str s, size_t i)
{
	size_t k = i + 1;
	bool number = k < s.n && s.p[k] == '#';
	size_t from = k += number;
	while (k < s.n &&
		(number ? s.p[k] >= '0' && s.p[k] <= '9' : (s.p[k] | 0x20) >= 'a' && (s.p[k] | 0x20) <= 'z'))
		k++;
	return k > from && k < s.n && s.p[k] == ';' ? k + 1 - i : 0;
}

static int filter_escape_once(struct vm *vm, const struct call *c, struct value *out)
{
	struct str s = lq_to_s(vm, &c->in);
	struct text t;
	if (no_html(vm)) {
		*out = c->in;
		return 0;
	}
	lq_text_init(&t, vm->a, s.n + 32);
	for (size_t i = 0; i < s.n;) {
		size_t n = s.p[i] == '&' ? entity(s, i) : 0;
		if (n != 0)
			lq_text_add(&t, s.p + i, n);
		else
			lq_escape(&t, str_n(s.p + i, 1));
		i += n != 0 ? n : 1;
	}
	return safe(vm, &t, out);
}

static int filter_newline_to_br(struct vm *vm, const struct call *c, struct value *out)
{
	struct str s = lq_to_s(vm, &c->in);
	struct text t;
	bool escape = vm->l->o.escape == LIQUID_HTML && !(c->in.type == V_STR && c->in.safe);
	if (no_html(vm)) {
		*out = c->in;
		return 0;
	}
	lq_text_init(&t, vm->a, s.n + 32);
	for (size_t from = 0; from < s.n;) {
		struct str line = str_n(s.p + from, str_find(str_n(s.p + from, s.n - from), '\n'));
		bool end = from + line.n == s.n;
		from += line.n + 1;
		if (!end && line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (escape)
			lq_escape(&t, line);
		else
			lq_text_str(&t, line);
		if (!end)
			lq_text_add(&t, "<br />\n", 7);
	}
	return safe(vm, &t, out);
}

/* Removes open … close wherever both are; the rest goes to `t`. */
struct block {
	struct str open, close;
	bool gone; /* no further `close` */
};

static size_t block_length(struct str s, size_t i, struct block *b)
{
	struct str rest = str_n(s.p + i, s.n - i);
	if (b->gone || !str_starts(rest, b->open))
		return 0;
	const char *q = memmem(rest.p + b->open.n, rest.n - b->open.n, b->close.p, b->close.n);
	b->gone = q == NULL;
	return q != NULL ? (size_t)(q - rest.p) + b->close.n : 0;
}

static struct str remove_blocks(struct vm *vm, struct str s, struct block *blocks, size_t n)
{
	struct text t;
	lq_text_init(&t, vm->a, s.n + 1);
	for (size_t i = 0; i < s.n;) {
		size_t skip = 0;
		for (size_t k = 0; k < n && skip == 0 && s.p[i] == '<'; k++)
			skip = block_length(s, i, &blocks[k]);
		if (skip == 0)
			lq_text_add(&t, s.p + i, 1);
		i += skip != 0 ? skip : 1;
	}
	return t.failed ? STR("") : str_n(t.p, t.len);
}

static int filter_strip_html(struct vm *vm, const struct call *c, struct value *out)
{
	struct block blocks[] = {{STR("<script"), STR("</script>"), false}, {STR("<!--"), STR("-->"), false},
		{STR("<style"), STR("</style>"), false}};
	struct block tags[] = {{STR("<"), STR(">"), false}};
	struct str s = lq_to_s(vm, &c->in);
	if (memchr(s.p, '<', s.n) != NULL) {
		s = remove_blocks(vm, s, blocks, 3);
		s = remove_blocks(vm, s, tags, 1);
	}
	*out = v_str(s);
	return vm->a->failed ? lq_nomem(vm) : 0;
}

/* ---- URLs ---- */

static bool unreserved(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

static int percent_encode(struct vm *vm, const struct call *c, bool plus, struct value *out)
{
	struct text t;
	*out = c->in;
	if (c->in.type == V_NIL)
		return 0;
	struct str s = lq_to_s(vm, &c->in);
	lq_text_init(&t, vm->a, s.n + 16);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char u = (unsigned char)s.p[i];
		char hex[3] = {'%', "0123456789ABCDEF"[u >> 4], "0123456789ABCDEF"[u & 15]};
		if (unreserved(s.p[i]))
			lq_text_add(&t, s.p + i, 1);
		else if (plus && u == ' ')
			lq_text_add(&t, "+", 1);
		else
			lq_text_add(&t, hex, 3);
	}
	return lq_give(vm, &t, out);
}

static int filter_url_encode(struct vm *vm, const struct call *c, struct value *out)
{
	return percent_encode(vm, c, true, out);
}

static int filter_url_param_escape(struct vm *vm, const struct call *c, struct value *out)
{
	return percent_encode(vm, c, false, out);
}

static int filter_url_decode(struct vm *vm, const struct call *c, struct value *out)
{
	struct text t;
	*out = c->in;
	if (c->in.type == V_NIL)
		return 0;
	struct str s = lq_to_s(vm, &c->in);
	lq_text_init(&t, vm->a, s.n);
	for (size_t i = 0; i < s.n; i++) {
		bool code = s.p[i] == '%' && i + 2 < s.n && str_hex_digit(s.p[i + 1]) >= 0 &&
			    str_hex_digit(s.p[i + 2]) >= 0;
		char b = s.p[i] == '+' ? ' ' : s.p[i];
		if (code) {
			b = (char)(str_hex_digit(s.p[i + 1]) * 16 + str_hex_digit(s.p[i + 2]));
			i += 2;
		}
		lq_text_add(&t, &b, 1);
	}
	if (lq_give(vm, &t, out) != 0)
		return -1;
	return utf8_valid(v_bytes(out)) ? 0 : lq_fail(vm, "invalid byte sequence in UTF-8");
}

/* ---- base64 ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int encode64(struct vm *vm, const struct call *c, const char *digits, struct value *out)
{
	struct str s = lq_to_s(vm, &c->in);
	struct text t;
	lq_text_init(&t, vm->a, (s.n + 2) / 3 * 4);
	for (size_t i = 0; i < s.n; i += 3) {
		size_t left = s.n - i;
		uint32_t v = (uint32_t)(unsigned char)s.p[i] << 16;
		if (left > 1)
			v |= (uint32_t)(unsigned char)s.p[i + 1] << 8;
		if (left > 2)
			v |= (unsigned char)s.p[i + 2];
		char b[4] = {digits[v >> 18], digits[v >> 12 & 63], left > 1 ? digits[v >> 6 & 63] : '=',
			left > 2 ? digits[v & 63] : '='};
		lq_text_add(&t, b, 4);
	}
	return lq_give(vm, &t, out);
}

static int filter_base64_encode(struct vm *vm, const struct call *c, struct value *out)
{
	return encode64(vm, c, alphabet, out);
}

static int filter_base64_url_safe_encode(struct vm *vm, const struct call *c, struct value *out)
{
	return encode64(vm, c, url_alphabet, out);
}

/* Strict: padded unless `url`, nothing else between. */
static int decode64(struct vm *vm, struct str s, const char *digits, bool url, struct text *t)
{
	size_t n = s.n;
	while (n > 0 && s.n - n < 2 && s.p[n - 1] == '=')
		n--;
	bool padded = s.n % 4 == 0;
	if ((!padded && !(url && n == s.n)) || n % 4 == 1)
		return -1;
	lq_text_init(t, vm->a, n);
	uint32_t v = 0;
	for (size_t i = 0; i < n; i++) {
		const char *q = s.p[i] != '\0' ? strchr(digits, s.p[i]) : NULL;
		if (q == NULL)
			return -1;
		v = v << 6 | (uint32_t)(q - digits);
		if (i % 4 == 0)
			continue;
		char b = (char)(v >> (i % 4 == 1 ? 4 : i % 4 == 2 ? 2 : 0));
		lq_text_add(t, &b, 1);
	}
	uint32_t rest = n % 4 == 2 ? v & 15 : n % 4 == 3 ? v & 3 : 0;
	return rest == 0 ? 0 : -1;
}

static int filter_base64_decode(struct vm *vm, const struct call *c, struct value *out)
{
	struct text t;
	if (decode64(vm, lq_to_s(vm, &c->in), alphabet, false, &t) != 0)
		return lq_fail(vm, "invalid base64 provided to base64_decode");
	return lq_give(vm, &t, out);
}

static int filter_base64_url_safe_decode(struct vm *vm, const struct call *c, struct value *out)
{
	struct text t;
	if (decode64(vm, lq_to_s(vm, &c->in), url_alphabet, true, &t) != 0)
		return lq_fail(vm, "invalid base64 provided to base64_url_safe_decode");
	return lq_give(vm, &t, out);
}

const struct filter lq_filters_html[] = {
	{"escape", filter_escape, 0, 0, 0},
	{"h", filter_escape, 0, 0, 0},
	{"escape_once", filter_escape_once, 0, 0, 0},
	{"newline_to_br", filter_newline_to_br, 0, 0, 0},
	{"strip_html", filter_strip_html, 0, 0, 0},
	{"url_encode", filter_url_encode, 0, 0, 0},
	{"url_decode", filter_url_decode, 0, 0, 0},
	{"url_param_escape", filter_url_param_escape, 0, 0, FILTER_PROFILE},
	{"base64_encode", filter_base64_encode, 0, 0, 0},
	{"base64_decode", filter_base64_decode, 0, 0, 0},
	{"base64_url_safe_encode", filter_base64_url_safe_encode, 0, 0, 0},
	{"base64_url_safe_decode", filter_base64_url_safe_decode, 0, 0, 0},
	{NULL, NULL, 0, 0, 0},
};
