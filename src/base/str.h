/* Borrowed string slices: pointer and length, not terminated, never owned. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* For printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).n, ((s).p != NULL ? (s).p : "")

static inline struct str str_from(const char *z)
{
	return (struct str){z, z != NULL ? strlen(z) : 0};
}

static inline struct str str_n(const char *p, size_t n)
{
	return (struct str){p, n};
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *z)
{
	return str_eq(a, str_from(z));
}

/* ASCII case folded. */
static inline bool str_is_nocase(struct str a, const char *z)
{
	return a.n == strlen(z) && (a.n == 0 || strncasecmp(a.p, z, a.n) == 0);
}

static inline bool str_starts(struct str a, struct str prefix)
{
	return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str a, struct str suffix)
{
	return a.n >= suffix.n && (suffix.n == 0 || memcmp(a.p + a.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* Offset of the first `c`, or a.n. */
static inline size_t str_find(struct str a, char c)
{
	const char *q = a.n != 0 ? memchr(a.p, c, a.n) : NULL;
	return q != NULL ? (size_t)(q - a.p) : a.n;
}

/* What follows the last `c`, as the domain in an address; n == 0: nothing, or there is none. */
static inline struct str str_after_last(struct str a, char c)
{
	const char *q = a.n != 0 ? memrchr(a.p, c, a.n) : NULL;
	return q != NULL ? str_n(q + 1, a.n - (size_t)(q + 1 - a.p)) : STR("");
}

/* Without ASCII white space at both ends. */
struct str str_trim(struct str s);
/* Reads all of `s` as a decimal integer within [min, max]. False: not a number or outside. */
bool str_int(struct str s, long long min, long long max, long long *out);
/* The same of the word that `s` begins with, which is taken off `s`; words are parted by spaces. */
bool str_next_int(struct str *s, int64_t min, int64_t max, int64_t *out);

/* What a digit stands for, in either case of letters; -1: it is none. */
int str_hex_digit(char c);
int str_base64_digit(char c);

#endif
