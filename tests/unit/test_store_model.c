/* Random operations beside a model that keeps the same things in plain arrays: whatever the order, the rows,
 * the tallies and the model agree. */
#include "src/db/report.h"
#include "tests/unit/store_fixture.h"

enum { PEOPLE = 60, STEPS = 700 };

struct model_row {
	enum delivery_state state;
	int attempts, doubted;
	ms_t due;
	bool flying;
};

struct model {
	struct fixture *f;
	int64_t id;
	struct model_row d[PEOPLE + 1];
	bool suppressed[PEOPLE + 1], paused, cancelled;
	ms_t now;
	int attempts, cursor;
	struct arena arena;
	struct claims c;
};

static enum delivery_state shown(const struct model *m, const struct model_row *r)
{
	if (r->flying)
		return DELIVERY_SENDING;
	if (m->cancelled && (r->state == DELIVERY_QUEUED || r->state == DELIVERY_DEFERRED))
		return DELIVERY_CANCELLED;
	return r->state;
}

static int compare_row(void *ctx, const struct delivery_row *d)
{
	struct model *m = ctx;
	const struct model_row *r = &m->d[DELIVERY_NUMBER(d->id)];
	assert_int_equal(d->state, shown(m, r));
	assert_int_equal(d->attempts, r->attempts);
	assert_int_equal(d->doubted, r->doubted > 0);
	return 0;
}

static void compare(struct model *m)
{
	struct campaign_counts n;
	int64_t want[DELIVERY_NSTATES] = {0}, fresh = 0, resend = 0, doubted = 0;
	for (int i = 1; i <= PEOPLE; i++) {
		const struct model_row *r = &m->d[i];
		want[shown(m, r)]++;
		doubted += r->doubted > 0;
		fresh += !m->cancelled && r->state == DELIVERY_QUEUED && r->attempts == 0 && !r->flying;
		resend += !m->cancelled && r->state == DELIVERY_DOUBT && r->due != 0 && !r->flying;
	}
	OK(m->f, store_campaign_counts(m->f->s, m->id, true, &n, &m->f->e));
	for (int i = 0; i < DELIVERY_NSTATES; i++)
		assert_int_equal(n.state[i], want[i]);
	assert_int_equal(n.attempts, m->attempts);
	assert_int_equal(n.doubted, doubted);
	assert_int_equal(n.fresh, fresh);
	assert_int_equal(n.resend_due, resend);
	OK(m->f, store_deliveries(m->f->s, m->id, 0, true, compare_row, m, &m->f->e));
}

static void pass_over(struct model_row *r)
{
	r->due = 0;
	if (r->state != DELIVERY_DOUBT)
		r->state = DELIVERY_SKIPPED;
}

static void do_claim(struct model *m)
{
	int max = rand() % 8 + 1, want = 0;
	enum claim_kind kind = rand() % 2 ? CLAIM_DUE : CLAIM_FRESH;
	int n = fixture_claim(m->f, m->id, kind, max, m->now, &m->c);
	if (m->paused || m->cancelled) {
		assert_int_equal(n, 0);
		return;
	}
	if (kind == CLAIM_FRESH) {
		for (; m->cursor < PEOPLE && want < max; m->cursor++) {
			struct model_row *r = &m->d[m->cursor + 1];
			if (m->suppressed[m->cursor + 1])
				pass_over(r);
			else
				assert_int_equal(DELIVERY_NUMBER(m->c.v[want++].delivery), m->cursor + 1);
		}
	} else {
		/* Oldest first, those of the same time by number. */
		ms_t last = 0;
		for (int i = 0; i < n; i++) {
			struct model_row *r = &m->d[DELIVERY_NUMBER(m->c.v[i].delivery)];
			assert_true(
				r->due != 0 && r->due <= m->now && r->due >= last && r->due == m->c.v[i].due);
			assert_false(m->suppressed[DELIVERY_NUMBER(m->c.v[i].delivery)]);
			last = r->due;
		}
		want = n;
		int64_t number = n > 0 ? DELIVERY_NUMBER(m->c.v[n - 1].delivery) : 0;
		if (n < max)
			last = m->now;
		/* Those who were passed by on the way: the walk ends with the last one it hands out. */
		for (int i = 1; i <= PEOPLE; i++) {
			struct model_row *r = &m->d[i];
			bool handed = false;
			for (int k = 0; k < n; k++)
				handed |= DELIVERY_NUMBER(m->c.v[k].delivery) == i;
			if (handed || r->due == 0 || r->flying || r->due > last ||
				(n == max && r->due == last && i > number))
				continue;
			assert_true(m->suppressed[i]);
			pass_over(r);
		}
	}
	assert_int_equal(n, want);
	for (int i = 0; i < n; i++) {
		struct model_row *r = &m->d[DELIVERY_NUMBER(m->c.v[i].delivery)];
		assert_false(r->flying);
		assert_int_equal(m->c.v[i].attempt, r->attempts + 1);
		r->flying = true;
		r->due = 0;
	}
}

/* What an outcome does to the row, in plain words. */
static void apply(struct model *m, struct model_row *r, const struct outcome_row *o)
{
	r->flying = false;
	r->due = 0;
	if (o->kind == OUTCOME_RETURN) {
		r->due = o->due;
	} else {
		r->attempts++;
		m->attempts++;
		if (o->kind == OUTCOME_FINAL)
			r->state = o->state;
		if (o->kind == OUTCOME_DEFER)
			r->state = DELIVERY_DEFERRED;
		if (o->kind == OUTCOME_REQUEUE && r->state != DELIVERY_DOUBT)
			r->state = DELIVERY_QUEUED;
		if (o->kind == OUTCOME_DOUBT)
			r->state = DELIVERY_DOUBT;
		if (o->kind != OUTCOME_FINAL)
			r->due = o->due;
		if (o->kind == OUTCOME_DOUBT && r->doubted++ > 0)
			r->due = 0;
	}
	if (m->cancelled)
		r->due = 0;
}

