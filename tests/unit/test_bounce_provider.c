/* Events of mailing services and lists of errors: what is found in them, and whose signatures are believed.
 */
#include "tests/unit/reader_fixture.h"

#include "engine/bounce/provider.h"
#include "src/base/hash.h"
#include "src/db/delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

/* What came of one run: a line for each event. */
static char seen[4000];

static int note(void *ctx, const struct notice *n)
{
	static const char *const class_names[CLASS_NCLASSES] = {
		"-", "hard", "soft", "block", "message", "config"};
	size_t at = strlen(seen);
	const struct findings *f = &n->findings;
	at += (size_t)snprintf(seen + at, sizeof seen - at, "%s %s", n->provider, mail_kind_names[f->kind]);
	for (size_t i = 0; i < f->nfailures; i++)
		at += (size_t)snprintf(seen + at, sizeof seen - at, " %.*s %s %.*s",
			STR_ARG(f->failures[i].address), class_names[f->failures[i].verdict.class],
			f->failures[i].verdict.reason.n != 0 ? (int)f->failures[i].verdict.reason.n : 1,
			f->failures[i].verdict.reason.n != 0 ? f->failures[i].verdict.reason.p : "-");
	snprintf(seen + at, sizeof seen - at, "%s\n", n->verified ? " verified" : "");
	assert_true(n->evidence.n != 0);
	(void)ctx;
	return 0;
}

static int read_json(const char *json, const struct provider_keys *keys, struct err *e)
{
	seen[0] = '\0';
	return provider_read_json(reader, str_from(json), keys, note, NULL, e);
}

static void json_gives(const char *json, const char *wanted)
{
	struct err e = {0};
	assert_true(provider_is_json(str_from(json)));
	if (read_json(json, NULL, &e) != 0)
		fail_msg("%s: %s", e.why, json);
	assert_string_equal(seen, wanted);
}

/* ---- the services ---- */

#define SES_MAIL                                                                                             \
	"\"mail\":{\"messageId\":\"0100-ab\",\"source\":\"b-token@bounces.example\",\"headers\":[{\"name\":" \
	"\"Message-ID\","                                                                                    \
	"\"value\":\"<token@books.example>\"}]}"

static void ses__each_event__is_read(void **state)
{
	(void)state;
	json_gives(
		"{\"notificationType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Permanent\",\"bounceSubType\":"
		"\"General\","
		"\"bouncedRecipients\":[{\"emailAddress\":\"ann@example.net\",\"action\":\"failed\","
		"\"status\":\"5.1.1\","
		"\"diagnosticCode\":\"smtp; 550 5.1.1 user "
		"unknown\"},{\"emailAddress\":\"bob@example.net\",\"status\":"
		"\"5.7.1\",\"diagnosticCode\":\"smtp; 550 5.7.1 blocked using zen.spamhaus.org\"}]}," SES_MAIL
		"}",
		"ses bounce ann@example.net hard user-unknown bob@example.net block blocklist\n");
	json_gives("{\"eventType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Permanent\",\"bounceSubType\":"
		   "\"Suppressed\","
		   "\"bouncedRecipients\":[{\"emailAddress\":\"ann@example.net\"}]}," SES_MAIL "}",
		"ses bounce ann@example.net hard user-unknown\n");
	json_gives("{\"eventType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Transient\",\"bounceSubType\":"
		   "\"MailboxFull\","
		   "\"bouncedRecipients\":[{\"emailAddress\":\"ann@example.net\"}]}," SES_MAIL "}",
		"ses bounce ann@example.net soft mailbox-full\n");
	json_gives("{\"eventType\":\"Complaint\",\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":"
		   "\"ann@example.net\"}],\"complaintFeedbackType\":\"abuse\"}," SES_MAIL "}",
		"ses complaint ann@example.net - -\n");
	json_gives("{\"eventType\":\"Complaint\",\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":"
		   "\"ann@example.net\"}],\"complaintFeedbackType\":\"not-spam\"}," SES_MAIL "}",
		"ses report ann@example.net - -\n");
	json_gives("{\"eventType\":\"Delivery\",\"delivery\":{\"recipients\":[\"ann@example.net\"]}," SES_MAIL
		   "}",
		"ses delivered ann@example.net - -\n");
	json_gives("{\"eventType\":\"Open\",\"open\":{}," SES_MAIL "}", "");
}

