#include "engine/brake.h"

#include "src/base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	BUCKETS = 20,    /* of a window: the oldest twentieth falls out at once */
	PROVIDERS = 200, /* more than any shaping file names; what comes beyond counts in all only */
	FORMAT = 1,
	PARTS = 1000000, /* of a share, as it is kept */
	REFUSALS_LEAST = 5,
	REFUSALS_MOST = 50,
	COMPLAINTS_LEAST = 2,
	CHANGES_LEAST = 3, /* of the domain, so that a row of refusals is not one receiver's */
};

struct bucket {
	int64_t of, bad[2];
};

/* The last `span` of something, and what was bad among them. */
struct window {
	int64_t span;
	struct bucket v[BUCKETS], sum;
	int64_t at; /* which is being filled */
};

struct meter {
	char *provider; /* "": all */
	struct window answers, accepted;
	int64_t refused_in_row;
	uint64_t refused_by; /* the last one's domain, as a hash */
	int64_t changes;     /* of it, within the row */
	int64_t returned[3]; /* bounced, blocked, complaints: the totals that are counted already */
	bool refusal_told, dirty;
};

struct brake {
	struct brake_limits limits;
	struct meter *v; /* [0]: all; its `returned` is of unknown providers */
	size_t n, cap;
	ms_t armed;
	bool baseline; /* the next totals are where counting begins */
};

/* ---- Windows ---- */

static void window_add(struct window *w, int64_t of, int64_t first, int64_t second)
{
	while (of > 0 || first > 0 || second > 0) {
		struct bucket *b = &w->v[w->at];
		int64_t room = w->span / BUCKETS - b->of, take = of < room ? of : room;
		b->of += take;
		b->bad[0] += first;
		b->bad[1] += second;
		w->sum.of += take;
		w->sum.bad[0] += first;
		w->sum.bad[1] += second;
		of -= take;
		first = second = 0;
		if (b->of < w->span / BUCKETS)
			break;
		w->at = (w->at + 1) % BUCKETS;
		b = &w->v[w->at];
		w->sum.of -= b->of;
		w->sum.bad[0] -= b->bad[0];
		w->sum.bad[1] -= b->bad[1];
		*b = (struct bucket){0};
	}
}

/* The newest `n`, all of them bad in the second way, are taken out again. */
static void window_take_back(struct window *w, int64_t n)
{
	for (int64_t i = 0; i < BUCKETS && n > 0; i++) {
		struct bucket *b = &w->v[(w->at + BUCKETS - i) % BUCKETS];
		int64_t take = b->bad[1] < n ? b->bad[1] : n;
		take = b->of < take ? b->of : take;
		b->of -= take;
		b->bad[1] -= take;
		w->sum.of -= take;
		w->sum.bad[1] -= take;
		n -= take;
	}
}

static void window_clear(struct window *w)
{
	*w = (struct window){.span = w->span};
}

/* ---- Meters ---- */

static void meter_init(const struct brake *b, struct meter *m, char *provider)
{
	int64_t least = b->limits.after * 10;
	*m = (struct meter){.provider = provider};
	m->answers.span = least > BRAKE_SPAN ? least : BRAKE_SPAN;
	m->accepted.span = least > COMPLAINT_SPAN ? least : COMPLAINT_SPAN;
}

static struct meter *meter_of(struct brake *b, struct str provider)
{
	for (size_t i = 0; i < b->n; i++)
		if (str_is(provider, b->v[i].provider))
			return &b->v[i];
	if (b->n == PROVIDERS)
		return NULL;
	if (b->n == b->cap) {
		size_t cap = b->cap == 0 ? 8 : b->cap * 2;
		struct meter *v = realloc(b->v, cap * sizeof *v);
		if (v == NULL)
			return NULL;
		b->v = v;
		b->cap = cap;
	}
	char *name = strndup(provider.n != 0 ? provider.p : "", provider.n);
	if (name == NULL)
		return NULL;
	meter_init(b, &b->v[b->n], name);
	return &b->v[b->n++];
}

struct brake *brake_new(const struct brake_limits *l)
{
	struct brake *b = calloc(1, sizeof *b);
	if (b == NULL)
		return NULL;
	b->limits = *l;
	if (b->limits.after < 1)
		b->limits.after = 1;
	if (meter_of(b, STR("")) == NULL)
		brake_free(&b);
	return b;
}

