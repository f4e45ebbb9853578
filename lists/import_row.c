#include "lists/import_row.h"

#include "lists/address.h"
#include "lists/column.h"
#include "lists/import_status.h"
#include "src/db/attrs.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Batches ---- */

int import_batch_init(struct import_batch *b)
{
	*b = (struct import_batch){.text = BUF_INIT(BATCH_TEXT)};
	arena_init(&b->arena, 2 << 20, 16 << 20);
	b->rows = malloc(BATCH_ROWS * sizeof *b->rows);
	b->raw = malloc(BATCH_ROWS * sizeof *b->raw);
	b->rejects = malloc(BATCH_ROWS * sizeof *b->rejects);
	return b->rows != NULL && b->raw != NULL && b->rejects != NULL && buf_reserve(&b->text, BATCH_TEXT)
		       ? 0
		       : -1;
}

void import_batch_release(struct import_batch *b)
{
	free(b->rows);
	free(b->raw);
	free(b->rejects);
	arena_release(&b->arena);
	buf_release(&b->text);
}

void import_batch_clear(struct import_batch *b)
{
	b->n = b->nrejects = 0;
	b->read = 0;
	arena_reset(&b->arena);
	buf_clear(&b->text);
}

bool import_batch_full(const struct import_batch *b)
{
	return b->read == BATCH_ROWS || b->text.max - b->text.len < BATCH_ROOM || b->arena.total > (8 << 20);
}

/* ---- Names that only a row brings ---- */

void row_reader_init(struct row_reader *r, const struct import_plan *plan, const struct import_request *q,
	attr_id_fn *attr_id, void *ctx)
{
	*r = (struct row_reader){
		.plan = plan, .zone = q->zone, .now = q->now, .attr_id = attr_id, .ctx = ctx};
	arena_init(&r->name_arena, 4096, 1 << 20);
}

void row_reader_release(struct row_reader *r)
{
	arena_release(&r->name_arena);
}

/* 1: found, 0: too many different names, -1. */
static int name_id(struct row_reader *r, struct str name, uint32_t *id, struct err *e)
{
	for (size_t i = 0; i < r->nnames; i++) {
		if (str_eq(r->names[i].name, name)) {
			*id = r->names[i].id;
			return 1;
		}
	}
	if (r->nnames == EXPAND_NAMES)
		return 0;
	int64_t got = r->attr_id(r->ctx, name, e);
	struct str copy = arena_str(&r->name_arena, name);
	if (got < 0 || copy.p == NULL)
		return got < 0 ? -1 : err_set(e, ERR_INTERNAL, "import", "out of memory");
	r->names[r->nnames].name = copy;
	r->names[r->nnames++].id = *id = (uint32_t)got;
	return 1;
}

/* ---- Attributes ---- */

struct pair {
	uint32_t id;
	struct str value;
};

struct pairs {
	struct pair *v;
	size_t n;
};

static struct str keep(struct import_batch *b, struct str s)
{
	size_t at = b->text.len;
	buf_str(&b->text, s);
	return str_n(b->text.p + at, b->text.len - at);
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = ((const struct pair *)a)->id, y = ((const struct pair *)b)->id;
	return (x > y) - (x < y);
}

/* The usual row: columns only, in the order of their ids. */
static void put_columns(const struct import_plan *p, const struct plan_row *row, struct buf *out)
{
	for (size_t i = 0; i < p->nattrs; i++) {
		size_t at = p->attrs[i];
		if (at < row->nfields)
			attrs_put(out, p->columns[at].id, row->field[at]);
	}
}

