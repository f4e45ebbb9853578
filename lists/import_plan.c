#include "lists/import_plan.h"

#include "lists/address.h"
#include "lists/column.h"
#include "lists/import_status.h"
#include "src/base/nearest.h"
#include "src/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

#define NONE SIZE_MAX

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "import", "out of memory");
}

/* ---- The first rows ---- */

static int copy_row(struct import_plan *p, const struct csv_row *from, struct plan_row *to)
{
	*to = (struct plan_row){.line = from->line, .nfields = from->nfields};
	to->raw = arena_str(p->arena, from->raw);
	to->field = arena_alloc(p->arena, (from->nfields + 1) * sizeof *to->field);
	if (from->bad != NULL)
		to->bad = arena_strdup(p->arena, from->bad);
	for (size_t i = 0; i < from->nfields && to->field != NULL; i++)
		to->field[i] = arena_str(p->arena, from->field[i]);
	return p->arena->failed ? -1 : 0;
}

static int read_preview(struct import_plan *p, struct err *e)
{
	struct csv_row row;
	size_t bytes = 0;
	int rc = 0;
	p->preview = arena_zalloc(p->arena, PLAN_PREVIEW * sizeof *p->preview);
	if (p->preview == NULL)
		return no_memory(e);
	while (p->npreview < PLAN_PREVIEW && bytes < CSV_ROW_MAX &&
		(rc = csv_reader_next(p->reader, &row, e)) > 0) {
		if (copy_row(p, &row, &p->preview[p->npreview]) != 0)
			return no_memory(e);
		p->npreview++;
		bytes += row.raw.n;
	}
	return rc < 0 ? -1 : 0;
}

/* ---- Names of columns ---- */

static int set_columns(struct import_plan *p, const struct str *names, size_t n, struct err *e)
{
	p->columns = arena_zalloc(p->arena, (n + 1) * sizeof *p->columns);
	if (p->columns == NULL)
		return no_memory(e);
	p->ncolumns = n;
	for (size_t i = 0; i < n; i++) {
		struct str name = str_trim(names[i]);
		if (name.n > COLUMN_NAME_MAX)
			return err_set(e, ERR_DATA, "import",
				"the name of column %zu is longer than %d bytes; is the first row really the "
				"header?",
				i + 1, COLUMN_NAME_MAX);
		p->columns[i].header = arena_str(p->arena, name);
		if (p->columns[i].header.p == NULL)
			return no_memory(e);
		for (size_t j = 0; j < name.n; j++)
			if ((unsigned char)name.p[j] < 0x20 && name.p[j] != '\n' && name.p[j] != '\r' &&
				name.p[j] != '\t')
				return err_set(e, ERR_DATA, "import",
					"the name of column %zu holds a control character", i + 1);
	}
	return 0;
}

static int columns_option(struct import_plan *p, const char *text, struct err *e)
{
	struct str names[CSV_FIELDS_MAX], rest = str_from(text);
	size_t n = 0;
	for (;;) {
		size_t at = str_find(rest, ',');
		if (n == CSV_FIELDS_MAX)
			return err_set(e, ERR_USAGE, "--columns", "more than %d columns", CSV_FIELDS_MAX);
		names[n++] = str_n(rest.p, at);
		if (at == rest.n)
			break;
		rest = str_n(rest.p + at + 1, rest.n - at - 1);
	}
	if (set_columns(p, names, n, e) != 0)
		return -1;
	p->header_raw = arena_str(p->arena, str_from(text));
	if (read_preview(p, e) != 0)
		return -1;
	size_t widest = 0;
	for (size_t i = 0; i < p->npreview; i++)
		if (p->preview[i].bad == NULL && p->preview[i].nfields > widest)
			widest = p->preview[i].nfields;
	if (p->npreview > 0 && n > widest && widest > 0)
		return err_set(
			e, ERR_USAGE, "--columns", "names %zu columns, but the rows have %zu", n, widest);
	return 0;
}

static int no_header(const struct csv_row *row, struct str address, struct err *e)
{
	err_set(e, ERR_DATA, "import", "no header: line %ld already holds an address (%.*s)", row->line,
		(int)(address.n < 100 ? address.n : 100), address.p);
	return err_remedy(e, "put the columns' names in a first row, or give them: --columns email%s",
		row->nfields > 1 ? ",name,…" : "");
}

static int header_row(struct import_plan *p, struct err *e)
{
	struct csv_row row;
	int rc = csv_reader_next(p->reader, &row, e);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(e, ERR_DATA, "import", "the file is empty");
	if (row.bad != NULL)
		return err_set(e, ERR_DATA, "import", "the header in line %ld cannot be used: %s", row.line,
			row.bad);
	for (size_t i = 0; i < row.nfields; i++)
		if (address_is(row.field[i]))
			return no_header(&row, row.field[i], e);
	p->header_raw = arena_str(p->arena, row.raw);
	if (set_columns(p, row.field, row.nfields, e) != 0)
		return -1;
	return read_preview(p, e);
}

