#include "tests/unit/arena_fixture.h"
#include "tests/unit/decode.h"

#include "src/base/utf8.h"
#include "templates/mime_address.h"
#include "templates/mime_param.h"

#include <stdio.h>
#include <stdlib.h>

static struct str text_header(const char *name, struct str s, enum charset c)
{
	struct run r = RUN_INIT(&arena);
	struct header h = {.out = &r, .charset = c};
	header_begin(&h, name);
	header_text(&h, header_clean(&arena, s));
	header_end(&h);
	assert_false(r.failed);
	return run_get(&r);
}

static struct str subject(const char *s)
{
	return text_header("Subject", str_from(s), CHARSET_UTF8);
}

static void assert_text(struct str got, const char *want)
{
	if (!str_is(got, want))
		fail_msg("got\n%.*swanted\n%s", STR_ARG(got), want);
}

/* Every line is at most 78, with an encoded-word 76, 7-bit, and continued lines begin with one blank and
 * text. */
static void check_header(struct str s)
{
	size_t from = 0;
	assert_true(s.n > 2 && memcmp(s.p + s.n - 2, "\r\n", 2) == 0);
	for (size_t i = 0; i < s.n; i++) {
		assert_true((unsigned char)s.p[i] < 0x7f);
		if (s.p[i] != '\r')
			continue;
		assert_int_equal(s.p[i + 1], '\n');
		struct str line = str_n(s.p + from, i - from);
		bool word = memmem(line.p, line.n, "=?", 2) != NULL;
		/* One long plain word may pass 76; it cannot be folded. */
		size_t lead = from == 0 ? str_find(line, ':') + 1 : 0;
		while (lead < line.n && line.p[lead] == ' ')
			lead++;
		bool one = lead >= line.n || memchr(line.p + lead, ' ', line.n - lead) == NULL;
		if (line.n > 76 && (!one || word))
			fail_msg("too long:\n%.*s", STR_ARG(s));
		assert_true(line.n > 1);
		if (from != 0)
			assert_true(line.p[0] == ' ' && line.p[line.n - 1] != ' ');
		from = i + 2;
		i++;
	}
}

static void decode_word(struct run *out, struct str w)
{
	unsigned char text[80];
	struct str coded = str_n(w.p + 10, w.n - 12);
	if (w.p[8] == 'Q')
		decode_qp(out, coded, true);
	else
		run_add(out, (char *)text, decode_base64(coded, text, sizeof text));
}

/* What a reader shows. Every word must be valid UTF-8 by itself: no character is split. */
static struct str decode(struct str s)
{
	struct run r = RUN_INIT(&arena);
	size_t i = str_find(s, ':') + 1;
	bool coded = false;
	while (i < s.n) {
		size_t gap = i;
		while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\r' || s.p[i] == '\n'))
			i++;
		size_t from = i;
		while (i < s.n && s.p[i] != ' ' && s.p[i] != '\r')
			i++;
		struct str w = str_n(s.p + from, i - from);
		if (w.n == 0)
			break;
		bool word = w.n > 12 && memcmp(w.p, "=?utf-8?", 8) == 0;
		if (r.n != 0 && !(word && coded))
			for (size_t k = gap; k < from; k++)
				if (s.p[k] == ' ')
					run_putc(&r, ' ');
		coded = word;
		struct run one = RUN_INIT(&arena);
		if (word) {
			assert_true(w.n <= 75);
			decode_word(&one, w);
			assert_true(utf8_valid(run_get(&one)));
			w = run_get(&one);
		}
		run_str(&r, w);
	}
	return run_get(&r);
}

static void text__ascii__stays_as_it_is(void **state)
{
	(void)state;
	assert_text(subject("Hello, Anna"), "Subject: Hello, Anna\r\n");
	assert_text(subject(""), "Subject:\r\n");
	assert_text(subject("50 % off = great? (yes)"), "Subject: 50 % off = great? (yes)\r\n");
	assert_text(subject("double  blank"), "Subject: double  blank\r\n");
}

static void text__non_ascii__is_q_or_b_by_length(void **state)
{
	(void)state;
	assert_text(subject("Gr\xC3\xBC\xC3\x9F"
			    "e aus Wien"),
		"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= aus Wien\r\n");
	assert_text(subject("\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E"), "Subject: =?utf-8?B?5pel5pys6Kqe?=\r\n");
	assert_text(subject("a \xC3\xA9 b \xC3\xA9 c"), "Subject: a =?utf-8?Q?=C3=A9_b_=C3=A9?= c\r\n");
}

static void text__hostile_values__cannot_add_a_line_or_a_word(void **state)
{
	(void)state;
	assert_text(subject("a\r\nBcc: x@example.com"), "Subject: a  Bcc: x@example.com\r\n");
	assert_text(subject("=?utf-8?Q?x?="), "Subject: =?utf-8?Q?=3D=3Futf-8=3FQ=3Fx=3F=3D?=\r\n");
	assert_text(text_header("Subject", str_n("a\0b\x1b[1mc", 8), CHARSET_UTF8), "Subject: a b [1mc\r\n");
	assert_text(subject("bad \xFF"), "Subject: bad =?utf-8?B?77+9?=\r\n");
	assert_text(subject("one\xE2\x80\xA8two"), "Subject: one two\r\n");
}

