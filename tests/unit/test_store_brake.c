/* What brakes keep, what they are told of returned mail, and the pause of one provider. */
#include "src/db/report.h"
#include "src/db/sqlite.h"
#include "tests/unit/store_fixture.h"

struct ledger { /* a campaign to `n` people at gmail.com, docomo.ne.jp, x.example and y.example by turns */
	struct fixture *f;
	struct arena arena;
	struct claims c;
	int64_t id;
};

static void ledger_start(struct ledger *l, struct fixture *f, int n)
{
	*l = (struct ledger){.f = f};
	arena_init(&l->arena, 4096, 1 << 24);
	l->c.arena = &l->arena;
	fixture_people(f, "news", 1, n);
	fixture_lease(f);
	l->id = fixture_campaign(f, "june", 0);
	struct audience au = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	fixture_prepare(f, l->id, &au, 7);
}

static void ledger_end(struct ledger *l)
{
	fixture_check(l->f);
	free(l->c.v);
	arena_release(&l->arena);
}

static struct campaign_counts counts(struct ledger *l)
{
	struct campaign_counts n;
	OK(l->f, store_campaign_counts(l->f->s, l->id, true, &n, &l->f->e));
	return n;
}

/* However much one claim gives: it is bounded by the time that it takes, too. */
static int claim_all(struct ledger *l, enum claim_kind kind, ms_t now, const char *but)
{
	int n = 0;
	for (int got; (got = fixture_claim(l->f, l->id, kind, 1000, now, &l->c)) > 0; n += got)
		for (size_t i = 0; i < l->c.n; i++) {
			assert_false(but != NULL && str_is(l->c.v[i].provider, but));
			struct outcome_row o = fixture_sent(l->c.v[i].delivery, now);
			fixture_record(l->f, &o, 1, now);
		}
	return n;
}

static int one_pause(void *ctx, const struct provider_pause *p)
{
	buf_printf(ctx, "%.*s:%.*s:%.*s ", STR_ARG(p->provider), STR_ARG(p->why), STR_ARG(p->why_text));
	return 0;
}

static void a_paused_provider_waits(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct buf b = BUF_INIT(1000);
	ledger_start(&l, f, 40);
	OK(f, store_provider_pause(f->s, l.id, STR("docomo"), STR("user"), STR("by hand"), NOW, &f->e));
	OK(f, store_provider_pauses(f->s, l.id, one_pause, &b, &f->e));
	assert_string_equal(buf_cstr(&b), "docomo:user:by hand ");
	assert_int_equal(claim_all(&l, CLAIM_FRESH, NOW, "docomo"), 30);
	struct campaign_counts n = counts(&l);
	assert_int_equal(n.fresh, 0);
	assert_int_equal(n.parked, 10);
	assert_int_equal(n.state[DELIVERY_QUEUED], 10);
	assert_int_equal(store_ledger_next_due(f->s, l.id, &f->e), 0);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 100, NOW + 400 * DAY, &l.c), 0);
	fixture_check(f);
	/* "Now" does not mean them. */
	OK(f, store_campaign_pause(f->s, l.id, STR("canary"), STR(""), NOW, &f->e));
	OK(f, store_provider_pause(f->s, l.id, STR("google"), STR("brake-blocks"), STR(""), NOW, &f->e));
	struct resume_options o = {.rate = -1, .doubt = -1, .now = true, .at = NOW + 1};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	buf_clear(&b);
	OK(f, store_provider_pauses(f->s, l.id, one_pause, &b, &f->e));
	assert_string_equal(buf_cstr(&b), "google:brake-blocks: ");
	assert_int_equal(counts(&l).fresh, 10);
	assert_int_equal(claim_all(&l, CLAIM_DUE, NOW + 1, NULL), 10);
	assert_int_equal(counts(&l).state[DELIVERY_SENT], 40);
	buf_release(&b);
	ledger_end(&l);
}

static void a_deferred_one_is_parked_when_its_time_comes(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	ledger_start(&l, f, 4);
	fixture_claim(f, l.id, CLAIM_FRESH, 4, NOW, &l.c);
	for (size_t i = 0; i < l.c.n; i++) {
		struct outcome_row o = fixture_sent(l.c.v[i].delivery, NOW);
		o.kind = OUTCOME_DEFER;
		o.due = NOW + MINUTE;
		fixture_record(f, &o, 1, NOW);
	}
	OK(f, store_provider_pause(f->s, l.id, STR("google"), STR("brake-blocks"), STR("x"), NOW, &f->e));
	assert_int_equal(claim_all(&l, CLAIM_DUE, NOW + HOUR, "google"), 3);
	assert_int_equal(counts(&l).state[DELIVERY_DEFERRED], 1);
	assert_int_equal(counts(&l).parked, 0);
	assert_int_equal(store_ledger_next_due(f->s, l.id, &f->e), 0);
	fixture_check(f);
	/* A person's resume leaves what a brake stopped; it is parked again. */
	struct resume_options o = {.rate = -1, .doubt = -1, .at = NOW + HOUR};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	assert_int_equal(claim_all(&l, CLAIM_DUE, NOW + HOUR, "google"), 0);
	o.past_brake = true;
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	assert_int_equal(claim_all(&l, CLAIM_DUE, NOW + HOUR, NULL), 1);
	struct campaign_row c;
	OK(f, store_campaign_by_id(f->s, l.id, &c, &f->e));
	assert_int_equal(c.armed, NOW + HOUR);
	ledger_end(&l);
}

