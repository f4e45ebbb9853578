/* What comes back: returned messages, complaints, requests to stop.
 *
 * Any process records them at any time, beside whoever delivers. One call is one transaction: either the
 * message is kept with all that follows from it, or nothing is. The same event twice, from whatever sources,
 * counts once. */
#ifndef DB_RETURNED_H
#define DB_RETURNED_H

#include "src/db/delivery.h"
#include "src/db/store.h"

enum returned_effect {
	RETURNED_NOTHING,   /* kept and counted; changes no one */
	RETURNED_FAILED,    /* the delivery failed after all, or failed once more */
	RETURNED_COMPLAINT, /* the person called it spam */
	RETURNED_STOP,      /* the person asks for no more; once more while that holds is a duplicate */
};

struct returned_new {
	struct str fingerprint; /* what makes it the same event: 1 to 64 bytes */
	enum returned_effect effect;
	int64_t delivery; /* 0: nobody's, or only the person is known */
	int64_t contact;  /* 0: the delivery's */
	int64_t list;     /* RETURNED_STOP: scope of the suppression; 0: all; or RETURNED_ITS_LIST */
	ms_t at;
	struct str kind;   /* "bounce", "complaint" … as in `receive --json` */
	struct str source; /* "receive", "listener", "mailbox old" … */
	struct str trust;  /* by what it was attributed: "return-path" …; n == 0: not */
	enum reply_class class;
	enum reply_scope scope;
	struct str reason;
	int code; /* 0: none */
	char enhanced[12];
	struct str diagnostic; /* at most 500 bytes are kept */
	struct str host;       /* that said it */
	struct str
		address; /* whom the report names, where it is somebody else than the delivery's recipient */
	struct str rule; /* that decided: "rules.conf:120" */
	struct str
		message; /* the whole message; kept compressed, at most RETURNED_KEEP bytes; n == 0: none */
};
#define RETURNED_KEEP     (1 << 20)
#define RETURNED_ITS_LIST (-1) /* the one by which the delivery's recipient was chosen */

struct returned_done {
	int64_t id;     /* as failure_row.id; of the earlier one if it is a duplicate */
	bool duplicate; /* had it before: nothing was changed */
	bool early;     /* the delivery's own outcome is not recorded yet: this takes effect right after it */
	bool lowered;   /* the delivery's state changed */
	bool suppressed;   /* an address was suppressed that was not before */
	bool unsubscribed; /* the same, by RETURNED_STOP or a complaint */
	int soft;          /* soft failures in a row that are now counted for that person */
};
/* A delivery or contact that is not there makes it nobody's. */
int store_returned(struct store *s, const struct returned_new *r, struct returned_done *done, struct err *e);

struct returned_row { /* strings lent as those of the row it comes with */
	int64_t id, delivery, contact;
	ms_t at;
	enum returned_effect effect;
	struct str kind, source, trust, host, address, rule, reason, diagnostic, enhanced;
	enum reply_class class;
	enum reply_scope scope;
	int code;
	int64_t bytes; /* of the message as kept, uncompressed; 0: it is not kept (any more) */
};
/* Everything that came back for a delivery, oldest first. */
int store_returned_of(struct store *s, int64_t delivery, int (*row)(void *ctx, const struct returned_row *r),
	void *ctx, struct err *e);
/* Appends the message as it came; nothing if it is not kept any more. */
int store_returned_message(struct store *s, int64_t id, struct buf *out, struct err *e);
/* Walks those with a kept message behind `after`, by id. In slices. */
int store_returned_walk(struct store *s, int64_t after, ms_t since,
	int (*row)(void *ctx, const struct returned_row *r), void *ctx, struct err *e);
struct returned_change { /* another class, by better rules */
	int64_t id;
	enum reply_class class;
	enum reply_scope scope;
	struct str reason, rule;
	ms_t at;
};
/* The row, the delivery it lowered, the tallies and what it suppressed follow: a failure that is not hard any
 * more ends the suppression that came from it alone. *lifted, *suppressed may be NULL. */
int store_returned_change(
	struct store *s, const struct returned_change *c, bool *lifted, bool *suppressed, struct err *e);
/* The contact's newest delivery not older than `since` that reached a server: over a relay id where one is
 * given (n == 0: any), in `campaign` (0: any). ERR_NOINPUT: none. */
int store_delivery_find(struct store *s, int64_t contact, int64_t campaign, struct str relay_id, ms_t since,
	int64_t *delivery, struct err *e);

/* ---- Who and what fails time and again ---- */

struct trouble_row { /* somebody whose mail failed for a time */
	int64_t contact;
	struct str address, provider;
	int soft;          /* campaigns in a row */
	ms_t first, last;  /* of these */
	struct str reason; /* the last one's */
};
/* Those with soft failures that were not followed by a delivery that stayed, and who are mailed still, worst
 * first within a slice of people. In slices. */
int store_troubled(struct store *s, int at_least, int (*row)(void *ctx, const struct trouble_row *t),
	void *ctx, struct err *e);

struct domain_failure {
	int64_t domain, failures;
	ms_t last;
	struct str reason; /* the last one's: "domain-unknown" …; static */
};
/* Domains that took no mail at all since then: they are not there, or refuse it as a whole. By id; *out is
 * the caller's to free. At most 20,000 of them. In slices. */
int store_dead_domains(struct store *s, ms_t since, struct domain_failure **out, size_t *n, struct err *e);

#endif