static void do_record(struct model *m)
{
	struct outcome_row o[PEOPLE];
	size_t n = 0;
	static const enum delivery_state finals[] = {
		DELIVERY_SENT, DELIVERY_SENT, DELIVERY_BOUNCED, DELIVERY_BLOCKED, DELIVERY_SKIPPED};
	for (int i = 1; i <= PEOPLE; i++) {
		if (!m->d[i].flying || rand() % 2)
			continue;
		enum outcome_kind kind = (enum outcome_kind)(rand() % 5);
		o[n] = (struct outcome_row){.delivery = DELIVERY_ID(m->id, i),
			.kind = kind,
			.at = m->now,
			.reply = STR("words"),
			.code = 250,
			.due = kind == OUTCOME_FINAL ? 0 : m->now + 1 + rand() % 50,
			.route = STR("main"),
			.state = finals[rand() % 5],
			.class = (enum reply_class)(rand() % CLASS_NCLASSES),
			.reason = STR("r")};
		apply(m, &m->d[i], &o[n++]);
	}
	/* One that has no intent is dropped. */
	o[n] = (struct outcome_row){
		.delivery = DELIVERY_ID(m->id, PEOPLE + 5), .kind = OUTCOME_FINAL, .state = DELIVERY_SENT};
	fixture_record(m->f, o, n + 1, m->now);
}

static void do_crash(struct model *m)
{
	int64_t n, want = 0;
	int rule = rand() % 3;
	fixture_sql(m->f, "UPDATE lease SET pid = 1, pid_start = 1");
	fixture_lease(m->f);
	OK(m->f, store_ledger_recover(m->f->s, m->f->epoch, rule, m->now, &n, &m->f->e));
	for (int i = 1; i <= PEOPLE; i++) {
		if (!m->d[i].flying)
			continue;
		struct outcome_row o = {.kind = OUTCOME_DOUBT, .due = rule == 1 ? m->now : 0};
		apply(m, &m->d[i], &o);
		want++;
	}
	assert_int_equal(n, want);
}

static void do_people(struct model *m)
{
	int what = rand() % 12;
	if (what < 3) {
		int i = rand() % PEOPLE + 1;
		char key[40];
		static const char *const domains[] = {"gmail.com", "docomo.ne.jp", "x.example", "y.example"};
		snprintf(key, sizeof key, "p%d@%s", i, domains[i % 4]);
		struct suppression s = {.key = str_from(key), .reason = SUPPRESS_MANUAL, .created = m->now};
		OK(m->f, store_suppress(m->f->s, &s, NULL, &m->f->e));
		m->suppressed[i] = true;
	} else if (what < 6 && !m->paused && !m->cancelled) {
		OK(m->f, store_campaign_pause(m->f->s, m->id, STR("user"), STR(""), m->now, &m->f->e));
		m->paused = true;
	} else if (what < 10 && !m->cancelled) {
		struct resume_options o = {
			.rate = -1, .now = rand() % 2, .doubt = rand() % 3 - 1, .at = m->now};
		OK(m->f, store_campaign_resume(m->f->s, m->id, &o, &m->f->e));
		m->paused = false;
		for (int i = 1; i <= PEOPLE; i++) {
			struct model_row *r = &m->d[i];
			if (r->state == DELIVERY_DOUBT && !r->flying && o.doubt == 1 && r->due == 0 &&
				r->doubted == 1)
				r->due = m->now;
			if (r->state == DELIVERY_DOUBT && !r->flying && o.doubt == 0)
				r->due = 0;
			if (o.now && r->due > m->now)
				r->due = m->now;
		}
	}
}

static void random_sequences__agree_with_the_model(void **state)
{
	for (unsigned seed = 1; seed <= 3; seed++) {
		struct model m = {.f = *state, .now = NOW};
		char name[20];
		srand(seed);
		arena_init(&m.arena, 4096, 1 << 24);
		m.c.arena = &m.arena;
		fixture_sql(m.f, "DELETE FROM suppression");
		fixture_people(m.f, "news", 1, PEOPLE);
		if (seed == 1)
			fixture_lease(m.f);
		snprintf(name, sizeof name, "c%u", seed);
		m.id = fixture_campaign(m.f, name, 0);
		struct audience au = {.lists = {fixture_list(m.f, "news")}, .nlists = 1};
		fixture_prepare(m.f, m.id, &au, 13);
		for (int step = 0; step < STEPS / 3; step++) {
			int what = rand() % 20;
			m.now += rand() % 20;
			if (what < 8)
				do_claim(&m);
			else if (what < 15)
				do_record(&m);
			else if (what < 16)
				do_crash(&m);
			else
				do_people(&m);
			if (step == STEPS / 3 - 20 && seed != 2) {
				OK(m.f, store_campaign_cancel(m.f->s, m.id, m.now, &m.f->e));
				m.cancelled = true;
				m.paused = false;
				for (int i = 1; i <= PEOPLE; i++)
					m.d[i].due = m.d[i].flying ? m.d[i].due : 0;
			}
			compare(&m);
			if (step % 20 == 0)
				fixture_check(m.f);
		}
		/* So that nothing of this campaign is on its way in the next round. */
		do_crash(&m);
		compare(&m);
		fixture_check(m.f);
		free(m.c.v);
		arena_release(&m.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			random_sequences__agree_with_the_model, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
