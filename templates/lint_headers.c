#include "templates/lint_private.h"

#include "src/base/utf8.h"

/* ---- Fields ---- */

static struct str line_at(struct str s, size_t at, size_t *next)
{
	size_t n = str_find(str_n(s.p + at, s.n - at), '\n');
	*next = at + n + (at + n < s.n);
	return str_n(s.p + at, n > 0 && s.p[at + n - 1] == '\r' ? n - 1 : n);
}

static bool name_ok(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] == 0x7f)
			return false;
	return name.n != 0;
}

static void add_field(struct linter *l, struct lint_headers *h, struct str line, struct str place)
{
	size_t colon = str_find(line, ':');
	if (colon == line.n) {
		lint_add(l, L_HEADER_COLON, place, line.p, "a header line has no colon: \"%s\"",
			lint_show(l, line));
		return;
	}
	struct str name = str_n(line.p, colon);
	if (!name_ok(name))
		lint_add(l, L_HEADER_NAME, place, line.p, "this is no header name: \"%s\"",
			lint_show(l, name));
	if (h->n == LINT_HEADERS) {
		l->out->skipped = true;
		return;
	}
	h->v[h->n++] = (struct lint_header){str_trim(name), str_n(line.p + colon + 1, line.n - colon - 1)};
}

struct str lint_fields(struct linter *l, struct str s, struct str place, struct lint_headers *out)
{
	size_t at = 0, next;
	out->n = 0;
	out->v = arena_alloc(l->a, LINT_HEADERS * sizeof *out->v);
	if (out->v == NULL)
		return str_n(s.p, 0);
	for (; at < s.n; at = next) {
		struct str line = line_at(s, at, &next);
		if (line.n == 0)
			return str_n(s.p + next, s.n - next);
		if ((line.p[0] == ' ' || line.p[0] == '\t') && out->n != 0) {
			struct lint_header *last = &out->v[out->n - 1];
			last->value.n = (size_t)(line.p + line.n - last->value.p);
		} else {
			add_field(l, out, line, place);
		}
	}
	lint_add(l, L_HEADER_END, place, NULL, "no empty line ends the header");
	return str_n(s.p + s.n, 0);
}

const struct lint_header *lint_header(const struct lint_headers *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (str_is_nocase(h->v[i].name, name))
			return &h->v[i];
	return NULL;
}

struct str lint_unfold(struct linter *l, struct str value)
{
	char *p = arena_bytes(l->a, value.n + 1);
	size_t n = 0;
	if (p == NULL)
		return str_n("", 0);
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] != '\r' && value.p[i] != '\n')
			p[n++] = value.p[i];
	return str_trim(str_n(p, n));
}

/* ---- Which fields there are ---- */

enum {
	ONCE = 1,
	FORBIDDEN = 2,
	ADDRESS = 4,
	FREE = 8 /* RFC 2047 in its text */,
	FILE_NAME = 16,
	VALUES = 32 /* holds a person's or the writer's words */
};

