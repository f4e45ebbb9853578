/* What comes back: evidence, lowered deliveries, suppressions, counts, and forgetting it again. */
#include "src/db/prune.h"
#include "src/db/report.h"
#include "src/db/sqlite.h"
#include "tests/unit/store_fixture.h"

#include "src/base/hash.h"

struct world { /* campaigns to 8 people, sent */
	struct fixture *f;
	struct arena arena;
	struct claims c;
	int ncampaigns;
	unsigned char print[SHA256_LEN];
};

static int64_t send_campaign(struct world *w, bool spread)
{
	struct fixture *f = w->f;
	int64_t id;
	char name[32];
	snprintf(name, sizeof name, "c%d", ++w->ncampaigns);
	struct campaign_new c = {.name = str_from(name), .spread = spread, .now = NOW};
	OK(f, store_campaign_create(f->s, &c, NULL, 0, &id, &f->e));
	struct audience au = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	fixture_prepare(f, id, &au, 100);
	return id;
}

static void claim_and_send(struct world *w, int64_t campaign, ms_t at)
{
	fixture_claim(w->f, campaign, CLAIM_FRESH, 100, at, &w->c);
	for (size_t i = 0; i < w->c.n; i++) {
		struct outcome_row o = fixture_sent(w->c.v[i].delivery, at + 1);
		fixture_record(w->f, &o, 1, at + 1);
	}
}

static void start(struct world *w, struct fixture *f)
{
	*w = (struct world){.f = f};
	arena_init(&w->arena, 4096, 1 << 24);
	w->c.arena = &w->arena;
	fixture_people(f, "news", 1, 8);
	fixture_lease(f);
}

static void end(struct world *w)
{
	fixture_check(w->f);
	free(w->c.v);
	arena_release(&w->arena);
}

static struct returned_new bounce(struct world *w, int64_t delivery, enum reply_class class, ms_t at)
{
	char text[64];
	snprintf(text, sizeof text, "%lld %d", (long long)delivery, (int)class);
	sha256(str_from(text), w->print);
	return (struct returned_new){.fingerprint = str_n((const char *)w->print, sizeof w->print),
		.effect = RETURNED_FAILED,
		.delivery = delivery,
		.at = at,
		.kind = STR("bounce"),
		.source = STR("receive"),
		.trust = STR("return-path"),
		.class = class,
		.scope = SCOPE_ADDRESS,
		.reason = class == CLASS_HARD ? STR("user-unknown") : STR("mailbox-full"),
		.code = 550,
		.enhanced = "5.1.1",
		.diagnostic = STR("550 5.1.1 no such user"),
		.host = STR("mx.example"),
		.rule = STR("rules.conf:7"),
		.message = STR("From: MAILER-DAEMON\r\n\r\nSorry, p1@docomo.ne.jp does not exist.\r\n")};
}

static struct returned_done returns(struct world *w, const struct returned_new *r)
{
	struct returned_done d;
	OK(w->f, store_returned(w->f->s, r, &d, &w->f->e));
	return d;
}

static int64_t in_state(struct world *w, int64_t campaign, enum delivery_state st)
{
	struct campaign_counts n;
	OK(w->f, store_campaign_counts(w->f->s, campaign, true, &n, &w->f->e));
	return n.state[st];
}

static bool suppressed(struct world *w, const char *key)
{
	struct suppression_query q = {.key = str_from(key), .list = -1, .reason = -1};
	int64_t n;
	OK(w->f, store_unsuppress(w->f->s, &q, STR(""), true, &n, &w->f->e));
	return n != 0;
}

static int one_reason(void *ctx, const struct reason_row *r)
{
	buf_printf(ctx, "%s/%.*s/%.*s/%lld ", reply_class_names[r->class], STR_ARG(r->reason),
		STR_ARG(r->provider), (long long)r->deliveries);
	return 0;
}

