#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/file.h"
#include "templates/message.h"
#include "templates/message_file.h"
#include "templates/message_language.h"

/* --- a folder in memory --- */

struct entry {
	const char *name, *text;
};

static const struct entry *folder;
static struct arena arena;
static struct message *message;
static struct err err;

static int read_entry(void *ctx, const char *name, struct buf *out, struct err *e)
{
	(void)ctx;
	for (const struct entry *f = folder; f->name != NULL; f++)
		if (strcmp(f->name, name) == 0) {
			buf_puts(out, f->text);
			return 0;
		}
	return err_set(e, ERR_NOINPUT, name, "no such file");
}

static struct message *compile(enum message_format format, const struct entry *files)
{
	struct message_reader r = {.read = read_entry};
	struct message_options o = {.path = "news"};
	struct err none = {0};
	err = none;
	o.zone = clock_zone("UTC", &none);
	folder = files;
	message_free(&message);
	message = message_compile(&r, format, &o, &err);
	return message;
}

static struct message *one(enum message_format format, const char *text)
{
	static struct entry files[2];
	files[0] = (struct entry){"message", text};
	return compile(format, files);
}

static struct message_recipient recipient(void)
{
	static struct str slots[64];
	for (size_t i = 0; i < message_nslots(message); i++) {
		struct str name = message_slot(message, i);
		slots[i] = str_is(name, "first_name") ? STR("Anna")
			   : str_is(name, "city")     ? STR("Kyoto")
						      : str_n(NULL, 0);
	}
	return (struct message_recipient){
		.slots = slots,
		.email = STR("anna@example.com"),
		.to_name = STR("Anna Smith"),
		.campaign = STR("june"),
		.list = STR("Readers"),
		.list_id = STR("readers.books.example"),
		.list_title = STR("Readers"),
		.unsubscribe_url = STR("https://books.example/u?t=1&l=2"),
		.unsubscribe_mailto = STR("mailto:u@books.example"),
		.one_click = true,
		.message_id = STR("abc@books.example"),
		.feedback_id = STR("june:books"),
		.unique = STR("abcdefgh"),
		.date = 1795939200000,
	};
}

static struct composed composed;

static void compose_with(const struct message_recipient *r)
{
	struct err e = {0};
	if (message_compose(message, r, true, &arena, &composed, &e) != 0)
		fail_msg("%s: %s (%s:%ld)", e.what, e.why, e.file, e.line);
}

static void compose(void)
{
	struct message_recipient r = recipient();
	compose_with(&r);
}

static void compiled(enum message_format format, const char *text)
{
	if (one(format, text) == NULL)
		fail_msg("%s: %s (%s:%ld)", err.what, err.why, err.file, err.line);
}

static bool has(struct str s, const char *part)
{
	return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

static void assert_has(struct str s, const char *part)
{
	if (!has(s, part))
		fail_msg("\"%s\" is not in\n%.*s", part, STR_ARG(s));
}

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 4096, 64 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	message_free(&message);
	arena_release(&arena);
	return 0;
}

#define HEAD "From: Books <news@books.example>\nSubject: {{ first_name }}'s list\n"

/* --- the header block --- */

static void wrong(const char *text, long line, const char *why, const char *remedy)
{
	if (one(MESSAGE_TEXT, text) != NULL)
		fail_msg("compiled: %s", text);
	if (err.code != ERR_DATA || err.line != line || strstr(err.why, why) == NULL ||
		strstr(err.remedy, remedy) == NULL)
		fail_msg("%s\n-> %d %ld: %s (%s)", text, err.code, err.line, err.why, err.remedy);
}

