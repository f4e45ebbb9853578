#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/consequence.h"
#include "src/db/ledger.h"

#include <stdio.h>

static struct rules *rules;
static ms_t delays[] = {5 * MINUTE, HOUR};
static struct config config = {
	.doubt = DOUBT_RESEND, .retry_delays = delays, .nretry = 2, .retry_expire = DAY};

static struct outcome_row row;
static struct verdict verdict;

static void decide(struct claim claim, enum smtp_stage stage, int code, const char *enhanced,
	const char *text, bool doubt)
{
	struct smtp_reply reply = {.code = code, .text = str_from(text)};
	snprintf(reply.enhanced, sizeof reply.enhanced, "%s", enhanced);
	struct smtp_result r = {.stage = stage,
		.tried = true,
		.accepted = code == 250 && stage == SMTP_END,
		.doubt = doubt,
		.reply = code != 0 ? &reply : NULL,
		.why = code != 0 ? NULL : text};
	struct attempt_facts f = {.claim = &claim, .result = &r, .now = 10 * MINUTE};
	consequence_decide(&config, rules, &f, &row, &verdict);
}

static const struct claim first = {.delivery = 77, .attempt = 1, .first_attempt = 10 * MINUTE};

static void accepted__is_sent__with_the_relays_own_id(void **state)
{
	(void)state;
	decide(first, SMTP_END, 250, "2.0.0", "Ok: queued as 4XyZ1k2M3n", false);
	assert_int_equal(row.kind, OUTCOME_FINAL);
	assert_int_equal(row.state, DELIVERY_SENT);
	assert_int_equal(row.relay_id.n, 10);
	assert_memory_equal(row.relay_id.p, "4XyZ1k2M3n", 10);
	assert_false(row.suppress);
}

static void relay_id__as_others_write_it(void **state)
{
	(void)state;
	const char *const replies[][2] = {
		{"OK id=1tEr5J-0000Ab-2f", "1tEr5J-0000Ab-2f"},
		{"Ok 0100018f3c2b1a09-aaaa-bbbb-000000", "0100018f3c2b1a09-aaaa-bbbb-000000"},
		{"6f1a2b3c Message accepted for delivery", "6f1a2b3c"},
		{"ok 1700000000 qp 12345", "12345"},
		{" 1384 byte chunk, total 1384 OK id=1xV4Nh-000008-0p", "1xV4Nh-000008-0p"},
		{"Ok: queued as HHGyT1QwRbaNgVC-Gs8eDg", "HHGyT1QwRbaNgVC-Gs8eDg"},
		{"OK queued as 3f0c8b1e-0001-4c1d-9f1e-000000000000", "3f0c8b1e-0001-4c1d-9f1e-000000000000"},
		{"OK: queued as <202611220905.12345@smtp-relay.example>",
			"202611220905.12345@smtp-relay.example"},
		{"OK  1700000000 d9443c01a7336-1d0c0b72-si1234567plb.12 - gsmtp",
			"d9443c01a7336-1d0c0b72-si1234567plb.12"},
		{"<a1@books.example> [InternalId=12345678901234, Hostname=AM0PR01.prod.outlook.com] 12345 "
		 "bytes in "
		 "0.123, 97.5 KB/sec Queued mail for delivery",
			"12345678901234"},
		{"OK ids=1f0c8b1ea9b611ee8c990242ac120002", "1f0c8b1ea9b611ee8c990242ac120002"},
		{"Message Queued (9B1C0F66-0F5D-4E3B-8B2D-0A7F4F5C9E10.1)",
			"9B1C0F66-0F5D-4E3B-8B2D-0A7F4F5C9E10.1"},
		{"Message queued with id 16f2c3a4b5d6e7f8.", "16f2c3a4b5d6e7f8"},
		{"OK 5A/C4-32045-1F7EB355", "5A/C4-32045-1F7EB355"},
		{"Received OK [x1YzAbCdEfGh1234567890.uk123]", "x1YzAbCdEfGh1234567890.uk123"},
		{"Great success", ""},
		{"Queued. Thank you.", ""},
		{"Requested mail action okay, completed", ""},
		{"Ok thanks", ""},
		{"", ""},
	};
	for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
		struct str id = consequence_relay_id(str_from(replies[i][0]));
		assert_int_equal(id.n, strlen(replies[i][1]));
		assert_memory_equal(id.p != NULL ? id.p : "", replies[i][1], id.n);
	}
}

static void unknown_user__bounces_and_suppresses(void **state)
{
	(void)state;
	decide(first, SMTP_RCPT, 550, "5.1.1", "no such user here", false);
	assert_int_equal(row.state, DELIVERY_BOUNCED);
	assert_int_equal(row.class, CLASS_HARD);
	assert_true(row.suppress);
}