static void hard__lowers_suppresses_and_counts_once(void **state)
{
	struct world w;
	struct delivery_row d;
	start(&w, *state);
	int64_t id = send_campaign(&w, false), first = DELIVERY_ID(id, 1);
	claim_and_send(&w, id, NOW);
	struct returned_new r = bounce(&w, first, CLASS_HARD, NOW + MINUTE);
	struct returned_done done = returns(&w, &r), again = returns(&w, &r);
	assert_true(done.lowered && done.suppressed && !done.duplicate);
	assert_true(again.duplicate && !again.lowered && !again.suppressed);
	assert_int_equal(again.id, done.id);
	assert_int_equal(in_state(&w, id, DELIVERY_SENT), 7);
	assert_int_equal(in_state(&w, id, DELIVERY_BOUNCED), 1);
	assert_true(suppressed(&w, "p1@docomo.ne.jp"));
	OK(w.f, store_delivery_get(w.f->s, first, true, &d, &w.f->e));
	assert_int_equal(d.state, DELIVERY_BOUNCED);
	assert_int_equal(d.code, 550);
	assert_int_equal(d.attempts, 1);
	assert_string_equal(d.reply.p, "550 5.1.1 no such user");
	assert_string_equal(d.reason.p, "user-unknown");
	struct buf b = BUF_INIT(4096);
	OK(w.f, store_report_reasons(w.f->s, id, one_reason, &b, &w.f->e));
	assert_string_equal(buf_cstr(&b), "hard/user-unknown/docomo/1 ");
	buf_clear(&b);
	OK(w.f, store_returned_message(w.f->s, done.id, &b, &w.f->e));
	assert_int_equal(b.len, r.message.n);
	assert_memory_equal(b.p, r.message.p, r.message.n);
	buf_release(&b);
	/* A second one of it, with other words: kept, and nothing counts twice, nor is it harder than the
	 * first. */
	r = bounce(&w, first, CLASS_SOFT, NOW + 2 * MINUTE);
	done = returns(&w, &r);
	assert_false(done.duplicate || done.lowered);
	r = bounce(&w, DELIVERY_ID(id, 2), CLASS_SOFT, NOW + 2 * MINUTE);
	assert_true(returns(&w, &r).lowered);
	r = bounce(&w, DELIVERY_ID(id, 2), CLASS_HARD, NOW + 2 * MINUTE);
	assert_false(returns(&w, &r).suppressed);
	assert_int_equal(in_state(&w, id, DELIVERY_BOUNCED), 2);
	end(&w);
}

static void block__is_never_about_the_person(void **state)
{
	struct world w;
	start(&w, *state);
	int64_t id = send_campaign(&w, false);
	claim_and_send(&w, id, NOW);
	struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_BLOCK, NOW + MINUTE);
	struct returned_done done = returns(&w, &r);
	assert_true(done.lowered && !done.suppressed);
	assert_int_equal(in_state(&w, id, DELIVERY_BLOCKED), 1);
	/* Hard, but about a site: not about the person either. */
	r = bounce(&w, DELIVERY_ID(id, 2), CLASS_HARD, NOW + MINUTE);
	r.scope = SCOPE_SITE;
	assert_false(returns(&w, &r).suppressed);
	end(&w);
}

static void what_never_left__cannot_have_come_back(void **state)
{
	struct world w;
	start(&w, *state);
	int64_t id = send_campaign(&w, false);
	struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_HARD, NOW);
	struct returned_done done = returns(&w, &r);
	assert_false(done.lowered || done.suppressed || done.early);
	/* Nobody's: a number that is not there. */
	r = bounce(&w, DELIVERY_ID(id, 99), CLASS_HARD, NOW);
	done = returns(&w, &r);
	assert_false(done.lowered || done.suppressed);
	assert_int_equal(in_state(&w, id, DELIVERY_QUEUED), 8);
	end(&w);
}

static void before_its_outcome__takes_effect_with_it(void **state)
{
	struct world w;
	int64_t n;
	start(&w, *state);
	int64_t id = send_campaign(&w, false);
	fixture_claim(w.f, id, CLAIM_FRESH, 100, NOW, &w.c);
	struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_HARD, NOW);
	assert_true(returns(&w, &r).early);
	r = bounce(&w, DELIVERY_ID(id, 2), CLASS_SOFT, NOW);
	assert_true(returns(&w, &r).early);
	assert_false(suppressed(&w, "p1@docomo.ne.jp"));
	struct outcome_row o = fixture_sent(DELIVERY_ID(id, 1), NOW + 1);
	fixture_record(w.f, &o, 1, NOW + 1);
	assert_int_equal(in_state(&w, id, DELIVERY_BOUNCED), 1);
	assert_true(suppressed(&w, "p1@docomo.ne.jp"));
	/* The other one's sender dies first: in doubt, and what came back says that it had gone out. */
	fixture_sql(w.f, "UPDATE lease SET pid = 1, pid_start = 1");
	fixture_lease(w.f);
	OK(w.f, store_ledger_recover(w.f->s, w.f->epoch, 1, NOW + 10, &n, &w.f->e));
	assert_int_equal(in_state(&w, id, DELIVERY_BOUNCED), 2);
	assert_int_equal(in_state(&w, id, DELIVERY_DOUBT), 6);
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM early"), 0);
	/* And one in doubt whose message comes back later is not sent again. */
	r = bounce(&w, DELIVERY_ID(id, 3), CLASS_SOFT, NOW + 20);
	assert_true(returns(&w, &r).lowered);
	assert_int_equal(fixture_claim(w.f, id, CLAIM_DUE, 100, NOW + 30, &w.c), 5);
	end(&w);
}

