#include "engine/check_private.h"
#include "src/db/audience.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH = 256, THREADS_MAX = 32, BATCHES_EACH = 3, BATCH_ARENA = 64 << 10, BATCH_MAX = 512 << 20 };

struct item {
	struct contact_row contact;
	const struct list_row *list; /* NULL: none */
};

struct batch {
	struct batch *next;
	struct arena arena;
	struct item items[BATCH];
	size_t n;
	int64_t first;         /* number of the first item in the audience */
	struct list_row *list; /* the one last used */
};

struct queue { /* batches wait in `full` to be read, in `empty` to be filled */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct batch *full, **full_end, *empty;
	int64_t done;
	bool closed;
};

struct thread {
	pthread_t id;
	bool running;
	struct queue *q;
	struct check_reader reader;
};

struct run {
	struct launch *l;
	const struct check_options *o;
	struct check_shared shared;
	struct queue q;
	struct thread *threads;
	size_t nthreads, nbatches;
	struct batch **batches, *filling;
	int64_t given;
	struct err *e;
};

/* ---- The queue ---- */

static struct batch *take_empty(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	while (q->empty == NULL)
		pthread_cond_wait(&q->changed, &q->lock);
	struct batch *b = q->empty;
	q->empty = b->next;
	pthread_mutex_unlock(&q->lock);
	arena_reset(&b->arena);
	b->n = 0;
	b->list = NULL;
	return b;
}

