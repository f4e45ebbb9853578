#include "tests/unit/arena_fixture.h"
#include "tests/unit/decode.h"

#include "templates/mime_base64.h"
#include "templates/mime_qp.h"

#include <stdio.h>
#include <stdlib.h>

static void check_lines(struct str s)
{
	size_t col = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\r') {
			assert_true(i + 1 < s.n && s.p[i + 1] == '\n');
			assert_true(col == 0 || (s.p[i - 1] != ' ' && s.p[i - 1] != '\t'));
			col = 0;
			i++;
			continue;
		}
		assert_true((c >= ' ' && c < 0x7f) || c == '\t');
		if (col == 0) {
			assert_true(c != '.');
			assert_true(s.n - i < 5 || memcmp(s.p + i, "From ", 5) != 0);
		}
		assert_true(++col <= 76);
	}
	assert_int_equal(col, 0);
}

static struct str decode(struct str s)
{
	struct run r = RUN_INIT(&arena);
	decode_qp(&r, s, false);
	return run_get(&r);
}

static struct str encode(struct str s)
{
	struct run r = RUN_INIT(&arena);
	struct qp q = {.out = &r};
	qp_text(&q, s);
	qp_end(&q);
	return run_get(&r);
}

static void assert_encoded(const char *text, const char *want)
{
	struct str got = encode(str_from(text));
	check_lines(got);
	if (!str_is(got, want))
		fail_msg("%s -> %.*s, not %s", text, STR_ARG(got), want);
}

static void qp__tricky_text__is_encoded_as_the_rules_say(void **state)
{
	(void)state;
	assert_encoded("", "");
	assert_encoded("a=b", "a=3Db\r\n");
	assert_encoded("blank \nend", "blank=20\r\nend\r\n");
	assert_encoded("tab\t\r\nend\r", "tab=09\r\nend\r\n");
	assert_encoded("end ", "end=20\r\n");
	assert_encoded(".\n..a\nb.", "=2E\r\n=2E.a\r\nb.\r\n");
	assert_encoded("From me\nFromage\nFrom", "=46rom me\r\nFromage\r\n=46rom\r\n");
	assert_encoded("\n\n", "\r\n\r\n");
	assert_encoded("\xC3\xA9\xE2\x82\xAC", "=C3=A9=E2=82=AC\r\n");
	assert_encoded("a\xFFz\x01\x7f", "a=EF=BF=BDz\r\n");
	assert_encoded("\xE2\x82", "=EF=BF=BD\r\n");
}

static void qp__long_lines__break_softly_between_characters(void **state)
{
	(void)state;
	char text[400];
	for (size_t lead = 0; lead < 90; lead++) {
		memset(text, 'x', lead);
		strcpy(text + lead, "\xE6\x97\xA5\xE6\x9C\xAC\xF0\x9F\x98\x80. .From  =\n");
		struct str got = encode(str_from(text));
		check_lines(got);
		assert_true(str_is(decode(got), text));
		for (size_t i = 0; i + 6 < got.n; i++)
			if (memcmp(got.p + i, "=E6=\r\n", 6) == 0)
				fail_msg("character split: %.*s", STR_ARG(got));
	}
}

