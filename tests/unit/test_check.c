/* check over an audience: what it finds, for how many, who is the first. */
#include "tests/unit/store_fixture.h"

#include "engine/check.h"
#include "lists/address.h"
#include "src/base/file.h"

struct audit {
	struct fixture *f;
	struct config *cfg;
	struct token_keys *keys;
	struct launch l;
	struct check c;
};

#define CONF                                                                                                 \
	"database = test.db\n[sender]\nname = Kyoto Books\npostal-address = 1-2-3 Teramachi, "               \
	"Kyoto\n[domain books.example]\n"                                                                    \
	"[route main]\nhost = 127.0.0.1\nport = 2525\n[unsubscribe]\nurl = "                                 \
	"https://books.example/u?t={token}\n"                                                                \
	"[return-path]\ndomain = bounces.books.example\n"
#define GOOD_MESSAGE                                                                                         \
	"From: Kyoto Books <news@books.example>\nSubject: The June list\n\nDear {{ first_name }},\n\n"       \
	"forty new titles came in this month, and three of them we would take home ourselves.\n\n"           \
	"Kyoto Books, 1-2-3 Teramachi, Kyoto. [Unsubscribe]({{ unsubscribe_url }})\n"

static const char *write_file(struct fixture *f, const char *name, const char *text)
{
	static char path[2][160];
	static int at;
	char *p = path[at ^= 1];
	snprintf(p, sizeof path[0], "%s/%s", f->dir, name);
	OK(f, file_write(p, str_from(text), 0600, &f->e));
	return p;
}

/* i-th of n people: attributes from `attr` as name=value, or none. */
static void add_person(
	struct fixture *f, int64_t list, const char *address, const char *name, const char *value)
{
	struct buf attrs = BUF_INIT(4096);
	int64_t id;
	if (value != NULL && value[0] != '\0') {
		int64_t a = store_attr_id(f->s, str_from(name), true, &f->e);
		attrs_put(&attrs, (uint32_t)a, str_from(value));
	}
	OK(f, store_contact_put(
		      f->s, str_from(address), str_from(address), buf_get(&attrs), NOW, &id, &f->e));
	OK(f, store_subscribe(f->s, id, list, STR("test"), 0, true, NOW, &f->e));
	buf_release(&attrs);
}

/* `n` people on a list; each tenth has no first name. */
static int64_t people(struct fixture *f, int n)
{
	int64_t list = fixture_empty_list(f, "readers");
	char address[64], name[16];
	for (int i = 0; i < n; i++) {
		snprintf(address, sizeof address, "reader%d@mail.example", i);
		snprintf(name, sizeof name, "Anna%d", i);
		add_person(f, list, address, "first_name", i % 10 == 3 ? "" : name);
	}
	return list;
}

static void audit_message(struct audit *k, struct fixture *f, int64_t list, const char *conf,
	const char *name, const char *message, bool findings, int threads)
{
	*k = (struct audit){.f = f};
	OK(f, config_load(write_file(f, "postrider.conf", conf), &k->cfg, &f->e));
	OK(f, token_keys_load(write_file(f, "secret",
				      "0:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"),
		      &k->keys, &f->e));
	OK(f, launch_open(&k->l, write_file(f, name, message), NULL, k->cfg, f->s, &f->e));
	k->l.audience.lists[k->l.audience.nlists++] = list;
	launch_plan(&k->l, NULL, NULL);
	struct check_options o = {.keys = k->keys, .findings = findings, .threads = threads};
	OK(f, check_run(&k->l, &o, &k->c, &f->e));
}

static void audit_end(struct audit *k)
{
	char path[160];
	static const char *const names[] = {"postrider.conf", "secret", "m.md", "m.html", "m.txt"};
	check_release(&k->c);
	launch_close(&k->l);
	token_keys_free(&k->keys);
	config_free(&k->cfg);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", k->f->dir, names[i]);
		unlink(path);
	}
}

