/* The reader of returned mail: what it finds in the messages of tests/bounces, in each of them cut anywhere,
 * and in what nobody should have to read. */
#include "tests/unit/reader_fixture.h"

#include "src/base/file.h"
#include "src/db/delivery.h"

#include <stdio.h>
#include <stdlib.h>

#define FOLDER   "tests/bounces/"
#define FILE_MAX (8 << 20)

static struct str next_column(struct str *line, char by)
{
	size_t n = str_find(*line, by);
	struct str column = str_n(line->p, n);
	*line = n < line->n ? str_n(line->p + n + 1, line->n - n - 1) : str_n(line->p + n, 0);
	return column;
}

/* One line of expected.tsv. */
struct wanted {
	struct str file, kind, class, recipients, reason;
};

static struct wanted wanted_parse(struct str line)
{
	struct wanted w = {0};
	w.file = next_column(&line, '\t');
	w.kind = next_column(&line, '\t');
	w.class = next_column(&line, '\t');
	next_column(&line, '\t');
	w.recipients = next_column(&line, '\t');
	next_column(&line, '\t');
	w.reason = next_column(&line, '\t');
	return w;
}

static void load(struct str name, struct buf *b)
{
	char path[300];
	snprintf(path, sizeof path, FOLDER "messages/%.*s", STR_ARG(name));
	buf_clear(b);
	struct err e = {0};
	if (file_read(path, b, &e) != 0)
		fail_msg("%s: %s", path, e.why);
}

/* ---- comparing ---- */

static bool is_named(const struct findings *f, struct str alternatives)
{
	while (alternatives.n != 0) {
		struct str one = next_column(&alternatives, '|');
		for (size_t i = 0; i < f->nfailures; i++)
			if (f->failures[i].address.n == one.n &&
				strncasecmp(f->failures[i].address.p, one.p, one.n) == 0)
				return true;
	}
	return false;
}

static bool recipients_match(const struct findings *f, struct str recipients)
{
	size_t n = 0;
	if (str_is(recipients, "-"))
		return f->nfailures == 0;
	for (; recipients.n != 0; n++)
		if (!is_named(f, next_column(&recipients, ' ')))
			return false;
	return n == f->nfailures;
}

static const char *class_of(const struct findings *f)
{
	size_t hard = 0;
	for (size_t i = 0; i < f->nfailures; i++)
		hard += f->failures[i].verdict.class == CLASS_HARD;
	if (f->kind != MAIL_BOUNCE && f->kind != MAIL_DELAYED)
		return "-";
	return hard == 0 ? "soft" : hard == f->nfailures ? "hard" : "mixed";
}

static bool reason_matches(const struct findings *f, struct str reason)
{
	for (size_t i = 0; i < f->nfailures; i++)
		if (str_eq(f->failures[i].verdict.reason, reason))
			return true;
	return str_is(reason, "-") || str_is(reason, "*");
}

static int judge(const struct wanted *w, const struct findings *f)
{
	bool right = str_is(w->kind, mail_kind_names[f->kind]) && recipients_match(f, w->recipients) &&
		     str_is(w->class, class_of(f)) && reason_matches(f, w->reason);
	if (right)
		return 0;
	print_error("%.*s: wanted %.*s %.*s %.*s %.*s, found %s %s:", STR_ARG(w->file), STR_ARG(w->kind),
		STR_ARG(w->class), STR_ARG(w->recipients), STR_ARG(w->reason), mail_kind_names[f->kind],
		class_of(f));
	for (size_t i = 0; i < f->nfailures; i++)
		print_error(" %.*s %.*s", STR_ARG(f->failures[i].address),
			STR_ARG(f->failures[i].verdict.reason));
	print_error("\n");
	return 1;
}

static void each_message(int (*visit)(const struct wanted *w, struct str message))
{
	struct buf list = BUF_INIT(FILE_MAX), b = BUF_INIT(FILE_MAX);
	assert_int_equal(file_read(FOLDER "expected.tsv", &list, NULL), 0);
	struct str rest = buf_get(&list);
	int n = 0, wrong = 0;
	while (rest.n != 0) {
		struct str line = next_column(&rest, '\n');
		if (line.n == 0 || line.p[0] == '#')
			continue;
		struct wanted w = wanted_parse(line);
		load(w.file, &b);
		wrong += visit(&w, buf_get(&b));
		n++;
	}
	buf_release(&list);
	buf_release(&b);
	assert_int_equal(wrong, 0);
	assert_true(n > 60);
}

/* ---- the tests ---- */

static int read_and_judge(const struct wanted *w, struct str message)
{
	struct findings f;
	assert_int_equal(reader_read(reader, message, NULL, &f), 0);
	return judge(w, &f);
}

