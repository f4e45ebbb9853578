#include "src/db/copies.h"
#include "tests/unit/store_fixture.h"

#include <fcntl.h>

/* The self-check finds what was broken from outside, and names the right thing. */

struct seen {
	char text[4096]; /* "severity:id:where " of all that is not fine */
};

static int note(void *ctx, const struct self_finding *f)
{
	static const char *const names[] = {"pass", "info", "skip", "warn", "fail"};
	struct seen *s = ctx;
	size_t n = strlen(s->text);
	if (f->severity >= SELF_SKIP)
		snprintf(s->text + n, sizeof s->text - n, "%s:%s:%.*s ", names[f->severity], f->id,
			STR_ARG(f->where));
	if (f->severity >= SELF_WARN)
		assert_true(f->remedy != NULL && f->remedy[0] != '\0');
	return 0;
}

static const char *check(struct fixture *f)
{
	static struct seen seen;
	seen.text[0] = '\0';
	const struct self_check o = {.row = note, .ctx = &seen};
	struct self_count n;
	OK(f, store_check(f->s, &o, &n, &f->e));
	return seen.text;
}

/* 12 people; of the campaign "june" 4 are sent, 1 is deferred, 1 on the wire, the rest wait. */
static void campaign(struct fixture *f)
{
	struct arena arena;
	struct claims claims = {.arena = &arena};
	struct audience a = {.nlists = 1};
	fixture_people(f, "news", 1, 12);
	a.lists[0] = fixture_list(f, "news");
	int64_t id = fixture_campaign(f, "june", 0);
	arena_init(&arena, 4096, 1 << 20);
	fixture_lease(f);
	fixture_prepare(f, id, &a, 1000);
	fixture_claim(f, id, CLAIM_FRESH, 6, NOW, &claims);
	for (int i = 0; i < 5; i++) {
		struct outcome_row o = fixture_sent(claims.v[i].delivery, NOW);
		if (i == 4) {
			o.kind = OUTCOME_DEFER;
			o.due = NOW + HOUR;
			o.class = CLASS_SOFT;
		}
		fixture_record(f, &o, 1, NOW);
	}
	OK(f, store_lease_release(f->s, f->epoch, &f->e));
	free(claims.v);
	arena_release(&arena);
}

static void expect(struct fixture *f, const char *sql, const char *found)
{
	fixture_sql(f, sql);
	const char *got = check(f);
	if (strcmp(got, found) != 0)
		fail_msg("%s:\nwanted %s\n   got %s", sql, found, got);
}

/* Each in a database of its own. */
static void broken__is_found(void **state)
{
	static const struct {
		const char *sql, *found;
	} cases[] = {
		{"SELECT 1", ""},
		{"UPDATE tally SET n = n + 1 WHERE slot = 3", "fail:ledger:june "},
		{"UPDATE tally SET n = n + 1 WHERE slot = 12", "fail:ledger:june "},
		{"UPDATE campaign SET audience_n = 13", "fail:ledger:june "},
		{"DELETE FROM delivery WHERE id & 4294967295 = 12", "fail:ledger:june fail:ledger:june "},
		{"UPDATE delivery SET state = 42 WHERE id & 4294967295 = 1",
			"fail:ledger:june fail:ledger:june fail:ledger:june "},
		{"UPDATE delivery SET due = 5 WHERE id & 4294967295 = 1", "fail:ledger:june "},
		{"UPDATE delivery SET due = NULL WHERE id & 4294967295 = 5", "fail:ledger:june "},
		{"DELETE FROM attempt WHERE delivery & 4294967295 = 2", "fail:ledger:june "},
		{"UPDATE attempt SET n = 2 WHERE delivery & 4294967295 = 2", "fail:ledger:june "},
		{"INSERT INTO attempt SELECT delivery + 10, n, at, kind, state, code, enhanced, class, "
		 "scope, reason, site, route, "
		 "reply, relay_id FROM attempt WHERE delivery & 4294967295 = 2",
			"fail:ledger:june "},
		{"UPDATE delivery SET contact = 4711 WHERE id & 4294967295 = 12", "fail:ledger:june "},
		{"UPDATE delivery SET domain = 4711 WHERE id & 4294967295 = 12", "fail:ledger:june "},
		{"DELETE FROM intent", "fail:ledger:june fail:ledger:june fail:ledger:june "},
		{"UPDATE intent SET epoch = 99", "fail:intents: "},
		{"INSERT INTO intent VALUES(99, 1, 1, 1)", "fail:intents: "},
		{"DELETE FROM contact WHERE id = 12",
			"fail:ledger:june fail:relations:address fail:lists:news "},
		{"INSERT INTO tally VALUES(9, 0, 0, 1)", "fail:relations:tally "},
		{"INSERT INTO content VALUES(9, 0, '', '')", "fail:relations:content "},
		{"INSERT INTO doubt VALUES(1)", "fail:leftovers:doubt "},
		{"INSERT INTO evidence VALUES(77, 1, 'x')", "fail:relations:evidence "},
		{"INSERT INTO failure VALUES(77, 1 << 40, 1, 1, 1)", "fail:relations:failure "},
		{"INSERT INTO dialogue VALUES(77, 1 << 40, 1, '')", "fail:relations:dialogue "},
		{"INSERT INTO trouble VALUES(4711, 0, 0, 0, 0, 0, 0, 0, 0)", "fail:relations:trouble "},
		{"INSERT INTO member(list, contact) VALUES(77, 1)", "fail:relations:member "},
		{"DELETE FROM address WHERE contact = 3", "fail:contacts: "},
		{"UPDATE contact SET domain = 4711 WHERE id = 3", "fail:contacts: "},
		{"UPDATE list SET members = 13", "fail:lists:news "},
		{"INSERT INTO import_change VALUES(1, 0, NULL)", "fail:leftovers:import_change "},
		{"INSERT INTO pending_import VALUES(9)", "fail:leftovers:pending_import "},
		{"INSERT INTO import(list, file, source, consent_at, at, host, boot, pid, pid_start, "
		 "heartbeat) VALUES(1, '', 0, 0, 0, "
		 "'gone', '', 1, 1, 1)",
			"warn:leftovers: "},
		{"DROP INDEX delivery_due", "fail:schema:delivery_due "},
		{"CREATE TABLE own(x)", "fail:schema:own "},
		{"CREATE TRIGGER own AFTER DELETE ON doubt BEGIN SELECT 1; END", "fail:schema:own "},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		void *own;
		fixture_setup(&own);
		campaign(own);
		expect(own, cases[i].sql, cases[i].found);
		fixture_teardown(&own);
	}
}