static const struct check_finding *finding(const struct audit *k, const char *id)
{
	for (size_t i = 0; i < k->c.n; i++)
		if (strcmp(k->c.found[i].id, id) == 0)
			return &k->c.found[i];
	return NULL;
}

static void expect_only(const struct audit *k, const char *const *ids)
{
	for (size_t i = 0; i < k->c.n; i++) {
		bool expected = false;
		for (size_t j = 0; ids[j] != NULL; j++)
			expected = expected || strcmp(ids[j], k->c.found[i].id) == 0;
		if (!expected)
			fail_msg("not expected: %s: %.*s", k->c.found[i].id, STR_ARG(k->c.found[i].text));
	}
	for (size_t j = 0; ids[j] != NULL; j++)
		if (finding(k, ids[j]) == NULL)
			fail_msg("not found: %s", ids[j]);
}

static void check__good_message__has_only_notes(void **state)
{
	struct audit k;
	int64_t list = people(*state, 3);
	audit_message(&k, *state, list, "law = us\n" CONF, "m.md", GOOD_MESSAGE, true, 0);
	expect_only(&k, (const char *const[]){NULL});
	assert_int_equal(k.c.checked, 3);
	assert_int_equal(k.c.failed, 0);
	assert_true(k.c.bytes > 500);
	audit_end(&k);
}

/* Message-ID and List-Id have a domain all the same. */
static void check__from_of_each_recipient__only_that_is_said(void **state)
{
	static const char *const ours[] = {"[return-path]\ndomain = bounces.books.example\n",
		"[domain books.example]\n", "[unsubscribe]\nmailto = u@books.example\n",
		"[unsubscribe]\nurl = https://books.example:8443/u?t={token}\n"};
	int64_t list = people(*state, 3);
	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
		struct audit k;
		char conf[600];
		snprintf(conf, sizeof conf,
			"database = test.db\n[sender]\nname = Kyoto Books\n[route main]\nhost = "
			"127.0.0.1\n%s",
			ours[i]);
		audit_message(&k, *state, list, conf, "m.md",
			"From: Kyoto Books <{{ first_name }}@{{ 'books.example' }}>\n"
			"Subject: The June list\n\nDear {{ first_name }}, forty new titles came in.\n",
			true, 0);
		assert_non_null(finding(&k, "from-varies"));
		assert_int_equal(k.c.failed, 0);
		static const char *const bad[] = {
			"message-id-host", "message-id-malformed", "list-id-malformed"};
		for (size_t j = 0; j < sizeof bad / sizeof bad[0]; j++)
			if (finding(&k, bad[j]) != NULL)
				fail_msg("%s: %s", ours[i], bad[j]);
		audit_end(&k);
	}
}

/* Exact numbers and the first in the audience's order, however many threads there are. */
static void check__missing_names__are_counted_exactly(void **state)
{
	int64_t list = people(*state, 1500);
	for (int threads = 1; threads <= 4; threads += 3) {
		struct audit k;
		audit_message(&k, *state, list, CONF, "m.md", GOOD_MESSAGE, true, threads);
		expect_only(&k, (const char *const[]){"greeting-empty", "value-missing", NULL});
		assert_int_equal(k.c.checked, 1500);
		assert_int_equal(finding(&k, "greeting-empty")->recipients, 150);
		assert_true(str_is(finding(&k, "greeting-empty")->first, "reader3@mail.example"));
		assert_int_equal(finding(&k, "value-missing")->recipients, 150);
		audit_end(&k);
	}
}

