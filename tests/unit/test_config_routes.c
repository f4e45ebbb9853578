#include "tests/unit/config_fixture.h"

#include "src/config/presets.h"

static void every_preset__makes_a_route(void **state)
{
	(void)state;
	for (size_t i = 0; i < npresets; i++) {
		const struct preset *s = &presets[i];
		char text[300];
		snprintf(text, sizeof text,
			"[route a]\npreset = %s\n%suser = me@a.example\npassword-env = P\n", s->name,
			s->host == NULL ? "host = relay.example\n" : "");
		struct config *c = load(text);
		const struct config_route *r = &c->routes[0];
		assert_string_equal(r->host, s->host != NULL ? s->host : "relay.example");
		assert_true(s->host != NULL || s->host_like != NULL);
		assert_non_null(s->user_like);
		assert_int_equal(r->port, s->port);
		assert_int_equal(r->tls, s->tls);
		assert_int_equal(r->size, s->size);
		assert_int_equal(r->envelope, s->envelope);
		assert_true(r->connections > 0 && r->messages_per_connection > 0);
		assert_true(s->rate != NULL ||
			    (r->rate.per_second == 0 && r->rate.per_hour == 0 && r->rate.per_day == 0));
		assert_int_equal(r->mailbox, s->mailbox);
		if (r->envelope == ROUTE_ENVELOPE_FIXED)
			assert_string_equal(r->envelope_from, "me@a.example");
		config_free(&c);
		assert_ptr_equal(preset_find(s->name), s);
	}
	assert_null(preset_find("nobody"));
	assert_null(preset_find(NULL));
}

static void a_preset__gives_way_to_what_is_said(void **state)
{
	(void)state;
	struct config *c =
		load("[route a]\npreset = icloud\nrate = 5/s\nsize = 1M\nconnections = 4\n"
		     "envelope-from = own\nuser = me@icloud.com\npassword-env = P\n"
		     "[route b]\npreset = ses\nhost = a.example\nenvelope-from = bounce@books.example\n"
		     "[route c]\nhost = a.example\nenvelope-from = relay\n"
		     "[route d]\npreset = gmail\n");
	const struct config_route *r = c->routes;
	assert_true(r[0].rate.per_second == 5 && r[0].rate.per_day == 0);
	assert_int_equal(r[0].size, 1 << 20);
	assert_int_equal(r[0].connections, 4);
	assert_int_equal(r[0].envelope, ROUTE_ENVELOPE_OURS);
	assert_int_equal(r[1].envelope, ROUTE_ENVELOPE_FIXED);
	assert_string_equal(r[1].envelope_from, "bounce@books.example");
	assert_int_equal(r[2].envelope, ROUTE_ENVELOPE_RELAY);
	assert_null(r[2].envelope_from);
	/* Nobody logs in: then there is no account whose address it could be. */
	assert_int_equal(r[3].envelope, ROUTE_ENVELOPE_OURS);
	config_free(&c);
}

static void resolvers(void **state)
{
	(void)state;
	struct config *c = load(
		"[route out]\nkind = direct\nresolver = 192.0.2.1@5300, 2001:db8::1\ntrust-anchor = a.key\n");
	assert_int_equal(c->routes[0].nresolvers, 2);
	assert_string_equal(c->routes[0].resolvers[0], "192.0.2.1@5300");
	assert_string_equal(c->routes[0].resolvers[1], "2001:db8::1");
	assert_non_null(strstr(c->routes[0].trust_anchor, "a.key"));
	config_free(&c);
	c = load("[route out]\nkind = direct\nresolver = root\n");
	assert_string_equal(c->routes[0].resolvers[0], "root");
	config_free(&c);
}

static void sources__belong_to_a_route(void **state)
{
	(void)state;
	struct config *c = load("timezone = Asia/Tokyo\n"
				"[source 192.0.2.1]\nhelo = out1.books.example\nweight = 3\n"
				"warm-up = 50, 100 ,200\nwarm-up-from = 2026-12-01\noverflow = wait\n"
				"[source 2001:db8::1]\nwarm-up = standard\n"
				"[source 192.0.2.3]\nroute = main\nhelo = [192.0.2.3]\n"
				"[route main]\nhost = a.example\n[route out]\nkind = direct\n");
	assert_int_equal(c->nsources, 3);
	const struct config_source *s = c->sources;
	assert_string_equal(s[0].address, "192.0.2.1");
	assert_string_equal(s[0].route, "out");
	assert_string_equal(s[0].helo, "out1.books.example");
	assert_string_equal(c->routes[1].helo, "out1.books.example");
	assert_string_equal(c->routes[0].helo, "[192.0.2.3]");
	assert_true(s[0].weight == 3 && s[1].weight == 1);
	assert_int_equal(s[0].warm_up.n, 3);
	assert_int_equal(s[0].warm_up.volume[2], 200);
	assert_true(s[0].warm_up.wait && !s[1].warm_up.wait);
	ms_t midnight;
	assert_int_equal(clock_parse("2026-12-01", c->zone, 0, &midnight, NULL), 0);
	assert_int_equal(s[0].warm_up.start, midnight);
	assert_int_equal(s[1].warm_up.start, 0);
	assert_int_equal(s[1].warm_up.volume[0], 50);
	for (size_t i = 1; i < s[1].warm_up.n; i++)
		assert_true(s[1].warm_up.volume[i] > s[1].warm_up.volume[i - 1] &&
			    s[1].warm_up.volume[i] <= 2 * s[1].warm_up.volume[i - 1]);
	assert_string_equal(s[2].route, "main");
	assert_int_equal(s[2].warm_up.n, 0);
	config_free(&c);
}

