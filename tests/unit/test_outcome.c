#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/outcome.h"
#include "engine/rulefile.h"
#include "engine/smtp/client.h"
#include "src/base/file.h"

extern const unsigned char asset_rules_conf[];
extern const size_t asset_rules_conf_len;

enum { H = CLASS_HARD, S = CLASS_SOFT, B = CLASS_BLOCK, M = CLASS_MESSAGE, C = CLASS_CONFIG };

struct reply_case {
	const char *provider, *stage;
	int code;
	const char *enhanced, *text;
	int class;
	enum verdict_action action;
	const char *reason;
};

#include "src/db/delivery.h"
#include "tests/unit/outcome_cases.h"
#include "tests/unit/outcome_receivers.h"

static struct rules *shipped;

static int setup(void **state)
{
	(void)state;
	struct err e = {0};
	shipped = rules_load(NULL, &e);
	if (shipped == NULL)
		print_error("%s: %s (%s:%ld)\n", e.what, e.why, e.file, e.line);
	return shipped != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	rules_free(&shipped);
	return 0;
}

static struct verdict decide(const struct rules *r, const char *provider, const char *stage, int code,
	const char *enhanced, const char *text)
{
	struct verdict v;
	rules_decide(r, str_from(provider), str_from(stage), code, str_from(enhanced), str_from(text), &v);
	return v;
}

static int judge(const struct reply_case *all, size_t n)
{
	int wrong = 0;
	for (size_t i = 0; i < n; i++) {
		const struct reply_case *c = &all[i];
		struct verdict v = decide(shipped, c->provider, c->stage, c->code, c->enhanced, c->text);
		if ((int)v.class == c->class && v.action == c->action && str_is(v.reason, c->reason))
			continue;
		print_error("%s %s %d %s \"%s\": class %d action %d %.*s by line %d, expected %d %d %s\n",
			c->provider, c->stage, c->code, c->enhanced, c->text, (int)v.class, (int)v.action,
			STR_ARG(v.reason), v.rule_line, c->class, (int)c->action, c->reason);
		wrong++;
	}
	return wrong;
}

static void decide__known_replies__give_their_verdict(void **state)
{
	(void)state;
	assert_int_equal(judge(cases, sizeof cases / sizeof cases[0]), 0);
	assert_true(sizeof cases / sizeof cases[0] >= 120);
}

static void decide__what_receivers_are_known_to_say(void **state)
{
	(void)state;
	assert_int_equal(judge(receivers, sizeof receivers / sizeof receivers[0]), 0);
}

/* Whatever a server says before it knows the recipient, nobody is suppressed for it. */
static void decide__before_rcpt__never_ends_in_suppression(void **state)
{
	(void)state;
	static const char *const stages[] = {
		"connect", "greeting", "ehlo", "starttls", "tls", "auth", "mail", "data", "idle", "quit"};
	for (size_t s = 0; s < sizeof stages / sizeof stages[0]; s++)
		for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
			const struct reply_case *c = &cases[i];
			struct verdict v =
				decide(shipped, c->provider, stages[s], c->code, c->enhanced, c->text);
			assert_int_not_equal(v.action, ACTION_SUPPRESS);
		}
}

static void decide__every_code_and_stage__has_a_verdict(void **state)
{
	(void)state;
	static const int codes[] = {0, 199, 200, 250, 299, 354, 399, 400, 421, 450, 499, 500, 521, 550, 599,
		600, 999, -1, 1 << 20};
	for (int s = 0; s < SMTP_NSTAGES; s++)
		for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
			struct verdict v = decide(shipped, "", smtp_stage_names[s], codes[i], "", "");
			assert_true(v.builtin && v.rule_line > 0 && v.reason.n > 0);
			assert_int_not_equal(v.action, ACTION_SUPPRESS);
			if (codes[i] >= 400 && codes[i] < 500)
				assert_true(v.action != ACTION_FAIL);
			if (codes[i] == 0)
				assert_int_equal(v.action, ACTION_RETRY);
		}
}

static void decide__words_in_a_quoted_address__do_not_count(void **state)
{
	(void)state;
	struct verdict v =
		decide(shipped, "", "rcpt", 550, "5.1.1", "<spamhaus.blacklist@rbl.example>: user unknown");
	assert_int_equal(v.action, ACTION_SUPPRESS);
	v = decide(shipped, "", "rcpt", 550, "", "no.such+user_unknown=x@user-unknown.example refused");
	assert_string_equal(v.reason.p, "recipient-refused");
	v = decide(shipped, "", "rcpt", 550, "", "@ @@ a@ @b user unknown");
	assert_string_equal(v.reason.p, "user-unknown");
}

