/* The strict lint over finished bytes: a good message has no finding, each fault is named. */
#include "tests/unit/lint_fixture.h"

#define M(name, from, to, id)                                                                                \
	{                                                                                                    \
		name, {from, sizeof(from) - 1}, {to, sizeof(to) - 1}, id,                                    \
		{                                                                                            \
			0                                                                                    \
		}                                                                                            \
	}
#define LONG10   "0123456789"
#define LONG100  LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10
#define LONG1000 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100

static void lint__good_message__has_no_finding(void **state)
{
	(void)state;
	struct fixture f;
	setup_fixture(&f);
	lint_message(&f.lint, &f.arena, STR(GOOD_MESSAGE));
	print_all(&f.lint);
	assert_int_equal(f.lint.n, 0);
	assert_false(f.lint.skipped);
	release_fixture(&f);
}

static void lint__every_known_fault__is_named(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct mutation all[] = {
		M("raw UTF-8 subject", "=?utf-8?B?5LqU5pyI44Gu?=", "五月の", "header-8bit"),
		M("Date missing", "Date: Tue, 1 Dec 2026 09:00:00 +0900\r\n", "", "date-missing"),
		M("Date malformed", "Tue, 1 Dec 2026 09:00:00 +0900", "2026-12-01T09:00:00+09:00", "date-malformed"),
		M("Message-ID missing", "Message-ID: <k7f3a9@books.example>\r\n", "", "message-id-missing"),
		M("Message-ID without brackets", "<k7f3a9@books.example>", "k7f3a9@books.example", "message-id-malformed"),
		M("Message-ID of a bare host", "<k7f3a9@books.example>", "<k7f3a9@mailer>", "message-id-host"),
		M("MIME-Version missing", "MIME-Version: 1.0\r\n", "", "mime-version-missing"),
		M("Subject twice", "List-Id:", "Subject: another\r\nList-Id:", "header-twice"),
		M("To missing", "To: Anna <anna@reader.example>\r\n", "", "to-missing"),
		M("header without colon", "List-Id:", "this is no header\r\nList-Id:", "header-without-colon"),
		M("From needs quotes", "From: Kyoto Books <", "From: Kyoto Books, Inc. <", "address-needs-quotes"),
		M("boundary unclosed", "--=_k7_0--\r\n", "", "boundary-unclosed"),
		M("boundary inside a part", "Dear Anna,\r\n", "Dear Anna,\r\n--=_k7_1\r\nforty new titles\r\n", "boundary-in-part"),
		M("boundary parameter missing", "multipart/mixed; boundary=\"=_k7_0\"", "multipart/mixed", "boundary-missing"),
		M("QP line over 76", "at the=\r\n shop", "at the shop, all of them together and one after another", "qp-line-too-long"),
		M("bad base64 characters", "R0lGODlh", "R0l!ODlh", "base64-bad-character"),
		M("one long base64 line", "R0lGODlh", LONG100 "R0lGODlh", "base64-line-too-long"),
		M("base64 without need", "quoted-printable\r\n\r\n" GOOD_TEXT, "base64\r\n\r\nSGVsbG8gQW5uYSwgdW5zdWJzY3JpYmU=\r\n", "base64-needless"),
		M("8-bit bytes called 7bit", "quoted-printable\r\n\r\n" GOOD_TEXT, "7bit\r\n\r\nJüni\r\n", "8bit-in-7bit"),
		M("charset missing", "text/plain; charset=utf-8", "text/plain", "charset-missing"),
		M("invalid UTF-8", "Z=C3=BCrich", "Z=C3rich", "charset-invalid"),
		M("HTML only", "--=_k7_1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" GOOD_TEXT "\r\n",
			"", "html-only"),
		M("text and HTML differ", GOOD_TEXT, "Please look at this message in another program, yours is far too old for it.\r\n", "text-differs"),
		M("raw UTF-8 file name", "filename=\"logo.gif\"", "filename=\"lögo.gif\"", "filename-8bit"),
		M("encoding on a multipart", "Content-Type: multipart/mixed", "Content-Transfer-Encoding: base64\r\nContent-Type: multipart/mixed",
			"encoding-on-multipart"),
		M("NUL byte", "forty new", "forty\0new", "nul-byte"),
		M("NUL byte in the header", "Kyoto", "Kyo\0to", "nul-byte"),
		M("character split between words", "=?utf-8?B?5LqU5pyI44Gu?=", "=?utf-8?B?5LqU5pyI44E=?= =?utf-8?B?rg==?=", "encoded-word-splits-character"),
		M("List-Unsubscribe encoded", "<https://books.example/u?t=abc>", "=?utf-8?Q?<https://books.example/u=3Ft=3Dabc>?=", "list-unsubscribe-encoded"),
		M("bad QP escape", "Z=C3=BCrich", "Z=C3=BXrich", "qp-bad-escape"),
		M("bare LF", "Dear Anna,\r\n", "Dear Anna,\n", "bare-lf"),
		M("bare CR", "Dear Anna,\r\n", "Dear Anna,\rhello\r\n", "bare-cr"),
		M("injected header: Bcc", "list is here\r\n", "list is here\r\nBcc: victim@example.com\r\n", "header-forbidden"),
		M("injected header: of its own", "list is here\r\n", "list is here\r\nX-Injected: yes\r\n", "header-injected"),
		M("injected end of the header", "list is here\r\n", "list is here\r\n\r\nhello\r\n", "header-in-body"),
		M("encoded-word over 75", "=?utf-8?B?5LqU5pyI44Gu?=", "=?utf-8?Q?" LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 "=C3=BC?=",
			"encoded-word-too-long"),
		M("header line over 998", "X-Mailer: a mailer", "X-Mailer: " LONG1000, "header-line-too-long"),
		M("body line over 998", "forty new", LONG1000 "forty new", "line-too-long"),
	};
	/* clang-format on */
	check_mutations(all, sizeof all / sizeof all[0], STR(GOOD_MESSAGE));
}

