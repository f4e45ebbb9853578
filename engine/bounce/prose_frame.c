/* Addresses in prose, and the points for and against each. */
#include "engine/bounce/prose_private.h"

#define NEAR 6 /* lines */

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

int points_for_place(const struct prose *p, int line)
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

int frames_find(struct reading *q, struct frame *out)
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
