#include "src/db/live.h"
#include "src/db/report.h"
#include "src/db/usage.h"
#include "tests/unit/store_fixture.h"

struct ledger { /* a campaign to `n` people, prepared */
	struct fixture *f;
	struct arena arena;
	struct claims c;
	int64_t id;
};

static void ledger_start(struct ledger *l, struct fixture *f, int n, int64_t canary)
{
	*l = (struct ledger){.f = f};
	arena_init(&l->arena, 4096, 1 << 24);
	l->c.arena = &l->arena;
	fixture_people(f, "news", 1, n);
	fixture_lease(f);
	l->id = fixture_campaign(f, "june", canary);
	struct audience au = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	fixture_prepare(f, l->id, &au, 7);
}

static void ledger_end(struct ledger *l)
{
	fixture_check(l->f);
	free(l->c.v);
	arena_release(&l->arena);
}

static int64_t in_state(struct ledger *l, enum delivery_state st)
{
	struct campaign_counts n;
	int64_t sum = 0;
	OK(l->f, store_campaign_counts(l->f->s, l->id, true, &n, &l->f->e));
	for (int i = 0; i < DELIVERY_NSTATES; i++)
		sum += n.state[i];
	struct campaign_row c;
	OK(l->f, store_campaign_by_id(l->f->s, l->id, &c, &l->f->e));
	assert_int_equal(sum, c.selection.audience);
	return n.state[st];
}

static struct outcome_row refused(int64_t delivery, enum outcome_kind kind, enum delivery_state st, ms_t due)
{
	return (struct outcome_row){.delivery = delivery,
		.kind = kind,
		.state = st,
		.at = NOW + 10,
		.due = due,
		.code = 450,
		.enhanced = "4.2.1",
		.reply = STR("450 4.2.1 busy"),
		.class = CLASS_SOFT,
		.scope = SCOPE_SITE,
		.reason = STR("busy"),
		.site = STR("mx.example"),
		.route = STR("main")};
}

static void sent_to_all__counts_and_words_agree(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct delivery_row d;
	ledger_start(&l, f, 50, 0);
	assert_int_equal(in_state(&l, DELIVERY_QUEUED), 50);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 30, NOW, &l.c), 30);
	assert_int_equal(DELIVERY_NUMBER(l.c.v[29].delivery), 30);
	assert_string_equal(l.c.v[0].address.p, "p1@docomo.ne.jp");
	assert_string_equal(l.c.v[0].provider.p, "docomo");
	assert_string_equal(l.c.v[0].list_name.p, "news");
	assert_int_equal(l.c.v[0].attempt, 1);
	assert_int_equal(l.c.v[0].first_attempt, NOW);
	assert_int_equal(in_state(&l, DELIVERY_SENDING), 30);
	assert_int_equal(store_ledger_usage(f->s, STR("main"), NOW - HOUR, &f->e), 30);
	for (size_t i = 0; i < l.c.n; i++) {
		struct outcome_row o = fixture_sent(l.c.v[i].delivery, NOW + 10);
		fixture_record(f, &o, 1, NOW + 10);
	}
	assert_int_equal(in_state(&l, DELIVERY_SENT), 30);
	OK(f, store_delivery_get(f->s, l.c.v[3].delivery, true, &d, &f->e));
	assert_int_equal(d.state, DELIVERY_SENT);
	assert_int_equal(d.code, 250);
	assert_string_equal(d.reply.p, "250 2.0.0 Ok: queued as 4F2");
	assert_string_equal(d.site.p, "mx.example");
	assert_string_equal(d.relay_id.p, "4F2");
	assert_int_equal(d.first_attempt, NOW);
	assert_int_equal(d.last_attempt, NOW + 10);
	ledger_end(&l);
}

static void outcome__of_a_returned_claim__was_never_tried(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct campaign_counts n;
	ledger_start(&l, f, 5, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 5, NOW, &l.c);
	struct outcome_row o = {.delivery = l.c.v[0].delivery, .kind = OUTCOME_RETURN, .due = NOW + 5};
	fixture_record(f, &o, 1, NOW + 1);
	assert_int_equal(in_state(&l, DELIVERY_QUEUED), 1);
	assert_int_equal(store_ledger_usage(f->s, STR("main"), NOW - HOUR, &f->e), 4);
	OK(f, store_campaign_counts(f->s, l.id, true, &n, &f->e));
	assert_int_equal(n.fresh, 1);
	assert_int_equal(n.attempts, 0);
	assert_int_equal(store_ledger_next_due(f->s, l.id, &f->e), NOW + 5);
	assert_int_equal(store_ledger_next_due(f->s, 0, &f->e), NOW + 5);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 5, NOW + 5, &l.c), 0);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 5, NOW + 4, &l.c), 0);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 5, NOW + 5, &l.c), 1);
	assert_int_equal(l.c.v[0].attempt, 1);
	assert_int_equal(l.c.v[0].first_attempt, NOW + 5);
	ledger_end(&l);
}

