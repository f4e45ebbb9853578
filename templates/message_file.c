#include "templates/message_file.h"

#include "src/base/nearest.h"
#include "src/base/utf8.h"

static const char *const names[FIELDS] = {
	[FIELD_FROM] = "From",
	[FIELD_TO] = "To",
	[FIELD_REPLY_TO] = "Reply-To",
	[FIELD_SUBJECT] = "Subject",
	[FIELD_PREHEADER] = "Preheader",
	[FIELD_LAYOUT] = "Layout",
	[FIELD_CHARSET] = "Charset",
	[FIELD_LANGUAGE] = "Language",
	[FIELD_LINK_PARAMETERS] = "Link-Parameters",
	[FIELD_ATTACH] = "Attach",
	[FIELD_HEADER] = "Header",
};

const char *message_field_name(enum message_field f)
{
	return names[f];
}

bool message_name_ok(struct str name)
{
	if (name.n == 0 || name.n > 1000 || name.p[0] == '/')
		return false;
	for (size_t i = 0; i <= name.n;) {
		struct str part = str_n(name.p + i, str_find(str_n(name.p + i, name.n - i), '/'));
		if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
			return false;
		i += part.n + 1;
	}
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
			return false;
	return !str_is(name, MESSAGE_PART) && !str_is(name, MESSAGE_PART_TEXT);
}

static long line_of(struct str s, size_t at)
{
	long line = 1;
	for (size_t i = 0; i < at && i < s.n; i++)
		line += s.p[i] == '\n' || (s.p[i] == '\r' && !(i + 1 < s.n && s.p[i + 1] == '\n'));
	return line;
}

int message_text(struct str s, const char *path, struct arena *a, struct str *out, struct err *e)
{
	if (str_starts(s, STR("\xEF\xBB\xBF")))
		s = str_n(s.p + 3, s.n - 3);
	size_t bad = utf8_check(s), nul = str_find(s, '\0');
	if (bad < s.n || nul < s.n) {
		err_set(e, ERR_DATA, path, bad < s.n ? "not UTF-8" : "a NUL character");
		err_at(e, path, line_of(s, bad < nul ? bad : nul));
		return err_remedy(e, "save the file as UTF-8");
	}
	char *p = arena_bytes(a, s.n + 1);
	if (p == NULL)
		return err_set(e, ERR_INTERNAL, path, "out of memory");
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n'))
			p[n++] = '\n';
		else if ((c >= ' ' && c != 0x7f) || c == '\t' || c == '\n')
			p[n++] = s.p[i];
	}
	p[n] = '\0';
	*out = str_n(p, n);
	return 0;
}

static int unknown_field(struct str name, const char *path, long line, struct err *e)
{
	struct nearest near;
	nearest_init(&near, name);
	for (size_t i = 0; i < FIELDS; i++)
		nearest_offer(&near, str_from(names[i]));
	err_set(e, ERR_DATA, path, "unknown header \"%.*s\"", (int)(name.n < 60 ? name.n : 60), name.p);
	err_at(e, path, line);
	if (str_is_nocase(name, "cc") || str_is_nocase(name, "bcc"))
		return err_remedy(
			e, "a message goes to one recipient; make a list of those who are to have it");
	if (near.best[0] != '\0')
		return err_remedy(e, "is \"%s\" meant?", near.best);
	return err_remedy(e, "a header of your own is written \"Header: %.*s: text\"",
		(int)(name.n < 60 ? name.n : 60), name.p);
}

/* --- the block --- */

static struct str take_line(struct str *rest)
{
	size_t n = str_find(*rest, '\n');
	struct str line = str_n(rest->p, n);
	*rest = n < rest->n ? str_n(rest->p + n + 1, rest->n - n - 1) : str_n(rest->p + rest->n, 0);
	return line;
}

static int field_add(struct message_source *s, struct str line, const char *path, long number, struct err *e)
{
	size_t colon = str_find(line, ':');
	struct str name = str_trim(str_n(line.p, colon));
	bool wordy = name.n == 0 || name.n > 60;
	for (size_t i = 0; i < name.n && !wordy; i++)
		wordy = (unsigned char)name.p[i] <= ' ';
	if (colon == line.n || wordy) {
		err_set(e, ERR_DATA, path, "not a header: \"%.*s\"", (int)(line.n < 60 ? line.n : 60),
			line.p);
		err_at(e, path, number);
		return err_remedy(
			e, "headers (From:, Subject: …) come first, then an empty line, then the body");
	}
	size_t f = 0;
	while (f < FIELDS && !str_is_nocase(name, names[f]))
		f++;
	if (f == FIELDS)
		return unknown_field(name, path, number, e);
	if (s->field[f] != NULL && f != FIELD_ATTACH && f != FIELD_HEADER) {
		err_set(e, ERR_DATA, path, "%s stands here twice, first in line %ld", names[f],
			s->field[f]->line);
		return err_at(e, path, number);
	}
	struct message_line *l = &s->lines[s->nlines++];
	struct str value = str_n(line.p + colon + 1, line.n - colon - 1);
	struct str text = str_trim(value);
	*l = (struct message_line){.field = (enum message_field)f, .value = text, .line = number};
	l->column = (int)((text.n != 0 ? text.p : line.p + line.n) - line.p) + 1;
	if (s->field[f] == NULL)
		s->field[f] = l;
	return 0;
}

int message_source_parse(
	struct str text, const char *path, struct arena *a, struct message_source *out, struct err *e)
{
	*out = (struct message_source){0};
	size_t most = 0;
	for (struct str rest = text; rest.n != 0; most++)
		if (take_line(&rest).n == 0)
			break;
	out->lines = arena_zalloc(a, (most + 1) * sizeof *out->lines);
	if (out->lines == NULL)
		return err_set(e, ERR_INTERNAL, path, "out of memory");
	struct str rest = text;
	long number = 1;
	for (; rest.n != 0; number++) {
		struct str line = take_line(&rest);
		if (str_trim(line).n == 0)
			break;
		if (line.p[0] != ' ' && line.p[0] != '\t') {
			if (field_add(out, line, path, number, e) != 0)
				return -1;
			continue;
		}
		if (out->nlines == 0) {
			err_set(e, ERR_DATA, path, "the first header begins with a blank");
			return err_at(e, path, number);
		}
		/* Continued: the text runs on to the end of this line. */
		struct message_line *l = &out->lines[out->nlines - 1];
		const char *from = l->value.n != 0 ? l->value.p : line.p;
		l->value = str_trim(str_n(from, (size_t)(line.p + line.n - from)));
	}
	out->body = rest;
	out->body_line = number + 1;
	return 0;
}