static void headers__mistakes__are_named_with_their_line(void **state)
{
	(void)state;
	wrong("", 1, "no From", "From:");
	wrong("From: a@b.example\n\nhi", 1, "no Subject", "Subject");
	wrong("From: a@b.example\nSubjet: x\n\nhi", 2, "unknown header \"Subjet\"", "Subject");
	wrong("From: a@b.example\nX-Mine: x\n\n", 2, "unknown header", "Header: X-Mine: text");
	wrong("From: a@b.example\nBcc: c@d.example\n\n", 2, "unknown header", "one recipient");
	wrong("From: a@b.example\nSubject: a\nSubject: b\n\n", 3, "twice", "");
	wrong("Dear reader,\n\nhi", 1, "not a header", "headers");
	wrong("From: Smith, Anna <a@b.example>\nSubject: x\n\n", 1, "one address", "quotes");
	wrong("From: a@b.example, c@d.example\nSubject: x\n\n", 1, "not an address", "");
	wrong("From: {{ x }}, y <a@b.example>\nSubject: x\n\n", 1, "one address", "quotes");
	wrong("From: a@nodomain\nSubject: x\n\n", 1, "not a domain", "");
	wrong(HEAD "Charset: latin1\n\n", 3, "unknown charset", "iso-2022-jp");
	wrong(HEAD "Language: {{ x }}\n\n", 3, "the same for everybody", "");
	wrong(HEAD "Attach: ../secret\n\n", 3, "in the message's folder", "");
	wrong(HEAD "Attach: /etc/passwd\n\n", 3, "in the message's folder", "");
	wrong(HEAD "Header: Date: x\n\n", 3, "written by the program", "");
	wrong(HEAD "Header: Content-Type: x\n\n", 3, "written by the program", "");
	wrong(HEAD "Header: nothing\n\n", 3, "not a header", "X-Name");
	wrong("From: a@b.example\nSubject: {{ a | }}\n\n", 2, "", "");
	wrong("\xFF", 1, "not UTF-8", "UTF-8");
}

static void headers__any_line_ends_and_folding__are_read(void **state)
{
	(void)state;
	compiled(MESSAGE_TEXT, "\xEF\xBB\xBF"
			       "from: Books\r\n <news@books.example>\r\nSUBJECT: a\r\n\tb\r\n\r\nhi\r\n");
	compose();
	assert_has(composed.header, "From: Books <news@books.example>\r\n");
	assert_has(composed.header, "Subject: a b\r\n");
	assert_true(has(composed.text, "hi\n"));
}

/* --- what the engine asks --- */

static void message__names__are_slots_without_the_reserved(void **state)
{
	(void)state;
	compiled(MESSAGE_MARKDOWN, HEAD
		"\n{{ city }} {{ contact.city }} {{ contact[\"\xE6\xB0\x8F\"] }} {{ email }} {{ campaign }} "
		"{{ list }} {{ unsubscribe_url }} {{ view_url }} {{ now | date: '%Y' }} {% assign own = 1 "
		"%}{{ own }}");
	assert_int_equal(message_nslots(message), 3);
	for (size_t i = 0; i < 3; i++) {
		struct str s = message_slot(message, i);
		assert_true(str_is(s, "first_name") || str_is(s, "city") || str_is(s, "\xE6\xB0\x8F"));
	}
	assert_true(message_has_unsubscribe_link(message));
	assert_true(str_is(message_from_domain(message), "books.example"));
	assert_true(str_is(message_header_source(message, "subject"), "{{ first_name }}'s list"));
	assert_int_equal(message_header_source(message, "Layout").n, 0);
}

static void message__from_with_values__keeps_a_constant_domain(void **state)
{
	(void)state;
	compiled(MESSAGE_TEXT, "From: \"{{ first_name }}, of Books\" <{{ city }}@B\xC3\xBC"
			       "cher.example>\nSubject: x\n\nhi");
	assert_true(str_is(message_from_domain(message), "xn--bcher-kva.example"));
	compose();
	assert_has(composed.header, "From: \"Anna, of Books\" <Kyoto@xn--bcher-kva.example>\r\n");
	assert_true(str_is(composed.from, "Kyoto@xn--bcher-kva.example"));
	compiled(MESSAGE_TEXT, "From: {{ sender | default: 'Books <a@b.example>' }}\nSubject: x\n\nhi");
	assert_int_equal(message_from_domain(message).n, 0);
	compose();
	assert_has(composed.header, "From: Books <a@b.example>\r\n");
}