static void in_doubt__of_a_spread_campaign__waits_no_more(void **state)
{
	struct world w;
	int64_t n;
	ms_t next;
	start(&w, *state);
	int64_t id = send_campaign(&w, true),
		domain = fixture_sql(w.f, "SELECT id FROM domain WHERE name = 'x.example'");
	OK(w.f, store_ledger_begin(w.f->s, w.f->epoch, NOW, &w.f->e));
	OK(w.f, store_ledger_claim_domain(w.f->s, id, domain, STR("mx"), 10, NOW, &w.c, &w.f->e));
	OK(w.f, store_ledger_commit(w.f->s, &w.f->e));
	fixture_sql(w.f, "UPDATE lease SET pid = 1, pid_start = 1");
	fixture_lease(w.f);
	OK(w.f, store_ledger_recover(w.f->s, w.f->epoch, 1, NOW + 10, &n, &w.f->e));
	OK(w.f, store_ledger_begin(w.f->s, w.f->epoch, NOW + 20, &w.f->e));
	OK(w.f, store_ledger_ripen(w.f->s, id, NOW + 20, &next, &w.f->e));
	OK(w.f, store_ledger_commit(w.f->s, &w.f->e));
	struct returned_new r = bounce(&w, w.c.v[0].delivery, CLASS_SOFT, NOW + 20);
	assert_true(returns(&w, &r).lowered);
	end(&w);
}

static void soft__three_campaigns_over_a_week__then_suppressed(void **state)
{
	struct world w;
	start(&w, *state);
	for (int i = 0; i < 4; i++) {
		ms_t at = NOW + i * 3 * DAY;
		int64_t id = send_campaign(&w, false);
		claim_and_send(&w, id, at);
		/* Number 1 fails each time, number 2 gets every second one. */
		struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_SOFT, at + MINUTE);
		struct returned_done done = returns(&w, &r);
		assert_int_equal(done.soft, i + 1);
		assert_int_equal(done.suppressed, i == 3); /* the third is six days after the first */
		if (i % 2 == 1)
			continue;
		r = bounce(&w, DELIVERY_ID(id, 2), CLASS_SOFT, at + MINUTE);
		assert_int_equal(returns(&w, &r).soft, 1);
	}
	assert_true(suppressed(&w, "p1@docomo.ne.jp"));
	assert_false(suppressed(&w, "p2@x.example"));
	end(&w);
}

static void soft__refused_for_good_at_smtp_time__counts_too(void **state)
{
	struct world w;
	start(&w, *state);
	for (int i = 0; i < 3; i++) {
		ms_t at = NOW + i * 4 * DAY;
		int64_t id = send_campaign(&w, false);
		fixture_claim(w.f, id, CLAIM_FRESH, 1, at, &w.c);
		struct outcome_row o = {.delivery = DELIVERY_ID(id, 1),
			.kind = OUTCOME_FINAL,
			.state = DELIVERY_EXPIRED,
			.at = at,
			.code = 452,
			.reply = STR("mailbox full"),
			.class = CLASS_SOFT,
			.scope = SCOPE_ADDRESS,
			.reason = STR("mailbox-full")};
		fixture_record(w.f, &o, 1, at);
		assert_int_equal(suppressed(&w, "p1@docomo.ne.jp"), i == 2);
	}
	end(&w);
}

/* A vouched source names the person, and nobody knows which letter it was about. */
static void complaint__about_no_delivery__counts_again_after_it_was_lifted(void **state)
{
	struct fixture *f = *state;
	struct world w;
	int64_t n;
	start(&w, f);
	for (int i = 0; i < 2; i++) {
		struct returned_new r = bounce(&w, i, CLASS_NONE, NOW + i);
		r.delivery = 0;
		r.contact = fixture_contact(f, "p1@docomo.ne.jp");
		r.effect = RETURNED_COMPLAINT;
		assert_true(returns(&w, &r).suppressed);
		struct suppression_query q = {.key = STR("p1@docomo.ne.jp"), .list = -1, .reason = -1};
		OK(f, store_unsuppress(f->s, &q, STR("asked for it"), false, &n, &f->e));
		assert_int_equal(n, 1);
	}
	end(&w);
}