static int one_minute(void *ctx, const struct timeline_row *r)
{
	int64_t *n = ctx;
	n[0] += r->sent;
	n[1] += r->deferred + r->failed;
	return 0;
}

static int one_reason(void *ctx, const struct reason_row *r)
{
	buf_printf(ctx, "%s/%.*s/%.*s/%lld ", reply_class_names[r->class], STR_ARG(r->reason),
		STR_ARG(r->provider), (long long)r->deliveries);
	return 0;
}

static void outcome__skipped__takes_no_place_in_a_quota(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	int64_t n[2] = {0};
	ledger_start(&l, f, 5, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 5, NOW, &l.c);
	struct outcome_row o[] = {
		{.delivery = l.c.v[0].delivery,
			.kind = OUTCOME_FINAL,
			.state = DELIVERY_SKIPPED,
			.at = NOW,
			.reason = STR("template")},
		{.delivery = l.c.v[1].delivery, .kind = OUTCOME_FINAL, .state = DELIVERY_SENT, .at = NOW},
		{.delivery = l.c.v[2].delivery, .kind = OUTCOME_FINAL, .state = DELIVERY_BOUNCED, .at = NOW},
	};
	fixture_record(f, o, 3, NOW + 1);
	assert_int_equal(in_state(&l, DELIVERY_SKIPPED), 1);
	assert_int_equal(store_ledger_usage(f->s, STR("main"), NOW - HOUR, &f->e), 4);
	OK(f, store_report_timeline(f->s, l.id, one_minute, n, &f->e));
	assert_int_equal(n[0], 1);
	assert_int_equal(n[1], 1);
	/* And is counted with the reason. */
	struct buf b = BUF_INIT(1000);
	OK(f, store_report_reasons(f->s, l.id, one_reason, &b, &f->e));
	assert_string_equal(b.p, "/template/docomo/1 ");
	buf_release(&b);
	ledger_end(&l);
}

static int one_attempt(void *ctx, const struct attempt_row *a)
{
	buf_printf(ctx, "%d:%d:%d:%.*s ", a->n, (int)a->kind, a->code, STR_ARG(a->reason));
	return 0;
}

static void deferred__retried__keeps_its_first_attempt_and_its_last_reason(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct buf b = BUF_INIT(1000);
	ledger_start(&l, f, 3, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 2, NOW, &l.c);
	struct outcome_row o[2] = {refused(l.c.v[0].delivery, OUTCOME_DEFER, 0, NOW + 100),
		refused(l.c.v[1].delivery, OUTCOME_REQUEUE, 0, NOW + 50)};
	fixture_record(f, o, 2, NOW + 10);
	assert_int_equal(in_state(&l, DELIVERY_DEFERRED), 1);
	assert_int_equal(in_state(&l, DELIVERY_QUEUED), 2);
	OK(f, store_report_reasons(f->s, l.id, one_reason, &b, &f->e));
	assert_string_equal(b.p, "soft/busy//1 soft/busy/docomo/1 ");
	/* Oldest due first. */
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 1, NOW + 200, &l.c), 1);
	assert_int_equal(DELIVERY_NUMBER(l.c.v[0].delivery), 2);
	assert_int_equal(l.c.v[0].attempt, 2);
	assert_int_equal(l.c.v[0].first_attempt, NOW);
	assert_int_equal(l.c.v[0].due, NOW + 50);
	o[0] = fixture_sent(l.c.v[0].delivery, NOW + 200);
	fixture_record(f, o, 1, NOW + 200);
	buf_clear(&b);
	OK(f, store_report_reasons(f->s, l.id, one_reason, &b, &f->e));
	assert_string_equal(b.p, "soft/busy/docomo/1 ");
	buf_clear(&b);
	OK(f, store_attempts(f->s, l.c.v[0].delivery, one_attempt, &b, &f->e));
	assert_string_equal(b.p, "1:2:450:busy 2:0:250: ");
	/* Its time ran out: what is known of it stays its last attempt. */
	fixture_claim(f, l.id, CLAIM_DUE, 5, NOW + 200, &l.c);
	o[0] = (struct outcome_row){.delivery = l.c.v[0].delivery,
		.kind = OUTCOME_FINAL,
		.state = DELIVERY_EXPIRED,
		.at = NOW + 201};
	fixture_record(f, o, 1, NOW + 201);
	struct delivery_row d;
	OK(f, store_delivery_get(f->s, l.c.v[0].delivery, true, &d, &f->e));
	assert_int_equal(d.state, DELIVERY_EXPIRED);
	assert_int_equal(d.attempts, 1);
	assert_int_equal(d.code, 450);
	buf_release(&b);
	ledger_end(&l);
}

