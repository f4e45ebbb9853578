#include "tests/unit/arena_fixture.h"

#include "lists/segment.h"
#include "src/base/nearest.h"
#include "src/db/filter.h"
#include "src/db/lists.h"

#include <stdio.h>
#include <stdlib.h>

static struct err err;
static struct filter *tree;

/* A dictionary in place of the store's. */
static const char *const names[] = {"city", "age", "first_name", "氏名", "in"};
#define DICTIONARY ((struct store *)&arena)

int64_t store_attr_id(struct store *s, struct str name, bool create, struct err *e)
{
	(void)s, (void)e;
	assert_false(create);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (str_is(name, names[i]))
			return (int64_t)i + 1;
	return 0;
}

int store_attrs_offer(struct store *s, struct nearest *near, struct err *e)
{
	(void)s, (void)e;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		nearest_offer(near, str_from(names[i]));
	return 0;
}

static int parse(const char *text)
{
	arena_reset(&arena);
	err = (struct err){0};
	return segment_parse(text, DICTIONARY, clock_zone("Asia/Tokyo", NULL), &arena, &tree, &err);
}

static void show_value(const struct filter_value *v, struct buf *b)
{
	char z[CLOCK_TEXT];
	if (v->kind == VALUE_TEXT)
		buf_printf(b, "'%.*s'", STR_ARG(v->text));
	else if (v->kind == VALUE_NUMBER)
		buf_printf(b, "%g", v->number);
	else
		buf_puts(b, clock_utc(v->date, z));
}

static void show(const struct filter *f, struct buf *b)
{
	static const char *const ops[] = {
		"and",
		"or",
		"not",
		"=",
		"!=",
		"<",
		"<=",
		">",
		">=",
		"like",
		"in",
		"empty",
	};
	static const char *const kinds[] = {"", "email", "$domain", "$source", "$added", "$last_sent"};
	buf_printf(b, "(%s", ops[f->op]);
	if (f->op <= FILTER_NOT) {
		buf_putc(b, ' ');
		show(f->a, b);
		if (f->b != NULL) {
			buf_putc(b, ' ');
			show(f->b, b);
		}
	} else if (f->field == FIELD_ATTR) {
		buf_printf(b, " #%u", f->attr);
	} else {
		buf_printf(b, " %s", kinds[f->field]);
	}
	if (f->op > FILTER_NOT && f->op < FILTER_IN) {
		buf_putc(b, ' ');
		show_value(&f->value, b);
	}
	for (size_t i = 0; i < f->nvalues; i++) {
		buf_putc(b, ' ');
		show_value(&f->values[i], b);
	}
	buf_putc(b, ')');
}

static void reads(const char *text, const char *expected)
{
	struct buf b = BUF_INIT(1 << 20);
	if (parse(text) != 0)
		fail_msg("%s: %s", text, err.why);
	show(tree, &b);
	assert_string_equal(buf_cstr(&b), expected);
	buf_release(&b);
}

static void refuses(const char *text, const char *why, const char *shown)
{
	if (parse(text) == 0)
		fail_msg("%s was read", text);
	assert_int_equal(err.code, ERR_USAGE);
	assert_string_equal(err.why, why);
	if (shown != NULL)
		assert_string_equal(err.remedy, shown);
}

static void literals__decide_the_comparison(void **state)
{
	(void)state;
	reads("city = \"007\"", "(= #1 '007')");
	reads("city = 7", "(= #1 7)");
	reads("age>=-2.50", "(>= #2 -2.5)");
	reads("age < date \"2026-01-01\"", "(< #2 2025-12-31T15:00:00.000Z)");
	reads("age < DATE \"2026-01-01T09:00+00:00\"", "(< #2 2026-01-01T09:00:00.000Z)");
	reads("city = 'it''s'", "(= #1 'it's')");
	reads("city = \"say \"\"hi\"\"\"", "(= #1 'say \"hi\"')");
	reads("city = \"\"", "(= #1 '')");
}

static void names__are_attributes_or_our_own(void **state)
{
	(void)state;
	reads("[氏名] like \"山%\"", "(like #4 '山%')");
	reads("氏名 is empty", "(empty #4)");
	reads("[First Name] = \"A\"", "(= #3 'A')");
	reads("[in] = 1", "(= #5 1)");
	reads("EMAIL = \"Ann@Example.COM\"", "(= email 'ann@example.com')");
	reads("email like \"%@Docomo.ne.jp\"", "(like email '%@Docomo.ne.jp')");
	reads("$domain = \"Bücher.example\"", "(= $domain 'xn--bcher-kva.example')");
	reads("$source != \"fair\"", "(!= $source 'fair')");
	reads("$added >= date \"2026-01-01T00:00Z\"", "(>= $added 2026-01-01T00:00:00.000Z)");
	reads("$last_sent is not empty", "(not (empty $last_sent))");
}

static void precedence__or_and_not(void **state)
{
	(void)state;
	reads("city = 1 or city = 2 and city = 3", "(or (= #1 1) (and (= #1 2) (= #1 3)))");
	reads("(city = 1 or city = 2) and not city = 3", "(and (or (= #1 1) (= #1 2)) (not (= #1 3)))");
	reads("not not city = 1", "(= #1 1)");
	reads("not (city = 1 and age = 2)", "(not (and (= #1 1) (= #2 2)))");
	reads("city = 1 AND Not age IN (1, \"x\")", "(and (= #1 1) (not (in #2 1 'x')))");
	reads("city not in ('a','b') and city not like 'x%'",
		"(and (not (in #1 'a' 'b')) (not (like #1 'x%')))");
	reads("city = 1 or city = 2 or city = 3 or city = 4",
		"(or (or (= #1 1) (= #1 2)) (or (= #1 3) (= #1 4)))");
}

