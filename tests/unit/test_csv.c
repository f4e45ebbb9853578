#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include <iconv.h>
#include <sys/resource.h>
#include <zlib.h>

#include "lists/csv.h"
#include "src/base/buf.h"

static struct err err;
static struct csv_row row;
static struct csv_reader *reader;

static struct csv_reader *open_str(struct str s, const char *encoding)
{
	struct csv_options o = {.encoding = encoding};
	csv_reader_close(&reader);
	err = (struct err){0};
	csv_reader_open_memory(&reader, s, &o, &err);
	return reader;
}

/* Every row as "line:a|b|c\n", bad ones as "line!reason\n"; an error as "error:why". */
static char *dump(struct str s, const char *encoding)
{
	static struct buf b;
	b.max = 64 << 20;
	buf_clear(&b);
	if (open_str(s, encoding) == NULL) {
		buf_printf(&b, "error:%s", err.why);
		return b.p;
	}
	int rc;
	while ((rc = csv_reader_next(reader, &row, &err)) > 0) {
		buf_printf(&b, "%ld", row.line);
		if (row.bad != NULL)
			buf_printf(&b, "!%s", row.bad);
		for (size_t i = 0; row.bad == NULL && i < row.nfields; i++)
			buf_printf(&b, "%c%.*s", i == 0 ? ':' : '|', STR_ARG(row.field[i]));
		buf_putc(&b, '\n');
	}
	if (rc < 0)
		buf_printf(&b, "error:%s", err.why);
	return (char *)buf_cstr(&b);
}

static void rows(const char *text, const char *expected)
{
	assert_string_equal(dump(str_from(text), NULL), expected);
}

static struct str convert(const char *utf8, const char *charset)
{
	static struct buf b;
	iconv_t cd = iconv_open(charset, "UTF-8");
	assert_true(cd != (iconv_t)-1);
	b.max = 64 << 20;
	buf_clear(&b);
	char *in = (char *)utf8;
	size_t left = strlen(utf8);
	assert_true(buf_reserve(&b, left * 4 + 64));
	char *out = b.p;
	size_t room = b.cap;
	assert_int_not_equal(iconv(cd, &in, &left, &out, &room), -1);
	iconv(cd, NULL, NULL, &out, &room);
	b.len = (size_t)(out - b.p);
	iconv_close(cd);
	return buf_get(&b);
}

static void rows__quotes_line_ends_and_blanks(void **state)
{
	(void)state;
	rows("email,name\na@b.example,Ann\n", "1:email|name\n2:a@b.example|Ann\n");
	rows("email,name\r\na@b.example,Ann", "1:email|name\n2:a@b.example|Ann\n");
	rows("email,name\ra@b.example,Ann\r", "1:email|name\n2:a@b.example|Ann\n");
	rows("a,b\n\"x,1\",\"say \"\"hi\"\"\"\n", "1:a|b\n2:x,1|say \"hi\"\n");
	rows("a,b\n\"x\ny\r\nz\",2\n3,4\n", "1:a|b\n2:x\ny\r\nz|2\n5:3|4\n");
	rows("a,b\n\n   \n,\n \"\" , \n1,2\n", "1:a|b\n6:1|2\n");
	rows("a,b\n  x  ,\t y\t\n\"  x  \", y\n", "1:a|b\n2:x|y\n3:  x  |y\n");
	rows("a,b\nx\"y\",z\"\n", "1:a|b\n2:x\"y\"|z\"\n");
	rows("a,b\n1,2,3\n1\n", "1:a|b\n2:1|2|3\n3:1\n");
	rows("", "");
	rows("\n\r\n\n", "");
	rows("a,\n,b\n", "1:a|\n2:|b\n");
}

