/* The store: everything that is remembered, in Postrider's own words.
 *
 * One `struct store` is one connection; it belongs to one thread at a time. Several processes may have the
 * same database open. Each driver (sqlite.c and its siblings; others later) writes its own SQL; no SQL leaves
 * src/db.
 *
 * Rules every operation keeps:
 *  - An operation is one transaction unless it says "in slices"; then it commits every few thousand rows, so
 * that no write lock is held over 100 ms and no read snapshot over 1 s, and while another process delivers it
 * leaves a pause between slices (the deliverer must get in).
 *  - Times are ms (src/base/clock.h), given by the caller.
 *  - An address has two forms (lists/address.h): `address`, the spelling for the wire, and `key`, what it is
 * compared by. The store never parses either.
 *  - Rows handed to a callback are lent for the call. A callback returns 0 to go on, anything else ends the
 * walk, and the operation returns that value (use > 0 for "enough", -1 for an error it filled in itself).
 *  - Functions return 0 / -1 with `struct err` filled: ERR_NOINPUT not found, ERR_DATA refused, ERR_AGAIN
 * busy for longer than the busy time or held by another process, ERR_IO the disk or a damaged database,
 * ERR_INTERNAL.
 *  - Changes a person asked for are written to the history by the operation itself, under the actor given at
 * opening.
 */
#ifndef DB_STORE_H
#define DB_STORE_H

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/db/attrs.h"
#include "src/db/filter.h"

#include <stdint.h>

struct store;

/* ---- Opening ---- */

/* After how many failures an address is not mailed any more; 0: never for that. A hard or soft one counts
 * once for each campaign. Soft ones must be spread over soft_days, and are forgotten after a delivery that
 * stayed delivered. */
struct suppress_rule {
	int hard, soft, soft_days, complaint;
};
extern const struct suppress_rule suppress_rule_default; /* 1, 3, 7, 1 */

enum store_mode {
	STORE_CREATE, /* must not exist; mode 0600 */
	STORE_READ,   /* queries only */
	STORE_WRITE,
};

struct store_config {
	const char *path;
	ms_t busy;                            /* how long to wait for another writer; 0: 10 s */
	const char *actor;                    /* "user@host command …", for the history */
	struct str forget_key;                /* HMAC key under which forgotten addresses are kept */
	const struct suppress_rule *suppress; /* NULL: suppress_rule_default; copied */
	const char *(*provider_of)(
		struct str domain); /* "google", …; "" unknown; domain as A-labels; may be NULL */
	void (*migrating)(
		int from, int to, void *ctx); /* told before an older schema is brought up; may be NULL */
	void *ctx;
	size_t cache_bytes; /* page cache; 0: 16 MiB */
	bool bulk;          /* import: checkpoints are a checkpointer's */
	const char *home;   /* this machine (src/base/machine.h); NULL: not asked, see "Copies" */
	bool home_chosen;   /* `home` is a name that somebody gave, which alone counts */
	bool adopting;      /* open for writing although it is at home elsewhere: for store_adopt() alone */
};

/* ERR_NOINPUT: no database there (the remedy names `postrider init`); ERR_DATA: not a Postrider database,
 * damaged, or written by a newer version; ERR_PAUSED: for writing, and it is a copy. */
int store_open(struct store **s, enum store_mode mode, const struct store_config *c, struct err *e);
void store_close(struct store **s);
/* Changes when any other connection committed something; cheap enough for every loop turn. */
int64_t store_data_version(struct store *s);
/* Moves what the write-ahead log holds into the database, nearly without blocking writers. */
int store_checkpoint(struct store *s, struct err *e);
/* A thread that does so four times a second, for a process that writes much: the writer need not wait for the
 * disk then. */
struct checkpointer;
int checkpointer_start(struct checkpointer **c, const struct store_config *config, struct err *e);
void checkpointer_stop(struct checkpointer **c); /* NULL is fine */
/* Consistent copy while others write, as of one moment: the read snapshot lasts as long as the copying, so
 * that the write-ahead log grows by what others write meanwhile. Mode 0600, must not exist; not synced.
 * `step` (may be NULL) is told the bytes done; anything but 0 ends it with ERR_AGAIN. */
int store_backup(struct store *s, const char *path, int (*step)(void *ctx, int64_t done, int64_t of),
	void *ctx, struct err *e);
/* Is the file sound, in every page, index and constraint? 1; 0: *what says what was found; -1. A read
 * snapshot for as long as it takes: not while somebody delivers. `step` as above, without numbers. */
int store_integrity(struct store *s, int (*step)(void *ctx, const char *doing, int64_t done, int64_t of),
	void *ctx, struct buf *what, struct err *e);
/* Small facts of the installation. */
int store_meta_get(
	struct store *s, const char *name, struct buf *out, struct err *e); /* ERR_NOINPUT: never set */
int store_meta_set(struct store *s, const char *name, struct str value, struct err *e);

/* ---- MTA-STS policies of receiving domains (RFC 8461) ---- */

struct policy_row {
	struct str domain, id;
	int mode;              /* enum sts_mode */
	ms_t fetched, expires; /* wall clock */
	struct str mx;
};

/* 1: found, in the arena; 0: not known; -1. */
int store_policy_get(
	struct store *s, struct str domain, struct arena *a, struct policy_row *out, struct err *e);
/* In place of what was known of these domains; those that ended before `now` are forgotten. */
int store_policies_put(struct store *s, const struct policy_row *rows, size_t n, ms_t now, struct err *e);

/* ---- Attribute names ---- */

/* Id of a name, > 0; creates it when `create` (else 0 for an unknown one, not an error). -1: failed. */
int64_t store_attr_id(struct store *s, struct str name, bool create, struct err *e);
struct str store_attr_name(
	struct store *s, uint32_t id); /* n == 0: unknown. Lent until the store is closed */
