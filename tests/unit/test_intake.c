/* From the bytes of a returned message to what follows from it: whose it is, and what it does to them. */
#include "src/db/report.h"
#include "tests/unit/store_fixture.h"

#include "engine/bounce/intake.h"
#include "engine/bounce/provider.h"
#include "src/base/file.h"

#include <ctype.h>

struct world { /* a campaign to 8 people, sent */
	struct fixture *f;
	char secret[128];
	struct token_keys *keys;
	struct token_signer *signer;
	struct rules *rules;
	struct config cfg;
	struct config_route routes[2];
	struct intake *in;
	struct arena arena;
	struct claims c;
	int64_t campaign;
	struct intake_result res;
	ms_t sent;
	int unread;
	bool cut; /* the kept evidence is */
};

static void write_keys(struct world *w, const char *text)
{
	unlink(w->secret);
	OK(w->f, file_write(w->secret, str_from(text), 0600, &w->f->e));
	intake_free(&w->in);
	token_signer_free(&w->signer);
	token_keys_free(&w->keys);
	OK(w->f, token_keys_load(w->secret, &w->keys, &w->f->e));
	w->signer = token_signer_new(w->keys);
	const struct intake_options o = {
		.config = &w->cfg, .keys = w->keys, .rules = w->rules, .store = w->f->s};
	OK(w->f, intake_new(&w->in, &o, &w->f->e));
}

#define KEY0 "0:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
#define KEY1 "1:ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100\n"

static void start(struct world *w, struct fixture *f)
{
	*w = (struct world){.f = f, .sent = clock_now() - HOUR};
	snprintf(w->secret, sizeof w->secret, "%s/secret", f->dir);
	w->routes[0] = (struct config_route){.name = "main", .kind = ROUTE_RELAY};
	w->routes[1] =
		(struct config_route){.name = "other", .kind = ROUTE_RELAY, .envelope = ROUTE_ENVELOPE_RELAY};
	w->cfg = (struct config){.return_path = {.domain = "bounces.example"},
		.unsubscribe = {.scope_all = true},
		.routes = w->routes,
		.nroutes = 2};
	OK(f, (w->rules = rules_load(NULL, &f->e)) != NULL ? 0 : -1);
	arena_init(&w->arena, 4096, 1 << 24);
	w->c.arena = &w->arena;
	fixture_people(f, "news", 1, 8);
	fixture_lease(f);
	w->campaign = fixture_campaign(f, "june", 0);
	struct audience au = {.lists = {fixture_list(f, "news")}, .nlists = 1};
	fixture_prepare(f, w->campaign, &au, 100);
	fixture_claim(f, w->campaign, CLAIM_FRESH, 100, w->sent, &w->c);
	for (size_t i = 0; i < w->c.n; i++) {
		struct outcome_row o = fixture_sent(w->c.v[i].delivery, w->sent + 1);
		o.route = i == 7 ? STR("other") : STR("main");
		fixture_record(f, &o, 1, w->sent + 1);
	}
	write_keys(w, KEY0);
}

static void end(struct world *w)
{
	fixture_check(w->f);
	intake_free(&w->in);
	token_signer_free(&w->signer);
	token_keys_free(&w->keys);
	rules_free(&w->rules);
	free(w->c.v);
	arena_release(&w->arena);
	unlink(w->secret);
}

static const char *token(struct world *w, enum token_purpose p, int n)
{
	static char out[4][TOKEN_MAX];
	static int at;
	char *t = out[at++ % 4];
	token_delivery(w->signer, p, DELIVERY_ID(w->campaign, n), t);
	return t;
}

/* A report as Postfix writes it. `to`: where it was sent; `returned`: headers of what came back. */
static struct str report(struct world *w, const char *to, const char *who, const char *status,
	const char *said, const char *returned)
{
	static int n;
	return arena_printf(&w->arena,
		"From: MAILER-DAEMON@mx.example (Mail Delivery System)\r\n"
		"Subject: Undelivered Mail Returned to Sender\r\n"
		"To: %s\r\nMessage-Id: <%d.4F2@mx.example>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: "
		"1.0\r\n"
		"Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n"
		"--b\r\nContent-Type: text/plain\r\n\r\nI'm sorry to have to inform you that your message "
		"could not "
		"be delivered.\r\n\r\n<%s>: host mx.example said: %s (in reply to RCPT TO command)\r\n\r\n"
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
		"Final-Recipient: rfc822; %s\r\nAction: failed\r\nStatus: %s\r\nRemote-MTA: dns; "
		"mx.example\r\n"
		"Diagnostic-Code: smtp; %s\r\n\r\n"
		"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n%s\r\n--b--\r\n",
		to, ++n, who, said, who, status, said, returned);
}