static void sendgrid__array_of_events__is_read(void **state)
{
	(void)state;
	json_gives("[{\"email\":\"ann@example.net\",\"event\":\"bounce\",\"type\":\"bounce\",\"status\":\"5."
		   "1.1\",\"reason\":"
		   "\"550 5.1.1 no such "
		   "user\",\"sg_event_id\":\"a\",\"sg_message_id\":\"m.filter1\",\"token\":\"t\"},"
		   "{\"email\":\"bob@example.net\",\"event\":\"dropped\",\"reason\":\"Bounced "
		   "Address\",\"sg_event_id\":\"b\"},"
		   "{\"email\":\"cid@example.net\",\"event\":\"bounce\",\"type\":\"blocked\",\"reason\":"
		   "\"550 5.7.1 poor "
		   "reputation\",\"sg_event_id\":\"c\"},{\"email\":\"dan@example.net\",\"event\":\"open\","
		   "\"sg_event_id\":"
		   "\"d\"},{\"email\":\"eva@example.net\",\"event\":\"spamreport\",\"sg_event_id\":\"e\"},{"
		   "\"email\":"
		   "\"fay@example.net\",\"event\":\"unsubscribe\",\"sg_event_id\":\"f\"}]",
		"sendgrid bounce ann@example.net hard user-unknown\n"
		"sendgrid bounce bob@example.net hard user-unknown\n"
		"sendgrid bounce cid@example.net block reputation\n"
		"sendgrid complaint eva@example.net - -\n"
		"sendgrid optout fay@example.net - -\n");
}

static void others__bounces_and_complaints__are_read(void **state)
{
	(void)state;
	json_gives("{\"RecordType\":\"Bounce\",\"Type\":\"HardBounce\",\"Email\":\"ann@example.net\","
		   "\"MessageID\":\"1\","
		   "\"Details\":\"smtp;550 No thanks\"}",
		"postmark bounce ann@example.net hard user-unknown\n");
	json_gives("{\"RecordType\":\"Bounce\",\"Type\":\"AutoResponder\",\"Email\":\"ann@example.net\","
		   "\"MessageID\":\"1\"}",
		"postmark autoreply ann@example.net - -\n");
	json_gives("{\"RecordType\":\"SpamComplaint\",\"Email\":\"ann@example.net\",\"MessageID\":\"1\"}",
		"postmark complaint ann@example.net - -\n");
	json_gives("{\"event\":\"bounce\",\"time\":1790000000,\"MessageID\":13792286917004336,\"email\":"
		   "\"ann@example.net\","
		   "\"blocked\":false,\"hard_bounce\":true,\"error_related_to\":\"recipient\",\"error\":"
		   "\"user unknown\"}",
		"mailjet bounce ann@example.net hard user-unknown\n");
	json_gives("{\"event\":\"blocked\",\"MessageID\":1,\"email\":\"ann@example.net\",\"error_related_"
		   "to\":\"system\","
		   "\"error\":\"sender blocked\"}",
		"mailjet bounce ann@example.net block policy\n");
	json_gives("{\"event\":\"hard_bounce\",\"email\":\"ann@example.net\",\"message-id\":\"<1@relay>\","
		   "\"reason\":\"server is "
		   "down\"}{\"event\":\"soft_bounce\",\"email\":\"bob@example.net\",\"message-id\":\"<2@"
		   "relay>\",\"reason\":"
		   "\"552 5.2.2 mailbox full\"}\n",
		"brevo bounce ann@example.net hard user-unknown\nbrevo bounce bob@example.net soft "
		"mailbox-full\n");
	json_gives("[{\"msys\":{\"message_event\":{\"type\":\"bounce\",\"bounce_class\":\"10\",\"error_"
		   "code\":\"550\","
		   "\"raw_reason\":\"550 refused\",\"rcpt_to\":\"ann@example.net\",\"message_id\":\"7\"}}},"
		   "{\"msys\":{\"message_event\":{\"type\":\"bounce\",\"bounce_class\":\"60\",\"rcpt_to\":"
		   "\"bob@example.net\"}}},"
		   "{\"msys\":{\"unsubscribe_event\":{\"type\":\"list_unsubscribe\",\"rcpt_to\":\"cid@"
		   "example.net\"}}},"
		   "{\"msys\":{\"track_event\":{\"type\":\"click\"}}}]",
		"sparkpost bounce ann@example.net hard user-unknown\nsparkpost autoreply bob@example.net - "
		"-\n"
		"sparkpost optout cid@example.net - -\n");
}

