#include "tests/unit/store_fixture.h"

#include "lists/column.h"
#include "lists/import_status.h"
#include "lists/list_name.h"
#include "lists/segment.h"
#include "lists/suppress_import.h"
#include "src/base/file.h"
#include "src/base/nearest.h"
#include "src/base/utf8.h"

static struct fixture *f;
static struct arena arena;

/* ---- Names ---- */

static void attr_of(const char *header, const char *expected)
{
	assert_true(str_is(column_attr(str_from(header), &arena), expected));
}

static void column__becomes_a_name_that_templates_can_say(void **state)
{
	(void)state;
	arena_init(&arena, 4096, 1 << 20);
	attr_of("First Name", "first_name");
	attr_of(" first-name ", "first_name");
	attr_of("FIRST__NAME.", "first_name");
	attr_of("E-Mail (2)", "e_mail_2");
	attr_of("氏名", "氏名");
	attr_of("\xe3\x80\x80"
		"お名前 (漢字)"
		"\xe3\x80\x80",
		"お名前 (漢字)");
	attr_of("Größe", "Größe");
	attr_of("--", "");
	attr_of("", "");
	assert_true(column_is_own(STR("pr_status")) && column_is_own(STR(" PR_x")) &&
		    !column_is_own(STR("pr_")) && !column_is_own(STR("price")));
	assert_true(column_email_rank(STR("E-Mail")) > column_email_rank(STR("address")));
	assert_true(column_email_rank(STR("メールアドレス")) > 0 && column_email_rank(STR("address")) > 0);
	assert_int_equal(column_email_rank(STR("name")), 0);
	arena_release(&arena);
}

static const char *near_to(const char *typed)
{
	static struct nearest n;
	static const char *const known[] = {"first_name", "city", "newsletter", "news", "氏名"};
	nearest_init(&n, str_from(typed));
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		nearest_offer(&n, str_from(known[i]));
	return n.best;
}

static void nearest__is_near_or_nothing(void **state)
{
	(void)state;
	assert_string_equal(near_to("frist_name"), "first_name");
	assert_string_equal(near_to("First_Name"), "first_name");
	assert_string_equal(near_to("ctiy"), "city");
	assert_string_equal(near_to("newz"), "news");
	assert_string_equal(near_to("newslettr"), "newsletter");
	assert_string_equal(near_to("zzzz"), "");
	assert_string_equal(near_to("x"), "");
	assert_string_equal(near_to("cats"), "");
	assert_string_equal(near_to("nest"), "");
	char longer[300];
	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	assert_string_equal(near_to(longer), "");
}

static void list_names__and_ids(void **state)
{
	(void)state;
	assert_int_equal(list_name_check(STR("news 2026 ニュース"), NULL), 0);
	static const char *const bad[] = {
		"", " news", "news ", "-news", "a\nb", "a\x1b[31m", "a\xff", "a\xc2\x85"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(list_name_check(str_from(bad[i]), NULL), -1);
	assert_int_equal(list_id_check(STR("news.books-2.example"), NULL), 0);
	static const char *const bad_ids[] = {"", ".a", "a.", "a..b", "a b", "a<b>", "ä"};
	for (size_t i = 0; i < sizeof bad_ids / sizeof bad_ids[0]; i++)
		assert_int_equal(list_id_check(str_from(bad_ids[i]), NULL), -1);
}

static void status_words__of_many_services(void **state)
{
	(void)state;
	static const struct {
		const char *word;
		enum import_status status;
	} words[] = {
		{"", IMPORT_SUBSCRIBED},
		{"Active", IMPORT_SUBSCRIBED},
		{"opt-in", IMPORT_SUBSCRIBED},
		{"Soft Bounce", IMPORT_SUBSCRIBED},
		{"UNSUBSCRIBED", IMPORT_UNSUBSCRIBED},
		{"Opted Out", IMPORT_UNSUBSCRIBED},
		{"blocklisted", IMPORT_UNSUBSCRIBED},
		{"non-subscribed", IMPORT_UNSUBSCRIBED},
		{"退会", IMPORT_UNSUBSCRIBED},
		{"suppressed", IMPORT_UNSUBSCRIBED},
		{"cleaned", IMPORT_BOUNCED},
		{"hard_bounce", IMPORT_BOUNCED},
		{"Invalid", IMPORT_BOUNCED},
		{"不達", IMPORT_BOUNCED},
		{"spamreport", IMPORT_COMPLAINED},
		{"Complained", IMPORT_COMPLAINED},
		{"迷惑メール", IMPORT_COMPLAINED},
	};
	enum import_status got;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		assert_null(import_status_read(str_from(words[i].word), &got));
		assert_int_equal(got, words[i].status);
	}
	for (int i = IMPORT_SUBSCRIBED; i <= IMPORT_COMPLAINED; i++) {
		assert_null(import_status_read(str_from(import_status_names[i]), &got));
		assert_int_equal(got, i);
	}
	assert_non_null(import_status_read(STR("pending"), &got));
	assert_non_null(import_status_read(STR("1"), &got));
}