static const struct intake_event *give_from(
	struct world *w, struct str message, const char *recipient, const struct intake_source *src, ms_t at)
{
	const struct envelope env = {.recipient = str_from(recipient), .sender_known = true};
	OK(w->f, intake_message(w->in, message, recipient != NULL ? &env : NULL, src, at, &w->res, &w->f->e));
	return w->res.nevents != 0 ? &w->res.events[0] : NULL;
}

static const struct intake_event *give(struct world *w, struct str message, const char *recipient)
{
	static const struct intake_source src = {.name = "test"};
	return give_from(w, message, recipient, &src, clock_now());
}

static const char *return_path(struct world *w, int n)
{
	static char out[2][120];
	static int at;
	char *t = out[at++ % 2];
	snprintf(t, sizeof out[0], "b-%s@bounces.example", token(w, TOKEN_RETURN_PATH, n));
	return t;
}

#define UNKNOWN                                                                                              \
	"550 5.1.1 <p1@docomo.ne.jp>: Recipient address rejected: User unknown in virtual mailbox table"

static bool suppressed(struct world *w, const char *key)
{
	struct suppression_query q = {.key = str_from(key), .list = -1, .reason = -1};
	int64_t n;
	OK(w->f, store_unsuppress(w->f->s, &q, STR(""), true, &n, &w->f->e));
	return n != 0;
}

static int64_t nsuppressed(struct world *w)
{
	return fixture_sql(w->f, "SELECT count(*) FROM suppression");
}

static int64_t in_state(struct world *w, enum delivery_state st)
{
	struct campaign_counts n;
	OK(w->f, store_campaign_counts(w->f->s, w->campaign, true, &n, &w->f->e));
	return n.state[st];
}

static void valid_token__hard__suppresses_its_person_whomever_it_names(void **state)
{
	struct world w;
	start(&w, *state);
	const char *to = return_path(&w, 1);
	const struct intake_event *ev =
		give(&w, report(&w, to, "forwarded@z.example", "5.1.1", UNKNOWN, ""), to);
	assert_non_null(ev);
	assert_int_equal(w.res.found.kind, MAIL_BOUNCE);
	assert_int_equal(ev->who.trust, TRUST_RETURN_PATH);
	assert_int_equal(ev->class, CLASS_HARD);
	assert_true(ev->done.lowered && ev->done.suppressed);
	assert_string_equal(ev->address.p, "p1@docomo.ne.jp");
	assert_true(suppressed(&w, "p1@docomo.ne.jp"));
	assert_int_equal(nsuppressed(&w), 1);
	end(&w);
}

static void the_same_from_two_sources__counts_once(void **state)
{
	struct world w;
	start(&w, *state);
	const char *to = return_path(&w, 2);
	struct str m = report(&w, to, "p2@x.example", "4.2.2", "452 4.2.2 mailbox full", ""),
		   copy = arena_printf(&w.arena, "Received: from another way\r\nDelivered-To: %s\r\n%.*s", to,
			   STR_ARG(m));
	const struct intake_event *ev = give(&w, m, to);
	int64_t id = ev->done.id;
	assert_false(ev->done.duplicate);
	/* Where nobody knows the envelope, Delivered-To says it. */
	ev = give_from(&w, copy, NULL, &(struct intake_source){.name = "mailbox"}, clock_now());
	assert_true(ev->done.duplicate);
	assert_int_equal(ev->done.id, id);
	assert_int_equal(in_state(&w, DELIVERY_BOUNCED), 1);
	assert_int_equal(fixture_sql(w.f, "SELECT soft FROM trouble"), 1);
	end(&w);
}

