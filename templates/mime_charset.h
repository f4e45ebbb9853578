/* UTF-8 and, where a campaign asks for it, ISO-2022-JP (RFC 1468).
 *
 * ISO-2022-JP has no half-width kana, no circled numbers, no emoji: text that does not fit is reported, and
 * the message goes out as UTF-8 instead. Every line, and every piece converted, begins and ends in ASCII. */
#ifndef TEMPLATES_MIME_CHARSET_H
#define TEMPLATES_MIME_CHARSET_H

#include "templates/run.h"

enum charset { CHARSET_UTF8, CHARSET_ISO_2022_JP };

const char *charset_name(enum charset c);
/* False: the name is not one of ours. */
bool charset_parse(struct str name, enum charset *out);

/* Appends UTF-8 text as ISO-2022-JP. False: a character has no place in it, or no memory (out->failed). Text
 * already appended stays. Safe from any thread: each thread keeps its own converter. */
bool iso2022jp_add(struct run *out, struct str utf8);

#endif
