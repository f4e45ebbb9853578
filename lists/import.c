#include "lists/import.h"

#include "lists/import_row.h"
#include "lists/import_status.h"
#include "lists/reject_file.h"
#include "src/base/utf8.h"
#include "src/db/lists.h"
#include "src/db/suppress.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCHES 3
#define WAIT_MS 100

struct job {
	struct store *store;
	const struct import_request *q;
	struct import_report *report;
	struct csv_reader *reader;
	struct import_plan plan;
	struct row_reader rows;
	struct reject_file rejects;
	struct import *import;      /* NULL in a dry run */
	double share;               /* of rows that may be refused */
	int64_t number;             /* -1: not limited by number */
	pthread_mutex_t store_lock; /* the store, for the rare new attribute name from the reading thread */
	pthread_mutex_t lock;       /* what follows */
	pthread_cond_t changed;
	struct import_batch batches[BATCHES], *free, *full, **full_end;
	bool read_all, give_up;
	int read_rc;
	struct err read_err;
};

/* ---- Options ---- */

static int limit_option(struct job *j, struct err *e)
{
	const char *text = j->q->max_rejects != NULL ? j->q->max_rejects : "1%";
	struct str s = str_from(text);
	long long n;
	char *end;
	j->number = -1;
	if (str_ends(s, STR("%"))) {
		double share = strtod(text, &end);
		if (end == s.p + s.n - 1 && s.n > 1 && share >= 0 && share <= 100 &&
			strspn(text, "0123456789.") == s.n - 1) {
			j->share = share / 100;
			return 0;
		}
	} else if (str_int(s, 0, INT64_MAX, &n)) {
		j->number = n;
		return 0;
	}
	return err_set(e, ERR_USAGE, "--max-rejects",
		"\"%.40s\" is neither a number of rows (100) nor a share (5%%)", text);
}

static int delimiter_option(const char *text, char *out, struct err *e)
{
	static const struct {
		const char *word;
		char c;
	} words[] = {
		{"comma", ','},
		{"semicolon", ';'},
		{"tab", '\t'},
		{"\\t", '\t'},
		{"pipe", '|'},
	};
	*out = 0;
	if (text == NULL)
		return 0;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasecmp(text, words[i].word) == 0)
			*out = words[i].c;
	if (*out == 0 && strlen(text) == 1 && strchr("\"\r\n ", text[0]) == NULL &&
		(unsigned char)text[0] < 0x80)
		*out = text[0];
	return *out != 0 ? 0
			 : err_set(e, ERR_USAGE, "--delimiter",
				   "\"%.40s\" is not one character, nor comma, semicolon, tab or pipe", text);
}

static bool is_column(const char *value)
{
	return value != NULL && strncmp(value, "column:", 7) == 0;
}

/* ---- The reading thread ---- */

static int64_t attr_id(void *ctx, struct str name, struct err *e)
{
	struct job *j = ctx;
	pthread_mutex_lock(&j->store_lock);
	int64_t id = j->import != NULL ? store_import_attr(j->store, j->import, name, e)
				       : store_attr_id(j->store, name, false, e);
	pthread_mutex_unlock(&j->store_lock);
	return id;
}

static struct import_batch *take_free(struct job *j)
{
	pthread_mutex_lock(&j->lock);
	while (j->free == NULL && !j->give_up)
		pthread_cond_wait(&j->changed, &j->lock);
	struct import_batch *b = j->give_up ? NULL : j->free;
	if (b != NULL)
		j->free = b->next;
	pthread_mutex_unlock(&j->lock);
	return b;
}

static void hand_over(struct job *j, struct import_batch *b)
{
	pthread_mutex_lock(&j->lock);
	b->next = NULL;
	*j->full_end = b;
	j->full_end = &b->next;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
}

static int read_rows(struct job *j, struct err *e)
{
	struct import_batch *b = take_free(j);
	size_t preview = 0;
	int rc = 1;
	while (b != NULL && rc > 0) {
		struct plan_row row;
		if (preview < j->plan.npreview) {
			row = j->plan.preview[preview++];
		} else {
			struct csv_row from;
			rc = csv_reader_next(j->reader, &from, e);
			if (rc <= 0)
				break;
			row = (struct plan_row){from.line, from.raw, from.field, from.nfields, from.bad};
		}
		if (row_reader_add(&j->rows, b, &row, e) != 0)
			rc = -1;
		if (rc > 0 && import_batch_full(b)) {
			hand_over(j, b);
			b = take_free(j);
		}
	}
	if (b != NULL)
		hand_over(j, b);
	return rc < 0 ? -1 : 0;
}