int store_attrs(
	struct store *s, int (*row)(void *ctx, uint32_t id, struct str name), void *ctx, struct err *e);

/* ---- Lists ---- */

struct list_row {
	int64_t id;
	struct str name, title, list_id; /* list_id: ASCII, for List-Id */
	int64_t members;                 /* on the list now */
	int64_t mailable;                /* members that are not suppressed for it; -1: not asked for */
	ms_t created;
};

int store_list_get(struct store *s, struct str name, struct list_row *out,
	struct err *e); /* strings lent till the next call */
int store_list_by_id(struct store *s, int64_t id, struct list_row *out, struct err *e);
int store_list_create(struct store *s, struct str name, ms_t now, int64_t *id, struct err *e);
int store_list_rename(struct store *s, int64_t id, struct str name, struct err *e);
/* NULL leaves a value as it is. */
int store_list_set(
	struct store *s, int64_t id, const struct str *title, const struct str *list_id, struct err *e);
/* Members lose the list; suppressions of its scope stay, so that a list made again under that name keeps
 * them. In slices. */
int store_list_delete(struct store *s, int64_t id, struct err *e);
int store_lists(struct store *s, bool count_mailable, int (*row)(void *ctx, const struct list_row *l),
	void *ctx, struct err *e);

/* ---- Contacts ---- */

struct contact_row {
	int64_t id;
	struct str address, key;
	struct str attrs; /* packed */
	ms_t added, changed;
	bool removed; /* left every list, kept for the ledger's sake */
	/* Where the walk knows one list: */
	int64_t list;
	ms_t joined;
	struct str source;
	ms_t consent_at; /* 0: not given */
};

struct membership {
	int64_t list;
	struct str list_name;
	ms_t joined;
	struct str source;
	ms_t consent_at;
};

/* ERR_NOINPUT: nobody with that key. Strings lent till the next call. */
int store_contact_get(struct store *s, struct str key, struct contact_row *out, struct err *e);
int store_contact_by_id(struct store *s, int64_t id, struct contact_row *out, struct err *e);
int store_memberships(struct store *s, int64_t contact, int (*row)(void *ctx, const struct membership *m),
	void *ctx, struct err *e);
/* Adds or changes one person: attributes are laid over the present ones (absent keeps, empty clears).
 * ERR_DATA: the address was forgotten. */
int store_contact_put(struct store *s, struct str address, struct str key, struct str attrs, ms_t now,
	int64_t *id, struct err *e);
/* Puts on a list. `lift` also ends an unsubscription (reason unsubscribe, this list or all): the only way
 * back. */
int store_subscribe(struct store *s, int64_t contact, int64_t list, struct str source, ms_t consent_at,
	bool lift, ms_t now, struct err *e);
/* Takes off the list (0: all lists and the attributes). Not an unsubscription. */
int store_contact_remove(struct store *s, int64_t contact, int64_t list, struct err *e);
/* Erases the person: address, attributes, memberships, suppressions, replies that quote the address; delivery
 * rows stay, nameless; a keyed hash stays, so that they are never mailed or imported again. `key` need not
 * belong to a contact. */
int store_forget(struct store *s, struct str key, ms_t now, struct err *e);
/* 1: forgotten, 0: not. */
int store_is_forgotten(struct store *s, struct str key, struct err *e);

/* ---- Suppressions ---- */

enum suppress_reason {
	SUPPRESS_HARD_BOUNCE,
	SUPPRESS_SOFT_BOUNCES,
	SUPPRESS_COMPLAINT,
	SUPPRESS_UNSUBSCRIBE,
	SUPPRESS_MANUAL,
	SUPPRESS_IMPORT,
	SUPPRESS_FORGOTTEN,
	SUPPRESS_NREASONS,
};
extern const char
	*const suppress_reason_names[SUPPRESS_NREASONS]; /* "hard-bounce", … as in docs/INTERFACE.md */

struct suppression {
	struct str key; /* address key, or "@domain" (that domain, not those below it) */
	int64_t list;   /* scope: 0 = all */
	struct str list_name;
	enum suppress_reason reason;
	int64_t campaign; /* 0: none */
	struct str campaign_name;
	struct str evidence; /* what the server said, who asked … */
	ms_t created;
	/* 0: firm. Held ones count as suppressed until then; see "Held suppressions". */
	ms_t held_until;
};

/* An existing one of the same scope stays if it is stronger (complaint and unsubscribe over bounces over
 * manual and import). *added tells. */
int store_suppress(struct store *s, const struct suppression *sup, bool *added, struct err *e);
/* The same for a few hundred in one transaction; all or none. */
int store_suppress_many(
	struct store *s, const struct suppression *sups, size_t n, size_t *added, struct err *e);
/* What keeps `key` from being mailed, its domain's included; list 0: whatever the scope. `domain` is
 * "@domain". */
int store_suppressions_of(struct store *s, struct str key, struct str domain, int64_t list,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e);
/* Held suppressions. A receiver that calls an unusual share unknown may be wrong: what its word suppresses is
 * held, that is, it runs out a day later. It becomes firm if the address is refused for good once more after
 * that, or if a person confirms it (any firm suppression of the same scope). One that ran out suppresses
 * nobody, but is remembered for 30 days. */
struct holding {
	struct str name;   /* a provider, or "@domain" */
	ms_t since, until; /* what is suppressed in between on its word is held */
};
/* From now on, and for what was suppressed since `since`; *held: so many. In slices; not within a
 * transaction. */