static void decide__provider_behind_a_relay__matches_both_words(void **state)
{
	(void)state;
	struct verdict v =
		decide(shipped, "relay", "rcpt", 554, "5.7.1", "<x@example.com>: Relay access denied");
	assert_int_equal(v.action, ACTION_PAUSE);
	assert_string_equal(v.pause.p, "login");
	v = decide(shipped, "relay/ses", "rcpt", 554, "5.7.1", "<x@example.com>: Relay access denied");
	assert_int_equal(v.action, ACTION_PAUSE);
	v = decide(shipped, "relay/docomo", "end", 550, "", "Unknown user a@docomo.example");
	assert_string_equal(v.reason.p, "recipient-filter");
	v = decide(shipped, "direct/example", "rcpt", 554, "5.7.1", "<x@example.com>: Relay access denied");
	assert_int_equal(v.action, ACTION_FAIL);
}

/* ---- every shipped rule is needed: for each there is a reply that it decides ---- */

static const char *probe_enhanced(const struct rule *r, size_t i, int code, char out[32])
{
	if (r->nenhanced == 0)
		return i == 0 ? "" : (snprintf(out, 32, "%d.9.9", code / 100), out);
	const struct rule_enhanced *p = &r->enhanced[i];
	if (p->class == RULE_NONE)
		return "";
	snprintf(out, 32, "%d.%d.%d", p->class == RULE_ANY ? code / 100 : p->class,
		p->subject == RULE_ANY ? 9 : p->subject, p->low == 0 && p->high == 999 ? 99 : p->low);
	return out;
}

static void probe_text(const struct rule *r, size_t i, char out[400])
{
	size_t n = 0;
	out[0] = '\0';
	for (size_t k = 0; i < r->ntexts && k < r->texts[i].npieces; k++)
		n += (size_t)snprintf(
			out + n, 400 - n, "%s%.*s", k > 0 ? " " : "", STR_ARG(r->texts[i].pieces[k]));
}

static bool decides(const struct rule *r, size_t p, int stage, int code, size_t en, size_t t)
{
	char provider[40] = "", direct[60], enhanced[32], text[400];
	if (r->nproviders != 0)
		snprintf(provider, sizeof provider, "%.*s", STR_ARG(r->providers[p]));
	snprintf(direct, sizeof direct, "direct/%s", provider);
	const char *enh = probe_enhanced(r, en, code, enhanced);
	probe_text(r, t, text);
	const char *name = stage == RULE_RETURNED ? "returned/end" : smtp_stage_names[stage];
	return decide(shipped, provider, name, code, enh, text).rule_line == r->verdict.rule_line ||
	       decide(shipped, direct, name, code, enh, text).rule_line == r->verdict.rule_line;
}

static size_t at_least_one(size_t n)
{
	return n == 0 ? 1 : n;
}

/* Does any reply made of the rule's own words reach it? */
static bool reachable(const struct rule *r)
{
	for (int stage = 0; stage <= RULE_RETURNED; stage++) {
		if ((r->stages >> stage & 1) == 0)
			continue;
		for (int code = 0; code < 600; code++) {
			bool has = r->ncodes == 0 &&
				   (code == 250 || code == 421 || code == 450 || code == 550 || code == 554);
			for (size_t i = 0; i < r->ncodes; i++)
				has = has || (code >= r->codes[i].low && code <= r->codes[i].high);
			if (!has)
				continue;
			for (size_t p = 0; p < at_least_one(r->nproviders); p++)
				for (size_t en = 0; en < at_least_one(r->nenhanced) + (r->nenhanced == 0);
					en++)
					for (size_t t = 0; t < at_least_one(r->ntexts); t++)
						if (decides(r, p, stage, code, en, t))
							return true;
		}
	}
	return false;
}

static void shipped_rules__each__can_be_reached(void **state)
{
	(void)state;
	struct arena a;
	struct rule_list l = {0};
	arena_init(&a, 64 << 10, 16 << 20);
	struct str file = str_n((const char *)asset_rules_conf, asset_rules_conf_len);
	assert_int_equal(rulefile_parse(file, "rules.conf", true, &a, &l, NULL), 0);
	int dead = 0;
	for (size_t i = 0; i < l.n; i++)
		if (!reachable(&l.v[i])) {
			print_error("rules.conf:%d can never decide\n", l.v[i].verdict.rule_line);
			dead++;
		}
	assert_int_equal(dead, 0);
	assert_true(l.n > 100);
	free(l.v);
	arena_release(&a);
}