static void delimiter__is_found_by_consistency(void **state)
{
	(void)state;
	rows("a;b;c\n1,5;2;3\n2,5;3;4\n", "1:a|b|c\n2:1,5|2|3\n3:2,5|3|4\n");
	assert_int_equal(csv_reader_delimiter(reader), ';');
	rows("a\tb\nx, y\tz\n", "1:a|b\n2:x, y|z\n");
	rows("a|b\nx,y|z\n", "1:a|b\n2:x,y|z\n");
	rows("a,b\n\"x;y;z\",1\n\"p;q;r\",2\n", "1:a|b\n2:x;y;z|1\n3:p;q;r|2\n");
	rows("email,tags\na@b.example,x;y;z\n", "1:email|tags\n2:a@b.example|x;y;z\n");
	rows("email\na@b.example\n", "1:email\n2:a@b.example\n");
	assert_int_equal(csv_reader_delimiter(reader), ',');
	rows("sep=;\na,b;c\n", "2:a,b|c\n");
	rows("\"sep=|\"\r\na,b|c\r\n", "2:a,b|c\n");
	rows("SEP=\t\na,b\tc\n", "2:a,b|c\n");
	struct csv_options o = {.delimiter = ';'};
	csv_reader_close(&reader);
	assert_int_equal(csv_reader_open_memory(&reader, STR("a,b,c;d\n"), &o, &err), 0);
	assert_int_equal(csv_reader_next(reader, &row, &err), 1);
	assert_int_equal(row.nfields, 2);
}

static void raw__is_the_row_as_it_stands(void **state)
{
	(void)state;
	open_str(STR("a,b\r\n \"x\n\"\"y\" , z \r\nlast, row"), NULL);
	assert_int_equal(csv_reader_next(reader, &row, &err), 1);
	assert_true(str_is(row.raw, "a,b"));
	assert_int_equal(csv_reader_next(reader, &row, &err), 1);
	assert_true(str_is(row.raw, " \"x\n\"\"y\" , z "));
	assert_int_equal(csv_reader_next(reader, &row, &err), 1);
	assert_true(str_is(row.raw, "last, row"));
	assert_int_equal(row.line, 4);
	assert_int_equal(csv_reader_next(reader, &row, &err), 0);
}

#define JAPANESE "メール,氏名,住所\na@b.example,山田太郎,東京都千代田区①番地\nb@b.example,髙橋㈱,ｶﾀｶﾅ\n"
#define JAPANESE_ROWS                                                                                        \
	"1:メール|氏名|住所\n2:a@b.example|山田太郎|東京都千代田区①番地\n3:b@b.example|髙橋㈱|ｶﾀｶﾅ\n"

static void reads_as(
	const char *utf8, const char *charset, const char *encoding, const char *expected, const char *shown)
{
	char *got = dump(convert(utf8, charset), encoding);
	if (strcmp(got, expected) != 0)
		fail_msg("%s (%s): %s", charset, csv_reader_encoding(reader), got);
	assert_string_equal(csv_reader_encoding(reader), shown);
}

static void japanese__in_every_charset(void **state)
{
	(void)state;
	reads_as(JAPANESE, "UTF-8", NULL, JAPANESE_ROWS, "UTF-8");
	reads_as("\xef\xbb\xbf" JAPANESE, "UTF-8", NULL, JAPANESE_ROWS, "UTF-8");
	assert_true(csv_reader_has_bom(reader));
	reads_as(JAPANESE, "UTF-16LE", NULL, JAPANESE_ROWS, "UTF-16LE");
	reads_as(JAPANESE, "UTF-16BE", NULL, JAPANESE_ROWS, "UTF-16BE");
	reads_as("\xef\xbb\xbf" JAPANESE, "UTF-16LE", NULL, JAPANESE_ROWS, "UTF-16LE");
	reads_as("\xef\xbb\xbf" JAPANESE, "UTF-16BE", NULL, JAPANESE_ROWS, "UTF-16BE");
	reads_as(JAPANESE, "CP932", NULL, JAPANESE_ROWS, "Shift_JIS");
	reads_as(JAPANESE, "EUC-JP-MS", NULL, JAPANESE_ROWS, "EUC-JP");
	reads_as("氏名,メール\n山田,a@b.example\n", "ISO-2022-JP", NULL,
		"1:氏名|メール\n2:山田|a@b.example\n", "ISO-2022-JP");
	reads_as(JAPANESE, "CP932", "shift-jis", JAPANESE_ROWS, "Shift_JIS");
	reads_as(JAPANESE, "EUC-JP-MS", "eucjp", JAPANESE_ROWS, "EUC-JP");
	reads_as(JAPANESE, "UTF-16BE", "utf-16be", JAPANESE_ROWS, "UTF-16BE");
}