/* The column an option names: as written, else as an attribute is written. */
static size_t column_by_name(const struct import_plan *p, struct str name)
{
	for (size_t i = 0; i < p->ncolumns; i++)
		if (str_eq(p->columns[i].header, str_trim(name)))
			return i;
	struct str attr = column_attr(name, p->arena);
	for (size_t i = 0; i < p->ncolumns && attr.n > 0; i++)
		if (str_eq(column_attr(p->columns[i].header, p->arena), attr))
			return i;
	return NONE;
}

static void list_columns(const struct import_plan *p, struct err *e)
{
	struct buf b = BUF_INIT(330);
	for (size_t i = 0; i < p->ncolumns; i++) {
		struct buf one = BUF_INIT(64);
		utf8_safe(&one, p->columns[i].header);
		if (one.failed || b.len + one.len + 8 > b.max) {
			buf_puts(&b, ", …");
			i = p->ncolumns;
		} else {
			buf_printf(&b, "%s%s", i > 0 ? ", " : "", buf_cstr(&one));
		}
		buf_release(&one);
	}
	err_remedy(e, "the columns are: %s", buf_cstr(&b));
	buf_release(&b);
}

static int find_column(struct import_plan *p, const char *option, struct str name, size_t *out, struct err *e)
{
	*out = column_by_name(p, name);
	if (*out != NONE)
		return 0;
	struct nearest near;
	nearest_init(&near, name);
	for (size_t i = 0; i < p->ncolumns; i++)
		nearest_offer(&near, p->columns[i].header);
	err_set(e, ERR_USAGE, option, "the file has no column \"%.*s\"%s%s%s",
		(int)(name.n < 80 ? name.n : 80), name.p, near.best[0] != '\0' ? "; did you mean \"" : "",
		near.best, near.best[0] != '\0' ? "\"?" : "");
	list_columns(p, e);
	return -1;
}

/* ---- The column of the addresses ---- */

static size_t email_by_values(const struct import_plan *p, size_t *candidates)
{
	size_t found = NONE;
	*candidates = 0;
	for (size_t i = 0; i < p->ncolumns; i++) {
		size_t good = 0, filled = 0;
		for (size_t j = 0; j < p->npreview; j++) {
			const struct plan_row *row = &p->preview[j];
			if (row->bad != NULL || i >= row->nfields || row->field[i].n == 0)
				continue;
			filled++;
			good += address_is(row->field[i]);
		}
		if (filled > 0 && good * 10 >= filled * 8) {
			found = i;
			++*candidates;
		}
	}
	return found;
}

static int find_email(struct import_plan *p, const struct import_request *q, struct err *e)
{
	if (q->email != NULL)
		return find_column(p, "--email", str_from(q->email), &p->email, e);
	int best = 0;
	for (size_t i = 0; i < p->ncolumns; i++) {
		int rank = column_email_rank(p->columns[i].header);
		if (rank > best) {
			best = rank;
			p->email = i;
		}
	}
	size_t candidates;
	size_t by_values = email_by_values(p, &candidates);
	/* "Address" is often a street: there the values must agree. */
	if (p->email != NONE && (best > 3 || p->npreview == 0 || by_values == p->email || candidates == 0))
		return 0;
	p->email = candidates == 1 ? by_values : NONE;
	if (p->email != NONE)
		return 0;
	err_set(e, ERR_DATA, "import",
		candidates == 0 ? "no column holds mail addresses" : "several columns hold mail addresses");
	list_columns(p, e);
	if (e != NULL && strlen(e->remedy) + 40 < sizeof e->remedy)
		memcpy(e->remedy + strlen(e->remedy), "; choose one: --email COLUMN",
			sizeof "; choose one: --email COLUMN");
	return -1;
}

/* ---- What becomes of the others ---- */

/* TEXT or column:NAME. */
static int role_by_option(struct import_plan *p, const char *option, const char *value, bool prefix,
	enum column_role role, size_t *out, struct err *e)
{
	struct str name = str_from(value);
	if (value == NULL || (prefix && !str_starts(name, STR("column:"))))
		return 0;
	if (prefix)
		name = str_n(name.p + 7, name.n - 7);
	if (find_column(p, option, name, out, e) != 0)
		return -1;
	if (*out == p->email)
		return err_set(
			e, ERR_USAGE, option, "\"%.*s\" is the column of the addresses", STR_ARG(name));
	p->columns[*out].role = role;
	return 0;
}

