/* What a diagnostic says: reply code, enhanced code, the command that was answered, the host that answered,
 * and what the rules make of it. */
#include "engine/bounce/reader_private.h"
#include "engine/smtp/client.h"
#include "lists/provider.h"
#include "src/db/delivery.h"

#define DIAGNOSTIC_MAX 4000 /* bytes that are looked at */

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ---- numbers ---- */

/* 4xx or 5xx as three digits that stand for themselves. */
static int code_at(struct str s, size_t i)
{
	if (i + 3 > s.n || (s.p[i] != '4' && s.p[i] != '5') || !digit(s.p[i + 1]) || !digit(s.p[i + 2]))
		return 0;
	if (s.p[i + 1] > '7' ||
		(i + 3 < s.n && (digit(s.p[i + 3]) || (s.p[i + 3] >= 'a' && s.p[i + 3] <= 'z'))))
		return 0;
	if (i + 4 < s.n && s.p[i + 3] == '.' && digit(s.p[i + 4]))
		return 0;
	return (s.p[i] - '0') * 100 + (s.p[i + 1] - '0') * 10 + s.p[i + 2] - '0';
}

/* "5.1.1", not "5.1.1.1" nor "1.5.1.1". Its length, 0: none. */
static size_t enhanced_at(struct str s, size_t i)
{
	if (i > 0 && (digit(s.p[i - 1]) || s.p[i - 1] == '.'))
		return 0;
	size_t k = i;
	if (k >= s.n || (s.p[k] != '4' && s.p[k] != '5' && s.p[k] != '2'))
		return 0;
	k++;
	for (int part = 0; part < 2; part++) {
		if (k >= s.n || s.p[k] != '.')
			return 0;
		size_t from = ++k;
		while (k < s.n && digit(s.p[k]))
			k++;
		if (k == from || k - from > 3)
			return 0;
	}
	if (k < s.n && (s.p[k] == '.' && k + 1 < s.n && digit(s.p[k + 1])))
		return 0;
	return k - i;
}

struct str enhanced_find(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		size_t n = enhanced_at(s, i);
		if (n != 0 && (i == 0 || !((s.p[i - 1] >= 'a' && s.p[i - 1] <= 'z') ||
						 (s.p[i - 1] >= 'A' && s.p[i - 1] <= 'Z') ||
						 s.p[i - 1] == '/' || s.p[i - 1] == '_')))
			return str_n(s.p + i, n);
	}
	return str_n(NULL, 0);
}

/* May a reply begin here, by what stands before it? */
static bool reply_may_begin(struct str s, size_t i)
{
	size_t k = i;
	while (k > 0 && (s.p[k - 1] == ' ' || s.p[k - 1] == '\t'))
		k--;
	if (k == 0 || s.p[k - 1] == '\n')
		return true;
	char c = s.p[k - 1];
	if (strchr(":;>'\"([<|=*#-`", c) != NULL && c != '-')
		return true;
	static const char *const words[] = {"said", "code", "error", "was", "reply", "response", "with",
		"reason", "status", "answered", "returned", "smtp", "got", "is", "failure"};
	for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
		size_t n = strlen(words[w]);
		if (k >= n && strncasecmp(s.p + k - n, words[w], n) == 0)
			return true;
	}
	return false;
}

size_t reply_find(struct str s, bool strict, int *code)
{
	for (size_t i = 0; i + 3 <= s.n; i++) {
		int c = code_at(s, i);
		if (c == 0 || (i > 0 && (digit(s.p[i - 1]) || s.p[i - 1] == '.' || s.p[i - 1] == '_')))
			continue;
		char next = i + 3 < s.n ? s.p[i + 3] : '\n';
		if (strchr(" -:;,.)]\n'#\"|=", next) == NULL)
			continue;
		bool sure = i + 4 < s.n &&
			    (enhanced_at(s, i + 4) != 0 || (i + 5 < s.n && enhanced_at(s, i + 5) != 0));
		if (strict ? i == 0 : sure || reply_may_begin(s, i)) {
			*code = c;
			return i;
		}
		if (strict)
			break;
	}
	return s.n;
}

/* ---- which command, which host ---- */

enum {
	IN_CONNECT = 1,
	IN_GREETING = 2,
	IN_EHLO = 4,
	IN_TLS = 8,
	IN_MAIL = 16,
	IN_RCPT = 32,
	IN_DATA = 64,
	IN_END = 128,
	IN_VAIN = 256
};

