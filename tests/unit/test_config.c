#include "tests/unit/config_fixture.h"

#include <math.h>
#include <netinet/in.h>
#include <sys/stat.h>

static void no_file__defaults(void **state)
{
	(void)state;
	struct err e;
	struct config *c;
	unlink("postrider.conf");
	assert_int_equal(config_load(NULL, &c, &e), 0);
	assert_null(c->path);
	assert_string_equal(c->database, "postrider.db");
	assert_string_equal(c->secret_file, "postrider.key");
	assert_int_equal(c->doubt, DOUBT_RESEND);
	assert_int_equal(c->ahead, 8);
	assert_int_equal(c->nretry, 6);
	assert_true(c->retry_delays[0] == 5 * MINUTE && c->retry_delays[5] == 4 * HOUR);
	assert_true(c->retry_expire == 3 * DAY);
	assert_int_equal(c->suppress.hard, 1);
	assert_int_equal(c->suppress.soft, 3);
	assert_int_equal(c->suppress.soft_days, 7);
	assert_true(fabs(c->brake.bounces - 0.05) < 1e-9 && fabs(c->brake.complaints - 0.003) < 1e-9);
	assert_int_equal(c->brake.after, 200);
	assert_int_equal(c->nroutes, 0);
	assert_non_null(c->zone);
	config_free(&c);
	assert_null(c);
}

static void the_manual_s_example__loads(void **state)
{
	(void)state;
	struct config *c =
		load("database = postrider.db               # later more\n"
		     "timezone = Asia/Tokyo\n"
		     "secret   = postrider.key              ; signs\n"
		     "doubt    = hold\n"
		     "ahead    = 1\n"
		     "quiet    = 21:00-08:00\n"
		     "law      = jp\n"
		     "[sender]\n\tname = \"Kyoto Books; #1\"  # quoted\n\tpostal-address = 京都市\n"
		     "[domain books.example]\n"
		     "[domain books2.example]\n"
		     "[dkim pr2]\ndomain = books.example\nkey = /keys/pr2.key\nselector = june.2026\n"
		     "[dkim pr1]\ndomain = books.example\nkey = dkim/pr1.key\n"
		     "[route main]                          # a comment\n"
		     "kind = relay\npreset = ses\nhost = email-smtp.eu-west-1.amazonaws.com\nport = 587\n"
		     "tls = starttls\nuser = AKIA\npassword-file = ses.password\nconnections = 20\n"
		     "messages-per-connection = 500\ntimeout = 90s\nrate = 14/s, 50000/d\nfor = "
		     "books.example, google\n"
		     "[route out]\nkind = direct\nresolver = 127.0.0.1@53\n"
		     "[source 192.0.2.1]\nroute = out\n"
		     "[provider google]\nconnections = 5\nrate = 20/s\n"
		     "[retry]\ndelays = 1m, 2h\nexpire = 5d\n"
		     "[return-path]\naddress = bounce+{token}@books.example\n"
		     "[mailbox old]\nurl = imaps://mail.example\nuser = bounces\npassword-env = PW\nafter = "
		     "move Read\n"
		     "[unsubscribe]\nurl = https://books.example/u?t={token}\nscope = lists\n"
		     "[http]\nlisten = 127.0.0.1:8080\npublic-url = https://mail.books.example\n"
		     "[suppress]\nsoft = 5\n[brake]\nbounces = 2.5%\n[log]\nformat = json\nsize = 10M\n"
		     "[retention]\nevidence = 30d\n[webhook crm]\nurl = https://crm.example/\n[daemon]\nuser "
		     "= postrider\n");
	assert_string_equal(clock_zone_name(c->zone), "Asia/Tokyo");
	assert_int_equal(c->doubt, DOUBT_HOLD);
	assert_int_equal(c->quiet_from, 21 * 60);
	assert_int_equal(c->quiet_to, 8 * 60);
	assert_string_equal(c->law, "jp");
	assert_string_equal(c->sender.name, "Kyoto Books; #1");
	assert_string_equal(c->sender.postal_address, "京都市");
	assert_int_equal(c->ndomains, 2);
	assert_string_equal(c->domains[0], "books.example");
	assert_string_equal(c->domains[1], "books2.example");
	assert_int_equal(c->ndkim, 2);
	assert_string_equal(c->dkim[0].selector, "june.2026");
	assert_string_equal(c->dkim[0].key, "/keys/pr2.key");
	assert_string_equal(c->dkim[1].selector, "pr1");
	assert_string_equal(c->dkim[1].domain, "books.example");
	assert_true(str_ends(str_from(c->dkim[1].key), STR("dkim/pr1.key")));
	assert_int_equal(c->nroutes, 2);
	const struct config_route *r = config_route_find(c, "main");
	assert_string_equal(r->rewrites, "Date:Message-ID");
	assert_null(c->routes[1].rewrites);
	assert_ptr_equal(r, &c->routes[0]);
	assert_int_equal(r->tls, ROUTE_TLS_STARTTLS);
	assert_int_equal(r->password.from, SECRET_FILE);
	assert_string_equal(r->password.value, "ses.password");
	assert_int_equal(r->password.at.line, 27);
	assert_true(r->rate.per_second == 14 && r->rate.per_day == 50000 && r->rate.per_hour == 0);
	assert_int_equal(r->timeout, 90 * SECOND);
	assert_int_equal(r->nfor, 2);
	assert_string_equal(r->for_names[1], "google");
	assert_int_equal(c->routes[1].tls, ROUTE_TLS_OPPORTUNISTIC);
	assert_int_equal(c->routes[1].port, 25);
	assert_true(c->nretry == 2 && c->retry_delays[1] == 2 * HOUR && c->retry_expire == 5 * DAY);
	assert_string_equal(c->return_path.address, "bounce+{token}@books.example");
	assert_true(c->unsubscribe.one_click);
	assert_false(c->unsubscribe.scope_all);
	assert_int_equal(c->suppress.soft, 5);
	assert_true(fabs(c->brake.bounces - 0.025) < 1e-9);
	assert_true(c->log.json && c->log.size == 10 << 20);
	config_free(&c);
	assert_null(config_route_find(&(struct config){0}, "main"));
}