/* Moving one part before another is no swap of one piece. */
static void lint__html_before_text__is_named(void **state)
{
	(void)state;
	static const char text[] = GOOD_HEADER
		"Content-Type: multipart/alternative; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/html; "
		"charset=utf-8\r\n\r\n"
		"<p>hello</p>\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n--b--\r\n";
	struct fixture f;
	setup_fixture(&f);
	lint_message(&f.lint, &f.arena, STR(text));
	assert_non_null(found(&f.lint, "html-before-text"));
	release_fixture(&f);
}

static void lint__headers__further_faults(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct mutation all[] = {
		M("zone by name", "+0900", "JST", "date-zone"),
		M("no zone", " +0900", "", "date-malformed"),
		M("wrong weekday", "Tue, 1 Dec", "Mon, 1 Dec", "date-malformed"),
		M("no such day", "Tue, 1 Dec", "31 Feb", "date-malformed"),
		M("From missing", "From: Kyoto Books <news@books.example>\r\n", "", "from-missing"),
		M("two in From", "<news@books.example>", "<news@books.example>, b@books.example", "from-many"),
		M("period in a name", "From: Kyoto Books", "From: Kyoto B.", "address-needs-quotes"),
		M("at in a name", "From: Kyoto Books", "From: Kyoto @ Books", "address-needs-quotes"),
		M("address without domain", "<news@books.example>", "<news>", "address-malformed"),
		M("bracket not closed", "<news@books.example>", "<news@books.example", "address-malformed"),
		M("two recipients", "To: Anna <anna@reader.example>", "To: Anna <anna@reader.example>, ben@reader.example", "to-many"),
		M("Reply-To is the recipient", "<shop@books.example>", "<Anna@reader.example>", "reply-to-recipient"),
		M("MIME-Version in another case", "MIME-Version: 1.0", "Mime-Version: 1.0", "mime-version-form"),
		M("MIME-Version 1.1", "MIME-Version: 1.0", "MIME-Version: 1.1", "mime-version-form"),
		M("blank before the colon", "X-Mailer:", "X-Mailer :", "header-name"),
		M("empty header", "X-Mailer: a mailer", "X-Mailer:", "header-empty"),
		M("unknown header", "X-Mailer:", "Mailer:", "header-unknown"),
		M("no subject", "Subject:", "X-Mailer-Subject:", "subject-missing"),
		M("empty subject", "=?utf-8?B?5LqU5pyI44Gu?= =?utf-8?Q?J=C3=BCni?= list is here", "", "subject-empty"),
		M("subject of blanks", "=?utf-8?B?5LqU5pyI44Gu?= =?utf-8?Q?J=C3=BCni?= list is here", "=?utf-8?Q?_=C2=A0_?=", "subject-empty"),
		M("subject without its name", "=?utf-8?B?5LqU5pyI44Gu?= =?utf-8?Q?J=C3=BCni?= list", ", the list", "subject-gap"),
		M("false reply", "=?utf-8?B?5LqU5pyI44Gu?= =?utf-8?Q?J=C3=BCni?=", "Re: your", "subject-false-reply"),
		M("shouting", "=?utf-8?B?5LqU5pyI44Gu?= =?utf-8?Q?J=C3=BCni?= list is here", "BUY NOW AND SAVE A LOT", "subject-shouting"),
		M("a long line that could be folded", "=?utf-8?Q?J=C3=BCni?= list",
			"the list of all the books that came to the shop in this month of the year and list", "header-line-long"),
		M("List-Unsubscribe missing", "List-Unsubscribe: <https://books.example/u?t=abc>,\r\n <mailto:u-abc@books.example>\r\n", "",
			"list-unsubscribe-missing"),
		M("List-Unsubscribe without brackets", "<https://books.example/u?t=abc>,\r\n <mailto:u-abc@books.example>", "https://books.example/u",
			"list-unsubscribe-malformed"),
		M("one click without https", "<https://books.example/u?t=abc>,\r\n ", "", "one-click-without-https"),
		M("one click over http", "<https://books.example/u?t=abc>", "<http://books.example/u?t=abc>", "one-click-without-https"),
		M("one click with two pages", "<mailto:u-abc@books.example>", "<https://books.example/other>", "one-click-without-https"),
		M("one click missing", "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", "", "one-click-missing"),
		M("one click misspelt", "List-Unsubscribe=One-Click", "One-Click", "one-click-malformed"),
		M("List-Id without a dot", "<readers.books.example>", "<readers>", "list-id-malformed"),
		M("Precedence", "Precedence: bulk", "Precedence: junk", "precedence"),
		M("Auto-Submitted", "Precedence: bulk", "Auto-Submitted: auto-replied", "auto-submitted"),
		M("Feedback-ID", "7-june:booksexample", "a:b:c:d:e", "feedback-id-malformed"),
		M("DKIM leaves headers out", "X-Mailer: a mailer", "DKIM-Signature: v=1; d=books.example; h=From:Subject; b=abc", "dkim-uncovered"),
		M("DKIM with a length", "X-Mailer: a mailer", "DKIM-Signature: v=1; l=10; h=From:Subject; b=abc", "dkim-length"),
	};
	/* clang-format on */
	check_mutations(all, sizeof all / sizeof all[0], STR(GOOD_MESSAGE));
}

