#include "lists/suppress_import.h"

#include "lists/address.h"
#include "lists/column.h"
#include "lists/import_status.h"
#include "lists/reject_file.h"
#include "lists/segment.h"
#include "src/base/utf8.h"
#include "src/db/import.h"
#include "src/db/lists.h"
#include "src/db/suppress.h"

#include <stdio.h>

enum { ADDRESS, SCOPE, REASON, EVIDENCE, CREATED, HELD, LEFT, NCOLUMNS };
enum { BATCH = 256, EVIDENCE_KEPT = 500 };

struct job {
	struct store *s;
	const struct suppress_request *q;
	struct suppress_report *out;
	struct csv_reader *reader;
	size_t column[NCOLUMNS];     /* SIZE_MAX: none; LEFT: another service's time of it */
	enum suppress_reason reason; /* of rows that name none */
	bool excel;                  /* our own export for Excel */
	struct suppression batch[BATCH];
	size_t nbatch;
	struct arena arena; /* of the rows in the batch */
	struct reject_file rejects;
	char scope_name[256]; /* the list looked up last */
	int64_t scope_id;
};

int suppress_key(struct str text, struct arena *a, struct str *key, struct err *e)
{
	struct str s = str_trim(text), domain;
	struct address address;
	bool wide = str_starts(s, STR("\xef\xbc\xa0"));
	if (s.n > 0 && (s.p[0] == '@' || wide)) {
		size_t skip = wide ? 3 : 1;
		if (address_domain(str_n(s.p + skip, s.n - skip), a, &domain, e) != 0)
			return -1;
		*key = arena_printf(a, "@%.*s", STR_ARG(domain));
	} else {
		if (address_parse(s, a, &address, e) != 0)
			return -1;
		*key = address.key;
	}
	return key->p != NULL ? 0 : err_set(e, ERR_INTERNAL, "suppression", "out of memory");
}

/* ---- Columns ---- */

static bool looks_like_key(struct str s)
{
	s = str_trim(s);
	return address_is(s) || (s.n > 3 && s.p[0] == '@' && str_find(s, '.') < s.n &&
					str_find(str_n(s.p + 1, s.n - 1), '@') == s.n - 1);
}

static enum suppress_reason reason_of(enum import_status status)
{
	return status == IMPORT_BOUNCED        ? SUPPRESS_HARD_BOUNCE
	       : status == IMPORT_COMPLAINED   ? SUPPRESS_COMPLAINT
	       : status == IMPORT_UNSUBSCRIBED ? SUPPRESS_UNSUBSCRIBE
					       : SUPPRESS_IMPORT;
}

static void own_columns(struct job *j, const struct csv_row *row)
{
	static const char *const names[NCOLUMNS] = {
		NULL, "scope", "reason", "evidence", "created", "held_until", NULL};
	for (size_t i = 0; i < row->nfields; i++) {
		struct str name = column_attr(row->field[i], &j->arena);
		enum import_status left = import_status_of_time(name);
		if (left != IMPORT_SUBSCRIBED) {
			j->column[LEFT] = i;
			if (j->reason == SUPPRESS_IMPORT)
				j->reason = reason_of(left);
		}
		for (int k = SCOPE; k < NCOLUMNS; k++)
			if (names[k] != NULL && str_is(name, names[k]))
				j->column[k] = i;
		if (str_is(name, "status") && j->column[REASON] == SIZE_MAX)
			j->column[REASON] = i;
	}
}

static int named_column(struct job *j, const struct csv_row *row, struct err *e)
{
	struct str want = column_attr(str_from(j->q->column), &j->arena);
	for (size_t i = 0; i < row->nfields; i++) {
		if (str_eq(row->field[i], str_from(j->q->column)) ||
			str_eq(column_attr(row->field[i], &j->arena), want)) {
			j->column[ADDRESS] = i;
			return 0;
		}
	}
	return err_set(e, ERR_USAGE, "--email", "the file has no column \"%.80s\"", j->q->column);
}