static void japanese__little_of_it_is_enough(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"email,name\na@b.example,林\n",
		"email,name\na@b.example,ﾔﾏﾀﾞ ﾀﾛｳ\n",
		"email,city\na@b.example,大阪\n",
		"email,name\na@b.example,﨑\nb@b.example,伊藤\n",
		"email,note\na@b.example,はい\n",
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		char expected[200];
		snprintf(expected, sizeof expected, "%s", dump(str_from(texts[i]), NULL));
		reads_as(texts[i], "CP932", NULL, expected, "Shift_JIS");
		reads_as(texts[i], "EUC-JP-MS", NULL, expected, "EUC-JP");
	}
}

static void iso_2022_jp__with_vendor_characters(void **state)
{
	(void)state;
	/* NEC row 13 and the escapes of half-width kana, which iconv's own converter refuses. */
	assert_string_equal(dump(STR("a,b\n\x1b$B-!-j\x1b(B,\x1b(I6E\x1b(B\n"), NULL), "1:a|b\n2:①㈱|ｶﾅ\n");
	assert_string_equal(dump(STR("a,b\n\x1b$B;3\x1b(J,x\n\x1b(Zx,y\n"), NULL),
		"1:a|b\n2:山|x\n3!bytes that are not ISO-2022-JP text\n");
}

static void western__is_windows_1252(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"email,name\na@b.example,Müller\n",
		"email,name\na@b.example,José\nb@b.example,Zoë\n",
		"email,name\na@b.example,O’Brien\n",
		"email;name\na@b.example;Grün & Söhne\nb@b.example;Bäcker\n",
		"email,note\na@b.example,costs 5 €\n",
		"email,name\na@b.example,Ærøskøbing Åse\n",
		"email,name\na@b.example,“Ann” – O’Neil\n",
		"email,name\na@b.example,François Lefèvre\nb@b.example,Hélène Forêt\n",
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		char expected[200];
		snprintf(expected, sizeof expected, "%s", dump(str_from(texts[i]), NULL));
		reads_as(texts[i], "CP1252", NULL, expected, "Windows-1252");
	}
	reads_as("email,name\na@b.example,Müller\n", "CP1252", "latin1",
		"1:email|name\n2:a@b.example|Müller\n", "Windows-1252");
}

static void other_charsets__by_name_or_from_much_text(void **state)
{
	(void)state;
	reads_as("email,name\na@b.example,Łódź\n", "CP1250", "windows-1250",
		"1:email|name\n2:a@b.example|Łódź\n", "windows-1250");
	struct csv_options o = {.encoding = "klingon"};
	csv_reader_close(&reader);
	assert_int_equal(csv_reader_open_memory(&reader, STR("a\n"), &o, &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
	assert_string_equal(err.why, "\"klingon\" is not a charset");
}

static void charset__is_guessed_where_ascii_ends(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(8 << 20), want = BUF_INIT(8 << 20);
	buf_puts(&b, "email,name\n");
	buf_puts(&want, "1:email|name\n");
	for (int i = 2; i < 100000; i++) {
		buf_printf(&b, "user%d@b.example,Ann\n", i);
		buf_printf(&want, "%d:user%d@b.example|Ann\n", i, i);
	}
	buf_puts(&b, "last@b.example,\x8e\x52\x93\x63\n"); /* 山田 in Shift_JIS */
	buf_puts(&want, "100000:last@b.example|山田\n");
	char *got = dump(buf_get(&b), NULL);
	size_t n = strlen(got);
	assert_string_equal(got + n - 100, want.p + n - 100);
	assert_memory_equal(got, want.p, n);
	assert_string_equal(csv_reader_encoding(reader), "Shift_JIS");
	buf_release(&b);
	buf_release(&want);
}

/* One name that was pasted in from elsewhere must not spell all others wrong. */
static void damaged_utf8__stays_utf8(void **state)
{
	(void)state;
	static const char *const names[] = {"Müller 京都", "山田太郎", "Zoë"};
	for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
		struct buf b = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);
		buf_puts(&b, "email,name\n");
		buf_puts(&want, "1:email|name\n");
		for (int i = 2; i < 500; i++) {
			buf_printf(&b, "u%d@b.example,%s\n", i, i == 250 ? "M\xfcller" : names[k]);
			if (i == 250)
				buf_puts(&want, "250!bytes that are not UTF-8 text\n");
			else
				buf_printf(&want, "%d:u%d@b.example|%s\n", i, i, names[k]);
		}
		assert_string_equal(dump(buf_get(&b), NULL), want.p);
		assert_string_equal(csv_reader_encoding(reader), "UTF-8");
		buf_release(&b);
		buf_release(&want);
	}
}