int store_hold(struct store *s, struct str name, ms_t since, ms_t until, int64_t *held, struct err *e);
int store_hold_goes_on(struct store *s, struct str name, ms_t until, struct err *e);
int store_hold_over(struct store *s, struct str name, struct err *e);
int store_holdings(
	struct store *s, ms_t now, int (*row)(void *ctx, const struct holding *h), void *ctx, struct err *e);
int64_t store_held(struct store *s, ms_t now, struct err *e); /* suppressions held now; -1 */

struct suppression_query {
	struct str key;      /* n == 0: any */
	int64_t list;        /* -1: any scope */
	int reason;          /* -1: any */
	int64_t campaign;    /* 0: any */
	struct str provider; /* n == 0: any */
	ms_t since, until;   /* 0: open */
	bool spare_personal; /* leave out unsubscribe, complaint, forgotten */
	bool held;           /* only held ones, also those that ran out */
};
int store_suppressions(struct store *s, const struct suppression_query *q,
	int (*row)(void *ctx, const struct suppression *sup), void *ctx, struct err *e);
/* Removes what the query selects; `note` goes to the history. forgotten ones are never removed. In slices. */
int store_unsuppress(struct store *s, const struct suppression_query *q, struct str note, bool dry_run,
	int64_t *n, struct err *e);

/* ---- Import: one at a time for a database ---- */

struct import;

enum on_duplicate { DUPLICATE_UPDATE, DUPLICATE_SKIP, DUPLICATE_FAIL };

struct import_options {
	struct str list; /* name; created if need be, visible only with the import */
	struct str file; /* for the history */
	enum on_duplicate on_duplicate;
	bool sync;         /* who is not in the file leaves the list */
	struct str source; /* for rows without one of their own */
	ms_t consent_at;
	ms_t now;
};

enum import_status { IMPORT_SUBSCRIBED, IMPORT_UNSUBSCRIBED, IMPORT_BOUNCED, IMPORT_COMPLAINED };

enum import_result {
	IMPORT_PENDING,
	IMPORT_ADDED,
	IMPORT_UPDATED,
	IMPORT_UNCHANGED,
	IMPORT_DUPLICATE, /* the address came earlier in this file; on_duplicate decided */
	IMPORT_FORGOTTEN, /* refused: the person asked to be forgotten */
	IMPORT_NRESULTS,
};

struct import_row {
	long line;
	struct str address, key, domain; /* domain: part of key behind the @ */
	struct str attrs;                /* packed; empty values clear */
	struct str source;               /* n == 0: the import's */
	ms_t consent_at;                 /* 0: the import's */
	ms_t joined, added;              /* of an export that comes back; 0: now */
	enum import_status status;
	/* filled by store_import_rows: */
	enum import_result result;
	bool suppressed; /* present, but will not be mailed */
};

/* ERR_AGAIN: another import runs. Sweeps what an interrupted one left. *created: the list is new. */
int store_import_begin(
	struct store *s, const struct import_options *o, struct import **im, bool *created, struct err *e);
/* One batch (any size; some 10,000 rows are best: the driver sorts them for the index). In slices. Nothing is
 * visible yet. */
int store_import_rows(struct store *s, struct import *im, struct import_row *rows, size_t n, struct err *e);
/* --sync: how many would leave the list, and of how many. */
int store_import_leavers(struct store *s, struct import *im, int64_t *leaving, int64_t *of, struct err *e);
/* Makes all of it visible in one small commit, then finishes in slices what waits behind it (changes to
 * people who were there before; an interruption there is finished by the next one who opens for writing). */
int store_import_commit(struct store *s, struct import **im, struct err *e);
/* Leaves no trace. NULL is fine; *im becomes NULL. */
int store_import_abort(struct store *s, struct import **im, struct err *e);
/* Finishes or sweeps what a dead import left; called on opening for writing by whoever delivers or imports.
 */
int store_import_recover(struct store *s, struct err *e);

/* ---- Audience: who is selected ---- */

#define AUDIENCE_MAX 64

struct audience_ref {
	int64_t campaign;
	unsigned states; /* bit per enum delivery_state; 0: any */
};

struct audience {
	int64_t lists[AUDIENCE_MAX];
	size_t nlists; /* 0: everybody known */
	int64_t exclude[AUDIENCE_MAX];
	size_t nexclude;
	struct audience_ref of[AUDIENCE_MAX], not_of[AUDIENCE_MAX];
	size_t nof, nnot_of;
	const struct filter *where; /* NULL: all */
	int64_t sample_n;           /* 0: all */
	double sample_share;        /* 0..1; 0: all */
	uint64_t seed;              /* of the sample: the same each time for a campaign */
};

struct selection {        /* how an audience was made */
	int64_t selected; /* distinct people the lists, of and where name */
	int64_t suppressed, unsubscribed, excluded,
		duplicate; /* left out; duplicate: further memberships of people counted once */
	int64_t audience;  /* who remains */
};

/* Counts without recording. In slices. */
int store_audience_count(struct store *s, const struct audience *a, struct selection *out, struct err *e);
/* Walks an audience by ascending contact id; `everyone`: those who are suppressed as well. In slices. */
int store_audience_walk(struct store *s, const struct audience *a, bool everyone,
	int (*row)(void *ctx, const struct contact_row *c), void *ctx, struct err *e);

/* ---- Campaigns ---- */

/* clang-format off */
#define DELIVERY_STATES(ROW) \
	ROW(QUEUED, "queued") \
	ROW(SENDING, "sending") \
	ROW(DEFERRED, "deferred") \
	ROW(SENT, "sent") \
	ROW(BOUNCED, "bounced") \
	ROW(BLOCKED, "blocked") \
	ROW(EXPIRED, "expired") \
	ROW(SKIPPED, "skipped") \
	ROW(DOUBT, "doubt") \
	ROW(CANCELLED, "cancelled")