static void message__parts__are_what_was_read(void **state)
{
	(void)state;
	static const struct entry files[] = {
		{"message", HEAD "Layout: l/plain.html\nAttach: june.csv\n\n<p><img src=logo.png>{% render "
				 "'foot' %}</p>"},
		{"message:text", "Text for {{ first_name }}"},
		{"l/plain.html", "<html><body><h1>{{ subject }}</h1>{{ content }}</body></html>"},
		{"june.csv", "a,b\n"},
		{"logo.png", "PNG"},
		{"foot.html", "<i>{{ city }}</i>"},
		{"unused", "x"},
		{NULL, NULL},
	};
	assert_non_null(compile(MESSAGE_HTML, files));
	assert_int_equal(message_nparts(message), 6);
	struct str name, data;
	message_part(message, 0, &name, &data);
	assert_true(str_is(name, "message") && str_is(data, files[0].text));
	compose();
	assert_has(composed.html, "<h1>Anna's list</h1>");
	assert_has(composed.html, "<i>Kyoto</i>");
	assert_has(composed.html, "<img src=\"cid:");
	assert_has(composed.text, "Text for Anna\n");
	assert_has(composed.header, "Content-Type: multipart/mixed;");
	assert_has(composed.body, "Content-Type: multipart/alternative;");
	assert_has(composed.body, "Content-Type: multipart/related; type=\"text/html\";");
	assert_has(composed.body, "Content-Disposition: attachment; filename=june.csv\r\n");
	assert_has(composed.body, "Content-ID: <");
}

/* One entity after the other of a multipart, each from behind its boundary line; n == 0: the closing one. */
static struct str next_entity(struct str *rest, const char *boundary)
{
	char line[80];
	int n = snprintf(line, sizeof line, "--%s", boundary);
	const char *at = memmem(rest->p, rest->n, line, (size_t)n);
	assert_non_null(at);
	const char *from = at + n, *end = rest->p + rest->n;
	if (str_starts(str_n(from, (size_t)(end - from)), STR("--")))
		return str_n(from, 0);
	const char *next = memmem(from, (size_t)(end - from), line, (size_t)n);
	assert_non_null(next);
	*rest = str_n(next, (size_t)(end - next));
	return str_n(from, (size_t)(next - from));
}

static void compose__large_files__are_one_tail_for_all(void **state)
{
	(void)state;
	static char large[40001], image[20001];
	memset(large, 'x', sizeof large - 1);
	memset(image, 'i', sizeof image - 1);
	const struct entry files[] = {
		{"message", HEAD
			"Attach: a.bin\nAttach: small.csv\n\n<p>{{ first_name }} <img src=logo.png></p>"},
		{"a.bin", large},
		{"small.csv", "a,b\n"},
		{"logo.png", image},
		{NULL, NULL},
	};
	assert_non_null(compile(MESSAGE_HTML, files));
	compose();
	const char *tail = composed.tail.p;
	assert_true(composed.tail.n > 80000 && composed.body.n < 4000);
	assert_true(str_ends(composed.body, STR("\r\n")) && str_starts(composed.tail, STR("--=_")));
	struct buf all = BUF_INIT(1 << 20);
	buf_str(&all, composed.body);
	buf_str(&all, composed.tail);
	char boundary[40];
	const char *at = memmem(composed.header.p, composed.header.n, "boundary=\"", 10);
	assert_int_equal(sscanf(at, "boundary=\"%39[^\"]", boundary), 1);
	struct str rest = buf_get(&all), first = next_entity(&rest, boundary);
	assert_has(first, "Anna");
	assert_has(first, "Content-Disposition: inline");
	assert_true(str_ends(first, STR("--\r\n\r\n"))); /* related and alternative are closed */
	assert_has(next_entity(&rest, boundary), "filename=a.bin");
	assert_has(next_entity(&rest, boundary), "filename=small.csv");
	assert_int_equal(next_entity(&rest, boundary).n, 0);
	assert_true(str_ends(rest, STR("--\r\n")));
	buf_release(&all);
	compose();
	assert_ptr_equal(composed.tail.p, tail);
}

static void message__partials__take_the_form_of_each_part(void **state)
{
	(void)state;
	static const struct entry files[] = {
		{"message",
			HEAD "\nHi\n\n{% render 'foot', who: first_name %}\n\nin {% render 'in.html' %}!\n"},
		{"foot.md", "**Bye** {{ who }} in {{ city }}\n\n- a\n"},
		{"in.html", "<b>{{ city }}</b>"},
		{NULL, NULL},
	};
	assert_non_null(compile(MESSAGE_MARKDOWN, files));
	compose();
	assert_has(composed.html,
		"<p>Hi</p>\n<p><strong>Bye</strong> Anna in Kyoto</p>\n<ul>\n<li>a</li>\n</ul>\n");
	assert_has(composed.html, "<p>in <b>Kyoto</b>!</p>");
	assert_has(composed.text, "Hi\n\nBye Anna in Kyoto\n\n- a\n\nin Kyoto!\n");
	static const struct entry climbing[] = {{"message", HEAD "\n{% render '../x' %}"}, {NULL, NULL}};
	assert_null(compile(MESSAGE_MARKDOWN, climbing));
	assert_int_equal(err.code, ERR_DATA);
}