/* Where a default stands for it each time, nothing is missing. */
static void check__missing_names_with_a_default__are_none(void **state)
{
	static const struct {
		const char *use;
		bool missing;
	} uses[] = {
		{"{{ first_name | default: 'friend' }}", false},
		{"{{ contact.first_name | strip | default: 'friend' | append: '!' }}", false},
		{"{% assign who = first_name | default: 'friend' %}{{ who }}", false},
		{"{{ first_name | append: '!' | default: 'friend' }}", true},
		{"{{ 'friend' | default: first_name }}", true},
		{"{{ first_name | default: 'friend' }}, dear {{ first_name }}", true},
	};
	int64_t list = people(*state, 30);
	for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
		struct audit k;
		char text[600];
		snprintf(text, sizeof text,
			"From: Kyoto Books <news@books.example>\nSubject: The June list\n\nForty new titles "
			"came in, %s.\n\nKyoto Books, 1-2-3 Teramachi, Kyoto. [Unsubscribe]({{ "
			"unsubscribe_url }})\n",
			uses[i].use);
		audit_message(&k, *state, list, CONF, "m.md", text, true, 0);
		expect_only(&k, (const char *const[]){uses[i].missing ? "value-missing" : NULL, NULL});
		audit_end(&k);
	}
}

static void check__greeting__is_read_whatever_the_encoding(void **state)
{
	/* 7bit, quoted-printable and base64 */
	static const char *const greetings[] = {"Dear {{ first_name }},", "Chère {{ first_name }},",
		"{{ first_name }}様\n\nこんにちは、お元気ですか。"};
	int64_t list = people(*state, 20);
	for (size_t i = 0; i < sizeof greetings / sizeof greetings[0]; i++) {
		struct audit k;
		char message[400];
		snprintf(message, sizeof message,
			"From: Kyoto Books <news@books.example>\nSubject: The June list\n\n%s\n",
			greetings[i]);
		audit_message(&k, *state, list, CONF, "m.md", message, true, 0);
		assert_non_null(finding(&k, "greeting-empty"));
		assert_int_equal(finding(&k, "greeting-empty")->recipients, 2);
		audit_end(&k);
	}
}

static void check__undefined_name__is_named_with_its_place(void **state)
{
	struct audit k;
	int64_t list = people(*state, 3);
	audit_message(&k, *state, list, CONF, "m.md",
		GOOD_MESSAGE "\n{{ frist_name }}\n{{ xyzzy }} {{ other }}\n", true, 0);
	const struct check_finding *f = finding(&k, "undefined-name");
	assert_non_null(f);
	assert_int_equal(f->severity, LINT_FAIL);
	size_t n = 0;
	for (size_t i = 0; i < k.c.n; i++) {
		f = &k.c.found[i];
		if (strcmp(f->id, "undefined-name") != 0)
			continue;
		n++;
		if (memmem(f->text.p, f->text.n, "frist_name", 10) != NULL) {
			assert_true(str_ends(f->where, STR("/m.md:10")));
			assert_true(str_is(f->remedy, "did you mean first_name?"));
		}
	}
	assert_int_equal(n, 3);
	audit_end(&k);
}

/* Known to the dictionary, but nobody here has it. */
static void check__name_of_others__is_undefined_here(void **state)
{
	struct fixture *f = *state;
	struct audit k;
	int64_t list = people(f, 3);
	OK(f, store_attr_id(f->s, STR("city"), true, &f->e));
	audit_message(&k, f, list, CONF, "m.md", GOOD_MESSAGE "\n{{ city }}\n", true, 0);
	assert_non_null(finding(&k, "undefined-name"));
	audit_end(&k);
}

static void check__failing_for_some__names_the_first(void **state)
{
	struct fixture *f = *state;
	struct audit k;
	int64_t list = people(f, 30);
	const char *message =
		GOOD_MESSAGE "{% if first_name == nil %}{{ first_name | divided_by: 0 }}{% endif %}\n";
	audit_message(&k, f, list, CONF, "m.md", message, true, 2);
	const struct check_finding *found = finding(&k, "cannot-be-composed");
	assert_non_null(found);
	assert_int_equal(found->recipients, 3);
	assert_true(str_is(found->first, "reader3@mail.example"));
	assert_true(memmem(found->where.p, found->where.n, "m.md:9:", 7) != NULL);
	audit_end(&k);
	audit_message(&k, f, list, CONF, "m.md", message, false, 2);
	assert_int_equal(k.c.n, 0);
	assert_int_equal(k.c.failed, 3);
	assert_int_equal(k.c.checked, 30);
	assert_string_equal(k.c.address, "reader3@mail.example");
	assert_int_equal(k.c.first.line, 9);
	audit_end(&k);
}

