/* A message file (docs/INTERFACE.md "The message file"), compiled once and composed for each recipient.
 *
 * Compiling reads the file and what it names (layout, partials, images, attachments, NAME.txt) through
 * `read`, which never leaves the message's folder, and keeps a copy of every part read, so that the engine
 * can freeze them. A compiled message is immutable and shared by threads; composing allocates only from the
 * caller's arena.
 *
 * The composed message has CRLF lines of at most 998 octets, is 7-bit clean, has no bare CR or LF and no line
 * that begins with a dot, so that it goes to the wire as it is. Equal inputs give equal bytes. */
#ifndef TEMPLATES_MESSAGE_H
#define TEMPLATES_MESSAGE_H

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/err.h"

struct message;

struct message_reader { /* where parts come from: a folder, or a campaign's frozen content */
	/* 0: read; -1: failed, ERR_NOINPUT if it is not there. `name` is relative, uses /, and was checked
	 * not to climb. */
	int (*read)(void *ctx, const char *name, struct buf *out, struct err *e);
	void *ctx;
};
struct message_dir {
	int fd;
	char *name, *text; /* of the message's file, and of NAME.txt beside it */
};
/* Reads from the folder of `message_path`. The message itself is part "message", NAME.txt beside it
 * "message:text". Symbolic links that leave the folder are refused. `d` must live as long as the reader. */
int message_dir_open(
	struct message_dir *d, const char *message_path, struct message_reader *out, struct err *e);
void message_dir_close(struct message_dir *d);

struct message_options {
	const struct zone *zone; /* for dates */
	const char *path;        /* shown in errors: file:line:column */
};

/* name: the message file's name as given to the reader ("message" for frozen content, where `format` tells
 * what the ending would have told). */
enum message_format { MESSAGE_MARKDOWN, MESSAGE_HTML, MESSAGE_TEXT };
int message_format_of(const char *path, enum message_format *out, struct err *e);
struct message *message_compile(const struct message_reader *r, enum message_format format,
	const struct message_options *o, struct err *e);
void message_free(struct message **m);

/* Every part read while compiling: name ("message" or relative path) and bytes. */
size_t message_nparts(const struct message *m);
void message_part(const struct message *m, size_t i, struct str *name, struct str *data);

/* Names the templates take from the contact (top level, contact.x, contact["x"]): slot i of a recipient is
 * the value of name i. Reserved names (email, campaign, list, unsubscribe_url, view_url, now) are not among
 * them. */
size_t message_nslots(const struct message *m);
struct str message_slot(const struct message *m, size_t i);
bool message_slot_defaulted(const struct message *m, size_t i); /* as liquid_name_defaulted() */
/* Header values as written in the file; n == 0: not there. */
struct str message_header_source(const struct message *m, const char *name);
/* A constant part of From: the address's domain, where it can be known without a recipient; else n == 0. */
struct str message_from_domain(const struct message *m);
bool message_has_unsubscribe_link(const struct message *m); /* the body uses unsubscribe_url */

struct message_recipient {
	const struct str *slots; /* message_nslots() values */
	/* contact["x"] with a name that is only known while rendering: looked up here. May be NULL. */
	struct str (*lookup)(void *ctx, struct str name);
	void *ctx;
	struct str email;          /* wire form: local@domain, quoted where needed; for To and {{ email }} */
	struct str to_name;        /* display name; n == 0: none */
	struct str campaign, list; /* names */
	struct str list_id;        /* "id.domain" for List-Id; n == 0: no header */
	struct str list_title;
	struct str unsubscribe_url;    /* https or mailto, for the visible link; n == 0: none, and no
					  List-Unsubscribe */
	struct str unsubscribe_mailto; /* an address or mailto: URI, for List-Unsubscribe; n == 0: none */
	bool one_click;                /* unsubscribe_url is https and takes RFC 8058 POSTs */
	struct str view_url;
	struct str message_id;     /* without <> */
	struct str feedback_id;    /* n == 0: none */
	struct str unique;         /* [a-z0-9]{8,40}: boundaries are made of it, where there is no tail */
	ms_t date;                 /* Date and {{ now }} */
	struct str subject_prefix; /* "[TEST] " */
};

struct composed {
	struct str header, body; /* in the arena; header ends with its empty line */
	struct str tail;         /* the message's own, behind the body and the same for all: large files, from
				  * the beginning of a line; mostly n == 0 */
	struct str from;         /* address of From, for the envelope where no return path is configured */
	struct str subject;      /* decoded UTF-8, for listings and preview */
	struct str html, text;   /* decoded parts; only filled when `want_parts` */
	bool utf8;               /* SMTPUTF8 is needed */
	struct str skip;         /* n > 0: {% abort_message %} with this reason: do not send */
};

static inline size_t composed_size(const struct composed *m)
{
	return m->header.n + m->body.n + m->tail.n;
}

/* ERR_DATA: the template failed for this recipient (undefined filter argument, limits …), with file, line and
 * column. */
int message_compose(const struct message *m, const struct message_recipient *r, bool want_parts,
	struct arena *a, struct composed *out, struct err *e);

#endif