static void message__missing_files__are_errors_but_images_are_not(void **state)
{
	(void)state;
	assert_null(one(MESSAGE_HTML, HEAD "Layout: none.html\n\nx"));
	assert_int_equal(err.code, ERR_NOINPUT);
	assert_int_equal(err.line, 3);
	assert_null(one(MESSAGE_HTML, HEAD "Attach: none.pdf\n\nx"));
	assert_int_equal(err.code, ERR_NOINPUT);
	assert_null(one(MESSAGE_HTML, HEAD "\n{% render 'none' %}"));
	compiled(MESSAGE_HTML, HEAD "\n<img src=none.png>");
	compose();
	assert_has(composed.html, "<img src=none.png>");
	static const struct entry no_content[] = {
		{"message", HEAD "Layout: l\n\nx"}, {"l", "<html></html>"}, {NULL, NULL}};
	assert_null(compile(MESSAGE_HTML, no_content));
	assert_true(strstr(err.why, "{{ content }}") != NULL);
}

static void message__errors__point_into_the_file_that_was_written(void **state)
{
	(void)state;
	assert_null(one(MESSAGE_MARKDOWN, HEAD "\n# Title\n\ntext\n\nDear {{ first_name | nosuch }}\n"));
	assert_int_equal(err.code, ERR_DATA);
	assert_string_equal(err.file, "news");
	assert_int_equal(err.line, 8);
	static const struct entry files[] = {{"message", HEAD "Layout: l.html\n\nx"},
		{"l.html", "<html>\n{{ content }}\n{{ a | nosuch }}</html>"}, {NULL, NULL}};
	assert_null(compile(MESSAGE_HTML, files));
	assert_string_equal(err.file, "l.html");
	assert_int_equal(err.line, 3);
	compiled(MESSAGE_MARKDOWN, HEAD "\n# Title\n\n{{ 1 | divided_by: missing }}\n");
	struct message_recipient r = recipient();
	struct err e = {0};
	assert_int_equal(message_compose(message, &r, false, &arena, &composed, &e), -1);
	assert_int_equal(e.code, ERR_DATA);
	assert_string_equal(e.file, "news");
	assert_int_equal(e.line, 6);
}

/* --- composing --- */

static void compose__headers__stand_in_a_stable_order(void **state)
{
	(void)state;
	compiled(MESSAGE_TEXT,
		HEAD "Reply-To: shop@books.example\nLanguage: en\nHeader: X-A: {{ city }}\n\nhi\n");
	struct message_recipient r = recipient();
	r.subject_prefix = STR("[TEST] ");
	compose_with(&r);
	assert_true(str_is(composed.header,
		"Date: Sun, 29 Nov 2026 08:00:00 +0000\r\n"
		"Message-ID: <abc@books.example>\r\n"
		"MIME-Version: 1.0\r\n"
		"From: Books <news@books.example>\r\n"
		"To: Anna Smith <anna@example.com>\r\n"
		"Reply-To: shop@books.example\r\n"
		"Subject: [TEST] Anna's list\r\n"
		"List-Id: Readers <readers.books.example>\r\n"
		"List-Unsubscribe: <https://books.example/u?t=1&l=2>,\r\n <mailto:u@books.example>\r\n"
		"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
		"Feedback-ID: june:books\r\n"
		"Precedence: bulk\r\n"
		"Content-Language: en\r\n"
		"X-A: Kyoto\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n"
		"\r\n"));
	assert_true(str_is(composed.subject, "[TEST] Anna's list"));
	assert_true(str_is(composed.from, "news@books.example"));
	assert_false(composed.utf8);
}

