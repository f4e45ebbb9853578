/* The few words that a message gets from the program, in its own language. */
#ifndef TEMPLATES_MESSAGE_LANGUAGE_H
#define TEMPLATES_MESSAGE_LANGUAGE_H

#include "src/base/str.h"

struct message_words {
	const char *language;    /* primary subtag */
	const char *unsubscribe; /* the link in HTML */
	const char *sentence;    /* in text, before the address */
	const char *date;        /* a day, for strftime */
	const char *view;        /* the link to the message on the web */
};

/* `language` may be empty: then a text with kana all over is Japanese, and anything else English. */
const struct message_words *message_words(struct str language, struct str body);

#endif