static void own_column(struct import_plan *p, size_t i, const struct import_request *q)
{
	struct str name = str_n(p->columns[i].header.p + 3, p->columns[i].header.n - 3);
	if (str_is_nocase(name, "status") && p->status == NONE) {
		p->columns[i].role = COLUMN_STATUS;
		p->status = i;
		p->own_status = true;
	} else if (str_is_nocase(name, "source") && p->source == NONE && q->source == NULL) {
		p->columns[i].role = COLUMN_SOURCE;
		p->source = i;
	} else if (str_is_nocase(name, "consent_at") && p->consent == NONE && q->consent_at == NULL) {
		p->columns[i].role = COLUMN_CONSENT;
		p->consent = i;
	} else if (str_is_nocase(name, "joined")) {
		p->joined = i;
	} else if (str_is_nocase(name, "added")) {
		p->added = i;
	}
}

static int map_option(struct import_plan *p, const char *map, struct err *e)
{
	struct str text = str_from(map);
	size_t eq = str_find(text, '='), i;
	if (eq == 0 || eq + 1 >= text.n)
		return err_set(e, ERR_USAGE, "--map", "\"%.80s\" is not ATTRIBUTE=COLUMN", map);
	struct str attr = column_attr(str_n(text.p, eq), p->arena),
		   column = str_n(text.p + eq + 1, text.n - eq - 1);
	if (find_column(p, "--map", column, &i, e) != 0)
		return -1;
	if (attr.n == 0 || column_is_own(attr))
		return err_set(e, ERR_USAGE, "--map", "\"%.*s\" cannot be an attribute's name",
			(int)(eq < 80 ? eq : 80), text.p);
	if (str_is(attr, "email")) {
		p->email = i;
		return 0;
	}
	p->columns[i].role = COLUMN_ATTR;
	p->columns[i].attr = attr;
	return 0;
}

static int two_called(
	const struct import_plan *p, size_t i, size_t j, const char *become, struct str attr, struct err *e)
{
	size_t first = i < j ? i : j, second = i < j ? j : i;
	err_set(e, ERR_DATA, "import",
		"columns %zu (\"%.*s\") and %zu (\"%.*s\") would both become the %s%.*s", first + 1,
		STR_ARG(p->columns[first].header), second + 1, STR_ARG(p->columns[second].header), become,
		STR_ARG(attr));
	return err_remedy(e, "rename one of them in the header, or give all names anew: --columns");
}

static int same_attr(const struct import_plan *p, size_t i, struct err *e)
{
	for (size_t j = 0; j < i; j++)
		if (p->columns[j].role == COLUMN_ATTR && str_eq(p->columns[j].attr, p->columns[i].attr))
			return two_called(p, i, j, "attribute ", p->columns[i].attr, e);
	return 0;
}

/* Which of two columns called email has the addresses? Who chose one by the way it is written has said it. */
static int only_email(const struct import_plan *p, bool chosen, struct err *e)
{
	struct str header = p->columns[p->email].header;
	if (!str_is(column_attr(header, p->arena), "email"))
		return 0;
	for (size_t i = 0; i < p->ncolumns; i++) {
		struct str other = p->columns[i].header;
		if (i != p->email && str_is(column_attr(other, p->arena), "email") &&
			p->columns[i].role == COLUMN_IGNORED && !(chosen && !str_eq(header, other)))
			return two_called(p, i, p->email, "address", STR(""), e);
	}
	return 0;
}

static int set_roles(struct import_plan *p, const struct import_request *q, struct err *e)
{
	for (size_t i = 0; i < q->nmaps; i++)
		if (map_option(p, q->maps[i], e) != 0)
			return -1;
	bool chosen = p->email != NONE || q->email != NULL;
	if ((p->email == NONE || q->email != NULL) && find_email(p, q, e) != 0)
		return -1;
	if (role_by_option(p, "--status", q->status, false, COLUMN_STATUS, &p->status, e) != 0 ||
		role_by_option(p, "--expand", q->expand, false, COLUMN_EXPAND, &p->expand, e) != 0 ||
		role_by_option(p, "--source", q->source, true, COLUMN_SOURCE, &p->source, e) != 0 ||
		role_by_option(p, "--consent-at", q->consent_at, true, COLUMN_CONSENT, &p->consent, e) != 0)
		return -1;
	p->columns[p->email].role = COLUMN_EMAIL;
	if (only_email(p, chosen, e) != 0)
		return -1;
	for (size_t i = 0; i < p->ncolumns; i++) {
		struct import_column *c = &p->columns[i];
		if (c->role == COLUMN_IGNORED && column_is_own(c->header)) {
			p->excel = csv_reader_has_bom(p->reader);
			own_column(p, i, q);
		} else if (c->role == COLUMN_IGNORED) {
			c->attr = column_attr(c->header, p->arena);
			/* A second column called e-mail would be hidden in templates by the address itself.
			 */
			c->role = c->attr.n > 0 && !str_is(c->attr, "email") ? COLUMN_ATTR : COLUMN_IGNORED;
		}
		if (c->role == COLUMN_ATTR && same_attr(p, i, e) != 0)
			return -1;
		p->has_name |= c->role == COLUMN_ATTR && str_is(c->attr, "name");
	}
	return p->arena->failed ? no_memory(e) : 0;
}

