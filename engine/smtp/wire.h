/* A non-blocking socket, in clear or under TLS: the calls of both with the same results. Owns neither
 * descriptor nor SSL. */
#ifndef ENGINE_SMTP_WIRE_H
#define ENGINE_SMTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct ssl_st;

enum { WIRE_AGAIN = -1, WIRE_END = -2, WIRE_ERROR = -3 };

struct wire {
	int fd;
	struct ssl_st *ssl;    /* NULL: in clear */
	unsigned char *gather; /* a TLS record that was begun must be offered again unchanged */
	size_t gathered;
	bool begun;       /* a record is half written: only it may go on */
	bool wants_write; /* after WIRE_AGAIN: wait until writable, else until readable */
	char why[200];    /* after WIRE_END and WIRE_ERROR */
};

void wire_init(struct wire *w, int fd);
void wire_release(struct wire *w);
/* From now on under TLS. False: out of memory. */
bool wire_secure(struct wire *w, struct ssl_st *ssl);
/* 1: done; WIRE_AGAIN; WIRE_ERROR with `why` in words (tls_explain). */
int wire_handshake(struct wire *w);
ssize_t wire_read(struct wire *w, void *p, size_t n);
/* Bytes were taken from the socket that wire_read() has not given out: nobody will call them readable. */
bool wire_more(const struct wire *w);
/* Returns how many bytes the kernel has. After WIRE_AGAIN the next call must begin with the same bytes. */
ssize_t wire_write(struct wire *w, const struct iovec *v, int n);
void wire_goodbye(struct wire *w); /* TLS close_notify, if it goes at once */

#endif