static void complaint_and_stop__suppress_and_are_counted(void **state)
{
	struct world w;
	struct campaign_row c;
	start(&w, *state);
	int64_t id = send_campaign(&w, false), news = fixture_list(w.f, "news");
	claim_and_send(&w, id, NOW);
	struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_NONE, NOW + MINUTE);
	r.effect = RETURNED_COMPLAINT;
	struct returned_done done = returns(&w, &r);
	assert_true(done.suppressed && done.unsubscribed && !done.lowered);
	r = bounce(&w, DELIVERY_ID(id, 1), CLASS_SOFT, NOW + MINUTE); /* the same complaint by another way */
	r.effect = RETURNED_COMPLAINT;
	returns(&w, &r);
	r = bounce(&w, DELIVERY_ID(id, 2), CLASS_NONE, NOW + MINUTE);
	r.effect = RETURNED_STOP;
	r.list = news;
	done = returns(&w, &r);
	assert_true(done.unsubscribed && !done.suppressed);
	/* A token that outlived its delivery still names the person. */
	r = bounce(&w, DELIVERY_ID(id + 77, 5), CLASS_NONE, NOW + MINUTE);
	r.effect = RETURNED_STOP;
	r.contact = fixture_contact(w.f, "p3@y.example");
	done = returns(&w, &r);
	assert_true(done.unsubscribed);
	OK(w.f, store_campaign_by_id(w.f->s, id, &c, &w.f->e));
	assert_int_equal(c.complaints, 1);
	assert_int_equal(c.unsubscribed, 1);
	assert_int_equal(in_state(&w, id, DELIVERY_SENT), 8);
	end(&w);
}

static int count_failure(void *ctx, const struct failure_row *f)
{
	buf_printf(ctx, "%.*s:%s:%d ", STR_ARG(f->delivery.address), reply_class_names[f->attempt.class],
		f->returned);
	return 0;
}

static void failures__show_what_came_back(void **state)
{
	struct world w;
	struct failure_row f;
	start(&w, *state);
	int64_t id = send_campaign(&w, false);
	claim_and_send(&w, id, NOW);
	struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_HARD, NOW + MINUTE);
	struct returned_done done = returns(&w, &r);
	r = bounce(&w, 0, CLASS_HARD, NOW + MINUTE);
	r.address = STR("stranger@z.example");
	returns(&w, &r);
	struct buf b = BUF_INIT(4096);
	struct failure_query q = {.class = -1};
	OK(w.f, store_failures(w.f->s, &q, count_failure, &b, &w.f->e));
	assert_string_equal(buf_cstr(&b), "p1@docomo.ne.jp:hard:1 ");
	buf_clear(&b);
	q.nobodys = true;
	q.reason = STR("user-unknown");
	OK(w.f, store_failures(w.f->s, &q, count_failure, &b, &w.f->e));
	assert_string_equal(buf_cstr(&b), "p1@docomo.ne.jp:hard:1 :hard:1 ");
	buf_release(&b);
	OK(w.f, store_failure_get(w.f->s, done.id, &f, &w.f->e));
	assert_true(f.returned);
	assert_string_equal(f.back.source.p, "receive");
	assert_string_equal(f.back.trust.p, "return-path");
	assert_string_equal(f.back.rule.p, "rules.conf:7");
	assert_true(f.back.bytes > 0);
	end(&w);
}

static void forget__reaches_what_came_back(void **state)
{
	struct world w;
	start(&w, *state);
	int64_t id = send_campaign(&w, false);
	claim_and_send(&w, id, NOW);
	struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_HARD, NOW + MINUTE);
	struct returned_done mine = returns(&w, &r);
	r = bounce(&w, 0, CLASS_HARD, NOW + MINUTE); /* nobody's, but its text names them */
	returns(&w, &r);
	r = bounce(&w, 0, CLASS_SOFT, NOW + MINUTE);
	r.message = STR("somebody else");
	struct returned_done other = returns(&w, &r);
	OK(w.f, store_forget(w.f->s, STR("p1@docomo.ne.jp"), NOW + HOUR, &w.f->e));
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM evidence"), 1);
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM returned"), 2);
	struct buf b = BUF_INIT(4096);
	OK(w.f, store_returned_message(w.f->s, mine.id, &b, &w.f->e));
	assert_int_equal(b.len, 0);
	OK(w.f, store_returned_message(w.f->s, other.id, &b, &w.f->e));
	assert_string_equal(b.p, "somebody else");
	buf_release(&b);
	/* Counted as before. */
	assert_int_equal(in_state(&w, id, DELIVERY_BOUNCED), 1);
	end(&w);
}

static void forgotten__what_comes_back_later_is_counted_and_not_kept(void **state)
{
	struct world w;
	start(&w, *state);
	int64_t id = send_campaign(&w, false);
	claim_and_send(&w, id, NOW);
	OK(w.f, store_forget(w.f->s, STR("p1@docomo.ne.jp"), NOW + HOUR, &w.f->e));
	struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_HARD, NOW + 2 * HOUR);
	r.address = STR("p1@docomo.ne.jp");
	assert_true(returns(&w, &r).lowered);
	assert_int_equal(in_state(&w, id, DELIVERY_BOUNCED), 1);
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM evidence"), 0);
	assert_int_equal(
		fixture_sql(w.f, "SELECT count(*) FROM returned WHERE address = '' AND diagnostic = ''"), 1);
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM reason_tally WHERE example <> ''"), 0);
	end(&w);
}

struct locked { /* how much is done while nobody else can write */
	sqlite3 *db;
	int steps;
};