static void messages__each__is_what_it_is(void **state)
{
	(void)state;
	each_message(read_and_judge);
}

/* Cut anywhere, nothing that is no bounce becomes one, and no soft failure a hard one. */
static int read_cut(const struct wanted *w, struct str message)
{
	bool bounce = str_is(w->kind, "bounce") || str_is(w->kind, "delayed");
	for (size_t n = 0; n < message.n; n += 1 + message.n / 97) {
		struct findings f;
		char *copy = malloc(n + 1); /* its own, so that reading beyond the end shows */
		assert_non_null(copy);
		memcpy(copy, message.p, n);
		assert_int_equal(reader_read(reader, str_n(copy, n), NULL, &f), 0);
		bool found = f.kind == MAIL_BOUNCE || f.kind == MAIL_DELAYED;
		if (found && !bounce)
			print_error("%.*s cut at %zu is taken for a bounce\n", STR_ARG(w->file), n);
		free(copy);
		if (found && !bounce)
			return 1;
	}
	return 0;
}

static void messages__cut_anywhere__stay_harmless(void **state)
{
	(void)state;
	each_message(read_cut);
}

/* What is no bounce is none at a return path either, and not with the null sender of an answering program. */
static int read_at_return_path(const struct wanted *w, struct str message)
{
	if (str_is(w->kind, "bounce") || str_is(w->kind, "delayed"))
		return 0;
	struct buf b = BUF_INIT(FILE_MAX);
	buf_puts(&b,
		"Return-Path: <>\r\nDelivered-To: b-mfrggzdfmztwq2lknnwg23tpob@bounces.books.example\r\n");
	buf_str(&b, message);
	struct findings f;
	assert_int_equal(reader_read(reader, buf_get(&b), NULL, &f), 0);
	bool found = f.kind == MAIL_BOUNCE || f.kind == MAIL_DELAYED;
	if (found)
		print_error("%.*s is taken for a bounce at a return path\n", STR_ARG(w->file));
	buf_release(&b);
	return found;
}

static void messages__no_bounce__is_none_at_a_return_path(void **state)
{
	(void)state;
	each_message(read_at_return_path);
}

static void fields_of(const char *name, struct findings *f)
{
	static struct buf b = BUF_INIT(FILE_MAX);
	load(str_from(name), &b);
	assert_int_equal(reader_read(reader, buf_get(&b), NULL, f), 0);
}

static void str_equals(struct str s, const char *z)
{
	if (!str_is(s, z))
		fail_msg("wanted \"%s\", found \"%.*s\"", z, STR_ARG(s));
}

static void failure__of_a_report__has_its_evidence(void **state)
{
	(void)state;
	struct findings f;
	fields_of("postfix-rcpt.eml", &f);
	const struct failure *x = &f.failures[0];
	assert_int_equal(x->code, 550);
	assert_int_equal(x->action, REPORT_FAILED);
	str_equals(x->enhanced, "5.1.1");
	str_equals(x->command, "rcpt");
	str_equals(x->host, "mx.example.net");
	str_equals(x->diagnostic, "550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown");
	assert_string_equal(x->who.source, "delivery-status");
	assert_int_equal(x->who.part, 2);
	assert_true(x->who.line > 30);
	assert_true(x->verdict.rule_line > 0);
	str_equals(f.relay_id, "4Xyz12abcdz9");
	str_equals(f.reporting_host, "relay.example.org");
}

/* Some servers say very much: what they say first is what they mean. */
static void failure__with_an_endless_reply__is_read_by_its_beginning(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(1 << 16);
	struct findings f;
	buf_puts(&b, "From: MAILER-DAEMON@a.example\r\nSubject: Undelivered Mail Returned to Sender\r\n\r\n"
		     "Your message could not be delivered to the following recipients:\r\n\r\n"
		     "ann@example.net\r\n552 5.2.2 mailbox full");
	for (int i = 0; i < 600; i++)
		buf_puts(&b, ", and more");
	buf_puts(&b, "\r\n");
	assert_int_equal(reader_read(reader, buf_get(&b), NULL, &f), 0);
	assert_int_equal(f.nfailures, 1);
	str_equals(f.failures[0].address, "ann@example.net");
	assert_int_equal(f.failures[0].code, 552);
	str_equals(f.failures[0].verdict.reason, "mailbox-full");
	assert_true(str_starts(f.failures[0].diagnostic, STR("552 5.2.2 mailbox full, and")));
	buf_release(&b);
}