/* Columns and what else the row brings; of two values for one name the column's counts. */
static int put_merged(
	const struct import_plan *p, const struct plan_row *row, struct pairs *more, struct import_batch *b)
{
	struct pair *all = arena_alloc(&b->arena, (p->nattrs + more->n + 1) * sizeof *all);
	size_t n = 0;
	if (all == NULL)
		return -1;
	for (size_t i = 0; i < p->nattrs; i++)
		if (p->attrs[i] < row->nfields)
			all[n++] = (struct pair){p->columns[p->attrs[i]].id, row->field[p->attrs[i]]};
	size_t columns = n;
	for (size_t i = 0; i < more->n; i++) {
		size_t j = 0;
		while (j < n && all[j].id != more->v[i].id)
			j++;
		if (j == n)
			all[n++] = more->v[i];
		else if (j >= columns)
			all[j].value = more->v[i].value;
	}
	qsort(all, n, sizeof *all, by_id);
	for (size_t i = 0; i < n; i++)
		if (all[i].id != 0)
			attrs_put(&b->text, all[i].id, all[i].value);
	return 0;
}

/* ---- --expand ---- */

static struct str json_text(const json_t *v, struct arena *a)
{
	char number[64];
	if (json_is_string(v))
		return arena_str(a, str_n(json_string_value(v), json_string_length(v)));
	if (json_is_boolean(v))
		return json_is_true(v) ? STR("true") : STR("false");
	if (json_is_null(v))
		return STR("");
	if (json_is_real(v)) {
		snprintf(number, sizeof number, "%.15g", json_real_value(v));
		if (strtod(number, NULL) != json_real_value(v))
			snprintf(number, sizeof number, "%.17g", json_real_value(v));
		return arena_str(a, str_from(number));
	}
	char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	struct str s = text != NULL ? arena_str(a, str_from(text)) : STR("");
	free(text);
	return s;
}

/* NULL, or why the row is refused. *rc -1: the import cannot go on. */
static const char *expand(struct row_reader *r, struct str text, struct pairs *out, struct import_batch *b,
	int *rc, struct err *e)
{
	json_error_t why;
	*rc = 0;
	if (text.n == 0)
		return NULL;
	json_t *o = json_loadb(text.p, text.n, JSON_ALLOW_NUL, &why);
	if (o == NULL)
		return "the column with JSON does not hold valid JSON";
	if (!json_is_object(o)) {
		json_decref(o);
		return "the column with JSON does not hold an object";
	}
	const char *key;
	json_t *v;
	const char *fault = NULL;
	out->v = arena_alloc(&b->arena, (json_object_size(o) + 1) * sizeof *out->v);
	json_object_foreach(o, key, v)
	{
		struct str name = column_attr(str_from(key), &b->arena), value = json_text(v, &b->arena);
		uint32_t id = 0;
		if (out->v == NULL || name.p == NULL || value.p == NULL) {
			*rc = err_set(e, ERR_INTERNAL, "import", "out of memory");
			break;
		}
		if (name.n == 0 || name.n > COLUMN_NAME_MAX || memchr(value.p, '\0', value.n) != NULL) {
			fault = "the column with JSON holds a name or value that cannot be used";
			break;
		}
		int got = name_id(r, name, &id, e);
		if (got <= 0) {
			*rc = got;
			fault = "the column with JSON brings more than 1,000 different names";
			break;
		}
		out->v[out->n++] = (struct pair){id, value};
	}
	json_decref(o);
	return fault;
}

/* ---- A row ---- */

static int reject(struct import_batch *b, const struct plan_row *row, const char *reason, struct err *e)
{
	struct str why = arena_str(&b->arena, str_from(reason));
	if (why.p == NULL)
		return err_set(e, ERR_INTERNAL, "import", "out of memory");
	b->rejects[b->nrejects++] = (struct import_reject){row->line, why, keep(b, row->raw)};
	return 0;
}

static struct str cell(const struct plan_row *row, size_t column)
{
	return column < row->nfields ? row->field[column] : STR("");
}

static const char *too_wide(const struct import_plan *p, const struct plan_row *row, char out[80])
{
	size_t n = row->nfields;
	while (n > p->ncolumns && row->field[n - 1].n == 0)
		n--;
	if (n <= p->ncolumns)
		return NULL;
	snprintf(out, 80, "%zu columns where the header has %zu", n, p->ncolumns);
	return out;
}

