/* Results on standard output: tables, JSON, CSV, numbers, colour. Everything that comes from outside is made
 * harmless for a terminal here (utf8_safe), so a caller passes it as it is.
 *
 * Writers return 0, or -1 once the file failed (disk full, reader gone): stop then and return -1 from run();
 * for standard output the frame says why where `e` was left empty. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/outfile.h"

#include <jansson.h>
#include <stdio.h>

struct cli;

/* ---- Numbers and times for people ---- */
#define TEXT_NUMBER 40
char *text_count(int64_t n, char out[TEXT_NUMBER]); /* "1,234,567" */
char *text_percent(int64_t part, int64_t whole,
	char out[TEXT_NUMBER]); /* "12.3 %"; "–" of nothing; never rounds to 0 or 100 what is not */
char *text_bytes(int64_t n, char out[TEXT_NUMBER]); /* "95.4 MB" */
char *text_time(
	const struct zone *z, ms_t t, char out[TEXT_NUMBER]); /* "2026-12-01 09:00:00 +09:00"; "–" for 0 */

/* ---- Colour: "" where there is none ---- */
enum style { STYLE_NONE, STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_GREEN, STYLE_YELLOW, STYLE_BLUE };
const char *style_on(const struct cli *c, enum style s);
const char *style_off(const struct cli *c, enum style s);

size_t terminal_columns(int fd);            /* of the terminal that fd is; 80 where it does not say */
size_t screen_columns(const struct cli *c); /* for lines on standard output; 120 where that is no terminal */

/* ---- Lines of text ---- */
/* Like printf; whole lines. Text from outside goes in by out_safe(). */
int out_printf(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The text made harmless; lent until the 8th next call. */
const char *out_safe(struct str s);

/* ---- Tables: columns as wide as what stands in them (wide characters counted). On a terminal no row is
 * wider than the screen: the last column is cut with "…", or the row takes several lines. ---- */
struct column {
	const char *title; /* NULL in the first column: no heading line */
	bool right;        /* numbers */
	size_t max; /* wider cells are cut with "…" on a terminal; 0: never, and not the last column */
};
/* The first 200 rows decide the widths and are held back for that; later ones are printed as they come, so
 * that a table of a million rows takes no memory. */
struct table;
struct table *table_new(
	const struct cli *c, FILE *f, const struct column *columns, size_t n); /* NULL: out of memory */
void table_str(struct table *t, struct str s);                                 /* the next cell */
void table_printf(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_count(struct table *t, int64_t n);
void table_style(struct table *t, enum style s); /* of the next cell */
/* Where no row came, standard error says so: "postrider: TEXT"; not with --quiet or --json. Lent. Not to be
 * called where reading failed. */
void table_empty(struct table *t, const char *text);
int table_row(struct table *t);  /* ends the row; missing cells are empty */
int table_end(struct table **t); /* prints the rest, frees */

/* ---- JSON: one document, or with json_line() one for each row ---- */
int json_document(json_t *doc); /* steals; NULL (out of memory while building) fails too */
#define json_line json_document
json_t *json_str(struct str s);                                /* malformed UTF-8 becomes U+FFFD */
json_t *json_time(ms_t t);                                     /* RFC 3339 UTC; null for 0 */
int json_put(json_t *object, const char *name, json_t *value); /* steals; NULL value: -1 */

/* ---- CSV (RFC 4180): CRLF, quotes where needed. excel: BOM, and no cell is taken for a formula ---- */
struct csv {
	FILE *f;
	bool excel, inside;
};
void csv_begin(struct csv *w, FILE *f, bool excel);
void csv_str(struct csv *w, struct str s);
void csv_printf(struct csv *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void csv_int(struct csv *w, int64_t n);
void csv_time(struct csv *w, ms_t t); /* RFC 3339 UTC; empty for 0 */
int csv_row(struct csv *w);

#endif
