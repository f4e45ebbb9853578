#include "lists/csv.h"

#include "lists/charset.h"
#include "lists/csv_sniff.h"
#include "lists/input.h"
#include "src/base/utf8.h"

#include <csv.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK     (64 << 10)
#define WINDOW    (1 << 20)  /* raw bytes that a guess may look at */
#define CONTEXT   16         /* raw bytes in front of the window */
#define SAMPLE    (64 << 10) /* decoded bytes in which the delimiter is looked for */
#define TEXT_MAX  (16 << 20) /* decoded bytes at a time: the window, threefold, and a row */
#define RAW_SHOWN 1000       /* of an over-long row */

struct field_at {
	size_t at, n;
};

struct csv_reader {
	struct input *in;
	struct buf raw; /* read, not yet decoded */
	struct decoder decoder;
	bool decided;    /* the charset */
	bool bom, ended; /* ended: everything was decoded */
	struct buf text; /* decoded */
	size_t at;       /* in text: the first byte not yet given out */
	long line;       /* physical line of text[at] */
	char delimiter;
	struct csv_parser parser;
	bool parser_made, row_done;
	struct buf values; /* fields that libcsv took apart */
	struct field_at *fields;
	struct str *field;
	size_t nfields;
	bool too_long, too_many, stray;
	enum quoting {
		AT_START,
		IN_TEXT,
		IN_QUOTES,
		BEHIND_QUOTE
	} quoting;       /* where the row stands, for stray_text() */
	struct buf head; /* beginning of an over-long row */
	char bad[80];
};

/* ---- Bytes to text ---- */

static int out_of_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "import", "out of memory");
}

/* 1: more was read, 0: the end of the file. */
static int read_block(struct csv_reader *r, struct err *e)
{
	if (!buf_reserve(&r->raw, BLOCK))
		return out_of_memory(e);
	ssize_t got = input_read(r->in, r->raw.p + r->raw.len, BLOCK, e);
	if (got < 0)
		return -1;
	r->raw.len += (size_t)got;
	return got > 0;
}

static int decode(struct csv_reader *r, size_t n, bool last, struct err *e)
{
	if (decoder_feed(&r->decoder, str_n(r->raw.p, n), last, &r->text, e) != 0)
		return -1;
	buf_drop(&r->raw, n);
	return 0;
}

/* Plain bytes pass; at the first other one as much is read ahead as a good guess needs, and a little before
 * it kept. */
static int decide(struct csv_reader *r, bool ended, struct err *e)
{
	size_t plain = charset_plain_prefix(buf_get(&r->raw));
	bool all = plain == r->raw.len;
	if (!all)
		plain = plain > CONTEXT ? plain - CONTEXT : 0;
	if (plain > 0 && decode(r, plain, false, e) != 0)
		return -1;
	if (all)
		return 0;
	while (!ended && r->raw.len < WINDOW) {
		int rc = read_block(r, e);
		if (rc < 0)
			return -1;
		ended = rc == 0;
	}
	struct charset c;
	charset_guess(buf_get(&r->raw), !ended, &c);
	decoder_release(&r->decoder);
	r->decided = true;
	return decoder_init(&r->decoder, &c, e);
}

/* Appends to the text. 1: did, 0: there is no more. */
static int fill(struct csv_reader *r, struct err *e)
{
	if (r->ended)
		return 0;
	int rc = read_block(r, e);
	if (rc < 0)
		return -1;
	if (r->at > 0) {
		buf_drop(&r->text, r->at);
		r->at = 0;
	}
	if (!r->decided && decide(r, rc == 0, e) != 0)
		return -1;
	if (r->decided && decode(r, r->raw.len, rc == 0, e) != 0)
		return -1;
	r->ended = rc == 0;
	return 1;
}

/* ---- Opening ---- */

static int open_charset(struct csv_reader *r, const struct csv_options *o, struct err *e)
{
	struct charset c;
	int rc = 1;
	while (rc > 0 && r->raw.len < 4096)
		rc = read_block(r, e);
	if (rc < 0 || csv_sniff_format(buf_get(&r->raw), input_name(r->in), e) != 0)
		return -1;
	int bom = charset_by_start(buf_get(&r->raw), &c);
	if (o->encoding != NULL) {
		struct charset given;
		if (charset_by_name(o->encoding, &given, e) != 0)
			return -1;
		/* A mark belongs to the charset given, unless it is another one's. */
		if (bom > 0 && strncasecmp(given.name, c.name, 5) != 0)
			bom = 0;
		if (bom <= 0 || strcasecmp(o->encoding, "utf-16") != 0)
			c = given;
	} else if (bom < 0) {
		charset_by_name("utf-8", &c, NULL);
	}
	r->decided = o->encoding != NULL || bom >= 0;
	r->bom = bom > 0;
	if (bom > 0)
		buf_drop(&r->raw, (size_t)bom);
	return decoder_init(&r->decoder, &c, e);
}