static void lint__encoded_words__further_faults(void **state)
{
	(void)state;
#define WORD "=?utf-8?B?5LqU5pyI44Gu?="
	/* clang-format off */
	static const struct mutation all[] = {
		M("in quotes", "Kyoto Books <news", "\"=?utf-8?B?5LqU5pyI44Gu?=\" <news", "encoded-word-in-quotes"),
		M("in an address", "<news@books.example>", "<=?utf-8?Q?news?=@books.example>", "encoded-word-misplaced"),
		M("in a structured header", "<k7f3a9@books.example>", "<=?utf-8?Q?k7?=@books.example>", "encoded-word-misplaced"),
		M("blank inside", WORD, "=?utf-8?Q?J=C3=BC ni?=", "encoded-word-malformed"),
		M("no end", WORD, "=?utf-8?Q?J=C3=BCni", "encoded-word-malformed"),
		M("unknown encoding", WORD, "=?utf-8?X?abc?=", "encoded-word-malformed"),
		M("glued to a word", WORD " ", WORD, "encoded-word-malformed"),
		M("broken base64", WORD, "=?utf-8?B?5LqU5?=", "encoded-word-malformed"),
		M("Q character not for names", "From: Kyoto Books", "From: =?utf-8?Q?J=C3=BCni,?=", "encoded-word-malformed"),
		M("unknown charset", WORD, "=?klingon?Q?J=C3=BCni?=", "encoded-word-charset"),
		M("invalid bytes", WORD, "=?utf-8?Q?J=FCni?=", "encoded-word-charset"),
		M("ISO-2022-JP that does not return to ASCII", WORD, "=?iso-2022-jp?B?GyRCRnxLXA==?=", "encoded-word-charset"),
		M("plain ASCII encoded", WORD " =?utf-8?Q?J=C3=BCni?= list", "=?utf-8?Q?The_list?=", "encoded-word-needless"),
		M("line over 76", WORD " =?utf-8?Q?J=C3=BCni?= list is here", WORD " and a longer text behind it on the same line of it", "encoded-word-line"),
	};
	/* clang-format on */
	check_mutations(all, sizeof all / sizeof all[0], STR(GOOD_MESSAGE));
}

