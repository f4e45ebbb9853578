/* The report as lines of prose: where it ends, whom it names. Mail systems of forty years have written such
 * texts, and none by a standard. What they have in common: an address stands at the beginning of its line or
 * behind a word like "recipient", near a statement that something failed; the server's reply stands with it,
 * or below; the returned message comes last. */
#include "engine/bounce/prose_private.h"

/* ---- splitting ---- */

bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct str trim_end(struct str s)
{
	while (s.n != 0 && (is_blank(s.p[s.n - 1]) || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

struct str trim_begin(struct str s)
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

bool is_rule(char c)
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
bool is_quoted(const struct reading *q, struct str s)
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
	frame_explain(q, f, n, i, least, &d);
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
	int n = frames_find(q, f), best = best_points(f, n), least = q->text_is_sure ? ENOUGH : CERTAIN;
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
	int n = frames_find(q, f);
	for (size_t k = 0; k < q->out->nfailures; k++) {
		struct failure *to = &q->r->failures[k];
		struct diagnosis d = {0};
		bool found = false;
		for (int i = 0; i < n; i++)
			if (same_address(f[i].address, to->address) ||
				same_address(f[i].address, to->other)) {
				struct diagnosis more;
				frame_explain(q, f, n, i, ENOUGH, &more);
				if (!found || (d.code == 0 && more.code != 0))
					d = more;
				found = true;
			}
		if (!found && q->out->nfailures == 1 && q->prose.n > 0) {
			struct frame all = {.line = 0, .address = to->address};
			frame_explain(q, &all, 1, 0, ENOUGH, &d);
			found = d.code != 0 || to->diagnostic.n == 0;
		}
		if (found && (to->code == 0 || d.code == 0 || d.code == to->code))
			failure_merge(q, to, &d);
	}
}