/* ---- Audiences ---- */

static int64_t make_campaign(const char *name)
{
	int64_t id;
	struct content_part part = {STR("message"), STR("x")};
	struct campaign_new c = {
		.name = str_from(name), .content_hash = STR("00"), .audience = STR("{}"), .now = NOW};
	OK(f, store_campaign_create(f->s, &c, &part, 1, &id, &f->e));
	return id;
}

static int resolve(const struct audience_spec *spec, struct audience *out)
{
	f->e = (struct err){0};
	arena_reset(&arena);
	return audience_resolve(spec, f->s, clock_zone("UTC", NULL), 7, &arena, out, &f->e);
}

static void audience__resolves_names(void **state)
{
	f = *state;
	arena_init(&arena, 4096, 1 << 20);
	int64_t news = fixture_empty_list(f, "news"), shop = fixture_empty_list(f, "shop"),
		june = make_campaign("june"), odd = make_campaign("may:sent");
	const char *lists[] = {"news", "news"}, *exclude[] = {"shop"},
		   *of[] = {"june:sent,Bounced", "may:sent"}, *not_of[] = {"june"};
	struct audience_spec spec = {.lists = lists,
		.nlists = 2,
		.exclude = exclude,
		.nexclude = 1,
		.of = of,
		.nof = 2,
		.not_of = not_of,
		.nnot_of = 1,
		.where = "$domain = \"example.com\"",
		.sample = "12.5%"};
	struct audience a;
	OK(f, resolve(&spec, &a));
	assert_int_equal(a.nlists, 1);
	assert_int_equal(a.lists[0], news);
	assert_int_equal(a.exclude[0], shop);
	assert_int_equal(a.of[0].campaign, june);
	assert_int_equal(a.of[0].states, 1u << DELIVERY_SENT | 1u << DELIVERY_BOUNCED);
	assert_int_equal(a.of[1].campaign, odd);
	assert_int_equal(a.of[1].states, 0);
	assert_int_equal(a.not_of[0].states, 0);
	assert_true(a.sample_share == 0.125 && a.sample_n == 0 && a.seed == 7);
	assert_int_equal(a.where->field, FIELD_DOMAIN);
	spec.sample = "500";
	OK(f, resolve(&spec, &a));
	assert_int_equal(a.sample_n, 500);
	arena_release(&arena);
}

static void audience_fails(const struct audience_spec *spec, int code, const char *why, const char *remedy)
{
	struct audience a;
	assert_int_equal(resolve(spec, &a), -1);
	assert_int_equal(f->e.code, code);
	assert_string_equal(f->e.why, why);
	assert_string_equal(f->e.remedy, remedy);
}