static void hard_refusal__suppresses_in_the_same_commit(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	ledger_start(&l, f, 4, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 1, NOW, &l.c);
	struct outcome_row o = refused(l.c.v[0].delivery, OUTCOME_FINAL, DELIVERY_BOUNCED, 0);
	o.class = CLASS_HARD;
	o.suppress = true;
	fixture_record(f, &o, 1, NOW);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM suppression WHERE key = 'p1@docomo.ne.jp' AND "
					"reason = 0 AND list = 0"),
		1);
	ledger_end(&l);
}

static void claim__whoever_must_not_be_mailed_any_more__is_skipped(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct delivery_row d;
	ledger_start(&l, f, 6, 0);
	int64_t list = fixture_list(f, "news");
	struct suppression s = {
		.key = STR("p1@docomo.ne.jp"), .list = list, .reason = SUPPRESS_UNSUBSCRIBE, .created = NOW};
	OK(f, store_suppress(f->s, &s, NULL, &f->e));
	s = (struct suppression){
		.key = STR("@x.example"), .reason = SUPPRESS_MANUAL, .created = NOW}; /* p2, p6 */
	OK(f, store_suppress(f->s, &s, NULL, &f->e));
	OK(f, store_contact_remove(f->s, fixture_contact(f, "p3@y.example"), list, &f->e));
	OK(f, store_forget(f->s, STR("p4@gmail.com"), NOW, &f->e));
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 10, NOW, &l.c), 1);
	assert_string_equal(l.c.v[0].address.p, "p5@docomo.ne.jp");
	assert_int_equal(in_state(&l, DELIVERY_SKIPPED), 5);
	static const char *const why[] = {
		"unsubscribed", "suppressed", "left", "forgotten", "", "suppressed"};
	for (int i = 0; i < 6; i++) {
		OK(f, store_delivery_get(f->s, DELIVERY_ID(l.id, i + 1), true, &d, &f->e));
		assert_string_equal(d.reason.p, why[i]);
		assert_int_equal(d.attempts, 0);
	}
	struct buf b = BUF_INIT(1000);
	OK(f, store_report_reasons(f->s, l.id, one_reason, &b, &f->e));
	assert_string_equal(b.p, "/suppressed//2 /forgotten/google/1 /left//1 /unsubscribed/docomo/1 ");
	/* And between two attempts. */
	struct outcome_row o = refused(l.c.v[0].delivery, OUTCOME_DEFER, 0, NOW + 20);
	fixture_record(f, &o, 1, NOW);
	buf_clear(&b);
	OK(f, store_report_reasons(f->s, l.id, one_reason, &b, &f->e));
	assert_non_null(strstr(b.p, "soft/busy/docomo/1 "));
	s = (struct suppression){.key = STR("p5@docomo.ne.jp"), .reason = SUPPRESS_COMPLAINT, .created = NOW};
	OK(f, store_suppress(f->s, &s, NULL, &f->e));
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 10, NOW + 30, &l.c), 0);
	assert_int_equal(in_state(&l, DELIVERY_SKIPPED), 6);
	buf_clear(&b);
	OK(f, store_report_reasons(f->s, l.id, one_reason, &b, &f->e));
	assert_non_null(strstr(b.p, "/suppressed/docomo/1 "));
	assert_null(strstr(b.p, "busy")); /* nobody counts under two */
	buf_release(&b);
	ledger_end(&l);
}

/* A deletion that was cut short, or is under way, leaves members behind. */
static void claim__of_a_list_that_is_being_deleted__is_skipped(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	ledger_start(&l, f, 3, 0);
	fixture_sql(f, "UPDATE list SET gone = 1, members = 0");
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 10, NOW, &l.c), 0);
	assert_int_equal(in_state(&l, DELIVERY_SKIPPED), 3);
	ledger_end(&l);
}

/* Many are asked for in a row: then most are answered by what was read of the suppressions once. Who is
 * suppressed afterwards, by another process, is not mailed for all that. */
