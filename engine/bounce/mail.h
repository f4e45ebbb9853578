/* A message taken apart as far as a reader of returned mail needs it: its header, and its leaf parts in
 * order, still encoded. GMime finds the structure; where that is broken or goes deeper than any report does,
 * the lines are looked through instead. What is inside a returned message (message/rfc822) is not taken
 * apart: of that only the header counts. Slices point into the message. */
#ifndef ENGINE_BOUNCE_MAIL_H
#define ENGINE_BOUNCE_MAIL_H

#include "engine/bounce/reader.h"
#include "src/base/arena.h"

#define MAIL_TEXT_MAX (64 << 10) /* bytes of one part that are decoded */

enum part_role {
	PART_TEXT,     /* text/plain, text/html, and parts without a type: somebody's prose */
	PART_STATUS,   /* message/delivery-status */
	PART_FEEDBACK, /* message/feedback-report */
	PART_RECEIPT,  /* message/disposition-notification */
	PART_RETURNED, /* message/rfc822, text/rfc822-headers */
	PART_OTHER
};

struct part {
	enum part_role role;
	struct str type; /* "text/plain", as written */
	struct str header, body;
	bool html, alternative; /* alternative: of multipart/alternative */
	bool named;             /* has a file name: an attachment */
};

struct mail {
	struct str text; /* all of it, "From " line passed over */
	struct str header;
	struct str type, report_type; /* of the whole, lower case */
	struct part part[READER_PARTS];
	int nparts;
	bool broken, cut;
};

/* -1: out of memory. */
int mail_parse(struct arena *a, struct str message, struct mail *out);
/* The same by lines alone. */
void mail_scan(struct mail *m);
/* The part's content in UTF-8 with LF as line end, HTML as plain text. n == 0: empty, or out of memory. */
struct str part_text(struct arena *a, const struct part *p);
struct str html_strip(struct arena *a, struct str html);
/* The line of the message where text of a part stands, which may be a decoded copy; 1-based, 0: not found. */
long mail_line(const struct mail *m, int part, struct str s);

/* Fields of a header block, one after the other from *at = 0; false at its end. The value is as it stands,
 * folds included. */
struct field {
	struct str name, value;
};
bool field_next(struct str block, size_t *at, struct field *f);
/* The value of the first field of that name, unfolded into the arena where it has folds; n == 0: none. */
struct str field_find(struct arena *a, struct str block, const char *name);
struct str field_unfold(struct arena *a, struct str value); /* one line, runs of blanks as one */
struct str field_decode(struct arena *a, struct str value); /* RFC 2047, unfolded */
/* A parameter of a structured value ("boundary"), without quotes; n == 0: none. */
struct str field_parameter(struct str value, const char *name);
size_t header_length(struct str s); /* up to and with the empty line */
void mail_add_part(struct mail *m, struct str header, struct str body, bool alternative);
struct str lower_copy(struct arena *a, struct str s);
/* Where `needle` (lower case ASCII) occurs in s, ASCII case folded, or s.n. */
size_t find_nocase(struct str s, const char *needle);
static inline bool begins_nocase(struct str s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.n >= n && strncasecmp(s.p, prefix, n) == 0;
}

#endif
