/* Growing byte buffers with a ceiling.
 *
 * A buffer always ends in a NUL that is not counted, so `b.p` is a C string once something was appended or
 * buf_cstr() was asked for. An append that would pass the ceiling, or finds no memory, leaves the content as
 * it was and sets `failed`; later appends do nothing. So a run of appends is checked once, at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "src/base/str.h"

#include <stdarg.h>
#include <stdint.h>
#include <sys/types.h>

struct buf {
	char *p;
	size_t len, cap, max;
	bool failed;
};

#define BUF_INIT(ceiling) ((struct buf){.max = (ceiling)})

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);              /* frees; the buffer can be used again, with the same ceiling */
void buf_clear(struct buf *b);                /* keeps the memory, forgets the failure */
bool buf_reserve(struct buf *b, size_t more); /* room for `more` bytes at b->p + b->len */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_putc(struct buf *b, char c);
void buf_puts(struct buf *b, const char *z);
void buf_str(struct buf *b, struct str s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_drop(struct buf *b, size_t n); /* removes n bytes at the front */
const char *buf_cstr(struct buf *b);    /* "" when empty */

static inline struct str buf_get(const struct buf *b)
{
	return (struct str){b->p, b->len};
}

#endif
