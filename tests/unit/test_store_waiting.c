/* Campaigns that go out by destination: what waits is found by domain and by time. */
#include "src/db/report.h"
#include "src/db/usage.h"
#include "tests/unit/store_fixture.h"

struct spread { /* a spread campaign to `n` people in four domains, prepared */
	struct fixture *f;
	struct arena arena;
	struct claims c;
	int64_t id;
};

static int64_t spread_campaign(struct fixture *f, const char *name, int64_t canary)
{
	int64_t id;
	struct campaign_new c = {.name = str_from(name), .spread = true, .canary = canary, .now = NOW};
	OK(f, store_campaign_create(f->s, &c, NULL, 0, &id, &f->e));
	struct audience au = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	fixture_prepare(f, id, &au, 7);
	return id;
}

static void spread_start(struct spread *l, struct fixture *f, int n, int64_t canary)
{
	*l = (struct spread){.f = f};
	arena_init(&l->arena, 4096, 1 << 24);
	l->c.arena = &l->arena;
	fixture_people(f, "news", 1, n);
	fixture_lease(f);
	l->id = spread_campaign(f, "june", canary);
}

static void spread_end(struct spread *l)
{
	fixture_check(l->f);
	free(l->c.v);
	arena_release(&l->arena);
}

/* What is shown of a walk, in words: "gmail.com/google 5+0, …". */
static int one_domain(void *ctx, const struct waiting_domain *d)
{
	buf_printf(ctx, "%.*s/%.*s %d+%d, ", STR_ARG(d->name), STR_ARG(d->provider), d->fresh, d->due);
	return 0;
}

static void shows(struct spread *l, const char *want)
{
	struct buf b = BUF_INIT(4096);
	int n = store_ledger_waiting(l->f->s, l->id, 0, 100, 10, one_domain, &b, &l->f->e);
	OK(l->f, n);
	assert_string_equal(buf_cstr(&b), want);
	buf_release(&b);
}

static ms_t ripen(struct spread *l, ms_t now)
{
	ms_t next;
	OK(l->f, store_ledger_begin(l->f->s, l->f->epoch, now, &l->f->e));
	OK(l->f, store_ledger_ripen(l->f->s, l->id, now, &next, &l->f->e));
	OK(l->f, store_ledger_commit(l->f->s, &l->f->e));
	return next;
}

static int64_t domain_of(struct spread *l, const char *name)
{
	char sql[128];
	snprintf(sql, sizeof sql, "SELECT id FROM domain WHERE name = '%s'", name);
	return fixture_sql(l->f, sql);
}

static int claim(struct spread *l, const char *domain, int max, ms_t now)
{
	struct fixture *f = l->f;
	arena_reset(&l->arena);
	l->c.n = 0;
	int64_t id = domain_of(l, domain);
	OK(f, store_ledger_begin(f->s, f->epoch, now, &f->e));
	int n = store_ledger_claim_domain(f->s, l->id, id, STR("mx"), max, now, &l->c, &f->e);
	OK(f, n);
	OK(f, store_ledger_commit(f->s, &f->e));
	assert_int_equal(n, (int)l->c.n);
	return n;
}

static void defer(struct spread *l, int64_t delivery, ms_t at, ms_t due)
{
	struct outcome_row o = {.delivery = delivery,
		.kind = OUTCOME_DEFER,
		.at = at,
		.due = due,
		.code = 450,
		.reply = STR("later"),
		.class = CLASS_SOFT,
		.reason = STR("busy")};
	fixture_record(l->f, &o, 1, at);
}

static void waits__by_domain__claimed_and_sent(void **state)
{
	struct fixture *f = *state;
	struct spread l;
	spread_start(&l, f, 40, 0);
	shows(&l, "docomo.ne.jp/docomo 10+0, x.example/ 10+0, y.example/ 10+0, gmail.com/google 10+0, ");
	/* Nothing in id order. */
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 5, NOW, &l.c), 0);
	assert_int_equal(claim(&l, "x.example", 4, NOW), 4);
	assert_string_equal(l.c.v[0].address.p, "p2@x.example");
	assert_string_equal(l.c.v[0].domain.p, "x.example");
	assert_int_equal(l.c.v[0].first_attempt, NOW);
	assert_int_equal(store_ledger_usage(f->s, STR("mx"), NOW - HOUR, &f->e), 4);
	for (size_t i = 0; i < l.c.n; i++) {
		struct outcome_row o = fixture_sent(l.c.v[i].delivery, NOW + 1);
		fixture_record(f, &o, 1, NOW + 1);
	}
	assert_int_equal(claim(&l, "x.example", 100, NOW), 6);
	shows(&l, "docomo.ne.jp/docomo 10+0, y.example/ 10+0, gmail.com/google 10+0, ");
	assert_int_equal(claim(&l, "x.example", 100, NOW), 0);
	/* From a place on, and no more than asked for. */
	struct buf b = BUF_INIT(4096);
	assert_int_equal(
		store_ledger_waiting(f->s, l.id, domain_of(&l, "docomo.ne.jp"), 1, 3, one_domain, &b, &f->e),
		1);
	assert_string_equal(buf_cstr(&b), "y.example/ 3+0, ");
	buf_release(&b);
	spread_end(&l);
}