static int one_step(void *ctx)
{
	struct locked *l = ctx;
	l->steps += !sqlite3_get_autocommit(l->db);
	return 0;
}

static int steps_to_forget(struct world *w, const char *key)
{
	struct locked l = {.db = w->f->s->db};
	sqlite3_progress_handler(l.db, 10, one_step, &l);
	OK(w->f, store_forget(w->f->s, str_from(key), NOW + HOUR, &w->f->e));
	sqlite3_progress_handler(l.db, 0, NULL, NULL);
	return l.steps;
}

static void forget__unpacks_what_was_nobodys_while_others_write(void **state)
{
	struct world w;
	char text[] = "somebody else 000";
	start(&w, *state);
	int before = steps_to_forget(&w, "p1@docomo.ne.jp");
	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof text, "somebody else %03d", i);
		struct returned_new r = bounce(&w, 0, CLASS_SOFT, NOW + i);
		sha256(str_from(text), w.print);
		r.message = str_from(text);
		returns(&w, &r);
	}
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM evidence"), 300);
	assert_in_range(steps_to_forget(&w, "p2@x.example"), 0, 2 * before);
	end(&w);
}

/* The first word about a delivery stands: a second one may be by anybody who saw its return path. */
static void change__of_a_second_return__changes_nobody(void **state)
{
	struct world w;
	bool lifted, added;
	start(&w, *state);
	int64_t id = send_campaign(&w, false);
	claim_and_send(&w, id, NOW);
	struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_BLOCK, NOW + MINUTE);
	assert_true(returns(&w, &r).lowered);
	r = bounce(&w, DELIVERY_ID(id, 1), CLASS_SOFT, NOW + 2 * MINUTE);
	struct returned_done done = returns(&w, &r);
	assert_false(done.lowered);
	struct returned_change c = {
		.id = done.id, .class = CLASS_HARD, .reason = STR("user-unknown"), .rule = STR("my.rules:1")};
	OK(w.f, store_returned_change(w.f->s, &c, &lifted, &added, &w.f->e));
	assert_false(lifted || added || suppressed(&w, "p1@docomo.ne.jp"));
	assert_int_equal(in_state(&w, id, DELIVERY_BLOCKED), 1);
	end(&w);
}

static void change__class_counts_and_suppression_follow(void **state)
{
	struct world w;
	bool lifted, added;
	start(&w, *state);
	int64_t id = send_campaign(&w, false);
	claim_and_send(&w, id, NOW);
	struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_HARD, NOW + MINUTE);
	struct returned_done done = returns(&w, &r);
	struct returned_change c = {.id = done.id,
		.class = CLASS_BLOCK,
		.scope = SCOPE_SITE,
		.reason = STR("policy"),
		.rule = STR("my.rules:1")};
	OK(w.f, store_returned_change(w.f->s, &c, &lifted, &added, &w.f->e));
	assert_true(lifted && !added);
	assert_false(suppressed(&w, "p1@docomo.ne.jp"));
	assert_int_equal(in_state(&w, id, DELIVERY_BLOCKED), 1);
	fixture_check(w.f);
	c.class = CLASS_HARD;
	c.scope = SCOPE_ADDRESS;
	c.reason = STR("user-unknown");
	OK(w.f, store_returned_change(w.f->s, &c, &lifted, &added, &w.f->e));
	assert_true(!lifted && added);
	assert_int_equal(in_state(&w, id, DELIVERY_BOUNCED), 1);
	struct buf b = BUF_INIT(4096);
	OK(w.f, store_report_reasons(w.f->s, id, one_reason, &b, &w.f->e));
	assert_string_equal(buf_cstr(&b), "hard/user-unknown/docomo/1 ");
	buf_release(&b);
	/* No failure at all, and one again after all. */
	c.class = CLASS_NONE;
	c.reason = STR("");
	OK(w.f, store_returned_change(w.f->s, &c, &lifted, &added, &w.f->e));
	assert_true(lifted);
	assert_int_equal(in_state(&w, id, DELIVERY_SENT), 8);
	fixture_check(w.f);
	c.class = CLASS_SOFT;
	c.reason = STR("mailbox-full");
	OK(w.f, store_returned_change(w.f->s, &c, NULL, NULL, &w.f->e));
	assert_int_equal(in_state(&w, id, DELIVERY_BOUNCED), 1);
	end(&w);
}

