#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/base/file.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cli cli;
static char *got;
static size_t got_size;

static FILE *start(void)
{
	free(got);
	got = NULL;
	return open_memstream(&got, &got_size);
}

static void shows(FILE *f, const char *want)
{
	fclose(f);
	assert_string_equal(got, want);
	free(got);
	got = NULL;
}

static void numbers__for_people(void **state)
{
	(void)state;
	char b[TEXT_NUMBER];
	assert_string_equal(text_count(0, b), "0");
	assert_string_equal(text_count(999, b), "999");
	assert_string_equal(text_count(1234567, b), "1,234,567");
	assert_string_equal(text_count(-1000, b), "-1,000");
	assert_string_equal(text_count(INT64_MIN, b), "-9,223,372,036,854,775,808");
	assert_string_equal(text_percent(1, 8, b), "12.5 %");
	assert_string_equal(text_percent(1, 100000, b), "<0.1 %");
	assert_string_equal(text_percent(99999, 100000, b), ">99.9 %");
	assert_string_equal(text_percent(5, 5, b), "100.0 %");
	assert_string_equal(text_percent(0, 5, b), "0.0 %");
	assert_string_equal(text_percent(0, 0, b), "–");
	assert_string_equal(text_bytes(999, b), "999 bytes");
	assert_string_equal(text_bytes(95400000, b), "95.4 MB");
	assert_string_equal(text_bytes(INT64_MAX, b), "9.2 EB");
	assert_string_equal(
		text_time(clock_zone("Asia/Tokyo", NULL), 1796083200250, b), "2026-12-01 09:00:00 +09:00");
	assert_string_equal(text_time(NULL, 0, b), "–");
}

static void table__wide_characters_line_up(void **state)
{
	(void)state;
	static const struct column columns[] = {
		{.title = "name"}, {.title = "people", .right = true}, {.title = "note"}};
	FILE *f = start();
	struct table *t = table_new(&cli, f, columns, 3);
	table_str(t, STR("日本語"));
	table_count(t, 1234);
	table_str(t, STR("x\x1b[31m\ny"));
	assert_int_equal(table_row(t), 0);
	table_str(t, STR("a"));
	assert_int_equal(table_row(t), 0);
	assert_int_equal(table_end(&t), 0);
	assert_null(t);
	shows(f, "name    people  note\n"
		 "日本語   1,234  x\\x1b[31m\\x0ay\n"
		 "a\n");
}

static void table__empty__prints_nothing(void **state)
{
	(void)state;
	static const struct column columns[] = {{.title = "name"}};
	FILE *f = start();
	struct table *t = table_new(&cli, f, columns, 1);
	assert_int_equal(table_end(&t), 0);
	fflush(f);
	shows(f, "");
}

static void table__many_rows__stream_with_the_first_widths(void **state)
{
	(void)state;
	static const struct column columns[] = {{.title = "n", .right = true}, {.title = "t"}};
	FILE *f = start();
	struct table *t = table_new(&cli, f, columns, 2);
	for (int i = 1; i <= 10000; i++) {
		table_printf(t, "%d", i);
		table_str(t, STR("x"));
		assert_int_equal(table_row(t), 0);
	}
	table_end(&t);
	fflush(f);
	assert_non_null(strstr(got, "  n  t\n  1  x\n"));
	assert_non_null(strstr(got, "\n200  x\n201  x\n"));
	assert_non_null(strstr(got, "\n10000  x\n"));
	fclose(f);
}

static void csv__quotes_only_where_needed(void **state)
{
	(void)state;
	struct csv w;
	FILE *f = start();
	csv_begin(&w, f, false);
	csv_str(&w, STR("plain"));
	csv_str(&w, STR("a,b"));
	csv_str(&w, STR("say \"hi\""));
	csv_str(&w, STR("two\nlines"));
	csv_str(&w, STR("=1+1"));
	csv_str(&w, STR(" 日本 "));
	csv_int(&w, -5);
	csv_time(&w, 0);
	assert_int_equal(csv_row(&w), 0);
	csv_str(&w, STR("next"));
	csv_row(&w);
	shows(f, "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",=1+1,\" 日本 \",-5,\r\nnext\r\n");
}

static void csv__excel__runs_no_formula(void **state)
{
	(void)state;
	struct csv w;
	FILE *f = start();
	csv_begin(&w, f, true);
	static const char *const cells[] = {
		"=HYPERLINK(\"x\")", "+81 3", "-5.5", "-cmd|x", "@SUM", "\tx", "007", "-", "\uff1d1+1"};
	for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
		csv_str(&w, str_from(cells[i]));
	csv_row(&w);
	shows(f, "\xef\xbb\xbf\"'=HYPERLINK(\"\"x\"\")\",'+81 "
		 "3,-5.5,'-cmd|x,'@SUM,'\tx,007,'-,'\uff1d1+1\r\n");
}

static void json__malformed_text__is_still_a_document(void **state)
{
	(void)state;
	json_t *o = json_object();
	assert_int_equal(json_put(o, "text", json_str(STR("a\xff\"b\n"))), 0);
	assert_int_equal(json_put(o, "at", json_time(1796083200000)), 0);
	assert_int_equal(json_put(o, "never", json_time(0)), 0);
	assert_int_equal(json_put(o, "none", json_str((struct str){NULL, 0})), 0);
	char *text = json_dumps(o, JSON_COMPACT);
	assert_string_equal(text, "{\"text\":\"a\xef\xbf\xbd\\\"b\\n\",\"at\":\"2026-12-01T00:00:00.000Z\","
				  "\"never\":null,\"none\":\"\"}");
	free(text);
	json_decref(o);
	assert_int_equal(json_document(NULL), -1);
}

static void safe__several_at_once(void **state)
{
	(void)state;
	const char *a = out_safe(STR("\x1b]0;x")), *b = out_safe(STR("ok"));
	assert_string_equal(a, "\\x1b]0;x");
	assert_string_equal(b, "ok");
}

static void file__appears_only_when_whole(void **state)
{
	(void)state;
	char dir[] = "/tmp/test_output.XXXXXX", path[64];
	struct output o;
	struct err e;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/report.csv", dir);
	assert_int_equal(output_open(&o, path, &e), 0);
	fputs("half", o.f);
	fflush(o.f);
	assert_false(file_exists(path));
	output_abandon(&o);
	assert_false(file_exists(path));
	assert_int_equal(output_open(&o, path, &e), 0);
	fputs("whole", o.f);
	assert_int_equal(output_commit(&o, &e), 0);
	output_abandon(&o);
	struct buf b = BUF_INIT(100);
	assert_int_equal(file_read(path, &b, &e), 0);
	assert_string_equal(buf_cstr(&b), "whole");
	buf_release(&b);
	/* Nothing else was left behind. */
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(output_open(&o, path, &e), -1);
	assert_int_equal(e.code, ERR_CREATE);
	assert_int_equal(output_open(&o, "/dev/full", &e), 0);
	fputs("x", o.f);
	assert_int_equal(output_commit(&o, &e), -1);
	assert_int_equal(e.code, ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers__for_people),
		cmocka_unit_test(table__wide_characters_line_up),
		cmocka_unit_test(table__empty__prints_nothing),
		cmocka_unit_test(table__many_rows__stream_with_the_first_widths),
		cmocka_unit_test(csv__quotes_only_where_needed),
		cmocka_unit_test(csv__excel__runs_no_formula),
		cmocka_unit_test(json__malformed_text__is_still_a_document),
		cmocka_unit_test(safe__several_at_once),
		cmocka_unit_test(file__appears_only_when_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
