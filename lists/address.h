/* Mail addresses (RFC 5321 4.1.2, 6531; IDN by IDNA 2008, UTS #46).
 *
 * An address has a wire form (what goes into RCPT TO: the spelling as given, domain as A-labels in lower
 * case, local part quoted where it must be) and a key (what addresses are compared by: case-folded as a
 * whole, A-labels, full-width letters as ASCII, carrier forms unquoted). The domain may be an address
 * literal, as in [192.0.2.1]. Control characters, NUL, blanks outside quotes and over-long parts are refused.
 *
 * Japanese carriers gave out local parts that RFC 5321 has no unquoted form for (dots in a row, a dot at
 * either end). They are read without quotes for the carriers' own domains, with quotes for any, and are
 * quoted on the wire. */
#ifndef LISTS_ADDRESS_H
#define LISTS_ADDRESS_H

#include "src/base/arena.h"
#include "src/base/err.h"

#include <stdbool.h>

#define ADDRESS_LOCAL_MAX  64  /* octets, RFC 5321 4.5.3.1.1 */
#define ADDRESS_DOMAIN_MAX 255 /* 4.5.3.1.2 */
#define ADDRESS_MAX        254 /* a path of 256 without its <> (4.5.3.1.3) */

struct address {
	struct str wire; /* local@domain */
	struct str key;
	struct str domain; /* A-labels, lower case; within key */
	struct str name;   /* display name of `Name <a@b>`, decoded; n == 0: none */
	bool utf8;         /* the local part is not ASCII: SMTPUTF8 needed */
};

/* Reads `a@b`, `<a@b>` or `Name <a@b>` with white space around it. Strings live in the arena. ERR_DATA says
 * what is wrong in words for a list's owner ("two @", "no domain", "space inside", "domain label over 63
 * characters" …). */
int address_parse(struct str text, struct arena *a, struct address *out, struct err *e);
/* The same answer without the words: is this text one address? */
bool address_is(struct str text);
/* A domain alone, as A-labels in lower case. */
int address_domain(struct str text, struct arena *a, struct str *out, struct err *e);
/* Does a Japanese carrier give out addresses below that domain (A-labels, lower case) whose local part may
 * hold dots anywhere? */
bool address_is_carrier(struct str domain);

#endif