static void check__skipped__are_counted(void **state)
{
	struct audit k;
	int64_t list = people(*state, 20);
	audit_message(&k, *state, list, CONF, "m.md",
		GOOD_MESSAGE "{% if first_name == nil %}{% abort_message \"no name\" %}{% endif %}\n", true,
		0);
	assert_int_equal(k.c.skipped, 2);
	assert_int_equal(finding(&k, "skipped")->recipients, 2);
	assert_null(finding(&k, "greeting-empty"));
	audit_end(&k);
}

static void check__subject__is_read_for_everybody(void **state)
{
	struct audit k;
	int64_t list = people(*state, 400);
	audit_message(&k, *state, list, CONF, "m.md",
		"Subject: {{ first_name }}, hello\nFrom: Kyoto Books <news@books.example>\n\nHello,\n\nforty "
		"titles.\n",
		true, 0);
	assert_int_equal(finding(&k, "subject-gap")->recipients, 40);
	audit_end(&k);
	audit_message(&k, *state, list, CONF, "m.md",
		"Subject: {{ first_name }}\nFrom: Kyoto Books <news@books.example>\n\nHello,\n\nforty "
		"titles.\n",
		true, 0);
	assert_int_equal(finding(&k, "subject-empty")->recipients, 40);
	assert_int_equal(finding(&k, "subject-empty")->severity, LINT_FAIL);
	audit_end(&k);
}

/* The one whose value makes the message too large stands far behind those that are read closely. */
static void check__clipped_for_one__is_found(void **state)
{
	struct fixture *f = *state;
	struct audit k;
	int64_t list = people(f, 500);
	char *large = malloc(110001);
	memset(large, 'a', 110000);
	large[110000] = '\0';
	for (int i = 70; i < 110000; i += 70)
		large[i] = ' ';
	struct buf attrs = BUF_INIT(1 << 20);
	int64_t id;
	attrs_put(&attrs, (uint32_t)store_attr_id(f->s, STR("first_name"), true, &f->e), str_from(large));
	OK(f, store_contact_put(f->s, STR("large@mail.example"), STR("large@mail.example"), buf_get(&attrs),
		      NOW, &id, &f->e));
	OK(f, store_subscribe(f->s, id, list, STR("test"), 0, true, NOW, &f->e));
	audit_message(&k, f, list, CONF, "m.md", GOOD_MESSAGE, true, 2);
	assert_int_equal(finding(&k, "html-clipped")->recipients, 1);
	assert_true(str_is(finding(&k, "html-clipped")->first, "large@mail.example"));
	assert_true(k.c.bytes > 220000);
	audit_end(&k);
	buf_release(&attrs);
	free(large);
}

static void check__sender__is_compared_with_the_configuration(void **state)
{
	static const struct {
		const char *from, *conf, *id;
	} cases[] = {
		{"news@gmail.com", CONF, "from-freemail"},
		{"news@other.example", CONF, "from-domain"},
		{"news@books.example", "[route main]\nhost = 127.0.0.1\n", "unsubscribe-not-configured"},
		{"news@books.example",
			"[unsubscribe]\nurl = https://books.example/u?t={token}\n[route main]\nhost = "
			"127.0.0.1\n",
			"return-path-missing"},
		{"news@books.example", "[return-path]\ndomain = b.example\n", "route-missing"},
	};
	int64_t list = people(*state, 2);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct audit k;
		char message[512];
		snprintf(message, sizeof message,
			"From: Kyoto Books <%s>\nSubject: June\n\nHello,\n\nforty titles.\n", cases[i].from);
		audit_message(&k, *state, list, cases[i].conf, "m.md", message, true, 0);
		if (finding(&k, cases[i].id) == NULL)
			fail_msg("not found: %s", cases[i].id);
		audit_end(&k);
	}
}