static int open_text(struct csv_reader *r, const struct csv_options *o, struct err *e)
{
	int rc = 1;
	if (open_charset(r, o, e) != 0)
		return -1;
	while (rc > 0 && r->text.len < SAMPLE)
		rc = fill(r, e);
	if (rc < 0)
		return -1;
	if (csv_sniff_format(buf_get(&r->text), input_name(r->in), e) != 0)
		return -1;
	size_t sep = csv_sniff_sep(buf_get(&r->text), &r->delimiter);
	r->at = sep;
	r->line = sep > 0 ? 2 : 1;
	if (sep == 0)
		r->delimiter =
			csv_sniff_delimiter(str_n(r->text.p, r->text.len < SAMPLE ? r->text.len : SAMPLE),
				!r->ended || r->text.len > SAMPLE);
	if (o->delimiter != 0)
		r->delimiter = o->delimiter;
	csv_set_delim(&r->parser, (unsigned char)r->delimiter);
	return 0;
}

static int open_reader(struct csv_reader **out, struct input *in, const struct csv_options *o, struct err *e)
{
	struct csv_reader *r = calloc(1, sizeof *r);
	*out = NULL;
	if (r == NULL) {
		input_close(&in);
		return err_set(e, ERR_INTERNAL, "import", "out of memory");
	}
	r->in = in;
	r->raw = BUF_INIT(WINDOW + 2 * BLOCK);
	r->text = BUF_INIT(TEXT_MAX);
	r->values = BUF_INIT(2 * CSV_ROW_MAX);
	r->head = BUF_INIT(RAW_SHOWN);
	r->decoder.charset.kind = CHARSET_UTF8;
	r->fields = calloc(CSV_FIELDS_MAX, sizeof *r->fields);
	r->field = calloc(CSV_FIELDS_MAX, sizeof *r->field);
	r->parser_made = csv_init(&r->parser, 0) == 0;
	bool ready = r->fields != NULL && r->field != NULL && r->parser_made && buf_reserve(&r->text, SAMPLE);
	int rc = ready ? open_text(r, o, e) : out_of_memory(e);
	if (rc != 0) {
		csv_reader_close(&r);
		return -1;
	}
	*out = r;
	return 0;
}

int csv_reader_open(struct csv_reader **r, const char *path, const struct csv_options *o, struct err *e)
{
	struct input *in;
	*r = NULL;
	return input_open(&in, path, o->stop, e) == 0 ? open_reader(r, in, o, e) : -1;
}

int csv_reader_open_memory(
	struct csv_reader **r, struct str bytes, const struct csv_options *o, struct err *e)
{
	struct input *in;
	*r = NULL;
	return input_open_memory(&in, bytes, e) == 0 ? open_reader(r, in, o, e) : -1;
}

void csv_reader_close(struct csv_reader **r)
{
	if (*r == NULL)
		return;
	input_close(&(*r)->in);
	decoder_release(&(*r)->decoder);
	if ((*r)->parser_made)
		csv_free(&(*r)->parser);
	buf_release(&(*r)->raw);
	buf_release(&(*r)->text);
	buf_release(&(*r)->values);
	buf_release(&(*r)->head);
	free((*r)->fields);
	free((*r)->field);
	free(*r);
	*r = NULL;
}

void csv_undo_excel(struct str *field, size_t n)
{
	static const char *const signs[] = {
		"=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"};
	for (size_t i = 0; i < n; i++) {
		if (field[i].n < 2 || field[i].p[0] != '\'')
			continue;
		struct str rest = str_n(field[i].p + 1, field[i].n - 1);
		for (size_t k = 0; k < sizeof signs / sizeof signs[0]; k++)
			if (str_starts(rest, str_from(signs[k])))
				field[i] = rest;
	}
}

const char *csv_reader_encoding(const struct csv_reader *r)
{
	return r->decoder.charset.name;
}

bool csv_reader_has_bom(const struct csv_reader *r)
{
	return r->bom;
}

char csv_reader_delimiter(const struct csv_reader *r)
{
	return r->delimiter;
}

void csv_reader_progress(const struct csv_reader *r, int64_t *read, int64_t *size)
{
	input_progress(r->in, read, size);
}

/* ---- Text to rows ---- */