/* "2024-05-01 10:00", also with slashes, as spreadsheets write it. */
static bool read_time(const struct row_reader *r, struct str text, ms_t *out)
{
	char z[64];
	if (text.n >= sizeof z || text.n < 8 || text.p[0] < '0' || text.p[0] > '9')
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	for (size_t i = 0; i < 10 && i < text.n; i++)
		if (z[i] == '/')
			z[i] = '-';
	if (strlen(z) != text.n || strchr(z, '-') == NULL)
		return false;
	return clock_read(z, r->zone, out);
}

/* An empty cell, or one that is not there, says nothing. */
static bool time_fine(const struct row_reader *r, const struct plan_row *row, size_t column, ms_t *out)
{
	struct str text = column != SIZE_MAX ? cell(row, column) : STR("");
	return text.n == 0 || read_time(r, text, out);
}

static const char *fill_state(const struct row_reader *r, const struct plan_row *row, struct import_row *out,
	struct import_batch *b)
{
	const struct import_plan *p = r->plan;
	if (p->status != SIZE_MAX) {
		const char *fault = import_status_read(cell(row, p->status), &out->status);
		if (fault != NULL)
			return fault;
	}
	if (!time_fine(r, row, p->consent, &out->consent_at))
		return "the time of consent is not a date";
	if (!time_fine(r, row, p->joined, &out->joined))
		return "pr_joined is not a date";
	if (!time_fine(r, row, p->added, &out->added))
		return "pr_added is not a date";
	if (p->source != SIZE_MAX)
		out->source = keep(b, cell(row, p->source));
	return NULL;
}

static int fill_attrs(struct row_reader *r, const struct plan_row *row, const struct address *address,
	struct import_batch *b, struct import_row *out, const char **fault, struct err *e)
{
	const struct import_plan *p = r->plan;
	struct pairs more = {0};
	struct pair name;
	int rc = 0;
	if (p->expand != SIZE_MAX) {
		*fault = expand(r, cell(row, p->expand), &more, b, &rc, e);
		if (rc != 0 || *fault != NULL)
			return rc;
	} else if (address->name.n > 0 && !p->has_name) {
		rc = name_id(r, STR("name"), &name.id, e);
		if (rc < 0)
			return -1;
		name.value = address->name;
		more = (struct pairs){.v = &name, .n = 1};
	}
	size_t at = b->text.len;
	if (more.n == 0)
		put_columns(p, row, &b->text);
	else if (put_merged(p, row, &more, b) != 0)
		return err_set(e, ERR_INTERNAL, "import", "out of memory");
	out->attrs = str_n(b->text.p + at, b->text.len - at);
	return 0;
}

int row_reader_add(struct row_reader *r, struct import_batch *b, const struct plan_row *row, struct err *e)
{
	struct address address;
	struct err why;
	char words[80];
	const char *fault = row->bad;
	b->read++;
	if (r->plan->excel)
		csv_undo_excel(row->field, row->nfields);
	if (fault == NULL)
		fault = too_wide(r->plan, row, words);
	if (fault != NULL)
		return reject(b, row, fault, e);
	struct str text = cell(row, r->plan->email);
	if (text.n == 0)
		return reject(b, row, "no address", e);
	if (address_parse(text, &b->arena, &address, &why) != 0) {
		if (why.code == ERR_DATA)
			return reject(b, row, why.why, e);
		*e = why;
		return -1;
	}
	struct import_row *out = &b->rows[b->n];
	*out = (struct import_row){
		.line = row->line, .address = address.wire, .key = address.key, .domain = address.domain};
	fault = fill_state(r, row, out, b);
	if (fault == NULL && fill_attrs(r, row, &address, b, out, &fault, e) != 0)
		return -1;
	if (fault != NULL)
		return reject(b, row, fault, e);
	b->raw[b->n++] = keep(b, row->raw);
	return b->text.failed ? err_set(e, ERR_INTERNAL, "import", "out of memory") : 0;
}