static void paused_provider__shows_nothing_to_claim(void **state)
{
	struct fixture *f = *state;
	struct spread l;
	spread_start(&l, f, 40, 0);
	OK(f, store_provider_pause(f->s, l.id, STR("docomo"), STR("brake-blocks"), STR(""), NOW, &f->e));
	shows(&l, "docomo.ne.jp/docomo 0+0, x.example/ 10+0, y.example/ 10+0, gmail.com/google 10+0, ");
	assert_int_equal(claim(&l, "docomo.ne.jp", 5, NOW), 0);
	assert_int_equal(claim(&l, "gmail.com", 5, NOW), 5);
	fixture_check(f);
	struct resume_options o = {.rate = -1, .doubt = -1, .past_brake = true, .at = NOW + 1};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	shows(&l, "docomo.ne.jp/docomo 10+0, x.example/ 10+0, y.example/ 10+0, gmail.com/google 5+0, ");
	assert_int_equal(claim(&l, "docomo.ne.jp", 5, NOW + 1), 5);
	spread_end(&l);
}

static void deferred__waits_for_its_time__and_half_the_room_stays_for_fresh_ones(void **state)
{
	struct fixture *f = *state;
	struct spread l;
	int64_t ids[6];
	spread_start(&l, f, 80, 0);
	assert_int_equal(claim(&l, "gmail.com", 6, NOW), 6);
	for (int i = 0; i < 6; i++)
		ids[i] = l.c.v[i].delivery;
	for (int i = 0; i < 6; i++)
		defer(&l, ids[i], NOW + 1, NOW + 100 + i);
	assert_int_equal(ripen(&l, NOW + 50), NOW + 100);
	assert_int_equal(claim(&l, "gmail.com", 1, NOW + 50), 1);
	assert_int_equal(l.c.v[0].attempt, 1);
	fixture_check(f);
	assert_int_equal(ripen(&l, NOW + 103), NOW + 104);
	fixture_check(f);
	assert_int_equal(claim(&l, "gmail.com", 6, NOW + 103), 6);
	/* The oldest first, then those never tried. */
	for (int i = 0; i < 6; i++)
		assert_int_equal(l.c.v[i].attempt, i < 3 ? 2 : 1);
	assert_int_equal(l.c.v[0].delivery, ids[0]);
	assert_int_equal(l.c.v[0].due, NOW + 100);
	/* One more was due; no time lies between it and now any more when it is put back. */
	struct outcome_row back = {.delivery = l.c.v[0].delivery, .kind = OUTCOME_RETURN, .due = NOW + 103};
	fixture_record(f, &back, 1, NOW + 103);
	fixture_check(f);
	assert_int_equal(claim(&l, "gmail.com", 100, NOW + 103), 12);
	assert_int_equal(ripen(&l, NOW + 103), NOW + 104);
	spread_end(&l);
}

static void resume_now__makes_all_claimable_at_once(void **state)
{
	struct fixture *f = *state;
	struct spread l;
	spread_start(&l, f, 40, 0);
	assert_int_equal(claim(&l, "x.example", 10, NOW), 10);
	int64_t ids[10];
	for (int i = 0; i < 10; i++)
		ids[i] = l.c.v[i].delivery;
	for (int i = 0; i < 10; i++)
		defer(&l, ids[i], NOW + 1, NOW + HOUR + i);
	shows(&l, "docomo.ne.jp/docomo 10+0, y.example/ 10+0, gmail.com/google 10+0, ");
	struct resume_options o = {.rate = -1, .now = true, .doubt = -1, .at = NOW + 5};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	shows(&l, "docomo.ne.jp/docomo 10+0, x.example/ 0+10, y.example/ 10+0, gmail.com/google 10+0, ");
	fixture_check(f);
	assert_int_equal(claim(&l, "x.example", 100, NOW + 5), 10);
	spread_end(&l);
}