static void compose__unsubscribing__has_only_what_exists(void **state)
{
	(void)state;
	compiled(MESSAGE_TEXT, HEAD "\nhi\n");
	struct message_recipient r = recipient();
	r.one_click = false;
	compose_with(&r);
	assert_false(has(composed.header, "List-Unsubscribe-Post"));
	r.unsubscribe_url = STR("mailto:u@books.example");
	r.one_click = true;
	compose_with(&r);
	assert_has(composed.header, "List-Unsubscribe: <mailto:u@books.example>\r\n");
	assert_false(has(composed.header, "List-Unsubscribe-Post"));
	assert_has(composed.text, "To unsubscribe: mailto:u@books.example\n");
	r.unsubscribe_url =
		STR("https://books.example/u?t=0123456789012345678901234567890123456789012345678");
	r.unsubscribe_mailto = STR("u-1@books.example");
	compose_with(&r);
	assert_has(composed.header,
		"List-Unsubscribe: "
		"<https://books.example/u?t=0123456789012345678901234567890123456789012345678>,\r\n"
		" <mailto:u-1@books.example?subject=unsubscribe>\r\nList-Unsubscribe-Post: ");
	r.unsubscribe_url = r.unsubscribe_mailto = STR("");
	compose_with(&r);
	assert_false(has(composed.header, "List-Unsubscribe"));
	assert_false(has(composed.text, "unsubscribe"));
	r.unsubscribe_url = STR("https://books.example/\r\nX: y\xC3\xA9>,<");
	compose_with(&r);
	assert_has(
		composed.header, "List-Unsubscribe: <https://books.example/%0D%0AX:%20y%C3%A9%3E,%3C>\r\n");
}

static void compose__unsubscribe_link__is_added_only_where_there_is_none(void **state)
{
	(void)state;
	compiled(MESSAGE_MARKDOWN, HEAD "Language: de\n\nHallo\n");
	assert_false(message_has_unsubscribe_link(message));
	compose();
	assert_has(composed.html, ">Newsletter abbestellen</a></p>\n</body>");
	assert_has(composed.html, "href=\"https://books.example/u?t=1&amp;l=2\"");
	assert_has(composed.text, "https://books.example/u?t=1&l=2");
	compiled(MESSAGE_MARKDOWN, HEAD "\n[leave]({{ unsubscribe_url }})\n");
	assert_true(message_has_unsubscribe_link(message));
	compose();
	assert_false(has(composed.html, "Unsubscribe"));
	compiled(MESSAGE_MARKDOWN, HEAD "\n\xE3\x81\x93\xE3\x82\x93\xE3\x81\xAB\xE3\x81\xA1\xE3\x81\xAF\n");
	compose();
	assert_has(composed.html, "\xE9\x85\x8D\xE4\xBF\xA1\xE5\x81\x9C\xE6\xAD\xA2");
}

static void compose__link_parameters__are_added_to_both_parts(void **state)
{
	(void)state;
	compiled(MESSAGE_MARKDOWN,
		HEAD "Link-Parameters: utm_source=news&utm_campaign={{ campaign | url_encode }}\n\n"
		     "[a](https://a.example/x#y) [u]({{ unsubscribe_url }}) [m](mailto:a@b.example)\n");
	compose();
	assert_has(composed.html, "href=\"https://a.example/x?utm_source=news&amp;utm_campaign=june#y\"");
	assert_has(composed.html, "href=\"https://books.example/u?t=1&amp;l=2\"");
	assert_has(composed.html, "href=\"mailto:a@b.example\"");
	assert_has(composed.text, "https://a.example/x?utm_source=news&utm_campaign=june#y\n");
	assert_null(one(MESSAGE_HTML, HEAD "Link-Parameters: a b\n\nx"));
	assert_int_equal(err.line, 3);
}

