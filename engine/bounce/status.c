/* Delivery status fields (RFC 3464), as they are written and not only as they should be: without an empty
 * line between recipients, without a type in front of the address, with the recipient in another field, in a
 * text part among prose. */
#include "engine/bounce/reader_private.h"

#include <assert.h>

struct failure *failure_of(struct reading *q, struct str address)
{
	for (size_t i = 0; i < q->out->nfailures; i++)
		if (same_address(q->r->failures[i].address, address))
			return &q->r->failures[i];
	return NULL;
}

struct failure *failure_add(struct reading *q, struct str address)
{
	address = address_unquote(q, address);
	struct failure *f = failure_of(q, address);
	if (f != NULL || q->out->nfailures == READER_FAILURES)
		return f;
	f = &q->r->failures[q->out->nfailures++];
	*f = (struct failure){.address = address};
	return f;
}

/* ---- fields ---- */

enum status_field {
	FIELD_NONE,
	FIELD_FINAL,
	FIELD_ORIGINAL,
	FIELD_ACTUAL,
	FIELD_ACTION,
	FIELD_STATUS,
	FIELD_DIAGNOSTIC,
	FIELD_REMOTE,
	FIELD_REPORTING,
	FIELD_ENVELOPE_ID,
	FIELD_QUEUE_ID
};

static enum status_field field_kind(struct str name)
{
	static const struct {
		const char *name;
		enum status_field kind;
	} known[] = {{"Final-Recipient", FIELD_FINAL}, {"Original-Recipient", FIELD_ORIGINAL},
		{"X-Actual-Recipient", FIELD_ACTUAL}, {"Action", FIELD_ACTION}, {"Status", FIELD_STATUS},
		{"Diagnostic-Code", FIELD_DIAGNOSTIC}, {"X-SMTP-Diagnostic", FIELD_DIAGNOSTIC},
		{"Remote-MTA", FIELD_REMOTE}, {"Reporting-MTA", FIELD_REPORTING},
		{"Original-Envelope-Id", FIELD_ENVELOPE_ID}, {"X-Postfix-Queue-ID", FIELD_QUEUE_ID},
		{"Final-Rcpt", FIELD_FINAL}, {"X-Queue-ID", FIELD_QUEUE_ID},
		{"Diagnostic code", FIELD_DIAGNOSTIC}};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (str_is_nocase(name, known[i].name))
			return known[i].kind;
	return FIELD_NONE;
}

bool status_is(struct str line)
{
	line = str_trim(line);
	size_t colon = str_find(line, ':');
	if (colon == line.n)
		return false;
	enum status_field kind = field_kind(str_trim(str_n(line.p, colon)));
	return kind == FIELD_FINAL || kind == FIELD_DIAGNOSTIC || kind == FIELD_REPORTING;
}

static enum report_action action_of(struct str v)
{
	static const struct {
		const char *word;
		enum report_action action;
	} known[] = {{"failed", REPORT_FAILED}, {"failure", REPORT_FAILED}, {"fail", REPORT_FAILED},
		{"delayed", REPORT_DELAYED}, {"deferred", REPORT_DELAYED}, {"delivered", REPORT_DELIVERED},
		{"deliverable", REPORT_DELIVERED}, {"relayed", REPORT_RELAYED}, {"expanded", REPORT_EXPANDED},
		{"bounced", REPORT_FAILED}, {"expired", REPORT_FAILED}};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (v.n >= strlen(known[i].word) &&
			strncasecmp(v.p, known[i].word, strlen(known[i].word)) == 0)
			return known[i].action;
	return REPORT_UNSTATED;
}

/* One recipient's fields while they are gathered. */
struct group {
	struct str final, original, actual, diagnostic, remote, status;
	enum report_action action;
	bool any;
};

/* "smtp; 550 …", "dns;host": without the type. */
static struct str without_type(struct str v)
{
	size_t semi = str_find(v, ';');
	struct str type = str_trim(str_n(v.p, semi));
	bool word = semi < v.n && type.n > 0 && type.n < 20;
	for (size_t i = 0; word && i < type.n; i++)
		word = type.p[i] == '-' || (type.p[i] | 0x20) >= 'a' ? (type.p[i] | 0x20) <= 'z'
								     : type.p[i] >= '0' && type.p[i] <= '9';
	return word ? str_trim(str_n(v.p + semi + 1, v.n - semi - 1)) : v;
}

/* What stands where an address should: the address, else the name (a local user, an X.400 address). */
static struct str recipient_of(struct str v)
{
	struct str a = address_of_field(v);
	if (a.n != 0)
		return a;
	a = without_type(v);
	if (a.n > 2 && a.p[0] == '<' && a.p[a.n - 1] == '>')
		a = str_n(a.p + 1, a.n - 2);
	return a;
}

/* The address that was written to stands in Original-Recipient; what it was expanded to may be a name on some
 * host of theirs. */
