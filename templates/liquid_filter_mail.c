/* Filters of the e-mail profile: money, numbers by locale, hashes. */
#include "templates/liquid_private.h"

#include "src/base/hash.h"

#include <openssl/evp.h>

struct currency {
	const char *code, *sign;
	int digits;
};

static const struct currency currencies[] = {
	{"EUR", "€", 2},
	{"USD", "$", 2},
	{"GBP", "£", 2},
	{"JPY", "¥", 0},
	{"CHF", "CHF", 2},
	{"CNY", "CN¥", 2},
	{"KRW", "₩", 0},
	{"INR", "₹", 2},
	{"CAD", "CA$", 2},
	{"AUD", "A$", 2},
	{"NZD", "NZ$", 2},
	{"BRL", "R$", 2},
	{"MXN", "MX$", 2},
	{"SEK", "SEK", 2},
	{"NOK", "NOK", 2},
	{"DKK", "DKK", 2},
	{"PLN", "PLN", 2},
	{"CZK", "CZK", 2},
	{"HUF", "HUF", 2},
	{"TRY", "TRY", 2},
	{"ZAR", "ZAR", 2},
	{"SGD", "SGD", 2},
	{"HKD", "HK$", 2},
	{"TWD", "NT$", 2},
	{"VND", "₫", 0},
	{"ISK", "ISK", 0},
	{"CLP", "CLP", 0},
	{"KWD", "KWD", 3},
	{"BHD", "BHD", 3},
	{"TND", "TND", 3},
	{"ILS", "₪", 2},
};

static const struct currency *currency_of(struct str code)
{
	for (size_t i = 0; i < sizeof currencies / sizeof *currencies; i++)
		if (str_is_nocase(code, currencies[i].code))
			return &currencies[i];
	return NULL;
}

static const struct locale *locale_of(struct vm *vm, const struct call *c, int i)
{
	struct str tag =
		i < c->n && c->arg[i].type != V_NIL ? lq_to_s(vm, &c->arg[i]) : str_from(vm->l->o.locale);
	const struct locale *l = lq_locale(tag);
	if (l == NULL)
		lq_fail(vm, "%s: unknown locale '%.*s'", c->site->call.filter->name, STR_ARG(tag));
	return l;
}

/* "1234.5" with the locale's signs; the minus stays in front. */
static void put_grouped(struct text *t, struct str s, const struct locale *l)
{
	size_t whole = str_find(s, '.');
	for (size_t i = 0; i < whole; i++) {
		if (i > 0 && (whole - i) % 3 == 0)
			lq_text_str(t, str_from(l->group));
		lq_text_add(t, s.p + i, 1);
	}
	if (whole < s.n) {
		lq_text_str(t, str_from(l->point));
		lq_text_add(t, s.p + whole + 1, s.n - whole - 1);
	}
}

/* Text that is no number is not guessed at: it stays as it is. */
static bool is_amount(const struct value *v)
{
	return (v->type >= V_INT && v->type <= V_FLOAT) || (v->type == V_STR && lq_looks_number(v_bytes(v)));
}

static int filter_money(struct vm *vm, const struct call *c, struct value *out)
{
	struct number n;
	struct text t;
	struct str code = lq_arg_str(vm, c, 0, STR("EUR"));
	const struct currency *cur = currency_of(code);
	const struct locale *l = locale_of(vm, c, 1);
	*out = c->in;
	if (cur == NULL)
		return lq_fail(vm, "money: unknown currency '%.*s'", STR_ARG(code));
	if (l == NULL)
		return -1;
	if (!is_amount(&c->in))
		return 0;
	if (lq_to_number(vm, &c->in, &n) != 0)
		return -1;
	struct str s = lq_number_fixed(vm, &n, cur->digits);
	bool letters = cur->sign[0] >= 'A' && cur->sign[0] <= 'Z' && cur->sign[1] >= 'A' &&
		       cur->sign[1] <= 'Z' && cur->sign[2] != '\0' && cur->sign[3] == '\0' &&
		       cur->sign[2] <= 'Z' && cur->sign[2] >= 'A';
	struct str sign = str_from(
		cur->digits == 0 && str_is(str_from(cur->code), "JPY") && str_is(str_from(l->tag), "ja")
			? "¥"
			: cur->sign);
	lq_text_init(&t, vm->a, s.n * 2 + 16);
	if (s.n > 0 && s.p[0] == '-') {
		lq_text_add(&t, "-", 1);
		s = str_n(s.p + 1, s.n - 1);
	}
	if (l->symbol_first) {
		lq_text_str(&t, sign);
		lq_text_str(&t, letters ? STR("\u00a0") : STR(""));
	}
	put_grouped(&t, s, l);
	if (!l->symbol_first) {
		lq_text_str(&t, STR("\u00a0"));
		lq_text_str(&t, sign);
	}
	return vm->failed ? -1 : lq_give(vm, &t, out);
}

/* number: decimals (as the value has them), locale */
static int filter_number(struct vm *vm, const struct call *c, struct value *out)
{
	struct number n;
	struct text t;
	int64_t digits = -1;
	const struct locale *l = locale_of(vm, c, 1);
	*out = c->in;
	if (l == NULL || (c->n > 0 && c->arg[0].type != V_NIL && lq_to_integer(vm, &c->arg[0], &digits) != 0))
		return -1;
	if (digits < -1 || digits > 20)
		return lq_fail(vm, "number: decimals must be 0 to 20");
	if (!is_amount(&c->in))
		return 0;
	if (lq_to_number(vm, &c->in, &n) != 0)
		return -1;
	if (digits < 0)
		digits = n.exp < 0 ? (n.exp < -20 ? 20 : -n.exp) : 0;
	struct str s = lq_number_fixed(vm, &n, (int)digits);
	lq_text_init(&t, vm->a, s.n * 2 + 8);
	if (s.n > 0 && s.p[0] == '-') {
		lq_text_add(&t, "-", 1);
		s = str_n(s.p + 1, s.n - 1);
	}
	put_grouped(&t, s, l);
	return vm->failed ? -1 : lq_give(vm, &t, out);
}

static int digest(struct vm *vm, const struct call *c, const EVP_MD *kind, struct value *out)
{
	unsigned char d[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	struct str s = lq_to_s(vm, &c->in);
	if (EVP_Digest(s.p, s.n, d, &n, kind, NULL) != 1)
		return lq_fail(vm, "the hash is not available");
	hex_encode(d, n, hex);
	*out = v_str(arena_str(vm->a, str_n(hex, 2 * (size_t)n)));
	return vm->a->failed ? lq_nomem(vm) : 0;
}

static int filter_md5(struct vm *vm, const struct call *c, struct value *out)
{
	return digest(vm, c, EVP_md5(), out);
}

static int filter_sha256(struct vm *vm, const struct call *c, struct value *out)
{
	return digest(vm, c, EVP_sha256(), out);
}

const struct filter lq_filters_mail[] = {
	{"money", filter_money, 0, 2, FILTER_PROFILE},
	{"number", filter_number, 0, 2, FILTER_PROFILE},
	{"md5", filter_md5, 0, 0, FILTER_PROFILE},
	{"sha256", filter_sha256, 0, 0, FILTER_PROFILE},
	{NULL, NULL, 0, 0, 0},
};