static void forged_tampered_and_foreign__change_nobody(void **state)
{
	struct world w;
	start(&w, *state);
	/* Nothing but the victim's address, also with a header that looks like ours. */
	struct str m = report(&w, "news@example.com", "p1@docomo.ne.jp", "5.1.1", UNKNOWN,
		"Message-ID: <x@example.com>\r\nTo: p1@docomo.ne.jp\r\n");
	const struct intake_event *ev = give(&w, m, "news@example.com");
	assert_int_equal(ev->who.trust, TRUST_NONE);
	/* Every single character of a real one changed. */
	const char *good = token(&w, TOKEN_RETURN_PATH, 1);
	for (size_t i = 0; good[i] != '\0'; i++) {
		char bad[TOKEN_MAX], to[120];
		snprintf(bad, sizeof bad, "%s", good);
		bad[i] = bad[i] == 'a' ? 'b' : 'a';
		snprintf(to, sizeof to, "b-%s@bounces.example", bad);
		assert_int_equal(intake_address(w.in, str_from(to)), TOKEN_ADDRESS_NONE);
		ev = give(&w, report(&w, to, "p1@docomo.ne.jp", "5.1.1", UNKNOWN, ""), to);
		assert_int_equal(ev->who.trust, TRUST_NONE);
	}
	/* A token of another purpose in its place. */
	char to[120];
	snprintf(to, sizeof to, "b-%s@bounces.example", token(&w, TOKEN_MESSAGE_ID, 1));
	ev = give(&w, report(&w, to, "p1@docomo.ne.jp", "5.1.1", UNKNOWN, ""), to);
	assert_int_equal(ev->who.trust, TRUST_NONE);
	assert_non_null(ev->who.why_not);
	assert_int_equal(nsuppressed(&w), 0);
	assert_int_equal(in_state(&w, DELIVERY_SENT), 8);
	end(&w);
}

