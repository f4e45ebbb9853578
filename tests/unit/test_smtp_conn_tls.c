/* smtp_conn: TLS, what certificates and policies allow, sessions. */
#include "tests/unit/smtp_conn_fixture.h"

static const char *const fails_in_tls[] = {
	HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "tls", NULL};

static void starttls__one_message__is_delivered(void **state)
{
	(void)state;
	prepare(SMTP_TLS_STARTTLS, starttls_script);
	use_tls(ca_file, true, good_context());
	run(1, DELIVERED);
	finish();
}

static void implicit_tls__one_message__is_delivered(void **state)
{
	(void)state;
	prepare(SMTP_TLS_IMPLICIT, implicit_script);
	use_tls(ca_file, true, good_context());
	run(1, DELIVERED);
	finish();
}

static void implicit_tls__greeting_in_one_piece_with_the_handshake__is_read(void **state)
{
	(void)state;
	static const char *const script[] = {"cork", "tls", "S 220 hi", "uncork", OFFER, ONE_MESSAGE, NULL};
	prepare(SMTP_TLS_IMPLICIT, script);
	use_tls(ca_file, true, good_context());
	SSL_CTX_set_max_proto_version(server.tls, TLS1_2_VERSION); /* the server has the last word */
	run(1, DELIVERED);
	finish();
}

/* What OpenSSL has read ahead the loop does not tell of: records that came together are all read, among them
 * a long one. */
static void tls__replies_in_one_piece__are_all_read(void **state)
{
	(void)state;
	static char many[8000];
	static const char *const script[] = {"tls", "S 220 hi", "C EHLO us.example", "cork", "S 250-x",
		"S 250 PIPELINING", "uncork", ENVELOPE, "cork", "S 250 ok", many, "S 354 go on", "uncork",
		"message", "cork", "S 250-o", "S 250-k", "S 250 ok", "uncork", QUIT, NULL};
	char *p = many + sprintf(many, "S 250-first");
	while (p < many + sizeof many - 100)
		p += sprintf(p, "\r\n250-%070d", 0);
	sprintf(p, "\r\n250 ok");
	prepare(SMTP_TLS_IMPLICIT, script);
	use_tls(ca_file, true, good_context());
	run(1, DELIVERED);
	finish();
}

static void tls__end_and_next_envelope__leave_in_one_record(void **state)
{
	(void)state;
	static const char *const script[] = {
		TO_TLS, OFFER, ENVELOPE, OKS, "together", "S 250 ok", OKS, "message", "S 250 ok", QUIT, NULL};
	prepare(SMTP_TLS_STARTTLS, script);
	use_tls(ca_file, true, good_context());
	run(2, "0:end:250:accepted 1:end:250:accepted closed:quit:clean");
	finish();
}

static void tls__second_connection__resumes_the_session(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		prepare(SMTP_TLS_STARTTLS, starttls_script);
		server.scripts[1] = starttls_script;
		server.nscripts = 2;
		use_tls(ca_file, true, good_context());
		SSL_CTX_set_max_proto_version(server.tls, version);
		run(1, DELIVERED);
		connect_client();
		run_loop();
		assert_string_equal(client.log, DELIVERED);
		finish();
		assert_false(server.resumed[0]);
		assert_true(server.resumed[1]);
	}
}

static void tls__another_host__does_not_resume(void **state)
{
	(void)state;
	prepare(SMTP_TLS_STARTTLS, starttls_script);
	server.scripts[1] = starttls_script;
	server.nscripts = 2;
	use_tls(ca_file, true, good_context());
	run(1, DELIVERED);
	client.ep.host = "127.0.0.1"; /* the certificate is good for that, too */
	connect_client();
	run_loop();
	assert_string_equal(client.log, DELIVERED);
	finish();
	assert_false(server.resumed[1]);
}

static void tls_fails(SSL_CTX *ctx, const char *host, const char *why)
{
	prepare(SMTP_TLS_STARTTLS, fails_in_tls);
	use_tls(ca_file, true, ctx);
	client.ep.host = host;
	run(1, "closed:tls");
	if (strstr(client.why, why) == NULL)
		fail_msg("'%s' does not hold '%s'", client.why, why);
	finish();
}

static void tls__certificate_for_another_name__is_refused_in_words(void **state)
{
	(void)state;
	tls_fails(server_context(&authority, "DNS:other.example", -3600, 3600), "localhost",
		"another name than localhost");
	tls_fails(server_context(&authority, "DNS:localhost", -3600, 3600), "127.0.0.1",
		"another name than 127.0.0.1");
	tls_fails(server_context(&authority, "DNS:127.0.0.1", -3600, 3600), "127.0.0.1",
		"another name than 127.0.0.1");
}