static void claim__suppressed_while_the_audience_was_fixed__is_skipped(void **state)
{
	enum { MANY = 20500 };
	struct fixture *f = *state;
	struct ledger l = {.f = f};
	struct import_row *rows = calloc(MANY, sizeof *rows);
	char(*keys)[32] = calloc(MANY, sizeof *keys);
	struct import *im = fixture_import(f, "news", false);
	bool done = false;
	int64_t claimed = 0;
	arena_init(&l.arena, 1 << 20, 1 << 28);
	l.c.arena = &l.arena;
	for (int i = 0; i < MANY; i++) {
		snprintf(keys[i], sizeof keys[i], "p%d@x.example", i);
		rows[i] = fixture_row(keys[i], STR(""));
	}
	OK(f, store_import_rows(f->s, im, rows, MANY, &f->e));
	OK(f, store_import_commit(f->s, &im, &f->e));
	struct suppression s = {.key = STR("p7@x.example"), .reason = SUPPRESS_MANUAL, .created = NOW};
	OK(f, store_suppress(f->s, &s, NULL, &f->e));
	fixture_lease(f);
	l.id = fixture_campaign(f, "june", 0);
	struct audience a = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	struct store *other = fixture_open(f, STORE_WRITE);
	for (int slice = 0; !done; slice++) {
		OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
		OK(f, store_ledger_prepare(f->s, l.id, &a, slice == 0 ? 20200 : 100, NOW, &done, &f->e));
		OK(f, store_ledger_commit(f->s, &f->e));
		static const char *const late[] = {"p0@x.example", "p20499@x.example"};
		for (int i = 0; slice == 1 && i < 2; i++) {
			s.key = str_from(late[i]);
			OK(f, store_suppress(other, &s, NULL, &f->e));
		}
	}
	store_close(&other);
	/* Who was behind what had been read is in the audience, and goes no further. */
	assert_int_equal(in_state(&l, DELIVERY_QUEUED), MANY - 1);
	for (int i = 0; i < 100 && claimed < MANY; i++) {
		claimed += fixture_claim(f, l.id, CLAIM_FRESH, MANY, NOW, &l.c);
		for (size_t k = 0; k < l.c.n; k++)
			assert_false(str_is(l.c.v[k].key, "p0@x.example") ||
				     str_is(l.c.v[k].key, "p20499@x.example"));
	}
	assert_int_equal(claimed, MANY - 3);
	assert_int_equal(in_state(&l, DELIVERY_SKIPPED), 2);
	free(rows);
	free(keys);
	ledger_end(&l);
}

/* ---- Death of the deliverer ---- */

static void takes_over(struct ledger *l, int rule, int64_t in_doubt)
{
	int64_t n;
	fixture_sql(l->f, "UPDATE lease SET pid = 1, pid_start = 1");
	fixture_lease(l->f);
	OK(l->f, store_ledger_recover(l->f->s, l->f->epoch, rule, NOW + 500, &n, &l->f->e));
	assert_int_equal(n, in_doubt);
}

static void recover__resend__once_then_final(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct campaign_counts n;
	ledger_start(&l, f, 5, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 2, NOW, &l.c);
	OK(f, store_campaign_counts(f->s, l.id, false, &n, &f->e));
	assert_int_equal(n.state[DELIVERY_DOUBT], 2);
	takes_over(&l, 1, 2);
	OK(f, store_campaign_counts(f->s, l.id, true, &n, &f->e));
	assert_int_equal(n.state[DELIVERY_DOUBT], 2);
	assert_int_equal(n.resend_due, 2);
	assert_int_equal(n.doubted, 2);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 500, &l.c), 2);
	assert_true(l.c.v[0].doubted);
	assert_int_equal(l.c.v[0].first_attempt, NOW); /* so the message is the same */
	takes_over(&l, 1, 2);
	OK(f, store_campaign_counts(f->s, l.id, true, &n, &f->e));
	assert_int_equal(n.state[DELIVERY_DOUBT], 2);
	assert_int_equal(n.resend_due, 0);
	assert_int_equal(n.doubted, 2);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 9999, &l.c), 0);
	struct resume_options o = {.rate = -1, .doubt = 1, .at = NOW + 600};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 9999, &l.c), 0);
	ledger_end(&l);
}

static void recover__hold_then_asked(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	ledger_start(&l, f, 5, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 3, NOW, &l.c);
	takes_over(&l, 2, 3);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 9999, &l.c), 0);
	struct resume_options o = {.rate = -1, .doubt = 1, .at = NOW + 600};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	fixture_check(f);
	o.doubt = 0;
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	fixture_check(f);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 9999, &l.c), 0);
	o.doubt = 1;
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 9999, &l.c), 3);
	assert_int_equal(in_state(&l, DELIVERY_DOUBT), 0);
	ledger_end(&l);
}

static int after_commit(void *ctx, sqlite3 *db, const char *name, int pages)
{
	(void)db, (void)name, (void)pages;
	struct fixture *f = ctx;
	assert_int_equal(fixture_sql(f, "SELECT state = 2 AND NOT EXISTS (SELECT 1 FROM delivery WHERE due "
					"IS NOT NULL) FROM campaign"),
		0);
	return SQLITE_OK;
}

/* Whoever delivers may look at it at any of these moments, and ends what has nothing left. */
static void resume__of_those_in_doubt__finds_them_due(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	_Static_assert(CAMPAIGN_RUNNING == 2, "the number in after_commit");
	ledger_start(&l, f, 3, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 3, NOW, &l.c);
	takes_over(&l, 2, 3);
	OK(f, store_campaign_pause(f->s, l.id, STR("doubt"), STR(""), NOW, &f->e));
	sqlite3_wal_hook(f->s->db, after_commit, f);
	struct resume_options o = {.rate = -1, .doubt = 1, .at = NOW + 600};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	sqlite3_wal_hook(f->s->db, NULL, NULL);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 9999, &l.c), 3);
	ledger_end(&l);
}