static void split_characters__at_every_block_border(void **state)
{
	(void)state;
	static const char *const charsets[] = {"CP932", "EUC-JP-MS", "UTF-16LE", "UTF-8"};
	struct buf b = BUF_INIT(32 << 20), want = BUF_INIT(32 << 20);
	buf_puts(&b, "email,氏名\n");
	for (int i = 0; i < 40000; i++)
		buf_printf(&b, "u%d@b.example,%.*s山田ァ太郎\n", i, i % 7, "xxxxxxx");
	buf_puts(&want, dump(buf_get(&b), NULL));
	assert_null(strchr(want.p, '!'));
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(dump(convert(b.p, charsets[i]), NULL), want.p);
	buf_release(&b);
	buf_release(&want);
}

static void bad_bytes__refuse_the_row_only(void **state)
{
	(void)state;
	assert_string_equal(dump(STR("a,b\n1,\xe5\xb1\xb1\n2,\xff\n3,\xe7\x94\xb0\n"), "utf-8"),
		"1:a|b\n2:1|山\n3!bytes that are not UTF-8 text\n4:3|田\n");
	assert_string_equal(dump(STR("a,b\n1,\x8e\x52\n2,\x81\xad\n3,x\n"), "sjis"),
		"1:a|b\n2:1|山\n3!bytes that are not Shift_JIS text\n4:3|x\n");
	assert_string_equal(dump(STR("a,b\n1,x\0y\n2,z\n"), NULL), "1:a|b\n2!NUL byte inside\n3:2|z\n");
	assert_string_equal(dump(STR("a,b\n\"x\0\",y\n2,z\n"), NULL), "1:a|b\n2!NUL byte inside\n3:2|z\n");
	assert_string_equal(dump(STR("a,b\n1,\x8e"), "sjis"), "1:a|b\n2!bytes that are not Shift_JIS text\n");
}

static void too_much__refuses_the_row_only(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(16 << 20);
	buf_puts(&b, "a,b\n1,");
	for (int i = 0; i < 3 << 20; i++)
		buf_putc(&b, 'x');
	buf_puts(&b, "\n\"2\",\"");
	for (int i = 0; i < 2 << 20; i++)
		buf_putc(&b, i % 100 == 0 ? '\n' : 'x');
	buf_puts(&b, "\"\"\"\r\n3,z\n");
	for (int i = 0; i < 2500; i++)
		buf_puts(&b, "x,");
	buf_puts(&b, "\n4,z\n");
	for (int i = 0; i < 2500; i++)
		buf_puts(&b, "\"x\",");
	buf_puts(&b, "\n5,z\n");
	assert_string_equal(dump(buf_get(&b), NULL),
		"1:a|b\n2!longer than 1 MiB\n3!longer than 1 MiB\n20976:3|z\n"
		"20977!more than 2,000 columns\n20978:4|z\n20979!more than 2,000 columns\n20980:5|z\n");
	open_str(buf_get(&b), NULL);
	csv_reader_next(reader, &row, &err);
	csv_reader_next(reader, &row, &err);
	assert_int_equal(row.raw.n, 1000);
	assert_true(str_starts(row.raw, STR("1,xxx")));
	buf_release(&b);
}