/* clang-format on */
enum delivery_state {
#define X(id, name) DELIVERY_##id,
	DELIVERY_STATES(X)
#undef X
		DELIVERY_NSTATES
};
extern const char *const delivery_state_names[DELIVERY_NSTATES];

/* clang-format off */
#define CAMPAIGN_STATES(ROW) \
	ROW(PREPARING, "preparing") \
	ROW(SCHEDULED, "scheduled") \
	ROW(RUNNING, "running") \
	ROW(WAITING, "waiting") \
	ROW(PAUSED, "paused") \
	ROW(INTERRUPTED, "interrupted") \
	ROW(FINISHED, "finished") \
	ROW(CANCELLED, "cancelled")
/* clang-format on */
enum campaign_state { /* INTERRUPTED is never stored: it is PREPARING, RUNNING or WAITING with nobody holding
			 the lease */
#define X(id, name) CAMPAIGN_##id,
	CAMPAIGN_STATES(X)
#undef X
		CAMPAIGN_NSTATES
};
extern const char *const campaign_state_names[CAMPAIGN_NSTATES];

/* A delivery's id: campaign << 32 | its number in the campaign (from 1, by ascending contact id). */
#define DELIVERY_ID(campaign, n) (((int64_t)(campaign) << 32) | (int64_t)(n))
#define DELIVERY_CAMPAIGN(id)    ((int64_t)(id) >> 32)
#define DELIVERY_NUMBER(id)      ((int64_t)(id)&0xffffffff)

struct campaign_row {
	int64_t id;
	struct str name;
	enum campaign_state state;
	struct str why;      /* id of the reason for a pause: "user", "canary", "login" …; n == 0: none */
	struct str why_text; /* for a person: what exactly */
	struct str subject, from; /* as written in the message file, for listings */
	struct str message_path;  /* where it came from */
	struct str content_hash;  /* of message, layout, partials, attachments: hex */
	struct str audience; /* canonical text (lists/segment.h), parsed again when the audience is fixed */
	struct str route;    /* n == 0: chosen by the configuration */
	double rate;         /* --rate, per second; 0: none of its own */
	int64_t canary;      /* --first: that many at random, then pause; 0: none */
	ms_t created, start_at, until, started, finished; /* 0: not (yet) */
	ms_t paused_ms; /* time spent paused: a message's age stands still (see [retry] expire) */
	ms_t paused_at;
	bool doubt_final; /* resume --doubt=skip: what is in doubt stays so; nobody is asked again */
	struct selection selection;
	int64_t complaints, unsubscribed;
	ms_t armed;  /* since when the brakes count; 0: from the start */
	bool spread; /* goes out by destination: see "What waits, by domain" */
};

struct campaign_new {
	struct str name, subject, from, message_path, content_hash, audience, route;
	double rate;
	int64_t canary;
	bool spread;          /* by destination instead of in id order; fixed for the campaign's life */
	ms_t start_at, until; /* start_at 0: now */
	ms_t now;
};

struct content_part {
	struct str name; /* "message", or a path relative to the message's folder */
	struct str data;
};

/* ERR_DATA: the name is taken. State PREPARING, or SCHEDULED if start_at lies ahead. */
int store_campaign_create(struct store *s, const struct campaign_new *c, const struct content_part *parts,
	size_t n, int64_t *id, struct err *e);
int store_campaign_get(struct store *s, struct str name, struct campaign_row *out,
	struct err *e); /* lent till the next call */
int store_campaign_by_id(struct store *s, int64_t id, struct campaign_row *out, struct err *e);
int store_campaigns(struct store *s, bool unfinished_only,
	int (*row)(void *ctx, const struct campaign_row *c), void *ctx, struct err *e);
int store_content(struct store *s, int64_t campaign, int (*row)(void *ctx, const struct content_part *p),
	void *ctx, struct err *e);
/* Campaigns launched since `since` with that content, newest first. */
int store_campaigns_with_content(struct store *s, struct str content_hash, ms_t since,
	int (*row)(void *ctx, const struct campaign_row *c), void *ctx, struct err *e);

/* What people (any process) ask of a campaign. Each checks that the state allows it (ERR_DATA says why not).
 */
int store_campaign_pause(
	struct store *s, int64_t id, struct str why, struct str why_text, ms_t now, struct err *e);
struct resume_options {
	double rate;     /* < 0: leave */
	bool now;        /* deferred deliveries become due */
	int doubt;       /* -1: leave; 1: resend those in doubt (once each); 0: doubt is final */
	bool past_brake; /* what the brakes counted is forgotten: they count from here (campaign_row.armed) */
	ms_t at;
};
int store_campaign_resume(struct store *s, int64_t id, const struct resume_options *o, struct err *e);
/* Mail to that provider waits, the campaign goes on with the others. Lifted by store_campaign_resume: a
 * person's own (why "user") always, a brake's with past_brake. ERR_DATA: it is over. */
struct provider_pause {
	struct str provider, why, why_text;
	ms_t at;
};
int store_provider_pause(struct store *s, int64_t campaign, struct str provider, struct str why,
	struct str why_text, ms_t now, struct err *e);
int store_provider_pauses(struct store *s, int64_t campaign,
	int (*row)(void *ctx, const struct provider_pause *p), void *ctx, struct err *e);
/* Takes effect at once, whatever its size: what is queued or deferred reads as cancelled from then on. */
int store_campaign_cancel(struct store *s, int64_t id, ms_t now, struct err *e);
/* Recorded by the deliverer or by the watcher of a foreground run. */
int store_campaign_set_rate(struct store *s, int64_t id, double rate, struct err *e);

/* ---- The lease: one process delivers ---- */