static void find__by_person_and_relay_id(void **state)
{
	struct world w;
	int64_t found;
	start(&w, *state);
	int64_t one = send_campaign(&w, false);
	claim_and_send(&w, one, NOW);
	int64_t two = send_campaign(&w, false), who = fixture_contact(w.f, "p2@x.example");
	OK(w.f, store_delivery_find(w.f->s, who, 0, STR(""), 0, &found, &w.f->e));
	assert_int_equal(found, DELIVERY_ID(one, 2)); /* the second campaign has not gone out yet */
	claim_and_send(&w, two, NOW + HOUR);
	OK(w.f, store_delivery_find(w.f->s, who, 0, STR("4F2"), 0, &found, &w.f->e));
	assert_int_equal(found, DELIVERY_ID(two, 2));
	OK(w.f, store_delivery_find(w.f->s, who, one, STR(""), 0, &found, &w.f->e));
	assert_int_equal(found, DELIVERY_ID(one, 2));
	FAILS(w.f, ERR_NOINPUT, store_delivery_find(w.f->s, who, 0, STR("other"), 0, &found, &w.f->e));
	FAILS(w.f, ERR_NOINPUT, store_delivery_find(w.f->s, who, 0, STR(""), NOW + DAY, &found, &w.f->e));
	end(&w);
}

static int one_troubled(void *ctx, const struct trouble_row *t)
{
	buf_printf(ctx, "%.*s:%d:%.*s ", STR_ARG(t->address), t->soft, STR_ARG(t->reason));
	return 0;
}

static void troubled__and_what_is_forgotten_after_a_delivery_that_stayed(void **state)
{
	struct world w;
	start(&w, *state);
	int64_t one = send_campaign(&w, false);
	claim_and_send(&w, one, NOW);
	for (int i = 1; i <= 2; i++) {
		struct returned_new r = bounce(&w, DELIVERY_ID(one, i), CLASS_SOFT, NOW + MINUTE);
		returns(&w, &r);
	}
	int64_t two = send_campaign(&w, false);
	claim_and_send(&w, two, NOW + DAY);
	struct returned_new r = bounce(&w, DELIVERY_ID(two, 1), CLASS_SOFT, NOW + DAY + MINUTE);
	returns(&w, &r);
	struct buf b = BUF_INIT(4096);
	OK(w.f, store_troubled(w.f->s, 1, one_troubled, &b, &w.f->e));
	assert_string_equal(buf_cstr(&b), "p1@docomo.ne.jp:2:mailbox-full ");
	buf_release(&b);
	end(&w);
}

static void prune__words_then_deliveries__sums_stay(void **state)
{
	struct world w;
	struct campaign_counts n;
	start(&w, *state);
	int64_t id = send_campaign(&w, false);
	claim_and_send(&w, id, NOW);
	struct returned_new r = bounce(&w, DELIVERY_ID(id, 1), CLASS_HARD, NOW + MINUTE);
	returns(&w, &r);
	r = bounce(&w, 0, CLASS_HARD, NOW + MINUTE);
	returns(&w, &r);
	OK(w.f, store_ledger_begin(w.f->s, w.f->epoch, NOW, &w.f->e));
	OK(w.f, store_ledger_set_state(w.f->s, id, CAMPAIGN_FINISHED, STR(""), STR(""), NOW + HOUR, &w.f->e));
	OK(w.f, store_ledger_commit(w.f->s, &w.f->e));
	struct prune p = {.evidence_before = NOW, .deliveries_before = NOW};
	OK(w.f, store_prune(w.f->s, &p, &w.f->e));
	assert_int_equal(p.messages + p.replies + p.deliveries + p.campaigns, 0);
	p = (struct prune){.evidence_before = NOW + DAY};
	OK(w.f, store_prune(w.f->s, &p, &w.f->e));
	assert_int_equal(p.messages, 2);
	assert_int_equal(p.replies, 8);
	assert_int_equal(p.deliveries, 0);
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM returned"), 1);
	fixture_check(w.f);
	p = (struct prune){.evidence_before = NOW + DAY, .deliveries_before = NOW + DAY};
	OK(w.f, store_prune(w.f->s, &p, &w.f->e));
	assert_int_equal(p.deliveries, 8);
	assert_int_equal(p.campaigns, 1);
	assert_int_equal(
		fixture_sql(w.f, "SELECT (SELECT count(*) FROM attempt) + (SELECT count(*) FROM failure) + "
				 "(SELECT count(*) FROM returned)"),
		0);
	OK(w.f, store_campaign_counts(w.f->s, id, true, &n, &w.f->e));
	assert_int_equal(n.state[DELIVERY_SENT], 7);
	assert_int_equal(n.state[DELIVERY_BOUNCED], 1);
	/* The suppression stays. */
	assert_true(suppressed(&w, "p1@docomo.ne.jp"));
	end(&w);
}