static void text__any_length__folds_and_decodes_to_itself(void **state)
{
	(void)state;
	static const char *const bits[] = {"word:", "\xC3\xA9t\xC3\xA9", "\xE6\x97\xA5\xE6\x9C\xAC",
		"\xF0\x9F\x98\x80", "a", " ", "=?x", "e\xCC\x81", "\xD7\xA9\xD7\x9C",
		"averyveryverylongwordthatgoesonandonandon"};
	srand(3);
	for (int round = 0; round < 3000; round++) {
		arena_reset(&arena);
		struct run r = RUN_INIT(&arena);
		int n = rand() % 60;
		run_puts(&r, "x");
		for (int i = 0; i < n; i++) {
			/* Mostly single blanks between words. */
			if (rand() % 3 == 0)
				run_putc(&r, ' ');
			run_puts(&r, bits[(size_t)rand() % (sizeof bits / sizeof bits[0])]);
		}
		run_puts(&r, "y");
		struct str s = run_get(&r);
		bool ascii = utf8_ascii(s) && memmem(s.p, s.n, "=?", 2) == NULL;
		struct str h = text_header("Subject", s, CHARSET_UTF8);
		if (!ascii)
			check_header(h);
		if (!str_eq(decode(h), s))
			fail_msg("%.*s\n%.*s\n%.*s", STR_ARG(s), STR_ARG(h), STR_ARG(decode(h)));
	}
}

static void text__ten_thousand_characters__stay_within_the_line(void **state)
{
	(void)state;
	char *p = malloc(10001);
	memset(p, 'x', 10000);
	p[10000] = '\0';
	struct str h = subject(p);
	check_header(h);
	assert_true(str_is(decode(h), p));
	free(p);
}

static void text__iso_2022_jp__words_begin_and_end_in_ascii(void **state)
{
	(void)state;
	const char *s = "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E ABC \xC2\xA5\xE6\x97\xA5\xC2\xA5\xE6\x97\xA5 "
			"\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x81\xAE\xE4\xBB\xB6\xE5\x90\x8D\xE3\x81\xAF"
			"\xE9\x95\xB7\xE3\x81\x84";
	assert_true(header_fits(&arena, str_from(s), CHARSET_ISO_2022_JP));
	struct str h = text_header("Subject", str_from(s), CHARSET_ISO_2022_JP);
	check_header(h);
	assert_true(memmem(h.p, h.n, "=?iso-2022-jp?B?GyRC", 20) != NULL);
	/* ESC ( B at the end of each word. */
	for (size_t i = 0; i + 2 < h.n; i++)
		if (h.p[i] == '?' && h.p[i + 1] == '=') {
			struct str tail = str_n(h.p + i - 4, 4);
			assert_true(str_is(tail, "GyhC") || str_is(tail, "KEI=") || str_is(tail, "hC??") ||
				    tail.p[3] == '=' || tail.p[3] == 'C');
		}
	assert_false(header_fits(&arena, STR("\xE2\x91\xA0"), CHARSET_ISO_2022_JP));
	assert_false(header_fits(&arena, STR("\xF0\x9F\x98\x80"), CHARSET_ISO_2022_JP));
	assert_false(header_fits(&arena, STR("\xEF\xBD\xB1"), CHARSET_ISO_2022_JP));
}

static void assert_mailbox(const char *text, const char *want)
{
	struct mailbox m;
	struct err e = {0};
	struct run r = RUN_INIT(&arena);
	struct header h = {.out = &r};
	if (mailbox_parse(str_from(text), &arena, &m, &e) != 0)
		fail_msg("%s: %s", text, e.why);
	mailbox_write(&h, "From", &m);
	assert_text(run_get(&r), want);
}

static void mailbox__forms__are_written_back_canonically(void **state)
{
	(void)state;
	assert_mailbox("a@b.example", "From: a@b.example\r\n");
	assert_mailbox(" <a@B.Example> ", "From: a@b.example\r\n");
	assert_mailbox("ann@localhost", "From: ann@localhost\r\n");
	assert_mailbox("Anna <a@b.example>", "From: Anna <a@b.example>\r\n");
	assert_mailbox("Dr. Anna <a@b.example>", "From: \"Dr. Anna\" <a@b.example>\r\n");
	assert_mailbox("\"Smith, \\\"A\\\" \\\\\" <a@b.example>",
		"From: \"Smith, \\\"A\\\" \\\\\" <a@b.example>\r\n");
	assert_mailbox("J\xC3\xB6rg <a@b\xC3\xBC"
		       "cher.example>",
		"From: =?utf-8?Q?J=C3=B6rg?= <a@xn--bcher-kva.example>\r\n");
	assert_mailbox("\"a..b\"@docomo.example", "From: \"a..b\"@docomo.example\r\n");
	assert_mailbox("=?x <a@b.example>", "From: =?utf-8?Q?=3D=3Fx?= <a@b.example>\r\n");
}