static void cancelled_parked_ones_are_cancelled(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	ledger_start(&l, f, 8);
	OK(f, store_provider_pause(f->s, l.id, STR("google"), STR("user"), STR(""), NOW, &f->e));
	assert_int_equal(claim_all(&l, CLAIM_FRESH, NOW, "google"), 6);
	OK(f, store_campaign_cancel(f->s, l.id, NOW, &f->e));
	assert_int_equal(counts(&l).state[DELIVERY_CANCELLED], 2);
	assert_int_equal(counts(&l).parked, 0);
	assert_int_equal(
		store_provider_pause(f->s, l.id, STR("yahoo"), STR("user"), STR(""), NOW, &f->e), -1);
	assert_int_equal(f->e.code, ERR_DATA);
	ledger_end(&l);
}

/* Somebody else's cancel, before the store's transaction of that number. */
struct other {
	struct store *s;
	int64_t campaign;
	int before, begun;
};

static int on_statement(unsigned event, void *ctx, void *st, void *sql)
{
	struct other *o = ctx;
	struct err e = {0};
	(void)event;
	(void)st;
	if (strncmp(sql, "BEGIN", 5) == 0 && ++o->begun == o->before)
		assert_int_equal(store_campaign_cancel(o->s, o->campaign, NOW, &e), 0);
	return 0;
}

static void cancelled_while_they_are_unparked(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	ledger_start(&l, f, 1200);
	OK(f, store_provider_pause(f->s, l.id, STR("google"), STR("user"), STR(""), NOW, &f->e));
	OK(f, store_provider_pause(f->s, l.id, STR("docomo"), STR("user"), STR(""), NOW, &f->e));
	assert_int_equal(claim_all(&l, CLAIM_FRESH, NOW, NULL), 600);
	assert_int_equal(counts(&l).parked, 600);
	/* First the campaign itself, then a slice, and another. */
	struct other o = {.s = fixture_open(f, STORE_WRITE), .campaign = l.id, .before = 3};
	sqlite3_trace_v2(f->s->db, SQLITE_TRACE_STMT, on_statement, &o);
	struct resume_options r = {.rate = -1, .doubt = -1, .at = NOW + 1};
	FAILS(f, ERR_DATA, store_campaign_resume(f->s, l.id, &r, &f->e));
	sqlite3_trace_v2(f->s->db, 0, NULL, NULL);
	store_close(&o.s);
	assert_int_equal(o.begun, 3);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM tally WHERE n < 0"), 0);
	assert_int_equal(counts(&l).state[DELIVERY_CANCELLED], 600);
	ledger_end(&l);
}

static int one_meter(void *ctx, struct str name, struct str data)
{
	buf_printf(ctx, "[%.*s]%.*s ", STR_ARG(name), STR_ARG(data));
	return 0;
}

static void meters_are_kept_for_each_campaign(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct buf b = BUF_INIT(1000);
	ledger_start(&l, f, 4);
	int64_t other = fixture_campaign(f, "other", 0);
	OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
	OK(f, store_ledger_meter(f->s, l.id, STR(""), STR("1"), &f->e));
	OK(f, store_ledger_meter(f->s, l.id, STR("google"), STR("2"), &f->e));
	OK(f, store_ledger_meter(f->s, l.id, STR("google"), STR("3"), &f->e));
	OK(f, store_ledger_meter(f->s, other, STR("google"), STR("4"), &f->e));
	OK(f, store_ledger_commit(f->s, &f->e));
	OK(f, store_meters(f->s, l.id, one_meter, &b, &f->e));
	assert_string_equal(buf_cstr(&b), "[]1 [google]3 ");
	buf_release(&b);
	ledger_end(&l);
}

static int one_returned(void *ctx, const struct came_back *r)
{
	buf_printf(ctx, "[%.*s]%lld/%lld/%lld ", STR_ARG(r->provider), (long long)r->bounced,
		(long long)r->blocked, (long long)r->complaints);
	return 0;
}

static void returned(struct ledger *l, size_t n, const char *fingerprint, enum returned_effect effect,
	enum reply_class class)
{
	struct returned_done done;
	const struct returned_new r = {.fingerprint = str_from(fingerprint),
		.effect = effect,
		.delivery = l->c.v[n].delivery,
		.at = NOW + 5,
		.kind = STR("bounce"),
		.source = STR("receive"),
		.class = class,
		.scope = SCOPE_ADDRESS,
		.reason = STR("x")};
	OK(l->f, store_returned(l->f->s, &r, &done, &l->f->e));
}