static void the_direct_example__loads(void **state)
{
	(void)state;
	char path[600];
	struct err e = {0};
	struct config *c;
	snprintf(path, sizeof path, "%s/examples/direct/postrider.conf", top);
	if (config_load(path, &c, &e) != 0)
		fail_msg("%s:%ld: %s", e.file, e.line, e.why);
	assert_int_equal(c->nroutes, 2);
	assert_int_equal(c->nsources, 2);
	assert_string_equal(c->sources[1].route, "out");
	assert_true(c->routes[1].weight == 0);
	config_free(&c);
}

#define DIRECT "[route out]\nkind = direct\n"

static void errors__name_line_and_remedy(void **state)
{
	(void)state;
	static const struct refusal t[] = {
		{"[route a]\npreset = ses\n", 1, "needs a host: email-smtp."},
		{"[route a]\npreset = brevo\npassword-env = P\n", 3, "it is the SMTP login"},
		{"[route a]\npreset = yahoo-jp\nuser = taro\npassword-env = P\n", 1,
			"envelope-from = ADDRESS"},
		{"[route a]\nhost = a.example\nauth = xoauth2\n", 1, "password-command"},
		{"[route a]\nkind = direct\npreset = gmail\n", 1, "a preset is a relay's"},
		{"[route a]\nenvelope-from = nobody\n", 2, "own, relay, or one address"},
		{"[route a]\nenvelope-from = b+{token}@a.example\n", 2, "one address"},
		{"[route a]\nfor = a.example, A.example\n", 2, "twice"},
		{"[route a]\nhelo = localhost\n", 2, "any computer's name"},
		{"[route a]\nhelo = mail.localdomain\n", 2, "any computer's name"},
		{"[route a]\nhelo = mail\n", 2, "full name"},
		{"[route a]\nhelo = my_host.example\n", 2, "full name"},
		{"[route a]\nhelo = 192.0.2.1\n", 2, "[192.0.2.1]"},
		{"[route a]\nhelo = 2001:db8::1\n", 2, "[IPv6:2001:db8::1]"},
		{"[route a]\nhelo = [192.0.2]\n", 2, "full name"},
		{DIRECT "resolver = ns.example\n", 3, "IP addresses"},
		{DIRECT "resolver = 192.0.2.1@0\n", 3, "IP addresses"},
		{DIRECT "resolver = 192.0.2.1, root\n", 3, "IP addresses"},
		{DIRECT "resolver = 192.0.2.1,\n", 3, "IP addresses"},
		{"[source 192.0.2.1]\n", 1, "route = NAME"},
		{DIRECT "[route b]\nkind = direct\n[source 192.0.2.1]\n", 5, "route = NAME"},
		{DIRECT "[source 192.0.2.1]\nroute = in\n", 3, "no [route in]"},
		{DIRECT "[source ::1]\n[source 0::1]\n", 4, "twice"},
		{DIRECT "[source 192.0.2.1]\nwarm-up = 50, 40\n", 4, "day 2 has fewer"},
		{DIRECT "[source 192.0.2.1]\nwarm-up = 50,\n", 4, "messages a day"},
		{DIRECT "[source 192.0.2.1]\nwarm-up = fast\n", 4, "standard"},
		{DIRECT "[source 192.0.2.1]\nwarm-up = 1\nwarm-up-from = soon\n", 3, "a day as"},
		{DIRECT "[source 192.0.2.1]\nwarm-up-from = 2026-12-01\n", 3, "no warm-up"},
		{DIRECT "[source 192.0.2.1]\noverflow = wait\n", 3, "no warm-up"},
		{"[route a]\nhost = a.example\n[source 192.0.2.1]\nroute = a\nwarm-up = 1\n", 3,
			"direct routes"},
		{DIRECT "[source 192.0.2.1]\nweight = 0\n", 4, "a number above 0"},
	};
	refuses_each(t, sizeof t / sizeof t[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_preset__makes_a_route),
		cmocka_unit_test(a_preset__gives_way_to_what_is_said),
		cmocka_unit_test(resolvers),
		cmocka_unit_test(sources__belong_to_a_route),
		cmocka_unit_test(the_direct_example__loads),
		cmocka_unit_test(errors__name_line_and_remedy),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