extern const unsigned char asset_postrider_conf[];
extern const size_t asset_postrider_conf_len;

/* What init writes; and with the # taken from the lines that offer a key. */
static void the_example_that_ships__loads(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(1 << 16);
	buf_add(&b, asset_postrider_conf, asset_postrider_conf_len);
	struct config *c = load(buf_cstr(&b));
	assert_int_equal(c->nroutes, 1);
	assert_int_equal(c->routes[0].tls, ROUTE_TLS_OPPORTUNISTIC);
	assert_non_null(strstr(c->unsubscribe.url, "{token}"));
	config_free(&c);
	static const char *const offered[] = {"# timezone", "# quiet", "# law", "# rate"};
	for (size_t i = 0; i < sizeof offered / sizeof offered[0]; i++) {
		char *at = strstr(b.p, offered[i]);
		assert_non_null(at);
		*at = ' ';
	}
	c = load(buf_cstr(&b));
	assert_string_equal(c->timezone, "Asia/Tokyo");
	assert_string_equal(c->law, "jp");
	assert_true(c->quiet_from != c->quiet_to && c->routes[0].rate.per_second == 14);
	config_free(&c);
	buf_release(&b);
}

static void tls_and_port__follow_from_each_other(void **state)
{
	(void)state;
	static const struct {
		const char *keys;
		int port;
		enum route_tls tls;
	} t[] = {
		{"host = mx.example", 587, ROUTE_TLS_STARTTLS},
		{"host = mx.example\nport = 465", 465, ROUTE_TLS_IMPLICIT},
		{"host = mx.example\nport = 2525", 2525, ROUTE_TLS_STARTTLS},
		{"host = mx.example\nport = 25", 25, ROUTE_TLS_STARTTLS},
		{"host = mx.example\ntls = implicit", 465, ROUTE_TLS_IMPLICIT},
		{"host = mx.example\ntls = none", 25, ROUTE_TLS_NONE},
		{"host = mx.example\ntls = none\nport = 1025", 1025, ROUTE_TLS_NONE},
		{"host = localhost", 25, ROUTE_TLS_OPPORTUNISTIC},
		{"host = 127.0.0.2\nport = 2525", 2525, ROUTE_TLS_OPPORTUNISTIC},
		{"host = ::1\nport = 587", 587, ROUTE_TLS_OPPORTUNISTIC},
		{"host = [::1]\nport = 465", 465, ROUTE_TLS_IMPLICIT},
		{"host = 127.0.0.1.example.com", 587, ROUTE_TLS_STARTTLS},
		{"preset = yahoo-jp", 465, ROUTE_TLS_IMPLICIT},
		{"preset = yahoo-jp\nport = 587", 587, ROUTE_TLS_STARTTLS},
		{"preset = brevo\nport = 465", 465, ROUTE_TLS_IMPLICIT},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		char text[200];
		snprintf(text, sizeof text, "[route a]\n%s\n", t[i].keys);
		struct config *c = load(text);
		if (c->routes[0].port != t[i].port || c->routes[0].tls != t[i].tls)
			fail_msg("%s: %d %d", t[i].keys, c->routes[0].port, c->routes[0].tls);
		config_free(&c);
	}
}

