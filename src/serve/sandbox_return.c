/* What the sandbox sends back to those whose mail it took: bounces in the forms of many mail servers,
 * complaints, and automatic answers. */
#include "engine/smtp/conn.h"
#include "src/base/hash.h"
#include "src/base/literal.h"
#include "src/base/log.h"
#include "src/serve/sandbox_private.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { QUEUE_MOST = 10000 };

struct returned {
	struct returned *next;
	char to[320];
	const struct zone *zone;
	struct buf header, body;
	struct smtp_message message;
};

struct sandbox_return {
	struct sandbox *s;
	struct sockaddr_storage addr;
	char host[INET_ADDRSTRLEN];
	struct smtp_endpoint ep;
	struct smtp_options options;
	struct smtp_conn *conn;
	bool over; /* no new connection */
	struct returned *first, **last;
	int waiting;
	const struct zone *zone;
	ev_timer again;
};

/* ---- The forms ---- */

struct words {
	const char *status, *reply;
};

static struct words words_of(enum fate fate)
{
	if (fate == FATE_RETURNED_FULL)
		return (struct words){"5.2.2", "552 5.2.2 The mailbox is full"};
	return (struct words){"5.1.1", "550 5.1.1 User unknown"};
}

static void head(struct returned *r, const char *from, const char *subject, const char *type)
{
	unsigned long long id;
	char date[CLOCK_TEXT];
	random_bytes(&id, sizeof id);
	clock_rfc5322(r->zone, clock_now(), date);
	buf_printf(&r->header,
		"From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: "
		"<%016llx@mx.sandbox.localhost>\r\n"
		"MIME-Version: 1.0\r\nContent-Type: %s\r\n",
		from, r->to, subject, date, id, type);
}

static void report(struct returned *r, const char *text, struct str rcpt, struct words w, struct str original)
{
	head(r, "Mail Delivery System <MAILER-DAEMON@mx.sandbox.localhost>",
		"Undelivered Mail Returned to Sender",
		"multipart/report; report-type=delivery-status; boundary=\"=_r\"");
	buf_puts(&r->header, "Auto-Submitted: auto-replied\r\n\r\n");
	buf_printf(&r->body,
		"--=_r\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n%s\r\n\r\n<%.*s>: %s\r\n\r\n"
		"--=_r\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; "
		"mx.sandbox.localhost\r\n\r\n"
		"Final-Recipient: rfc822; %.*s\r\nAction: failed\r\nStatus: %s\r\nDiagnostic-Code: smtp; "
		"%s\r\n\r\n"
		"--=_r\r\nContent-Type: text/rfc822-headers\r\n\r\n",
		text, STR_ARG(rcpt), w.reply, STR_ARG(rcpt), w.status, w.reply);
	buf_str(&r->body, original);
	buf_puts(&r->body, "\r\n--=_r--\r\n");
}

static void prose(struct returned *r, const char *from, const char *subject, const char *before,
	struct str rcpt, const char *between, struct words w, const char *after, struct str original)
{
	head(r, from, subject, "text/plain; charset=us-ascii");
	if (strncmp(from, "Mail Delivery", 13) == 0)
		buf_printf(&r->header, "X-Failed-Recipients: %.*s\r\nAuto-Submitted: auto-replied\r\n",
			STR_ARG(rcpt));
	buf_puts(&r->header, "\r\n");
	buf_printf(&r->body, "%s%.*s%s%s\r\n\r\n%s\r\n\r\n", before, STR_ARG(rcpt), between, w.reply, after);
	buf_str(&r->body, original);
	buf_puts(&r->body, "\r\n");
}

static void bounce(struct returned *r, unsigned form, enum fate fate, struct str rcpt, struct str original)
{
	struct words w = words_of(fate);
	switch (form % 5) {
	case 0:
		report(r, "I'm sorry to have to inform you that your message could not be delivered.", rcpt,
			w, original);
		break;
	case 1:
		report(r, "Delivery has failed to these recipients or groups:", rcpt, w, original);
		break;
	case 2:
		prose(r, "Mail Delivery System <Mailer-Daemon@mx.sandbox.localhost>",
			"Mail delivery failed: returning message to sender",
			"This message was created automatically by mail delivery software.\r\n\r\nA message "
			"that you sent "
			"could not be delivered to one or more of its\r\nrecipients. This is a permanent "
			"error. The "
			"following address(es) failed:\r\n\r\n  ",
			rcpt, "\r\n    ", w, "------ This is a copy of the message's headers. ------",
			original);
		break;
	case 3:
		prose(r, "MAILER-DAEMON@mx.sandbox.localhost", "failure notice",
			"Hi. This is the qmail-send program at mx.sandbox.localhost.\r\nI'm afraid I wasn't "
			"able to deliver "
			"your message to the following addresses.\r\nThis is a permanent error; I've given "
			"up. Sorry it "
			"didn't work out.\r\n\r\n<",
			rcpt, ">:\r\n", w, "--- Below this line is a copy of the message.", original);
		break;
	default:
		prose(r, "Mail Delivery Subsystem <MAILER-DAEMON@mx.sandbox.localhost>",
			"Returned mail: see transcript for details",
			"The original message was received from localhost\r\n\r\n   ----- The following "
			"addresses had "
			"permanent fatal errors -----\r\n<",
			rcpt, ">\r\n    (reason: ", w, "   ----- Original message follows -----", original);
		break;
	}
}

