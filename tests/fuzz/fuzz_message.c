/* A message file with layout, partial and text part, and the values of a recipient. Pieces are separated by
 * the character RS: format and options, message, layout, partial, text part, values. */
#include "templates/lint.h"
#include "tests/fuzz/message_lint.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECES = 32 };

struct input {
	struct str pieces[PIECES];
	size_t n;
};

static struct str piece(const struct input *in, size_t i)
{
	return i < in->n ? in->pieces[i] : str_n(NULL, 0);
}

static int read_piece(void *ctx, const char *name, struct buf *out, struct err *e)
{
	static const char *const names[] = {"message", "layout.html", "part.html", "message:text"};
	const struct input *in = ctx;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(name, names[i]) == 0 && piece(in, i + 1).p != NULL) {
			buf_str(out, piece(in, i + 1));
			return 0;
		}
	if (strcmp(name, "a.png") == 0 || strcmp(name, "\xC3\xA9.txt") == 0) {
		buf_puts(out, "some bytes, and more of them for a line of base64 that is long enough to be "
			      "wrapped");
		return 0;
	}
	return err_set(e, ERR_NOINPUT, name, "no such file");
}

static struct str lookup(void *ctx, struct str name)
{
	const struct input *in = ctx;
	return piece(in, 5 + (name.n + (name.n != 0 ? (unsigned char)name.p[0] : 0)) % 6);
}

/* What the author wrote may deserve: no subject, a script, a picture that is not there … The form is ours. */
static bool is_content(const char *id)
{
	static const char *const ids[] = {"subject-empty", "header-in-body", "body-empty", "image-not-there",
		"html-clipped", "link-broken", "html-script", "html-embed", "unsubscribe-link-hidden",
		/* of the configuration, which is any bytes here */
		"list-unsubscribe-malformed", "one-click-without-https",
		/* of the author: a domain of one letter, foreign text in a header that programs read */
		"address-malformed", "encoded-word-misplaced"};
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
		if (strcmp(id, ids[i]) == 0)
			return true;
	return false;
}

static void lint_form(const struct composed *c)
{
	static struct lint l;
	struct arena a;
	arena_init(&a, 64 << 10, 256 << 20);
	struct str whole = arena_printf(&a, "%.*s%.*s", STR_ARG(c->header), STR_ARG(c->body));
	lint_message(&l, &a, whole);
	for (size_t i = 0; i < l.n; i++)
		if (l.found[i].severity == LINT_FAIL && !is_content(l.found[i].id))
			lint_fail(l.found[i].id, whole, 0);
	arena_release(&a);
}

static void compose(const struct message *m, struct input *in, unsigned options)
{
	struct arena a;
	struct composed c;
	struct err e = {0};
	struct str slots[256];
	size_t n = message_nslots(m);
	if (n > 256)
		return;
	for (size_t i = 0; i < n; i++)
		slots[i] = lookup(in, message_slot(m, i));
	struct message_recipient r = {
		.slots = slots,
		.lookup = lookup,
		.ctx = in,
		.email = (options & 1) != 0 ? STR("j\xC3\xB6rg@example.com") : STR("\"a..b\"@example.com"),
		.to_name = piece(in, 5),
		.campaign = piece(in, 6),
		.list = piece(in, 7),
		.list_title = piece(in, 7),
		.list_id = STR("list.example.org"),
		.unsubscribe_url = piece(in, 8),
		.unsubscribe_mailto = (options & 2) != 0 ? STR("mailto:a@example.org") : STR(""),
		.one_click = (options & 4) != 0,
		.view_url = STR("https://example.org/v"),
		.message_id = STR("abcdefgh@example.org"),
		.feedback_id = STR("a:b"),
		.unique = STR("abcdefgh"),
		.subject_prefix = (options & 8) != 0 ? STR("[TEST] ") : STR(""),
		.date = 1795939200000,
	};
	arena_init(&a, 4096, 64 << 20);
	if (message_compose(m, &r, (options & 16) != 0, &a, &c, &e) == 0 && c.skip.n == 0) {
		if (c.tail.n != 0)
			c.body = arena_printf(&a, "%.*s%.*s", STR_ARG(c.body), STR_ARG(c.tail));
		lint_wire(&c);
		if (!c.utf8)
			lint_form(&c);
	}
	arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.n = 0};
	struct err e = {0};
	struct message_reader reader = {.read = read_piece, .ctx = &in};
	struct message_options o = {.path = "fuzz"};
	if (size < 2 || size > 20000)
		return 0;
	unsigned options = data[1];
	/* Piece 0 are the two bytes of options. */
	for (const uint8_t *p = data + 2, *end = data + size; p <= end && in.n + 1 < PIECES;) {
		const uint8_t *q = p < end ? memchr(p, 0x1e, (size_t)(end - p)) : NULL;
		in.pieces[++in.n] = str_n((const char *)p, (size_t)((q != NULL ? q : end) - p));
		if (q == NULL)
			break;
		p = q + 1;
	}
	in.n++;
	struct message *m = message_compile(&reader, (enum message_format)(data[0] % 3), &o, &e);
	if (m == NULL) {
		if (e.code == 0)
			abort();
		return 0;
	}
	compose(m, &in, options);
	message_free(&m);
	return 0;
}
