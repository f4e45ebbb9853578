#include "templates/liquid_time.h"

static bool all_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n != 0;
}

static bool to_moment(struct vm *vm, const struct value *v, struct moment *m)
{
	const struct zone *zone = vm->l->o.zone;
	if (v->type == V_INT) {
		lq_time_at(zone, v->i, 0, m);
		return true;
	}
	if (v->type != V_STR)
		return false;
	struct str s = v_bytes(v);
	if (str_is_nocase(s, "now") || str_is_nocase(s, "today")) {
		ms_t now = vm->v->now;
		lq_time_at(zone, now / 1000 - (now % 1000 < 0),
			(int32_t)((now % 1000 + 1000) % 1000) * 1000000, m);
		return true;
	}
	if (all_digits(s)) {
		lq_time_at(zone, lq_to_i(vm, v), 0, m);
		return true;
	}
	return lq_time_parse(s, zone, vm->v->now, !vm->l->o.plain, m);
}

static const struct locale *locale_of(struct vm *vm, const struct call *c, int i)
{
	struct str tag =
		i < c->n && c->arg[i].type != V_NIL ? lq_to_s(vm, &c->arg[i]) : str_from(vm->l->o.locale);
	const struct locale *l = lq_locale(tag);
	if (l == NULL)
		lq_fail(vm, "date: no names for the locale '%.*s'", STR_ARG(tag));
	return l;
}

static int filter_date(struct vm *vm, const struct call *c, struct value *out)
{
	struct moment m;
	struct text t;
	struct str format = lq_to_s(vm, &c->arg[0]);
	*out = c->in;
	if (vm->l->o.plain && c->n > 1)
		return lq_fail(vm, "wrong number of arguments (given 3, expected 2)");
	if (format.n == 0 || !to_moment(vm, &c->in, &m))
		return 0;
	const struct locale *l = locale_of(vm, c, 1);
	if (l == NULL)
		return -1;
	lq_text_init(&t, vm->a, 64);
	if (!lq_strftime(&t, format, &m, l))
		return lq_fail(vm, "invalid format: %.*s", STR_ARG(format));
	return lq_give(vm, &t, out);
}

const struct filter lq_filters_date[] = {
	{"date", filter_date, 1, 2, FILTER_IMPURE},
	{NULL, NULL, 0, 0, 0},
};
