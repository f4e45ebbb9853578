/* Renders and composes the newsletter for recipients from a file, again and again, and says how many in how
 * many seconds of CPU time; or once, and prints what came out, each with a NUL behind it.
 *
 * usage: templates MODE FILE RECIPIENTS HOW
 *   liquid TEMPLATE         the rows of the loop are split from a column, as in mail
 *   objects TEMPLATE        the rows are objects
 *   floor TEMPLATE
 *   message FILE            the whole message, by message_compile and message_compose
 *   message-floor FOLDER
 *   addresses -             the recipients' addresses, read as an import reads them
 * HOW: seconds, or "print". */
#include "lists/address.h"
#include "templates/liquid.h"
#include "templates/message.h"
#include "tests/bench/floor.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROOM = 1 << 18 };

static struct recipients people;
static struct arena keep, each; /* for all; for one render */
static struct err err;

static int fail(const char *what)
{
	fprintf(stderr, "templates: %s: %s:%ld: %s\n", what, err.file, err.line, err.why);
	exit(1);
}

static double cpu(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static ms_t moment(void)
{
	return (ms_t)1764576000 * SECOND; /* 1 December 2025, 08:00 UTC */
}

/* What one render gave; the second piece may be empty. */
struct output {
	struct str a, b;
};
typedef struct output render_fn(void *ctx, size_t i);

static int measure(render_fn *render, void *ctx, const char *how)
{
	bool print = strcmp(how, "print") == 0;
	double wanted = print ? 0 : atof(how), spent = 0, begin = 0;
	size_t n = 0;
	for (size_t i = 0; i < people.n; i++) {
		struct output o = render(ctx, i);
		if (print && (fwrite(o.a.p, 1, o.a.n, stdout) + fwrite(o.b.p, 1, o.b.n, stdout) == 0 ||
				     putchar('\0') != '\0'))
			return 1;
	}
	for (begin = cpu(); spent < wanted; spent = cpu() - begin, n += people.n)
		for (size_t i = 0; i < people.n; i++)
			render(ctx, i);
	if (!print)
		printf("%zu %.6f\n", n, spent);
	return 0;
}

/* ---- our engine ---- */

struct page {
	struct liquid *l;
	struct liquid_names *names;
	struct str *slots; /* of all recipients */
	json_t **data;     /* of all recipients; NULL: none */
};

static struct output render_page(void *ctx, size_t i)
{
	const struct page *p = ctx;
	struct liquid_result r;
	struct liquid_vars v = {.slots = p->slots + i * liquid_names_count(p->names),
		.data = p->data != NULL ? p->data[i] : NULL,
		.now = moment()};
	arena_reset(&each);
	if (liquid_render(p->l, &v, NULL, &each, &r, &err) != 0)
		fail("render");
	return (struct output){r.text, STR("")};
}

static json_t *books_json(const struct recipient *r)
{
	json_t *items = json_array();
	for (size_t i = 0; i < r->nbooks; i++) {
		const struct book *b = &r->books[i];
		json_array_append_new(items, json_pack("{s:s%,s:s%,s:s%,s:s%}", "title", b->title.p,
						     b->title.n, "author", b->author.p, b->author.n, "price",
						     b->price.p, b->price.n, "link", b->link.p, b->link.n));
	}
	return json_pack("{s:o}", "items", items);
}

static int run_page(const char *path, const char *how, bool objects)
{
	struct liquid_options o = {.escape = LIQUID_HTML, .path = path};
	struct page p = {.names = liquid_names_new()};
	p.l = liquid_compile(file_whole(path), &o, p.names, &err);
	if (p.l == NULL)
		fail("compile");
	size_t n = liquid_names_count(p.names);
	p.slots = arena_zalloc(&keep, people.n * n * sizeof *p.slots);
	p.data = objects ? arena_zalloc(&keep, people.n * sizeof(json_t *)) : NULL;
	for (size_t i = 0; i < people.n; i++) {
		for (size_t k = 0; k < n; k++) {
			struct str name = arena_str(&keep, liquid_name(p.names, k));
			if (!objects || !str_is(name, "items"))
				p.slots[i * n + k] = recipient_column(&people, i, name.p);
		}
		if (objects)
			p.data[i] = books_json(&people.all[i]);
	}
	return measure(render_page, &p, how);
}

/* ---- whole messages ---- */

struct letters {
	struct message *m;
	struct message_recipient *all;
};

static struct output compose_letter(void *ctx, size_t i)
{
	const struct letters *l = ctx;
	struct composed c;
	arena_reset(&each);
	if (message_compose(l->m, &l->all[i], false, &each, &c, &err) != 0)
		fail("compose");
	return (struct output){c.header, c.body};
}

static struct floor_letter letter_of(size_t i)
{
	return (struct floor_letter){
		.message_id = arena_printf(&keep, "1k%012zx7q2mwz5tnbr4hd9cxe@books.example", i),
		.unique = arena_printf(&keep, "%04zxm2wz5tnbr4h", i),
	};
}

static int run_message(const char *path, const char *how)
{
	struct message_dir d;
	struct message_reader reader;
	struct message_options o = {.zone = clock_zone("UTC", &err), .path = path};
	enum message_format format;
	struct letters l = {.all = arena_zalloc(&keep, people.n * sizeof *l.all)};
	if (message_format_of(path, &format, &err) != 0 || message_dir_open(&d, path, &reader, &err) != 0)
		fail(path);
	l.m = message_compile(&reader, format, &o, &err);
	if (l.m == NULL)
		fail("compile");
	for (size_t i = 0; i < people.n; i++) {
		struct str *slots = arena_zalloc(&keep, (message_nslots(l.m) + 1) * sizeof *slots);
		struct floor_letter tokens = letter_of(i);
		for (size_t k = 0; k < message_nslots(l.m); k++)
			slots[k] = recipient_column(&people, i, arena_str(&keep, message_slot(l.m, k)).p);
		l.all[i] = (struct message_recipient){
			.slots = slots,
			.email = recipient_column(&people, i, "email"),
			.campaign = STR("december"),
			.list = STR("readers"),
			.list_id = STR("readers.books.example"),
			.list_title = STR("Readers"),
			.unsubscribe_url = recipient_column(&people, i, "unsubscribe_url"),
			.unsubscribe_mailto = STR("mailto:leave@books.example?subject=unsubscribe"),
			.one_click = true,
			.view_url = recipient_column(&people, i, "view_url"),
			.message_id = tokens.message_id,
			.feedback_id = STR("12-december:booksexample"),
			.unique = tokens.unique,
			.date = moment(),
		};
	}
	return measure(compose_letter, &l, how);
}

/* ---- the floors ---- */

struct floors {
	struct floor_program *header, *text, *html;
	struct floor_values **values;
	char *out, *body;
};

static struct output floor_page(void *ctx, size_t i)
{
	const struct floors *f = ctx;
	floor_values_fill(f->values[i]);
	char *end = floor_render(f->html, f->values[i], f->out);
	return (struct output){str_n(f->out, (size_t)(end - f->out)), STR("")};
}

static char *put(char *o, struct str s)
{
	memcpy(o, s.p, s.n);
	return o + s.n;
}

/* The delimiters of the two parts hold the boundary, as the header does: they are of the header's program. */
static struct output floor_message(void *ctx, size_t i)
{
	const struct str types[] = {
		STR("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
		    "quoted-printable\r\n\r\n"),
		STR("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: "
		    "quoted-printable\r\n\r\n")};
	const struct floors *f = ctx;
	struct str unique = floor_unique(f->values[i]);
	floor_values_fill(f->values[i]);
	char *end = floor_render(f->header, f->values[i], f->out), *o = f->body;
	o = put(put(put(o, STR("--=_")), unique), STR("_0\r\n"));
	o = floor_render(f->text, f->values[i], put(o, types[0]));
	o = put(put(put(o, STR("\r\n--=_")), unique), STR("_0\r\n"));
	o = floor_render(f->html, f->values[i], put(o, types[1]));
	o = put(put(put(o, STR("\r\n--=_")), unique), STR("_0--\r\n"));
	return (struct output){str_n(f->out, (size_t)(end - f->out)), str_n(f->body, (size_t)(o - f->body))};
}

static struct floor_program *program(const char *folder, const char *name, bool coded)
{
	struct str path = arena_printf(&keep, "%s%s%s", folder, *name != '\0' ? "/" : "", name);
	return floor_compile(&keep, file_whole(path.p), coded);
}

static int run_floor(const char *path, const char *how, bool message)
{
	struct floors f = {.values = arena_zalloc(&keep, people.n * sizeof *f.values),
		.out = arena_bytes(&keep, ROOM),
		.body = arena_bytes(&keep, ROOM)};
	if (message) {
		f.header = program(path, "header.ctemplate", false);
		f.text = program(path, "text.ctemplate", true);
	}
	f.html = program(path, message ? "html.ctemplate" : "", message);
	for (size_t i = 0; i < people.n; i++) {
		struct floor_letter l = letter_of(i);
		f.values[i] = floor_values_new(&people, i, &l);
	}
	return measure(message ? floor_message : floor_page, &f, how);
}

static struct output read_address(void *ctx, size_t i)
{
	struct address a;
	(void)ctx;
	arena_reset(&each);
	if (address_parse(recipient_column(&people, i, "email"), &each, &a, &err) != 0)
		fail("an address");
	return (struct output){a.wire, STR("")};
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	const char *mode = argv[1], *path = argv[2], *how = argv[4];
	arena_init(&keep, 1 << 20, (size_t)1 << 30);
	arena_init(&each, 64 << 10, (size_t)256 << 20);
	recipients_read(&people, argv[3]);
	if (strcmp(mode, "liquid") == 0 || strcmp(mode, "objects") == 0)
		return run_page(path, how, strcmp(mode, "objects") == 0);
	if (strcmp(mode, "floor") == 0 || strcmp(mode, "message-floor") == 0)
		return run_floor(path, how, strcmp(mode, "message-floor") == 0);
	if (strcmp(mode, "message") == 0)
		return run_message(path, how);
	if (strcmp(mode, "addresses") == 0)
		return measure(read_address, NULL, how);
	return 2;
}
