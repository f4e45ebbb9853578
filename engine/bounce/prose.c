/* The report as lines of prose: where it ends, whom it names, what it says of each. Mail systems of forty
 * years have written such texts, and none by a standard. What they have in common: an address stands at the
 * beginning of its line or behind a word like "recipient", near a statement that something failed; the
 * server's reply stands with it, or below; the returned message comes last. */
#include "engine/bounce/reader_private.h"

#define NEAR     6 /* lines */
#define FRAMES   400
#define ENOUGH   4 /* points that make an address a failed recipient, where a mail system wrote */
#define AT_LEAST 2 /* and where nobody has so many */
#define CERTAIN  6 /* and where that is not known */

/* ---- splitting ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct str trim_end(struct str s)
{
	while (s.n != 0 && (is_blank(s.p[s.n - 1]) || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

static struct str trim_begin(struct str s)
{
	while (s.n != 0 && is_blank(s.p[0]))
		s = str_n(s.p + 1, s.n - 1);
	return s;
}

/* "Name: value" as in a header. */
static bool looks_like_field(struct str s)
{
	s = trim_begin(s);
	size_t colon = str_find(s, ':');
	if (colon == s.n || colon < 2 || colon > 50)
		return false;
	for (size_t i = 0; i < colon; i++)
		if (!(s.p[i] == '-' || (s.p[i] >= '0' && s.p[i] <= '9') ||
			    ((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z')))
			return false;
	return true;
}

/* A field that only a message's header has, and no explanation of a failure. */
static bool is_header_start(struct str s)
{
	static const char *const names[] = {"received: from ", "received: by ", "received: (",
		"return-path: <", "dkim-signature:", "x-received: by", "delivered-to: ",
		"domainkey-signature:", "authentication-results:", "arc-seal:", "mime-version: 1",
		"x-originating-ip:", "x-mailer:", "received-spf:"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (s.n >= strlen(names[i]) && strncasecmp(s.p, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static bool is_rule(char c)
{
	return c == '-' || c == '=' || c == '*' || c == '#' || c == '_' || c == '~' || c == '+' || c == '|' ||
	       c == '>';
}

/* A heading above the returned message, or a sentence that says that it follows. */
static bool announces(const struct prose *p, int i)
{
	struct str s = trim_begin(p->line[i].s);
	if ((p->line[i].signs & SAYS_RETURNED) == 0 || s.n > 120)
		return false;
	char last = s.p[s.n - 1];
	if ((s.p[0] == '-' && s.n > 2 && s.p[1] == '-') || (begins_nocase(s, "original message") && s.n < 40))
		return true;
	bool heading = is_rule(s.p[0]) || is_rule(last) || last == ':' || find_nocase(s, "follow") < s.n ||
		       find_nocase(s, "copy of") < s.n || find_nocase(s, "below") < s.n || s.n < 30;
	int k = i + 1, blank = 0;
	while (k < p->n && (p->line[k].s.n == 0 || is_rule(trim_begin(p->line[k].s).p[0])) && blank < 6) {
		k++;
		blank++;
	}
	return heading && (k >= p->n || looks_like_field(p->line[k].s) ||
				  str_starts(trim_begin(p->line[k].s), STR("From ")));
}

/* Somebody quotes it; ">>>" is how transcripts write commands. */
static bool is_quoted(const struct reading *q, struct str s)
{
	return s.n > 1 && s.p[0] == '>' && s.p[1] != '>' && !q->signed_by_daemon;
}

static void cut_at(struct reading *q, int i, int from)
{
	struct prose *p = &q->prose;
	if (from < p->n && p->returned.n == 0) {
		const char *begin = p->line[from].s.p;
		int end = p->n - 1;
		p->returned = str_n(begin, (size_t)(p->line[end].s.p + p->line[end].s.n - begin));
	}
	p->n = i;
}

/* The lines of one part, up to where the returned message begins. True: it began. */
static bool add_part(struct reading *q, struct str text, int part)
{
	struct prose *p = &q->prose;
	int first = p->n;
	for (size_t at = 0; at < text.n && p->n < PROSE_LINES;) {
		size_t n = str_find(str_n(text.p + at, text.n - at), '\n');
		struct str s = trim_end(str_n(text.p + at, n));
		at += n + 1;
		p->line[p->n++] = (struct prose_line){s, 0, part};
	}
	for (int i = first; i < p->n; i++) {
		struct prose_line *l = &p->line[i];
		if (l->s.n == 0)
			continue;
		struct str s = trim_begin(l->s);
		if (is_quoted(q, l->s))
			continue;
		l->signs = phrases_in(q->r->phrases, l->s.n < 600 ? l->s : str_n(l->s.p, 600));
		if (i > first && is_header_start(s)) {
			int from = i;
			while (from > first && looks_like_field(p->line[from - 1].s) &&
				!status_is(p->line[from - 1].s))
				from--;
			cut_at(q, from, from);
			return true;
		}
		if (announces(p, i)) {
			int from = i + 1;
			while (from < p->n && !looks_like_field(p->line[from].s))
				from++;
			cut_at(q, i, from);
			return true;
		}
		p->signs |= l->signs;
		p->status = p->status || status_is(s);
	}
	return false;
}

static bool has_plain(const struct mail *m)
{
	for (int i = 0; i < m->nparts; i++)
		if (m->part[i].role == PART_TEXT && !m->part[i].html && m->part[i].body.n > 20)
			return true;
	return false;
}

void prose_split(struct reading *q)
{
	struct mail *m = q->mail;
	q->prose = (struct prose){.line = q->r->lines};
	bool plain = has_plain(m);
	int taken = 0;
	for (int i = 0; i < m->nparts && taken < 3; i++) {
		const struct part *part = &m->part[i];
		if (part->role == PART_RETURNED)
			break;
		if (part->role != PART_TEXT || (part->named && !q->daemon) || (part->html && plain))
			continue;
		taken++;
		if (add_part(q, part_text(q->a, part), i + 1))
			break;
	}
}

/* ---- addresses ---- */

struct frame {
	struct str address;
	int line, points;
	size_t from, to; /* in the line */
	bool leading, reply;
};

static bool is_role_address(struct str a)
{
	static const char *const roles[] = {"postmaster@", "mailer-daemon@", "abuse@", "support@",
		"helpdesk@", "help@", "hostmaster@", "admin@", "administrator@", "webmaster@", "unblock@",
		"removal@", "noreply@", "no-reply@"};
	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
		if (a.n > strlen(roles[i]) && strncasecmp(a.p, roles[i], strlen(roles[i])) == 0)
			return true;
	return false;
}

/* Nothing but bullets, brackets, numbers and reply codes stands before it. */
static bool leads(struct str before)
{
	for (size_t i = 0; i < before.n; i++) {
		unsigned char c = (unsigned char)before.p[i];
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= 0x80 && c < 0xe2))
			return false;
	}
	return before.n < 40;
}

/* A link or a Message-ID, not somebody's address. */
static bool is_in_link(struct str before)
{
	size_t i = before.n;
	while (i > 0 && !is_blank(before.p[i - 1]))
		i--;
	struct str word = str_n(before.p + i, before.n - i);
	return find_nocase(word, "://") < word.n || find_nocase(word, "mailto:") < word.n;
}

static struct str fold_blanks(struct reading *q, struct str s)
{
	char *out = arena_bytes(q->a, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; out != NULL && i < s.n; i++) {
		char c = s.p[i] == '\t' ? ' ' : s.p[i];
		if (c != ' ' || (n > 0 && out[n - 1] != ' '))
			out[n++] = c;
	}
	return str_n(out, n);
}

static int points_for_words(struct reading *q, struct str before, struct str after)
{
	struct str near = fold_blanks(q, before.n > 40 ? str_n(before.p + before.n - 40, 40) : before);
	near = near.n > 28 ? str_n(near.p + near.n - 28, 28) : near;
	uint32_t signs = phrases_in(q->r->phrases, near);
	if (find_nocase(near, "generated from") < near.n || find_nocase(near, "expanded from") < near.n)
		return 0;
	if (is_in_link(before) || (signs & SAYS_OTHER))
		return -4;
	if (signs & SAYS_RECIPIENT)
		return 3;
	after = trim_begin(after);
	uint32_t behind = phrases_in(q->r->phrases, after.n > 60 ? str_n(after.p, 60) : after);
	return behind & SAYS_FAILED ? 2 : 0;
}

static int points_for_place(const struct prose *p, int line)
{
	if (p->line[line].signs & SAYS_FAILED)
		return 2;
	int seen = 0;
	for (int i = line - 1; i >= 0 && seen < NEAR; i--) {
		if (p->line[i].s.n == 0)
			continue;
		if (p->line[i].signs & SAYS_FAILED)
			return 2;
		seen++;
	}
	for (int i = line + 1; i < p->n && i <= line + 3; i++)
		if (p->line[i].signs & SAYS_FAILED)
			return 1;
	return 0;
}

static bool begins_field(const struct prose *p, int i, const char *name)
{
	return i >= 0 && i < p->n && begins_nocase(trim_begin(p->line[i].s), name);
}

/* "To:" among Subject and Sent tells what the message was, not whom it did not reach. */
static bool is_message_to(const struct prose *p, int i)
{
	if (!begins_field(p, i, "to:"))
		return false;
	for (int k = i - 2; k <= i + 2; k++)
		if (begins_field(p, k, "subject:") || begins_field(p, k, "sent:"))
			return true;
	return false;
}

static bool is_message_field(struct str line)
{
	static const char *const names[] = {"from:", "subject:", "message-id:", "date:", "sent:", "reply-to:",
		"sender:", "cc:", "mail from:", "references:", "in-reply-to:", "x-",
		"return-path:", "user-agent:"};
	line = trim_begin(line);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (line.n > strlen(names[i]) && strncasecmp(line.p, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static int points(struct reading *q, const struct frame *f, size_t since)
{
	const struct prose *p = &q->prose;
	struct str s = p->line[f->line].s;
	struct str before = str_n(s.p + since, f->from - since), after = str_n(s.p + f->to, s.n - f->to);
	int sum = f->leading ? 3 : points_for_words(q, before, after);
	if (f->leading) {
		struct str t = trim_begin(after);
		if (t.n == 0 || strchr(":,[(;.", t.p[0]) != NULL || str_starts(t, STR("on ")))
			sum++;
	}
	sum += points_for_place(p, f->line) + (f->reply ? 2 : 0);
	if (same_address(f->address, q->out->to))
		sum += 2;
	else if (is_own(q, f->address))
		sum -= 3;
	if (is_role_address(f->address) && !same_address(f->address, q->out->to))
		sum -= 3;
	if (is_message_field(s) || is_message_to(p, f->line))
		sum -= 4;
	if (is_quoted(q, s))
		sum -= 5;
	return sum;
}

static int find_frames(struct reading *q, struct frame *out)
{
	struct prose *p = &q->prose;
	int n = 0;
	for (int i = 0; i < p->n && n < FRAMES; i++) {
		struct str s = p->line[i].s;
		if (s.n > 2000 || str_find(s, '@') == s.n)
			continue;
		int code = 0;
		bool reply = reply_find(s, false, &code) < s.n;
		struct found_address a;
		for (size_t at = 0, since = 0; n < FRAMES && address_next(s, &at, &a); since = a.to) {
			struct frame *f = &out[n++];
			*f = (struct frame){
				.address = a.text, .line = i, .from = a.from, .to = a.to, .reply = reply};
			f->leading = since == 0 && leads(str_n(s.p, a.from));
			f->points = points(q, f, since);
		}
	}
	return n;
}

/* ---- what is said of an address ---- */

static bool is_session(struct str s)
{
	s = trim_begin(s);
	return str_starts(s, STR(">>>")) || str_starts(s, STR("<<<"));
}

/* The end of what is said of the frame at f[i]: where another address is treated. */
static int region_end(const struct reading *q, const struct frame *f, int n, int i, int least)
{
	for (int k = i + 1; k < n; k++)
		if (f[k].points >= least && !same_address(f[k].address, f[i].address) &&
			f[k].line > f[i].line)
			return f[k].line;
	return q->prose.n;
}

/* Line `i` from `from`: where a reply stands in it, else -1. */
static long reply_in_line(const struct prose *p, int i, size_t from)
{
	int code;
	struct str s = p->line[i].s;
	if (from > s.n)
		return -1;
	struct str rest = str_n(s.p + from, s.n - from);
	size_t at = reply_find(rest, false, &code);
	if (at == rest.n) {
		/* "5.4.1 Recipient address rejected": the code is left out. */
		struct str t = trim_begin(rest);
		while (t.n != 0 && (is_rule(t.p[0]) || is_blank(t.p[0])))
			t = str_n(t.p + 1, t.n - 1);
		struct str enhanced = enhanced_find(str_n(t.p, t.n < 8 ? t.n : 8));
		return enhanced.n != 0 && enhanced.p == t.p && t.n > enhanced.n + 4 ? (long)(t.p - s.p) : -1;
	}
	return (long)(from + at);
}

/* A reply with the lines that continue it. */
static struct str reply_text(struct reading *q, int i, size_t from, int end)
{
	const struct prose *p = &q->prose;
	struct buf b = BUF_INIT(4000);
	struct str line = str_n(p->line[i].s.p + from, p->line[i].s.n - from);
	buf_str(&b, line);
	int first = 0;
	reply_find(line, true, &first);
	bool open = line.n > 3 && line.p[3] == '-';
	for (int k = i + 1; k < end && k < i + 14; k++) {
		struct str s = trim_begin(p->line[k].s);
		if (s.n == 0 || is_session(s) || is_rule(s.p[0]) || str_starts(s, STR("Giving up")))
			break;
		int code = 0;
		if (reply_find(s, true, &code) == 0 && s.n > 4) {
			if (code != first || !open)
				break;
			open = s.p[3] == '-';
			s = str_n(s.p + 4, s.n - 4);
		}
		buf_putc(&b, ' ');
		buf_str(&b, s);
	}
	struct str out = arena_str(q->a, buf_get(&b));
	buf_release(&b);
	return out;
}

/* The first paragraph with words in it, from behind the address on. */
static struct str paragraph(struct reading *q, int i, size_t from, int end)
{
	const struct prose *p = &q->prose;
	struct buf b = BUF_INIT(4000);
	bool words = false;
	for (int k = i; k < end && k < i + 16; k++) {
		struct str s = p->line[k].s;
		s = k == i ? str_n(s.p + from, s.n - from) : s;
		s = trim_begin(s);
		if (s.n == 0 || is_rule(s.p[0])) {
			if (words)
				break;
			if (s.n == 0 || s.n < 4 || (unsigned char)s.p[s.n - 1] == (unsigned char)s.p[0])
				continue;
		}
		if (b.len != 0)
			buf_putc(&b, ' ');
		buf_str(&b, s);
		for (size_t c = 0; c < s.n; c++)
			words = words || ((s.p[c] | 0x20) >= 'a' && (s.p[c] | 0x20) <= 'z') ||
				(unsigned char)s.p[c] >= 0x80;
	}
	struct str out = words ? arena_str(q->a, buf_get(&b)) : str_n(NULL, 0);
	buf_release(&b);
	return out;
}

/* All lines of the region, for the command and the host that are named around the reply. */
static struct str region_text(struct reading *q, int i, int end)
{
	const struct prose *p = &q->prose;
	int last = end < i + 30 ? end : i + 30;
	if (last > p->n)
		last = p->n;
	if (last <= i || p->line[i].part != p->line[last - 1].part)
		return str_n(p->line[i].s.p, p->line[i].s.n);
	const char *from = p->line[i].s.p;
	return str_n(from, (size_t)(p->line[last - 1].s.p + p->line[last - 1].s.n - from));
}

/* In a transcript the command stands on the line before the reply. */
static struct str command_before(struct reading *q, int i)
{
	const struct prose *p = &q->prose;
	for (int k = i - 1; k >= 0 && k >= i - 6; k--) {
		struct str s = trim_begin(p->line[k].s);
		if (!str_starts(s, STR(">>>")))
			continue;
		struct diagnosis d;
		diagnose(q, region_text(q, k, i + 6), &d);
		return d.command;
	}
	return str_n(NULL, 0);
}

static bool is_only(const struct frame *f, int n, int i, int least)
{
	for (int k = 0; k < n; k++)
		if (f[k].points >= least && !same_address(f[k].address, f[i].address))
			return false;
	return true;
}

static void explain_frame(
	struct reading *q, const struct frame *f, int n, int i, int least, struct diagnosis *d)
{
	const struct prose *p = &q->prose;
	int end = region_end(q, f, n, i, least), line = f[i].line;
	struct str text = str_n(NULL, 0);
	*d = (struct diagnosis){0};
	for (int k = line; k < end && k < line + 40 && text.n == 0; k++) {
		long at = reply_in_line(p, k, 0);
		if (at < 0)
			continue;
		text = reply_text(q, k, (size_t)at, end);
		diagnose(q, text, d);
		if (d->command.n == 0)
			d->command = command_before(q, k);
	}
	/* One recipient: the reply may stand above, too. */
	for (int k = line - 1; text.n == 0 && k >= 0 && is_only(f, n, i, least); k--) {
		long at = reply_in_line(p, k, 0);
		if (at < 0)
			continue;
		text = reply_text(q, k, (size_t)at, line);
		diagnose(q, text, d);
	}
	struct diagnosis around;
	if (text.n == 0) {
		text = paragraph(q, line, f[i].to, end);
		if (text.n == 0 && !f[i].leading)
			text = paragraph(q, line, 0, end);
		if (text.n == 0 && line > 0) {
			int up = line - 1;
			while (up > 0 && (p->line[up].s.n == 0 || p->line[up - 1].s.n != 0))
				up--;
			text = paragraph(q, up, 0, line);
		}
		diagnose(q, text, d);
	}
	diagnose(q, region_text(q, line, end), &around);
	if (str_is(around.command, "data")) /* what made it answer there may stand below */
		diagnose(q, region_text(q, line, end + 3), &around);
	if (d->command.n == 0)
		d->command = around.command;
	if (d->host.n == 0)
		d->host = around.host;
	if (d->enhanced.n == 0)
		d->enhanced = around.enhanced;
}

/* ---- the two ways in ---- */

static int best_points(const struct frame *f, int n)
{
	int best = 0;
	for (int i = 0; i < n; i++)
		best = f[i].points > best ? f[i].points : best;
	return best;
}

static void add_frame(struct reading *q, const struct frame *f, int n, int i, int least)
{
	bool known = failure_of(q, f[i].address) != NULL;
	struct failure *to = failure_add(q, f[i].address);
	if (to == NULL)
		return;
	struct diagnosis d;
	explain_frame(q, f, n, i, least, &d);
	if (!known)
		to->who = to->why = (struct evidence){"text", q->prose.line[f[i].line].part,
			mail_line(q->mail, q->prose.line[f[i].line].part, f[i].address)};
	if (known && to->code == 0 && d.code != 0)
		to->diagnostic = str_n(NULL, 0); /* the reply says more than the paragraph did */
	failure_merge(q, to, &d);
}

/* "(generated from a@b)" below or behind an address: the same recipient. */
static bool add_source(struct reading *q, const struct frame *f, int i)
{
	struct str s = q->prose.line[f[i].line].s, before = str_n(s.p, f[i].from);
	bool source = find_nocase(before, "generated from") < before.n ||
		      find_nocase(before, "expanded from") < before.n;
	if (!source || i == 0 || f[i].line - f[i - 1].line > 1)
		return false;
	struct failure *to = failure_of(q, f[i - 1].address);
	if (to != NULL && to->other.n == 0)
		to->other = f[i].address;
	return to != NULL;
}

static struct str bare_word(struct str s)
{
	s = trim_begin(s);
	for (size_t i = 0; i < s.n; i++)
		if (is_blank(s.p[i]) || strchr("@:;,<>()[]/", s.p[i]) != NULL ||
			(unsigned char)s.p[i] >= 0x80)
			return str_n(NULL, 0);
	return s.n > 1 && s.n < 65 ? s : str_n(NULL, 0);
}

/* Some systems name their own users without the domain: a word alone below a sentence with a colon. */
static void add_bare_name(struct reading *q)
{
	const struct prose *p = &q->prose;
	struct str from = q->out->from;
	size_t at = str_find(from, '@');
	for (int i = 0; i + 1 < p->n && at < from.n; i++) {
		struct str s = p->line[i].s;
		if (s.n == 0 || s.p[s.n - 1] != ':' || points_for_place(p, i) < 2)
			continue;
		int k = i + 1;
		while (k + 1 < p->n && p->line[k].s.n == 0)
			k++;
		struct str word = bare_word(p->line[k].s);
		if (word.n == 0)
			continue;
		struct frame f = {.line = k, .to = p->line[k].s.n, .leading = true};
		f.address = arena_printf(
			q->a, "%.*s%.*s", STR_ARG(word), STR_ARG(str_n(from.p + at, from.n - at)));
		add_frame(q, &f, 1, 0, ENOUGH);
		return;
	}
}

int prose_read(struct reading *q)
{
	struct frame *f = arena_alloc(q->a, FRAMES * sizeof *f);
	if (f == NULL)
		return 0;
	size_t before = q->out->nfailures;
	int n = find_frames(q, f), best = best_points(f, n), least = q->text_is_sure ? ENOUGH : CERTAIN;
	if (best > least + 3)
		least = best - 3;
	int part = 0;
	for (int i = 0; i < n; i++) {
		int own = q->prose.line[f[i].line].part;
		if (f[i].points < least || (part != 0 && own != part && failure_of(q, f[i].address) == NULL))
			continue;
		part = part == 0 ? own : part;
		if (!add_source(q, f, i))
			add_frame(q, f, n, i, least);
	}
	for (int i = 0; i < n && q->out->nfailures == before; i++)
		if (f[i].points == best && best >= AT_LEAST)
			add_frame(q, f, n, i, best);
	if (q->out->nfailures == before && q->signed_by_daemon)
		add_bare_name(q);
	return (int)(q->out->nfailures - before);
}

/* Only the prose quotes the command that was answered, and sometimes the reply. */
void prose_explain(struct reading *q)
{
	struct frame *f = arena_alloc(q->a, FRAMES * sizeof *f);
	if (f == NULL || q->prose.n == 0)
		return;
	int n = find_frames(q, f);
	for (size_t k = 0; k < q->out->nfailures; k++) {
		struct failure *to = &q->r->failures[k];
		struct diagnosis d = {0};
		bool found = false;
		for (int i = 0; i < n; i++)
			if (same_address(f[i].address, to->address) ||
				same_address(f[i].address, to->other)) {
				struct diagnosis more;
				explain_frame(q, f, n, i, ENOUGH, &more);
				if (!found || (d.code == 0 && more.code != 0))
					d = more;
				found = true;
			}
		if (!found && q->out->nfailures == 1 && q->prose.n > 0) {
			struct frame all = {.line = 0, .address = to->address};
			explain_frame(q, &all, 1, 0, ENOUGH, &d);
			found = d.code != 0 || to->diagnostic.n == 0;
		}
		if (found && (to->code == 0 || d.code == 0 || d.code == to->code))
			failure_merge(q, to, &d);
	}
}
