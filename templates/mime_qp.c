#include "templates/mime_qp.h"

#include "src/base/utf8.h"

enum { ROOM = 75 }; /* one column is kept for the "=" of a soft break */

static const char hexdigit[] = "0123456789ABCDEF";

/* Printable ASCII but "=", and the blank; line starts and line ends are looked at apart. */
static inline bool is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != '=';
}

static void soft_break(struct qp *q)
{
	run_add(q->out, "=\r\n", 3);
	q->col = 0;
	q->blank = false;
}

static void coded_bytes(struct qp *q, const char *p, size_t n)
{
	if (q->col + 3 * n > ROOM)
		soft_break(q);
	if (!run_reserve(q->out, 3 * n))
		return;
	char *o = q->out->p + q->out->n;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		*o++ = '=';
		*o++ = hexdigit[c >> 4];
		*o++ = hexdigit[c & 15];
	}
	q->out->n += 3 * n;
	q->col += (unsigned)(3 * n);
	q->blank = false;
}

/* A blank turned out to stand before a line end. */
static void encode_blank(struct qp *q)
{
	if (q->out->failed)
		return;
	if (q->trim) {
		for (; q->col > 0 && strchr(" \t", q->out->p[q->out->n - 1]) != NULL; q->col--)
			q->out->n--;
		q->blank = false;
		return;
	}
	char c = q->out->p[--q->out->n];
	q->col--;
	q->blank = false;
	coded_bytes(q, &c, 1);
}

static void hard_break(struct qp *q)
{
	if (q->blank)
		encode_blank(q);
	run_add(q->out, "\r\n", 2);
	q->col = 0;
}

/* Could a line that begins here read "." or "From "? What follows this piece is not known yet. */
static bool bad_start(const char *p, const char *end)
{
	if (*p == '.')
		return true;
	if (*p != 'F')
		return false;
	size_t n = (size_t)(end - p) < 5 ? (size_t)(end - p) : 5;
	return memcmp(p, "From ", n) == 0;
}

static const char *plain_run(struct qp *q, const char *p, const char *end)
{
	if (q->col >= ROOM)
		soft_break(q);
	if (q->col == 0 && bad_start(p, end)) {
		coded_bytes(q, p, 1);
		return p + 1;
	}
	const char *stop = (size_t)(end - p) > ROOM - q->col ? p + (ROOM - q->col) : end;
	const char *s = p;
	while (p < stop && is_plain((unsigned char)*p))
		p++;
	run_add(q->out, s, (size_t)(p - s));
	q->col += (unsigned)(p - s);
	q->blank = p[-1] == ' ';
	return p;
}

/* Are these the first bytes of a longer character? Exact enough: what comes of it is checked when it is
 * whole. */
static bool may_go_on(const char *p, size_t n)
{
	unsigned char c = (unsigned char)*p;
	size_t want = c >= 0xF0 && c <= 0xF4 ? 4 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xC2 && c < 0xE0 ? 2 : 0;
	if (n >= want)
		return false;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)p[i] & 0xC0) != 0x80)
			return false;
	return true;
}

static const char *character(struct qp *q, const char *p, const char *end)
{
	size_t at = 0, n = (size_t)(end - p);
	if (utf8_next(str_n(p, n), &at) != 0xFFFD || at != 1) {
		coded_bytes(q, p, at);
		return p + at;
	}
	if (n < 4 && may_go_on(p, n)) {
		memcpy(q->half, p, n);
		q->nhalf = (unsigned char)n;
		return end;
	}
	coded_bytes(q, "\xEF\xBF\xBD", 3);
	return p + 1;
}

static const char *other(struct qp *q, const char *p, const char *end)
{
	unsigned char c = (unsigned char)*p;
	if (c == '\n' || c == '\r') {
		hard_break(q);
		return p + (c == '\r' && p + 1 < end && p[1] == '\n' ? 2 : 1);
	}
	if (c == '\t') {
		if (q->col >= ROOM)
			soft_break(q);
		run_putc(q->out, '\t');
		q->col++;
		q->blank = true;
		return p + 1;
	}
	if (c == '=') {
		coded_bytes(q, p, 1);
		return p + 1;
	}
	if (c < 0x80)
		return p + 1;
	return character(q, p, end);
}

/* The rest of a character that the last piece began; what does not go on is malformed. */
static const char *join_half(struct qp *q, const char *p, const char *end)
{
	char whole[4];
	size_t n = q->nhalf, old = n;
	memcpy(whole, q->half, n);
	for (const char *s = p; s < end && n < sizeof whole && ((unsigned char)*s & 0xC0) == 0x80; s++)
		whole[n++] = *s;
	q->nhalf = 0;
	size_t at = 0;
	if (n > old && utf8_next(str_n(whole, n), &at) != 0xFFFD) {
		coded_bytes(q, whole, at);
		return p + (at - old);
	}
	if (n > old && p + (n - old) == end && may_go_on(whole, n)) {
		memcpy(q->half, whole, n);
		q->nhalf = (unsigned char)n;
		return end;
	}
	coded_bytes(q, "\xEF\xBF\xBD", 3);
	return p;
}

static void drop_half(struct qp *q)
{
	if (q->nhalf != 0)
		coded_bytes(q, "\xEF\xBF\xBD", 3);
	q->nhalf = 0;
}

void qp_text(struct qp *q, struct str s)
{
	const char *p = s.p, *end = s.p + s.n;
	if (q->nhalf != 0 && s.n != 0)
		p = join_half(q, p, end);
	while (p < end && !q->out->failed)
		p = is_plain((unsigned char)*p) ? plain_run(q, p, end) : other(q, p, end);
}

void qp_literal(struct qp *q, const struct qp_literal *l)
{
	if (l->coded.n == 0)
		return;
	drop_half(q);
	if (l->break_first) {
		if (q->blank)
			encode_blank(q);
	} else if (q->col + l->first > 76) {
		soft_break(q);
	}
	run_str(q->out, l->coded);
	q->col = l->single ? q->col + l->end_col : l->end_col;
	q->blank = l->end_blank;
}

void qp_end(struct qp *q)
{
	drop_half(q);
	if (q->col > 0)
		hard_break(q);
}

bool qp_literal_make(struct arena *a, struct str s, struct qp_literal *out)
{
	struct run r = RUN_INIT(a);
	struct qp q = {.out = &r};
	qp_text(&q, s);
	drop_half(&q);
	if (r.failed)
		return false;
	struct str c = run_get(&r);
	size_t line = str_find(c, '\r');
	*out = (struct qp_literal){
		.coded = c,
		.single = line == c.n,
		.break_first = c.n != 0 && line == 0,
		.end_col = q.col,
		.end_blank = q.blank,
	};
	/* A line that is not ended by a soft break needs a column more, for the one that may follow. */
	bool soft = line > 0 && line < c.n && c.p[line - 1] == '=';
	out->first = (unsigned)line + (soft ? 0 : 1);
	return true;
}

size_t qp_cost(struct str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		n += is_plain(c) || c == '\t' || c == '\n' ? 1 : 3;
	}
	return n;
}