static void complaint(struct returned *r, struct str from, struct str rcpt, struct str original)
{
	const char *at = memchr(from.p, '@', from.n);
	snprintf(r->to, sizeof r->to, "feedback@%.*s", at != NULL ? (int)(from.p + from.n - at - 1) : 9,
		at != NULL ? at + 1 : "localhost");
	head(r, "Feedback Loop <fbl@mx.sandbox.localhost>", "complaint about a message",
		"multipart/report; report-type=feedback-report; boundary=\"=_r\"");
	buf_puts(&r->header, "\r\n");
	buf_printf(&r->body,
		"--=_r\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nThis is an email abuse report "
		"for a message "
		"received.\r\n\r\n--=_r\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: "
		"abuse\r\n"
		"User-Agent: sandbox/1\r\nVersion: 1\r\nOriginal-Mail-From: <%.*s>\r\nOriginal-Rcpt-To: "
		"<%.*s>\r\n\r\n"
		"--=_r\r\nContent-Type: message/rfc822\r\n\r\n",
		STR_ARG(from), STR_ARG(rcpt));
	buf_str(&r->body, original);
	buf_puts(&r->body, "\r\n\r\n--=_r--\r\n");
}

static void away(struct returned *r, unsigned form, struct str rcpt)
{
	static const char *const subjects[] = {"Automatic reply: The June list",
		"Abwesenheitsnotiz: The June list", "=?utf-8?B?6Ieq5YuV5b+c562UOiDkuI3lnKjjgafjgZk=?="};
	static const char *const texts[] = {
		"I am out of the office until Monday and will read your mail then.",
		"Ich bin bis Montag nicht erreichbar. Ihre Nachricht wird nicht weitergeleitet.",
		"I am on holiday. If an address is unknown or a mailbox full: 550 5.1.1, call me."};
	char from[330];
	snprintf(from, sizeof from, "%.*s", STR_ARG(rcpt));
	head(r, from, subjects[form % 3], "text/plain; charset=us-ascii");
	if (form % 2 == 0)
		buf_puts(&r->header, "Auto-Submitted: auto-replied\r\n");
	buf_puts(&r->header, "\r\n");
	buf_printf(&r->body, "%s\r\n", texts[form % 3]);
}

/* ---- On its way ---- */

static void drop_first(struct sandbox_return *b)
{
	struct returned *r = b->first;
	b->first = r->next;
	if (b->first == NULL)
		b->last = &b->first;
	b->waiting--;
	buf_release(&r->header);
	buf_release(&r->body);
	free(r);
}

static void send_next(struct sandbox_return *b)
{
	struct returned *r = b->first;
	if (r == NULL) {
		smtp_conn_quit(b->conn);
		b->over = true;
		return;
	}
	r->message = (struct smtp_message){
		.rcpt = str_from(r->to), .header = buf_get(&r->header), .body = buf_get(&r->body), .user = r};
	smtp_conn_send(b->conn, &r->message);
}

static void on_ready(void *ctx, struct smtp_conn *c)
{
	struct sandbox_return *b = ctx;
	/* One at a time: the next is taken when this one's result is here. */
	if (b->conn == c && (b->first == NULL || b->first->message.user == NULL))
		send_next(b);
}

static void on_result(void *ctx, struct smtp_conn *c, struct smtp_message *m, const struct smtp_result *r)
{
	struct sandbox_return *b = ctx;
	(void)c;
	if (!r->tried) {
		m->user = NULL;
		return;
	}
	if (r->accepted)
		b->s->counts.returned++;
	else
		log_warn("sandbox: %s does not take what is returned: %.*s", b->host,
			r->reply != NULL ? (int)r->reply->text.n : 9,
			r->reply != NULL ? r->reply->text.p : "no reply");
	drop_first(b);
	if (smtp_conn_ready(b->conn))
		send_next(b);
}

