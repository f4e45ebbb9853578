/* The returned message's header, and everywhere a token may stand. */
#include "engine/bounce/reader_private.h"

void candidate_add(struct reading *q, enum candidate_place place, struct str name, struct str text)
{
	text = str_trim(text);
	if (text.n == 0 || text.n > 2000 || q->out->ncandidates == READER_CANDIDATES)
		return;
	q->r->candidates[q->out->ncandidates++] = (struct candidate){place, name, text};
}

/* ---- the returned message ---- */

static struct str returned_header(struct reading *q)
{
	for (int i = 0; i < q->mail->nparts; i++) {
		const struct part *p = &q->mail->part[i];
		if (p->role != PART_RETURNED || p->body.n == 0)
			continue;
		struct str encoding = field_find(q->a, p->header, "content-transfer-encoding");
		struct str text = p->body;
		if (str_is_nocase(encoding, "base64") || str_is_nocase(encoding, "quoted-printable")) {
			struct part copy = *p;
			copy.html = false;
			text = part_text(q->a, &copy);
		}
		return str_n(text.p, header_length(text));
	}
	return str_n(q->prose.returned.p, header_length(q->prose.returned));
}

/* In prose the header may be indented as a whole. */
static struct str without_indent(struct reading *q, struct str s)
{
	if (s.n == 0 || (s.p[0] != ' ' && s.p[0] != '\t'))
		return s;
	size_t indent = 0;
	while (indent < s.n && (s.p[indent] == ' ' || s.p[indent] == '\t'))
		indent++;
	char *out = arena_bytes(q->a, s.n + 1);
	size_t n = 0;
	for (size_t at = 0; out != NULL && at < s.n;) {
		size_t len = str_find(str_n(s.p + at, s.n - at), '\n'), skip = 0;
		while (skip < indent && skip < len && (s.p[at + skip] == ' ' || s.p[at + skip] == '\t'))
			skip++;
		memcpy(out + n, s.p + at + skip, len - skip);
		n += len - skip;
		out[n++] = '\n';
		at += len + 1;
	}
	return str_n(out, out != NULL && n > 0 ? n : 0);
}

static struct str without_brackets(struct str v)
{
	size_t open = str_find(v, '<');
	if (open == v.n)
		return str_trim(v);
	struct str in = str_n(v.p + open + 1, v.n - open - 1);
	return str_trim(str_n(in.p, str_find(in, '>')));
}

static bool may_hold_token(struct str name)
{
	static const char *const names[] = {"return-path", "message-id", "list-unsubscribe", "feedback-id",
		"x-return-path", "errors-to", "sender", "list-id", "references", "reply-to",
		"x-original-message-id", "resent-message-id", "x-google-original-message-id",
		"x-ms-exchange-original-message-id", "originator", "x-envelope-from", "x-mailfrom",
		"x-sender"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (str_is_nocase(name, names[i]))
			return true;
	return false;
}

void returned_read(struct reading *q)
{
	struct findings *out = q->out;
	q->returned = without_indent(q, returned_header(q));
	size_t at = 0;
	struct field f;
	while (field_next(q->returned, &at, &f)) {
		struct str v = field_unfold(q->a, f.value);
		if (str_is_nocase(f.name, "message-id") && out->message_id.n == 0)
			out->message_id = without_brackets(v);
		else if (str_is_nocase(f.name, "return-path") && out->return_path.n == 0)
			out->return_path = without_brackets(v);
		else if (str_is_nocase(f.name, "to") && out->to.n == 0)
			out->to = address_of_field(v);
		else if ((str_is_nocase(f.name, "x-envelope-to") || str_is_nocase(f.name, "envelope-to")) &&
			 out->to.n == 0)
			out->to = address_of_field(v);
		if (may_hold_token(f.name))
			candidate_add(q, CANDIDATE_RETURNED, f.name, v);
	}
}

/* ---- the message itself ---- */

static void own_address(struct reading *q, struct str address)
{
	if (address.n != 0 && q->nown < (int)(sizeof q->own / sizeof q->own[0]))
		q->own[q->nown++] = address;
}

/* "for <a@b>;" of the Received field that is nearest to us. */
static void received_for(struct reading *q, struct str v)
{
	size_t at = find_nocase(v, "for <");
	if (at < v.n) {
		struct str in = str_n(v.p + at + 5, v.n - at - 5);
		candidate_add(q, CANDIDATE_RETURN_PATH, STR("Received"), str_n(in.p, str_find(in, '>')));
	}
}

void candidates_read(struct reading *q)
{
	static const struct {
		const char *name;
		enum candidate_place place;
	} fields[] = {{"Delivered-To", CANDIDATE_RETURN_PATH}, {"X-Original-To", CANDIDATE_RETURN_PATH},
		{"Envelope-To", CANDIDATE_RETURN_PATH}, {"X-Envelope-To", CANDIDATE_RETURN_PATH},
		{"X-Delivered-To", CANDIDATE_RETURN_PATH}, {"X-Rcpt-To", CANDIDATE_RETURN_PATH},
		{"To", CANDIDATE_RETURN_PATH}, {"Apparently-To", CANDIDATE_RETURN_PATH},
		{"In-Reply-To", CANDIDATE_REFERENCE}, {"References", CANDIDATE_REFERENCE},
		{"X-Original-Message-Id", CANDIDATE_REFERENCE},
		{"X-MS-Exchange-Parent-Message-Id", CANDIDATE_REFERENCE}};
	if (q->env != NULL)
		candidate_add(q, CANDIDATE_RETURN_PATH, str_n(NULL, 0), q->env->recipient);
	size_t at = 0;
	struct field f;
	while (field_next(q->mail->header, &at, &f)) {
		if (str_is_nocase(f.name, "received")) {
			received_for(q, field_unfold(q->a, f.value));
			continue;
		}
		for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
			if (str_is_nocase(f.name, fields[i].name)) {
				struct str v = field_unfold(q->a, f.value);
				candidate_add(q, fields[i].place, f.name, v);
				if (fields[i].place == CANDIDATE_RETURN_PATH)
					own_address(q, address_of_field(v));
			}
	}
	own_address(q, q->out->from);
	if (q->env != NULL)
		own_address(q, q->env->recipient);
}