static void audience__mistakes_widen_nothing(void **state)
{
	f = *state;
	arena_init(&arena, 4096, 1 << 20);
	fixture_empty_list(f, "news");
	make_campaign("june");
	const char *lists[] = {"nwes"}, *of[] = {"juen"}, *states[] = {"june:snet"}, *many[AUDIENCE_MAX + 1];
	audience_fails(&(struct audience_spec){.lists = lists, .nlists = 1}, ERR_NOINPUT,
		"there is no list \"nwes\"", "did you mean \"news\"?");
	lists[0] = "zzzzzz";
	audience_fails(&(struct audience_spec){.lists = lists, .nlists = 1}, ERR_NOINPUT,
		"there is no list \"zzzzzz\"", "`postrider lists` shows what there is");
	audience_fails(&(struct audience_spec){.of = of, .nof = 1}, ERR_NOINPUT,
		"there is no campaign \"juen\"", "did you mean \"june\"?");
	struct audience a;
	assert_int_equal(resolve(&(struct audience_spec){.not_of = states, .nnot_of = 1}, &a), -1);
	assert_int_equal(f->e.code, ERR_NOINPUT);
	static const char *const samples[] = {
		"0", "-1", "0%", "101%", "%", "x", "1e3", "5 %", "nan%", "inf%", ""};
	for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
		assert_int_equal(resolve(&(struct audience_spec){.sample = samples[i]}, &a), -1);
		assert_int_equal(f->e.code, ERR_USAGE);
	}
	for (size_t i = 0; i <= AUDIENCE_MAX; i++)
		many[i] = "june";
	assert_int_equal(resolve(&(struct audience_spec){.of = many, .nof = AUDIENCE_MAX + 1}, &a), -1);
	arena_release(&arena);
}