static void resend__of_one_that_was_skipped__has_its_own_words(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct delivery_row d;
	bool added;
	int64_t n;
	ledger_start(&l, f, 1, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 1, NOW, &l.c);
	takes_over(&l, 1, 1);
	struct suppression sup = {.key = STR("p1@docomo.ne.jp"), .reason = SUPPRESS_MANUAL, .created = NOW};
	OK(f, store_suppress(f->s, &sup, &added, &f->e));
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 500, &l.c), 0);
	struct suppression_query all = {.list = -1, .reason = -1};
	OK(f, store_unsuppress(f->s, &all, STR(""), false, &n, &f->e));
	struct resume_options o = {.rate = -1, .doubt = 1, .at = NOW + 600};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 600, &l.c), 1);
	struct outcome_row sent = fixture_sent(l.c.v[0].delivery, NOW + 610);
	fixture_record(f, &sent, 1, NOW + 610);
	OK(f, store_delivery_get(f->s, sent.delivery, true, &d, &f->e));
	assert_int_equal(d.state, DELIVERY_SENT);
	assert_string_equal(d.reason.p, "");
	assert_string_equal(d.reply.p, "250 2.0.0 Ok: queued as 4F2");
	ledger_end(&l);
}

static int one_step(void *ctx)
{
	++*(int *)ctx;
	return 0;
}

static void doubt_skipped__few_among_many_that_wait(void **state)
{
	enum { DEFERRED = 1440, DOUBTFUL = 60, STEP = 100 };
	struct fixture *f = *state;
	struct ledger l;
	struct campaign_counts n;
	int steps = 0;
	ledger_start(&l, f, DEFERRED + DOUBTFUL, 0);
	/* So few that a claim never ends for the time that it takes. */
	for (int waiting = 0; waiting < DEFERRED; waiting += DOUBTFUL) {
		struct outcome_row rows[DOUBTFUL];
		assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, DOUBTFUL, NOW, &l.c), DOUBTFUL);
		for (int i = 0; i < DOUBTFUL; i++)
			rows[i] = refused(l.c.v[i].delivery, OUTCOME_DEFER, DELIVERY_DEFERRED,
				NOW + 20 + (waiting + i) / 2);
		fixture_record(f, rows, DOUBTFUL, NOW + 10);
	}
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, DOUBTFUL, NOW, &l.c), DOUBTFUL);
	takes_over(&l, 1, DOUBTFUL);
	OK(f, store_campaign_counts(f->s, l.id, true, &n, &f->e));
	assert_int_equal(n.resend_due, DOUBTFUL);
	struct resume_options o = {.rate = -1, .doubt = 0, .at = NOW + 600};
	sqlite3_progress_handler(f->s->db, STEP, one_step, &steps);
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	sqlite3_progress_handler(f->s->db, 0, NULL, NULL);
	OK(f, store_campaign_counts(f->s, l.id, true, &n, &f->e));
	assert_int_equal(n.resend_due, 0);
	assert_int_equal(n.state[DELIVERY_DOUBT], DOUBTFUL);
	/* Those that wait are looked at once, not once for each. */
	assert_in_range(steps * STEP, 0, 50 * (DEFERRED + 20 * DOUBTFUL));
	ledger_end(&l);
}