/* Each alternative text of a shipped rule is of use: some reply with it is decided by that rule. */
static void shipped_rules__each_text__can_decide(void **state)
{
	(void)state;
	struct arena a;
	struct rule_list l = {0};
	arena_init(&a, 64 << 10, 16 << 20);
	struct str file = str_n((const char *)asset_rules_conf, asset_rules_conf_len);
	assert_int_equal(rulefile_parse(file, "rules.conf", true, &a, &l, NULL), 0);
	int dead = 0;
	for (size_t i = 0; i < l.n; i++)
		for (size_t t = 0; t < l.v[i].ntexts; t++) {
			struct rule one = l.v[i];
			one.texts += t;
			one.ntexts = 1;
			if (!reachable(&one)) {
				print_error("rules.conf:%d: \"%.*s\" can never decide\n",
					one.verdict.rule_line, STR_ARG(one.texts[0].pieces[0]));
				dead++;
			}
		}
	assert_int_equal(dead, 0);
	free(l.v);
	arena_release(&a);
}

static void shipped_rules__each_reason__is_in_the_manual(void **state)
{
	(void)state;
	struct arena a;
	struct rule_list l = {0};
	struct buf doc = BUF_INIT(1 << 20);
	arena_init(&a, 64 << 10, 16 << 20);
	struct str file = str_n((const char *)asset_rules_conf, asset_rules_conf_len);
	assert_int_equal(rulefile_parse(file, "rules.conf", true, &a, &l, NULL), 0);
	assert_int_equal(file_read("docs/REASONS.md", &doc, NULL), 0);
	for (size_t i = 0; i < l.n; i++) {
		char word[40];
		snprintf(word, sizeof word, "`%.*s`", STR_ARG(l.v[i].verdict.reason));
		if (strstr(doc.p, word) == NULL)
			print_error("not in docs/REASONS.md: %s\n", word);
		assert_non_null(strstr(doc.p, word));
	}
	buf_release(&doc);
	free(l.v);
	arena_release(&a);
}

/* ---- files ---- */

static struct rules *load_text(const char *text, struct err *e)
{
	char path[] = "/tmp/test_outcome.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	*e = (struct err){0};
	struct rules *r = rules_load(path, e);
	unlink(path);
	return r;
}

static void user_file__is_read_before_the_shipped_rules(void **state)
{
	(void)state;
	struct err e;
	struct rules *r =
		load_text("# ours\r\n\r\n"
			  "example rcpt 550 x.1.1 \"User\\|*gone\" -> soft address our-reason retry\r\n"
			  "   delay=90s remedy=\"say \\\"so\" # why\r\n"
			  "*\t*\t4xx\t*\t* -> soft site later slow delay=1h\n",
			&e);
	assert_non_null(r);
	struct verdict v = decide(r, "example", "rcpt", 550, "5.1.1", "the user| has GONE");
	assert_string_equal(v.reason.p, "our-reason");
	assert_int_equal(v.delay, 90 * SECOND);
	assert_int_equal(v.rule_line, 3);
	assert_false(v.builtin);
	v = decide(r, "example", "rcpt", 550, "5.1.1", "gone is user| unknown");
	assert_true(v.builtin);
	assert_string_equal(v.reason.p, "user-unknown");
	v = decide(r, "", "end", 451, "", "");
	assert_string_equal(v.reason.p, "later");
	rules_free(&r);
	assert_null(r);
}