static void suppressed__mailed_afterwards__is_found(void **state)
{
	struct fixture *f = *state;
	bool added;
	struct suppression sup = {
		.key = STR("p1@docomo.ne.jp"), .reason = SUPPRESS_MANUAL, .created = NOW - HOUR};
	campaign(f);
	assert_string_equal(check(f), "");
	/* Recorded by a person at that time, an hour before the claim. */
	OK(f, store_suppress(f->s, &sup, &added, &f->e));
	assert_string_equal(check(f), "fail:suppressed: ");
	/* From a file: the date may be older than the record. */
	fixture_sql(f, "DELETE FROM history; DELETE FROM suppression");
	sup.dated = true;
	OK(f, store_suppress(f->s, &sup, &added, &f->e));
	assert_string_equal(check(f), "warn:suppressed: ");
	fixture_sql(f, "UPDATE suppression SET held_until = 1");
	assert_string_equal(check(f), "");
	fixture_sql(f, "UPDATE suppression SET held_until = 0, created = created + 7200000");
	assert_string_equal(check(f), "");
	/* A later attempt of a delivery whose first was before. */
	fixture_sql(f, "UPDATE delivery SET attempts = 2 WHERE id & 4294967295 = 1");
	fixture_sql(f, "INSERT INTO attempt SELECT delivery, 2, at + 20000000, kind, state, code, enhanced, "
		       "class, scope, reason, site, "
		       "route, reply, relay_id FROM attempt WHERE delivery & 4294967295 = 1");
	fixture_sql(f, "UPDATE tally SET n = n + 1 WHERE slot = 12");
	assert_true(strstr(check(f), "suppressed") == NULL);
	fixture_sql(f, "UPDATE attempt SET at = at + 7200000 WHERE n = 1 AND delivery & 4294967295 = 1");
	assert_non_null(strstr(check(f), "warn:suppressed: "));
}

static void file__a_damaged_page__is_found(void **state)
{
	struct fixture *f = *state;
	fixture_people(f, "news", 1, 2000);
	store_close(&f->s);
	int64_t page = fixture_sql(f, "SELECT rootpage FROM sqlite_schema WHERE name = 'address'");
	int fd = open(f->path, O_WRONLY);
	assert_true(fd >= 0);
	char rubbish[512];
	memset(rubbish, 0xa5, sizeof rubbish);
	assert_int_equal(pwrite(fd, rubbish, sizeof rubbish, (page - 1) * 4096 + 8), sizeof rubbish);
	close(fd);
	f->s = fixture_open(f, STORE_READ);
	static struct seen seen;
	const struct self_check o = {.row = note, .ctx = &seen};
	struct self_count n;
	/* Later checks may stop at the page, too. */
	(void)store_check(f->s, &o, &n, &f->e);
	assert_true(strncmp(seen.text, "fail:file: ", 11) == 0);
}

static void while_somebody_delivers__only_the_long_look_is_skipped(void **state)
{
	struct fixture *f = *state;
	campaign(f);
	fixture_lease(f);
	/* Its intent is of the holder before. */
	assert_string_equal(check(f), "skip:file: warn:intents: ");
	int64_t n;
	OK(f, store_ledger_recover(f->s, f->epoch, 1, NOW, &n, &f->e));
	assert_string_equal(check(f), "skip:file: ");
}

static int stop(void *ctx, const char *doing, int64_t done, int64_t of)
{
	(void)doing;
	(void)done;
	(void)of;
	return ++*(int *)ctx == 2;
}

static int stop_copy(void *ctx, int64_t done, int64_t of)
{
	assert_true(done <= of);
	return ++*(int *)ctx == 1;
}

static void stopped__says_so(void **state)
{
	struct fixture *f = *state;
	char name[128];
	int n = 0;
	campaign(f);
	const struct self_check o = {.step = stop, .ctx = &n};
	struct self_count count;
	FAILS(f, ERR_AGAIN, store_check(f->s, &o, &count, &f->e));
	OK(f, store_check(f->s, &(struct self_check){.row = NULL}, &count, &f->e));
	fixture_people(f, "many", 100, 60000);
	n = 0;
	snprintf(name, sizeof name, "%s.copy", f->path);
	FAILS(f, ERR_AGAIN, store_backup(f->s, name, stop_copy, &n, &f->e));
	assert_int_equal(access(name, F_OK), -1);
	OK(f, store_backup(f->s, name, NULL, NULL, &f->e));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken__is_found),
		TEST(suppressed__mailed_afterwards__is_found),
		TEST(file__a_damaged_page__is_found),
		TEST(while_somebody_delivers__only_the_long_look_is_skipped),
		TEST(stopped__says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