/* clang-format off */
const struct phrase stage_list[] = {
	{"initial connection", IN_GREETING}, {"initial server greeting", IN_GREETING}, {"greeting failed", IN_GREETING},
	{"while connecting", IN_CONNECT}, {"reply to ehlo", IN_EHLO}, {"reply to helo", IN_EHLO}, {"after ehlo", IN_EHLO},
	{"after helo", IN_EHLO}, {"ehlo command", IN_EHLO}, {"helo command", IN_EHLO}, {"our ehlo", IN_EHLO},
	{"our helo", IN_EHLO}, {">>> ehlo", IN_EHLO}, {">>> helo", IN_EHLO}, {"after starttls", IN_TLS},
	{"reply to starttls", IN_TLS}, {"starttls command", IN_TLS}, {"reply to mail", IN_MAIL},
	{"after mail from", IN_MAIL}, {"mail from command", IN_MAIL}, {"mail command", IN_MAIL},
	{"but sender was rejected", IN_MAIL}, {"sender was rejected", IN_MAIL}, {"[mail_from]", IN_MAIL},
	{"our mail from", IN_MAIL}, {">>> mail", IN_MAIL}, {"smtp:mail", IN_MAIL}, {"following mail from", IN_MAIL},
	{"reply to rcpt", IN_RCPT}, {"after rcpt", IN_RCPT}, {"rcpt to command", IN_RCPT},
	{"rcpt command", IN_RCPT}, {"[rcpt_to]", IN_RCPT}, {"does not like recipient", IN_RCPT}, {"our rcpt", IN_RCPT},
	{"smtp:rcpt", IN_RCPT}, {"following rcpt", IN_RCPT}, {"rejected recipient", IN_RCPT}, {">>> rcpt", IN_RCPT},
	{"(rcpt to)", IN_RCPT}, {"state 13)", IN_RCPT}, {"(state 14)", IN_RCPT}, {"in response to rcpt", IN_RCPT},
	{"during rcpt", IN_RCPT}, {"rcpt to>", IN_RCPT}, {"stage rcpt", IN_RCPT}, {"rcpt to failed", IN_RCPT},
	{"response to the rcpt", IN_RCPT}, {"reply to data", IN_DATA}, {"data command", IN_DATA}, {"after data", IN_DATA},
	{"(data)", IN_DATA}, {"following data", IN_DATA}, {">>> data", IN_DATA}, {"smtp:data", IN_DATA},
	{"our data", IN_DATA}, {"[data]", IN_DATA}, {"end of data", IN_END}, {"end-of-data", IN_END},
	{"after i sent the message", IN_END}, {"our final data", IN_END}, {"text command", IN_END},
	{"sending message body", IN_END}, {">>> .", IN_END}, {"(state 17)", IN_END}, {"(state 18)", IN_END},
	{"after sending the message", IN_END}, {"[end_of_data]", IN_END},
	/* Pipelined, DATA stands last in the transcript of a refused recipient. */
	{"need rcpt", IN_VAIN}, {"no valid recipients", IN_VAIN}, {"must precede data", IN_VAIN},
	{"no recipients", IN_VAIN}, {"end of message", IN_END}, {"[message]", IN_END}, {"to the message data", IN_END},
};
/* clang-format on */
const unsigned stage_list_n = sizeof stage_list / sizeof stage_list[0];

static struct str stage_of(struct reading *q, struct str text)
{
	uint32_t in = phrases_in(q->r->stages, text);
	if (in & IN_END)
		return STR("end");
	if ((in & IN_DATA) && (in & IN_VAIN))
		return str_n(NULL, 0);
	if (in & IN_RCPT)
		return STR("rcpt");
	if (in & IN_DATA)
		return STR("data");
	if (in & IN_MAIL)
		return STR("mail");
	if (in & IN_TLS)
		return STR("starttls");
	if (in & IN_EHLO)
		return STR("ehlo");
	if (in & IN_GREETING)
		return STR("greeting");
	return in & IN_CONNECT ? STR("connect") : str_n(NULL, 0);
}

static bool in_host(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || digit(c) || c == '.' || c == '-' ||
	       c == ':';
}

static struct str host_of(struct str text)
{
	static const char *const before[] = {
		"while talking to ", "host ", " by ", "server ", "connected to ", "remote-mta: dns;"};
	for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
		size_t at = find_nocase(text, before[i]);
		if (at == text.n)
			continue;
		struct str rest = str_n(text.p + at + strlen(before[i]), text.n - at - strlen(before[i]));
		size_t n = 0;
		while (n < rest.n && (rest.p[n] == ' ' || rest.p[n] == '<' || rest.p[n] == '['))
			n++;
		rest = str_n(rest.p + n, rest.n - n);
		for (n = 0; n < rest.n && in_host(rest.p[n]);)
			n++;
		while (n > 0 && (rest.p[n - 1] == '.' || rest.p[n - 1] == ':' || rest.p[n - 1] == '-'))
			n--;
		struct str host = str_n(rest.p, n);
		if (str_find(host, '.') < host.n && n > 3)
			return host;
	}
	return str_n(NULL, 0);
}

/* "550-5.7.26 one 550-5.7.26 two 550 5.7.26 three": the lines of a reply joined into one keep their codes. */
static struct str without_codes(struct reading *q, struct str s)
{
	if (s.n < 8 || s.p[3] != '-' || code_at(s, 0) == 0)
		return s;
	char *out = arena_bytes(q->a, s.n + 1);
	size_t n = 0, i = 0;
	struct str enhanced = str_n(s.p + 4, enhanced_at(s, 4));
	while (out != NULL && i < s.n) {
		bool again = i > 0 && s.p[i - 1] == ' ' && i + 4 <= s.n && memcmp(s.p + i, s.p, 3) == 0 &&
			     (s.p[i + 3] == '-' || s.p[i + 3] == ' ');
		if (again) {
			i += 4;
			if (enhanced.n != 0 && str_starts(str_n(s.p + i, s.n - i), enhanced))
				i += enhanced.n;
			while (i < s.n && s.p[i] == ' ')
				i++;
			continue;
		}
		out[n++] = i == 3 ? ' ' : s.p[i];
		i++;
	}
	return str_n(out, n);
}