static void preset__fills_what_is_left_out(void **state)
{
	(void)state;
	struct config *c = load("[route a]\npreset = sendgrid\npassword-env = KEY\nrate = 5/s\n");
	assert_string_equal(c->routes[0].host, "smtp.sendgrid.net");
	assert_string_equal(c->routes[0].user, "apikey");
	assert_true(c->routes[0].rate.per_second == 5);
	assert_int_equal(c->routes[0].connections, 10);
	config_free(&c);
	c = load("[route a]\npreset = m365\n");
	assert_true(c->routes[0].rate.per_second == 0.5 && c->routes[0].rate.per_day == 10000);
	config_free(&c);
}

static void listen__each_form__is_read(void **state)
{
	(void)state;
	struct config *c = load("[return-path]\nlisten = 0.0.0.0:25, [::]:2525,lmtp:127.0.0.1:2424 *:26 "
				"lmtp:/run/postrider/lmtp\n");
	const struct config_listen *l = c->return_path.listen;
	static const struct {
		const char *text;
		int family, port;
	} want[] = {{"0.0.0.0:25", AF_INET, 25}, {"[::]:2525", AF_INET6, 2525},
		{"lmtp:127.0.0.1:2424", AF_INET, 2424}, {"*:26", AF_INET, 26}};
	assert_int_equal(c->return_path.nlisten, 5);
	for (int i = 0; i < 4; i++) {
		assert_string_equal(l[i].text, want[i].text);
		assert_int_equal(l[i].address->ss_family, want[i].family);
		/* Both families have the port in the same place. */
		assert_int_equal(ntohs(((const struct sockaddr_in *)l[i].address)->sin_port), want[i].port);
		assert_null(l[i].path);
	}
	assert_true(!l[0].lmtp && !l[1].lmtp && l[2].lmtp && l[4].lmtp);
	assert_string_equal(l[4].path, "/run/postrider/lmtp");
	config_free(&c);
}