void brake_free(struct brake **bp)
{
	struct brake *b = *bp;
	*bp = NULL;
	if (b == NULL)
		return;
	for (size_t i = 0; i < b->n; i++)
		free(b->v[i].provider);
	free(b->v);
	free(b);
}

static void count_refusals(struct meter *m, uint64_t domain, int64_t n)
{
	m->changes += m->refused_in_row != 0 && domain != m->refused_by;
	m->refused_by = domain;
	m->refused_in_row += n;
}

static void end_refusals(struct meter *m)
{
	m->refused_in_row = m->changes = 0;
	m->refusal_told = false;
}

void brake_arm(struct brake *b, ms_t at)
{
	if (at == b->armed)
		return;
	b->armed = at;
	b->baseline = true;
	for (size_t i = 0; i < b->n; i++) {
		struct meter *m = &b->v[i];
		window_clear(&m->answers);
		window_clear(&m->accepted);
		end_refusals(m);
		m->dirty = true;
	}
}

static void meter_count(struct meter *m, uint64_t domain, enum brake_event what, int64_t n)
{
	bool bounce = what == BRAKE_BOUNCED || what == BRAKE_RETURNED;
	bool block = what == BRAKE_BLOCKED || what == BRAKE_RETURNED_BLOCK;
	bool answer = what == BRAKE_ACCEPTED || what == BRAKE_BOUNCED || what == BRAKE_BLOCKED;
	window_add(&m->answers, answer ? n : 0, bounce ? n : 0, block ? n : 0);
	window_add(&m->accepted, what == BRAKE_ACCEPTED ? n : 0, what == BRAKE_COMPLAINT ? n : 0, 0);
	if (what == BRAKE_BLOCKED)
		count_refusals(m, domain, n);
	else if (answer)
		end_refusals(m);
	m->dirty = true;
}

void brake_count(struct brake *b, struct str provider, struct str domain, enum brake_event what, int64_t n)
{
	struct meter *m = provider.n != 0 ? meter_of(b, provider) : NULL;
	/* What was on its way when the provider was left alone says nothing new, and nothing of the others.
	 */
	if (n <= 0 || (m != NULL && m->refusal_told && what == BRAKE_BLOCKED))
		return;
	uint64_t hash = hash64(domain);
	meter_count(&b->v[0], hash, what, n);
	if (m != NULL)
		meter_count(m, hash, what, n);
}

void brake_returned(
	struct brake *b, struct str provider, int64_t bounced, int64_t blocked, int64_t complaints)
{
	static const enum brake_event events[] = {BRAKE_RETURNED, BRAKE_RETURNED_BLOCK, BRAKE_COMPLAINT};
	const int64_t totals[] = {bounced, blocked, complaints};
	for (int i = 0; i < 3; i++) {
		struct meter *m = meter_of(b, provider);
		int64_t more = m != NULL ? totals[i] - m->returned[i] : 0;
		if (more == 0)
			continue;
		m->returned[i] = totals[i];
		m->dirty = true;
		if (!b->baseline)
			brake_count(b, provider, STR(""), events[i], more);
	}
}

void brake_returned_done(struct brake *b)
{
	b->baseline = false;
}

/* ---- Judging ---- */

struct worst {
	struct brake_finding finding;
	double excess; /* how many times the limit */
};

static void judge(
	struct worst *w, const struct meter *m, enum brake_kind kind, int64_t bad, int64_t of, double limit)
{
	if (limit <= 0 || of <= 0 || (double)bad <= limit * (double)of)
		return;
	double excess = (double)bad / (double)of / limit;
	/* In all comes first, so a provider must be worse to be named. */
	if (w->finding.kind != BRAKE_NONE && excess <= w->excess)
		return;
	w->excess = excess;
	w->finding = (struct brake_finding){
		.kind = kind, .provider = str_from(m->provider), .bad = bad, .of = of, .limit = limit};
}

static void judge_meter(struct worst *w, const struct meter *m, const struct brake_limits *l)
{
	const struct bucket *a = &m->answers.sum, *c = &m->accepted.sum;
	if (a->of >= l->after) {
		judge(w, m, BRAKE_BOUNCES, a->bad[0], a->of, l->bounces);
		judge(w, m, BRAKE_BLOCKS, a->bad[1], a->of, l->blocks);
	}
	if (c->of >= l->after && c->bad[0] >= COMPLAINTS_LEAST)
		judge(w, m, BRAKE_COMPLAINTS, c->bad[0], c->of, l->complaints);
}