static void *reading_thread(void *ctx)
{
	struct job *j = ctx;
	struct err e = {0};
	int rc = read_rows(j, &e);
	pthread_mutex_lock(&j->lock);
	j->read_all = true;
	j->read_rc = rc;
	j->read_err = e;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

/* ---- The writing thread: the caller's ---- */

static bool stopped(const struct job *j)
{
	return j->q->stop != NULL && atomic_load_explicit(j->q->stop, memory_order_relaxed);
}

static void progress(struct job *j)
{
	if (j->q->progress == NULL)
		return;
	struct import_progress p = {.read = j->report->read, .rejected = j->report->rejected};
	csv_reader_progress(j->reader, &p.bytes, &p.size);
	j->q->progress(j->q->ctx, &p);
}

/* The next full batch; NULL: there are no more, or it was stopped. */
static struct import_batch *take_full(struct job *j)
{
	pthread_mutex_lock(&j->lock);
	while (j->full == NULL && !j->read_all && !stopped(j)) {
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += WAIT_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_cond_timedwait(&j->changed, &j->lock, &until);
	}
	struct import_batch *b = stopped(j) ? NULL : j->full;
	if (b != NULL) {
		j->full = b->next;
		if (j->full == NULL)
			j->full_end = &j->full;
	}
	pthread_mutex_unlock(&j->lock);
	return b;
}

static void give_back(struct job *j, struct import_batch *b)
{
	import_batch_clear(b);
	pthread_mutex_lock(&j->lock);
	b->next = j->free;
	j->free = b;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
}

static void count_reject(struct job *j, const struct import_reject *row)
{
	struct import_report *out = j->report;
	out->rejected++;
	reject_file_add(&j->rejects, row);
	if (out->nrejects == IMPORT_REJECTS)
		return;
	/* A line's worth of it. No character is cut: none takes more than four bytes. */
	struct str raw = utf8_cut(str_n(row->raw.p, row->raw.n < 400 ? row->raw.n : 400), 100);
	out->rejects[out->nrejects++] = (struct import_reject){row->line, arena_str(&out->arena, row->reason),
		arena_printf(&out->arena, "%.*s%s", STR_ARG(raw), raw.n < row->raw.n ? "…" : "")};
}

/* A row of our own export says what became of the person. Where the store knows as much, nothing is to be
 * added. */
static int known_already(void *ctx, const struct suppression *sup)
{
	(void)sup;
	*(bool *)ctx = true;
	return 1;
}

static int settle_own_status(struct job *j, struct import_batch *b, int64_t list, struct err *e)
{
	if (!j->plan.own_status || list == 0)
		return 0;
	for (size_t i = 0; i < b->n; i++) {
		struct import_row *r = &b->rows[i];
		bool known = false;
		if (r->status == IMPORT_SUBSCRIBED)
			continue;
		if (store_suppressions_of(j->store, r->key, list, known_already, &known, e) < 0)
			return -1;
		if (known)
			r->status = IMPORT_SUBSCRIBED;
	}
	return 0;
}

/* What was refused comes in the order of the file, whoever refused it. */
static void count_results(struct job *j, const struct import_batch *b, bool stored)
{
	struct import_report *out = j->report;
	size_t next = 0;
	for (size_t i = 0; i < b->n && stored; i++) {
		const struct import_row *r = &b->rows[i];
		while (r->result == IMPORT_FORGOTTEN && next < b->nrejects && b->rejects[next].line < r->line)
			count_reject(j, &b->rejects[next++]);
		out->suppressed += r->suppressed && r->result != IMPORT_DUPLICATE;
		switch (r->result) {
		case IMPORT_ADDED:
			out->added++;
			break;
		case IMPORT_UPDATED:
			out->updated++;
			break;
		case IMPORT_UNCHANGED:
			out->unchanged++;
			break;
		case IMPORT_DUPLICATE:
			out->duplicates++;
			break;
		default:
			out->forgotten++;
			count_reject(j, &(struct import_reject){r->line,
						STR("this person asked to be forgotten"), b->raw[i]});
			break;
		}
	}
	while (next < b->nrejects)
		count_reject(j, &b->rejects[next++]);
}

static int write_batch(struct job *j, struct import_batch *b, int64_t list, struct err *e)
{
	int rc = 0;
	j->report->read += b->read;
	if (j->import != NULL) {
		pthread_mutex_lock(&j->store_lock);
		rc = settle_own_status(j, b, list, e);
		if (rc == 0)
			rc = store_import_rows(j->store, j->import, b->rows, b->n, e);
		pthread_mutex_unlock(&j->store_lock);
	}
	if (rc == 0)
		count_results(j, b, j->import != NULL);
	return rc;
}

static bool over_limit(const struct job *j, bool at_end)
{
	const struct import_report *out = j->report;
	int64_t bad = out->rejected - out->forgotten;
	if (j->number >= 0)
		return bad > j->number;
	return at_end && (double)bad > (double)out->read * j->share;
}

static int refuse(struct job *j, struct err *e)
{
	const struct import_report *out = j->report;
	char percent[32];
	snprintf(percent, sizeof percent, "%.*f %%", out->rejected * 100 < out->read ? 2 : 1,
		100.0 * (double)out->rejected / (double)out->read);
	err_set(e, ERR_DATA, "import", "%lld of %lld rows cannot be used (%s); nothing was imported",
		(long long)out->rejected, (long long)out->read, percent);
	const struct import_reject *first = &out->rejects[0];
	err_remedy(e, "line %ld: %.*s; %s%s%s, or allow as many: --max-rejects %.0f%%", first->line,
		STR_ARG(first->reason),
		j->q->rejects != NULL ? "all of them are in " : "have them all written with --rejects FILE",
		j->q->rejects != NULL ? j->q->rejects : "", "",
		ceil(100.0 * (double)out->rejected / (double)out->read));
	return err_at(e, strcmp(j->q->file, "-") == 0 ? "standard input" : j->q->file, first->line);
}

static int write_all(struct job *j, int64_t list, struct err *e)
{
	struct import_batch *b;
	while ((b = take_full(j)) != NULL) {
		int rc = write_batch(j, b, list, e);
		give_back(j, b);
		progress(j);
		if (rc != 0)
			return -1;
		if (!j->q->dry_run && over_limit(j, false))
			return refuse(j, e);
	}
	if (stopped(j))
		return err_set(e, ERR_AGAIN, "import", "interrupted; nothing was imported");
	if (j->read_rc != 0) {
		if (e != NULL)
			*e = j->read_err;
		return -1;
	}
	j->report->would_refuse = over_limit(j, true);
	return j->report->would_refuse && !j->q->dry_run ? refuse(j, e) : 0;
}

static int run_threads(struct job *j, int64_t list, struct err *e)
{
	pthread_t thread;
	sigset_t all, before;
	if (import_plan_ids(&j->plan, attr_id, j, e) != 0)
		return -1;
	/* Signals are the caller's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&thread, NULL, reading_thread, j);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return err_set(e, ERR_INTERNAL, "import", "cannot start a thread: %s", strerror(rc));
	rc = write_all(j, list, e);
	pthread_mutex_lock(&j->lock);
	j->give_up = true;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
	pthread_join(thread, NULL);
	return rc;
}

/* ---- From beginning to end ---- */

static int fill_report(struct job *j, struct err *e)
{
	struct import_report *out = j->report;
	const struct import_plan *p = &j->plan;
	out->columns = p->columns;
	out->ncolumns = p->ncolumns;
	if (p->unread_status != SIZE_MAX)
		out->unread_status = p->columns[p->unread_status].header;
	if (p->left_at != SIZE_MAX)
		out->left_at = p->columns[p->left_at].header;
	for (size_t i = 0; i < p->npreview && out->nsample < IMPORT_SAMPLE; i++) {
		if (p->preview[i].bad != NULL)
			continue;
		struct str *cells = arena_zalloc(&out->arena, (p->ncolumns + 1) * sizeof *cells);
		if (cells == NULL)
			return err_set(e, ERR_INTERNAL, "import", "out of memory");
		for (size_t k = 0; k < p->ncolumns && k < p->preview[i].nfields; k++)
			cells[k] = p->preview[i].field[k];
		out->sample[out->nsample++] = cells;
	}
	return 0;
}

static int check_leavers(struct job *j, struct err *e)
{
	int64_t of;
	if (!j->q->sync)
		return 0;
	if (store_import_leavers(j->store, j->import, &j->report->left, &of, e) != 0)
		return -1;
	if (j->report->left * 10 <= of || j->q->confirm == NULL)
		return 0;
	return j->q->confirm(j->q->ctx, j->report->left, of, e);
}

static int import_options(struct job *j, struct import_options *o, struct err *e)
{
	const struct import_request *q = j->q;
	*o = (struct import_options){.list = str_from(q->list),
		.file = str_from(strcmp(q->file, "-") == 0 ? "standard input" : q->file),
		.on_duplicate = q->on_duplicate,
		.sync = q->sync,
		.now = q->now};
	if (q->source != NULL && !is_column(q->source))
		o->source = str_from(q->source);
	if (q->consent_at != NULL && !is_column(q->consent_at))
		return clock_parse(q->consent_at, q->zone, q->now, &o->consent_at, e);
	return 0;
}

static int import_into(struct job *j, struct err *e)
{
	struct import_options o;
	struct list_row list;
	int64_t id = 0;
	if (import_options(j, &o, e) != 0)
		return -1;
	if (j->q->dry_run)
		return run_threads(j, 0, e);
	if (store_list_get(j->store, o.list, &list, NULL) == 0)
		id = list.id;
	if (store_import_begin(j->store, &o, &j->import, &j->report->list_created, e) != 0)
		return -1;
	if (run_threads(j, id, e) == 0 && check_leavers(j, e) == 0 &&
		store_import_commit(j->store, &j->import, e) == 0)
		return 0;
	struct err why;
	if (store_import_abort(j->store, &j->import, &why) != 0 && e != NULL && e->remedy[0] == '\0')
		err_remedy(e, "what it left is swept by the next import: %s", why.why);
	return -1;
}

static int prepare(struct job *j, struct err *e)
{
	const struct import_request *q = j->q;
	struct csv_options o = {.encoding = q->encoding, .stop = q->stop};
	pthread_condattr_t monotonic;
	pthread_mutex_init(&j->lock, NULL);
	pthread_mutex_init(&j->store_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&j->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	j->full_end = &j->full;
	for (size_t i = 0; i < BATCHES; i++) {
		if (import_batch_init(&j->batches[i]) != 0)
			return err_set(e, ERR_INTERNAL, "import", "out of memory");
		j->batches[i].next = j->free;
		j->free = &j->batches[i];
	}
	if (limit_option(j, e) != 0 || delimiter_option(q->delimiter, &o.delimiter, e) != 0 ||
		csv_reader_open(&j->reader, q->file, &o, e) != 0)
		return -1;
	j->report->delimiter = csv_reader_delimiter(j->reader);
	if (import_plan(&j->plan, j->reader, q, &j->report->arena, e) != 0)
		return -1;
	row_reader_init(&j->rows, &j->plan, q, attr_id, j);
	bool bom = csv_reader_has_bom(j->reader) || strcmp(csv_reader_encoding(j->reader), "UTF-8") != 0;
	if (reject_file_open(&j->rejects, q->rejects, j->report->delimiter, bom, j->plan.header_raw, e) != 0)
		return -1;
	return fill_report(j, e);
}

static void finish(struct job *j)
{
	if (j->reader != NULL)
		j->report->encoding = arena_strdup(&j->report->arena, csv_reader_encoding(j->reader));
	if (j->report->encoding == NULL)
		j->report->encoding = "";
	csv_reader_close(&j->reader);
	row_reader_release(&j->rows);
	for (size_t i = 0; i < BATCHES; i++)
		import_batch_release(&j->batches[i]);
	pthread_cond_destroy(&j->changed);
	pthread_mutex_destroy(&j->lock);
	pthread_mutex_destroy(&j->store_lock);
}

int list_import(struct store *s, const struct import_request *q, struct import_report *out, struct err *e)
{
	ms_t began = clock_mono();
	struct err why = {0};
	struct job *j = calloc(1, sizeof *j);
	*out = (struct import_report){.encoding = ""};
	arena_init(&out->arena, 64 << 10, 64 << 20);
	if (j == NULL)
		return err_set(e, ERR_INTERNAL, "import", "out of memory");
	j->store = s;
	j->q = q;
	j->report = out;
	int rc = prepare(j, &why);
	if (rc == 0)
		rc = import_into(j, &why);
	/* What was refused is wanted most where nothing was imported for its sake. */
	bool keep = rc == 0 || (why.code == ERR_DATA && out->rejected > 0);
	if (reject_file_close(&j->rejects, keep, rc == 0 ? &why : NULL) != 0)
		rc = -1;
	finish(j);
	free(j);
	out->seconds = (double)(clock_mono() - began) / 1000;
	if (rc != 0 && why.code == ERR_DATA && why.file[0] == '\0')
		err_at(&why, strcmp(q->file, "-") == 0 ? "standard input" : q->file, 0);
	if (rc != 0 && e != NULL)
		*e = why;
	return rc;
}

void import_report_release(struct import_report *r)
{
	arena_release(&r->arena);
	*r = (struct import_report){0};
}