static void errors__name_line_and_remedy(void **state)
{
	(void)state;
	static const struct refusal t[] = {
		{"databse = x\n", 1, "unknown key \"databse\": did you mean \"database\"?"},
		{"[route main]\nhost = a.example\npasword-file = x\n", 3,
			"unknown key \"pasword-file\" in [route main]: did you mean \"password-file\"?"},
		{"host = a\n", 1, "belongs below a [route …] line"},
		{"\n\n[rout main]\n", 3, "did you mean [route]?"},
		{"[zzzzzz]\n", 1, "unknown section [zzzzzz]"},
		{"[route]\n", 1, "needs a name"},
		{"[retry now]\n", 1, "has no name"},
		{"[dkim a]\nkey = a.key\n", 1, "[dkim a] has no domain"},
		{"[provider google]\nsuspend = 20m\nsuspend-most = 10m\n", 1,
			"suspend is longer than suspend-most"},
		{"[mailbox a]\nurl = imaps://x:99999\n", 2, "expected imaps://SERVER"},
		{"[mailbox a]\nurl = imaps://x:\n", 2, "expected imaps://SERVER"},
		{"[mailbox a]\nurl = imaps://:993\n", 2, "expected imaps://SERVER"},
		{"[mailbox a]\nurl = imaps://[::1]993\n", 2, "expected imaps://SERVER"},
		{"[return-path]\nlisten = 127.0.0.1:65536\n", 2, "listen = 127.0.0.1:65536: expected an IP"},
		{"[return-path]\nlisten = 0.0.0.0:25, ::1:25\n", 2,
			"listen = ::1:25: expected an IP address"},
		{"[return-path]\nlisten = localhost:25\n", 2, "expected an IP address and a port"},
		{"[return-path]\nlisten = lmtp:run/lmtp\n", 2, "expected an IP address and a port"},
		{"[return-path]\nlisten = *:1 *:2 *:3 *:4 *:5 *:6 *:7 *:8 *:9\n", 2, "more than 8"},
		{"[http]\nlisten = 127.0.0.1:0\n", 2, "expected an IP address and a port"},
		{"\n[dkim a]\ndomain = a.example\n", 2, "[dkim a] has no key"},
		{"[dkim a]\ndomain = a.example\nkey = a.key\nselector = a;b\n", 4, "expected a selector"},
		{"[dkim .]\ndomain = a.example\nkey = a.key\n", 1, "this is not one"},
		{"[route a b]\n", 1, "names are made of"},
		{"[route main\n", 1, "] is missing"},
		{"[]\n", 1, "has no name"},
		{"[sender] name = x\n", 1, "behind the section"},
		{"ahead = 1\n# c\nahead = 2\n", 3, "given twice, first in p.conf:1"},
		{"[route a]\nhost=a.example\n[sender]\n[route a]\nhost=b.example\n", 5,
			"given twice, first in p.conf:2"},
		{"just words\n", 1, "neither"},
		{"ahead =\n", 1, "there is no value"},
		{"ahead = # nothing\n", 1, "there is no value"},
		{"ahead = many\n", 1, "a whole number from 1 to 1000"},
		{"ahead = 0\n", 1, "a whole number"},
		{"ahead = ８\n", 1, "not ASCII"},
		{"doubt = resnd\n", 1, "did you mean \"resend\"?"},
		{"doubt = perhaps\n", 1, "one of skip, resend, hold"},
		{"timezone = Asia/Tokio\n", 1, "timezone: Asia/Tokio"},
		{"quiet = 21-8\n", 1, "two times of day"},
		{"quiet = 25:00-08:00\n", 1, "two times of day"},
		{"quiet = 08:00-08:00\n", 1, "two times of day"},
		{"quiet = 00:00-24:00\n", 1, "two times of day"},
		{"database = postgresql://db/x\n", 1, "keeps its data in a file"},
		{"secret = ${NOT_SET_ANYWHERE}\n", 1, "NOT_SET_ANYWHERE is not set"},
		{"secret = ${bad name}\n", 1, "write ${NAME}"},
		{"secret = \"open\n", 1, "a quote is not closed"},
		{"secret = \"a\" b\n", 1, "behind the closing quote"},
		{"include = nowhere.conf\n", 1, "nowhere.conf does not exist"},
		{"secret = a\x01"
		 "b\n",
			1, "control character (byte 01) in column 11"},
		{"x\n\xff\n", 1, "neither"},
		{"# ok\nsecret = \x8e\xa0\n", 2, "not UTF-8 (column 10)"},
		{"\xff\xfes", 1, "UTF-16"},
		{"[route a]\n", 1, "has no host"},
		{"[route a]\nkind = direct\nhost = a.example\n", 1, "is direct"},
		{"[route a]\nhost = a.example\nuser = u\n", 1, "no password-file"},
		{"[route a]\nhost = a.example\npassword-env = U\n", 3, "a password but no user"},
		{"[route a]\npassword-env = U\npassword-file = x\n", 3, "given twice, first in line 2"},
		{"[route a]\nport = 70000\n", 2, "from 1 to 65535"},
		{"[route a]\npreset = sengrid\n", 2, "did you mean \"sendgrid\"?"},
		{"[route a]\ntls = ssl\n", 2, "one of none, opportunistic, starttls, implicit"},
		{"[route a]\nrate = fast\n", 2, "expected as 14/s"},
		{"[route a]\nrate = 1/s, 2/s\n", 2, "each unit once"},
		{"[route a]\nrate = 0/s\n", 2, "expected as 14/s"},
		{"[route a]\nrate = 1/y\n", 2, "expected as 14/s"},
		{"[route a]\nweight = -1\n", 2, "a number"},
		{"[route a]\nfor = a.example,,b.example\n", 2, "separated by commas"},
		{"[route a]\nprivate-addresses = maybe\n", 2, "one of refuse, allow"},
		{"[domain bo oks.example]\n", 1, "contains a blank"},
		{"[source example.com]\n", 1, "an IP address"},
		{"[retry]\ndelays = 5m,\n", 2, "spans of time"},
		{"[retry]\ndelays = 5\n", 2, "spans of time"},
		{"[retry]\nexpire = 5s\n", 2, "a longer time"},
		{"[return-path]\ndomain = a.example\naddress = b@a.example\n", 3, "one of them"},
		{"[return-path]\naddress = bounces\n", 2, "an address as"},
		{"[return-path]\naddress = a@{token}.example\n", 2, "an address as"},
		{"[unsubscribe]\nurl = https://books.example/u\n", 2, "{token}"},
		{"[unsubscribe]\nurl = http://books.example/{token}\none-click = yes\n", 3, "RFC 8058"},
		{"[http]\npublic-url = mail.example\n", 2, "https://"},
		{"[brake]\nbounces = 5\n", 2, "a share as 5%"},
		{"[brake]\nbounces = 500%\n", 2, "a share as 5%"},
		{"[log]\nsize = big\n", 2, "a size as 10M"},
		{"[provider google]\nrate = x\n", 2, "expected as 14/s"},
		{"[webhook crm]\nulr = x\n", 2, "did you mean \"url\"?"},
	};
	refuses_each(t, sizeof t / sizeof t[0]);
}