static void json__of_nobody_known__is_an_error(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"{}", "[1]", "{\"event\":\"bounce\"}", "{\"event\":", "[[[[", "[]]", "{\"a\":1}{"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = {0};
		assert_int_equal(read_json(bad[i], NULL, &e), -1);
		assert_int_equal(e.code, ERR_DATA);
		assert_true(e.why[0] != '\0');
	}
	assert_false(provider_is_json(STR("From: a@b\r\n\r\n{}")));
	assert_false(provider_is_json(STR("{not json}")));
}

/* ---- signatures ---- */

static void mailgun__signature__decides(void **state)
{
	(void)state;
	struct provider_keys keys = {.mailgun = STR("key-1")};
	unsigned char mac[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1], json[1000];
	struct err e = {0};
	hmac_sha256(keys.mailgun, STR("1790000000tok"), mac);
	hex_encode(mac, sizeof mac, hex);
	static const char form[] = "{\"signature\":{\"timestamp\":\"1790000000\",\"token\":\"%s\","
				   "\"signature\":\"%s\"},\"event-data\":{\"event\":"
				   "\"failed\",\"severity\":\"permanent\",\"reason\":\"bounce\","
				   "\"recipient\":\"ann@example.net\",\"delivery-status\":"
				   "{\"code\":550,\"message\":\"5.1.1 user "
				   "unknown\"},\"message\":{\"headers\":{\"message-id\":\"t@b\"}}}}";
	snprintf(json, sizeof json, form, "tok", hex);
	assert_int_equal(read_json(json, &keys, &e), 0);
	assert_string_equal(seen, "mailgun bounce ann@example.net hard user-unknown verified\n");
	assert_int_equal(read_json(json, NULL, &e), 0);
	assert_string_equal(seen, "mailgun bounce ann@example.net hard user-unknown\n");
	snprintf(json, sizeof json, form, "tok2", hex);
	assert_int_equal(read_json(json, &keys, &e), -1);
	assert_string_equal(seen, "");
}

struct signer {
	EVP_PKEY *key;
	char pem[4000];
	int fetched;
};

static void signer_new(struct signer *s)
{
	*s = (struct signer){.key = EVP_RSA_gen(2048)};
	X509 *x = X509_new();
	assert_non_null(s->key);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, s->key);
	assert_true(X509_sign(x, s->key, EVP_sha256()) > 0);
	BIO *out = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_X509(out, x), 1);
	int n = BIO_read(out, s->pem, sizeof s->pem - 1);
	assert_true(n > 0);
	BIO_free(out);
	X509_free(x);
}

static int give_certificate(void *ctx, const char *url, struct buf *pem, struct err *e)
{
	struct signer *s = ctx;
	(void)url;
	(void)e;
	s->fetched++;
	buf_puts(pem, s->pem);
	return 0;
}

