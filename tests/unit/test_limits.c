#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/shape/limits.h"
#include "lists/provider.h"

/* The shipped shaping file, and a user's sections laid over it. */

static struct config *config;
static struct limits_book *book;
static struct err err;

static void load(const char *text)
{
	limits_free(&book);
	config_free(&config);
	assert_int_equal(config_parse(str_from(text), "test.conf", &config, &err), 0);
	if (limits_load(&book, config, &err) != 0)
		fail_msg("%s: %s", err.what, err.why);
}

static struct limits_found find(const char *domain, const char *mx)
{
	struct limits_found f;
	const char *provider = limits_provider(NULL, str_from(domain), &mx, mx != NULL);
	limits_find(book, str_from(domain), provider, &mx, mx != NULL, &f);
	return f;
}

static int cleanup(void **state)
{
	(void)state;
	limits_free(&book);
	config_free(&config);
	return 0;
}

static void shipped__every_provider_is_known_and_every_limit_set(void **state)
{
	(void)state;
	load("");
	struct limits l = find("example.com", "mx.example.com").limits;
	assert_true(
		l.connections > 0 && l.messages_per_connection > 0 && l.connection_rate > 0 && l.idle > 0);
	assert_true(l.suspend > 0 && l.suspend_most >= l.suspend && l.recover > 0 && l.down_most > 0);
	assert_int_equal(l.start, 2);
	assert_false(l.tls_required || l.reset_is_congestion || l.relay);
	/* Nobody gets more than the default by accident. */
	for (size_t i = 0; provider_name(i) != NULL; i++) {
		struct limits_found f;
		limits_find(book, STR("example.com"), provider_name(i), NULL, 0, &f);
		assert_true(f.limits.connections <= l.connections);
	}
}

static void shipped__known_receivers(void **state)
{
	(void)state;
	load("");
	struct limits_found f = find("gmail.com", "gmail-smtp-in.l.google.com");
	assert_string_equal(f.group, "google");
	assert_int_equal(f.limits.connections, 5);
	assert_int_equal(f.limits.messages_per_connection, 50);
	assert_true(f.limits.tls_required && f.limits.suspend >= 10 * MINUTE);
	/* Another domain at the same operator shares its group, whatever its name. */
	assert_ptr_equal(find("books.example", "aspmx.l.google.com").group, f.group);
	f = find("docomo.ne.jp", "mfsmax.docomo.ne.jp");
	assert_string_equal(f.group, "docomo");
	assert_true(f.limits.reset_is_congestion);
	assert_true(f.limits.rate.per_second == 5);
	assert_string_equal(find("books.example", "books-example.mail.protection.outlook.com").group, "m365");
	assert_null(find("books.example", "eu-smtp-inbound-1.mimecast.com").group);
	assert_null(find("books.example", "mx.books.example").group);
	/* The hosts count, not the name: a consumer domain that has moved. */
	assert_string_equal(find("att.net", "mta5.am0.yahoodns.net").group, "yahoo");
	assert_string_equal(find("gmail.com", NULL).group, "google");
}

static void user__default_provider_hosts_domain(void **state)
{
	(void)state;
	load("[provider default]\nconnections = 30\nidle = 7s\n"
	     "[provider google]\nrate = 20/s\n"
	     "[provider l.google.com]\nconnections = 3\n"
	     "[provider google.com]\nconnections = 4\nrecover = 9m\n"
	     "[provider .Books.Example]\nmessages-per-connection = 7\n");
	struct limits_found f = find("shop.example", "aspmx.l.google.com");
	assert_int_equal(f.limits.connections, 3); /* the longest name of hosts counts last */
	assert_int_equal(f.limits.recover, 9 * MINUTE);
	assert_int_equal(f.limits.messages_per_connection, 50);
	assert_true(f.limits.rate.per_second == 20);
	assert_string_equal(f.group, "l.google.com");
	f = find("books.example", "aspmx.l.google.com");
	assert_int_equal(f.limits.messages_per_connection, 7);
	assert_int_equal(f.limits.connections, 3);
	assert_string_equal(f.group, "books.example");
	/* The same section for who lets these hosts take their mail. */
	f = find("other.example", "mx2.books.example");
	assert_string_equal(f.group, "books.example");
	assert_int_equal(f.limits.messages_per_connection, 7);
	assert_int_equal(f.limits.connections, 30);
	assert_int_equal(f.limits.idle, 7 * SECOND);
	assert_null(find("third.example", "mx.notbooks.example").group);
	/* Its limits, for each set of hosts by itself. */
	load("[provider google]\nrate = 20/s\neach-site = yes\n");
	f = find("shop.example", "aspmx.l.google.com");
	assert_null(f.group);
	assert_true(f.limits.rate.per_second == 20);
}

static void user__unknown_provider_is_an_error_with_its_place(void **state)
{
	(void)state;
	limits_free(&book);
	config_free(&config);
	assert_int_equal(
		config_parse(STR("\n[provider goggle]\nconnections = 1\n"), "test.conf", &config, &err), 0);
	assert_int_equal(limits_load(&book, config, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_int_equal(err.line, 2);
	assert_string_equal(err.file, "test.conf");
	assert_non_null(strstr(err.why, "\"google\""));
	assert_null(book);
}

static void user__bad_values_are_errors_with_their_place(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"[provider google]\nconnections = 0\n",
		"[provider google]\nconnection-rate = 5/h\n",
		"[provider google]\nconnection-rate = fast\n",
		"[provider google]\nrate = 5\n",
		"[provider google]\ntls = yes\n",
		"[provider google]\nreset = slow\n",
		"[provider google]\nsuspend = 0\n",
		"[provider google]\nsped = 1\n",
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct config *c;
		assert_int_equal(config_parse(str_from(bad[i]), "test.conf", &c, &err), -1);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_int_equal(err.line, 2);
	}
	struct config *c;
	assert_int_equal(config_parse(STR("[provider two words]\n"), "test.conf", &c, &err), -1);
	assert_int_equal(config_parse(STR("[provider a..b]\n"), "test.conf", &c, &err), -1);
}

static void relay__has_its_routes_own_limits(void **state)
{
	(void)state;
	struct config_route r = {.connections = 20, .messages_per_connection = 500, .rate = {14, 0, 50000}};
	struct limits l;
	limits_of_relay(&r, &l);
	assert_int_equal(l.connections, 20);
	assert_int_equal(l.start, 20);
	assert_int_equal(l.messages_per_connection, 500);
	assert_true(l.rate.per_second == 14 && l.relay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shipped__every_provider_is_known_and_every_limit_set),
		cmocka_unit_test(shipped__known_receivers),
		cmocka_unit_test(user__default_provider_hosts_domain),
		cmocka_unit_test(user__unknown_provider_is_an_error_with_its_place),
		cmocka_unit_test(user__bad_values_are_errors_with_their_place),
		cmocka_unit_test(relay__has_its_routes_own_limits),
	};
	return cmocka_run_group_tests(tests, NULL, cleanup);
}