static void host__what_is_wrong_and_what_is_meant(void **state)
{
	(void)state;
	static const char *const t[][3] = {
		{"https://smtp.example.com/mail", "scheme", "\"smtp.example.com\""},
		{"smtp,example,com", "comma", "\"smtp.example.com\""},
		{"ｓｍｔｐ．example.com", "full-width", "\"smtp.example.com\""},
		{"smtp。example.com", "full-width", "\"smtp.example.com\""},
		{"smtp.example.com\xe2\x80\x8b", "invisible", "\"smtp.example.com\""},
		{"me@example.com", "@", "\"example.com\""},
		{"smtp.example.com:587", "a port", "\"smtp.example.com\""},
		{"smtp.example.com/x", "/", "\"smtp.example.com\""},
		{"smtp example.com", "a blank", ""},
		{"smtp..example.com", "a dot too many", ""},
		{"smtp.example.com.", "a dot too many", ""},
		{"-a.example", "begins or ends", ""},
		{"a!b.example", "has no \"!\"", ""},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct err e = {0};
		if (config_host_check(t[i][0], &e) == 0)
			fail_msg("accepted %s", t[i][0]);
		if (strstr(e.why, t[i][1]) == NULL || strstr(e.why, t[i][2]) == NULL)
			fail_msg("%s: %s", t[i][0], e.why);
	}
	static const char *const good[] = {"smtp.example.com", "localhost", "192.0.2.1", "2001:db8::1",
		"メール.example", "a_b.example", "x-1.example"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_int_equal(config_host_check(good[i], NULL), 0);
	char longest[400];
	memset(longest, 'a', sizeof longest);
	longest[64] = '\0';
	assert_int_equal(config_host_check(longest, NULL), -1);
	longest[64] = 'a';
	longest[399] = '\0';
	assert_int_equal(config_host_check(longest, NULL), -1);
}

static void values__quotes_comments_and_variables(void **state)
{
	(void)state;
	setenv("WHO", "a # b", 1);
	struct config *c = load(
		"\xef\xbb\xbf[sender]\r\n  name = ${WHO} x#y ; comment\r\n\tcontact=\"a \\\"b\\\" ; c\"\r\n"
		"postal-address = $${WHO} $5 \"in\"\r\n");
	assert_string_equal(c->sender.name, "a # b x#y");
	assert_string_equal(c->sender.contact, "a \"b\" ; c");
	assert_string_equal(c->sender.postal_address, "${WHO} $5 \"in\"");
	config_free(&c);
	setenv("WHO", "a\nb", 1);
	refuses("secret = ${WHO}\n", 1, "control character");
}

static void lines__long_ones(void **state)
{
	(void)state;
	char text[5000];
	memset(text, 'x', sizeof text);
	memcpy(text, "[sender]\nname = ", 16);
	text[9 + 4096] = '\n';
	text[9 + 4097] = '\0';
	struct config *c = load(text);
	assert_int_equal(strlen(c->sender.name), 4096 - 7);
	config_free(&c);
	text[9 + 4096] = 'x';
	text[9 + 4097] = '\n';
	text[9 + 4098] = '\0';
	refuses(text, 2, "longer than 4096");
	/* inih alone would cut names at 50 characters. */
	c = load("[domain a-very-long-name-of-a-domain-that-goes-on.and-on-and-on.example]\n");
	assert_string_equal(c->domains[0], "a-very-long-name-of-a-domain-that-goes-on.and-on-and-on.example");
	config_free(&c);
}

static void include__keeps_places_and_folders(void **state)
{
	(void)state;
	struct err e = {0};
	struct config *c;
	mkdir("inc", 0700);
	put("inc/more.conf", "law = jp\n[route b]\nhost = b.example\nuser = u\npassword-file = b.password\n");
	c = load("[route a]\nhost = a.example\ninclude = inc/more.conf\nport = 2525\n");
	assert_int_equal(c->nroutes, 2);
	assert_string_equal(c->routes[1].password.value, "inc/b.password");
	assert_int_equal(c->routes[0].port, 2525);
	assert_string_equal(c->law, "jp");
	config_free(&c);
	put("inc/bad.conf", "\n\nlow = jp\n");
	put("p.conf", "include = inc/bad.conf\n");
	assert_int_equal(config_load("p.conf", &c, &e), -1);
	assert_string_equal(e.file, "inc/bad.conf");
	assert_int_equal(e.line, 3);
	put("inc/round.conf", "include = round.conf\n");
	put("p.conf", "include = inc/round.conf\n");
	assert_int_equal(config_load("p.conf", &c, &e), -1);
	assert_non_null(strstr(e.why, "circle"));
	put("inc/empty.conf", "");
	struct buf many = BUF_INIT(1 << 16);
	for (int i = 0; i < 300; i++)
		buf_puts(&many, "include = inc/empty.conf\n");
	refuses(buf_cstr(&many), 201, "more than 200 files");
	buf_release(&many);
}

static void search__environment_then_folder(void **state)
{
	(void)state;
	struct err e = {0};
	struct config *c;
	put("postrider.conf", "ahead = 3\n");
	put("other.conf", "ahead = 4\n");
	assert_int_equal(config_load(NULL, &c, &e), 0);
	assert_int_equal(c->ahead, 3);
	config_free(&c);
	setenv("POSTRIDER_CONFIG", "other.conf", 1);
	assert_int_equal(config_load(NULL, &c, &e), 0);
	assert_int_equal(c->ahead, 4);
	config_free(&c);
	setenv("POSTRIDER_CONFIG", "missing.conf", 1);
	assert_int_equal(config_load(NULL, &c, &e), -1);
	assert_int_equal(e.code, ERR_NOINPUT);
	unsetenv("POSTRIDER_CONFIG");
	unlink("postrider.conf");
}

static void secret_is(const struct secret *s, const char *want)
{
	struct buf b = BUF_INIT(1024);
	struct err e = {0};
	if (config_secret(s, &b, &e) != 0)
		fail_msg("%s: %s", e.what, e.why);
	assert_string_equal(buf_cstr(&b), want);
	buf_release(&b);
}

static void secret_refused(const struct secret *s, const char *why)
{
	struct buf b = BUF_INIT(1024);
	struct err e = {0};
	assert_int_equal(config_secret(s, &b, &e), -1);
	assert_int_equal(e.code, ERR_CONFIG);
	if (strstr(e.why, why) == NULL)
		fail_msg("%s: %s", e.what, e.why);
	assert_int_equal(e.line, s->at.line);
	buf_release(&b);
}

static void secret__file_modes(void **state)
{
	(void)state;
	struct secret s = {SECRET_FILE, "pw", {"p.conf", 7}};
	put("pw", "p#ss; wörd \n");
	secret_is(&s, "p#ss; wörd ");
	static const mode_t open_to_others[] = {0640, 0604, 0644, 0660, 0620};
	for (size_t i = 0; i < sizeof open_to_others / sizeof open_to_others[0]; i++) {
		chmod("pw", open_to_others[i]);
		secret_refused(&s, "by others");
	}
	chmod("pw", 0400);
	secret_is(&s, "p#ss; wörd ");
	unlink("pw");
	secret_refused(&s, "No such file");
	put("pw", "\n");
	secret_refused(&s, "empty");
	put("pw", "one\ntwo\n");
	secret_refused(&s, "more than one line");
}

static void secret__environment_and_command(void **state)
{
	(void)state;
	struct secret s = {SECRET_ENV, "PW_FOR_TEST", {"p.conf", 7}};
	setenv("PW_FOR_TEST", "abc", 1);
	secret_is(&s, "abc");
	unsetenv("PW_FOR_TEST");
	secret_refused(&s, "not set");
	s = (struct secret){SECRET_COMMAND, "printf 'a b\\n'", {"p.conf", 7}};
	secret_is(&s, "a b");
	s.value = "echo x; exit 3";
	secret_refused(&s, "failed");
	s.value = "yes";
	secret_refused(&s, "too long");
	s.value = "cat";
	secret_refused(&s, "empty");
}

static void secret__command_that_hangs__ends(void **state)
{
	(void)state;
	struct secret s = {SECRET_COMMAND, "echo x; sleep 60", {"p.conf", 7}};
	struct buf b = BUF_INIT(1024);
	struct err e = {0};
	ms_t start = clock_mono();
	assert_int_equal(config_secret_command(&s, 200, &b, &e), -1);
	assert_non_null(strstr(e.why, "in time"));
	s.value = "echo x; exec >&-; sleep 60";
	assert_int_equal(config_secret_command(&s, 200, &b, &e), -1);
	assert_true(clock_mono() - start < 50 * SECOND);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file__defaults),
		cmocka_unit_test(the_manual_s_example__loads),
		cmocka_unit_test(the_example_that_ships__loads),
		cmocka_unit_test(tls_and_port__follow_from_each_other),
		cmocka_unit_test(preset__fills_what_is_left_out),
		cmocka_unit_test(listen__each_form__is_read),
		cmocka_unit_test(errors__name_line_and_remedy),
		cmocka_unit_test(host__what_is_wrong_and_what_is_meant),
		cmocka_unit_test(values__quotes_comments_and_variables),
		cmocka_unit_test(lines__long_ones),
		cmocka_unit_test(include__keeps_places_and_folders),
		cmocka_unit_test(search__environment_then_folder),
		cmocka_unit_test(secret__file_modes),
		cmocka_unit_test(secret__environment_and_command),
		cmocka_unit_test(secret__command_that_hangs__ends),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
