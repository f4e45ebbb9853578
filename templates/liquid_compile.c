/* The compiler's frame: files, partials, and putting the program together. */
#include "templates/liquid_parser.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- files ---- */

static int parse_source(struct parser *p, uint32_t file, uint32_t *begin, uint32_t *end)
{
	struct body b;
	const struct source *f = (const struct source *)p->files.p + file;
	p->src = f->text;
	p->file = file;
	p->depth = 0;
	p->here = p->src.p;
	struct reader r = {.src = p->src};
	if (lq_parse_body(p, &r, NULL, &b) != 0)
		return -1;
	if (b.end.kind != P_EOF)
		return lq_bad_end(p, NULL, &b.end);
	*begin = b.from;
	*end = b.to;
	return 0;
}

static int add_file(struct parser *p, struct str path, struct str text, long first_line)
{
	struct source *f = lq_vec_add(p, &p->files);
	if (f == NULL)
		return -1;
	f->path = arena_str(&p->l->arena, path);
	f->text = arena_str(&p->l->arena, text);
	f->first_line = first_line;
	p->l->files = p->files.p;
	p->l->nfiles = (uint32_t)p->files.n;
	if (p->l->arena.failed)
		return lq_error(p, NULL, "out of memory");
	return 0;
}

/* ---- partials ---- */

static struct str partial_key(struct parser *p, const struct partial_call *c, struct str name)
{
	struct buf b = BUF_INIT(2 * LIQUID_MAX_SOURCE);
	buf_printf(&b, "%s %.*s\n%s%.*s", c->include ? "include" : "render", STR_ARG(name),
		c->loop   ? "for "
		: c->with ? "with "
			  : "",
		STR_ARG(c->alias));
	for (uint32_t i = 0; i < c->nnamed && !c->include; i++)
		buf_printf(&b, "\n%.*s", STR_ARG(c->named[i].name));
	struct str key = b.failed ? str_n(NULL, 0) : arena_str(&p->l->arena, buf_get(&b));
	buf_release(&b);
	return key;
}

uint32_t lq_use_partial(struct parser *p, const struct partial_call *call, struct str name)
{
	enum { MAX_PARTIALS = 1000 };
	struct str key = partial_key(p, call, name);
	if (key.n == 0) {
		/* One that is cut short would be another partial's. */
		lq_error(p, p->here, "out of memory");
		return NO_SLOT;
	}
	const struct partial *known = p->partials.p;
	for (uint32_t i = 0; i < p->partials.n; i++)
		if (str_eq(known[i].key, key))
			return i;
	if (p->partials.n == MAX_PARTIALS) {
		lq_error(p, p->here, "too many partials");
		return NO_SLOT;
	}
	struct partial *n = lq_vec_add(p, &p->partials);
	if (n == NULL)
		return NO_SLOT;
	n->name = arena_str(&p->l->arena, name);
	n->key = key;
	n->call = call;
	return (uint32_t)p->partials.n - 1;
}

struct str lq_base_name(struct str name)
{
	for (size_t i = name.n; i-- > 0;)
		if (name.p[i] == '/')
			return str_n(name.p + i + 1, name.n - i - 1);
	return name;
}

/* What a rendered partial is given is its own; everything else comes from outside. */
static int assign_arguments(struct parser *p, const struct partial *x)
{
	const struct partial_call *c = x->call;
	if (p->definite.n != 0)
		memset(p->definite.w, 0, p->definite.n * sizeof *p->definite.w);
	if (c->include)
		return 0;
	for (uint32_t i = 0; i < c->nnamed; i++)
		if (lq_assigned(p, c->locals[i]) != 0)
			return -1;
	if (c->loop && lq_assigned(p, lq_local(p, STR("forloop"))) != 0)
		return -1;
	if (c->with == NULL)
		return 0;
	return lq_assigned(p, lq_local(p, c->alias.n != 0 ? c->alias : lq_base_name(x->name)));
}

static int load_partial(struct parser *p, uint32_t i, struct err *e)
{
	struct partial x = ((struct partial *)p->partials.p)[i];
	char name[512];
	struct buf text = BUF_INIT(LIQUID_MAX_SOURCE);
	if (p->l->o.read == NULL)
		return err_set(e, ERR_DATA, "template", "No such template '%.*s'", STR_ARG(x.name));
	if (x.name.n >= sizeof name || memchr(x.name.p, '\0', x.name.n) != NULL)
		return err_set(e, ERR_DATA, "template", "Illegal template name");
	snprintf(name, sizeof name, "%.*s", STR_ARG(x.name));
	int rc = p->l->o.read(p->l->o.ctx, name, &text, e);
	if (rc == 0)
		rc = add_file(p, x.name, buf_get(&text), 1);
	buf_release(&text);
	return rc;
}

static int compile_partial(struct parser *p, uint32_t i)
{
	struct err why = {0};
	struct err *outer = p->e;
	struct pos called = ((struct partial *)p->partials.p)[i].call->at;
	uint32_t begin = 0, end = 0;
	size_t keep = p->code.n;
	int rc = load_partial(p, i, &why);
	if (rc != 0 && !p->failed && outer != NULL) {
		p->failed = true;
		lq_error_at(outer, p->l, called, why.why[0] != '\0' ? why.why : "it cannot be read");
	}
	bool loaded = rc == 0;
	if (rc == 0)
		rc = assign_arguments(p, &((struct partial *)p->partials.p)[i]);
	if (rc == 0)
		rc = parse_source(p, (uint32_t)p->files.n - 1, &begin, &end);
	struct partial *x = (struct partial *)p->partials.p + i;
	if (rc != 0 && p->l->o.plain) {
		/* The reference reads a partial only when it is rendered. */
		x->error = arena_strdup(
			&p->l->arena, outer != NULL && outer->why[0] != '\0' ? outer->why : "partial failed");
		x->error_line = loaded && outer != NULL ? outer->line : 0;
		p->failed = false;
		p->code.n = keep;
		begin = end = (uint32_t)keep;
		rc = 0;
	}
	x->begin = begin;
	x->end = end;
	return rc;
}