static void tls__certificate_out_of_its_time__is_refused_in_words(void **state)
{
	(void)state;
	tls_fails(server_context(&authority, "DNS:localhost", -7200, -3600), "localhost", "has expired");
	tls_fails(server_context(&authority, "DNS:localhost", 3600, 7200), "localhost", "not valid yet");
}

static void tls__unknown_authority__is_refused_in_words(void **state)
{
	(void)state;
	tls_fails(server_context(&other_authority, "DNS:localhost", -3600, 3600), "localhost",
		"not signed by a trusted authority");
}

static void tls__old_version__is_refused_in_words(void **state)
{
	(void)state;
	SSL_CTX *ctx = good_context();
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	SSL_CTX_set_security_level(ctx, 0);
	tls_fails(ctx, "localhost", "1.2 or newer");
}

static void tls__not_verified__goes_on(void **state)
{
	(void)state;
	prepare(SMTP_TLS_OPPORTUNISTIC, starttls_script);
	use_tls(NULL, false, server_context(&other_authority, "DNS:other.example", -7200, -3600));
	run(1, DELIVERED);
	finish();
}

/* ---- Policies ---- */

static void spki_digest(SSL_CTX *ctx, unsigned char out[32])
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(SSL_CTX_get0_certificate(ctx)), &der);
	SHA256(der, (size_t)n, out);
	OPENSSL_free(der);
}

static void under_policy(
	const struct tls_policy *p, SSL_CTX *ctx, const char *const *script, const char *want)
{
	prepare(SMTP_TLS_OPPORTUNISTIC, script);
	use_tls(ca_file, false, ctx);
	client.ep.policy = p;
	run(1, want);
}

static void dane__record_decides__not_name_nor_time_nor_authority(void **state)
{
	(void)state;
	unsigned char digest[32];
	const struct tlsa good = {3, 1, 1, digest, 32};
	const struct tls_policy p = {.need = TLS_DANE, .tlsa = &good, .ntlsa = 1};
	SSL_CTX *ctx = server_context(&other_authority, "DNS:other.example", -7200, -3600);
	spki_digest(ctx, digest);
	under_policy(&p, ctx, starttls_script, DELIVERED);
	finish();
	/* A good certificate that no record names. */
	digest[0] ^= 1;
	under_policy(&p, good_context(), fails_in_tls, "closed:tls");
	assert_non_null(strstr(client.why, "no TLSA record"));
	finish();
}

static void dane__authority_is_named__the_name_counts(void **state)
{
	(void)state;
	unsigned char digest[32], *der = NULL;
	const struct tlsa ta = {2, 0, 1, digest, 32};
	const struct tls_policy p = {.need = TLS_DANE, .tlsa = &ta, .ntlsa = 1, .base = "mx.example"};
	int n = i2d_X509(other_authority.cert, &der);
	SHA256(der, (size_t)n, digest);
	OPENSSL_free(der);
	for (int i = 0; i < 2; i++) {
		SSL_CTX *ctx = server_context(
			&other_authority, i == 0 ? "DNS:mx.example" : "DNS:x.example", -60, 60);
		X509_up_ref(other_authority.cert);
		SSL_CTX_add_extra_chain_cert(ctx, other_authority.cert);
		under_policy(
			&p, ctx, i == 0 ? starttls_script : fails_in_tls, i == 0 ? DELIVERED : "closed:tls");
		finish();
	}
}

static void policy__tls_is_a_must__never_in_clear(void **state)
{
	(void)state;
	static const char *const not_offered[] = {HELLO, "S 250 x", "C QUIT", NULL};
	for (enum tls_need need = TLS_ENCRYPT; need <= TLS_DANE; need++) {
		const struct tls_policy p = {.need = need};
		under_policy(&p, NULL, not_offered, "closed:starttls");
		assert_non_null(strstr(client.why, "the domain's policy"));
		finish();
	}
	const struct tls_policy verify = {.need = TLS_VERIFY}, encrypt = {.need = TLS_ENCRYPT};
	under_policy(&verify, server_context(&other_authority, "DNS:localhost", -60, 60), fails_in_tls,
		"closed:tls");
	finish();
	under_policy(&verify, good_context(), starttls_script, DELIVERED);
	finish();
	under_policy(
		&encrypt, server_context(&other_authority, "DNS:x", -60, 60), starttls_script, DELIVERED);
	finish();
	/* A record that only OpenSSL finds to be nonsense is one that cannot be used (RFC 7672 2.2). */
	const struct tlsa odd = {3, 0, 0, (const unsigned char *)"nonsense", 8};
	const struct tls_policy dane = {.need = TLS_DANE, .tlsa = &odd, .ntlsa = 1};
	under_policy(&dane, server_context(&other_authority, "DNS:x", -60, 60), starttls_script, DELIVERED);
	finish();
}

