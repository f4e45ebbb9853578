#include "src/base/machine.h"
#include "src/db/copies.h"
#include "tests/unit/store_fixture.h"

/* Where a database is at home, and what becomes of a copy. */

static int open_named(struct fixture *f, enum store_mode mode, const char *path, const char *home,
	bool chosen, bool adopting)
{
	const struct store_config c = {.path = path,
		.busy = 2000,
		.actor = "tester",
		.home = home,
		.home_chosen = chosen,
		.adopting = adopting};
	store_close(&f->s);
	return store_open(&f->s, mode, &c, &f->e);
}

static int open_as(struct fixture *f, enum store_mode mode, const char *path, const char *home, bool adopting)
{
	return open_named(f, mode, path, home, true, adopting);
}

static void say(void *ctx, const struct copy_campaign *c, ms_t as_of, const char *host, struct buf *text)
{
	(void)host;
	(void)ctx;
	buf_printf(text, "%.*s %d %lld/%lld %lld as of %lld", STR_ARG(c->name), c->state,
		(long long)c->unsent, (long long)c->audience, (long long)c->doubt, (long long)as_of);
}

static struct adopted adopt(struct fixture *f, ms_t as_of, const char *path)
{
	struct adopted done;
	const struct adopt a = {.how = "adopt",
		.as_of = as_of,
		.now = NOW,
		.detached = path != NULL,
		.home_path = str_from(path != NULL ? path : ""),
		.say = say};
	OK(f, store_adopt(f->s, &a, &done, &f->e));
	return done;
}

/* A campaign to n people of which `sent` are sent and one more is on the wire. */
static int64_t campaign_under_way(struct fixture *f, const char *name, int n, int sent)
{
	struct arena arena;
	struct claims claims = {.arena = &arena};
	struct audience a = {.nlists = 1};
	fixture_people(f, "news", 1, n);
	a.lists[0] = fixture_list(f, "news");
	int64_t id = fixture_campaign(f, name, 0);
	arena_init(&arena, 4096, 1 << 20);
	fixture_lease(f);
	fixture_prepare(f, id, &a, 1000);
	fixture_claim(f, id, CLAIM_FRESH, sent + 1, NOW, &claims);
	for (int i = 0; i < sent; i++) {
		struct outcome_row o = fixture_sent(claims.v[i].delivery, NOW);
		fixture_record(f, &o, 1, NOW);
	}
	free(claims.v);
	arena_release(&arena);
	return id;
}

static void home__another_machine__is_only_read(void **state)
{
	struct fixture *f = *state;
	OK(f, open_as(f, STORE_WRITE, f->path, "a", false));
	OK(f, open_as(f, STORE_WRITE, f->path, "a", false));
	FAILS(f, ERR_PAUSED, open_as(f, STORE_WRITE, f->path, "b", false));
	assert_non_null(strstr(f->e.remedy, "postrider adopt"));
	OK(f, open_as(f, STORE_READ, f->path, "b", false));
	assert_int_equal(store_is_home(f->s, &f->e), 0);
	OK(f, open_as(f, STORE_WRITE, f->path, "b", true));
	adopt(f, 0, NULL);
	OK(f, open_as(f, STORE_WRITE, f->path, "b", false));
	assert_int_equal(store_is_home(f->s, &f->e), 1);
	FAILS(f, ERR_PAUSED, open_as(f, STORE_WRITE, f->path, "a", false));
}

/* As a mail server's pipe sees it that has a machine id, or a place, of its own. */
static void home__the_very_file_under_another_name__is_no_copy(void **state)
{
	struct fixture *f = *state;
	char copy[128];
	snprintf(copy, sizeof copy, "%s.copy", f->path);
	OK(f, open_named(f, STORE_WRITE, f->path, "a", false, false));
	OK(f, open_named(f, STORE_WRITE, f->path, "b", false, false));
	/* That made it nobody else's. */
	OK(f, open_as(f, STORE_WRITE, f->path, "a", false));
	FAILS(f, ERR_PAUSED, open_as(f, STORE_WRITE, f->path, "b", false));
	OK(f, open_named(f, STORE_WRITE, f->path, "a", false, false));
	/* Another file is another one, also where its original cannot be seen. */
	OK(f, store_backup(f->s, copy, NULL, NULL, &f->e));
	store_close(&f->s);
	assert_int_equal(unlink(f->path), 0);
	FAILS(f, ERR_PAUSED, open_named(f, STORE_WRITE, copy, "b", false, false));
	OK(f, open_named(f, STORE_WRITE, copy, "a", false, false));
}

static void home__a_copy_beside_the_original__is_only_read(void **state)
{
	struct fixture *f = *state;
	char copy[128], link[128];
	snprintf(copy, sizeof copy, "%s.copy", f->path);
	snprintf(link, sizeof link, "%s.link", f->path);
	OK(f, open_as(f, STORE_WRITE, f->path, "a", false));
	OK(f, store_backup(f->s, copy, NULL, NULL, &f->e));
	FAILS(f, ERR_PAUSED, open_as(f, STORE_WRITE, copy, "a", false));
	OK(f, open_as(f, STORE_READ, copy, "a", false));
	/* The original by another name is no copy. */
	assert_int_equal(symlink(f->path, link), 0);
	OK(f, open_as(f, STORE_WRITE, link, "a", false));
	unlink(link);
	/* Moved: the original is gone. */
	store_close(&f->s);
	assert_int_equal(rename(copy, f->path), 0);
	OK(f, open_as(f, STORE_WRITE, f->path, "a", false));
	store_close(&f->s);
	assert_int_equal(rename(f->path, copy), 0);
	OK(f, open_as(f, STORE_WRITE, copy, "a", false));
	OK(f, store_backup(f->s, f->path, NULL, NULL, &f->e));
	FAILS(f, ERR_PAUSED, open_as(f, STORE_WRITE, f->path, "a", false));
}