static void suppressed_and_left__are_passed_by(void **state)
{
	struct fixture *f = *state;
	struct spread l;
	struct campaign_counts n;
	spread_start(&l, f, 40, 0);
	struct suppression s = {.key = STR("p2@x.example"), .reason = SUPPRESS_MANUAL, .created = NOW};
	OK(f, store_suppress(f->s, &s, NULL, &f->e));
	OK(f, store_contact_remove(f->s, fixture_contact(f, "p6@x.example"), 0, &f->e));
	OK(f, store_forget(f->s, STR("p10@x.example"), NOW, &f->e));
	assert_int_equal(claim(&l, "x.example", 100, NOW), 7);
	OK(f, store_campaign_counts(f->s, l.id, true, &n, &f->e));
	assert_int_equal(n.state[DELIVERY_SKIPPED], 3);
	spread_end(&l);
}

static void canary__only_those_are_seen_until_it_is_over(void **state)
{
	struct fixture *f = *state;
	struct spread l;
	int claimed = 0;
	static const char *const domains[] = {"gmail.com", "docomo.ne.jp", "x.example", "y.example"};
	spread_start(&l, f, 80, 12);
	int64_t late = 0;
	for (int i = 0; i < 4; i++) {
		int n = claim(&l, domains[i], 100, NOW);
		claimed += n;
		if (n > 0 && late == 0)
			defer(&l, late = l.c.v[0].delivery, NOW, NOW + 1000);
	}
	assert_int_equal(claimed, 12);
	shows(&l, "");
	fixture_check(f);
	ripen(&l, NOW + 2000);
	fixture_check(f);
	/* One that was deferred is of the canary still. */
	struct buf b = BUF_INIT(200);
	assert_int_equal(store_ledger_waiting(f->s, l.id, 0, 9, 9, one_domain, &b, &f->e), 1);
	buf_release(&b);
	OK(f, store_campaign_pause(f->s, l.id, STR("canary"), STR(""), NOW, &f->e));
	struct resume_options o = {.rate = -1, .doubt = -1, .at = NOW + 3000};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	fixture_check(f);
	for (int i = 0; i < 4; i++)
		claimed += claim(&l, domains[i], 100, NOW + 3000);
	assert_int_equal(claimed, 81);
	spread_end(&l);
}

static void pause_cancel__hands_out_nothing(void **state)
{
	struct fixture *f = *state;
	struct spread l;
	spread_start(&l, f, 40, 0);
	assert_int_equal(claim(&l, "x.example", 2, NOW), 2);
	int64_t id = l.c.v[0].delivery, other = l.c.v[1].delivery;
	OK(f, store_campaign_pause(f->s, l.id, STR("user"), STR(""), NOW, &f->e));
	shows(&l, "");
	assert_int_equal(claim(&l, "x.example", 2, NOW), 0);
	defer(&l, id, NOW + 1, NOW + 1);
	fixture_check(f);
	OK(f, store_campaign_cancel(f->s, l.id, NOW + 2, &f->e));
	defer(&l, other, NOW + 3, NOW + 3);
	assert_int_equal(claim(&l, "y.example", 2, NOW + 5), 0);
	spread_end(&l);
}

static void after_a_crash__those_in_doubt_wait_again(void **state)
{
	struct fixture *f = *state;
	struct spread l;
	int64_t n;
	spread_start(&l, f, 40, 0);
	assert_int_equal(claim(&l, "x.example", 3, NOW), 3);
	fixture_sql(f, "UPDATE lease SET pid = 1, pid_start = 1");
	fixture_lease(f);
	OK(f, store_ledger_recover(f->s, f->epoch, 1, NOW + 10, &n, &f->e));
	assert_int_equal(n, 3);
	ripen(&l, NOW + 10);
	shows(&l, "docomo.ne.jp/docomo 10+0, x.example/ 7+3, y.example/ 10+0, gmail.com/google 10+0, ");
	fixture_check(f);
	struct resume_options o = {.rate = -1, .doubt = 0, .at = NOW + 11};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	shows(&l, "docomo.ne.jp/docomo 10+0, x.example/ 7+0, y.example/ 10+0, gmail.com/google 10+0, ");
	fixture_check(f);
	o.doubt = 1;
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	ripen(&l, NOW + 12);
	assert_int_equal(claim(&l, "x.example", 100, NOW + 12), 10);
	spread_end(&l);
}

static void set_provider(struct spread *l, const char *domain, const char *provider)
{
	struct fixture *f = l->f;
	int64_t id = domain_of(l, domain);
	OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
	OK(f, store_ledger_set_provider(f->s, id, str_from(provider), &f->e));
	OK(f, store_ledger_commit(f->s, &f->e));
}

static int one_provider(void *ctx, const struct provider_row *r)
{
	buf_printf(ctx, "%.*s:%lld/%lld ", STR_ARG(r->provider), (long long)r->state[DELIVERY_QUEUED],
		(long long)r->state[DELIVERY_SENT]);
	return 0;
}