static void text_behind_a_quote__costs_its_own_line_only(void **state)
{
	(void)state;
	rows("a,b\n\"x\" y,1\n2,3\n\"4\",\"5\"\n", "1:a|b\n2!text behind a closing quote (inside quotes a "
						   "quote is written twice)\n3:2|3\n4:4|5\n");
	rows("a,b\n\"say \"\"hi\"\"\" ,\"two\nlines\"\n5\" disk,\"\"\n",
		"1:a|b\n2:say \"hi\"|two\nlines\n4:5\" disk|\n");
	rows("a,b\n1,\"two\nlines\" x\n2,3\n",
		"1:a|b\n2!text behind a closing quote (inside quotes a quote is written twice)\n4:2|3\n");
}

static void unclosed_quote__is_an_error_with_its_line(void **state)
{
	(void)state;
	rows("a,b\n1,2\n3,\"x\n4,5\n",
		"1:a|b\n2:1|2\nerror:the quote that opens in the row of line 3 is never closed");
	assert_int_equal(err.code, ERR_DATA);
	assert_int_equal(err.line, 3);
	struct buf b = BUF_INIT(64 << 20);
	buf_puts(&b, "a,b\n1,\"");
	for (int i = 0; i < 400000; i++)
		buf_puts(&b, "some line of a file that goes on and on, and has no quote\n");
	assert_string_equal(dump(buf_get(&b), NULL),
		"1:a|b\nerror:the quote that opens in the row of line 2 is never closed");
	buf_release(&b);
}

#define B(literal)                                                                                           \
	{                                                                                                    \
		literal, sizeof(literal) - 1                                                                 \
	}

static void other_formats__are_named_with_a_way_out(void **state)
{
	(void)state;
	static const struct {
		struct str bytes;
		const char *why;
	} files[] = {
		{B("PK\003\004\024\0\006\0xl/workbook.xml"),
			"this is an Excel workbook (.xlsx), not a CSV file"},
		{B("PK\003\004mimetypeapplication/vnd.oasis.opendocument.spreadsheet"),
			"this is an OpenDocument spreadsheet (.ods), not a CSV file"},
		{B("PK\003\004zzzz"), "this is a zip archive, not a CSV file"},
		{B("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
			"this is an old Excel workbook (.xls), not a CSV file"},
		{B("%PDF-1.7\n"), "this is a PDF document, not a CSV file"},
		{B("\xef\xbb\xbf \n<!DOCTYPE html>"), "this is an HTML page, not a CSV file"},
		{B("<table><tr>"), "this is an HTML page, not a CSV file"},
		{B("[{\"email\":1}]"), "this is JSON, not a CSV file"},
		{B("BZh91AY"), "this is a compressed file of a kind that is not read here, not a CSV file"},
	};
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		assert_null(open_str(files[i].bytes, NULL));
		assert_int_equal(err.code, ERR_DATA);
		assert_string_equal(err.why, files[i].why);
		assert_true(err.remedy[0] != '\0');
	}
	char *html = dump(convert("<html><body>", "UTF-16LE"), NULL);
	assert_string_equal(html, "error:this is an HTML page, not a CSV file");
}

static struct str gzipped(const char *text, struct buf *out)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	size_t mark = out->len;
	assert_true(buf_reserve(out, deflateBound(&z, strlen(text)) + 64));
	z.next_in = (unsigned char *)text;
	z.avail_in = (unsigned)strlen(text);
	z.next_out = (unsigned char *)out->p + mark;
	z.avail_out = (unsigned)(out->cap - mark);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len = out->cap - z.avail_out;
	deflateEnd(&z);
	return buf_get(out);
}