void diagnose(struct reading *q, struct str text, struct diagnosis *d)
{
	if (text.n > DIAGNOSTIC_MAX)
		text.n = DIAGNOSTIC_MAX;
	*d = (struct diagnosis){.text = without_codes(q, str_trim(field_unfold(q->a, text)))};
	size_t at = reply_find(d->text, false, &d->code);
	if (at < d->text.n) {
		d->enhanced = enhanced_find(str_n(d->text.p + at, d->text.n - at));
		if (d->enhanced.n == 0)
			d->enhanced = enhanced_find(d->text);
	} else {
		d->enhanced = enhanced_find(d->text);
	}
	d->command = stage_of(q, d->text);
	d->host = host_of(d->text);
}

/* ---- what is known about one recipient ---- */

/* X.0.0 says nothing but its class. */
static bool is_vague(struct str enhanced)
{
	return enhanced.n == 0 || str_ends(enhanced, STR(".0.0"));
}

static bool same_class(int code, struct str enhanced)
{
	return code == 0 || enhanced.n == 0 || enhanced.p[0] - '0' == code / 100;
}

void failure_merge(struct reading *q, struct failure *f, const struct diagnosis *d)
{
	if (f->code == 0)
		f->code = d->code;
	if (d->enhanced.n != 0 && d->enhanced.p[0] != '2' &&
		(is_vague(f->enhanced) ||
			(!same_class(f->code, f->enhanced) && same_class(f->code, d->enhanced))))
		f->enhanced = d->enhanced;
	if (f->diagnostic.n == 0)
		f->diagnostic = d->text;
	if (f->command.n == 0)
		f->command = d->command;
	if (f->host.n == 0)
		f->host = d->host;
	(void)q;
}

/* ---- whose words they are ---- */

/* A host as a report names it: "mx.example.org (192.0.2.1, the server for …)". */
static const char *operator_of_host(struct reading *q, struct str host)
{
	size_t n = 0;
	while (n < host.n && in_host(host.p[n]))
		n++;
	while (n > 0 && host.p[n - 1] == '.')
		n--;
	if (n == 0)
		return "";
	struct str lower = lower_copy(q->a, str_n(host.p, n));
	const char *z = lower.p != NULL ? arena_str(q->a, lower).p : NULL;
	return z != NULL ? provider_of_mx(&z, 1) : "";
}

static const char *operator_of_address(struct reading *q, struct str address)
{
	return provider_of_domain(lower_copy(q->a, str_after_last(address, '@')));
}

static bool says(struct str text, const char *what)
{
	return find_nocase(text, what) < text.n;
}

/* The host that answered, else the operator of the address, else who reports. */
static struct str provider_of(struct reading *q, const struct failure *f)
{
	const char *name = operator_of_host(q, f->host);
	if (*name == '\0')
		name = operator_of_address(q, f->other.n != 0 ? f->other : f->address);
	if (*name == '\0')
		name = operator_of_host(q, q->out->reporting_host);
	if (*name == '\0' && says(f->diagnostic, "- gsmtp"))
		name = "google";
	if (*name == '\0' && (says(f->diagnostic, ".prod.outlook.com") || says(f->diagnostic, "resolver.")))
		name = "m365";
	return arena_printf(q->a, "direct/%s", name);
}

/* The code to ask the rules with, where the report states none. */
static int code_for_rules(const struct failure *f)
{
	if (f->code != 0)
		return f->code;
	if (f->enhanced.n != 0 && f->enhanced.p[0] == '4')
		return 450;
	return f->action == REPORT_DELAYED ? 450 : 550;
}

/* Where no command is named, only an enhanced code about the address stands for an answer to RCPT: after the
 * message's end filters say "unknown user" too. */
static struct str stage_for_rules(struct reading *q, const struct failure *f)
{
	if (f->command.n != 0)
		return arena_printf(q->a, "returned/%.*s", STR_ARG(f->command));
	return str_starts(f->enhanced, STR("5.1.")) ? STR("returned/rcpt") : STR("returned/end");
}

void failure_decide(struct reading *q, struct failure *f)
{
	rules_decide(q->r->rules, provider_of(q, f), stage_for_rules(q, f), code_for_rules(f), f->enhanced,
		f->diagnostic, &f->verdict);
	/* Hard is what an address may be lost for: only where the rules would suppress on it, and it is
	 * final. */
	if (f->verdict.class == CLASS_HARD &&
		(f->verdict.action != ACTION_SUPPRESS || f->action == REPORT_DELAYED))
		f->verdict.class = CLASS_SOFT;
}