static void audience__same_people_same_text(void **state)
{
	(void)state;
	arena_init(&arena, 4096, 1 << 20);
	const char *one[] = {"b", "a", "b"}, *two[] = {"a", "b"}, *of1[] = {"june:bounced,sent"},
		   *of2[] = {"june:sent,bounced"};
	struct audience_spec x = {.lists = one, .nlists = 3, .of = of1, .nof = 1, .where = " a = 1 "}, back;
	struct audience_spec y = {.lists = two, .nlists = 2, .of = of2, .nof = 1, .where = "a = 1"};
	struct str text = audience_text(&x, &arena);
	assert_string_equal(
		text.p, "{\"lists\":[\"a\",\"b\"],\"of\":[\"june:sent,bounced\"],\"where\":\"a = 1\"}");
	assert_true(str_eq(text, audience_text(&y, &arena)));
	assert_int_equal(audience_from_text(text, &arena, &back, NULL), 0);
	assert_int_equal(back.nlists, 2);
	assert_string_equal(back.of[0], "june:sent,bounced");
	assert_string_equal(back.where, "a = 1");
	assert_null(back.sample);
	assert_true(str_eq(text, audience_text(&back, &arena)));
	assert_string_equal(audience_text(&(struct audience_spec){0}, &arena).p, "{}");
	/* What cannot be written down whole is not written down as everybody. */
	const char *broken[] = {"\xff"};
	assert_null(audience_text(&(struct audience_spec){.where = "city = '\xff'"}, &arena).p);
	assert_null(audience_text(&(struct audience_spec){.lists = broken, .nlists = 1}, &arena).p);
	assert_null(audience_text(&(struct audience_spec){.sample = "\xff"}, &arena).p);
	static const char *const bad[] = {"", "[]", "{\"lists\":1}", "{\"lists\":[1]}", "{\"where\":2}", "{"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(audience_from_text(str_from(bad[i]), &arena, &back, NULL), -1);
	arena_release(&arena);
}

/* ---- Suppressions from a file ---- */

static struct suppress_report suppress(const char *text, int64_t list, const char *column)
{
	static char path[128];
	struct suppress_report report;
	snprintf(path, sizeof path, "%s/sup.csv", f->dir);
	unlink(path);
	OK(f, file_create(path, str_from(text), 0600, &f->e));
	struct suppress_request q = {.file = path,
		.list = list,
		.column = column,
		.reason = SUPPRESS_IMPORT,
		.zone = clock_zone("UTC", NULL),
		.now = NOW};
	OK(f, suppress_import(f->s, &q, &report, &f->e));
	return report;
}

static int note_one(void *ctx, const struct suppression *sup)
{
	char z[CLOCK_TEXT];
	buf_printf(ctx, "%.*s %.*s %s %s;", STR_ARG(sup->key),
		STR_ARG(sup->list == 0 ? STR("all") : sup->list_name), suppress_reason_names[sup->reason],
		sup->created == NOW ? "now" : clock_utc(sup->created, z));
	return 0;
}

static void suppressed(const char *key, const char *expected)
{
	struct buf b = BUF_INIT(4096);
	OK(f, store_suppressions_of(f->s, str_from(key), 0, note_one, &b, &f->e));
	assert_string_equal(buf_cstr(&b), expected);
	buf_release(&b);
}

static void suppressions__from_plain_and_own_files(void **state)
{
	f = *state;
	int64_t news = fixture_empty_list(f, "news");
	struct suppress_report r = suppress("A@Example.com\n@Bücher.example\nbad\n＠full.example\n", 0, NULL);
	assert_int_equal(r.added, 3);
	assert_int_equal(r.rejected, 1);
	assert_int_equal(r.first_line, 3);
	assert_string_equal(r.first_reason, "no @");
	suppressed("a@example.com", "a@example.com all import now;");
	suppressed("@xn--bcher-kva.example", "@xn--bcher-kva.example all import now;");
	suppressed("@full.example", "@full.example all import now;");
	suppress("Event;Mail\nbounced;b@example.com\n", news, "mail");
	suppressed("b@example.com", "b@example.com news import now;");
	r = suppress("address,scope,reason,campaign,evidence,created,held_until\n"
		     "c@example.com,news,unsubscribe,,asked,2026-01-02T03:04:05.000Z,\n"
		     "d@example.com,gone,manual,,,,\ne@example.com,all,forgotten,,,,\nf@example.com,all,"
		     "subscribed,,,,\ng@example.com,all,manual,,,soon,\n",
		0, NULL);
	assert_int_equal(r.added, 1);
	assert_int_equal(r.rejected, 4);
	assert_string_equal(r.first_reason, "its scope is a list that is not here");
	suppressed("c@example.com", "c@example.com news unsubscribe 2026-01-02T03:04:05.000Z;");
	suppressed("e@example.com", "");
	struct suppress_request q = {.file = "/nonexistent", .zone = clock_zone("UTC", NULL), .now = NOW};
	assert_int_equal(suppress_import(f->s, &q, &r, &f->e), -1);
	assert_int_equal(f->e.code, ERR_NOINPUT);
}

static void suppressions__from_other_services_exports(void **state)
{
	f = *state;
	suppress("Email Address,First Name,UNSUB_TIME,UNSUB_REASON\n"
		 "a@example.com,Anna,2023-01-02 03:04:05,NORMAL\nb@example.com,Bo,2/1/23 3:04 AM,\n",
		0, NULL);
	suppressed("a@example.com", "a@example.com all unsubscribe 2023-01-02T03:04:05.000Z;");
	suppressed("b@example.com", "b@example.com all unsubscribe now;");
	suppress("Email Address,CLEAN_TIME\nc@example.com,2023-01-02 03:04:05\n", 0, NULL);
	suppressed("c@example.com", "c@example.com all hard-bounce 2023-01-02T03:04:05.000Z;");
}

static int note_evidence(void *ctx, const struct suppression *sup)
{
	buf_str(ctx, sup->evidence);
	return 0;
}

static void suppressions__long_evidence_is_cut_between_characters(void **state)
{
	f = *state;
	struct buf file = BUF_INIT(4096), got = BUF_INIT(4096);
	buf_puts(&file, "email,evidence\na@example.com,");
	for (int i = 0; i < 300; i++)
		buf_puts(&file, i == 0 ? "x" : "é");
	assert_int_equal(suppress(buf_cstr(&file), 0, NULL).added, 1);
	OK(f, store_suppressions_of(f->s, STR("a@example.com"), 0, note_evidence, &got, &f->e));
	assert_int_equal(got.len, 499);
	assert_true(utf8_valid(buf_get(&got)));
	buf_release(&file);
	buf_release(&got);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(column__becomes_a_name_that_templates_can_say),
		cmocka_unit_test(nearest__is_near_or_nothing),
		cmocka_unit_test(list_names__and_ids),
		cmocka_unit_test(status_words__of_many_services),
		TEST(audience__resolves_names),
		TEST(audience__mistakes_widen_nothing),
		cmocka_unit_test(audience__same_people_same_text),
		TEST(suppressions__from_plain_and_own_files),
		TEST(suppressions__from_other_services_exports),
		TEST(suppressions__long_evidence_is_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