static int64_t refusals_enough(const struct brake_limits *l)
{
	int64_t n = l->after / 4;
	return n < REFUSALS_LEAST ? REFUSALS_LEAST : n > REFUSALS_MOST ? REFUSALS_MOST : n;
}

static void found_refusal(
	const struct brake *b, struct meter *m, struct str provider, struct brake_finding *out)
{
	m->refusal_told = m->dirty = true;
	*out = (struct brake_finding){.kind = BRAKE_BLOCKS,
		.provider = provider,
		.bad = m->refused_in_row,
		.of = m->refused_in_row,
		.limit = b->limits.blocks,
		.refuses_all = true};
}

/* One provider takes nothing any more: its refusals are not the others'. */
static void set_apart(struct brake *b, struct meter *m)
{
	struct meter *all = &b->v[0];
	int64_t n = m->refused_in_row;
	all->refused_in_row -= n < all->refused_in_row ? n : all->refused_in_row;
	all->dirty = true;
	window_take_back(&all->answers, n);
	window_take_back(&m->answers, n);
}

/* Does it refuse, after so many in a row? Where nobody else was tried yet as well: the others may take
 * theirs, and if they do not, that is soon seen. */
static bool refuses(const struct meter *m, int64_t enough)
{
	return !m->refusal_told && m->refused_in_row >= enough;
}

static bool find_refusal(struct brake *b, struct brake_finding *out)
{
	struct meter *all = &b->v[0];
	int64_t enough = refusals_enough(&b->limits);
	if (b->limits.blocks <= 0 || b->limits.blocks >= 1)
		return false;
	for (size_t i = 1; i < b->n; i++) {
		struct meter *m = &b->v[i];
		if (!refuses(m, enough))
			continue;
		found_refusal(b, m, str_from(m->provider), out);
		set_apart(b, m);
		return true;
	}
	/* Of several domains, or nothing else was ever heard. */
	if (all->refusal_told || all->refused_in_row < enough ||
		(all->changes < CHANGES_LEAST && all->refused_in_row < all->answers.sum.of))
		return false;
	found_refusal(b, all, STR(""), out);
	return true;
}

/* The share of blocks is one provider's doing, which refuses everything, though not often enough yet to be
 * told by that alone. */
static bool find_culprit(struct brake *b, struct brake_finding *out)
{
	for (size_t i = 1; i < b->n; i++) {
		struct meter *m = &b->v[i];
		if (!refuses(m, REFUSALS_LEAST) || m->refused_in_row * 2 < b->v[0].answers.sum.bad[1])
			continue;
		found_refusal(b, m, str_from(m->provider), out);
		set_apart(b, m);
		return true;
	}
	return false;
}

bool brake_check(struct brake *b, struct brake_finding *out)
{
	struct worst w = {0};
	if (find_refusal(b, out))
		return true;
	for (size_t i = 0; i < b->n; i++)
		judge_meter(&w, &b->v[i], &b->limits);
	if (w.finding.kind == BRAKE_BLOCKS && find_culprit(b, out))
		return true;
	*out = w.finding;
	return w.finding.kind != BRAKE_NONE;
}

const char *brake_reason(enum brake_kind k)
{
	static const char *const names[] = {"", "brake-bounces", "brake-blocks", "brake-complaints"};
	return names[k];
}

void brake_explain(const struct brake_finding *f, struct buf *out)
{
	static const char *const what[] = {
		"", "bounced", "were refused for what we are or send", "brought a complaint"};
	const char *from = f->provider.n != 0 ? " to " : "";
	if (f->refuses_all) {
		struct str who = f->provider.n != 0 ? f->provider : STR("the other side");
		buf_printf(out, "%.*s refuses everything: the last %" PRId64 " messages in a row",
			STR_ARG(who), f->of);
		return;
	}
	buf_printf(out, "%" PRId64 " of the last %" PRId64 "%s%s%.*s %s (%.*f %%; the limit is %g %%)",
		f->bad, f->of, f->kind == BRAKE_COMPLAINTS ? " accepted" : " answered", from,
		STR_ARG(f->provider), what[f->kind], f->kind == BRAKE_COMPLAINTS ? 2 : 1,
		100.0 * (double)f->bad / (double)f->of, 100.0 * f->limit);
}

/* ---- Keeping ---- */

size_t brake_providers(const struct brake *b)
{
	return b->n;
}