static const struct known {
	const char *name;
	unsigned what;
} known[] = {
	{"date", ONCE},
	{"from", ONCE | ADDRESS | VALUES},
	{"sender", ONCE | ADDRESS},
	{"reply-to", ONCE | ADDRESS | VALUES},
	{"to", ONCE | ADDRESS | VALUES},
	{"cc", ONCE | ADDRESS},
	{"message-id", ONCE},
	{"in-reply-to", ONCE},
	{"references", ONCE},
	{"subject", ONCE | FREE | VALUES},
	{"mime-version", ONCE},
	{"content-type", ONCE | FILE_NAME},
	{"content-transfer-encoding", ONCE},
	{"content-disposition", ONCE | FILE_NAME},
	{"content-id", ONCE},
	{"content-description", ONCE | FREE},
	{"content-language", ONCE},
	{"content-location", ONCE},
	{"content-base", ONCE},
	{"content-md5", ONCE},
	{"content-class", 0},
	{"comments", FREE},
	{"keywords", FREE},
	{"bcc", FORBIDDEN},
	{"return-path", 0},
	{"received", 0},
	{"received-spf", 0},
	{"delivered-to", 0},
	{"resent-bcc", FORBIDDEN},
	{"resent-date", 0},
	{"resent-from", ADDRESS},
	{"resent-to", ADDRESS},
	{"resent-cc", ADDRESS},
	{"resent-message-id", 0},
	{"resent-sender", ADDRESS},
	{"list-id", ONCE | VALUES},
	{"list-unsubscribe", ONCE | VALUES},
	{"list-unsubscribe-post", ONCE},
	{"list-help", ONCE},
	{"list-owner", ONCE},
	{"list-post", ONCE},
	{"list-subscribe", ONCE},
	{"list-archive", ONCE},
	{"precedence", ONCE},
	{"auto-submitted", ONCE},
	{"feedback-id", 0},
	{"cfbl-address", ONCE},
	{"cfbl-feedback-id", ONCE},
	{"dkim-signature", 0},
	{"domainkey-signature", 0},
	{"authentication-results", 0},
	{"arc-seal", 0},
	{"arc-message-signature", 0},
	{"arc-authentication-results", 0},
	{"bimi-selector", ONCE},
	{"bimi-location", 0},
	{"bimi-indicator", 0},
	{"autocrypt", 0},
	{"organization", FREE},
	{"user-agent", 0},
	{"thread-topic", FREE},
	{"thread-index", 0},
	{"importance", 0},
	{"priority", 0},
	{"sensitivity", 0},
	{"errors-to", 0},
	{"require-recipient-valid-since", 0},
	{"original-message-id", 0},
	{"disposition-notification-to", ADDRESS},
	{"accept-language", 0},
	{"mail-followup-to", 0},
	{"mail-reply-to", 0},
	{"expires", 0},
	{"supersedes", 0},
	{"tls-required", 0},
	{"status", 0},
};

/* X- headers that programs and providers add; ends of names are free. */
static const char *const known_x[] = {"x-mailer", "x-auto-response-suppress", "x-entity-ref-id", "x-ses-",
	"x-pm-", "x-mc-", "x-mj-", "x-mailgun-", "x-sg-", "x-smtpapi", "x-msys-", "x-sib-", "x-mailin-",
	"x-campaign", "x-report-abuse", "x-priority", "x-msmail-", "x-ms-", "x-microsoft", "x-exchange",
	"x-forefront", "x-feedback-id", "x-list-", "x-originating-", "x-google-", "x-gm-", "x-received",
	"x-mimeole", "x-spam-", "x-virus-", "x-rspamd-", "x-uid", "x-mozilla-", "x-abuse", "x-complaints-to",
	"x-csa-complaints", "x-postmark", "x-mandrill-", "x-accounttype", "x-mailer-", "x-loop", "x-binding",
	"x-rpcampaign", "x-job", "x-elnk-", "x-proofpoint-", "x-yahoo-", "x-apple-"};

static unsigned what_of(struct str name, bool *is_known)
{
	*is_known = true;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (str_is_nocase(name, known[i].name))
			return known[i].what;
	for (size_t i = 0; i < sizeof known_x / sizeof known_x[0]; i++)
		if (name.n >= strlen(known_x[i]) && strncasecmp(name.p, known_x[i], strlen(known_x[i])) == 0)
			return 0;
	*is_known = false;
	return 0;
}

/* ---- All of them ---- */

/* A mailbox may be UTF-8 where the message goes out with SMTPUTF8 (RFC 6532); a name next to it is encoded
 * even then. */
static bool within_address(struct str v, size_t i)
{
	if (str_find(v, '<') == v.n)
		return str_find(str_trim(v), ' ') == str_trim(v).n && utf8_valid(v);
	const char *open = memrchr(v.p, '<', i), *close = memrchr(v.p, '>', i);
	return open != NULL && (close == NULL || close < open) && utf8_valid(v);
}

static void eight_bit(struct linter *l, const struct lint_header *h, bool address)
{
	for (size_t i = 0; i < h->value.n; i++)
		if ((unsigned char)h->value.p[i] >= 0x80 && !(address && within_address(h->value, i))) {
			lint_add(l, L_HEADER_8BIT, h->name, h->name.p,
				"it holds bytes that are not ASCII: \"%s\"",
				lint_show(l, str_trim(h->value)));
			return;
		}
}

static const struct lint_header *first_of(const struct lint_headers *h, struct str name)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].name.n == name.n && strncasecmp(h->v[i].name.p, name.p, name.n) == 0)
			return &h->v[i];
	return NULL;
}

static bool starts_x(struct str name)
{
	return name.n > 2 && (name.p[0] | 0x20) == 'x' && name.p[1] == '-';
}

