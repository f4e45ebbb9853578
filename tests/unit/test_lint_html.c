/* What the lint says of the decoded HTML, and of greetings and subjects. */
#include "tests/unit/lint_fixture.h"

#define M(name, from, to, ...)                                                                               \
	{                                                                                                    \
		name, {from, sizeof(from) - 1}, {to, sizeof(to) - 1}, "" __VA_ARGS__,                        \
		{                                                                                            \
			0                                                                                    \
		}                                                                                            \
	}

static const char page[] = "<!DOCTYPE html>\r\n<html lang='en'><head><title>June</title><style>p { color: "
			   "#333 }</style></head><body>\r\n"
			   "<div style='display:none;max-height:0'>Forty new titles, one of them for "
			   "you&#847;&zwnj;&nbsp;&#847;&zwnj;&nbsp;</div>\r\n"
			   "<p>Dear Anna,</p>\r\n<p>forty new titles came in this month, and three of them "
			   "we would take home ourselves: one of stones,\r\n"
			   "one of stars, and one of the sea. Come and see them at the shop.</p>\r\n"
			   "<p><a href='https://www.books.example/june'>books.example/june</a> <img "
			   "src='https://books.example/logo.png' alt='Logo' width=80></p>\r\n"
			   "<p>Write to <a href='mailto:info@books.example'>info@books.example</a></p>\r\n"
			   "<p><a href='https://books.example/u?t=abc'>Unsubscribe</a></p></body></html>\r\n";

static const char text[] = "Dear Anna,\r\n\r\nforty new titles came in this month, and three of them we "
			   "would take home ourselves: one of stones,\r\n"
			   "one of stars, and one of the sea. Come and see them at the "
			   "shop.\r\n\r\nbooks.example/june\r\n\r\nWrite to info@books.example\r\n\r\n"
			   "Unsubscribe: https://books.example/u?t=abc\r\n";