static void epoch__of_a_holder_that_was_replaced__is_fenced(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct holder self, other;
	int64_t epoch, n;
	ledger_start(&l, f, 5, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 2, NOW, &l.c);
	struct store *second = fixture_open(f, STORE_WRITE);
	holder_self(&self, "serve");
	FAILS(f, ERR_AGAIN, store_lease_take(second, &self, clock_now(), &epoch, &other, &f->e));
	assert_string_equal(other.what, "send");
	/* A wall clock that was set is no death. */
	FAILS(f, ERR_AGAIN, store_lease_take(second, &self, clock_now() + 2 * HOUR, &epoch, &other, &f->e));
	/* Alive but stopped for longer than a lease lasts. */
	clock_fake(clock_now() + 61 * SECOND);
	OK(f, store_lease_take(second, &self, clock_now(), &epoch, &other, &f->e));
	clock_fake(0);
	assert_int_equal(epoch, f->epoch + 1);
	OK(f, store_ledger_recover(second, epoch, 1, NOW, &n, &f->e));
	assert_int_equal(n, 2);
	FAILS(f, ERR_AGAIN, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
	FAILS(f, ERR_AGAIN, store_lease_renew(f->s, f->epoch, NOW, &f->e));
	FAILS(f, ERR_AGAIN, store_ledger_recover(f->s, f->epoch, 1, NOW, &n, &f->e));
	OK(f, store_lease_renew(second, epoch, clock_now(), &f->e));
	/* An outcome whose intent is gone changes nothing. */
	OK(f, store_ledger_begin(second, epoch, NOW, &f->e));
	struct outcome_row o = fixture_sent(l.c.v[0].delivery, NOW);
	OK(f, store_ledger_record(second, &o, 1, &f->e));
	OK(f, store_ledger_commit(second, &f->e));
	assert_int_equal(in_state(&l, DELIVERY_SENT), 0);
	OK(f, store_lease_release(second, epoch, &f->e));
	assert_int_equal(store_lease_get(second, clock_now(), &other, &f->e), 0);
	store_close(&second);
	ledger_end(&l);
}

static void holder__alive_by_pid_and_start(void **state)
{
	(void)state;
	struct holder h;
	holder_self(&h, "send");
	h.heartbeat = NOW;
	assert_true(h.pid_start > 0);
	assert_true(holder_alive(&h, NOW + DAY));
	h.uptime -= 61 * SECOND;
	assert_false(holder_alive(&h, NOW));
	h.uptime = 0; /* unknown: then the wall clock decides */
	assert_true(holder_alive(&h, NOW + 59 * SECOND));
	assert_false(holder_alive(&h, NOW + 61 * SECOND));
	struct holder reused = h;
	reused.pid_start++;
	assert_false(holder_alive(&reused, NOW));
	struct holder before = h;
	before.boot[0] ^= 1;
	assert_false(holder_alive(&before, NOW));
	struct holder elsewhere = reused;
	snprintf(elsewhere.host, sizeof elsewhere.host, "elsewhere.example");
	assert_true(holder_alive(&elsewhere, NOW + 59 * SECOND));
	assert_false(holder_alive(&elsewhere, NOW + 61 * SECOND));
}

static void rollback__leaves_counts_as_they_were(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	ledger_start(&l, f, 5, 0);
	OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
	l.c.n = 0;
	assert_int_equal(
		store_ledger_claim(f->s, l.id, CLAIM_FRESH, STR("new route"), 3, NOW, &l.c, &f->e), 3);
	store_ledger_rollback(f->s);
	assert_int_equal(in_state(&l, DELIVERY_QUEUED), 5);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 9, NOW, &l.c), 5);
	ledger_end(&l);
}

/* ---- What people ask ---- */

static void cancel__at_once__and_what_is_on_its_way_still_counts(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct delivery_row d;
	ledger_start(&l, f, 10, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 6, NOW, &l.c);
	struct outcome_row o[3] = {fixture_sent(l.c.v[0].delivery, NOW),
		refused(l.c.v[1].delivery, OUTCOME_DEFER, 0, NOW + 5),
		{.delivery = l.c.v[2].delivery, .kind = OUTCOME_DOUBT, .at = NOW, .due = NOW + 5}};
	fixture_record(f, o, 3, NOW);
	OK(f, store_campaign_cancel(f->s, l.id, NOW + 1, &f->e));
	assert_int_equal(in_state(&l, DELIVERY_CANCELLED), 5);
	assert_int_equal(in_state(&l, DELIVERY_DOUBT), 1);
	assert_int_equal(in_state(&l, DELIVERY_SENDING), 3);
	fixture_check(f);
	OK(f, store_delivery_get(f->s, l.c.v[1].delivery, true, &d, &f->e));
	assert_int_equal(d.state, DELIVERY_CANCELLED);
	assert_int_equal(d.due, 0);
	OK(f, store_delivery_get(f->s, DELIVERY_ID(l.id, 9), true, &d, &f->e));
	assert_int_equal(d.state, DELIVERY_CANCELLED);
	o[0] = fixture_sent(l.c.v[3].delivery, NOW);
	o[1] = refused(l.c.v[4].delivery, OUTCOME_DEFER, 0, NOW + 5);
	o[2] = (struct outcome_row){.delivery = l.c.v[5].delivery, .kind = OUTCOME_RETURN, .due = NOW + 1};
	fixture_record(f, o, 3, NOW);
	assert_int_equal(in_state(&l, DELIVERY_SENT), 2);
	assert_int_equal(in_state(&l, DELIVERY_CANCELLED), 7);
	struct claims none = {.arena = &l.arena};
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 9999, &none), 0);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 9, NOW + 9999, &none), 0);
	FAILS(f, ERR_DATA, store_campaign_cancel(f->s, l.id, NOW, &f->e));
	FAILS(f, ERR_DATA, store_campaign_pause(f->s, l.id, STR("user"), STR(""), NOW, &f->e));
	ledger_end(&l);
}

static void check__campaign_without_rows__goes_on_with_the_others(void **state)
{
	struct fixture *f = *state;
	OK(f, store_campaign_cancel(f->s, fixture_campaign(f, "scheduled", 0), NOW, &f->e));
	fixture_check(f);
}