/* A token of which only the contact is still known: what came back by it goes by its own time. */
static void prune__of_a_person_without_a_delivery(void **state)
{
	struct world w;
	start(&w, *state);
	for (int i = 0; i < 3; i++) {
		struct returned_new r = bounce(&w, 0, i == 2 ? CLASS_SOFT : CLASS_HARD, NOW + i * DAY);
		r.fingerprint = str_n((const char *)&i, sizeof i);
		r.contact = fixture_contact(w.f, "p1@docomo.ne.jp");
		r.message = STR("it came back");
		assert_false(returns(&w, &r).duplicate);
	}
	const char *rows = "SELECT (SELECT count(*) FROM failure) * 100 + (SELECT count(*) FROM returned) * "
			   "10 + (SELECT count(*) FROM evidence)";
	struct prune p = {.deliveries_before = NOW};
	OK(w.f, store_prune(w.f->s, &p, &w.f->e));
	assert_int_equal(fixture_sql(w.f, rows), 333);
	p = (struct prune){.deliveries_before = NOW + 2 * DAY};
	OK(w.f, store_prune(w.f->s, &p, &w.f->e));
	assert_int_equal(fixture_sql(w.f, rows), 111);
	assert_true(suppressed(&w, "p1@docomo.ne.jp"));
	end(&w);
}

/* The most rows that one transaction of the store changed. */
struct transactions {
	int64_t before, most;
};

static int on_statement(unsigned event, void *ctx, void *st, void *sql)
{
	struct transactions *t = ctx;
	int64_t changes = sqlite3_total_changes64(sqlite3_db_handle(st));
	(void)event;
	if (strncmp(sql, "BEGIN", 5) == 0)
		t->before = changes;
	if (strcmp(sql, "COMMIT") == 0 && changes - t->before > t->most)
		t->most = changes - t->before;
	return 0;
}

static void nobodys(struct world *w, int n)
{
	OK(w->f, store_together(w->f->s, &w->f->e));
	for (int i = 0; i < n; i++) {
		struct returned_new r = bounce(w, 0, CLASS_HARD, NOW + MINUTE);
		r.fingerprint = str_n((const char *)&i, sizeof i);
		r.message = STR("somebody else");
		returns(w, &r);
	}
	OK(w->f, store_together_end(w->f->s, true, &w->f->e));
}

static void prune__many_of_nobody__in_slices(void **state)
{
	struct world w;
	struct transactions t = {0};
	start(&w, *state);
	nobodys(&w, 3000);
	sqlite3_trace_v2(w.f->s->db, SQLITE_TRACE_STMT, on_statement, &t);
	struct prune p = {.evidence_before = NOW + DAY};
	OK(w.f, store_prune(w.f->s, &p, &w.f->e));
	assert_int_equal(p.messages, 3000);
	assert_int_equal(
		fixture_sql(w.f, "SELECT (SELECT count(*) FROM failure) + (SELECT count(*) FROM returned) + "
				 "(SELECT count(*) FROM evidence)"),
		0);
	assert_in_range(t.most, 4, 1000);
	end(&w);
}

static int one_domain_name(void *ctx, int64_t id, struct str name, struct str provider)
{
	buf_printf(ctx, "%lld:%.*s:%.*s ", (long long)id, STR_ARG(name), STR_ARG(provider));
	return 0;
}

static void domains__dead_ones_and_their_people(void **state)
{
	struct world w;
	struct domain_failure *dead = NULL;
	size_t n = 0;
	start(&w, *state);
	int64_t id = send_campaign(&w, false);
	claim_and_send(&w, id, NOW);
	for (int i = 2; i <= 3; i++) { /* x.example is gone; y.example is only full */
		struct returned_new r =
			bounce(&w, DELIVERY_ID(id, i), i == 2 ? CLASS_HARD : CLASS_SOFT, NOW + MINUTE);
		if (i == 2)
			r.reason = STR("domain-unknown");
		returns(&w, &r);
	}
	OK(w.f, store_dead_domains(w.f->s, NOW, &dead, &n, &w.f->e));
	assert_int_equal(n, 1);
	assert_int_equal(dead[0].domain, fixture_sql(w.f, "SELECT id FROM domain WHERE name = 'x.example'"));
	assert_int_equal(dead[0].failures, 1);
	assert_string_equal(dead[0].reason.p, "domain-unknown");
	struct domain_count people[2] = {{9999, 0}, {dead[0].domain, 0}};
	OK(w.f, store_domain_people(w.f->s, people, 2, &w.f->e));
	assert_int_equal(people[0].people, 2);
	assert_int_equal(people[1].people, 0);
	free(dead);
	OK(w.f, store_dead_domains(w.f->s, NOW + HOUR, &dead, &n, &w.f->e));
	assert_int_equal(n, 0);
	free(dead);
	struct buf b = BUF_INIT(4096);
	OK(w.f, store_domains(w.f->s, one_domain_name, &b, &w.f->e));
	assert_non_null(strstr(buf_cstr(&b), "gmail.com:google "));
	buf_release(&b);
	end(&w);
}

