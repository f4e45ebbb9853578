/* One good message, and ways to spoil it. */
#ifndef TESTS_LINT_FIXTURE_H
#define TESTS_LINT_FIXTURE_H

#include "src/base/buf.h"
#include "templates/lint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define GOOD_HEADER                                                                                          \
	"Date: Tue, 1 Dec 2026 09:00:00 +0900\r\n"                                                           \
	"Message-ID: <k7f3a9@books.example>\r\n"                                                             \
	"MIME-Version: 1.0\r\n"                                                                              \
	"From: Kyoto Books <news@books.example>\r\n"                                                         \
	"Reply-To: Kyoto Books <shop@books.example>\r\n"                                                     \
	"To: Anna <anna@reader.example>\r\n"                                                                 \
	"Subject: =?utf-8?B?5LqU5pyI44Gu?= =?utf-8?Q?J=C3=BCni?= list is here\r\n"                           \
	"List-Id: Readers <readers.books.example>\r\n"                                                       \
	"List-Unsubscribe: <https://books.example/u?t=abc>,\r\n <mailto:u-abc@books.example>\r\n"            \
	"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"                                              \
	"Feedback-ID: 7-june:booksexample\r\n"                                                               \
	"Precedence: bulk\r\n"                                                                               \
	"X-Mailer: a mailer\r\n"

#define GOOD_TEXT                                                                                            \
	"Dear Anna,\r\n\r\nforty new titles came in this month, all from Z=C3=BCrich.\r\nCome and see them " \
	"at the=\r\n shop soon.\r\n\r\n"                                                                     \
	"To unsubscribe: https://books.example/u?t=3Dabc\r\n"

#define GOOD_HTML                                                                                            \
	"<!DOCTYPE html>\r\n<html lang=3D\"en\"><head><title>June</title></head><body>\r\n"                  \
	"<div style=3D\"display:none\">A short word&zwnj;&nbsp;</div>\r\n"                                   \
	"<p>Dear <b>Anna</b>,</p>\r\n<p>forty new titles came in this month, all from "                      \
	"=\r\nZ=C3=BCrich.\r\nCome and =\r\nsee them at the shop soon.</p>\r\n"                              \
	"<p><a href=3D\"https://www.books.example/\">books.example</a>\r\n"                                  \
	"<img src=3D\"cid:logo@books.example\" alt=3D\"Logo\" =\r\nwidth=3D\"80\"></p>\r\n"                  \
	"<p><a href=3D\"https://books.example/u?t=3Dabc\">Unsubscribe</a></p>\r\n</body></html>\r\n"

#define GOOD_MESSAGE                                                                                         \
	GOOD_HEADER "Content-Type: multipart/mixed; boundary=\"=_k7_0\"\r\n\r\n"                             \
		    "--=_k7_0\r\nContent-Type: multipart/alternative; boundary=\"=_k7_1\"\r\n\r\n"           \
		    "--=_k7_1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "     \
		    "quoted-printable\r\n\r\n" GOOD_TEXT "\r\n"                                              \
		    "--=_k7_1\r\nContent-Type: multipart/related; type=\"text/html\"; "                      \
		    "boundary=\"=_k7_2\"\r\n\r\n"                                                            \
		    "--=_k7_2\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: "      \
		    "quoted-printable\r\n\r\n" GOOD_HTML "\r\n"                                              \
		    "--=_k7_2\r\nContent-Type: image/gif\r\nContent-Transfer-Encoding: "                     \
		    "base64\r\nContent-ID: <logo@books.example>\r\n"                                         \
		    "Content-Disposition: inline; "                                                          \
		    "filename=\"logo.gif\"\r\n\r\nR0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=\r\n"      \
		    "--=_k7_2--\r\n\r\n--=_k7_1--\r\n\r\n"                                                   \
		    "--=_k7_0\r\nContent-Type: text/plain; "                                                 \
		    "charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n"                            \
		    "Content-Disposition: attachment; filename=\"june.txt\"; "                               \
		    "filename*=utf-8''j%C3%BCni.txt\r\n\r\nSvxuaQ==\r\n--=_k7_0--\r\n"

/* `text` with its first `from` replaced. */
static inline void swapped(struct buf *out, struct str text, struct str from, struct str to)
{
	const char *at = memmem(text.p, text.n, from.p, from.n);
	if (at == NULL)
		fail_msg("the good message has no \"%.*s\"", (int)from.n, from.p);
	buf_clear(out);
	buf_add(out, text.p, (size_t)(at - text.p));
	buf_str(out, to);
	buf_add(out, at + from.n, (size_t)(text.p + text.n - at) - from.n);
}

struct fixture {
	struct arena arena;
	struct lint lint;
	struct buf text;
};

static inline void setup_fixture(struct fixture *f)
{
	arena_init(&f->arena, 64 << 10, 256 << 20);
	f->text = BUF_INIT(64 << 20);
}

static inline void release_fixture(struct fixture *f)
{
	arena_release(&f->arena);
	buf_release(&f->text);
}

static inline const struct lint_finding *found(const struct lint *l, const char *id)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->found[i].id, id) == 0)
			return &l->found[i];
	return NULL;
}

static inline void print_all(const struct lint *l)
{
	for (size_t i = 0; i < l->n; i++)
		print_message("  %s %s (%.*s, line %ld): %.*s\n", lint_severity_names[l->found[i].severity],
			l->found[i].id, STR_ARG(l->found[i].place), l->found[i].line,
			STR_ARG(l->found[i].text));
}

struct mutation {
	const char *name;
	struct str from, to;
	const char *id;
	struct str place; /* n == 0: any */
};

/* Each mutation of `good` is found and named, and is not in `good` itself. Failures are counted, so that one
 * run shows all. */
static inline void check_mutations(const struct mutation *m, size_t n, struct str good)
{
	struct fixture f;
	size_t failures = 0;
	setup_fixture(&f);
	for (size_t i = 0; i < n; i++) {
		arena_reset(&f.arena);
		swapped(&f.text, good, m[i].from, m[i].to);
		lint_message(&f.lint, &f.arena, buf_get(&f.text));
		const struct lint_finding *hit = found(&f.lint, m[i].id);
		if (hit != NULL && hit->text.n != 0 && hit->remedy[0] != '\0' &&
			(m[i].place.n == 0 || str_eq(hit->place, m[i].place)))
			continue;
		print_message("not found: %s (%s)\n", m[i].name, m[i].id);
		print_all(&f.lint);
		failures++;
	}
	release_fixture(&f);
	assert_int_equal(failures, 0);
}

#endif