static void lint__structure__further_faults(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct mutation all[] = {
		M("boundary too long", "boundary=\"=_k7_0\"", "boundary=\"" LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 "0\"", "boundary-form"),
		M("boundary with a bad character", "boundary=\"=_k7_0\"", "boundary=\"k7*0\"", "boundary-form"),
		M("boundary that no line has", "boundary=\"=_k7_0\"", "boundary=\"=_k8\"", "boundary-not-found"),
		M("inner boundary begins as the outer", "boundary=\"=_k7_1\"", "boundary=\"=_k7_01\"", "boundary-not-distinct"),
		M("inner multipart unclosed", "--=_k7_2--\r\n", "", "boundary-unclosed"),
		M("text behind the boundary", "Dear Anna,\r\n", "Dear Anna,\r\n--=_k7_1 and more\r\n", "boundary-in-part"),
		M("a part without header", "Dear Anna,\r\n", "Dear Anna,\r\n--=_k7_1\r\n\r\n", "boundary-in-part"),
		M("unquoted parameter with specials", "boundary=\"=_k7_0\"", "boundary==_k7_0", "parameter-malformed"),
		M("quote not closed", "filename=\"logo.gif\"", "filename=\"logo.gif", "parameter-malformed"),
		M("RFC 2047 file name", "filename=\"logo.gif\"", "filename=\"=?utf-8?Q?l=C3=B6go.gif?=\"", "filename-encoded-word"),
		M("file name with a folder", "filename=\"logo.gif\"", "filename=\"../logo.gif\"", "filename-character"),
		M("RFC 2231 without charset", "utf-8''j%C3%BCni.txt", "j%C3%BCni.txt", "parameter-malformed"),
		M("RFC 2231 with a bad escape", "utf-8''j%C3%BCni.txt", "utf-8''j%G3ni.txt", "parameter-malformed"),
		M("RFC 2231 in quotes", "filename*=utf-8''j%C3%BCni.txt", "filename*=\"utf-8''j%C3%BCni.txt\"", "parameter-malformed"),
		M("Content-Type of one word", "image/gif", "image", "content-type-malformed"),
		M("Content-Type missing", "Content-Type: image/gif\r\n", "", "content-type-missing"),
		M("unknown encoding", "Encoding: base64", "Encoding: uuencode", "encoding-unknown"),
		M("8bit", "quoted-printable\r\n\r\n" GOOD_TEXT, "8bit\r\n\r\nJüni\r\n", "8bit-used"),
		M("raw byte in QP", "Z=C3=BCrich", "Zürich", "qp-raw-byte"),
		M("blank at a QP line's end", "Dear Anna,\r\n", "Dear Anna, \r\n", "qp-blank-at-end"),
		M("lower case escape", "Z=C3=BCrich", "Z=c3=bcrich", "qp-lower-case"),
		M("base64 cut off", "AkQBADs=", "AkQBADs", "base64-incomplete"),
		M("base64 behind its end", "AkQBADs=", "Ak==QBADs=", "base64-bad-character"),
		M("unknown charset", "text/plain; charset=utf-8", "text/plain; charset=klingon", "charset-unknown"),
		M("Content-ID without brackets", "<logo@books.example>", "logo@books.example", "content-id-malformed"),
		M("image that is not attached", "Content-ID: <logo@books.example>", "Content-ID: <other@books.example>", "image-not-there"),
		M("related without type", "type=\"text/html\"; ", "", "related-type"),
		M("empty text part", GOOD_TEXT, "\r\n", "text-part-empty"),
		M("control character", "forty new", "forty\x07new", "control-character"),
	};
	/* clang-format on */
	check_mutations(all, sizeof all / sizeof all[0], STR(GOOD_MESSAGE));
}