static void gzip__is_taken_off(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(1 << 20);
	gzipped("a,b\n1,", &b);
	struct str two = gzipped("2\n3,4\n", &b); /* members one behind the other */
	assert_string_equal(dump(two, NULL), "1:a|b\n2:1|2\n3:3|4\n");
	assert_string_equal(dump(str_n(two.p, two.n - 9), NULL), "error:the gzip file is cut off");
	b.p[14] ^= 0x55;
	assert_non_null(strstr(dump(two, NULL), "error:the gzip"));
	buf_release(&b);
}

static void gzip_bomb__only_streams(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(64 << 20), text = BUF_INIT(8 << 20);
	for (int i = 0; i < 100000; i++)
		buf_puts(&text, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	for (int i = 0; i < 20; i++)
		gzipped(text.p, &b);
	buf_release(&text);
	struct rusage before, after;
	getrusage(RUSAGE_SELF, &before);
	assert_string_equal(dump(buf_get(&b), NULL), "1!longer than 1 MiB\n");
	getrusage(RUSAGE_SELF, &after);
	assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 64 << 10);
	buf_release(&b);
}

static void file__missing_or_folder(void **state)
{
	(void)state;
	struct csv_options o = {0};
	csv_reader_close(&reader);
	assert_int_equal(csv_reader_open(&reader, "/nonexistent/x.csv", &o, &err), -1);
	assert_int_equal(err.code, ERR_NOINPUT);
	assert_int_equal(csv_reader_open(&reader, "/", &o, &err), -1);
	assert_string_equal(err.why, "/ is a folder");
}

static void stop__ends_the_reading(void **state)
{
	(void)state;
	atomic_bool stop = false;
	struct csv_options o = {.stop = &stop};
	int fds[2];
	char path[64];
	csv_reader_close(&reader);
	assert_int_equal(pipe(fds), 0);
	snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
	stop = true;
	assert_int_equal(csv_reader_open(&reader, path, &o, &err), -1);
	assert_int_equal(err.code, ERR_AGAIN);
	close(fds[0]);
	close(fds[1]);
}

/* Rows with quotes go through libcsv, rows without are split in place: both must agree. */
static void plain_and_quoted_rows__are_split_alike(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"a,b,c", " a ,\tb , c", ",,x,", "a b\tc,d", "a,b ", "\ta\t,b", "a;b,c", "x,\xe5\xb1\xb1 "};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		char plain[100], quoted[100], want[200];
		snprintf(plain, sizeof plain, "h,h,h\n%s,z\n", texts[i]);
		snprintf(quoted, sizeof quoted, "h,h,h\n%s,\"z\"\n", texts[i]);
		snprintf(want, sizeof want, "%s", dump(str_from(plain), NULL));
		assert_string_equal(dump(str_from(quoted), NULL), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows__quotes_line_ends_and_blanks),
		cmocka_unit_test(delimiter__is_found_by_consistency),
		cmocka_unit_test(raw__is_the_row_as_it_stands),
		cmocka_unit_test(japanese__in_every_charset),
		cmocka_unit_test(japanese__little_of_it_is_enough),
		cmocka_unit_test(iso_2022_jp__with_vendor_characters),
		cmocka_unit_test(western__is_windows_1252),
		cmocka_unit_test(other_charsets__by_name_or_from_much_text),
		cmocka_unit_test(charset__is_guessed_where_ascii_ends),
		cmocka_unit_test(damaged_utf8__stays_utf8),
		cmocka_unit_test(split_characters__at_every_block_border),
		cmocka_unit_test(bad_bytes__refuse_the_row_only),
		cmocka_unit_test(too_much__refuses_the_row_only),
		cmocka_unit_test(text_behind_a_quote__costs_its_own_line_only),
		cmocka_unit_test(unclosed_quote__is_an_error_with_its_line),
		cmocka_unit_test(other_formats__are_named_with_a_way_out),
		cmocka_unit_test(gzip__is_taken_off),
		cmocka_unit_test(gzip_bomb__only_streams),
		cmocka_unit_test(file__missing_or_folder),
		cmocka_unit_test(stop__ends_the_reading),
		cmocka_unit_test(plain_and_quoted_rows__are_split_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