/* An SNS envelope around an event, signed as `version` says. */
static json_t *envelope(struct signer *s, const char *version, const char *message)
{
	static const char url[] =
		"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem";
	char text[3000];
	snprintf(text, sizeof text,
		"Message\n%s\nMessageId\nm-1\nSubject\nAmazon "
		"SES\nTimestamp\n2026-11-02T00:00:00.000Z\nTopicArn\n"
		"arn:aws:sns:eu-west-1:1:t\nType\nNotification\n",
		message);
	unsigned char sig[512], coded[1024];
	size_t n = sizeof sig;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	assert_int_equal(
		EVP_DigestSignInit(c, NULL, version[0] == '1' ? EVP_sha1() : EVP_sha256(), NULL, s->key), 1);
	assert_int_equal(EVP_DigestSign(c, sig, &n, (unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(c);
	EVP_EncodeBlock(coded, sig, (int)n);
	return json_pack("{ss ss ss ss ss ss ss ss ss}", "Type", "Notification", "MessageId", "m-1",
		"TopicArn", "arn:aws:sns:eu-west-1:1:t", "Subject", "Amazon SES", "Message", message,
		"Timestamp", "2026-11-02T00:00:00.000Z", "SignatureVersion", version, "Signature",
		(char *)coded, "SigningCertURL", url);
}

static const char bounced[] = "{\"notificationType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Permanent\","
			      "\"bounceSubType\":\"General\","
			      "\"bouncedRecipients\":[{\"emailAddress\":\"ann@example.net\"}]}," SES_MAIL "}";

static int read_envelope(json_t *doc, struct signer *s, struct err *e)
{
	struct provider_keys keys = {.certificate = give_certificate, .ctx = s};
	char *text = json_dumps(doc, 0);
	int rc = read_json(text, &keys, e);
	free(text);
	return rc;
}

static void sns__signature__decides(void **state)
{
	(void)state;
	struct signer s, other;
	signer_new(&s);
	signer_new(&other);
	for (int version = 1; version <= 2; version++) {
		struct err e = {0};
		json_t *doc = envelope(&s, version == 1 ? "1" : "2", bounced);
		assert_int_equal(read_envelope(doc, &s, &e), 0);
		assert_string_equal(seen, "ses bounce ann@example.net hard user-unknown verified\n");
		assert_int_equal(read_envelope(doc, &other, &e), -1);
		json_object_set_new(doc, "SignatureVersion", json_string(version == 1 ? "2" : "1"));
		assert_int_equal(read_envelope(doc, &s, &e), -1);
		json_object_set_new(doc, "SignatureVersion", json_string("3"));
		assert_int_equal(read_envelope(doc, &s, &e), -1);
		json_decref(doc);
	}
	EVP_PKEY_free(s.key);
	EVP_PKEY_free(other.key);
}

static void sns__any_change_of_what_is_signed__is_refused(void **state)
{
	(void)state;
	static const char *const names[] = {
		"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Signature"};
	struct signer s;
	signer_new(&s);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct err e = {0};
		json_t *doc = envelope(&s, "2", bounced);
		json_object_set_new(doc, names[i], json_string("{\"notificationType\":\"Bounce\"}"));
		assert_int_equal(read_envelope(doc, &s, &e), -1);
		assert_string_equal(seen, "");
		json_decref(doc);
	}
	json_t *doc = envelope(&s, "2", bounced);
	struct err e = {0};
	int before = s.fetched;
	json_object_set_new(
		doc, "SigningCertURL", json_string("https://sns.eu-west-1.amazonaws.com.evil.example/x.pem"));
	assert_int_equal(read_envelope(doc, &s, &e), -1);
	assert_int_equal(s.fetched, before);
	json_decref(doc);
	EVP_PKEY_free(s.key);
}

static void certificate_url__only_amazons__is_taken(void **state)
{
	(void)state;
	assert_true(sns_certificate_url(
		STR("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a.pem")));
	assert_true(sns_certificate_url(
		STR("https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0a.pem")));
	static const char *const bad[] = {"http://sns.us-east-1.amazonaws.com/a.pem",
		"https://sns.us-east-1.amazonaws.com.a/a.pem", "https://sns.a@b.amazonaws.com/a.pem",
		"https://evil.example/sns.us-east-1.amazonaws.com/a.pem",
		"https://sns.us-east-1.amazonaws.com:444/a.pem",
		"https://sns.us-east-1.amazonaws.com/a.pem?x=.pem", "https://sns.us-east-1.amazonaws.com/a",
		"https://sns.x.s3.amazonaws.com/a.pem", "https://sns..amazonaws.com/a.pem",
		"https://s3.amazonaws.com/a.pem", ""};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(sns_certificate_url(str_from(bad[i])));
}

/* ---- CSV ---- */

static void csv_gives(struct str csv, const char *wanted)
{
	struct err e = {0};
	assert_true(provider_is_csv(csv));
	seen[0] = '\0';
	if (provider_read_csv(reader, csv, note, NULL, &e) != 0)
		fail_msg("%s", e.why);
	assert_string_equal(seen, wanted);
}

static void csv__lists_of_errors__are_read(void **state)
{
	(void)state;
	csv_gives(STR("email,date,code,reason\r\nann@example.net,2026-11-02,550,550 5.1.1 user unknown\r\n"
		      "bob@example.net,2026-11-02,452,452 4.2.2 mailbox full\r\n,,,\r\nnonsense,,,\r\n"),
		"csv bounce ann@example.net hard user-unknown\ncsv bounce bob@example.net soft "
		"mailbox-full\n");
	csv_gives(STR("メールアドレス,エラー種別,エラー内容\n太郎@,x,y\ntaro@example.jp,ハードバウンス,"
		      "宛先不明\n"
		      "hana@example.jp,ソフトバウンス,容量超過\njiro@example.jp,配信停止,\n"),
		"csv bounce taro@example.jp hard user-unknown\ncsv bounce hana@example.jp soft mailbox-full\n"
		"csv optout jiro@example.jp - -\n");
	/* The code in a column of its own; without one it is not known at what stage that was said. */
	csv_gives(STR("email,code,reason\nann@example.net,550,User unknown\nbob@example.net,,User unknown\n"
		      "eve@example.net,550,rejected as spam\n"),
		"csv bounce ann@example.net hard user-unknown\ncsv bounce bob@example.net soft user-unknown\n"
		"csv bounce eve@example.net message content-spam\n");
	/* The same in Shift_JIS: メールアドレス, 理由; 宛先不明. */
	csv_gives(
		STR("\x83\x81\x81[\x83\x8b\x83"
		    "A\x83h\x83\x8c\x83X,\x97\x9d\x97R\r\ntaro@example.jp,\x88\xb6\x90\xe6\x95s\x96\xbe\r\n"),
		"csv bounce taro@example.jp hard user-unknown\n");
}

/* A server's reply talks of abuse, retries and delivery; only what the service calls it says what it is. */
static void csv__the_words_of_a_reply__are_no_kind(void **state)
{
	(void)state;
	csv_gives(STR("email,reason\nann@example.net,\"550 5.7.1 blocked, contact abuse@example.org\"\n"
		      "bob@example.net,Message could not be delivered: 550 5.1.1 user unknown\n"
		      "cat@example.net,\"550 5.7.1 rejected: unsubscribe those who complained\"\n"
		      "dan@example.net,\"450 4.2.1 mailbox busy, please retry\"\n"
		      "eve@example.net,Spam complaint\n"),
		"csv bounce ann@example.net block policy\ncsv bounce bob@example.net hard user-unknown\n"
		"csv bounce cat@example.net block policy\ncsv delayed dan@example.net soft delayed\n"
		"csv complaint eve@example.net - -\n");
}

static void csv__of_all_events__is_read_by_what_they_are_called(void **state)
{
	(void)state;
	csv_gives(STR("email,event,reason\nann@example.net,processed,\nann@example.net,delivered,250 ok\n"
		      "ann@example.net,open,\nbob@example.net,Undelivered,550 5.1.1 user unknown\n"
		      "cat@example.net,not delivered,550 5.1.1 user unknown\n"),
		"csv delivered ann@example.net - -\ncsv bounce bob@example.net hard user-unknown\n"
		"csv bounce cat@example.net hard user-unknown\n");
	csv_gives(STR("email,status\nann@example.net,delivered\nbob@example.net,Unsubscribed\n"
		      "cat@example.net,opened\ndan@example.net,550 5.1.1 user unknown\n"),
		"csv delivered ann@example.net - -\ncsv optout bob@example.net - -\n"
		"csv bounce dan@example.net hard user-unknown\n");
	csv_gives(STR("email,code,reason\nann@example.net,250,2.0.0 OK\nbob@example.net,550,User unknown\n"),
		"csv delivered ann@example.net - -\ncsv bounce bob@example.net hard user-unknown\n");
}

static void csv__an_endless_field__is_read_by_its_beginning(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(1 << 16);
	buf_puts(&b, "email,reason\r\nann@example.net,550 5.1.1 user unknown");
	for (int i = 0; i < 600; i++)
		buf_puts(&b, " and more");
	buf_puts(&b, "\r\n");
	csv_gives(buf_get(&b), "csv bounce ann@example.net hard user-unknown\n");
	buf_release(&b);
}

static void csv__of_something_else__is_none(void **state)
{
	(void)state;
	assert_false(provider_is_csv(STR("email,name\nann@example.net,Ann\n")));
	assert_false(provider_is_csv(STR("From: MAILER-DAEMON@a.example\nSubject: error\n\nx\n")));
	assert_false(provider_is_csv(STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ses__each_event__is_read),
		cmocka_unit_test(sendgrid__array_of_events__is_read),
		cmocka_unit_test(others__bounces_and_complaints__are_read),
		cmocka_unit_test(json__of_nobody_known__is_an_error),
		cmocka_unit_test(mailgun__signature__decides),
		cmocka_unit_test(sns__signature__decides),
		cmocka_unit_test(sns__any_change_of_what_is_signed__is_refused),
		cmocka_unit_test(certificate_url__only_amazons__is_taken),
		cmocka_unit_test(csv__lists_of_errors__are_read),
		cmocka_unit_test(csv__the_words_of_a_reply__are_no_kind),
		cmocka_unit_test(csv__of_all_events__is_read_by_what_they_are_called),
		cmocka_unit_test(csv__an_endless_field__is_read_by_its_beginning),
		cmocka_unit_test(csv__of_something_else__is_none),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