static void on_closed(void *ctx, struct smtp_conn *c, bool clean, const struct smtp_result *r)
{
	struct sandbox_return *b = ctx;
	(void)c;
	b->conn = NULL;
	if (!clean && !b->over && r->why != NULL)
		log_warn("sandbox: %s: %s", b->host, r->why);
	b->over = false;
	if (b->first == NULL)
		return;
	b->first->message.user = NULL;
	ev_timer_set(&b->again, 1., 0.);
	ev_timer_start(b->s->loop, &b->again);
}

static void connect_now(struct sandbox_return *b)
{
	static const struct smtp_conn_ops ops = {.ready = on_ready, .result = on_result, .closed = on_closed};
	struct err e = {0};
	if (b->conn != NULL || b->first == NULL)
		return;
	b->conn = smtp_conn_open(b->s->loop, &b->ep, &b->options, &ops, b, &e);
	if (b->conn == NULL)
		log_err(LOG_LEVEL_WARN, &e);
}

static void on_again(struct ev_loop *loop, ev_timer *t, int events)
{
	(void)loop, (void)events;
	connect_now(t->data);
}

void sandbox_return(
	struct sandbox_return *b, enum fate fate, struct str from, struct str rcpt, struct str message)
{
	const char *end = memmem(message.p, message.n, "\r\n\r\n", 4);
	struct str original = str_n(message.p, end != NULL ? (size_t)(end - message.p) + 2 : message.n);
	unsigned form = (unsigned)(hash64(rcpt) % 30);
	struct returned *r = from.n != 0 && b->waiting < QUEUE_MOST ? calloc(1, sizeof *r) : NULL;
	if (r == NULL)
		return;
	r->zone = b->zone;
	buf_init(&r->header, 64 << 10);
	buf_init(&r->body, 64 << 10);
	snprintf(r->to, sizeof r->to, "%.*s", STR_ARG(from));
	if (fate == FATE_COMPLAINT)
		complaint(r, from, rcpt, original);
	else if (fate == FATE_AWAY)
		away(r, form, rcpt);
	else
		bounce(r, form, fate, rcpt, original);
	*b->last = r;
	b->last = &r->next;
	b->waiting++;
	if (b->conn == NULL && !ev_is_active(&b->again)) {
		ev_timer_set(&b->again, 0.1, 0.);
		ev_timer_start(b->s->loop, &b->again);
	}
}

struct sandbox_return *sandbox_return_new(struct sandbox *s, const char *where, struct err *e)
{
	struct sandbox_return *b = calloc(1, sizeof *b);
	if (b == NULL) {
		err_set(e, ERR_INTERNAL, "sandbox", "out of memory");
		return NULL;
	}
	/* What it returns stays on this machine, as all that it does. */
	const struct sockaddr_in *a = (const struct sockaddr_in *)&b->addr;
	if (!literal_place(str_from(where), &b->addr) || a->sin_family != AF_INET ||
		ntohl(a->sin_addr.s_addr) >> 24 != 127) {
		free(b);
		err_set(e, ERR_USAGE, "sandbox",
			"--return-to is an address of this machine and a port, as 127.0.0.1:2424: \"%.60s\"",
			where);
		return NULL;
	}
	inet_ntop(AF_INET, &a->sin_addr, b->host, sizeof b->host);
	b->s = s;
	b->zone = clock_zone(NULL, NULL);
	b->last = &b->first;
	b->ep = (struct smtp_endpoint){
		.host = b->host, .addrs = &b->addr, .naddrs = 1, .connect_timeout = 10 * SECOND};
	b->options = (struct smtp_options){.helo = "mx.sandbox.localhost",
		.tls = SMTP_TLS_NONE,
		.pipeline = true,
		.timeouts = &smtp_timeouts_default};
	ev_init(&b->again, on_again);
	b->again.data = b;
	return b;
}

bool sandbox_return_end(struct sandbox_return *b)
{
	if (b == NULL)
		return true;
	ev_timer_stop(b->s->loop, &b->again);
	while (b->first != NULL && b->conn == NULL)
		drop_first(b);
	if (b->conn != NULL)
		smtp_conn_abort(b->conn);
	return b->conn == NULL;
}

void sandbox_return_free(struct sandbox_return *b)
{
	while (b != NULL && b->first != NULL)
		drop_first(b);
	free(b);
}