/* ---- the whole ---- */

static void parser_release(struct parser *p)
{
	free(p->definite.w);
	free(p->code.p);
	free(p->literals.p);
	free(p->partials.p);
	free(p->files.p);
}

static void *keep(struct parser *p, struct vec *v)
{
	void *q = arena_alloc(&p->l->arena, v->n * v->size + 1);
	if (q == NULL)
		lq_error(p, NULL, "out of memory");
	else if (v->n != 0)
		memcpy(q, v->p, v->n * v->size);
	return q;
}

static int finish(struct parser *p)
{
	struct liquid *l = p->l;
	l->code = keep(p, &p->code);
	l->ncode = (uint32_t)p->code.n;
	l->literals = keep(p, &p->literals);
	l->nliterals = (uint32_t)p->literals.n;
	l->partials = keep(p, &p->partials);
	l->npartials = (uint32_t)p->partials.n;
	l->files = keep(p, &p->files);
	return p->failed ? -1 : 0;
}

static int compile(struct parser *p)
{
	if (parse_source(p, 0, &p->l->begin, &p->l->end) != 0)
		return -1;
	for (uint32_t i = 0; i < p->partials.n; i++)
		if (compile_partial(p, i) != 0)
			return -1;
	return finish(p);
}

static struct liquid *liquid_new(const struct liquid_options *o, struct liquid_names *names)
{
	struct liquid *l = calloc(1, sizeof *l);
	if (l == NULL)
		return NULL;
	arena_init(&l->arena, 8192, (size_t)256 << 20);
	l->o = *o;
	l->o.locale = arena_strdup(&l->arena, o->locale != NULL ? o->locale : "en");
	l->o.path = arena_strdup(&l->arena, o->path != NULL ? o->path : "template");
	l->names = names;
	l->locals = liquid_names_new();
	if (l->locals == NULL || l->o.path == NULL)
		liquid_free(&l);
	return l;
}

static struct liquid *run(struct liquid *l, struct str source, long first_line, struct err *e)
{
	struct parser p = {
		.l = l,
		.e = e,
		.code.size = sizeof(struct op),
		.literals.size = sizeof(struct str),
		.partials.size = sizeof(struct partial),
		.files.size = sizeof(struct source),
	};
	int rc = -1;
	if (source.n > LIQUID_MAX_SOURCE)
		err_set(e, ERR_DATA, "template", "larger than %d MB", LIQUID_MAX_SOURCE >> 20);
	else if (add_file(&p, str_from(l->o.path), source, first_line) == 0)
		rc = compile(&p);
	parser_release(&p);
	if (rc != 0)
		liquid_free(&l);
	return l;
}

struct liquid *liquid_compile(
	struct str source, const struct liquid_options *o, struct liquid_names *names, struct err *e)
{
	struct err unused;
	struct liquid *l = liquid_new(o, names);
	if (l == NULL) {
		err_set(e, ERR_INTERNAL, "template", "out of memory");
		return NULL;
	}
	return run(l, source, o->first_line != 0 ? o->first_line : 1, e != NULL ? e : &unused);
}

static int copy_names(const struct liquid_names *from, struct liquid_names *to)
{
	for (size_t i = 0; i < liquid_names_count(from); i++)
		if (lq_intern(to, liquid_name(from, i)) == NO_SLOT)
			return -1;
	return 0;
}

struct liquid *lq_compile_include(const struct liquid *base, struct str name, struct err *e)
{
	struct liquid_options o = base->o;
	struct buf text = BUF_INIT(LIQUID_MAX_SOURCE);
	char z[512];
	snprintf(z, sizeof z, "%.*s", STR_ARG(name));
	o.path = z;
	if (o.read == NULL || name.n >= sizeof z) {
		err_set(e, ERR_DATA, "template", "No such template '%s'", z);
		return NULL;
	}
	if (o.read(o.ctx, z, &text, e) != 0) {
		buf_release(&text);
		return NULL;
	}
	struct liquid_names *names = liquid_names_new();
	struct liquid *l = names != NULL ? liquid_new(&o, names) : NULL;
	if (l == NULL || copy_names(base->names, names) != 0 || copy_names(base->locals, l->locals) != 0) {
		err_set(e, ERR_INTERNAL, "template", "out of memory");
		liquid_names_free(&names);
		liquid_free(&l);
	} else {
		l->own_names = names;
		l = run(l, buf_get(&text), 1, e);
	}
	buf_release(&text);
	return l;
}

void liquid_free(struct liquid **l)
{
	if (*l == NULL)
		return;
	liquid_names_free(&(*l)->locals);
	liquid_names_free(&(*l)->own_names);
	arena_release(&(*l)->arena);
	free(*l);
	*l = NULL;
}

bool liquid_is_literal(const struct liquid *l)
{
	for (uint32_t i = l->begin; i < l->end; i++)
		if (l->code[i].code != OP_TEXT && l->code[i].code != OP_NOP)
			return false;
	return true;
}

size_t liquid_nliterals(const struct liquid *l)
{
	return l->nliterals;
}

struct str liquid_literal(const struct liquid *l, size_t i)
{
	return l->literals[i];
}