struct holder {
	char host[256], boot[64];
	int64_t pid, pid_start; /* pid_start: /proc/PID/stat field 22, so that a reused pid is not taken for
				   the holder */
	ms_t since, heartbeat;
	ms_t uptime; /* the heartbeat by the clock since boot (clock_mono()), which nobody sets; 0: unknown */
	int64_t epoch;
	char what[32]; /* "send", "serve", "resume" */
};

void holder_self(struct holder *h, const char *what);
/* Is that process alive? On this host and boot: by pid and start time. Elsewhere: heartbeat younger than 60
 * s. A live process here whose heartbeat is older than 60 s (stopped) counts as gone too, by the clock since
 * boot where that is known: the wall clock may be set. */
bool holder_alive(const struct holder *h, ms_t now);

/* 0: ours, *epoch is new. ERR_AGAIN: `other` holds it. */
int store_lease_take(struct store *s, const struct holder *self, ms_t now, int64_t *epoch,
	struct holder *other, struct err *e);
int store_lease_renew(struct store *s, int64_t epoch, ms_t now, struct err *e); /* ERR_AGAIN: lost it */
int store_lease_release(struct store *s, int64_t epoch, struct err *e);
/* 1: somebody alive holds it, 0: nobody. */
int store_lease_get(struct store *s, ms_t now, struct holder *out, struct err *e);

/* ---- The ledger: only the holder of the lease. ---- */
/*
 * store_ledger_begin … record / claim / slice / set … store_ledger_commit make one synced transaction. begin
 * fails with ERR_AGAIN if the epoch is no longer ours: stop at once, send nothing more.
 *
 * A claim writes an *intent* (synced by the commit): from then on the message may be on the wire. The outcome
 * removes it. While an intent stands and its holder lives, the delivery reads as `sending`; if the holder is
 * dead, as `doubt`.
 */
int store_ledger_begin(struct store *s, int64_t epoch, ms_t now, struct err *e);
int store_ledger_commit(struct store *s, struct err *e);
void store_ledger_rollback(struct store *s);

/* After taking the lease, before anything else (own transaction): every intent left by a dead holder becomes
 * doubt. rule: 1 resend (due at once, unless already doubted once), 0 final, 2 hold. Returns how many in *n.
 */
int store_ledger_recover(struct store *s, int64_t epoch, int rule, ms_t now, int64_t *n, struct err *e);

/* Fixes the audience, one slice (within begin/commit) of at most `budget` contacts. *done when the last was
 * looked at: the campaign is then RUNNING and its selection recorded. `a` is the campaign's audience, parsed:
 * the same at each call. A campaign in any other state than PREPARING is done at once (it was paused or
 * cancelled meanwhile). */
int store_ledger_prepare(struct store *s, int64_t campaign, const struct audience *a, int budget, ms_t now,
	bool *done, struct err *e);

struct claim {
	int64_t delivery, contact, list;
	int attempt; /* number of this attempt, from 1 */
	bool doubted;
	ms_t first_attempt; /* of this delivery: now, if this is the first */
	ms_t due;           /* when it was due; fresh ones: now */
	struct str address, key;
	struct str domain;                         /* A-labels */
	struct str provider;                       /* "" unknown */
	struct str attrs;                          /* packed */
	struct str list_name, list_title, list_id; /* of `list`; n == 0 without one */
};

struct claims { /* store_ledger_claim appends; the caller sets n = 0 and resets the arena when it is done with
		   them */
	struct claim *v; /* realloc'd; the caller frees it at the end */
	size_t n, cap;
	struct arena *arena; /* the strings live here, with a NUL behind each; given by the caller */
};

enum claim_kind {
	CLAIM_DUE,   /* deferred, requeued or doubtful ones whose time has come, oldest first */
	CLAIM_FRESH, /* never attempted, in id order from the campaign's cursor; a canary's first */
};
/* Writes intents for up to `max` deliveries and appends them. Those who must not be mailed any more
 * (suppressed, unsubscribed, off the list) are recorded as skipped instead and do not count. A call looks at
 * some 2,000 rows at most, so 0 may mean "ask again"; a campaign that is not RUNNING or WAITING hands out
 * nothing. Quota is counted for `route`. Returns the number claimed, 0 none, -1. */
int store_ledger_claim(struct store *s, int64_t campaign, enum claim_kind kind, struct str route, int max,
	ms_t now, struct claims *out, struct err *e);

/* ---- What waits, by domain: for campaigns that are `spread` ---- */
/*
 * store_ledger_claim hands out nothing of a spread campaign. It is claimed domain by domain instead, in this
 * round, all of it within begin/commit:
 *
 *   store_ledger_ripen         deferred ones whose time has come join what can be claimed of their domain
 *   store_ledger_waiting       walks the domains that have something to claim, from where the last walk ended
 *   store_ledger_set_provider  once the domain's MX is known, before the first claim of it
 *   store_ledger_claim_domain  intents for one domain
 *
 * Outcomes are recorded as those of any campaign (store_ledger_record): what is deferred, requeued, returned
 * or comes out of recovery waits again by itself. Nothing here grows with the audience but tables on disk.
 */

/* Takes some 2,000 deliveries whose due time has come. *next: when the next one will (not later than `now`:
 * ask again, there are more; 0: none waits for a time). Call it when *next has come, or after anybody else
 * wrote (resume --now). */
int store_ledger_ripen(struct store *s, int64_t campaign, ms_t now, ms_t *next, struct err *e);

struct waiting_domain {
	int64_t domain;            /* id: for claims, and the place to go on behind */
	struct str name, provider; /* A-labels; "" unknown. Lent for the call */
	/* can be claimed now: never attempted, and tried before; counted up to `cap`. None while its provider
	 * is paused. */
	int fresh, due;
	ms_t since; /* when the oldest of `due` became due; 0 with none */
};
/* Walks the domains with an id above `after` that have something to claim, at most `max` of them, by id; with
 * fewer the end was reached and the next walk begins at 0. While the campaign's canary is out only its
 * recipients are seen. A campaign that is not RUNNING or WAITING shows nothing. Reads only; costs a few µs
 * for each domain shown, whatever the audience. Returns how many were shown, -1, or what `row` returned. */