static void on_field(void *p, size_t n, void *ctx)
{
	struct csv_reader *r = ctx;
	if (r->nfields == CSV_FIELDS_MAX) {
		r->too_many = true;
		return;
	}
	r->fields[r->nfields++] = (struct field_at){r->values.len, r->too_long ? 0 : n};
	if (!r->too_long)
		buf_add(&r->values, p, n);
}

static void on_row(int end, void *ctx)
{
	(void)end;
	((struct csv_reader *)ctx)->row_done = true;
}

#define IN_FIELD                                                                                             \
	2 /* libcsv's name for csv_parser.pstate in the middle of a field, FIELD_BEGUN, is its own secret */

/* libcsv keeps a field until it ends. Of a row that is already refused it need not, or an unclosed quote
 * would collect the whole file. */
static void forget_field(struct csv_reader *r)
{
	if (r->parser.pstate == IN_FIELD) {
		r->parser.entry_pos = 0;
		r->parser.spaces = 0;
	}
}

static int feed(struct csv_reader *r, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		size_t take = n < BLOCK ? n : BLOCK;
		if (csv_parse(&r->parser, p, take, on_field, on_row, r) != take)
			return out_of_memory(e);
		if (r->too_long)
			forget_field(r);
		p += take;
		n -= take;
	}
	return 0;
}

/* The end of the physical line at `from`, behind its line end; SIZE_MAX: it is not all here. */
static size_t line_end(const struct csv_reader *r, size_t from)
{
	const char *p = r->text.p + from;
	size_t n = r->text.len - from;
	const char *lf = n > 0 ? memchr(p, '\n', n) : NULL;
	size_t upto = lf != NULL ? (size_t)(lf - p) : n;
	const char *cr = upto > 0 ? memchr(p, '\r', upto) : NULL;
	if (cr == NULL)
		return lf != NULL ? from + upto + 1 : r->ended && n > 0 ? r->text.len : SIZE_MAX;
	size_t behind = (size_t)(cr - p) + 1;
	if (behind == n && !r->ended)
		return SIZE_MAX; /* a line feed may follow */
	return from + behind + (behind < n && p[behind] == '\n');
}

static struct str chop(struct str s)
{
	while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

static struct str trim_blanks(struct str s, char delimiter)
{
	bool tab = delimiter != '\t';
	while (s.n > 0 && (s.p[0] == ' ' || (tab && s.p[0] == '\t')))
		s = str_n(s.p + 1, s.n - 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || (tab && s.p[s.n - 1] == '\t')))
		s.n--;
	return s;
}

/* The usual row holds no quote: it is taken apart where it stands, just as libcsv would. */
static void split_plain(struct csv_reader *r, struct str line)
{
	for (;;) {
		size_t n = str_find(line, r->delimiter);
		if (r->nfields == CSV_FIELDS_MAX) {
			r->too_many = true;
			return;
		}
		r->field[r->nfields++] = trim_blanks(str_n(line.p, n), r->delimiter);
		if (n == line.n)
			return;
		line = str_n(line.p + n + 1, line.n - n - 1);
	}
}

/* Another block behind the row begun at r->at; *end keeps its place. */
static int more(struct csv_reader *r, size_t *end, struct err *e)
{
	size_t begun = *end - r->at;
	int rc = fill(r, e);
	*end = r->at + begun;
	return rc < 0 ? -1 : 0;
}

/* The row is past its limit: what is there goes to libcsv, which alone knows where it ends, and is dropped.
 */
static int drop_begun(struct csv_reader *r, size_t *end, struct err *e)
{
	if (!r->too_long) {
		r->too_long = true;
		buf_clear(&r->head);
		buf_add(&r->head, r->text.p + r->at, RAW_SHOWN);
		forget_field(r);
	}
	/* A carriage return waits for its line feed. */
	size_t upto = r->text.len - (r->text.len > *end && r->text.p[r->text.len - 1] == '\r');
	if (feed(r, r->text.p + *end, upto - *end, e) != 0)
		return -1;
	r->at = *end = upto;
	return 0;
}

static int unclosed(struct csv_reader *r, long line, struct err *e)
{
	err_set(e, ERR_DATA, "import", "the quote that opens in the row of line %ld is never closed", line);
	err_at(e, input_name(r->in), line);
	return err_remedy(e, "write a quote inside a quoted field twice (\"\"), or close it");
}

/* Is there text behind a closing quote ("Anna" Miller)? libcsv would take it into the field and go on to the
 * next quote, rows away; for us the row ends, refused, with this line. */