/* 1: the first row is data. */
static int find_columns(struct job *j, const struct csv_row *row, struct err *e)
{
	int best = 0;
	for (size_t i = 0; i < NCOLUMNS; i++)
		j->column[i] = SIZE_MAX;
	for (size_t i = 0; i < row->nfields && j->q->column == NULL; i++) {
		if (looks_like_key(row->field[i])) {
			j->column[ADDRESS] = i;
			return 1;
		}
	}
	own_columns(j, row);
	j->excel = j->column[SCOPE] != SIZE_MAX && csv_reader_has_bom(j->reader);
	if (j->q->column != NULL)
		return named_column(j, row, e);
	for (size_t i = 0; i < row->nfields; i++) {
		int rank = column_email_rank(row->field[i]);
		if (rank > best) {
			best = rank;
			j->column[ADDRESS] = i;
		}
	}
	if (j->column[ADDRESS] == SIZE_MAX && row->nfields == 1)
		j->column[ADDRESS] = 0;
	return j->column[ADDRESS] != SIZE_MAX ? 0
					      : err_set(e, ERR_DATA, "suppressions import",
							"no column of addresses; --email COLUMN names it");
}

static struct str cell(const struct job *j, const struct csv_row *row, int which)
{
	size_t i = j->column[which];
	return i < row->nfields ? row->field[i] : STR("");
}

/* ---- Rows ---- */

static const char *read_reason(const struct job *j, struct str word, enum suppress_reason *out)
{
	enum import_status status;
	*out = j->reason;
	if (word.n == 0)
		return NULL;
	for (int i = 0; i < SUPPRESS_NREASONS; i++) {
		if (str_is(word, suppress_reason_names[i])) {
			*out = (enum suppress_reason)i;
			return i == SUPPRESS_FORGOTTEN ? "only `contact forget` forgets a person" : NULL;
		}
	}
	if (import_status_read(word, &status) != NULL)
		return NULL;
	*out = reason_of(status);
	return status == IMPORT_SUBSCRIBED ? "the status says that this person can be mailed" : NULL;
}

static const char *read_scope(struct job *j, struct str name, int64_t *list)
{
	struct list_row row;
	*list = j->q->list;
	if (name.n == 0)
		return NULL;
	*list = 0;
	if (str_is(name, "all"))
		return NULL;
	if (name.n < sizeof j->scope_name && str_is(name, j->scope_name)) {
		*list = j->scope_id;
		return NULL;
	}
	if (store_list_get(j->s, name, &row, NULL) != 0)
		return "its scope is a list that is not here";
	*list = j->scope_id = row.id;
	snprintf(j->scope_name, sizeof j->scope_name, "%.*s", STR_ARG(name));
	return NULL;
}

static bool read_time(struct job *j, struct str text, ms_t *out)
{
	struct str z = arena_str(&j->arena, text);
	return text.n == 0 ||
	       (text.n >= 10 && z.p != NULL && z.p[4] == '-' && clock_read(z.p, j->q->zone, out));
}

static const char *read_row(struct job *j, const struct csv_row *row, struct suppression *sup, char why[160])
{
	struct err e = {0};
	if (row->bad != NULL)
		return row->bad;
	if (suppress_key(cell(j, row, ADDRESS), &j->arena, &sup->key, &e) != 0) {
		snprintf(why, 160, "%.150s", e.why);
		return why;
	}
	const char *fault = read_reason(j, str_trim(cell(j, row, REASON)), &sup->reason);
	if (fault == NULL)
		fault = read_scope(j, cell(j, row, SCOPE), &sup->list);
	if (fault != NULL)
		return fault;
	sup->created = j->q->now;
	/* In a service's own form of time; one that cannot be read keeps nobody from being suppressed. */
	if (!read_time(j, cell(j, row, LEFT), &sup->created) || sup->created > j->q->now)
		sup->created = j->q->now;
	if (!read_time(j, cell(j, row, CREATED), &sup->created) ||
		!read_time(j, cell(j, row, HELD), &sup->held_until))
		return "a time in it cannot be read";
	sup->dated = sup->created != j->q->now;
	sup->evidence = cell(j, row, EVIDENCE);
	if (sup->evidence.n == 0)
		sup->evidence = str_from(j->q->note != NULL             ? j->q->note
					 : strcmp(j->q->file, "-") == 0 ? "standard input"
									: j->q->file);
	return NULL;
}

