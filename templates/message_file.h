/* The message file's text: header block and body (docs/INTERFACE.md "The message file").
 *
 * UTF-8 (a byte order mark is skipped), line ends of any kind. Unknown and repeated headers are errors with
 * the nearest name and file:line. */
#ifndef TEMPLATES_MESSAGE_FILE_H
#define TEMPLATES_MESSAGE_FILE_H

#include "src/base/arena.h"
#include "src/base/err.h"

#define MESSAGE_PART      "message"
#define MESSAGE_PART_TEXT "message:text" /* NAME.txt beside NAME.html */

enum message_field {
	FIELD_FROM,
	FIELD_TO,
	FIELD_REPLY_TO,
	FIELD_SUBJECT,
	FIELD_PREHEADER,
	FIELD_LAYOUT,
	FIELD_CHARSET,
	FIELD_LANGUAGE,
	FIELD_LINK_PARAMETERS,
	FIELD_ATTACH, /* may be repeated */
	FIELD_HEADER, /* may be repeated; value "X-Name: text" */
	FIELDS,
};

struct message_line { /* one header of the block */
	enum message_field field;
	struct str value; /* trimmed; continuation lines joined by a LF */
	long line;
	int column; /* of the value in its first line, from 1 */
};

struct message_source {
	struct message_line *lines;
	size_t nlines;
	const struct message_line *field[FIELDS]; /* NULL: not there; the first one of those that repeat */
	struct str body;
	long body_line;
};

/* Everything lives in the arena. */
int message_source_parse(
	struct str text, const char *path, struct arena *a, struct message_source *out, struct err *e);
const char *message_field_name(enum message_field f);
/* UTF-8 without NUL, line ends as LF, no byte order mark; other control characters but TAB are dropped.
 * `path` is for the error. */
int message_text(struct str bytes, const char *path, struct arena *a, struct str *out, struct err *e);
/* Relative, with /, not climbing, not one of the reserved names. */
bool message_name_ok(struct str name);

#endif