int store_ledger_waiting(struct store *s, int64_t campaign, int64_t after, int max, int cap,
	int (*row)(void *ctx, const struct waiting_domain *d), void *ctx, struct err *e);
/* As store_ledger_claim, for one domain: what is due first, but half of `max` stays for those never tried
 * while there are any. */
int store_ledger_claim_domain(struct store *s, int64_t campaign, int64_t domain, struct str route, int max,
	ms_t now, struct claims *out, struct err *e);
/* The provider that a domain's MX set shows. Claims name it from then on. What was counted before stays under
 * the former provider; deliveries of spread campaigns that were never claimed move over. Cheap when nothing
 * changes. */
int store_ledger_set_provider(struct store *s, int64_t domain, struct str provider, struct err *e);

enum reply_class {
	CLASS_NONE,
	CLASS_HARD,
	CLASS_SOFT,
	CLASS_BLOCK,
	CLASS_MESSAGE,
	CLASS_CONFIG,
	CLASS_NCLASSES
};
extern const char *const reply_class_names[CLASS_NCLASSES]; /* "" for NONE */
enum reply_scope { SCOPE_ADDRESS, SCOPE_MESSAGE, SCOPE_SITE, SCOPE_ROUTE, SCOPE_ACCOUNT, SCOPE_NSCOPES };
extern const char *const reply_scope_names[SCOPE_NSCOPES];

enum outcome_kind {
	OUTCOME_FINAL,   /* `state` is the new state */
	OUTCOME_DEFER,   /* deferred, due at `due` */
	OUTCOME_REQUEUE, /* route or account refused: stays queued, due at `due`; only the attempt is recorded
			  */
	OUTCOME_DOUBT,   /* the end was on the wire and no reply came: doubt, due at `due` (0: final) */
	OUTCOME_RETURN,  /* never tried: as if it had not been claimed, due at `due` */
};

struct outcome_row {
	int64_t delivery;
	enum outcome_kind kind;
	enum delivery_state state;
	ms_t at, due;
	int code;          /* 0: no reply */
	char enhanced[12]; /* "5.1.1", "" */
	struct str reply;  /* at most 500 bytes are kept; or our own words where there was no reply */
	enum reply_class class;
	enum reply_scope scope;
	struct str reason; /* from the rule file: "user-unknown" … */
	struct str site;   /* host that answered */
	struct str route;
	struct str relay_id; /* the relay's own id, from its 250 */
	bool suppress;       /* hard: suppress the address (scope all) in the same transaction */
	struct str dialogue; /* what was said in an attempt that failed (engine/smtp/dialogue.h); n == 0: not
				kept */
	/* For brakes and the delivery log; the store does not keep them. */
	struct str provider;    /* the recipient's; n == 0: unknown */
	struct str domain;      /* the recipient's, A-labels */
	struct str address;     /* n == 0: no log is written */
	struct str campaign;    /* its name; set by the ledger */
	struct str peer;        /* "192.0.2.1 port 25" */
	int attempt;            /* its number, from 1 */
	struct str source;      /* our address that it left from; n == 0: not known */
	struct str tls;         /* "TLSv1.3"; n == 0: in clear */
	const char *action;     /* what the rules asked for; NULL: nothing */
	int connect_ms, tls_ms; /* what the connection took to be made, and secured */
	int send_ms;            /* from when the message was given to the connection to the answer */
};
/* Records the attempt, moves the delivery and the tallies, removes the intent. An outcome whose intent is
 * gone (taken over by another holder) is dropped. */
int store_ledger_record(struct store *s, const struct outcome_row *rows, size_t n, struct err *e);

/* Deliveries sent over `route` since a time, to the minute, rounded so that a window is never passed. */
int64_t store_ledger_usage(struct store *s, struct str route, ms_t since, struct err *e);
/* Within begin/commit: n (< 0: fewer) under a name of the caller's, which no route has: receivers that share
 * limits. Read as those of a route. */
int store_usage_add(struct store *s, struct str name, int64_t n, ms_t now, struct err *e);
/* The same minute by minute, oldest first: `minute` is its beginning. */
int store_usage_minutes(struct store *s, struct str route, ms_t since,
	int (*row)(void *ctx, ms_t minute, int64_t n), void *ctx, struct err *e);
/* What a source address carried to a provider ("": unknown ones), by day: a number that the caller gives.
 * add: within begin/commit. days: oldest first. */
int store_source_add(
	struct store *s, struct str source, struct str provider, int64_t day, int64_t n, struct err *e);
int store_source_days(struct store *s, struct str source, struct str provider,
	int (*row)(void *ctx, int64_t day, int64_t n), void *ctx, struct err *e);
/* When the earliest delivery of that campaign (0: any running) becomes due; 0: none waits for a time. Of a
 * spread campaign: one whose time has come but which was not claimed yet counts as well. */
ms_t store_ledger_next_due(struct store *s, int64_t campaign, struct err *e);
/* Within begin/commit: the campaign's state, and what is shown of it. What people asked for stands: a paused
 * or cancelled campaign stays as it is. */
int store_ledger_set_state(struct store *s, int64_t campaign, enum campaign_state state, struct str why,
	struct str why_text, ms_t now, struct err *e);
struct live {              /* written by the holder every second, read by whoever watches */
	double rate;       /* accepted a second, over the last seconds */
	char limit[160];   /* what binds: "route main: 14/s", "connections", "" */
	ms_t next_attempt; /* 0: none waits */
	ms_t eta;          /* 0: unknown */
	int connections;
	ms_t at;
};
/* Within begin/commit: what a brake counted, in its own words (engine/brake.h), to go on with after a
 * restart. */
