/* What a reply means, and what follows from it: one rule file, one module (DESIGN "SMTP").
 *
 * A rule is a line of data: provider, stage, code, enhanced code, text -> class, scope, reason, action. The
 * shipped rules are built in (engine/rules.conf); a user's own file is read first. The first match decides;
 * the last rules match by the first digit alone, so that something always does. Returned mail is asked about
 * in the same way (engine/bounce). */
#ifndef ENGINE_OUTCOME_H
#define ENGINE_OUTCOME_H

#include "src/base/clock.h"
#include "src/base/str.h"
#include "src/db/delivery.h"

struct rules; /* read-only once loaded: shared by threads */

enum verdict_action {
	ACTION_FAIL,      /* this delivery is over: bounced (hard, soft) or blocked (block, message) */
	ACTION_SUPPRESS,  /* fail, and never mail that address again */
	ACTION_RETRY,     /* later, by the [retry] schedule; `delay` is the least */
	ACTION_REQUEUE,   /* not about this delivery: it stays queued; see scope */
	ACTION_SLOW,      /* retry, and the site or route gets fewer connections and a pause of `delay` */
	ACTION_SUSPEND,   /* retry, and the site or route is left alone for `delay` */
	ACTION_PAUSE,     /* stays queued and the campaign pauses, reason `pause` */
	ACTION_RECONNECT, /* stays queued, goes out at once on another connection (per-connection limits) */
	ACTION_NACTIONS
};
extern const char *const verdict_action_names[ACTION_NACTIONS]; /* as in the rule file */

struct verdict {
	enum reply_class class;
	enum reply_scope scope;
	enum verdict_action action;
	struct str reason; /* "user-unknown", "mailbox-full" …: the list is in docs/REASONS.md */
	struct str pause;  /* with ACTION_PAUSE: "login", "sender-refused", "quota" */
	struct str remedy; /* for a person; n == 0: none */
	ms_t delay;        /* 0: none given */
	int rule_line;     /* of the file that decided, for --explain */
	bool builtin;
};

/* user_file NULL: only the shipped ones. ERR_CONFIG with file and line. */
struct rules *rules_load(const char *user_file, struct err *e);
/* The same from memory: for tests, checks and fuzzing. */
struct rules *rules_parse(struct str user_rules, struct err *e);
void rules_free(struct rules **r);

/* provider: of the server that answered, or of the recipient ("google", or empty). On a direct route
 * "direct/google" or "direct"; anything else is taken as a relay's answer and matches rules for `relay` too.
 * stage as in smtp_stage_names ("rcpt", "end" …); "returned" or "returned/end" for what a returned message
 * says, where the command is unknown or known. code 0: no reply, `text` then says what happened ("timed out",
 * "closed", "connection refused" …). What v points to lives as long as the rules. Safe from any thread, about
 * 1 us. */
void rules_decide(const struct rules *r, struct str provider, struct str stage, int code, struct str enhanced,
	struct str text, struct verdict *v);

#endif
