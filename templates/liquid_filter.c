/* Finding filters, and the one that most templates use. */
#include "templates/liquid_private.h"

static int filter_default(struct vm *vm, const struct call *c, struct value *out)
{
	bool allow_false = false;
	(void)vm;
	for (int i = 0; i < c->site->call.nnamed; i++)
		if (str_is(c->site->call.named[i].name, "allow_false"))
			allow_false = v_truthy(&c->named[i]);
	bool missing = allow_false ? c->in.type <= V_NIL : !v_truthy(&c->in);
	if (missing || lq_is_empty(&c->in))
		*out = c->n > 0 ? c->arg[0] : v_str(STR(""));
	else
		*out = c->in;
	return 0;
}

static int filter_raw(struct vm *vm, const struct call *c, struct value *out)
{
	struct str s = lq_to_s(vm, &c->in);
	*out = v_str(s);
	out->safe = vm->l->o.escape == LIQUID_HTML;
	return 0;
}

static const struct filter filters[] = {
	{"default", filter_default, 0, 2, FILTER_NAMED},
	{"raw", filter_raw, 0, 0, FILTER_PROFILE},
	{NULL, NULL, 0, 0, 0},
};

static const struct filter *const tables[] = {filters, lq_filters_string, lq_filters_html, lq_filters_number,
	lq_filters_array, lq_filters_date, lq_filters_mail};

void lq_filter_near(struct str name, struct nearest *out)
{
	nearest_init(out, name);
	for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
		for (const struct filter *f = tables[t]; f->name != NULL; f++)
			nearest_offer(out, str_from(f->name));
}

const struct filter *lq_filter_find(struct str name, bool plain)
{
	for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
		for (const struct filter *f = tables[t]; f->name != NULL; f++)
			if (str_is(name, f->name) && !(plain && (f->flags & FILTER_PROFILE) != 0))
				return f;
	return NULL;
}

struct str lq_arg_str(struct vm *vm, const struct call *c, int i, struct str otherwise)
{
	return i < c->n ? lq_to_s(vm, &c->arg[i]) : otherwise;
}

int lq_give(struct vm *vm, struct text *t, struct value *out)
{
	if (t->failed)
		return lq_nomem(vm);
	*out = v_str(t->p != NULL ? str_n(t->p, t->len) : STR(""));
	return lq_steps(vm, t->len / 256);
}