/* Whatever comes back at whatever moment: rows, tallies, what waits and what is in doubt agree. */
static void random_sequences__agree_with_the_check(void **state)
{
	static const enum reply_class classes[] = {CLASS_HARD, CLASS_SOFT, CLASS_BLOCK, CLASS_NONE};
	struct world w;
	ms_t now = NOW;
	int64_t ids[3], kept[200], nkept = 0, n, next, domains[4];
	srand(11);
	start(&w, *state);
	fixture_people(w.f, "news", 9, 60);
	for (int i = 0; i < 3; i++)
		ids[i] = send_campaign(&w, i == 1);
	for (int i = 0; i < 4; i++)
		domains[i] = fixture_sql(w.f, "SELECT min(id) FROM domain") + i;
	for (int step = 0; step < 250; step++) {
		int64_t id = ids[rand() % 3];
		now += rand() % 30;
		switch (rand() % 9) {
		case 0:
		case 1:
		case 2: /* some are sent, some deferred, some in doubt, some stay on their way */
			arena_reset(&w.arena);
			w.c.n = 0;
			OK(w.f, store_ledger_begin(w.f->s, w.f->epoch, now, &w.f->e));
			if (id == ids[1]) {
				OK(w.f, store_ledger_ripen(w.f->s, id, now, &next, &w.f->e));
				OK(w.f, store_ledger_claim_domain(w.f->s, id, domains[rand() % 4], STR("mx"),
						5, now, &w.c, &w.f->e));
			} else {
				OK(w.f, store_ledger_claim(w.f->s, id, rand() % 2 ? CLAIM_DUE : CLAIM_FRESH,
						STR("mx"), 5, now, &w.c, &w.f->e));
			}
			OK(w.f, store_ledger_commit(w.f->s, &w.f->e));
			for (size_t i = 0; i < w.c.n; i++) {
				static const enum outcome_kind kinds[] = {OUTCOME_FINAL, OUTCOME_FINAL,
					OUTCOME_DEFER, OUTCOME_DOUBT, OUTCOME_RETURN};
				struct outcome_row o = fixture_sent(w.c.v[i].delivery, now);
				o.kind = kinds[rand() % 5];
				o.due = now + rand() % 40;
				if (rand() % 5 != 0)
					fixture_record(w.f, &o, 1, now);
			}
			break;
		case 3:
		case 4:
		case 5: { /* anything comes back for anybody */
			struct returned_new r =
				bounce(&w, DELIVERY_ID(id, rand() % 70), classes[rand() % 4], now);
			r.effect = (enum returned_effect)(rand() % 4);
			struct returned_done done = returns(&w, &r);
			if (!done.duplicate && nkept < 200)
				kept[nkept++] = done.id;
			break;
		}
		case 6:
			if (nkept > 0) {
				struct returned_change c = {.id = kept[rand() % nkept],
					.class = classes[rand() % 4],
					.reason = STR("other"),
					.rule = STR("r")};
				OK(w.f, store_returned_change(w.f->s, &c, NULL, NULL, &w.f->e));
			}
			break;
		case 7:
			fixture_sql(w.f, "UPDATE lease SET pid = 1, pid_start = 1");
			fixture_lease(w.f);
			OK(w.f, store_ledger_recover(w.f->s, w.f->epoch, rand() % 3, now, &n, &w.f->e));
			break;
		default: {
			struct resume_options o = {
				.rate = -1, .now = rand() % 2, .doubt = rand() % 3 - 1, .at = now};
			OK(w.f, store_campaign_resume(w.f->s, id, &o, &w.f->e));
		}
		}
		const struct self_check o = {.row = fixture_print_finding};
		struct self_count found;
		OK(w.f, store_check(w.f->s, &o, &found, &w.f->e));
		if (found.severity[SELF_FAIL] + found.severity[SELF_WARN] != 0)
			fail_msg("step %d", step);
	}
	end(&w);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(hard__lowers_suppresses_and_counts_once),
		T(block__is_never_about_the_person),
		T(what_never_left__cannot_have_come_back),
		T(before_its_outcome__takes_effect_with_it),
		T(in_doubt__of_a_spread_campaign__waits_no_more),
		T(soft__three_campaigns_over_a_week__then_suppressed),
		T(soft__refused_for_good_at_smtp_time__counts_too),
		T(complaint_and_stop__suppress_and_are_counted),
		T(complaint__about_no_delivery__counts_again_after_it_was_lifted),
		T(failures__show_what_came_back),
		T(forget__reaches_what_came_back),
		T(forget__unpacks_what_was_nobodys_while_others_write),
		T(forgotten__what_comes_back_later_is_counted_and_not_kept),
		T(change__of_a_second_return__changes_nobody),
		T(change__class_counts_and_suppression_follow),
		T(find__by_person_and_relay_id),
		T(troubled__and_what_is_forgotten_after_a_delivery_that_stayed),
		T(domains__dead_ones_and_their_people),
		T(random_sequences__agree_with_the_check),
		T(prune__words_then_deliveries__sums_stay),
		T(prune__of_a_person_without_a_delivery),
		T(prune__many_of_nobody__in_slices),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