static void what_came_back_is_counted_by_provider(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct buf b = BUF_INIT(1000);
	ledger_start(&l, f, 8);
	claim_all(&l, CLAIM_FRESH, NOW, NULL);
	returned(&l, 0, "a", RETURNED_FAILED, CLASS_HARD);
	returned(&l, 0, "a", RETURNED_FAILED, CLASS_HARD);
	returned(&l, 0, "b", RETURNED_FAILED, CLASS_HARD); /* of the same delivery once more */
	returned(&l, 4, "c", RETURNED_FAILED, CLASS_BLOCK);
	returned(&l, 1, "d", RETURNED_COMPLAINT, CLASS_NONE);
	returned(&l, 2, "e", RETURNED_NOTHING, CLASS_NONE);
	OK(f, store_ledger_came_back(f->s, l.id, one_returned, &b, &f->e));
	assert_string_equal(buf_cstr(&b), "[]0/0/1 [docomo]1/1/0 ");
	buf_release(&b);
	ledger_end(&l);
}

static void complaints_are_counted_by_provider(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct buf b = BUF_INIT(1000);
	ledger_start(&l, f, 8);
	claim_all(&l, CLAIM_FRESH, NOW, NULL);
	OK(f, store_ledger_came_back(f->s, l.id, one_returned, &b, &f->e));
	assert_string_equal(buf_cstr(&b), "");
	static const char *const who[] = {
		"p1@docomo.ne.jp", "\"p@5\"@docomo.ne.jp", "p1@docomo.ne.jp", "p2@x.example", "who@nowhere"};
	for (size_t i = 0; i < sizeof who / sizeof who[0]; i++) {
		struct suppression s = {.key = str_from(who[i]),
			.reason = SUPPRESS_COMPLAINT,
			.campaign = l.id,
			.created = NOW};
		OK(f, store_suppress(f->s, &s, NULL, &f->e));
	}
	OK(f, store_ledger_came_back(f->s, l.id, one_returned, &b, &f->e));
	assert_string_equal(buf_cstr(&b), "[]0/0/2 [docomo]0/0/2 ");
	buf_release(&b);
	ledger_end(&l);
}

static int last_dialogue(void *ctx, const struct attempt_row *a)
{
	buf_printf(ctx, "%d:%.*s", a->n, STR_ARG(a->dialogue));
	return 0;
}

static void dialogues_of_failures_are_kept_and_forgotten(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct buf b = BUF_INIT(1000);
	ledger_start(&l, f, 1);
	fixture_claim(f, l.id, CLAIM_FRESH, 1, NOW, &l.c);
	struct outcome_row o = fixture_sent(l.c.v[0].delivery, NOW);
	o.kind = OUTCOME_DEFER;
	o.due = NOW + 1;
	o.dialogue = STR("0.000 > RCPT TO:<p1@docomo.ne.jp>\n0.001 < 450 no\n");
	fixture_record(f, &o, 1, NOW);
	claim_all(&l, CLAIM_DUE, NOW + 1, NULL);
	OK(f, store_attempts(f->s, o.delivery, last_dialogue, &b, &f->e));
	assert_string_equal(buf_cstr(&b), "1:0.000 > RCPT TO:<p1@docomo.ne.jp>\n0.001 < 450 no\n2:");
	OK(f, store_forget(f->s, STR("p1@docomo.ne.jp"), NOW, &f->e));
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM dialogue"), 0);
	buf_release(&b);
	ledger_end(&l);
}

static void the_last_reply_that_stopped_it_is_forgotten(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	const struct str reply = STR("12 of 100; the last reply: 550 <P1@docomo.ne.jp> unknown");
	ledger_start(&l, f, 1);
	OK(f, store_provider_pause(f->s, l.id, STR("docomo"), STR("brake-blocks"), reply, NOW, &f->e));
	OK(f, store_campaign_pause(f->s, l.id, STR("brake-bounces"), reply, NOW, &f->e));
	OK(f, store_forget(f->s, STR("p1@docomo.ne.jp"), NOW, &f->e));
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM campaign WHERE why_text <> ''"), 0);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM provider_pause WHERE text <> ''"), 0);
	ledger_end(&l);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(a_paused_provider_waits),
		T(a_deferred_one_is_parked_when_its_time_comes),
		T(cancelled_parked_ones_are_cancelled),
		T(cancelled_while_they_are_unparked),
		T(meters_are_kept_for_each_campaign),
		T(what_came_back_is_counted_by_provider),
		T(complaints_are_counted_by_provider),
		T(dialogues_of_failures_are_kept_and_forgotten),
		T(the_last_reply_that_stopped_it_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