int store_ledger_meter(struct store *s, int64_t campaign, struct str name, struct str data, struct err *e);
int store_meters(struct store *s, int64_t campaign, int (*row)(void *ctx, struct str name, struct str data),
	void *ctx, struct err *e);
/* What came back of deliveries that had been accepted, by provider, since the campaign began: returned
 * messages and complaints, whoever recorded them. */
struct came_back {
	struct str provider; /* "" unknown */
	int64_t bounced, blocked, complaints;
};
int store_ledger_came_back(struct store *s, int64_t campaign,
	int (*row)(void *ctx, const struct came_back *r), void *ctx, struct err *e);
/* Within begin/commit, every second: what is kept of the newest only (dialogues of failed attempts) is cut, a
 * slice at a time. */
int store_ledger_trim(struct store *s, struct err *e);
int store_ledger_set_live(struct store *s, int64_t campaign, const struct live *l, struct err *e);
enum live_kind { LIVE_ROUTE, LIVE_PROVIDER, LIVE_SITE };
struct live_group { /* a route, or receivers that share limits over one: the busiest and the troubled ones */
	enum live_kind kind;
	struct str name, route, source; /* source: our address; n == 0: as the system chooses */
	struct str state;               /* "ok", "slowed", "suspended", "probing", "recovering", "down" */
	struct str limit;               /* what binds; n == 0: nothing */
	double rate;                    /* accepted a second */
	int connections;
	int64_t waiting; /* deliveries that could go now, about */
};
/* Replaces those of the second before. */
int store_ledger_set_groups(struct store *s, const struct live_group *v, size_t n, ms_t now, struct err *e);
/* As of `since` or later: routes, providers, sites; the most troubled and busiest first. */
int store_live_groups(struct store *s, ms_t since, int (*row)(void *ctx, const struct live_group *g),
	void *ctx, struct err *e);

/* ---- What comes back: returned messages, complaints, requests to stop ---- */
/*
 * Any process records them at any time, beside whoever delivers. One call is one transaction: either the
 * message is kept with all that follows from it, or nothing is. The same event twice, from whatever sources,
 * counts once.
 */