static void compose__layouts_that_ship__fit_the_language(void **state)
{
	(void)state;
	static const char *const layouts[] = {"letter", "digest", "announcement"};
	for (size_t i = 0; i < 3; i++) {
		char text[512];
		snprintf(text, sizeof text, HEAD "Language: fr\nLayout: postrider/%s.html\n\n# Bonjour\n",
			layouts[i]);
		compiled(MESSAGE_MARKDOWN, text);
		assert_int_equal(message_nparts(message), 2);
		compose();
		assert_has(composed.html, "<html lang=\"fr\"");
		assert_has(composed.html, "<title>Anna's list</title>");
		assert_has(composed.html, "Se d\xC3\xA9sabonner</a>");
		assert_has(composed.html, "@media (prefers-color-scheme: dark)");
		assert_has(composed.html, "<h1 style=\"");
		assert_has(composed.text, "Bonjour\n=======\n");
		if (i == 1)
			assert_has(composed.text, "29 novembre 2026\n");
		snprintf(text, sizeof text,
			HEAD "Layout: postrider/%s.html\n\n[stop]({{ unsubscribe_url }})\n", layouts[i]);
		compiled(MESSAGE_MARKDOWN, text);
		compose();
		assert_false(has(composed.html, "Unsubscribe</a>"));
		/* A style of the layout would win over the column's own alignment. */
		snprintf(text, sizeof text,
			HEAD "Layout: postrider/%s.html\n\n| a | b |\n|---|--:|\n| 1 | 7 |\n", layouts[i]);
		compiled(MESSAGE_MARKDOWN, text);
		compose();
		const char *cell = memmem(composed.html.p, composed.html.n, "align=\"right\">7<", 16);
		assert_non_null(cell);
		while (memcmp(cell, "<td", 3) != 0)
			assert_int_not_equal(memcmp(cell--, "text-align", 10), 0);
	}
	assert_null(one(MESSAGE_HTML, HEAD "Layout: postrider/none.html\n\nx"));
	assert_int_equal(err.code, ERR_NOINPUT);
}

static void compose__constant_ascii_text__goes_as_7bit(void **state)
{
	(void)state;
	compiled(MESSAGE_TEXT, HEAD "\nHello\n[leave] {{ unsubscribe_url }}");
	compose();
	assert_has(composed.header, "quoted-printable");
	static const struct entry files[] = {{"message", HEAD "\n<p>{{ unsubscribe_url }}</p>"},
		{"message:text", "Plain text."}, {NULL, NULL}};
	assert_non_null(compile(MESSAGE_HTML, files));
	struct message_recipient r = recipient();
	compose_with(&r);
	/* The visible link makes the text personal. */
	assert_has(composed.body, "To unsubscribe: https://books.example/u?t=3D1&l=3D2\r\n");
}

