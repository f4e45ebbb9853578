#include "src/base/str.h"

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
	while (s.n > 0 && is_space(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool str_int(struct str s, long long min, long long max, long long *out)
{
	bool neg = s.n > 0 && s.p[0] == '-';
	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
		s.p++;
		s.n--;
	}
	if (s.n == 0 || s.n > 19)
		return false;
	long long v = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10LL, &v) ||
			__builtin_add_overflow(v, (long long)(s.p[i] - '0'), &v))
			return false;
	}
	if (neg)
		v = -v;
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool str_next_int(struct str *s, int64_t min, int64_t max, int64_t *out)
{
	long long n;
	*s = str_trim(*s);
	size_t end = str_find(*s, ' ');
	if (!str_int(str_n(s->p, end), min, max, &n))
		return false;
	*out = n;
	*s = str_n(s->p + end, s->n - end);
	return true;
}

int str_hex_digit(char c)
{
	char low = (char)(c | 0x20);
	return c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

int str_base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}
