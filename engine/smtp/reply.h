/* SMTP replies (RFC 5321 4.2, 2034), read by the byte.
 *
 * Tolerant where servers are known to be odd (LF alone, no text, a code that changes between the lines of one
 * reply: the last line's counts), strict where it matters: a line over 8 KB, a reply over 64 KB or 128 lines,
 * or a line that does not begin with three digits is an error, after which the connection is of no use. Text
 * is kept up to 1,000 bytes. */
#ifndef ENGINE_SMTP_REPLY_H
#define ENGINE_SMTP_REPLY_H

#include "src/base/buf.h"

struct smtp_reply {
	int code;          /* 200..599 */
	char enhanced[12]; /* "5.1.1"; "" if none stood at the start of the text */
	/* All lines, codes and enhanced codes taken out, joined by a blank; control characters as they came.
	 */
	struct str text;
};

struct smtp_reply_parser {
	struct buf line, text;
	size_t total;
	int lines;
	struct smtp_reply reply;
	/* EHLO: each line but the first is given to this, if set. */
	void (*line_cb)(void *ctx, struct str line);
	void *ctx;
};

enum smtp_parse { SMTP_PARSE_MORE, SMTP_PARSE_DONE, SMTP_PARSE_BAD };

void smtp_reply_init(struct smtp_reply_parser *p);
void smtp_reply_release(struct smtp_reply_parser *p);
/* Consumes from *s up to the end of one reply. DONE: p->reply is valid until the next call. */
enum smtp_parse smtp_reply_feed(struct smtp_reply_parser *p, struct str *s);

#endif