static void compose__japanese__is_base64_or_iso_2022_jp(void **state)
{
	(void)state;
#define JA "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x81\xAE\xE3\x83\xA1\xE3\x83\xBC\xE3\x83\xAB"
	compiled(MESSAGE_TEXT, "From: " JA " <a@b.example>\nSubject: " JA "\n\n" JA JA JA JA JA JA JA "\n");
	compose();
	assert_has(composed.header,
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n");
	compiled(MESSAGE_TEXT, "From: " JA " <a@b.example>\nSubject: " JA "\nCharset: ISO-2022-JP\n\n" JA
			       "{{ first_name }}\n");
	compose();
	assert_has(composed.header,
		"Content-Type: text/plain; charset=iso-2022-jp\r\nContent-Transfer-Encoding: 7bit\r\n");
	assert_has(composed.header, "Subject: =?iso-2022-jp?B?");
	assert_has(composed.header, "Content-Language: ja\r\n");
	assert_has(composed.body, "\x1b$B");
	/* One character that has no place there, anywhere: all of the message is UTF-8. */
	struct message_recipient r = recipient();
	r.to_name = STR("\xF0\x9F\x98\x80");
	compose_with(&r);
	assert_has(composed.header, "charset=utf-8");
	assert_has(composed.header, "Subject: =?utf-8?B?");
}

static void compose__text_made_from_html__has_no_blanks_at_line_ends(void **state)
{
	(void)state;
	compiled(MESSAGE_HTML, HEAD "\n<p>Dear {{ none }}<br>x {{ none }} {{ none }}<br>\xC3\xA9</p>\n");
	compose();
	assert_has(composed.text, "Dear\nx\n\xC3\xA9\n");
	assert_has(composed.body, "\r\n\r\nDear\r\nx\r\n=C3=A9\r\n");
	compiled(MESSAGE_HTML, HEAD "Charset: ISO-2022-JP\n\n<p>" JA " {{ none }}<br>x {{ none }}</p>\n");
	compose();
	assert_has(composed.body, "charset=iso-2022-jp\r\nContent-Transfer-Encoding: 7bit\r\n");
	assert_has(composed.body, "\x1b(B\r\nx\r\n");
	/* What somebody wrote stays as it is. */
	compiled(MESSAGE_TEXT, HEAD "\nx\n-- \nAnna {{ none }}\n");
	compose();
	assert_has(composed.text, "-- \nAnna \n");
	assert_has(composed.body, "--=20\r\nAnna=20\r\n");
}

static void compose__abort_message__skips_with_the_reason(void **state)
{
	(void)state;
	compiled(MESSAGE_MARKDOWN,
		HEAD "\n{% if city == 'Kyoto' %}{% abort_message 'they live there' %}{% endif %}x\n");
	compose();
	assert_true(str_is(composed.skip, "they live there"));
	assert_int_equal(composed.body.n, 0);
}

static void compose__bad_sender_for_one_recipient__is_an_error(void **state)
{
	(void)state;
	compiled(MESSAGE_TEXT, "From: Books <{{ nothing }}@books.example>\nSubject: x\n\nhi");
	struct message_recipient r = recipient();
	struct err e = {0};
	assert_int_equal(message_compose(message, &r, false, &arena, &composed, &e), -1);
	assert_int_equal(e.code, ERR_DATA);
	assert_string_equal(e.what, "From");
	assert_int_equal(e.line, 1);
}

static void compose__address_not_ascii__asks_for_smtputf8(void **state)
{
	(void)state;
	compiled(MESSAGE_TEXT, HEAD "\nhi");
	struct message_recipient r = recipient();
	r.email = STR("j\xC3\xB6rg@example.com");
	compose_with(&r);
	assert_true(composed.utf8);
	assert_has(composed.header, "To: Anna Smith <j\xC3\xB6rg@example.com>\r\n");
}

static void compose__little_memory__is_an_error(void **state)
{
	(void)state;
	compiled(MESSAGE_MARKDOWN, HEAD "\nDear {{ first_name }}\n");
	struct message_recipient r = recipient();
	for (size_t most = 256; most < 20000; most += 97) {
		struct arena small;
		struct err e = {0};
		struct composed c;
		arena_init(&small, 256, most);
		if (message_compose(message, &r, true, &small, &c, &e) != 0 && e.code != ERR_DATA)
			fail_msg("%zu: %s: %s", most, e.what, e.why);
		arena_release(&small);
	}
}

static void format__is_told_by_the_ending(void **state)
{
	(void)state;
	enum message_format f;
	struct err e = {0};
	assert_int_equal(message_format_of("a/b.md", &f, &e), 0);
	assert_int_equal(f, MESSAGE_MARKDOWN);
	assert_int_equal(message_format_of("b.html", &f, &e), 0);
	assert_int_equal(f, MESSAGE_HTML);
	assert_int_equal(message_format_of("b.txt", &f, &e), 0);
	assert_int_equal(f, MESSAGE_TEXT);
	assert_int_equal(message_format_of("b.doc", &f, &e), -1);
	assert_int_equal(e.code, ERR_DATA);
}

/* --- the folder on disk --- */

static void write_file(const char *path, const char *text)
{
	assert_int_equal(file_write(path, str_from(text), 0600, &err), 0);
}

static int read_part(const struct message_reader *r, const char *name)
{
	struct buf b = BUF_INIT(1 << 20);
	struct err e = {0};
	int rc = r->read(r->ctx, name, &b, &e);
	int code = rc == 0 ? (int)b.len : -(int)e.code;
	buf_release(&b);
	return code;
}

enum { SKIPPED = 77 };

/* As on a kernel, or in a container, that does not have it. */
static bool lose_openat2(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void dir__names__stay_in_the_folder(void **state)
{
	(void)state;
	char top[] = "/tmp/test_message_XXXXXX";
	assert_non_null(mkdtemp(top));
	assert_int_equal(chdir(top), 0);
	assert_int_equal(mkdir("m", 0700) | mkdir("m/sub", 0700), 0);
	write_file("secret", "secret");
	write_file("m/news.html", "1234");
	write_file("m/news.txt", "12345");
	write_file("m/sub/a", "123456");
	assert_int_equal(symlink("../secret", "m/out") | symlink("sub/a", "m/in") | symlink("..", "m/up") |
				 symlink("/etc/passwd", "m/abs"),
		0);
	assert_int_equal(mkfifo("m/fifo", 0600), 0);
	struct message_dir d;
	struct message_reader r;
	assert_int_equal(message_dir_open(&d, "m/news.html", &r, &err), 0);
	static const struct {
		const char *name;
		int got, without; /* openat2 */
	} t[] = {
		{"message", 4, 4},
		{"message:text", 5, 5},
		{"sub/a", 6, 6},
		{"in", 6, -ERR_DATA},
		{"none", -ERR_NOINPUT, -ERR_NOINPUT},
		{"none/a", -ERR_NOINPUT, -ERR_NOINPUT},
		{"news.html/a", -ERR_NOINPUT, -ERR_NOINPUT},
		{"out", -ERR_DATA, -ERR_DATA},
		{"abs", -ERR_DATA, -ERR_DATA},
		{"up/secret", -ERR_DATA, -ERR_NOINPUT},
		{"../secret", -ERR_DATA, -ERR_DATA},
		{"fifo", -ERR_DATA, -ERR_DATA},
		{"sub", -ERR_DATA, -ERR_DATA},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		assert_int_equal(read_part(&r, t[i].name), t[i].got);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int wrong = 0;
		if (!lose_openat2())
			_exit(SKIPPED);
		for (size_t i = 0; i < sizeof t / sizeof *t; i++)
			if (read_part(&r, t[i].name) != t[i].without && ++wrong)
				fprintf(stderr, "%s without openat2: %d\n", t[i].name,
					read_part(&r, t[i].name));
		_exit(wrong);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) == SKIPPED)
		print_message("not tried without openat2: no filter of system calls is allowed here\n");
	else
		assert_int_equal(status, 0);
	message_dir_close(&d);
	assert_int_equal(message_dir_open(&d, "nowhere/news.html", &r, &err), -1);
	assert_int_equal(err.code, ERR_NOINPUT);
	assert_int_equal(chdir("/"), 0);
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", top);
	assert_int_equal(system(command), 0);
}

static void names__that_climb__are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", "/a", "..", "../a", "a/../b", "a//b", "./a", "a/", "a\nb", "message", "message:text"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(message_name_ok(str_from(bad[i])));
	assert_true(message_name_ok(STR("a/b.c")) && message_name_ok(STR("..a")) &&
		    message_name_ok(STR("\xE6\x97\xA5")));
}