static int flush(struct job *j, struct err *e)
{
	size_t added = 0;
	if (j->arena.failed)
		return err_set(e, ERR_INTERNAL, "suppressions import", "out of memory");
	if (j->nbatch > 0 && store_suppress_many(j->s, j->batch, j->nbatch, &added, e) != 0)
		return -1;
	j->out->added += (int64_t)added;
	j->out->present += (int64_t)(j->nbatch - added);
	j->nbatch = 0;
	arena_reset(&j->arena);
	return 0;
}

static int take_row(struct job *j, const struct csv_row *row, struct err *e)
{
	struct suppression sup = {0};
	char words[160];
	j->out->read++;
	if (j->excel)
		csv_undo_excel(row->field, row->nfields);
	const char *fault = read_row(j, row, &sup, words);
	if (fault != NULL) {
		reject_file_add(&j->rejects, &(struct import_reject){row->line, str_from(fault), row->raw});
		if (j->out->rejected++ == 0) {
			j->out->first_line = row->line;
			snprintf(j->out->first_reason, sizeof j->out->first_reason, "%s", fault);
		}
		return 0;
	}
	sup.evidence = arena_str(&j->arena, utf8_cut_bytes(sup.evidence, EVIDENCE_KEPT));
	j->batch[j->nbatch++] = sup;
	return j->nbatch == BATCH ? flush(j, e) : 0;
}

/* Without a header of its own, one that lets the file be read again. */
static int open_rejects(struct job *j, const struct csv_row *first, bool headless, struct err *e)
{
	char d = csv_reader_delimiter(j->reader);
	struct str header = headless ? STR("") : first->raw;
	for (size_t i = 0; headless && i <= j->column[ADDRESS]; i++)
		header = arena_printf(&j->arena, "%.*s%.*s%s", STR_ARG(header), i > 0, &d,
			i == j->column[ADDRESS] ? "email" : "");
	return reject_file_open(&j->rejects, j->q->rejects, d, csv_reader_has_bom(j->reader), header, e);
}

static int read_file(struct job *j, struct err *e)
{
	struct csv_options o = {.encoding = j->q->encoding, .stop = j->q->stop};
	struct csv_row row;
	if (csv_reader_open(&j->reader, j->q->file, &o, e) != 0)
		return -1;
	int rc = csv_reader_next(j->reader, &row, e);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(e, ERR_DATA, "suppressions import", "the file is empty");
	rc = find_columns(j, &row, e);
	if (rc < 0 || open_rejects(j, &row, rc == 1, e) != 0)
		return -1;
	if (rc == 1 && take_row(j, &row, e) != 0)
		return -1;
	while ((rc = csv_reader_next(j->reader, &row, e)) > 0) {
		if (j->q->stop != NULL && atomic_load_explicit(j->q->stop, memory_order_relaxed))
			return flush(j, e) != 0 ? -1
						: err_set(e, ERR_AGAIN, "suppressions import",
							  "interrupted; what was read so far is suppressed");
		if (take_row(j, &row, e) != 0)
			return -1;
	}
	return rc;
}

int suppress_import(
	struct store *s, const struct suppress_request *q, struct suppress_report *out, struct err *e)
{
	struct job j = {.s = s, .q = q, .out = out, .reason = q->reason};
	*out = (struct suppress_report){0};
	arena_init(&j.arena, 16 << 10, 16 << 20);
	int rc = read_file(&j, e);
	if (rc == 0)
		rc = flush(&j, e);
	/* What was taken stays taken, and so does what was not. */
	if (reject_file_close(&j.rejects, true, rc == 0 ? e : NULL) != 0)
		rc = -1;
	csv_reader_close(&j.reader);
	arena_release(&j.arena);
	return rc;
}