static void user_file__mistakes__are_errors_with_their_line(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		long line;
		const char *says;
	} bad[] = {
		{"* rcpt 550 *", 1, "a rule is"},
		{"\n\n* rcpt 550 * * hard address x fail", 3, "a rule is"},
		{"* rcpt 550 * * -> nasty address x fail", 1, "unknown class"},
		{"* rcpt 550 * * -> hard world x fail", 1, "unknown scope"},
		{"* rcpt 550 * * -> hard address x kill", 1, "unknown action"},
		{"* rcpt 550 * * -> hard address X! fail", 1, "not a reason"},
		{"* rcptt 550 * * -> hard address x fail", 1, "unknown stage"},
		{"* rcpt 5x0 * * -> hard address x fail", 1, "not a reply code"},
		{"* rcpt 650 * * -> hard address x fail", 1, "not a reply code"},
		{"* rcpt 550 5.1 * -> hard address x fail", 1, "not an enhanced code"},
		{"* rcpt 550 5.7.9-3 * -> hard address x fail", 1, "not an enhanced code"},
		{"* rcpt 550 5.1.1.1 * -> hard address x fail", 1, "not an enhanced code"},
		{"* rcpt 550 * word -> hard address x fail", 1, "quotation marks"},
		{"* rcpt 550 * \"open -> hard address x fail", 1, "not closed"},
		{"* rcpt 550 * \"a||b\" -> hard address x fail", 1, "empty piece"},
		{"* rcpt 550 * \"\" -> hard address x fail", 1, "empty piece"},
		{"* rcpt 550 * \"a*\" -> hard address x fail", 1, "empty piece"},
		{"Go_ogle rcpt 550 * * -> hard address x fail", 1, "provider"},
		{"* rcpt 450 * * -> hard address x suppress", 1, "suppress needs"},
		{"* mail 550 * * -> hard address x suppress", 1, "suppress needs"},
		{"* * 550 * * -> hard address x suppress", 1, "suppress needs"},
		{"* rcpt * * * -> hard address x suppress", 1, "suppress needs"},
		{"* rcpt 550 * * -> block address x suppress", 1, "suppress needs"},
		{"* rcpt 550 * * -> hard site x suppress", 1, "suppress needs"},
		{"* rcpt 550 * * -> config site x fail", 1, "does not end"},
		{"* rcpt 550 * * -> soft route x fail", 1, "does not end"},
		{"* rcpt 550 * * -> soft account x pause", 1, "pause="},
		{"* rcpt 550 * * -> soft account x retry pause=login", 1, "pause="},
		{"* rcpt 550 * * -> soft account x pause pause=lunch", 1, "unknown reason"},
		{"* rcpt 550 * * -> soft site x fail delay=5m", 1, "no delay"},
		{"* rcpt 550 * * -> soft site x slow delay=soon", 1, "not a delay"},
		{"* rcpt 550 * * -> soft site x slow delay=9d", 1, "not a delay"},
		{"* rcpt 550 * * -> soft site x retry delay=5m delay=6m", 1, "repeated"},
		{"* rcpt 550 * * -> soft site x retry remedy=", 1, "option"},
		{"* rcpt 550 * * -> soft site x retry remedy=\"\"", 1, "empty remedy"},
		{"* rcpt 550 * * -> soft site x retry colour=red", 1, "option"},
		{"* rcpt 550 * * -> soft site x retry\n* rcpt 550 * *\n  -> soft site x what", 2,
			"unknown action"},
		{"\n  * rcpt 550 * * -> soft site x retry", 2, "indented"},
		{"* rcpt 550 * \"a\x01\" -> soft site x retry", 1, "control character"},
		{"* a b c d e f g h i j k l m n o p q r s t", 1, "too many fields"},
		{"* rcpt 550 * "
		 "\"1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21|22|23|24|25|26|27|28|29|30|31|32|"
		 "33|34|"
		 "35|36|37|38|39|40|41|42|43|44|45|46|47|48|49|50|51|52|53|54|55|56|57|58|59|60|61|62|63|64|"
		 "65|66|67|68|69|70|71|"
		 "72|73|74|75|76|77|78|79|80|81|82|83|84|85|86|87|88|89|90|91|92|93|94|95|96|97|98|99|100|"
		 "101\" -> soft site x fail",
			1, "too many alternatives"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e;
		struct rules *r = load_text(bad[i].text, &e);
		if (r != NULL || e.code != ERR_CONFIG || e.line != bad[i].line ||
			strstr(e.why, bad[i].says) == NULL)
			print_error("%s: code %d line %ld: %s\n", bad[i].text, (int)e.code, e.line, e.why);
		assert_null(r);
		assert_int_equal(e.code, ERR_CONFIG);
		assert_int_equal(e.line, bad[i].line);
		assert_non_null(strstr(e.why, bad[i].says));
		assert_non_null(strstr(e.file, "test_outcome"));
	}
}

static void user_file__missing__is_an_error(void **state)
{
	(void)state;
	struct err e = {0};
	assert_null(rules_load("/nonexistent/rules.conf", &e));
	assert_int_equal(e.code, ERR_CONFIG);
}

static void decide__hostile_text__is_bounded(void **state)
{
	(void)state;
	char *big = malloc(100000);
	for (int i = 0; i < 100000; i++)
		big[i] = "a@ \0<>"[i % 6];
	struct verdict v;
	rules_decide(shipped, STR("x/y/z"), STR("rcpt"), 550, STR("5.99999999.1"), str_n(big, 100000), &v);
	assert_string_equal(v.reason.p, "recipient-refused");
	rules_decide(shipped, STR("/"), STR("rcpt"), 550, STR("5.1.1"), str_n(NULL, 0), &v);
	assert_string_equal(v.reason.p, "user-unknown");
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decide__known_replies__give_their_verdict),
		cmocka_unit_test(decide__what_receivers_are_known_to_say),
		cmocka_unit_test(decide__before_rcpt__never_ends_in_suppression),
		cmocka_unit_test(decide__every_code_and_stage__has_a_verdict),
		cmocka_unit_test(decide__words_in_a_quoted_address__do_not_count),
		cmocka_unit_test(decide__provider_behind_a_relay__matches_both_words),
		cmocka_unit_test(shipped_rules__each__can_be_reached),
		cmocka_unit_test(shipped_rules__each_text__can_decide),
		cmocka_unit_test(shipped_rules__each_reason__is_in_the_manual),
		cmocka_unit_test(user_file__is_read_before_the_shipped_rules),
		cmocka_unit_test(user_file__mistakes__are_errors_with_their_line),
		cmocka_unit_test(user_file__missing__is_an_error),
		cmocka_unit_test(decide__hostile_text__is_bounded),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