static void unknown_field(struct linter *l, const struct lint_headers *h, size_t i)
{
	const struct lint_header *f = &h->v[i];
	bool before = false;
	if (i > 0 && (what_of(h->v[i - 1].name, &before) & VALUES))
		lint_add(l, L_HEADER_INJECTED, f->name, f->name.p,
			"this header stands right behind %s, and no mail program writes it",
			lint_show(l, h->v[i - 1].name));
	else
		lint_add(l, L_HEADER_UNKNOWN, f->name, f->name.p,
			starts_x(f->name) ? "a header of somebody's own" : "no standard knows this header");
}

static void each_field(struct linter *l, const struct lint_headers *h)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct lint_header *f = &h->v[i];
		bool is_known;
		unsigned what = what_of(f->name, &is_known);
		if (!is_known)
			unknown_field(l, h, i);
		if (what & FORBIDDEN)
			lint_add(l, L_HEADER_BCC, f->name, f->name.p,
				"a message as it is sent has no such header: \"%s\"",
				lint_show(l, str_trim(f->value)));
		if ((what & ONCE) && first_of(h, f->name) != f)
			lint_add(l, L_HEADER_TWICE, f->name, f->name.p, "there is more than one");
		if (str_trim(f->value).n == 0 && !str_is_nocase(f->name, "subject"))
			lint_add(l, L_HEADER_EMPTY, f->name, f->name.p, "it is empty");
		if (!(what & FILE_NAME))
			eight_bit(l, f, (what & ADDRESS) != 0);
		if (what & ADDRESS)
			lint_words(l, f, WORDS_ADDRESS, NULL);
		else if ((what & FREE) && !str_is_nocase(f->name, "subject"))
			lint_words(l, f, WORDS_TEXT, NULL);
		else if (is_known && !(what & (FREE | FILE_NAME)) && !str_is_nocase(f->name, "list-id"))
			lint_words(l, f, WORDS_NONE, NULL);
	}
}

static void people(struct linter *l, const struct lint_headers *h)
{
	const struct lint_header *from = lint_header(h, "from"), *to = lint_header(h, "to"),
				 *reply = lint_header(h, "reply-to"), *sender = lint_header(h, "sender");
	struct str first = {0}, recipient = {0}, answer = {0};
	size_t n = 0;
	if (from != NULL)
		lint_addresses(l, from, &n, &first);
	if (from == NULL || n == 0)
		lint_add(l, L_FROM_MISSING, STR("From"), from != NULL ? from->name.p : NULL,
			from != NULL ? "it has no address" : "there is no From");
	else if (n > 1)
		lint_add(l, L_FROM_MANY, STR("From"), from->name.p, "it has %zu addresses", n);
	n = 0;
	if (to != NULL)
		lint_addresses(l, to, &n, &recipient);
	if (to == NULL && lint_header(h, "cc") == NULL)
		lint_add(l, L_TO_MISSING, STR("To"), NULL, "there is no To");
	else if (n > 1)
		lint_add(l, L_TO_MANY, STR("To"), to->name.p, "it names %zu recipients", n);
	n = 0;
	if (reply != NULL)
		lint_addresses(l, reply, &n, &answer);
	n = 0;
	if (sender != NULL)
		lint_addresses(l, sender, &n, &first);
	if (answer.n != 0 && answer.n == recipient.n && strncasecmp(answer.p, recipient.p, answer.n) == 0)
		lint_add(
			l, L_REPLY_SAME, STR("Reply-To"), reply->name.p, "it is the recipient's own address");
}

void lint_top(struct linter *l, const struct lint_headers *h)
{
	const struct lint_header *v = lint_header(h, "mime-version");
	each_field(l, h);
	people(l, h);
	lint_date(l, lint_header(h, "date"));
	lint_message_id(l, lint_header(h, "message-id"));
	lint_subject(l, lint_header(h, "subject"));
	if (v == NULL)
		lint_add(l, L_MIME_MISSING, STR("MIME-Version"), NULL, "there is no MIME-Version");
	else if (!str_is(v->name, "MIME-Version") || !str_is(lint_unfold(l, v->value), "1.0"))
		lint_add(l, L_MIME_FORM, STR("MIME-Version"), v->name.p, "it is written \"%s: %s\"",
			lint_show(l, v->name), lint_show(l, str_trim(v->value)));
}
