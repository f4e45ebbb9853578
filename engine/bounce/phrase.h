/* What mail systems say in prose, in the languages they say it in. One pass over a line finds every phrase in
 * it; what a phrase is a sign of is a bit. The lists are data, in phrase_list.c. */
#ifndef ENGINE_BOUNCE_PHRASE_H
#define ENGINE_BOUNCE_PHRASE_H

#include "src/base/str.h"

#include <stdint.h>

enum phrase_sign {
	SAYS_FAILED = 1 << 0,     /* a message was not delivered */
	SAYS_DELAYED = 1 << 1,    /* it is still being tried */
	SAYS_RETURNED = 1 << 2,   /* here begins the returned message */
	SAYS_RECIPIENT = 1 << 3,  /* directly before an address: it failed */
	SAYS_OTHER = 1 << 4,      /* directly before an address: it is somebody else's */
	SAYS_DAEMON = 1 << 5,     /* in From: a mail system */
	SAYS_BOUNCE = 1 << 6,     /* in Subject: a bounce */
	SAYS_WARNING = 1 << 7,    /* in Subject: a delay */
	SAYS_AWAY = 1 << 8,       /* in Subject: an automatic answer */
	SAYS_AWAY_TEXT = 1 << 9,  /* in the first lines of an automatic answer */
	SAYS_CONFIRM = 1 << 10,   /* a challenge */
	SAYS_READ = 1 << 11,      /* in Subject: a read receipt */
	SAYS_NOTICE = 1 << 12,    /* a list program's notice, a quota warning: about mail, but no bounce */
	SAYS_DELIVERED = 1 << 13, /* a success notice */
	SAYS_GIVEN_UP = 1 << 14,  /* final, whatever else it says */
	SAYS_MACHINE = 1 << 15,   /* the opening words of a mail system\'s report */
};

struct phrase {
	const char *text; /* UTF-8, ASCII in lower case */
	uint32_t signs;
};

extern const struct phrase phrase_list[];
extern const unsigned phrase_list_n;

struct phrases;

struct phrases *phrases_new(const struct phrase *list, unsigned n); /* NULL: out of memory */
void phrases_free(struct phrases **p);
uint32_t phrases_in(const struct phrases *p, struct str s);

#endif