/* ---- A column that says who unsubscribed ---- */

static bool called_status(struct str attr)
{
	static const char *const words[] = {"status", "状態", "ステータス"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (memmem(attr.p, attr.n, words[i], strlen(words[i])) != NULL)
			return true;
	return false;
}

/* Of its cells nearly all say what people are, and some that they are not to be mailed, or its name says so.
 */
static bool tells_status(const struct import_plan *p, size_t i)
{
	size_t filled = 0, known = 0, gone = 0;
	for (size_t j = 0; j < p->npreview; j++) {
		const struct plan_row *row = &p->preview[j];
		enum import_status status;
		if (row->bad != NULL || i >= row->nfields || str_trim(row->field[i]).n == 0)
			continue;
		filled++;
		if (import_status_read(row->field[i], &status) != NULL)
			continue;
		known++;
		gone += status != IMPORT_SUBSCRIBED;
	}
	return known > 0 && known * 10 >= filled * 8 && (gone > 0 || called_status(p->columns[i].attr));
}

/* Where no option says that it is one. */
static size_t unread_status(const struct import_plan *p)
{
	for (size_t i = 0; i < p->ncolumns && p->status == NONE; i++)
		if (p->columns[i].role == COLUMN_ATTR && tells_status(p, i))
			return i;
	return NONE;
}

static size_t filled_rows(const struct import_plan *p, size_t i)
{
	size_t n = 0;
	for (size_t j = 0; j < p->npreview; j++)
		n += i < p->preview[j].nfields && str_trim(p->preview[j].field[i]).n > 0;
	return n;
}

/* Services export those who left to files of their own, which look like the list but for one column: imported
 * as it is, such a file would have all of them mailed. --map gives the column another name. */
static int look_for_leavers(struct import_plan *p, struct err *e)
{
	p->left_at = NONE;
	for (size_t i = 0; i < p->ncolumns && p->status == NONE; i++) {
		const struct import_column *c = &p->columns[i];
		enum import_status left =
			c->role == COLUMN_ATTR ? import_status_of_time(c->attr) : IMPORT_SUBSCRIBED;
		size_t n = left != IMPORT_SUBSCRIBED ? filled_rows(p, i) : 0;
		if (n > 0 && n == p->npreview) {
			err_set(e, ERR_DATA, "import",
				"these people are not to be mailed: every row has \"%.*s\"",
				STR_ARG(c->header));
			return err_remedy(e,
				"`postrider suppressions import FILE` takes them as %s; `--map left_at=%.*s` "
				"imports "
				"them all the same",
				import_status_names[left], STR_ARG(c->header));
		}
		if (n > 0)
			p->left_at = i;
	}
	return 0;
}

int import_plan(struct import_plan *p, struct csv_reader *r, const struct import_request *q, struct arena *a,
	struct err *e)
{
	*p = (struct import_plan){.arena = a,
		.reader = r,
		.email = NONE,
		.status = NONE,
		.source = NONE,
		.consent = NONE,
		.joined = NONE,
		.added = NONE,
		.expand = NONE};
	if ((q->columns != NULL ? columns_option(p, q->columns, e) : header_row(p, e)) != 0)
		return -1;
	if (p->npreview == 0)
		return err_set(e, ERR_DATA, "import",
			q->columns != NULL ? "the file is empty" : "the file has a header and no rows");
	if (set_roles(p, q, e) != 0)
		return -1;
	p->unread_status = unread_status(p);
	return look_for_leavers(p, e);
}

static int by_id(const void *a, const void *b, void *columns)
{
	const struct import_column *c = columns;
	uint32_t x = c[*(const size_t *)a].id, y = c[*(const size_t *)b].id;
	return (x > y) - (x < y);
}

int import_plan_ids(struct import_plan *p, attr_id_fn *attr_id, void *ctx, struct err *e)
{
	p->attrs = arena_alloc(p->arena, (p->ncolumns + 1) * sizeof *p->attrs);
	if (p->attrs == NULL)
		return no_memory(e);
	for (size_t i = 0; i < p->ncolumns; i++) {
		if (p->columns[i].role != COLUMN_ATTR)
			continue;
		int64_t id = attr_id(ctx, p->columns[i].attr, e);
		if (id < 0)
			return -1;
		p->columns[i].id = (uint32_t)id;
		p->attrs[p->nattrs++] = i;
	}
	qsort_r(p->attrs, p->nattrs, sizeof *p->attrs, by_id, p->columns);
	return 0;
}