static void faults__name_the_column_and_point(void **state)
{
	(void)state;
	refuses("ctiy = \"Kyoto\"", "column 1: no contact has an attribute \"ctiy\"; did you mean city?",
		"ctiy = \"Kyoto\"\n^");
	refuses("city = \"a\" and frist_name = \"b\"",
		"column 16: no contact has an attribute \"frist_name\"; did you mean first_name?",
		"city = \"a\" and frist_name = \"b\"\n               ^");
	refuses("氏名 = x", "column 6: a value is missing; text is written in quotes: \"x\"",
		"氏名 = x\n       ^");
	refuses("zzzzzzzz = 1", "column 1: no contact has an attribute \"zzzzzzzz\"", NULL);
	refuses("", "column 1: the expression is empty", "\n^");
	refuses("city",
		"column 5: a comparison is missing here: = != < <= > >= in like is empty; like \"%tea%\" "
		"finds text with that in it",
		"city\n    ^");
	refuses("city = \"Kyoto", "column 8: this quote is not closed", NULL);
	refuses("city = ", "column 8: a value is missing here: \"text\", a number or date \"2026-01-31\"",
		NULL);
	refuses("(city = 1", "column 1: this ( has no )", NULL);
	refuses("city = 1)", "column 9: this ) has no (", NULL);
	refuses("city = 1 city = 2", "column 10: and or or is missing here", NULL);
	refuses("city = 1 and", "column 13: a name is missing here", NULL);
	refuses("\"city\" = 1", "column 1: a name is missing here; names stand without quotes, or in [ ]",
		NULL);
	refuses("$adddd = 1",
		"column 1: there is no \"$adddd\"; there are $added, $source, $domain, $last_sent and email",
		NULL);
	refuses("$added > \"2026-01-01\"",
		"column 10: this is compared with a date: \"$added\"; write date \"2026-01-31\"", NULL);
	refuses("$added like \"2026%\"", "column 13: a time has no pattern; compare it with < and >", NULL);
	refuses("age > date \"yesterday\"",
		"column 12: this is not a date: \"yesterday\"; write it as 2026-01-31 or "
		"2026-01-31T09:00+09:00",
		NULL);
	refuses("age > date 5", "column 12: after date comes a text: date \"2026-01-31\"", NULL);
	refuses("city in \"a\"", "column 9: after in comes a list: in (\"a\", \"b\")", NULL);
	refuses("city in (1 2)", "column 12: this list needs a comma or a ) here", NULL);
	refuses("city in ()", "column 10: a value is missing here: \"text\", a number or date \"2026-01-31\"",
		NULL);
	refuses("city is 1", "column 9: after is comes empty or not empty", NULL);
	refuses("city not 1", "column 10: after this not comes in or like", NULL);
	refuses("city like 1", "column 11: after like comes a text, with % for anything: like \"a%\"", NULL);
	refuses("city = 1.2.3", "column 8: this is not a number", NULL);
	refuses("city = 12ab", "column 8: a number ends here in letters; text is written in quotes", NULL);
	refuses("city ; 1", "column 6: this character means nothing here: \";\"", NULL);
	refuses("[city = 1", "column 1: this [ has no ]", NULL);
	refuses("city = 1; drop table contact", "column 9: this character means nothing here: \";\"", NULL);
}

static void long_expression__is_shown_around_the_fault(void **state)
{
	(void)state;
	char text[2000] = "";
	for (int i = 0; i < 100; i++)
		strcat(text, "city = 1 and ");
	strcat(text, "x = 1 or city = 2 or city = 3 or city = 4 or city = 5");
	assert_int_equal(parse(text), -1);
	const char *caret = strchr(err.remedy, '\n');
	assert_non_null(caret);
	assert_string_equal(caret, "\n                                                  ^");
	assert_memory_equal(caret - 25, "x = 1 or city = 2 or city", 25);
}

static void hostile_sizes__are_refused(void **state)
{
	(void)state;
	size_t n = 200000;
	char *text = malloc(n + 1);
	assert_non_null(text);
	memset(text, '(', n);
	text[n] = '\0';
	assert_int_equal(parse(text), -1);
	text[1000] = '\0';
	refuses(text, "column 51: this is nested too deeply", NULL);
	for (size_t i = 0; i < 60000; i += 4)
		memcpy(text + i, "not ", 4);
	strcpy(text + 60000, "city = 1");
	reads(text, "(= #1 1)");
	char *end = text;
	for (int i = 0; i < 2001; i++)
		end += sprintf(end, "age=1%s", i < 2000 ? " or " : "");
	assert_int_equal(parse(text), -1);
	refuses("city = \"\xff\"", "not valid UTF-8", NULL);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals__decide_the_comparison),
		cmocka_unit_test(names__are_attributes_or_our_own),
		cmocka_unit_test(precedence__or_and_not),
		cmocka_unit_test(faults__name_the_column_and_point),
		cmocka_unit_test(long_expression__is_shown_around_the_fault),
		cmocka_unit_test(hostile_sizes__are_refused),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