static void mailbox__wrong_ones__are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"",
		"a",
		"a@",
		"@b.example",
		"a@b",
		"a b@c.example",
		"a@b.example, c@d.example",
		"a@b..example",
		"Smith, Anna <a@b.example>",
		"x <a@b.example> y",
		"<a@b.example",
		"a@b.example>",
		"a@-b.example",
		"a@b_c.example",
		"a=?utf-8?Q?b?=@c.example",
		"a@[127.0.0]",
		"a..b@c.example",
		".a@b.example",
		"a\r\nBcc: x@b.example",
		"a@b.example\nX: y",
		"\"a\nb\"@c.example",
		"Team: a@b.example;",
		"a(c)@b.example",
		"\"A\" b <a@b.example>x",
		"<<a@b.example>>",
		"\"a\" \"b\" <a@b.example>",
		"a\xFF@b.example",
		"0123456789012345678901234567890123456789012345678901234567890123456789@b.example",
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct mailbox m;
		struct err e = {0};
		if (mailbox_parse(str_from(wrong[i]), &arena, &m, &e) == 0)
			fail_msg("taken: %s", wrong[i]);
		assert_int_equal(e.code, ERR_DATA);
	}
}

static void mailbox__local_part_not_ascii__needs_smtputf8(void **state)
{
	(void)state;
	struct mailbox m;
	assert_int_equal(mailbox_parse(STR("j\xC3\xB6rg@b.example"), &arena, &m, NULL), 0);
	assert_true(m.utf8);
	assert_int_equal(mailbox_parse(STR("a@b.example"), &arena, &m, NULL), 0);
	assert_false(m.utf8);
}

static struct str param(const char *value)
{
	struct run r = RUN_INIT(&arena);
	struct header h = {.out = &r};
	header_begin(&h, "Content-Disposition");
	header_token(&h, STR("attachment"), false);
	param_write(&h, "filename", header_clean(&arena, str_from(value)));
	header_end(&h);
	return run_get(&r);
}

static void param__plain_names__are_tokens_or_quoted(void **state)
{
	(void)state;
	assert_text(param("june.pdf"), "Content-Disposition: attachment; filename=june.pdf\r\n");
	assert_text(
		param("june list.pdf"), "Content-Disposition: attachment; filename=\"june list.pdf\"\r\n");
}

static void param__others__are_rfc2231(void **state)
{
	(void)state;
	assert_text(
		param("\xC3\xA9.pdf"), "Content-Disposition: attachment; filename*=utf-8''%C3%A9.pdf\r\n");
	assert_text(param("a\"b.pdf"), "Content-Disposition: attachment; filename*=utf-8''a%22b.pdf\r\n");
	char name[400] = "";
	for (int i = 0; i < 30; i++)
		strcat(name, "\xE6\x97\xA5\xE6\x9C\xAC");
	struct str h = param(name);
	check_header(h);
	assert_true(memmem(h.p, h.n, "filename*0*=utf-8''%E6", 22) != NULL);
	assert_true(memmem(h.p, h.n, "filename*1*=%E6", 15) != NULL);
}

static void param_fallback__keeps_the_ending_in_ascii(void **state)
{
	(void)state;
	assert_text(param_fallback(&arena, STR("\xE6\x97\xA5\xE6\x9C\xAC"
					       "6.pdf")),
		"_6.pdf");
	char name[400] = "";
	memset(name, 'a', 300);
	strcat(name, ".xlsx");
	struct str f = param_fallback(&arena, str_from(name));
	assert_true(f.n <= 60 && str_ends(f, STR("aaaa.xlsx")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(text__ascii__stays_as_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(text__non_ascii__is_q_or_b_by_length, setup, teardown),
		cmocka_unit_test_setup_teardown(
			text__hostile_values__cannot_add_a_line_or_a_word, setup, teardown),
		cmocka_unit_test_setup_teardown(
			text__any_length__folds_and_decodes_to_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(
			text__ten_thousand_characters__stay_within_the_line, setup, teardown),
		cmocka_unit_test_setup_teardown(
			text__iso_2022_jp__words_begin_and_end_in_ascii, setup, teardown),
		cmocka_unit_test_setup_teardown(
			mailbox__forms__are_written_back_canonically, setup, teardown),
		cmocka_unit_test_setup_teardown(mailbox__wrong_ones__are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			mailbox__local_part_not_ascii__needs_smtputf8, setup, teardown),
		cmocka_unit_test_setup_teardown(param__plain_names__are_tokens_or_quoted, setup, teardown),
		cmocka_unit_test_setup_teardown(param__others__are_rfc2231, setup, teardown),
		cmocka_unit_test_setup_teardown(param_fallback__keeps_the_ending_in_ascii, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