enum returned_effect {
	RETURNED_NOTHING,   /* kept and counted; changes no one */
	RETURNED_FAILED,    /* the delivery failed after all, or failed once more */
	RETURNED_COMPLAINT, /* the person called it spam */
	RETURNED_STOP,      /* the person asks for no more */
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

/* Several calls as one transaction, for whoever has many messages at hand: one wait for the disk. Not longer
 * than 100 ms between the two, other writers wait. keep false: as if none of them had been made. */
int store_together(struct store *s, struct err *e);
int store_together_end(struct store *s, bool keep, struct err *e);

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

/* Every domain that addresses were ever of, by id. In slices. */
int store_domains(struct store *s, int (*row)(void *ctx, int64_t id, struct str name, struct str provider),
	void *ctx, struct err *e);
struct domain_count {
	int64_t domain, people; /* people is added to */
};
/* How many people are of these domains now; sorts `v` by domain. Reads all contacts. In slices. */
int store_domain_people(struct store *s, struct domain_count *v, size_t n, struct err *e);
struct domain_failure {
	int64_t domain, failures;
	ms_t last;
	struct str reason; /* the last one's: "domain-unknown" …; static */
};
/* Domains that took no mail at all since then: they are not there, or refuse it as a whole. By id; *out is
 * the caller's to free. At most 20,000 of them. In slices. */
int store_dead_domains(struct store *s, ms_t since, struct domain_failure **out, size_t *n, struct err *e);

/* ---- Copies ---- */
/*
 * A database is at home on one machine, at one path. One that was carried elsewhere, or copied while the
 * original is still there, is only read until somebody adopts it: two that send would mail people twice. One
 * that was moved on its machine goes on, and so does who sees the very file under another machine's name.
 */

struct copy_campaign { /* one that is not over */
	struct str name;
	enum campaign_state state;
	int64_t audience;
	int64_t unsent; /* queued, deferred or on the wire as this copy knows it: may have been sent since */
	int64_t doubt;
};
struct adopt {
	const char *how; /* for the history: "adopt", "restore" */
	ms_t as_of;      /* the copy shows things as they were then; 0: as its last holder or change says */
	ms_t now;
	bool detached;        /* surely nobody writes to this very file */
	struct str home_path; /* where it will lie; n == 0: where it lies */
	/* What is kept as the reason of the pause, told to whoever resumes it. */
	void (*say)(void *ctx, const struct copy_campaign *c, ms_t as_of, const char *host, struct buf *text);
	void *ctx;
};
struct adopted {
	char host[256]; /* where it was at home; "": never told */
	ms_t as_of;
	int64_t campaigns; /* paused */
};
/* Pauses every campaign that is not over (reason `restored`), makes this machine the database's home, and
 * numbers new people, lists and campaigns from beyond what the original may have given out meanwhile, so that
 * a token in mail which it sent names nobody here. ERR_AGAIN: a process elsewhere writes to it right now. */
int store_adopt(struct store *s, const struct adopt *a, struct adopted *done, struct err *e);
/* 1: for writing this database needs no adopting; 0: it is a copy. */
int store_is_home(struct store *s, struct err *e);
/* 1: it was adopted; what happened between the two times elsewhere is not known to it. 0: never. */
int store_adopted(struct store *s, ms_t *as_of, ms_t *at, struct err *e);

/* ---- Retention ---- */

struct prune {
	ms_t evidence_before, deliveries_before; /* 0: leave that */
	/* filled: */
	int64_t messages, replies, deliveries, campaigns;
};
/* Erases returned messages and the words of servers that are older, then deliveries of campaigns that ended
 * before; the sums of a campaign stay. In slices; goes on where an interrupted one ended. */
int store_prune(struct store *s, struct prune *p, struct err *e);

/* ---- Seeing it ---- */

struct campaign_counts {
	int64_t state[DELIVERY_NSTATES]; /* add up to the audience */
	int64_t attempts;
	int64_t doubted;    /* ever */
	int64_t fresh;      /* not yet attempted, and nothing keeps them back */
	int64_t parked;     /* not yet attempted, and wait for the end of their provider's pause */
	int64_t resend_due; /* in doubt and to be sent once more */
};
/* From running tallies: cost does not depend on the audience. `holder_alive` false shows standing intents as
 * doubt. */
int store_campaign_counts(
	struct store *s, int64_t campaign, bool holder_alive, struct campaign_counts *out, struct err *e);
int store_live(struct store *s, int64_t campaign, struct live *out, struct err *e);

struct provider_row {
	struct str provider;
	int64_t state[DELIVERY_NSTATES];
};
int store_report_providers(struct store *s, int64_t campaign, bool holder_alive,
	int (*row)(void *ctx, const struct provider_row *r), void *ctx, struct err *e);
struct reason_row {
	enum reply_class class;
	struct str reason, provider;
	int64_t deliveries;
	struct str example; /* a reply */
};
int store_report_reasons(struct store *s, int64_t campaign, int (*row)(void *ctx, const struct reason_row *r),
	void *ctx, struct err *e);
struct timeline_row {
	ms_t minute;
	int64_t sent, deferred, failed;
};
int store_report_timeline(struct store *s, int64_t campaign,
	int (*row)(void *ctx, const struct timeline_row *r), void *ctx, struct err *e);

struct delivery_row {
	int64_t id, campaign_id, contact;
	struct str campaign, address; /* address n == 0: forgotten */
	enum delivery_state state;
	int attempts;
	int code;
	struct str enhanced, reply, reason, provider, domain, site, route, relay_id;
	enum reply_class class;
	enum reply_scope scope;
	ms_t first_attempt, last_attempt, due;
	bool doubted;
};
/* Every delivery of a campaign with its last attempt, in id order. states 0: all. In slices. */
int store_deliveries(struct store *s, int64_t campaign, unsigned states, bool holder_alive,
	int (*row)(void *ctx, const struct delivery_row *d), void *ctx, struct err *e);
int store_delivery_get(
	struct store *s, int64_t delivery, bool holder_alive, struct delivery_row *out, struct err *e);
/* Everything sent to one contact, oldest first. */
int store_deliveries_of(struct store *s, int64_t contact, bool holder_alive,
	int (*row)(void *ctx, const struct delivery_row *d), void *ctx, struct err *e);

struct attempt_row {
	int64_t delivery;
	int n;
	ms_t at;
	enum outcome_kind kind;
	enum delivery_state state;
	int code;
	struct str enhanced, reply, reason, site, route, relay_id;
	enum reply_class class;
	enum reply_scope scope;
	struct str dialogue; /* what was said, if it failed; only by store_attempts() */
};
int store_attempts(struct store *s, int64_t delivery, int (*row)(void *ctx, const struct attempt_row *a),
	void *ctx, struct err *e);

struct failure_query {
	int64_t campaign;            /* 0: any */
	ms_t since, until;           /* until 0: open */
	int class;                   /* -1: any */
	struct str provider, reason; /* n == 0: any */
	bool nobodys;                /* also returned messages that could be attributed to no delivery */
	int64_t after;               /* resume the walk behind this id; 0: from the start */
};
struct failure_row {
	int64_t id;                   /* shown to people, given to --explain */
	struct delivery_row delivery; /* id 0: a returned message of nobody's */
	struct attempt_row attempt;   /* of a returned message: what it says, n 0 */
	bool returned;
	struct returned_row back; /* of a returned message */
};
/* Refusals and returned messages, oldest first. In slices. */
int store_failures(struct store *s, const struct failure_query *q,
	int (*row)(void *ctx, const struct failure_row *f), void *ctx, struct err *e);
int store_failure_get(struct store *s, int64_t id, struct failure_row *out, struct err *e);

/* ---- History ---- */

struct history_row {
	int64_t id;
	ms_t at;
	struct str actor, what, object, note;
};
int store_history_add(
	struct store *s, ms_t now, const char *what, struct str object, struct str note, struct err *e);
int store_history(struct store *s, ms_t since, int (*row)(void *ctx, const struct history_row *h), void *ctx,
	struct err *e);

/* ---- Self-check ---- */

enum self_severity { SELF_PASS, SELF_INFO, SELF_SKIP, SELF_WARN, SELF_FAIL, SELF_NSEVERITIES };
struct self_finding {
	const char *id; /* "ledger", "intents" … as in the manual */
	enum self_severity severity;
	struct str where; /* a campaign, a list; n == 0: the database */
	const char *text, *remedy;
};
struct self_check {
	int (*row)(void *ctx, const struct self_finding *f);
	/* Now and then; anything but 0 ends it with ERR_AGAIN. May be NULL. */
	int (*step)(void *ctx, const char *doing, int64_t done, int64_t of);
	void *ctx;
};
struct self_count {
	int64_t severity[SELF_NSEVERITIES];
};
/* Does what is kept more than once agree, does all that points somewhere point to something, is the file
 * sound, was nobody mailed after they had been suppressed? Reads only. In slices; what needs one long look is
 * skipped, and said to be, while somebody delivers. */
int store_check(struct store *s, const struct self_check *o, struct self_count *count, struct err *e);

#endif