static void policy__session_of_a_milder_one__is_not_resumed(void **state)
{
	(void)state;
	const struct tls_policy verify = {.need = TLS_VERIFY};
	prepare(SMTP_TLS_OPPORTUNISTIC, starttls_script);
	server.scripts[1] = fails_in_tls;
	server.nscripts = 2;
	use_tls(ca_file, false, server_context(&other_authority, "DNS:localhost", -60, 60));
	run(1, DELIVERED);
	client.ep.policy = &verify;
	connect_client();
	run_loop();
	assert_string_equal(client.log, "closed:tls");
	finish();
	assert_false(server.resumed[1]);
}

#define OFFERS_TLS HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS"
static const char *const closes_at_starttls[] = {OFFERS_TLS, NULL};
static const char *const resets_at_starttls[] = {OFFERS_TLS, "reset", NULL};
static const char *const closes_in_handshake[] = {OFFERS_TLS, "S 220 go", NULL};
static const char *const closes_behind_handshake[] = {
	OFFERS_TLS, "S 220 go", "tls", "C EHLO us.example", NULL};
static const char *const silent_at_starttls[] = {OFFERS_TLS, "wait", NULL};
static const char *const silent_in_handshake[] = {OFFERS_TLS, "S 220 go", "some", "some", NULL};
static const char *const in_clear[] = {
	HELLO, "S 250-x", "S 250-STARTTLS", "S 250 PIPELINING", ONE_MESSAGE, NULL};

/* RFC 7435: in the clear where nobody demands TLS and it does not work, wherever it fails. */
static void opportunistic__lost_at_starttls__goes_on_in_clear(void **state)
{
	(void)state;
	static const char *const *const ways[] = {closes_at_starttls, resets_at_starttls, closes_in_handshake,
		closes_behind_handshake, silent_at_starttls, silent_in_handshake};
	static struct smtp_timeouts t;
	t = smtp_timeouts_default;
	t.tls = 100;
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		prepare(SMTP_TLS_OPPORTUNISTIC, ways[i]);
		server.scripts[1] = in_clear;
		server.nscripts = 2;
		client.o.timeouts = &t;
		use_tls(NULL, false, good_context());
		run(1, DELIVERED);
		assert_null(client.tls);
		finish();
	}
}

static void opportunistic__lost_elsewhere__is_not_called_again(void **state)
{
	(void)state;
	static const char *const before[] = {"S 220 hi", "C EHLO us.example", NULL};
	static const char *const behind[] = {TO_TLS, OFFER, ENVELOPE, NULL};
	prepare(SMTP_TLS_OPPORTUNISTIC, before);
	use_tls(NULL, false, NULL);
	run(1, "closed:ehlo");
	finish();
	prepare(SMTP_TLS_OPPORTUNISTIC, behind);
	use_tls(NULL, false, good_context());
	run(1, "0:mail:0:untried closed:mail");
	finish();
}

/* A key of sessions that is too long for its buffer stands for memory that was short. */
static void opportunistic__no_memory_for_tls__never_in_clear(void **state)
{
	(void)state;
	static const struct tlsa many[16384];
	static const struct tls_policy large = {
		.need = TLS_MAY, .tlsa = many, .ntlsa = sizeof many / sizeof many[0]};
	prepare(SMTP_TLS_OPPORTUNISTIC, closes_in_handshake);
	server.scripts[1] = in_clear;
	server.nscripts = 2;
	client.ep.policy = &large;
	use_tls(NULL, false, good_context());
	run(1, "closed:tls");
	finish();
}

/* Neither a policy's mail nor a password. */
static void tls_is_a_must__lost_at_starttls__never_in_clear(void **state)
{
	(void)state;
	static const struct tls_policy encrypt = {.need = TLS_ENCRYPT};
	static const char *const *const ways[] = {
		closes_at_starttls, closes_in_handshake, closes_behind_handshake};
	static const char *const stages[] = {"closed:starttls", "closed:tls", "closed:ehlo"};
	for (int must = 0; must < 3; must++)
		for (int i = 0; i < 3; i++) {
			prepare(must == 0 ? SMTP_TLS_STARTTLS : SMTP_TLS_OPPORTUNISTIC, ways[i]);
			server.scripts[1] = in_clear;
			server.nscripts = 2;
			client.ep.policy = must == 1 ? &encrypt : NULL;
			client.o.user = must == 2 ? "u" : NULL;
			client.o.password = "p";
			use_tls(NULL, false, good_context());
			run(1, stages[i]);
			finish();
		}
}

static void opportunistic__failed_twice__is_not_asked_for_tls(void **state)
{
	(void)state;
	prepare(SMTP_TLS_OPPORTUNISTIC, closes_in_handshake);
	server.scripts[1] = server.scripts[3] = server.scripts[4] = in_clear;
	server.scripts[2] = closes_at_starttls;
	server.nscripts = 5;
	use_tls(NULL, false, NULL);
	clock_fake(DAY);
	run(1, DELIVERED);
	for (int again = 0; again < 2; again++) {
		clock_fake_add(2 * MINUTE);
		connect_client();
		run_loop();
		assert_string_equal(client.log, DELIVERED);
	}
	clock_fake(0);
	finish();
}