static void pause__hands_out_nothing_and_time_stands_still(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	struct campaign_row c;
	ledger_start(&l, f, 4, 0);
	OK(f, store_campaign_pause(f->s, l.id, STR("user"), STR("asked by taro"), NOW + 100, &f->e));
	FAILS(f, ERR_DATA, store_campaign_pause(f->s, l.id, STR("user"), STR(""), NOW, &f->e));
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 9, NOW, &l.c), 0);
	/* A deliverer that has not seen it yet does not undo it. */
	OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
	OK(f, store_ledger_set_state(f->s, l.id, CAMPAIGN_WAITING, STR(""), STR(""), NOW, &f->e));
	OK(f, store_ledger_commit(f->s, &f->e));
	OK(f, store_campaign_by_id(f->s, l.id, &c, &f->e));
	assert_int_equal(c.state, CAMPAIGN_PAUSED);
	assert_string_equal(c.why.p, "user");
	struct resume_options o = {.rate = 5, .doubt = -1, .at = NOW + 350};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	OK(f, store_campaign_by_id(f->s, l.id, &c, &f->e));
	assert_int_equal(c.state, CAMPAIGN_RUNNING);
	assert_int_equal(c.paused_ms, 250);
	assert_int_equal(c.why.n, 0);
	assert_true(c.rate > 4.9);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 9, NOW, &l.c), 4);
	struct outcome_row r = refused(l.c.v[0].delivery, OUTCOME_DEFER, 0, NOW + DAY);
	fixture_record(f, &r, 1, NOW);
	o = (struct resume_options){.rate = -1, .doubt = -1, .at = NOW + 400, .now = true};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	assert_int_equal(fixture_claim(f, l.id, CLAIM_DUE, 9, NOW + 400, &l.c), 1);
	ledger_end(&l);
}

static void canary__only_those_until_resumed_past_it(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	unsigned char seen[101] = {0};
	ledger_start(&l, f, 100, 10);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 6, NOW, &l.c), 6);
	for (size_t i = 0; i < l.c.n; i++)
		seen[DELIVERY_NUMBER(l.c.v[i].delivery)]++;
	assert_true(DELIVERY_NUMBER(l.c.v[5].delivery) > 6);
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 60, NOW, &l.c), 4);
	for (size_t i = 0; i < l.c.n; i++)
		seen[DELIVERY_NUMBER(l.c.v[i].delivery)]++;
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 60, NOW, &l.c), 0);
	OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
	OK(f, store_ledger_set_state(f->s, l.id, CAMPAIGN_PAUSED, STR("canary"), STR("look"), NOW, &f->e));
	OK(f, store_ledger_commit(f->s, &f->e));
	struct resume_options o = {.rate = -1, .doubt = -1, .at = NOW};
	OK(f, store_campaign_resume(f->s, l.id, &o, &f->e));
	assert_int_equal(fixture_claim(f, l.id, CLAIM_FRESH, 200, NOW, &l.c), 90);
	for (size_t i = 0; i < l.c.n; i++)
		seen[DELIVERY_NUMBER(l.c.v[i].delivery)]++;
	for (int i = 1; i <= 100; i++)
		assert_int_equal(seen[i], 1);
	ledger_end(&l);
}

static int stop_at_two(void *ctx, const struct delivery_row *d)
{
	(void)d;
	return ++*(int *)ctx == 2 ? 42 : 0;
}

static int sum_of(void *ctx, const struct delivery_row *d)
{
	((int64_t *)ctx)[d->state]++;
	return 0;
}

static int note_failure(void *ctx, const struct failure_row *r)
{
	buf_printf(ctx, "%lld:%lld:%d ", (long long)r->id, (long long)DELIVERY_NUMBER(r->attempt.delivery),
		(int)r->attempt.class);
	return 0;
}

