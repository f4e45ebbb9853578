/* Between the files of the reader. */
#ifndef ENGINE_BOUNCE_READER_PRIVATE_H
#define ENGINE_BOUNCE_READER_PRIVATE_H

#include "engine/bounce/mail.h"
#include "engine/bounce/phrase.h"
#include "src/base/buf.h"

#define PROSE_LINES 800

/* As much as there is room for: of what is too long the beginning counts. */
static inline void reader_add(struct buf *b, struct str s)
{
	size_t room = b->max - b->len;
	buf_str(b, s.n < room ? s : str_n(s.p, room));
}

struct prose_line {
	struct str s; /* without blanks at its end */
	uint32_t signs;
	int part; /* 1-based */
};

/* What people read in the report: the lines of its text parts, up to where the returned message begins. */
struct prose {
	struct prose_line *line;
	int n;
	uint32_t signs;      /* of all lines */
	struct str returned; /* the returned message, where it follows in the text */
	bool status;         /* fields of a delivery status stand among the lines */
};

struct reader {
	struct arena arena;
	const struct rules *rules;
	struct phrases *phrases, *stages;
	struct mail mail;
	struct failure failures[READER_FAILURES];
	struct candidate candidates[READER_CANDIDATES];
	struct prose_line lines[PROSE_LINES];
};

/* One message being read. */
struct reading {
	struct reader *r;
	struct arena *a;
	struct mail *mail;
	const struct envelope *env;
	struct findings *out;
	struct prose prose;
	struct str returned; /* header of the returned message */
	struct str own[8];   /* addresses that the report itself was sent by or to */
	int nown;
	bool signed_by_daemon; /* From names a mail system */
	bool daemon;           /* a mail system wrote it, by From or a null sender */
	uint32_t subject;      /* signs */
	bool text_is_sure;     /* the prose may name recipients */
	int depth;             /* reports that wrap this one */
};

/* ---- diagnosis.c: what a diagnostic text says ---- */

struct diagnosis {
	int code;
	struct str enhanced, text, host, command;
};

/* An SMTP reply in `s`: its offset, or s.n. `strict`: only at the beginning. */
size_t reply_find(struct str s, bool strict, int *code);
struct str enhanced_find(struct str s);
/* Code, enhanced code, host and command out of a text that is about one recipient. */
void diagnose(struct reading *q, struct str text, struct diagnosis *d);
/* Fills what the failure lacks, and prefers what says more. */
void failure_merge(struct reading *q, struct failure *f, const struct diagnosis *d);
/* The rules decide. */
void failure_decide(struct reading *q, struct failure *f);
extern const struct phrase stage_list[];
extern const unsigned stage_list_n;

/* ---- address.c ---- */

/* The next address in s from *at: `found` without brackets; its offsets. */
struct found_address {
	struct str text;
	size_t from, to; /* with the brackets or quotes around it */
};
bool address_next(struct str s, size_t *at, struct found_address *out);
/* The address of a field: "rfc822; <a@b>", "Name <a@b>", "a@b". n == 0: none. */
struct str address_of_field(struct str value);
struct str address_unquote(struct reading *q, struct str a); /* where it needs no quotes */
bool same_address(struct str a, struct str b);
bool is_own(const struct reading *q, struct str address);

/* ---- status.c, prose.c, feedback.c, notice.c, returned.c ---- */

/* RFC 3464 fields. Adds failures of every action; the number added. */
int status_read(struct reading *q, struct str text, int part, const char *source);
bool status_is(struct str line); /* does a field of a delivery status stand here? */
struct failure *failure_add(struct reading *q, struct str address);
struct failure *failure_of(struct reading *q, struct str address); /* NULL: none */

void prose_split(struct reading *q);
/* Recipients that the prose names; the number added. */
int prose_read(struct reading *q);
/* Adds what the prose knows about recipients that are known already. */
void prose_explain(struct reading *q);

/* Failures, delays, deliveries; false: none. */
bool bounce_read(struct reading *q);
/* The report inside one that names nobody itself; n == 0: there is none. */
struct str wrapped_report(struct reading *q);
bool is_auto_answer(struct reading *q); /* by its header or subject */

bool ses_mail(struct reading *q);      /* an event of Amazon SES as the text of a mail */
bool feedback_read(struct reading *q); /* a complaint or one of its kin: kind is set */
bool notice_read(struct reading *q);   /* an automatic answer, a challenge, a receipt, a report */
bool report_read(struct reading *q);   /* DMARC, TLS, receipts: those that have a type of their own */

void returned_read(struct reading *q);
void candidates_read(struct reading *q);
void candidate_add(struct reading *q, enum candidate_place place, struct str name, struct str text);

#endif