/* Every way to cut a text into literal and value pieces decodes to the same and keeps the line rules. */
static void qp__pieces__keep_the_rules_at_every_boundary(void **state)
{
	(void)state;
	static const char text[] =
		"From F rom .. a \t\n.x \r\n\xE6\x97\xA5=  \nFrom \xF0\x9F\x98\x80 "
		"0123456789012345678901234567890123456789012345678901234567890123456789 \n.";
	static const char want[] =
		"From F rom .. a \t\n.x \n\xE6\x97\xA5=  \nFrom \xF0\x9F\x98\x80 "
		"0123456789012345678901234567890123456789012345678901234567890123456789 \n.\n";
	srand(7);
	for (int round = 0; round < 20000; round++) {
		arena_reset(&arena);
		struct run r = RUN_INIT(&arena);
		struct qp q = {.out = &r};
		for (size_t i = 0; i < sizeof text - 1;) {
			size_t n = (size_t)rand() % 9;
			if (rand() % 8 == 0)
				n = (size_t)rand() % 90;
			if (n > sizeof text - 1 - i)
				n = sizeof text - 1 - i;
			struct qp_literal l;
			bool whole = ((unsigned char)text[i + n] & 0xC0) != 0x80 &&
				     ((unsigned char)text[i] & 0xC0) != 0x80;
			/* CR LF is not cut: literals have LF only, and a value's CR is a line end. */
			if (text[i + n] == '\n' && n > 0 && text[i + n - 1] == '\r')
				n++;
			if (whole && rand() % 2 == 0) {
				assert_true(qp_literal_make(&arena, str_n(text + i, n), &l));
				struct str kept = arena_str(&arena, l.coded);
				l.coded = kept;
				qp_literal(&q, &l);
			} else {
				qp_text(&q, str_n(text + i, n));
			}
			i += n;
		}
		qp_end(&q);
		assert_false(r.failed);
		check_lines(run_get(&r));
		struct str got = decode(run_get(&r));
		if (!str_is(got, want))
			fail_msg("round %d: %.*s", round, STR_ARG(got));
	}
}

static void qp__literals__cost_no_second_break(void **state)
{
	(void)state;
	struct run r = RUN_INIT(&arena);
	struct qp q = {.out = &r};
	struct qp_literal hello, rest;
	assert_true(qp_literal_make(&arena, STR("Dear "), &hello));
	assert_true(qp_literal_make(&arena, STR(",\nthe list is here.\n"), &rest));
	qp_literal(&q, &hello);
	qp_text(&q, STR("Anna"));
	qp_literal(&q, &rest);
	qp_end(&q);
	assert_true(str_is(run_get(&r), "Dear Anna,\r\nthe list is here.\r\n"));
}

static void base64__any_pieces__give_one_stream(void **state)
{
	(void)state;
	unsigned char data[300];
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 37);
	for (size_t len = 0; len <= sizeof data; len += 7) {
		struct run whole = RUN_INIT(&arena), parts = RUN_INIT(&arena);
		struct base64 w = {.out = &whole}, p = {.out = &parts};
		base64_add(&w, data, len);
		base64_end(&w);
		for (size_t i = 0; i < len;) {
			size_t n = 1 + (size_t)rand() % 80;
			n = n < len - i ? n : len - i;
			base64_add(&p, data + i, n);
			i += n;
		}
		base64_end(&p);
		assert_true(str_eq(run_get(&whole), run_get(&parts)));
		assert_int_equal(whole.n, base64_size(len));
		check_lines(run_get(&whole));
	}
}

static void base64__known_answers__match_rfc4648(void **state)
{
	(void)state;
	static const char *const known[][2] = {
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
	};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		char out[16];
		size_t n = base64_word(known[i][0], strlen(known[i][0]), out);
		assert_true(str_is(str_n(out, n), known[i][1]));
	}
}

static void base64_text__line_ends_and_controls__are_made_canonical(void **state)
{
	(void)state;
	struct run got = RUN_INIT(&arena), want = RUN_INIT(&arena);
	struct base64 g = {.out = &got}, w = {.out = &want};
	base64_text(&g, str_n("a\nb\rc\r\nd\0e\x1b\xFF\xE6\x97\xA5\tz", 18));
	base64_end(&g);
	const char text[] = "a\r\nb\r\nc\r\nde\xEF\xBF\xBD\xE6\x97\xA5\tz";
	base64_add(&w, text, sizeof text - 1);
	base64_end(&w);
	assert_true(str_eq(run_get(&got), run_get(&want)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			qp__tricky_text__is_encoded_as_the_rules_say, setup, teardown),
		cmocka_unit_test_setup_teardown(
			qp__long_lines__break_softly_between_characters, setup, teardown),
		cmocka_unit_test_setup_teardown(
			qp__pieces__keep_the_rules_at_every_boundary, setup, teardown),
		cmocka_unit_test_setup_teardown(qp__literals__cost_no_second_break, setup, teardown),
		cmocka_unit_test_setup_teardown(base64__any_pieces__give_one_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(base64__known_answers__match_rfc4648, setup, teardown),
		cmocka_unit_test_setup_teardown(
			base64_text__line_ends_and_controls__are_made_canonical, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
