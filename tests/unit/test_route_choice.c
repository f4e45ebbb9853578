#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/route_choice.h"
#include "src/base/arena.h"
#include "src/base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct config *config;
static struct route_plan plan;
static struct err err;

static char dir[] = "/tmp/test_route_choice.XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? chdir(dir) : -1;
}

static void configure(const char *text)
{
	config_free(&config);
	err = (struct err){0};
	assert_int_equal(file_write("p.conf", str_from(text), 0600, NULL), 0);
	if (config_load("p.conf", &config, &err) != 0)
		fail_msg("%s", err.why);
}

static int teardown(void **state)
{
	(void)state;
	config_free(&config);
	return unlink("p.conf") | rmdir(dir);
}

static const char *plan_text(void)
{
	static char text[200];
	struct arena a;
	arena_init(&a, 256, 4096);
	snprintf(text, sizeof text, "%.*s", STR_ARG(route_plan_names(&plan, &a)));
	arena_release(&a);
	return text;
}

static const char *planned(const char *from)
{
	err = (struct err){0};
	return route_plan_for(&plan, config, str_from(from), &err) == 0 ? plan_text() : err.why;
}

static const char *named(const char *names)
{
	err = (struct err){0};
	return route_plan_named(&plan, config, str_from(names), &err) == 0 ? plan_text() : err.why;
}

/* "a=1 b=3" */
static const char *choice(const char *provider, const bool *usable)
{
	static char text[400];
	struct route_pick picks[ROUTES_MAX];
	size_t n = route_choice(&plan, str_from(provider), usable, picks), at = 0;
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s=%g", i > 0 ? " " : "",
			config->routes[picks[i].route].name, picks[i].weight);
	return text;
}

#define RELAY(name) "[route " name "]\nhost = 127.0.0.1\n"

static void the_senders_domain__decides_first(void **state)
{
	(void)state;
	configure(RELAY("all") RELAY("b1") "for = books.example\n" RELAY(
		"b2") "for = Books.Example, w.example\n" RELAY("g") "for = google\n");
	assert_string_equal(planned("books.example"), "b1,b2");
	assert_false(plan.by_destination);
	assert_string_equal(planned("w.example"), "b2");
	assert_string_equal(planned("other.example"), "all,g");
	assert_true(plan.by_destination);
	assert_string_equal(planned(""), "all,g");
	assert_string_equal(planned("sub.books.example"), "all,g");
}

static void the_provider__picks_among_them(void **state)
{
	(void)state;
	configure(RELAY("all") RELAY("g") "for = google, yahoo\nweight = 3\n" RELAY("g2") "for = google\n");
	assert_string_equal(planned("x.example"), "all,g,g2");
	assert_string_equal(choice("google", NULL), "g=3 g2=1");
	assert_string_equal(choice("yahoo", NULL), "g=3");
	assert_string_equal(choice("microsoft", NULL), "all=1");
	assert_string_equal(choice("", NULL), "all=1");
	bool usable[] = {true, false, true};
	assert_string_equal(choice("google", usable), "g2=1");
	assert_string_equal(choice("yahoo", usable), "");
}

static void weight_0__is_a_reserve(void **state)
{
	(void)state;
	configure(RELAY("a") RELAY("b") "weight = 2.5\n" RELAY("c") "weight = 0\n");
	assert_string_equal(planned("x.example"), "a,b,c");
	assert_true(plan.weighted);
	assert_string_equal(choice("google", NULL), "a=1 b=2.5");
	bool usable[] = {false, true, true};
	assert_string_equal(choice("", usable), "b=2.5");
	usable[1] = false;
	assert_string_equal(choice("", usable), "c=1");
	usable[2] = false;
	assert_string_equal(choice("", usable), "");
}

static void a_direct_route__goes_by_destination(void **state)
{
	(void)state;
	configure(RELAY("a") "[route out]\nkind = direct\nfor = docomo\n");
	assert_string_equal(planned("x.example"), "a,out");
	assert_true(plan.by_destination);
	assert_false(plan.weighted);
	assert_string_equal(choice("docomo", NULL), "out=1");
	assert_string_equal(named("a"), "a");
	assert_false(plan.by_destination);
	assert_string_equal(named("out"), "out");
	assert_true(plan.by_destination);
	/* What a person names takes everything. */
	assert_string_equal(choice("google", NULL), "out=1");
}