static void put_window(struct buf *out, const struct window *w)
{
	buf_printf(out, " %" PRId64 " %" PRId64, w->span, w->at);
	for (int i = 0; i < BUCKETS; i++)
		buf_printf(
			out, " %" PRId64 " %" PRId64 " %" PRId64, w->v[i].of, w->v[i].bad[0], w->v[i].bad[1]);
}

bool brake_save(struct brake *b, size_t i, struct str *provider, struct buf *out)
{
	struct meter *m = &b->v[i];
	if (!m->dirty)
		return false;
	m->dirty = false;
	*provider = str_from(m->provider);
	buf_clear(out);
	buf_printf(out, "%d %" PRId64 " %" PRId64 " %d", FORMAT, (int64_t)b->armed, m->refused_in_row,
		m->refusal_told);
	for (int k = 0; k < 3; k++)
		buf_printf(out, " %" PRId64, m->returned[k]);
	put_window(out, &m->answers);
	put_window(out, &m->accepted);
	const double shares[] = {b->limits.bounces, b->limits.blocks, b->limits.complaints};
	for (int k = 0; k < 3; k++)
		buf_printf(out, " %" PRId64, (int64_t)(shares[k] * PARTS + 0.5));
	buf_printf(out, " %" PRId64, b->limits.after);
	return true;
}

static bool get_window(struct str *s, struct window *w)
{
	struct window got = {.span = w->span};
	int64_t span;
	if (!str_next_int(s, 0, INT64_MAX, &span) || !str_next_int(s, 0, BUCKETS - 1, &got.at))
		return false;
	for (int i = 0; i < BUCKETS; i++) {
		struct bucket *b = &got.v[i];
		if (!str_next_int(s, 0, span, &b->of) || !str_next_int(s, 0, INT32_MAX, &b->bad[0]) ||
			!str_next_int(s, 0, INT32_MAX, &b->bad[1]))
			return false;
		got.sum.of += b->of;
		got.sum.bad[0] += b->bad[0];
		got.sum.bad[1] += b->bad[1];
	}
	/* With another `after` it is another window: what was counted stands in one bucket of it. */
	got.span = span;
	if (span == w->span || w->span == 0)
		*w = got;
	else
		window_add(w, got.sum.of, got.sum.bad[0], got.sum.bad[1]);
	return true;
}

/* What stands before the windows. */
struct head {
	int64_t armed, row, told, returned[3];
};

static bool get_head(struct str *s, struct head *h)
{
	int64_t format;
	if (!str_next_int(s, 0, FORMAT, &format) || format != FORMAT ||
		!str_next_int(s, 0, INT64_MAX, &h->armed) || !str_next_int(s, 0, INT32_MAX, &h->row) ||
		!str_next_int(s, 0, 1, &h->told))
		return false;
	for (int i = 0; i < 3; i++)
		if (!str_next_int(s, 0, INT64_MAX, &h->returned[i]))
			return false;
	return true;
}

bool brake_load(struct brake *b, struct str provider, struct str saved)
{
	struct head h;
	struct meter *m = meter_of(b, provider);
	if (m == NULL || !get_head(&saved, &h))
		return false;
	if (h.armed != b->armed)
		return true;
	struct window answers = m->answers, accepted = m->accepted;
	if (!get_window(&saved, &answers) || !get_window(&saved, &accepted))
		return false;
	m->answers = answers;
	m->accepted = accepted;
	m->refused_in_row = h.row;
	m->refusal_told = h.told != 0;
	memcpy(m->returned, h.returned, sizeof m->returned);
	b->baseline = false;
	return true;
}

bool brake_read(struct str saved, struct brake_view *out)
{
	struct head h;
	struct window answers = {.span = 0}, accepted = {.span = 0}; /* whatever it was */
	int64_t n[4];
	if (!get_head(&saved, &h) || !get_window(&saved, &answers) || !get_window(&saved, &accepted))
		return false;
	for (int i = 0; i < 4; i++)
		if (!str_next_int(&saved, 0, i < 3 ? PARTS : INT64_MAX, &n[i]))
			return false;
	*out = (struct brake_view){
		.answered = answers.sum.of,
		.bounced = answers.sum.bad[0],
		.blocked = answers.sum.bad[1],
		.accepted = accepted.sum.of,
		.complaints = accepted.sum.bad[0],
		.limits = {(double)n[0] / PARTS, (double)n[1] / PARTS, (double)n[2] / PARTS, n[3]},
	};
	return true;
}