static void counts(struct spread *l, int64_t campaign, const char *want)
{
	struct buf b = BUF_INIT(4096);
	OK(l->f, store_report_providers(l->f->s, campaign, true, one_provider, &b, &l->f->e));
	assert_string_equal(buf_cstr(&b), want);
	buf_release(&b);
}

static void provider_by_mx__before_and_after_the_first_claim(void **state)
{
	struct fixture *f = *state;
	struct spread l;
	spread_start(&l, f, 40, 0);
	counts(&l, l.id, ":20/0 docomo:10/0 google:10/0 ");
	/* Known before anything of it was claimed: it counts there. */
	set_provider(&l, "x.example", "google");
	counts(&l, l.id, ":10/0 docomo:10/0 google:20/0 ");
	assert_int_equal(claim(&l, "x.example", 10, NOW), 10);
	assert_string_equal(l.c.v[0].provider.p, "google");
	/* Moved in the middle: this campaign keeps it, the next one does not. */
	int64_t second = spread_campaign(f, "july", 0);
	set_provider(&l, "x.example", "microsoft");
	for (size_t i = 0; i < l.c.n; i++) {
		struct outcome_row o = fixture_sent(l.c.v[i].delivery, NOW + 1);
		fixture_record(f, &o, 1, NOW + 1);
	}
	counts(&l, l.id, ":10/0 docomo:10/0 google:10/10 ");
	counts(&l, second, ":10/0 docomo:10/0 google:10/0 microsoft:10/0 ");
	fixture_check(f);
	/* And a third time: each campaign as it was. */
	int64_t first = l.id;
	l.id = second;
	assert_int_equal(claim(&l, "x.example", 1, NOW), 1);
	set_provider(&l, "x.example", "");
	struct outcome_row o = fixture_sent(l.c.v[0].delivery, NOW + 1);
	fixture_record(f, &o, 1, NOW + 1);
	counts(&l, second, ":10/0 docomo:10/0 google:10/0 microsoft:9/1 ");
	counts(&l, first, ":10/0 docomo:10/0 google:10/10 ");
	fixture_check(f);
	spread_end(&l);
}

/* Whatever is done in whatever order, what waits in the rows and what waits by domain agree. */
static void random_sequences__agree_with_the_check(void **state)
{
	struct fixture *f = *state;
	struct spread l;
	static const char *const domains[] = {"gmail.com", "docomo.ne.jp", "x.example", "y.example"};
	static const char *const providers[] = {"", "google", "microsoft"};
	ms_t now = NOW;
	srand(7);
	spread_start(&l, f, 120, 0);
	for (int step = 0; step < 400; step++) {
		now += rand() % 20;
		int what = rand() % 10;
		if (what < 5) {
			int n = claim(&l, domains[rand() % 4], rand() % 9 + 1, now);
			for (int i = 0; i < n; i++) {
				static const enum outcome_kind kinds[] = {OUTCOME_DEFER, OUTCOME_DEFER,
					OUTCOME_REQUEUE, OUTCOME_DOUBT, OUTCOME_RETURN, OUTCOME_FINAL};
				struct outcome_row o = {.delivery = l.c.v[i].delivery,
					.kind = kinds[rand() % 6],
					.state = DELIVERY_SENT,
					.at = now,
					.due = now + rand() % 60};
				/* Some stay on their way. */
				if (rand() % 8 != 0)
					fixture_record(f, &o, 1, now);
			}
		} else if (what < 8) {
			ripen(&l, now);
		} else if (what == 8) {
			struct resume_options o = {
				.rate = -1, .now = rand() % 2, .doubt = rand() % 3 - 1, .at = now};
			OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
		} else if (rand() % 4 == 0) {
			int64_t n;
			fixture_sql(f, "UPDATE lease SET pid = 1, pid_start = 1");
			fixture_lease(f);
			OK(f, store_ledger_recover(f->s, f->epoch, rand() % 3, now, &n, &f->e));
		} else {
			set_provider(&l, domains[rand() % 4], providers[rand() % 3]);
		}
		fixture_check(f);
	}
	spread_end(&l);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(waits__by_domain__claimed_and_sent),
		T(paused_provider__shows_nothing_to_claim),
		T(deferred__waits_for_its_time__and_half_the_room_stays_for_fresh_ones),
		T(resume_now__makes_all_claimable_at_once),
		T(suppressed_and_left__are_passed_by),
		T(canary__only_those_are_seen_until_it_is_over),
		T(pause_cancel__hands_out_nothing),
		T(after_a_crash__those_in_doubt_wait_again),
		T(provider_by_mx__before_and_after_the_first_claim),
		T(random_sequences__agree_with_the_check),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