static void what_cannot_be__is_told(void **state)
{
	(void)state;
	configure("database = x.db\n");
	assert_non_null(strstr(planned("x.example"), "no route by which mail could leave"));
	assert_int_equal(err.code, ERR_CONFIG);
	configure(RELAY("b") "for = books.example\n");
	assert_string_equal(planned("x.example"), "no route serves mail from x.example");
	assert_non_null(strstr(planned(""), "the template chooses"));
	configure(RELAY("g") "for = google\n");
	assert_non_null(strstr(planned("x.example"), "recipients of other providers"));
	assert_int_equal(err.line, 1);
	assert_string_equal(named("g"), "g");
	assert_string_equal(named("h"), "there is no route `h` in the configuration");
	assert_int_equal(err.code, ERR_NOINPUT);
	configure(RELAY("a") RELAY("g") "for = gogle\n");
	assert_non_null(strstr(planned("x.example"), "neither a domain nor a provider"));
	assert_string_equal(err.remedy, "did you mean \"google\"?");
}

static void a_plan__outlives_changes_that_leave_it_whole(void **state)
{
	(void)state;
	configure(RELAY("a") RELAY("b") RELAY("g") "for = google\n");
	assert_string_equal(named("a, b ,g"), "a,b,g");
	assert_string_equal(named("gone,a"), "a");
	assert_true(str_is(route_plan_missing(config, STR("a,gone,away")), "gone"));
	assert_int_equal(route_plan_missing(config, STR("g, a")).n, 0);
	assert_true(route_plan_missing(config, STR("a,,b")).n > 0);
	assert_string_equal(named("g,a,gone"), "a,g");
	assert_string_equal(choice("yahoo", NULL), "a=1");
	assert_non_null(strstr(named("g,gone"), "`gone`"));
	assert_int_equal(err.code, ERR_CONFIG);
	assert_non_null(strstr(named("gone,away"), "no route"));
	named("");
	assert_int_equal(err.code, ERR_NOINPUT);
}

static void without_some__are_all_still_served(void **state)
{
	(void)state;
	configure(RELAY("a") RELAY("b") "for = google\n" RELAY("c") RELAY("d") "for = google, yahoo\n");
	assert_string_equal(planned("x.example"), "a,b,c,d");
	assert_true(route_plan_covers(&plan, (const bool[]){false, false, false, false}));
	assert_true(route_plan_covers(&plan, (const bool[]){true, true, false, false}));
	assert_false(route_plan_covers(&plan, (const bool[]){true, false, true, false}));
	assert_false(route_plan_covers(&plan, (const bool[]){false, false, false, true}));
	assert_string_equal(named("b"), "b");
	assert_true(route_plan_covers(&plan, (const bool[]){false}));
	assert_false(route_plan_covers(&plan, (const bool[]){true}));
}

static void deal__keeps_the_shares(void **state)
{
	(void)state;
	const struct route_pick picks[] = {{4, 1}, {7, 3}, {9, 0.5}};
	int got[10] = {0};
	for (uint64_t i = 0; i < 90000; i++)
		got[route_deal(picks, 3, 5ull << 32 | i)]++;
	assert_true(fabs(got[4] - 20000.) < 600);
	assert_true(fabs(got[7] - 60000.) < 600);
	assert_true(fabs(got[9] - 10000.) < 600);
	assert_int_equal(route_deal(picks, 1, 77), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_senders_domain__decides_first),
		cmocka_unit_test(the_provider__picks_among_them),
		cmocka_unit_test(weight_0__is_a_reserve),
		cmocka_unit_test(a_direct_route__goes_by_destination),
		cmocka_unit_test(what_cannot_be__is_told),
		cmocka_unit_test(a_plan__outlives_changes_that_leave_it_whole),
		cmocka_unit_test(without_some__are_all_still_served),
		cmocka_unit_test(deal__keeps_the_shares),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
