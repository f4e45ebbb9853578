/* Which charset a list's file is in, and its bytes as UTF-8, in a stream.
 *
 * Guessing asks in this order: byte order mark, UTF-16 by its NULs, ISO-2022-JP by its escapes, UTF-8 (also
 * with damage here and there), the structure of Shift_JIS and EUC-JP against that of Western text, uchardet;
 * what is left is Windows-1252.
 */
#ifndef LISTS_CHARSET_H
#define LISTS_CHARSET_H

#include "src/base/buf.h"
#include "src/base/err.h"

#include <iconv.h>

enum charset_kind { CHARSET_UTF8, CHARSET_JIS /* ISO-2022-JP, decoded by way of EUC-JP */, CHARSET_ICONV };

struct charset {
	enum charset_kind kind;
	char name[32];  /* shown to people and accepted by --encoding */
	char iconv[32]; /* what iconv calls it, vendor extensions (①㈱髙) included */
};

/* What --encoding names. ERR_USAGE: nobody knows it. */
int charset_by_name(const char *name, struct charset *out, struct err *e);
/* By the first bytes alone. Returns the length of the byte order mark (0: UTF-16 without one), or -1: they do
 * not tell. */
int charset_by_start(struct str head, struct charset *out);
/* Bytes in front that are the same in UTF-8 and in every other charset that may still come. */
size_t charset_plain_prefix(struct str s);
/* The guess over a window that begins with a byte that is not plain. `cut`: more would follow. */
void charset_guess(struct str window, bool cut, struct charset *out);

#define CHARSET_BAD '\xff' /* stands in the decoded text for a byte that means nothing in the charset */

struct decoder {
	struct charset charset;
	iconv_t cd;
	char carry[64]; /* a character that is split over two calls */
	size_t ncarry;
	int jis; /* state of ISO-2022-JP, and the escape sequence being read */
	bool escape;
	char seq[4];
	size_t nseq;
};

int decoder_init(struct decoder *d, const struct charset *c, struct err *e);
/* Appends `in` as UTF-8. UTF-8 itself is passed on unchecked, everything else comes out valid but for
 * CHARSET_BAD. */
int decoder_feed(struct decoder *d, struct str in, bool last, struct buf *out, struct err *e);
void decoder_release(struct decoder *d);

#endif
