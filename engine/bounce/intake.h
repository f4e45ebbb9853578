/* One returned message, from its bytes to what follows from it: read (reader.h), attributed (attribute.h),
 * acted on (the store), told.
 *
 * The same call serves every way in: `receive`, the listener, mailboxes, providers' notifications. A message
 * is one transaction for each person concerned (one, but for notices that name several), and the same message
 * twice counts once: so whoever is interrupted gives it again. Works beside a process that delivers and needs
 * no lease.
 *
 * What follows (DESIGN "Return path"):
 *   failure    the delivery is lowered; hard: suppressed; soft: counted; block and the like: never the
 * person. Later than INTAKE_LATE after the first attempt it is kept as evidence and changes nothing complaint
 * suppressed and unsubscribed stop       unsubscribed at once, with the configured scope: any mail to an
 * address with a valid unsubscribe token that is not itself a report, and opt-out reports others     nothing:
 * auto-replies, delays, receipts, challenges are not even kept What cannot be attributed is kept as nobody's
 * and changes no one. */
#ifndef ENGINE_BOUNCE_INTAKE_H
#define ENGINE_BOUNCE_INTAKE_H

#include "engine/bounce/attribute.h"
#include "engine/bounce/reader.h"
#include "engine/token.h"
#include "src/config/config.h"
#include "src/db/returned.h"

#define INTAKE_LATE   (30 * DAY)
#define INTAKE_EVENTS READER_FAILURES

struct intake_options { /* all borrowed for the intake's life */
	const struct config *config;
	const struct token_keys *keys;
	const struct rules *rules;
	struct store *store; /* open for writing, or for reading with dry_run; used by no other thread */
	bool dry_run;        /* reads and attributes, changes nothing */
};

struct intake_source {
	const char *name; /* "receive", "listener", "mailbox old", "ses" …: kept with the evidence */
	bool vouched; /* the operator answers for it: addresses and relay ids in it count without a token */
};

struct intake_event {
	const struct failure
		*failure; /* what was found; NULL: none is named (a complaint, a request to stop) */
	struct attribution who;
	enum returned_effect effect;
	enum reply_class class; /* as acted on */
	bool late,
		partial; /* why a failure has no effect: too old; others of the same report were delivered */
	struct str address;        /* whose: as known to us; n == 0: nobody's, or forgotten */
	struct str campaign;       /* its name; n == 0: none */
	struct returned_done done; /* all zero in a dry run */
};

struct intake_result { /* lent till the next message */
	struct findings found;
	struct intake_event *events;
	size_t nevents; /* 0: nothing follows from it, and it was not kept */
};

struct intake;

int intake_new(struct intake **in, const struct intake_options *o, struct err *e);
void intake_free(struct intake **in);
/* `at`: when it arrived. -1: ERR_AGAIN and ERR_IO (give it again later), others: will not get better. A
 * message that nobody can read is not an error. */
int intake_message(struct intake *in, struct str message, const struct envelope *env,
	const struct intake_source *source, ms_t at, struct intake_result *out, struct err *e);
/* For what was read by somebody else: notifications of providers, lists of errors. `evidence` is kept with
 * each event, so it names nobody else. The findings are borrowed for the call. */
int intake_findings(struct intake *in, const struct findings *f, struct str evidence,
	const struct intake_source *source, ms_t at, struct intake_result *out, struct err *e);
/* What a kept message is read as today. 1: otherwise than `was` says, and *now is filled (lent till the next
 * call; class none: it is no failure at all); 0: the same, or nothing in it to compare; INTAKE_UNREAD: the
 * event or row that was kept cannot be read any more, and stays what it is. */
enum { INTAKE_UNREAD = 2 };
int intake_again(struct intake *in, const struct returned_row *was, struct str message,
	struct returned_change *now, struct err *e);
/* Does mail to that address concern us: has it a valid token? For deciding at RCPT; asks no store. */
enum token_address intake_address(struct intake *in, struct str address);

#endif