static void check__law__wants_its_footer(void **state)
{
#define BODY "From: Kyoto Books <news@books.example>\nSubject: June\n\nHello,\n\nforty titles.\n\n"
	static const struct {
		const char *law, *message, *id;
	} cases[] = {
		{"us", BODY "[unsubscribe]({{ unsubscribe_url }})", "law-postal-address"},
		{"us", BODY "1-2-3 Teramachi,\nKyoto. [unsubscribe]({{ unsubscribe_url }})", NULL},
		{"us", BODY "1-2-3 Teramachi, Kyoto. [here]({{ unsubscribe_url }})", "law-opt-out"},
		{"jp", BODY "[unsubscribe]({{ unsubscribe_url }})", "law-sender"},
		{"jp", BODY "Kyoto Books [配信停止]({{ unsubscribe_url }})", NULL},
		{"eu", BODY "Kyoto Books [abmelden]({{ unsubscribe_url }})", NULL},
		{"au", BODY "Kyoto Books [unsubscribe]({{ unsubscribe_url }})", "law-contact"},
		{"ca", BODY "Kyoto Books [unsubscribe]({{ unsubscribe_url }})", "law-postal-address"},
		{"none", BODY "[unsubscribe]({{ unsubscribe_url }})", NULL},
	};
	int64_t list = people(*state, 2);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct audit k;
		char conf[1024];
		snprintf(conf, sizeof conf, "law = %s\n%s", cases[i].law, CONF);
		audit_message(&k, *state, list, conf, "m.md", cases[i].message, true, 0);
		if (cases[i].id != NULL && finding(&k, cases[i].id) == NULL)
			fail_msg("not found: %s (%zu)", cases[i].id, i);
		for (size_t j = 0; cases[i].id == NULL && j < k.c.n; j++)
			if (strncmp(k.c.found[j].id, "law-", 4) == 0)
				fail_msg("a false alarm: %s (%zu)", k.c.found[j].id, i);
		audit_end(&k);
	}
}

/* Two links on two lines are two findings. */
static void check__closely_read__keeps_lines_apart(void **state)
{
	struct audit k;
	size_t n = 0;
	int64_t list = people(*state, 300);
	audit_message(&k, *state, list, CONF, "m.md",
		GOOD_MESSAGE "\n[one](http://https://a.example)\n\n[two](https:/b.example)\n", true, 2);
	for (size_t i = 0; i < k.c.n; i++) {
		n += strcmp(k.c.found[i].id, "link-broken") == 0;
		if (strcmp(k.c.found[i].id, "link-broken") == 0)
			assert_true(k.c.found[i].read >= 200 && k.c.found[i].read <= 300 &&
				    k.c.found[i].of == k.c.read);
	}
	assert_int_equal(n, 2);
	audit_end(&k);
}

static void check__limited__looks_at_the_first(void **state)
{
	struct fixture *f = *state;
	struct audit k;
	struct check c;
	int64_t list = people(f, 700);
	audit_message(&k, f, list, CONF, "m.md", GOOD_MESSAGE, false, 2);
	struct check_options o = {.keys = k.keys, .most = 300};
	OK(f, check_run(&k.l, &o, &c, &f->e));
	assert_int_equal(c.checked, 300);
	check_release(&c);
	audit_end(&k);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(check__good_message__has_only_notes),
		T(check__from_of_each_recipient__only_that_is_said),
		T(check__missing_names__are_counted_exactly),
		T(check__greeting__is_read_whatever_the_encoding),
		T(check__undefined_name__is_named_with_its_place),
		T(check__missing_names_with_a_default__are_none),
		T(check__name_of_others__is_undefined_here),
		T(check__failing_for_some__names_the_first),
		T(check__skipped__are_counted),
		T(check__subject__is_read_for_everybody),
		T(check__clipped_for_one__is_found),
		T(check__sender__is_compared_with_the_configuration),
		T(check__law__wants_its_footer),
		T(check__closely_read__keeps_lines_apart),
		T(check__limited__looks_at_the_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