static void token_of_any_case_and_rewritten__is_read(void **state)
{
	struct world w;
	start(&w, *state);
	char to[200];
	snprintf(to, sizeof to, "SRS0=ab4c=TT=bounces.example=B-%s@forwarder.example",
		token(&w, TOKEN_RETURN_PATH, 3));
	for (char *p = to; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	assert_int_equal(intake_address(w.in, str_from(to)), TOKEN_ADDRESS_RETURN);
	const struct intake_event *ev = give(&w, report(&w, to, "p3@y.example", "5.1.1", UNKNOWN, ""), to);
	assert_true(ev->done.suppressed);
	end(&w);
}

static void key_rotation__old_tokens_hold_while_their_line_stands(void **state)
{
	struct world w;
	start(&w, *state);
	char to[120];
	snprintf(to, sizeof to, "%s", return_path(&w, 1));
	write_keys(&w, KEY0 KEY1);
	assert_int_equal(intake_address(w.in, str_from(to)), TOKEN_ADDRESS_RETURN);
	assert_int_equal(intake_address(w.in, str_from(return_path(&w, 1))), TOKEN_ADDRESS_RETURN);
	write_keys(&w, KEY1);
	assert_int_equal(intake_address(w.in, str_from(to)), TOKEN_ADDRESS_NONE);
	end(&w);
}

static void message_id__counts_where_the_return_path_is_not_ours(void **state)
{
	struct world w;
	start(&w, *state);
	char headers[200];
	for (int n = 7; n <= 8; n++) { /* number 8 went by the route that has its own sender */
		snprintf(headers, sizeof headers, "Message-ID: <%s@books.example>\r\nSubject: June\r\n",
			token(&w, TOKEN_MESSAGE_ID, n));
		const struct intake_event *ev =
			give(&w, report(&w, "x@relay.example", "z@z.example", "5.1.1", UNKNOWN, headers),
				"x@relay.example");
		assert_int_equal(ev->who.trust, n == 8 ? TRUST_RETURNED : TRUST_NONE);
		assert_int_equal(ev->done.suppressed, n == 8);
	}
	/* Nor has anybody one of their own with a fixed return path. */
	w.cfg.return_path.domain = NULL;
	w.cfg.return_path.address = "bounce@books.example";
	snprintf(headers, sizeof headers, "Message-ID: <%s@books.example>\r\n",
		token(&w, TOKEN_MESSAGE_ID, 1));
	assert_true(give(&w, report(&w, "bounce@books.example", "z@z.example", "5.1.1", UNKNOWN, headers),
		"bounce@books.example")
			    ->done.suppressed);
	end(&w);
}

static void late__and_partly_delivered__change_nothing(void **state)
{
	struct world w;
	static const struct intake_source src = {.name = "test"};
	start(&w, *state);
	const char *to = return_path(&w, 1);
	const struct intake_event *ev = give_from(&w, report(&w, to, "p1@docomo.ne.jp", "5.1.1", UNKNOWN, ""),
		to, &src, w.sent + INTAKE_LATE + HOUR);
	assert_true(ev->late && !ev->done.lowered);
	to = return_path(&w, 2);
	struct str m = report(&w, to, "one@z.example", "5.1.1", UNKNOWN, ""),
		   both = arena_printf(&w.arena, "%.*s", STR_ARG(m));
	const char *second =
		"Final-Recipient: rfc822; two@z.example\r\nAction: delivered\r\nStatus: 2.0.0\r\n\r\n";
	char *at = strstr(both.p, "--b\r\nContent-Type: text/rfc822-headers");
	struct str whole = arena_printf(&w.arena, "%.*s%s%s", (int)(at - both.p), both.p, second, at);
	ev = give(&w, whole, to);
	assert_true(ev->partial && !ev->done.lowered);
	assert_int_equal(nsuppressed(&w), 0);
	assert_int_equal(in_state(&w, DELIVERY_SENT), 8);
	end(&w);
}

static struct str plain(struct world *w, const char *headers, const char *text)
{
	return arena_printf(&w->arena, "From: someone@x.example\r\n%s\r\n\r\n%s\r\n", headers, text);
}

static void auto_replies_and_letters__are_nothing(void **state)
{
	struct world w;
	start(&w, *state);
	const char *to = return_path(&w, 1);
	assert_null(give(
		&w, plain(&w, "Subject: Out of office\r\nAuto-Submitted: auto-replied", "I am away."), to));
	assert_null(give(&w, plain(&w, "Subject: your newsletter", "I liked it."), to));
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM returned"), 0);
	end(&w);
}

static const char *stop_address(struct world *w, const char *key, int64_t list, int64_t campaign)
{
	static char out[120];
	char t[TOKEN_MAX];
	token_unsubscribe(w->signer, fixture_contact(w->f, key), list, campaign, t);
	snprintf(out, sizeof out, "u-%s@bounces.example", t);
	return out;
}

static void unsubscribe_by_mail__once__with_the_configured_scope(void **state)
{
	struct world w;
	struct campaign_row c;
	start(&w, *state);
	int64_t news = fixture_list(w.f, "news");
	const char *to = stop_address(&w, "p1@docomo.ne.jp", 0, w.campaign);
	const struct intake_event *ev = give(&w, plain(&w, "Subject: unsubscribe", ""), to);
	assert_true(ev->effect == RETURNED_STOP && ev->done.unsubscribed);
	assert_true(give(&w, plain(&w, "Subject: please!", "again"), to)->done.duplicate);
	/* A mail program's own form of it, which says that it is automatic. */
	to = stop_address(&w, "p2@x.example", 0, w.campaign);
	ev = give(&w,
		plain(&w,
			"Subject: unsubscribe\r\nX-Apple-Unsubscribe: true\r\nAuto-Submitted: auto-generated",
			""),
		to);
	assert_true(ev->done.unsubscribed);
	w.cfg.unsubscribe.scope_all = false;
	to = stop_address(&w, "p3@y.example", news, w.campaign);
	assert_true(give(&w, plain(&w, "Subject: unsubscribe", ""), to)->done.unsubscribed);
	assert_int_equal(fixture_sql(w.f, "SELECT list FROM suppression WHERE key = 'p3@y.example'"), news);
	assert_int_equal(fixture_sql(w.f, "SELECT list FROM suppression WHERE key = 'p2@x.example'"), 0);
	/* Of a test message: names nobody. And a returned request is none. */
	to = stop_address(&w, "nobody@x.example", 0, 0);
	assert_null(give(&w, plain(&w, "Subject: unsubscribe", ""), to));
	to = stop_address(&w, "p4@gmail.com", 0, w.campaign);
	ev = give(&w, report(&w, to, "z@z.example", "5.1.1", UNKNOWN, ""), to);
	assert_false(ev->done.unsubscribed || ev->done.suppressed);
	OK(w.f, store_campaign_by_id(w.f->s, w.campaign, &c, &w.f->e));
	assert_int_equal(c.unsubscribed, 3);
	assert_int_equal(nsuppressed(&w), 3);
	end(&w);
}

static void unsubscribe_by_mail__again__after_they_came_back(void **state)
{
	struct world w;
	struct campaign_row c;
	start(&w, *state);
	int64_t news = fixture_list(w.f, "news"), who = fixture_contact(w.f, "p1@docomo.ne.jp");
	const char *to = stop_address(&w, "p1@docomo.ne.jp", 0, w.campaign);
	struct str first = plain(&w, "Message-ID: <1@x.example>\r\nSubject: unsubscribe", ""),
		   second = plain(&w, "Message-ID: <2@x.example>\r\nSubject: unsubscribe", "");
	assert_true(give(&w, first, to)->done.unsubscribed);
	OK(w.f, store_subscribe(w.f->s, who, news, STR("asked"), NOW, true, NOW, &w.f->e));
	assert_int_equal(nsuppressed(&w), 0);
	/* A mailbox that is read once more says nothing new; they do. */
	assert_true(give(&w, first, to)->done.duplicate);
	assert_int_equal(nsuppressed(&w), 0);
	assert_true(give(&w, second, to)->done.unsubscribed);
	assert_int_equal(nsuppressed(&w), 1);
	OK(w.f, store_campaign_by_id(w.f->s, w.campaign, &c, &w.f->e));
	assert_int_equal(c.unsubscribed, 1);
	end(&w);
}

static struct str complaint(struct world *w, const char *type, const char *headers)
{
	return arena_printf(&w->arena,
		"From: feedback@provider.example\r\nSubject: FW: June\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=feedback-report; boundary=\"b\"\r\n\r\n"
		"--b\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n\r\n"
		"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: %s\r\nUser-Agent: "
		"X/1\r\nVersion: 1\r\n\r\n"
		"--b\r\nContent-Type: message/rfc822\r\n\r\n%sSubject: June\r\n\r\nHello\r\n--b--\r\n",
		type, headers);
}

static void complaint__by_a_token_anywhere(void **state)
{
	struct world w;
	struct campaign_row c;
	char headers[400], t[TOKEN_MAX];
	start(&w, *state);
	snprintf(headers, sizeof headers, "Message-ID: <%s@books.example>\r\n",
		token(&w, TOKEN_MESSAGE_ID, 1));
	const struct intake_event *ev = give(&w, complaint(&w, "abuse", headers), "fbl@bounces.example");
	assert_int_equal(w.res.found.kind, MAIL_COMPLAINT);
	assert_true(ev->done.suppressed && ev->done.unsubscribed);
	/* The relay wrote its own Message-ID: the unsubscribe link is left. */
	token_unsubscribe(w.signer, fixture_contact(w.f, "p2@x.example"), 0, w.campaign, t);
	snprintf(headers, sizeof headers,
		"Message-ID: <0107@relay.example>\r\nList-Unsubscribe: "
		"<mailto:u-%s@bounces.example?subject=unsubscribe>\r\n",
		t);
	ev = give(&w, complaint(&w, "abuse", headers), "fbl@bounces.example");
	assert_int_equal(ev->who.delivery, DELIVERY_ID(w.campaign, 2));
	assert_true(ev->done.suppressed);
	/* "Not spam" and failed authentication are no complaints; nor does one count without a token. */
	snprintf(headers, sizeof headers, "Message-ID: <%s@books.example>\r\n",
		token(&w, TOKEN_MESSAGE_ID, 3));
	assert_null(give(&w, complaint(&w, "not-spam", headers), "fbl@bounces.example"));
	assert_null(give(&w, complaint(&w, "auth-failure", headers), "fbl@bounces.example"));
	ev = give(&w, complaint(&w, "abuse", "To: p3@y.example\r\n"), "fbl@bounces.example");
	assert_int_equal(ev->who.trust, TRUST_NONE);
	OK(w.f, store_campaign_by_id(w.f->s, w.campaign, &c, &w.f->e));
	assert_int_equal(c.complaints, 2);
	assert_false(suppressed(&w, "p3@y.example"));
	end(&w);
}

static void vouched__by_address_and_relay_id(void **state)
{
	struct world w;
	static const struct intake_source src = {.name = "list", .vouched = true};
	start(&w, *state);
	struct str m = report(&w, "x@example.com", "P1@Docomo.NE.JP", "5.1.1", UNKNOWN, "");
	const struct intake_event *ev = give_from(&w, m, NULL, &src, clock_now());
	assert_int_equal(ev->who.trust, TRUST_ADDRESS);
	assert_int_equal(ev->who.delivery, DELIVERY_ID(w.campaign, 1));
	assert_true(ev->done.lowered && ev->done.suppressed);
	m = report(&w, "x@example.com", "stranger@x.example", "5.1.1", UNKNOWN, "");
	assert_int_equal(give_from(&w, m, NULL, &src, clock_now())->who.trust, TRUST_NONE);
	assert_int_equal(nsuppressed(&w), 1);
	end(&w);
}

static void vouched__of_somebody_who_was_forgotten__is_not_kept(void **state)
{
	struct world w;
	static const struct intake_source src = {.name = "list", .vouched = true};
	start(&w, *state);
	OK(w.f, store_forget(w.f->s, STR("p1@docomo.ne.jp"), NOW, &w.f->e));
	struct str m = report(&w, "x@example.com", "P1@Docomo.NE.JP", "5.1.1", UNKNOWN, "");
	assert_int_equal(give_from(&w, m, NULL, &src, clock_now())->who.trust, TRUST_NONE);
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM returned"), 1);
	assert_int_equal(
		fixture_sql(w.f, "SELECT count(*) FROM returned WHERE address <> '' OR diagnostic <> ''"), 0);
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM evidence"), 0);
	end(&w);
}

static void dry_run__changes_nothing(void **state)
{
	struct world w;
	start(&w, *state);
	intake_free(&w.in);
	const struct intake_options o = {
		.config = &w.cfg, .keys = w.keys, .rules = w.rules, .store = w.f->s, .dry_run = true};
	OK(w.f, intake_new(&w.in, &o, &w.f->e));
	const char *to = return_path(&w, 1);
	const struct intake_event *ev = give(&w, report(&w, to, "p1@docomo.ne.jp", "5.1.1", UNKNOWN, ""), to);
	assert_int_equal(ev->effect, RETURNED_FAILED);
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM returned"), 0);
	end(&w);
}

static int keep_again(void *ctx, const struct returned_row *r)
{
	struct world *w = ctx;
	struct returned_change now;
	struct buf b = BUF_INIT(RETURNED_KEEP + 1);
	OK(w->f, store_returned_message(w->f->s, r->id, &b, &w->f->e));
	int rc = intake_again(w->in, r, w->cut ? str_n(b.p, b.len / 2) : buf_get(&b), &now, &w->f->e);
	OK(w->f, rc < 0 ? rc : 0);
	w->unread += rc == INTAKE_UNREAD;
	if (rc != 1)
		rc = 0;
	if (rc == 1)
		OK(w->f, store_returned_change(w->f->s, &now, NULL, NULL, &w->f->e));
	buf_release(&b);
	w->routes[0].ahead += rc;
	return 0;
}

static void again__by_new_rules(void **state)
{
	struct world w;
	start(&w, *state);
	const char *to = return_path(&w, 1);
	assert_true(give(&w, report(&w, to, "p1@docomo.ne.jp", "5.1.1", UNKNOWN, ""), to)->done.suppressed);
	OK(w.f, store_returned_walk(w.f->s, 0, 0, keep_again, &w, &w.f->e));
	assert_int_equal(w.routes[0].ahead, 0);
	rules_free(&w.rules);
	w.rules = rules_parse(
		STR("* * * * \"virtual mailbox table\" -> soft address mailbox-busy fail\n"), &w.f->e);
	if (w.rules == NULL)
		fail_msg("%s: %s", w.f->e.what, w.f->e.why);
	write_keys(&w, KEY0);
	OK(w.f, store_returned_walk(w.f->s, 0, 0, keep_again, &w, &w.f->e));
	assert_int_equal(w.routes[0].ahead, 1);
	assert_false(suppressed(&w, "p1@docomo.ne.jp"));
	end(&w);
}

static int one_notice(void *ctx, const struct notice *n)
{
	struct world *w = ctx;
	const struct intake_source src = {.name = n->provider, .vouched = true};
	OK(w->f, intake_findings(w->in, &n->findings, n->evidence, &src, clock_now(), &w->res, &w->f->e));
	return 0;
}

/* Nothing of it is a returned message, and by the same rules all of it is read as it was. */
static void again__events_and_rows(void **state)
{
	struct world w;
	start(&w, *state);
	struct reader *r = reader_new(w.rules);
	OK(w.f, provider_read_json(r,
			STR("[{\"email\":\"p3@y.example\",\"event\":\"bounce\",\"sg_event_id\":\"a\","
			    "\"status\":"
			    "\"4.2.2\",\"reason\":\"452 4.2.2 mailbox full\"},"
			    "{\"email\":\"p1@docomo.ne.jp\",\"event\":\"bounce\",\"sg_event_id\":\"b\","
			    "\"status\":"
			    "\"5.1.1\",\"reason\":\"550 5.1.1 virtual mailbox table\"}]"),
			NULL, one_notice, &w, &w.f->e));
	assert_true(suppressed(&w, "p1@docomo.ne.jp"));
	OK(w.f, provider_read_csv(r,
			STR("email,type,reason\np2@x.example,ハードバウンス,宛先不明\n"
			    "stranger@x.example,ハードバウンス,宛先不明\nother@x.example,ハードバウンス,"
			    "宛先不明\n"),
			one_notice, &w, &w.f->e));
	reader_free(&r);
	int64_t n = nsuppressed(&w);
	assert_int_equal(n, 2);
	assert_int_equal(fixture_sql(w.f, "SELECT count(*) FROM returned"), 5);
	OK(w.f, store_returned_walk(w.f->s, 0, 0, keep_again, &w, &w.f->e));
	assert_int_equal(w.routes[0].ahead, 0);
	assert_int_equal(w.unread, 0);
	w.cut = true;
	OK(w.f, store_returned_walk(w.f->s, 0, 0, keep_again, &w, &w.f->e));
	assert_int_equal(w.unread, 5);
	assert_int_equal(nsuppressed(&w), n);
	w.cut = false;
	rules_free(&w.rules);
	w.rules = rules_parse(
		STR("* * * * \"virtual mailbox table\" -> soft address mailbox-busy fail\n"), &w.f->e);
	write_keys(&w, KEY0);
	OK(w.f, store_returned_walk(w.f->s, 0, 0, keep_again, &w, &w.f->e));
	assert_int_equal(w.routes[0].ahead, 1);
	assert_false(suppressed(&w, "p1@docomo.ne.jp"));
	assert_int_equal(nsuppressed(&w), 1);
	end(&w);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(valid_token__hard__suppresses_its_person_whomever_it_names),
		T(the_same_from_two_sources__counts_once),
		T(forged_tampered_and_foreign__change_nobody),
		T(token_of_any_case_and_rewritten__is_read),
		T(key_rotation__old_tokens_hold_while_their_line_stands),
		T(message_id__counts_where_the_return_path_is_not_ours),
		T(late__and_partly_delivered__change_nothing),
		T(auto_replies_and_letters__are_nothing),
		T(unsubscribe_by_mail__once__with_the_configured_scope),
		T(unsubscribe_by_mail__again__after_they_came_back),
		T(complaint__by_a_token_anywhere),
		T(vouched__by_address_and_relay_id),
		T(vouched__of_somebody_who_was_forgotten__is_not_kept),
		T(dry_run__changes_nothing),
		T(again__by_new_rules),
		T(again__events_and_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