/* 421 is no word about TLS: the server ends this connection, whatever was asked (RFC 5321 3.8, 4.2.1), and
 * wants to be left alone for a while. Other mail servers defer then, too: they may go on in the clear on the
 * same connection only, as after 454 (RFC 3207 4), and this one ends. */
static void opportunistic__421_to_starttls__never_in_clear(void **state)
{
	(void)state;
	static const char *const leave_me[] = {OFFERS_TLS, "S 421 4.3.2 too busy", NULL};
	prepare(SMTP_TLS_OPPORTUNISTIC, leave_me);
	server.scripts[1] = in_clear;
	server.nscripts = 2;
	use_tls(NULL, false, NULL);
	run(1, "closed:starttls");
	assert_false(tls_client_broken(client.ep.tls, client.ep.host));
	finish();
}

static void implicit_tls__to_a_plain_text_port__is_explained(void **state)
{
	(void)state;
	static const char *const script[] = {"S 220 hi", "wait", NULL};
	prepare(SMTP_TLS_IMPLICIT, script);
	use_tls(ca_file, true, NULL);
	run(1, "closed:tls");
	assert_non_null(strstr(client.why, "plain text"));
	finish();
}

static void starttls__refused_by_the_server__closes(void **state)
{
	(void)state;
	static const char *const script[] = {
		HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 454 no", "C QUIT", NULL};
	prepare(SMTP_TLS_STARTTLS, script);
	use_tls(ca_file, true, NULL);
	run(1, "closed:starttls");
	finish();
}

static void starttls__server_closes_in_the_handshake__is_an_end_in_tls(void **state)
{
	(void)state;
	static const char *const script[] = {
		HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", NULL};
	prepare(SMTP_TLS_STARTTLS, script);
	use_tls(ca_file, true, NULL);
	run(1, "closed:tls");
	finish();
}

static void tls__silent_server__times_out(void **state)
{
	(void)state;
	static const char *const script[] = {"wait", NULL};
	static struct smtp_timeouts t;
	t = smtp_timeouts_default;
	t.tls = 100;
	prepare(SMTP_TLS_IMPLICIT, script);
	client.o.timeouts = &t;
	use_tls(ca_file, true, NULL);
	run(1, "closed:tls");
	assert_non_null(strstr(client.why, "timeout"));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starttls__one_message__is_delivered),
		cmocka_unit_test(implicit_tls__one_message__is_delivered),
		cmocka_unit_test(implicit_tls__greeting_in_one_piece_with_the_handshake__is_read),
		cmocka_unit_test(tls__replies_in_one_piece__are_all_read),
		cmocka_unit_test(tls__end_and_next_envelope__leave_in_one_record),
		cmocka_unit_test(tls__second_connection__resumes_the_session),
		cmocka_unit_test(tls__another_host__does_not_resume),
		cmocka_unit_test(tls__certificate_for_another_name__is_refused_in_words),
		cmocka_unit_test(tls__certificate_out_of_its_time__is_refused_in_words),
		cmocka_unit_test(tls__unknown_authority__is_refused_in_words),
		cmocka_unit_test(tls__old_version__is_refused_in_words),
		cmocka_unit_test(tls__not_verified__goes_on),
		cmocka_unit_test(dane__record_decides__not_name_nor_time_nor_authority),
		cmocka_unit_test(dane__authority_is_named__the_name_counts),
		cmocka_unit_test(policy__tls_is_a_must__never_in_clear),
		cmocka_unit_test(policy__session_of_a_milder_one__is_not_resumed),
		cmocka_unit_test(opportunistic__lost_at_starttls__goes_on_in_clear),
		cmocka_unit_test(opportunistic__lost_elsewhere__is_not_called_again),
		cmocka_unit_test(opportunistic__no_memory_for_tls__never_in_clear),
		cmocka_unit_test(tls_is_a_must__lost_at_starttls__never_in_clear),
		cmocka_unit_test(opportunistic__failed_twice__is_not_asked_for_tls),
		cmocka_unit_test(opportunistic__421_to_starttls__never_in_clear),
		cmocka_unit_test(implicit_tls__to_a_plain_text_port__is_explained),
		cmocka_unit_test(starttls__refused_by_the_server__closes),
		cmocka_unit_test(starttls__server_closes_in_the_handshake__is_an_end_in_tls),
		cmocka_unit_test(tls__silent_server__times_out),
	};
	return cmocka_run_group_tests(tests, make_authorities, free_authorities);
}