static bool stray_text(struct csv_reader *r, struct str line)
{
	for (size_t i = 0; i < line.n; i++) {
		char c = line.p[i];
		bool blank = (c == ' ' || c == '\t') && c != r->delimiter;
		if (r->quoting == IN_QUOTES) {
			r->quoting = c == '"' ? BEHIND_QUOTE : IN_QUOTES;
		} else if (c == r->delimiter || c == '\r' || c == '\n') {
			r->quoting = AT_START;
		} else if (r->quoting == BEHIND_QUOTE) {
			if (c == '"' && line.p[i - 1] == '"')
				r->quoting = IN_QUOTES;
			else if (!blank)
				return true;
		} else if (!blank) {
			r->quoting = c == '"' && r->quoting == AT_START ? IN_QUOTES : IN_TEXT;
		}
	}
	return false;
}

/* Gives up the row that was begun: libcsv starts afresh. */
static int refuse_row(struct csv_reader *r, struct err *e)
{
	csv_free(&r->parser);
	r->parser_made = csv_init(&r->parser, 0) == 0;
	if (!r->parser_made)
		return out_of_memory(e);
	csv_set_delim(&r->parser, (unsigned char)r->delimiter);
	r->nfields = 0;
	r->stray = true;
	return 2;
}

/* Reads physical lines until the row is complete. *end: behind it. 1: a row without quotes, taken apart; 2:
 * one that libcsv took apart into r->values; 0: the end. */
static int read_row(struct csv_reader *r, size_t *end, long *lines, struct err *e)
{
	for (;;) {
		size_t stop = line_end(r, *end);
		if (stop == SIZE_MAX) {
			if (r->ended)
				break;
			if (r->text.len - r->at > CSV_ROW_MAX && drop_begun(r, end, e) != 0)
				return -1;
			if (more(r, end, e) != 0)
				return -1;
			continue;
		}
		struct str line = str_n(r->text.p + *end, stop - *end);
		(*lines)++;
		bool plain = *end == r->at && !r->too_long && memchr(line.p, '"', line.n) == NULL;
		*end = stop;
		if (plain && line.n <= CSV_ROW_MAX) {
			split_plain(r, chop(line));
			return 1;
		}
		if (*end - r->at > CSV_ROW_MAX)
			r->too_long = true;
		if (!r->too_long && stray_text(r, line))
			return refuse_row(r, e);
		if (feed(r, line.p, line.n, e) != 0)
			return -1;
		if (r->row_done)
			return 2;
	}
	if (r->parser.pstate == IN_FIELD && r->parser.quoted)
		return unclosed(r, r->line, e);
	if (csv_fini(&r->parser, on_field, on_row, r) != 0)
		return out_of_memory(e);
	return r->row_done ? 2 : 0;
}

static bool all_blank(const struct csv_row *row)
{
	for (size_t i = 0; i < row->nfields; i++)
		if (row->field[i].n > 0)
			return false;
	return true;
}

/* Why the row cannot be used, or NULL. */
static const char *fault(struct csv_reader *r, struct str raw)
{
	if (r->too_long)
		return "longer than 1 MiB";
	if (r->too_many)
		return "more than 2,000 columns";
	if (r->stray)
		return "text behind a closing quote (inside quotes a quote is written twice)";
	if (memchr(raw.p, '\0', raw.n) != NULL)
		return "NUL byte inside";
	if (!utf8_ascii(raw) && !utf8_valid(raw)) {
		snprintf(r->bad, sizeof r->bad, "bytes that are not %s text", r->decoder.charset.name);
		return r->bad;
	}
	return NULL;
}

int csv_reader_next(struct csv_reader *r, struct csv_row *row, struct err *e)
{
	for (;;) {
		long lines = 0;
		size_t end = r->at;
		buf_clear(&r->values);
		buf_clear(&r->head);
		r->nfields = 0;
		r->too_long = r->too_many = r->row_done = r->stray = false;
		r->quoting = AT_START;
		int rc = read_row(r, &end, &lines, e);
		if (rc <= 0)
			return rc;
		if (r->values.failed)
			return out_of_memory(e);
		for (size_t i = 0; rc == 2 && i < r->nfields; i++)
			r->field[i] = str_n(
				r->values.p != NULL ? r->values.p + r->fields[i].at : "", r->fields[i].n);
		*row = (struct csv_row){.line = r->line, .field = r->field, .nfields = r->nfields};
		row->raw = r->head.len > 0 && r->too_long ? buf_get(&r->head)
							  : chop(str_n(r->text.p + r->at, end - r->at));
		row->bad = fault(r, row->raw);
		if (r->too_long && row->raw.n > RAW_SHOWN)
			row->raw.n = RAW_SHOWN;
		r->line += lines;
		r->at = end;
		if (row->bad == NULL && all_blank(row))
			continue;
		return 1;
	}
}