static void reading__walks_failures_and_people(void **state)
{
	struct fixture *f = *state;
	struct ledger l;
	int64_t sums[DELIVERY_NSTATES] = {0};
	int n = 0;
	struct buf b = BUF_INIT(1000);
	ledger_start(&l, f, 2500, 0);
	fixture_claim(f, l.id, CLAIM_FRESH, 4, NOW, &l.c);
	struct outcome_row o[3] = {refused(l.c.v[0].delivery, OUTCOME_DEFER, 0, NOW + 5),
		fixture_sent(l.c.v[1].delivery, NOW),
		refused(l.c.v[3].delivery, OUTCOME_FINAL, DELIVERY_BLOCKED, 0)};
	o[2].class = CLASS_BLOCK;
	fixture_record(f, o, 3, NOW);
	OK(f, store_deliveries(f->s, l.id, 0, true, sum_of, sums, &f->e));
	assert_int_equal(sums[DELIVERY_QUEUED], 2496);
	assert_int_equal(sums[DELIVERY_SENDING] + sums[DELIVERY_SENT] + sums[DELIVERY_BLOCKED] +
				 sums[DELIVERY_DEFERRED],
		4);
	memset(sums, 0, sizeof sums);
	OK(f, store_deliveries(
		      f->s, l.id, 1u << DELIVERY_DOUBT | 1u << DELIVERY_SENT, false, sum_of, sums, &f->e));
	assert_int_equal(sums[DELIVERY_DOUBT], 1);
	assert_int_equal(sums[DELIVERY_SENT], 1);
	assert_int_equal(store_deliveries(f->s, l.id, 0, true, stop_at_two, &n, &f->e), 42);
	memset(sums, 0, sizeof sums);
	OK(f, store_deliveries_of(f->s, fixture_contact(f, "p4@gmail.com"), true, sum_of, sums, &f->e));
	assert_int_equal(sums[DELIVERY_BLOCKED], 1);
	struct failure_query q = {.class = -1};
	OK(f, store_failures(f->s, &q, note_failure, &b, &f->e));
	assert_string_equal(b.p, "1:1:2 2:4:3 ");
	buf_clear(&b);
	q = (struct failure_query){.class = -1, .provider = STR("google"), .campaign = l.id};
	OK(f, store_failures(f->s, &q, note_failure, &b, &f->e));
	assert_string_equal(b.p, "2:4:3 ");
	buf_clear(&b);
	q = (struct failure_query){.class = CLASS_SOFT, .after = 1};
	OK(f, store_failures(f->s, &q, note_failure, &b, &f->e));
	assert_string_equal(buf_cstr(&b), "");
	struct failure_row r;
	OK(f, store_failure_get(f->s, 2, &r, &f->e));
	assert_string_equal(r.delivery.address.p, "p4@gmail.com");
	assert_string_equal(r.attempt.reply.p, "450 4.2.1 busy");
	FAILS(f, ERR_NOINPUT, store_failure_get(f->s, 3, &r, &f->e));
	buf_release(&b);
	ledger_end(&l);
}

static int one_part(void *ctx, const struct content_part *p)
{
	*(bool *)ctx = str_is(p->name, "message") && str_eq(p->data, STR("Hello\0you"));
	return 0;
}

static int count_campaign(void *ctx, const struct campaign_row *c)
{
	(void)c;
	++*(int *)ctx;
	return 0;
}

static void campaign__names_content_and_live(void **state)
{
	struct fixture *f = *state;
	bool same = false;
	int n = 0;
	int64_t id = fixture_campaign(f, "june", 0), other;
	struct campaign_new again = {.name = STR("june"), .now = NOW};
	FAILS(f, ERR_DATA, store_campaign_create(f->s, &again, NULL, 0, &other, &f->e));
	again = (struct campaign_new){
		.name = STR("july"), .now = NOW, .start_at = NOW + HOUR, .content_hash = STR("c0ffee")};
	OK(f, store_campaign_create(f->s, &again, NULL, 0, &other, &f->e));
	struct campaign_row c;
	OK(f, store_campaign_get(f->s, STR("july"), &c, &f->e));
	assert_int_equal(c.state, CAMPAIGN_SCHEDULED);
	OK(f, store_content(f->s, id, one_part, &same, &f->e));
	assert_true(same);
	OK(f, store_campaigns_with_content(f->s, STR("c0ffee"), NOW, count_campaign, &n, &f->e));
	assert_int_equal(n, 2);
	fixture_lease(f);
	struct live in = {.rate = 12.5, .limit = "route main: 14/s", .connections = 3, .at = NOW}, out;
	OK(f, store_ledger_begin(f->s, f->epoch, NOW, &f->e));
	OK(f, store_ledger_set_live(f->s, id, &in, &f->e));
	OK(f, store_ledger_commit(f->s, &f->e));
	OK(f, store_live(f->s, id, &out, &f->e));
	assert_string_equal(out.limit, in.limit);
	assert_int_equal(out.connections, 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(sent_to_all__counts_and_words_agree),
		T(outcome__of_a_returned_claim__was_never_tried),
		T(outcome__skipped__takes_no_place_in_a_quota),
		T(deferred__retried__keeps_its_first_attempt_and_its_last_reason),
		T(hard_refusal__suppresses_in_the_same_commit),
		T(claim__whoever_must_not_be_mailed_any_more__is_skipped),
		T(claim__of_a_list_that_is_being_deleted__is_skipped),
		T(claim__suppressed_while_the_audience_was_fixed__is_skipped),
		T(recover__resend__once_then_final),
		T(recover__hold_then_asked),
		T(resume__of_those_in_doubt__finds_them_due),
		T(resend__of_one_that_was_skipped__has_its_own_words),
		T(doubt_skipped__few_among_many_that_wait),
		T(epoch__of_a_holder_that_was_replaced__is_fenced),
		cmocka_unit_test(holder__alive_by_pid_and_start),
		T(rollback__leaves_counts_as_they_were),
		T(cancel__at_once__and_what_is_on_its_way_still_counts),
		T(check__campaign_without_rows__goes_on_with_the_others),
		T(pause__hands_out_nothing_and_time_stands_still),
		T(canary__only_those_until_resumed_past_it),
		T(reading__walks_failures_and_people),
		T(campaign__names_content_and_live),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