static void lint__finding__says_where(void **state)
{
	(void)state;
	struct fixture f;
	setup_fixture(&f);
	swapped(&f.text, STR(GOOD_MESSAGE), STR("Z=C3=BCrich"), STR("Z=C3=BXrich"));
	lint_message(&f.lint, &f.arena, buf_get(&f.text));
	const struct lint_finding *hit = found(&f.lint, "qp-bad-escape");
	assert_non_null(hit);
	struct str where = lint_where(hit, &f.arena);
	assert_true(str_eq(where, STR("text/plain, message line 26")));
	assert_int_equal(hit->times, 1);
	assert_int_equal(hit->severity, LINT_FAIL);
	release_fixture(&f);
}

/* A file is sent as it is, and that is right. */
static void lint__plain_attachment_in_base64__is_all_right(void **state)
{
	(void)state;
	struct fixture f;
	setup_fixture(&f);
	swapped(&f.text, STR(GOOD_MESSAGE), STR("SvxuaQ=="), STR("SnVuaQ=="));
	lint_message(&f.lint, &f.arena, buf_get(&f.text));
	assert_int_equal(f.lint.n, 0);
	release_fixture(&f);
}

static void lint__many_of_a_kind__are_one_finding(void **state)
{
	(void)state;
	struct fixture f;
	setup_fixture(&f);
	buf_puts(&f.text, GOOD_HEADER "Content-Type: text/plain; charset=utf-8\r\n\r\nunsubscribe\r\n");
	for (int i = 0; i < 1000; i++)
		buf_puts(&f.text, "line\n");
	lint_message(&f.lint, &f.arena, buf_get(&f.text));
	assert_int_equal(f.lint.n, 1);
	assert_int_equal(f.lint.found[0].times, 1000);
	release_fixture(&f);
}

static void lint__no_message_at_all__is_survived(void **state)
{
	(void)state;
	static const char *const odd[] = {"", "\r\n", "\n", ":", "\r", "a",
		"From:", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--",
		"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n--\r\n",
		"Subject: =?=?utf-8?q?\?=\r\n\r\n", "Content-Type:;;;;=\r\n\r\n",
		"From: \"\r\nTo: <\r\nDate: ,\r\nMessage-ID: <@>\r\n\r\n"};
	struct fixture f;
	setup_fixture(&f);
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		lint_message(&f.lint, &f.arena, str_from(odd[i]));
		assert_true(f.lint.n > 0);
	}
	release_fixture(&f);
}

static void lint__deep_nesting__ends(void **state)
{
	(void)state;
	struct fixture f;
	setup_fixture(&f);
	buf_puts(&f.text, GOOD_HEADER);
	for (int i = 0; i < 100; i++)
		buf_printf(&f.text, "Content-Type: multipart/mixed; boundary=b%dx\r\n\r\n--b%dx\r\n", i, i);
	lint_message(&f.lint, &f.arena, buf_get(&f.text));
	assert_true(f.lint.skipped);
	release_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lint__good_message__has_no_finding),
		cmocka_unit_test(lint__every_known_fault__is_named),
		cmocka_unit_test(lint__html_before_text__is_named),
		cmocka_unit_test(lint__headers__further_faults),
		cmocka_unit_test(lint__encoded_words__further_faults),
		cmocka_unit_test(lint__structure__further_faults),
		cmocka_unit_test(lint__finding__says_where),
		cmocka_unit_test(lint__plain_attachment_in_base64__is_all_right),
		cmocka_unit_test(lint__many_of_a_kind__are_one_finding),
		cmocka_unit_test(lint__no_message_at_all__is_survived),
		cmocka_unit_test(lint__deep_nesting__ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
