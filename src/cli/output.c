#include "src/cli/output.h"

#include "src/base/utf8.h"
#include "src/cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- Numbers ---- */

char *text_count(int64_t n, char out[TEXT_NUMBER])
{
	char digits[24];
	uint64_t u = n < 0 ? -(uint64_t)n : (uint64_t)n;
	size_t len = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)u), at = 0;
	if (n < 0)
		out[at++] = '-';
	for (size_t i = 0; i < len; i++) {
		out[at++] = digits[i];
		if ((len - i - 1) % 3 == 0 && i + 1 < len)
			out[at++] = ',';
	}
	out[at] = '\0';
	return out;
}

char *text_percent(int64_t part, int64_t whole, char out[TEXT_NUMBER])
{
	double p = whole > 0 ? 100.0 * (double)part / (double)whole : 0;
	if (whole <= 0)
		snprintf(out, TEXT_NUMBER, "–");
	else if (part > 0 && p < 0.05)
		snprintf(out, TEXT_NUMBER, "<0.1 %%");
	else if (part < whole && p > 99.9)
		snprintf(out, TEXT_NUMBER, ">99.9 %%");
	else
		snprintf(out, TEXT_NUMBER, "%.1f %%", p);
	return out;
}

char *text_bytes(int64_t n, char out[TEXT_NUMBER])
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	double v = (double)n;
	int unit = -1;
	while (v >= 999.95 && unit < 5) {
		v /= 1000;
		unit++;
	}
	if (unit < 0)
		snprintf(out, TEXT_NUMBER, "%lld bytes", (long long)n);
	else
		snprintf(out, TEXT_NUMBER, "%.1f %s", v, units[unit]);
	return out;
}

char *text_time(const struct zone *z, ms_t t, char out[TEXT_NUMBER])
{
	char when[CLOCK_TEXT];
	snprintf(out, TEXT_NUMBER, "%s", t == 0 ? "–" : clock_text(z, t, when));
	return out;
}

/* ---- Text ---- */

static const char *const style_codes[] = {
	[STYLE_NONE] = "",
	[STYLE_BOLD] = "\x1b[1m",
	[STYLE_DIM] = "\x1b[2m",
	[STYLE_RED] = "\x1b[31m",
	[STYLE_GREEN] = "\x1b[32m",
	[STYLE_YELLOW] = "\x1b[33m",
	[STYLE_BLUE] = "\x1b[34m",
};

size_t terminal_columns(int fd)
{
	struct winsize w;
	return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 10 ? w.ws_col : 80;
}

size_t screen_columns(const struct cli *c)
{
	return c->out_terminal ? terminal_columns(STDOUT_FILENO) : 120;
}

const char *style_on(const struct cli *c, enum style s)
{
	return c->color ? style_codes[s] : "";
}

const char *style_off(const struct cli *c, enum style s)
{
	return c->color && s != STYLE_NONE ? "\x1b[0m" : "";
}

int out_printf(const struct cli *c, const char *fmt, ...)
{
	va_list ap;
	(void)c;
	va_start(ap, fmt);
	int n = vprintf(fmt, ap);
	va_end(ap);
	return n < 0 || ferror(stdout) ? -1 : 0;
}

const char *out_safe(struct str s)
{
	enum { RING = 8 };
	static _Thread_local struct buf ring[RING];
	static _Thread_local unsigned turn;
	struct buf *b = &ring[turn++ % RING];
	b->max = 64 << 10;
	buf_clear(b);
	utf8_safe(b, s);
	return b->failed && b->len == 0 ? "(out of memory)" : buf_cstr(b);
}

/* ---- JSON ---- */

int json_document(json_t *doc)
{
	if (doc == NULL)
		return -1;
	int rc = json_dumpf(doc, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
	json_decref(doc);
	return rc == 0 && putchar('\n') != EOF ? 0 : -1;
}

json_t *json_str(struct str s)
{
	if (utf8_valid(s))
		return json_stringn(s.n != 0 ? s.p : "", s.n);
	struct buf b = BUF_INIT(s.n * 3 + 1);
	for (size_t at = 0; at < s.n;) {
		char one[4];
		buf_add(&b, one, utf8_put(one, utf8_next(s, &at)));
	}
	json_t *j = b.failed ? NULL : json_stringn(buf_cstr(&b), b.len);
	buf_release(&b);
	return j;
}

json_t *json_time(ms_t t)
{
	char text[CLOCK_TEXT];
	return t == 0 ? json_null() : json_string(clock_utc(t, text));
}

int json_put(json_t *object, const char *name, json_t *value)
{
	return json_object_set_new(object, name, value);
}

/* ---- CSV ---- */

void csv_begin(struct csv *w, FILE *f, bool excel)
{
	*w = (struct csv){.f = f, .excel = excel};
	if (excel)
		fputs("\xef\xbb\xbf", f);
}

/* -12.5 is a number, not a formula. */
static bool plain_number(struct str s)
{
	size_t i = s.n > 0 && s.p[0] == '-', from = i;
	for (; i < s.n; i++)
		if ((s.p[i] < '0' || s.p[i] > '9') && !(s.p[i] == '.' && i > from))
			return false;
	return i > from;
}

/* A spreadsheet with a Japanese or Chinese keyboard in mind takes the full-width signs as well. */
static bool looks_like_formula(struct str s)
{
	static const char *const wide[] = {"\uff1d", "\uff0b", "\uff0d", "\uff20"};
	for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
		if (str_starts(s, str_from(wide[i])))
			return true;
	return s.n > 0 && memchr("=+-@\t\r\n", s.p[0], 7) != NULL && !plain_number(s);
}

/* Readers that trim would change what begins or ends with a space. */
static bool needs_quotes(struct str s, bool defused)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '"' || s.p[i] == ',' || s.p[i] == '\n' || s.p[i] == '\r')
			return true;
	return s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' ||
				  (!defused && (s.p[0] == ' ' || s.p[0] == '\t')));
}

/* Unlocked: nobody else writes to this file, and a report has hundreds of millions of cells. */
void csv_str(struct csv *w, struct str s)
{
	if (w->inside)
		putc_unlocked(',', w->f);
	w->inside = true;
	bool defuse = w->excel && looks_like_formula(s), quote = needs_quotes(s, defuse);
	if (quote)
		putc_unlocked('"', w->f);
	if (defuse)
		putc_unlocked('\'', w->f);
	while (quote && s.n > 0) {
		size_t n = str_find(s, '"');
		fwrite_unlocked(s.p, 1, n, w->f);
		if (n < s.n) {
			fputs("\"\"", w->f);
			n++;
		}
		s = str_n(s.p + n, s.n - n);
	}
	if (s.n > 0)
		fwrite_unlocked(s.p, 1, s.n, w->f);
	if (quote)
		putc_unlocked('"', w->f);
}

void csv_printf(struct csv *w, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	csv_str(w, str_from(text));
}

void csv_int(struct csv *w, int64_t n)
{
	char text[24], *p = text + sizeof text;
	uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;
	do
		*--p = (char)('0' + left % 10);
	while ((left /= 10) != 0);
	if (n < 0)
		*--p = '-';
	csv_str(w, str_n(p, (size_t)(text + sizeof text - p)));
}

void csv_time(struct csv *w, ms_t t)
{
	char text[CLOCK_TEXT];
	csv_str(w, str_from(t != 0 ? clock_utc(t, text) : ""));
}

int csv_row(struct csv *w)
{
	w->inside = false;
	return fputs("\r\n", w->f) == EOF || ferror(w->f) ? -1 : 0;
}