static void reputation_login_or_content__never_touch_the_address(void **state)
{
	(void)state;
	static const struct {
		enum smtp_stage stage;
		int code;
		const char *enhanced, *text;
	} cases[] = {
		{SMTP_RCPT, 554, "5.7.1", "Service unavailable; client host blocked using zen.spamhaus.org"},
		{SMTP_END, 550, "5.7.1", "message rejected as spam"},
		{SMTP_END, 552, "5.3.4", "message too big"},
		{SMTP_MAIL, 553, "5.7.1", "sender address rejected: not owned by user"},
		{SMTP_AUTH, 535, "5.7.8", "authentication failed"},
		{SMTP_MAIL, 550, "5.1.1", "no such user"},
		{SMTP_RCPT, 450, "4.1.1", "user unknown, try later"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		decide(first, cases[i].stage, cases[i].code, cases[i].enhanced, cases[i].text, false);
		assert_false(row.suppress);
		assert_int_not_equal(row.class, CLASS_HARD);
	}
}

static void sender_refused__stays_queued_and_pauses(void **state)
{
	(void)state;
	decide(first, SMTP_MAIL, 553, "5.7.1", "sender address rejected: not owned by user", false);
	assert_int_equal(row.kind, OUTCOME_REQUEUE);
	assert_int_equal(verdict.action, ACTION_PAUSE);
	assert_int_equal(row.due, 10 * MINUTE);
}

static void temporary__is_deferred_by_the_schedule__then_expires(void **state)
{
	(void)state;
	decide(first, SMTP_RCPT, 450, "4.2.0", "greylisted, try again later", false);
	assert_int_equal(row.kind, OUTCOME_DEFER);
	assert_true(row.due >= 15 * MINUTE);
	struct claim old = first;
	old.attempt = 30;
	old.first_attempt = -DAY;
	decide(old, SMTP_RCPT, 450, "4.2.0", "greylisted, try again later", false);
	assert_int_equal(row.kind, OUTCOME_FINAL);
	assert_int_equal(row.state, DELIVERY_EXPIRED);
}

static void doubt__is_resent_once__or_as_the_rule_says(void **state)
{
	(void)state;
	struct claim again = first;
	again.doubted = true;
	decide(first, SMTP_END, 0, "", "closed", true);
	assert_int_equal(row.kind, OUTCOME_DOUBT);
	assert_true(row.due > 10 * MINUTE);
	decide(again, SMTP_END, 0, "", "closed", true);
	assert_int_equal(row.kind, OUTCOME_DOUBT);
	assert_int_equal(row.due, 0);
	const enum doubt_rule others[] = {DOUBT_FINAL, DOUBT_HOLD};
	for (size_t i = 0; i < 2; i++) {
		config.doubt = others[i];
		decide(first, SMTP_END, 0, "", "closed", true);
		assert_int_equal(row.due, 0);
	}
	config.doubt = DOUBT_RESEND;
}

static void closed_before_the_end__is_tried_again(void **state)
{
	(void)state;
	decide(first, SMTP_DATA, 0, "", "the server closed the connection", false);
	assert_true(row.kind == OUTCOME_DEFER || row.kind == OUTCOME_REQUEUE);
	assert_true(row.due > 10 * MINUTE);
}

static void unsited(struct claim claim, enum smtp_stage stage, int code, const char *text, const char *reason)
{
	struct unsited_facts f = {.claim = &claim,
		.stage = stage,
		.code = code,
		.enhanced = STR(""),
		.text = str_from(text),
		.reason = reason,
		.now = 10 * MINUTE};
	consequence_unsited(&config, rules, &f, &row, &verdict);
}

static void no_host__is_deferred_or_bounces__and_never_suppresses(void **state)
{
	(void)state;
	unsited(first, SMTP_DNS, 556, "takes no mail", "domain-refuses-mail");
	assert_int_equal(row.state, DELIVERY_BOUNCED);
	assert_true(str_is(row.reason, "domain-refuses-mail"));
	assert_false(row.suppress);
	unsited(first, SMTP_DNS, 450, "no answer", "dns-failed");
	assert_int_equal(row.state, DELIVERY_DEFERRED);
	assert_int_not_equal(row.due, 0);
	unsited(first, SMTP_CONNECT, 0, "192.0.2.1 port 25: Connection refused", NULL);
	assert_int_equal(row.state, DELIVERY_DEFERRED);
	assert_true(str_is(row.reason, "connection-refused"));
	struct claim old = first;
	old.attempt = 9;
	old.first_attempt = 10 * MINUTE - DAY;
	unsited(old, SMTP_CONNECT, 0, "192.0.2.1 port 25: Connection refused", NULL);
	assert_int_equal(row.state, DELIVERY_EXPIRED);
}

static int setup(void **state)
{
	struct err e = {0};
	(void)state;
	rules = rules_load(NULL, &e);
	return rules == NULL;
}

static int teardown(void **state)
{
	(void)state;
	rules_free(&rules);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted__is_sent__with_the_relays_own_id),
		cmocka_unit_test(relay_id__as_others_write_it),
		cmocka_unit_test(unknown_user__bounces_and_suppresses),
		cmocka_unit_test(reputation_login_or_content__never_touch_the_address),
		cmocka_unit_test(sender_refused__stays_queued_and_pauses),
		cmocka_unit_test(temporary__is_deferred_by_the_schedule__then_expires),
		cmocka_unit_test(doubt__is_resent_once__or_as_the_rule_says),
		cmocka_unit_test(closed_before_the_end__is_tried_again),
		cmocka_unit_test(no_host__is_deferred_or_bounces__and_never_suppresses),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