static void give_full(struct queue *q, struct batch *b)
{
	pthread_mutex_lock(&q->lock);
	b->next = NULL;
	*q->full_end = b;
	q->full_end = &b->next;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

static struct batch *take_full(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	while (q->full == NULL && !q->closed)
		pthread_cond_wait(&q->changed, &q->lock);
	struct batch *b = q->full;
	if (b != NULL) {
		q->full = b->next;
		if (q->full == NULL)
			q->full_end = &q->full;
	}
	pthread_mutex_unlock(&q->lock);
	return b;
}

static void give_empty(struct queue *q, struct batch *b)
{
	pthread_mutex_lock(&q->lock);
	q->done += (int64_t)b->n;
	b->next = q->empty;
	q->empty = b;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

static void close_queue(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct batch *b;
	while ((b = take_full(t->q)) != NULL) {
		for (size_t i = 0; i < b->n; i++)
			check_letter(
				&t->reader, &b->items[i].contact, b->items[i].list, b->first + (int64_t)i);
		give_empty(t->q, b);
	}
	return NULL;
}

/* ---- Filling it from the store ---- */

static int batch_list(struct run *r, struct batch *b, int64_t id, struct err *e)
{
	struct list_row row;
	if (b->list != NULL && b->list->id == id)
		return 0;
	if (store_list_by_id(r->l->store, id, &row, e) != 0)
		return -1;
	b->list = arena_alloc(&b->arena, sizeof *b->list);
	if (b->list == NULL)
		return err_set(e, ERR_INTERNAL, "check", "out of memory");
	*b->list = row;
	b->list->name = arena_str(&b->arena, row.name);
	b->list->title = arena_str(&b->arena, row.title);
	b->list->list_id = arena_str(&b->arena, row.list_id);
	return 0;
}

static void push(struct run *r)
{
	give_full(&r->q, r->filling);
	r->filling = NULL;
	if (r->o->progress == NULL)
		return;
	pthread_mutex_lock(&r->q.lock);
	int64_t done = r->q.done;
	pthread_mutex_unlock(&r->q.lock);
	r->o->progress(r->o->ctx, done);
}

static int one_contact(void *ctx, const struct contact_row *c)
{
	struct run *r = ctx;
	if (r->o->most > 0 && r->given >= r->o->most)
		return 1;
	if (r->filling == NULL) {
		r->filling = take_empty(&r->q);
		r->filling->first = r->given;
	}
	struct batch *b = r->filling;
	if (c->list != 0 && batch_list(r, b, c->list, r->e) != 0)
		return -1;
	struct item *i = &b->items[b->n];
	*i = (struct item){*c, c->list != 0 ? b->list : NULL};
	i->contact.address = arena_str(&b->arena, c->address);
	i->contact.key = c->key.p == c->address.p ? i->contact.address : arena_str(&b->arena, c->key);
	i->contact.attrs = arena_str(&b->arena, c->attrs);
	i->contact.source = str_n(NULL, 0);
	if (b->arena.failed)
		return err_set(r->e, ERR_INTERNAL, "check", "out of memory");
	b->n++;
	r->given++;
	if (b->n == BATCH)
		push(r);
	return 0;
}

/* ---- Starting and ending ---- */

static int start(struct run *r, struct err *e)
{
	sigset_t all, old;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = r->o->threads > 0 ? (size_t)r->o->threads : cores > 0 ? (size_t)cores : 1;
	n = n < THREADS_MAX ? n : THREADS_MAX;
	r->threads = calloc(n, sizeof *r->threads);
	r->batches = calloc(n * BATCHES_EACH, sizeof *r->batches);
	if (r->threads == NULL || r->batches == NULL)
		return err_set(e, ERR_INTERNAL, "check", "out of memory");
	for (; r->nbatches < n * BATCHES_EACH; r->nbatches++) {
		struct batch *b = calloc(1, sizeof *b);
		if (b == NULL)
			return err_set(e, ERR_INTERNAL, "check", "out of memory");
		arena_init(&b->arena, BATCH_ARENA, BATCH_MAX);
		b->next = r->q.empty;
		r->q.empty = r->batches[r->nbatches] = b;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = 0;
	for (; rc == 0 && r->nthreads < n; r->nthreads++) {
		struct thread *t = &r->threads[r->nthreads];
		t->q = &r->q;
		rc = check_reader_init(&t->reader, &r->shared, e);
		t->running = rc == 0 && pthread_create(&t->id, NULL, thread_main, t) == 0;
		if (rc == 0 && !t->running)
			rc = err_set(e, ERR_INTERNAL, "check", "cannot start a thread");
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static void add_up(struct run *r, struct check *out, struct check_table *table, struct check_values *values)
{
	int64_t first = -1;
	for (size_t i = 0; i < r->nthreads; i++) {
		const struct check_reader *k = &r->threads[i].reader;
		out->checked += k->checked;
		out->failed += k->failed;
		out->skipped += k->skipped;
		out->read += k->read;
		out->bytes = k->bytes > out->bytes ? k->bytes : out->bytes;
		if (k->first_failed >= 0 && (first < 0 || k->first_failed < first)) {
			first = k->first_failed;
			out->first = k->first;
			memcpy(out->address, k->address, sizeof out->address);
		}
		for (size_t s = 0; s < r->shared.nslots; s++)
			values->have[s] += k->have[s];
		check_table_merge(table, &k->table);
	}
	values->checked = out->checked;
}

static void stop(struct run *r)
{
	close_queue(&r->q);
	for (size_t i = 0; i < r->nthreads; i++)
		if (r->threads[i].running)
			pthread_join(r->threads[i].id, NULL);
}

static void release(struct run *r)
{
	for (size_t i = 0; i < r->nthreads; i++)
		check_reader_release(&r->threads[i].reader);
	for (size_t i = 0; i < r->nbatches; i++) {
		arena_release(&r->batches[i]->arena);
		free(r->batches[i]);
	}
	free(r->threads);
	free(r->batches);
	pthread_mutex_destroy(&r->q.lock);
	pthread_mutex_destroy(&r->shared.lock);
	pthread_cond_destroy(&r->q.changed);
}

/* ---- The result ---- */

static int by_severity(const void *a, const void *b)
{
	const struct check_finding *x = a, *y = b;
	if (x->severity != y->severity)
		return x->severity < y->severity ? -1 : 1;
	int64_t n = x->recipients + x->read, m = y->recipients + y->read;
	return n != m ? (n > m ? -1 : 1) : strcmp(x->id, y->id);
}

static int keep(struct check *out, const struct check_table *t, struct err *e)
{
	struct arena *a = &out->arena;
	out->found = arena_alloc(a, (t->n + 1) * sizeof *out->found);
	for (size_t i = 0; out->found != NULL && i < t->n; i++) {
		const struct check_entry *f = &t->v[i];
		out->found[out->n++] = (struct check_finding){f->id, f->severity, arena_str(a, f->where),
			arena_str(a, f->text), arena_str(a, f->remedy), f->recipients, f->read,
			f->read > 0 ? out->read : 0, arena_str(a, f->first)};
	}
	if (a->failed)
		return err_set(e, ERR_INTERNAL, "check", "out of memory");
	if (out->n > 1)
		qsort(out->found, out->n, sizeof *out->found, by_severity);
	return 0;
}

/* What is known of the whole audience once everybody was composed for. */
static int conclude(struct run *r, struct check *out, struct err *e)
{
	struct check_values values = {.have = calloc(r->shared.nslots + 1, sizeof *values.have)};
	struct check_table *table = malloc(sizeof *table);
	int rc = 0;
	if (values.have == NULL || table == NULL) {
		free(values.have);
		free(table);
		return err_set(e, ERR_INTERNAL, "check", "out of memory");
	}
	check_table_init(table);
	add_up(r, out, table, &values);
	if (r->o->findings) {
		check_setup(table, r->l);
		rc = check_names(table, r->l, &values, e);
		if (rc == 0)
			rc = keep(out, table, e);
	}
	check_table_release(table);
	free(table);
	free(values.have);
	return rc;
}

int check_run(struct launch *l, const struct check_options *o, struct check *out, struct err *e)
{
	struct run r = {.l = l, .o = o, .e = e};
	*out = (struct check){0};
	arena_init(&out->arena, 4096, 64 << 20);
	r.q.full_end = &r.q.full;
	pthread_mutex_init(&r.q.lock, NULL);
	pthread_mutex_init(&r.shared.lock, NULL);
	pthread_cond_init(&r.q.changed, NULL);
	r.shared.l = l;
	r.shared.o = o;
	r.shared.now = clock_now();
	r.shared.nslots = message_nslots(personal_message(l->personal));
	r.shared.size_limit = check_size_limit(&l->plan, &r.shared.size_known);
	int rc = start(&r, e);
	if (rc == 0)
		rc = store_audience_walk(l->store, &l->audience, false, one_contact, &r, e) < 0 ? -1 : 0;
	if (rc == 0 && r.filling != NULL && r.filling->n != 0)
		push(&r);
	stop(&r);
	if (rc == 0)
		rc = conclude(&r, out, e);
	release(&r);
	return rc;
}

void check_release(struct check *c)
{
	arena_release(&c->arena);
	c->found = NULL;
	c->n = 0;
}