static void adopt__pauses_all_that_is_not_over(void **state)
{
	struct fixture *f = *state;
	struct campaign_row c;
	int64_t running = campaign_under_way(f, "june", 10, 3), paused = fixture_campaign(f, "july", 0),
		over = fixture_campaign(f, "may", 0);
	OK(f, store_campaign_pause(f->s, paused, STR("user"), STR("by hand"), NOW - HOUR, &f->e));
	OK(f, store_campaign_cancel(f->s, over, NOW, &f->e));
	OK(f, store_lease_release(f->s, f->epoch, &f->e));
	struct adopted done = adopt(f, NOW - MINUTE, NULL);
	assert_int_equal(done.campaigns, 2);
	assert_int_equal(done.as_of, NOW - MINUTE);
	OK(f, store_campaign_by_id(f->s, running, &c, &f->e));
	assert_int_equal(c.state, CAMPAIGN_PAUSED);
	assert_true(str_is(c.why, "restored"));
	char expect[100];
	snprintf(expect, sizeof expect, "june %d 7/10 0 as of %lld", CAMPAIGN_RUNNING,
		(long long)NOW - MINUTE);
	assert_true(str_is(c.why_text, expect));
	assert_int_equal(c.paused_at, NOW - MINUTE);
	OK(f, store_campaign_by_id(f->s, paused, &c, &f->e));
	assert_true(str_is(c.why, "restored"));
	assert_int_equal(c.paused_at, NOW - HOUR);
	OK(f, store_campaign_by_id(f->s, over, &c, &f->e));
	assert_int_equal(c.state, CAMPAIGN_CANCELLED);
	ms_t as_of, at;
	assert_int_equal(store_adopted(f->s, &as_of, &at, &f->e), 1);
	assert_int_equal(as_of, NOW - MINUTE);
	assert_int_equal(at, NOW);
	/* Nothing is handed out until somebody resumes it; what was on the wire is in doubt then. */
	struct resume_options o = {.rate = -1, .doubt = -1, .at = NOW};
	int64_t n;
	fixture_lease(f);
	OK(f, store_ledger_recover(f->s, f->epoch, 1, NOW, &n, &f->e));
	assert_int_equal(n, 1);
	OK(f, store_campaign_resume(f->s, running, &o, &f->e));
	OK(f, store_campaign_by_id(f->s, running, &c, &f->e));
	assert_int_equal(c.state, CAMPAIGN_RUNNING);
	fixture_check(f);
}

static void adopt__while_somebody_writes_to_it__waits(void **state)
{
	struct fixture *f = *state;
	struct adopted done;
	const struct adopt a = {.how = "adopt", .now = clock_now(), .say = say};
	fixture_lease(f);
	FAILS(f, ERR_AGAIN, store_adopt(f->s, &a, &done, &f->e));
	struct adopt surely = a;
	surely.detached = true;
	OK(f, store_adopt(f->s, &surely, &done, &f->e));
}

static void adopt__numbers_that_the_original_may_have_given__are_not_given_again(void **state)
{
	struct fixture *f = *state;
	fixture_people(f, "news", 1, 10);
	int64_t person = fixture_contact(f, "p3@y.example"), list = fixture_list(f, "news"),
		campaign = fixture_campaign(f, "june", 0), id;
	assert_true(person > 0);
	adopt(f, NOW, f->path);
	fixture_people(f, "more", 20, 10);
	assert_true(fixture_contact(f, "p23@y.example") > person + 1000000);
	OK(f, store_contact_put(f->s, STR("q@x.example"), STR("q@x.example"), STR(""), NOW, &id, &f->e));
	assert_true(id > person + 1000000);
	assert_true(fixture_list(f, "more") > list + 1000);
	assert_true(fixture_campaign(f, "july", 0) >= campaign + 10000);
	assert_int_equal(fixture_campaign(f, "august", 0), campaign + 10001);
	/* Once more, before anything was numbered. */
	adopt(f, NOW, f->path);
	assert_true(fixture_campaign(f, "september", 0) >= campaign + 20001);
	assert_int_equal(fixture_contact(f, "p3@y.example"), person);
	fixture_check(f);
}

static void machine__is_the_same_each_time__and_a_chosen_name_another(void **state)
{
	(void)state;
	char a[MACHINE_ID_MAX], b[MACHINE_ID_MAX], c[MACHINE_ID_MAX];
	machine_id(NULL, a);
	machine_id(NULL, b);
	assert_int_equal(strlen(a), MACHINE_ID_MAX - 1);
	assert_string_equal(a, b);
	machine_id("mail", c);
	assert_string_not_equal(a, c);
	machine_id("mail2", b);
	assert_string_not_equal(b, c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(home__another_machine__is_only_read),
		TEST(home__the_very_file_under_another_name__is_no_copy),
		TEST(home__a_copy_beside_the_original__is_only_read),
		TEST(adopt__pauses_all_that_is_not_over),
		TEST(adopt__while_somebody_writes_to_it__waits),
		TEST(adopt__numbers_that_the_original_may_have_given__are_not_given_again),
		TEST(machine__is_the_same_each_time__and_a_chosen_name_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