static struct str best_recipient(const struct group *g)
{
	const struct str all[] = {recipient_of(g->original), recipient_of(g->final), recipient_of(g->actual)};
	for (size_t i = 0; i < 3; i++)
		if (str_find(all[i], '@') < all[i].n)
			return all[i];
	return all[1].n != 0 ? all[1] : all[0];
}

static void group_end(struct reading *q, struct group *g, int part, const char *source)
{
	struct group done = *g;
	*g = (struct group){0};
	if (!done.any)
		return;
	struct str who = best_recipient(&done);
	bool known = who.n != 0 && failure_of(q, who) != NULL;
	struct failure *f = failure_add(q, who);
	if (f == NULL || (known && f->action == REPORT_FAILED && done.action != REPORT_FAILED))
		return;
	struct diagnosis d;
	diagnose(q, without_type(done.diagnostic), &d);
	struct str status = enhanced_find(done.status);
	f->action = done.action != REPORT_UNSTATED ? done.action : f->action;
	struct str final = recipient_of(done.final);
	if (final.n != 0 && !same_address(final, who))
		f->other = final;
	else if (recipient_of(done.actual).n != 0 && !same_address(recipient_of(done.actual), who))
		f->other = recipient_of(done.actual);
	f->who = f->why = (struct evidence){source, part, mail_line(q->mail, part, who)};
	f->enhanced = status.n != 0 ? status : f->enhanced;
	if (done.remote.n != 0)
		f->host = without_type(done.remote);
	failure_merge(q, f, &d);
}

static void take(struct reading *q, struct group *g, enum status_field kind, struct str v, int part,
	const char *source)
{
	if ((kind == FIELD_FINAL && g->final.n != 0) || (kind == FIELD_ORIGINAL && g->original.n != 0))
		group_end(q, g, part, source);
	struct str *to = NULL;
	switch (kind) {
	case FIELD_FINAL:
		to = &g->final;
		break;
	case FIELD_ORIGINAL:
		to = &g->original;
		break;
	case FIELD_ACTUAL:
		to = &g->actual;
		break;
	case FIELD_STATUS:
		to = &g->status;
		break;
	case FIELD_DIAGNOSTIC:
		to = &g->diagnostic;
		break;
	case FIELD_REMOTE:
		to = &g->remote;
		break;
	case FIELD_REPORTING:
		if (q->out->reporting_host.n == 0)
			q->out->reporting_host = without_type(v);
		return;
	case FIELD_ENVELOPE_ID:
		candidate_add(q, CANDIDATE_REPORT, STR("Original-Envelope-Id"), v);
		return;
	case FIELD_QUEUE_ID:
		if (q->out->relay_id.n == 0)
			q->out->relay_id = v;
		return;
	case FIELD_ACTION:
		g->action = action_of(v);
		return;
	case FIELD_NONE:
		return;
	}
	assert(to != NULL); /* the other kinds have returned */
	if (to->n == 0)
		*to = v;
	g->any = g->any || kind == FIELD_FINAL || kind == FIELD_ORIGINAL || kind == FIELD_ACTUAL;
}

/* A line that continues a field's value: folded, or the rest of a diagnostic that was broken without a fold.
 */
static bool continues(struct str line, enum status_field last)
{
	if (line.n != 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
		return true;
	size_t colon = str_find(line, ':');
	return last == FIELD_DIAGNOSTIC && str_trim(line).n != 0 &&
	       (colon == line.n || str_find(str_n(line.p, colon), ' ') < colon);
}

int status_read(struct reading *q, struct str text, int part, const char *source)
{
	size_t before = q->out->nfailures;
	struct group g = {0};
	for (size_t at = 0; at < text.n;) {
		size_t n = str_find(str_n(text.p + at, text.n - at), '\n');
		struct str line = str_n(text.p + at, n);
		at += n + 1;
		size_t colon = str_find(line, ':');
		if (str_trim(line).n == 0) {
			if (g.final.n != 0)
				group_end(q, &g, part, source);
			continue;
		}
		enum status_field kind =
			colon < line.n ? field_kind(str_trim(str_n(line.p, colon))) : FIELD_NONE;
		if (kind == FIELD_NONE)
			continue;
		size_t end = (size_t)(line.p - text.p) + line.n;
		while (at < text.n) {
			size_t more = str_find(str_n(text.p + at, text.n - at), '\n');
			if (!continues(str_n(text.p + at, more), kind) ||
				str_trim(str_n(text.p + at, more)).n == 0)
				break;
			end = at + more;
			at += more + 1;
		}
		struct str value = str_n(line.p + colon + 1, (size_t)(text.p + end - line.p) - colon - 1);
		take(q, &g, kind, str_trim(field_unfold(q->a, value)), part, source);
	}
	group_end(q, &g, part, source);
	return (int)(q->out->nfailures - before);
}