static void message(struct buf *out, struct str html)
{
	buf_clear(out);
	buf_puts(out, GOOD_HEADER "Content-Type: multipart/alternative; boundary=\"=_k\"\r\n\r\n"
				  "--=_k\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
	buf_puts(out, text);
	buf_puts(out,
		"--=_k\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
	buf_str(out, html);
	buf_puts(out, "\r\n--=_k--\r\n");
}

static void each(const struct mutation *m, size_t n)
{
	struct buf html = BUF_INIT(1 << 20);
	struct fixture f;
	size_t failures = 0;
	setup_fixture(&f);
	for (size_t i = 0; i < n; i++) {
		arena_reset(&f.arena);
		swapped(&html, str_from(page), m[i].from, m[i].to);
		message(&f.text, buf_get(&html));
		lint_message(&f.lint, &f.arena, buf_get(&f.text));
		if (found(&f.lint, m[i].id) != NULL)
			continue;
		print_message("not found: %s (%s)\n", m[i].name, m[i].id);
		print_all(&f.lint);
		failures++;
	}
	release_fixture(&f);
	buf_release(&html);
	assert_int_equal(failures, 0);
}

/* Changes that are all right. */
static void none(const struct mutation *m, size_t n)
{
	struct buf html = BUF_INIT(1 << 20);
	struct fixture f;
	size_t failures = 0;
	setup_fixture(&f);
	for (size_t i = 0; i < n; i++) {
		arena_reset(&f.arena);
		swapped(&html, str_from(page), m[i].from, m[i].to);
		message(&f.text, buf_get(&html));
		lint_message(&f.lint, &f.arena, buf_get(&f.text));
		if (f.lint.n == 0)
			continue;
		print_message("a false alarm: %s\n", m[i].name);
		print_all(&f.lint);
		failures++;
	}
	release_fixture(&f);
	buf_release(&html);
	assert_int_equal(failures, 0);
}

static void html__faults__are_named(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct mutation all[] = {
		M("image without alt", " alt='Logo'", "", "image-without-alt"),
		M("image without width", " width=80", "", "image-without-width"),
		M("image that is not there", "https://books.example/logo.png", "logo.png", "image-not-there"),
		M("data: image", "https://books.example/logo.png", "data:image/png;base64,AAAA", "image-data-uri"),
		M("no lang", " lang='en'", "", "html-without-lang"),
		M("no title", "<title>June</title>", "", "html-without-title"),
		M("script", "<p>Dear", "<script>alert(1)</script><p>Dear", "html-script"),
		M("onclick", "<p>Dear", "<p onclick='x()'>Dear", "html-script"),
		M("javascript: link", "https://www.books.example/june", "javascript:x()", "html-script"),
		M("form", "<p>Dear", "<form action='https://books.example/'><input name=a></form><p>Dear", "html-form"),
		M("frame", "<p>Dear", "<iframe src='https://books.example/'></iframe><p>Dear", "html-embed"),
		M("external style sheet", "<style>", "<link rel=stylesheet href='https://books.example/a.css'><style>", "css-external"),
		M("@import", "p { color", "@import 'a.css'; p { color", "css-external"),
		M("http link", "https://www.books.example/june", "http://www.books.example/june", "link-http"),
		M("other host", "https://www.books.example/june", "https://www.books.evil/june", "link-other-host"),
		M("other host by name alone", ">books.example/june<", ">www.books.com<", "link-other-host"),
		M("empty link", "https://www.books.example/june", "", "link-broken"),
		M("link to #", "https://www.books.example/june", "#", "link-broken"),
		M("relative link", "https://www.books.example/june", "/june", "link-broken"),
		M("host without scheme", "https://www.books.example/june", "www.books.example/june", "link-broken"),
		M("one slash", "https://www.books.example/june", "https:/www.books.example/june", "link-broken"),
		M("scheme twice", "https://www.books.example/june", "https://https://www.books.example/june", "link-broken"),
		M("blank in a link", "https://www.books.example/june", "https://www.books.example/our june", "link-broken"),
		M("bad escape in a link", "https://www.books.example/june", "https://www.books.example/%zz", "link-broken"),
		M("no host", "https://www.books.example/june", "https:///june", "link-broken"),
		M("bare host", "https://www.books.example/june", "https://books/june", "link-broken"),
		M("this computer", "https://www.books.example/june", "https://localhost/june", "link-broken"),
		M("template in a link", "https://www.books.example/june", "https://www.books.example/{{ x }}", "link-broken"),
		M("mailto without address", "mailto:info@books.example", "mailto:info", "link-broken"),
		M("number for a host", "https://www.books.example/june", "https://192.0.2.1/june", "link-suspicious"),
		M("name before the host", "https://www.books.example/june", "https://www.books.example@evil.example/june", "link-suspicious"),
		M("shortened", "https://www.books.example/june", "https://bit.ly/june", "link-suspicious"),
		M("hidden text", "<p>Write", "<p style='display: none'>cheap watches and pills</p><p>Write", "hidden-text"),
		M("white on white", "<p>Write", "<p style='color:#fff;background:#FFF'>cheap watches and pills</p><p>Write", "hidden-text"),
		M("no unsubscribe link", "<p><a href='https://books.example/u?t=abc'>Unsubscribe</a></p>", "", "unsubscribe-link-missing"),
		M("hidden unsubscribe link", "<p><a href='https://books.example/u?t=abc'>",
			"<p style='visibility:hidden'><a href='https://books.example/u?t=abc'>", "unsubscribe-link-hidden"),
		M("tiny unsubscribe link", "<p><a href='https://books.example/u?t=abc'>", "<p style='font-size:1px'><a href='https://books.example/u?t=abc'>",
			"unsubscribe-link-hidden"),
		M("unsubscribe link without text", ">Unsubscribe<", "> <", "unsubscribe-link-hidden"),
		M("text and HTML differ", "forty new titles came in this month, and three of them we would take home ourselves: one of stones,\r\n"
			"one of stars, and one of the sea. Come and see them at the shop.",
			"Quite another story is told here, which no reader of plain letters will ever get to know. What a pity that is, surely!", "text-differs"),
	};
	/* clang-format on */
	each(all, sizeof all / sizeof all[0]);
}

static void html__what_is_right__is_left_alone(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct mutation all[] = {
		M("", "Anna", "Anna"),
		M("sub-domain", "https://www.books.example/june", "https://click.news.books.example/june"),
		M("words on a link", ">books.example/june<", ">the June list<"),
		M("file name on a link", ">books.example/june<", ">june.pdf<"),
		M("anchor", "https://www.books.example/june", "#june"),
		M("telephone", "https://www.books.example/june", "tel:+81751234567"),
		M("mail with a subject", "mailto:info@books.example", "mailto:info@books.example?subject=June%20list"),
		M("references in a link", "https://www.books.example/june", "https://www.books.example/june?a=1&amp;b=2"),
		M("international host", "https://www.books.example/june'>books.example/june", "https://&#20140;&#37117;.example/june'>June"),
		M("decoration", "alt='Logo'", "alt=''"),
		M("structured data", "<style>", "<script type='application/ld+json'>{}</script><style>"),
		M("Outlook's comments", "<p>Write", "<!--[if mso]><table><tr><td>x</td></tr></table><![endif]--><p>Write"),
		M("gap without size", "<p>Write", "<div style='font-size:0'><span style='font-size:14px'> </span></div><p>Write"),
		M("blanks on another ground", "<p>Write", "<p style='color:#fff;background:#000'> </p><p>Write"),
	};
	/* clang-format on */
	none(all, sizeof all / sizeof all[0]);
}

/* Gmail clips the decoded HTML, whatever its encoding weighs. */
static void html__size__is_of_the_decoded(void **state)
{
	(void)state;
	static const struct {
		size_t n;
		const char *id;
	} sizes[] = {{80 << 10, NULL}, {95 << 10, "html-nearly-clipped"}, {110 << 10, "html-clipped"}};
	struct buf filler = BUF_INIT(1 << 20), html = BUF_INIT(1 << 20);
	struct fixture f;
	setup_fixture(&f);
	for (size_t i = 0; i < 3; i++) {
		arena_reset(&f.arena);
		buf_clear(&filler);
		buf_puts(&filler, "<p>Write");
		while (filler.len < sizes[i].n)
			buf_puts(&filler, "<!-- filler -->\r\n");
		swapped(&html, str_from(page), STR("<p>Write"), buf_get(&filler));
		message(&f.text, buf_get(&html));
		lint_message(&f.lint, &f.arena, buf_get(&f.text));
		assert_int_equal(f.lint.n, sizes[i].id != NULL);
		assert_true(sizes[i].id == NULL || found(&f.lint, sizes[i].id) != NULL);
	}
	release_fixture(&f);
	buf_release(&filler);
	buf_release(&html);
}

static void html__hidden_paragraph_without_end_tag__hides_itself_alone(void **state)
{
	(void)state;
	struct fixture f;
	struct buf html = BUF_INIT(1 << 20);
	setup_fixture(&f);
	swapped(&html, str_from(page), STR("<p>Dear"), STR("<p style='display:none'>A word<p>Dear"));
	message(&f.text, buf_get(&html));
	lint_message(&f.lint, &f.arena, buf_get(&f.text));
	print_all(&f.lint);
	assert_int_equal(f.lint.n, 0);
	buf_release(&html);
	release_fixture(&f);
}

/* Said of the text where only that has none. */
static void text__without_unsubscribe_link__is_named(void **state)
{
	(void)state;
	struct fixture f;
	struct buf b = BUF_INIT(1 << 20);
	setup_fixture(&f);
	for (int both = 0; both <= 1; both++) {
		message(&b, str_from(page));
		swapped(&f.text, buf_get(&b), STR("Unsubscribe: https://books.example/u?t=abc\r\n"),
			STR("Until soon\r\n"));
		if (both) {
			swapped(&b, buf_get(&f.text),
				STR("<a href='https://books.example/u?t=abc'>Unsubscribe</a>"), STR(""));
			buf_clear(&f.text);
			buf_str(&f.text, buf_get(&b));
		}
		lint_message(&f.lint, &f.arena, buf_get(&f.text));
		print_all(&f.lint);
		assert_int_equal(f.lint.n, 1);
		const struct lint_finding *one = found(&f.lint, "unsubscribe-link-missing");
		assert_non_null(one);
		assert_true(str_eq(one->place, both ? STR("text/html") : STR("text/plain")));
	}
	buf_release(&b);
	release_fixture(&f);
}

static void html__images_alone__are_named(void **state)
{
	(void)state;
	struct fixture f;
	setup_fixture(&f);
	message(&f.text, STR("<html lang=en><title>June</title><a href='https://books.example/'><img "
			     "src='https://books.example/a.png' alt='' width=600></a>"
			     "<a href='https://books.example/u?t=abc'>Unsubscribe</a>"));
	lint_message(&f.lint, &f.arena, buf_get(&f.text));
	assert_non_null(found(&f.lint, "image-only"));
	release_fixture(&f);
}

static void html__finding__has_a_line_of_the_decoded(void **state)
{
	(void)state;
	struct fixture f;
	struct buf html = BUF_INIT(1 << 20);
	setup_fixture(&f);
	swapped(&html, str_from(page), STR(" alt='Logo'"), STR(""));
	message(&f.text, buf_get(&html));
	lint_message(&f.lint, &f.arena, buf_get(&f.text));
	assert_true(
		str_eq(lint_where(found(&f.lint, "image-without-alt"), &f.arena), STR("text/html, line 7")));
	buf_release(&html);
	release_fixture(&f);
}

static void left_over__placeholders_of_any_service__are_seen(void **state)
{
	(void)state;
	static const char *const bad[] = {"Dear {{ name }},", "{% if %}", "Hi *|FNAME|*!", "Dear /|FNAME|/,",
		"*|LIST:COMPANY|*", "%%first_name%%様", "Hi %FIRSTNAME%", "Hi [[first_name]]", "{$name}",
		"##name##", "<%= name %>", "*|iferror|*"};
	static const char *const good[] = {"50% to 100% OFF", "|A|B|", "| NAME | CITY |",
		"https://x/%E3%81%82", "%FADE%", "[[1]]", "** | **", "## Title ##", "{x}", "100%%", "%", "{",
		"[["};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (lint_left_over(str_from(bad[i])).n == 0)
			fail_msg("not seen: %s", bad[i]);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (lint_left_over(str_from(good[i])).n != 0)
			fail_msg("seen: %s", good[i]);
}

static void greeting__without_name__is_seen(void **state)
{
	(void)state;
	static const char *const bad[] = {"Dear ,", "Dear,", "Hi ,\nwelcome", "\n\n  Hello  , you", "Liebe ,",
		"Sehr geehrte ,", "Cher ,", "Estimada,", "Ch\xc3\xa8re\xc2\xa0,", "様\n\nいつも", "　様、",
		"さん、こんにちは", "Dear null,", "Hi undefined!", "Hello None,"};
	static const char *const good[] = {"", "Dear Anna,", "Hello,", "Hi!", "Bonjour !", "Hallo,",
		"Dearest,", "Hi there,", "アンナ様", "Guten Tag,", "Dear Nonette,", "皆様へ", "様々な本",
		"To whom it may concern,\n"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (lint_greeting(str_from(bad[i])).n == 0)
			fail_msg("not seen: %s", bad[i]);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (lint_greeting(str_from(good[i])).n != 0)
			fail_msg("a false alarm: %s", good[i]);
}

static void subject__with_a_gap__is_seen(void **state)
{
	(void)state;
	static const char *const bad[] = {", the list is here", "Hello , the list", "様、六月の本",
		"、六月の本", "Dear , hello", "! New"};
	static const char *const good[] = {"", "Anna, the list is here", "The list", "六月の本、入荷",
		"Quoi de neuf ?", "¿Qué hay?", "様々な本"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (lint_subject_gap(str_from(bad[i])).n == 0)
			fail_msg("not seen: %s", bad[i]);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (lint_subject_gap(str_from(good[i])).n != 0)
			fail_msg("a false alarm: %s", good[i]);
}

/* Japanese has no blanks between words. */
static void text__japanese__is_compared_by_characters(void **state)
{
	(void)state;
	static const char html[] =
		"<html "
		"lang=ja><title>六月</title><p>いつも京都書店をご利用いただき、ありがとうございます。</p>"
		"<p><a href='https://books.example/u?t=abc'>配信停止</a></p>";
	struct fixture f;
	for (int other = 0; other < 2; other++) {
		setup_fixture(&f);
		buf_puts(&f.text, GOOD_HEADER "Content-Type: multipart/alternative; boundary=\"=_k\"\r\n\r\n"
					      "--=_k\r\nContent-Type: text/plain; "
					      "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
		buf_puts(&f.text,
			other ? "この手紙は別の話をします。天気は晴れ、風は強く、猫は寝ています。\r\n配信停止"
				"\r\n"
			      : "いつも京都書店をご利用\r\nいただき、ありがとうございます。\r\n配信停止\r\n");
		buf_printf(&f.text,
			"--=_k\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: "
			"8bit\r\n\r\n%s\r\n--=_k--\r\n",
			html);
		lint_message(&f.lint, &f.arena, buf_get(&f.text));
		assert_int_equal(found(&f.lint, "text-differs") != NULL, other);
		release_fixture(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(html__faults__are_named),
		cmocka_unit_test(html__what_is_right__is_left_alone),
		cmocka_unit_test(html__size__is_of_the_decoded),
		cmocka_unit_test(html__hidden_paragraph_without_end_tag__hides_itself_alone),
		cmocka_unit_test(text__without_unsubscribe_link__is_named),
		cmocka_unit_test(html__images_alone__are_named),
		cmocka_unit_test(html__finding__has_a_line_of_the_decoded),
		cmocka_unit_test(left_over__placeholders_of_any_service__are_seen),
		cmocka_unit_test(greeting__without_name__is_seen),
		cmocka_unit_test(subject__with_a_gap__is_seen),
		cmocka_unit_test(text__japanese__is_compared_by_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