static bool has_candidate(const struct findings *f, enum candidate_place place, const char *text)
{
	for (size_t i = 0; i < f->ncandidates; i++)
		if (f->candidates[i].place == place &&
			memmem(f->candidates[i].text.p, f->candidates[i].text.n, text, strlen(text)) != NULL)
			return true;
	return false;
}

static void candidates__tokens_of_path_and_returned_header__are_offered(void **state)
{
	(void)state;
	struct findings f;
	static const char *const forms[] = {
		"postfix-rcpt.eml", "exim-rcpt.eml", "qmail-remote.eml", "arf-abuse.eml"};
	for (size_t i = 0; i < 4; i++) {
		fields_of(forms[i], &f);
		assert_true(has_candidate(&f, CANDIDATE_RETURNED, "b-mfrggzdfmztwq2lknnwg23tpob@"));
		assert_true(has_candidate(&f, CANDIDATE_RETURNED, "mfrggzdfmztwq2lk@books.example"));
		assert_true(has_candidate(&f, CANDIDATE_RETURNED, "u-mfrggzdfmztwq@"));
		str_equals(f.message_id, "mfrggzdfmztwq2lk@books.example");
	}
	fields_of("postfix-rcpt.eml", &f);
	assert_true(has_candidate(&f, CANDIDATE_RETURN_PATH, "b-mfrggzdfmztwq2lknnwg23tpob@"));
}

static void envelope__recipient__is_the_first_candidate(void **state)
{
	(void)state;
	struct findings f;
	struct envelope env = {.recipient = STR("b-envelope@bounces.example"), .sender_known = true};
	assert_int_equal(reader_read(reader, STR("Subject: x\r\n\r\ny\r\n"), &env, &f), 0);
	assert_int_equal(f.kind, MAIL_NONE);
	str_equals(f.candidates[0].text, "b-envelope@bounces.example");
}

static void feedback__fields__are_found(void **state)
{
	(void)state;
	struct findings f;
	fields_of("arf-abuse.eml", &f);
	str_equals(f.feedback.type, "abuse");
	str_equals(f.feedback.source_ip, "192.0.2.10");
	str_equals(f.feedback.reported_domain, "books.example");
	assert_true(f.feedback.arrival.n > 10);
	assert_true(has_candidate(&f, CANDIDATE_REPORT, "b-mfrggzdfmztwq2lknnwg23tpob@"));
	fields_of("arf-auth-failure.eml", &f);
	str_equals(f.feedback.auth_failure, "dmarc");
}

/* 3 MB of parts in parts, and other shapes that cost readers their time: an answer, and soon. */
static void endless__nesting_addresses_and_fields__are_bounded(void **state)
{
	(void)state;
	static const char *const pieces[] = {
		"Content-Type: multipart/mixed; boundary=\"x%d\"\r\n\r\n--x%d\r\n",
		"Content-Type: message/rfc822\r\n\r\nFrom: MAILER-DAEMON@a.example\r\n",
		"Final-Recipient: rfc822; a%d@b%d.example\r\nAction: failed\r\n",
		"<a%d@b%d.example>: 550 5.1.1 unknown user\r\n",
		"--x%d\r\nContent-Type: text/plain\r\n\r\n%d",
		"@@@@<<<<%d%d",
		"=?utf-8?q?%d%d",
		"\x1b$B%d%d\x1b(B",
	};
	for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
		struct buf b = BUF_INIT(4 << 20);
		buf_puts(&b,
			"From: MAILER-DAEMON@a.example\r\nSubject: failure notice\r\nX-Failed-Recipients: ");
		buf_puts(&b, p == 5 ? "" : "a@b.example\r\nMIME-Version: 1.0\r\n");
		for (int i = 0; b.len < (3 << 20); i++) {
			char piece[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(piece, sizeof piece, pieces[p], i, i);
#pragma GCC diagnostic pop
			buf_puts(&b, piece);
		}
		struct findings f;
		assert_int_equal(reader_read(reader, buf_get(&b), NULL, &f), 0);
		assert_true(f.cut);
		assert_true(f.nfailures <= READER_FAILURES && f.ncandidates <= READER_CANDIDATES);
		buf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages__each__is_what_it_is),
		cmocka_unit_test(messages__cut_anywhere__stay_harmless),
		cmocka_unit_test(messages__no_bounce__is_none_at_a_return_path),
		cmocka_unit_test(failure__of_a_report__has_its_evidence),
		cmocka_unit_test(failure__with_an_endless_reply__is_read_by_its_beginning),
		cmocka_unit_test(candidates__tokens_of_path_and_returned_header__are_offered),
		cmocka_unit_test(envelope__recipient__is_the_first_candidate),
		cmocka_unit_test(feedback__fields__are_found),
		cmocka_unit_test(endless__nesting_addresses_and_fields__are_bounded),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