static void words__language_not_said__is_that_of_most_of_the_text(void **state)
{
	(void)state;
	assert_string_equal(message_words(STR(""), STR("Forty new titles came in this month. Three that we "
						       "would take home ourselves: one is 星の王子さま."))
				    ->language,
		"en");
	assert_string_equal(
		message_words(
			STR(""), STR("いつも山吹書房をご利用いただき、ありがとうございます。The Night Atlas"))
			->language,
		"ja");
	assert_string_equal(message_words(STR(""), STR("<table class=\"outer wrapper\"><tr><td "
						       "style=\"color: black\">{{ first_name }}さま</td>"))
				    ->language,
		"ja");
	assert_string_equal(message_words(STR("ja-JP"), STR("Hello"))->language, "ja");
	assert_string_equal(message_words(STR(""), STR("漢字 <"))->language, "en");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words__language_not_said__is_that_of_most_of_the_text),
		TEST(headers__mistakes__are_named_with_their_line),
		TEST(headers__any_line_ends_and_folding__are_read),
		TEST(message__names__are_slots_without_the_reserved),
		TEST(message__from_with_values__keeps_a_constant_domain),
		TEST(message__parts__are_what_was_read),
		TEST(compose__large_files__are_one_tail_for_all),
		TEST(message__partials__take_the_form_of_each_part),
		TEST(message__missing_files__are_errors_but_images_are_not),
		TEST(message__errors__point_into_the_file_that_was_written),
		TEST(compose__headers__stand_in_a_stable_order),
		TEST(compose__unsubscribing__has_only_what_exists),
		TEST(compose__unsubscribe_link__is_added_only_where_there_is_none),
		TEST(compose__link_parameters__are_added_to_both_parts),
		TEST(compose__layouts_that_ship__fit_the_language),
		TEST(compose__constant_ascii_text__goes_as_7bit),
		TEST(compose__japanese__is_base64_or_iso_2022_jp),
		TEST(compose__text_made_from_html__has_no_blanks_at_line_ends),
		TEST(compose__abort_message__skips_with_the_reason),
		TEST(compose__bad_sender_for_one_recipient__is_an_error),
		TEST(compose__address_not_ascii__asks_for_smtputf8),
		TEST(compose__little_memory__is_an_error),
		TEST(format__is_told_by_the_ending),
		TEST(dir__names__stay_in_the_folder),
		TEST(names__that_climb__are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
