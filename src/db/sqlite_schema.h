/* The tables. step[v] brings a database from version v to v + 1; a new one is made by all of them. */
#ifndef DB_SQLITE_SCHEMA_H
#define DB_SQLITE_SCHEMA_H

#include "src/db/sqlite.h"

static const char *const schema_steps[SCHEMA_VERSION] = {
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE attr(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
	"CREATE TABLE name(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"
	"CREATE TABLE domain(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, provider INTEGER NOT NULL);"

	/* A deleted list keeps its row: suppressions of its scope find it again when it is made anew. */
	"CREATE TABLE list(id INTEGER PRIMARY KEY, name TEXT NOT NULL, title TEXT NOT NULL DEFAULT '',"
	" list_id TEXT NOT NULL DEFAULT '', members INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL,"
	" gone INTEGER NOT NULL DEFAULT 0);"
	"CREATE UNIQUE INDEX list_name ON list(name);"

	/* key NULL: the same as address. added, changed NULL: when the import that made the row was. */
	"CREATE TABLE contact(id INTEGER PRIMARY KEY, address TEXT NOT NULL, key TEXT, domain INTEGER NOT "
	"NULL,"
	" attrs BLOB, added INTEGER, changed INTEGER, removed INTEGER NOT NULL DEFAULT 0, born INTEGER NOT "
	"NULL DEFAULT 0);"
	"CREATE TABLE address(hash INTEGER NOT NULL, contact INTEGER NOT NULL, PRIMARY KEY(hash, contact)) "
	"WITHOUT ROWID;"
	/* joined, source, consent_at NULL: the import's. */
	"CREATE TABLE member(list INTEGER NOT NULL, contact INTEGER NOT NULL, born INTEGER NOT NULL DEFAULT "
	"0,"
	" joined INTEGER, source INTEGER, consent_at INTEGER, PRIMARY KEY(list, contact)) WITHOUT ROWID;"

	"CREATE TABLE suppression(hash INTEGER NOT NULL, list INTEGER NOT NULL, key TEXT NOT NULL, reason "
	"INTEGER NOT NULL,"
	" campaign INTEGER NOT NULL DEFAULT 0, evidence TEXT NOT NULL DEFAULT '', created INTEGER NOT NULL,"
	" held_until INTEGER NOT NULL DEFAULT 0, born INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(hash, list, "
	"key)) WITHOUT ROWID;"
	"CREATE TABLE forgotten(hash BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;"

	/* state: 0 rows being read, 1 visible and being finished, 2 done, 3 taken back. */
	"CREATE TABLE import(id INTEGER PRIMARY KEY, list INTEGER NOT NULL, file TEXT NOT NULL, source "
	"INTEGER NOT NULL,"
	" consent_at INTEGER NOT NULL, at INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, first INTEGER "
	"NOT NULL DEFAULT 0,"
	" members INTEGER NOT NULL DEFAULT 0, host TEXT NOT NULL, boot TEXT NOT NULL, pid INTEGER NOT NULL,"
	" pid_start INTEGER NOT NULL, heartbeat INTEGER NOT NULL);"
	"CREATE TABLE pending_import(id INTEGER PRIMARY KEY);"
	"CREATE TABLE import_change(contact INTEGER PRIMARY KEY, leaves INTEGER NOT NULL DEFAULT 0, attrs "
	"BLOB);"
	"CREATE TABLE import_suppression(hash INTEGER NOT NULL, list INTEGER NOT NULL, key TEXT NOT NULL,"
	" reason INTEGER NOT NULL, evidence TEXT NOT NULL, created INTEGER NOT NULL, PRIMARY KEY(hash, list, "
	"key)) WITHOUT ROWID;"

	/* rows: deliveries made; cursor: the last number handed out fresh; looked_at: the last contact seen
	 * while the audience is fixed. canary_open: only rows of the table canary are handed out fresh. */
	"CREATE TABLE campaign(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, state INTEGER NOT NULL,"
	" why TEXT NOT NULL DEFAULT '', why_text TEXT NOT NULL DEFAULT '', subject TEXT NOT NULL, sender "
	"TEXT NOT NULL,"
	" message_path TEXT NOT NULL, content_hash TEXT NOT NULL, audience TEXT NOT NULL, route TEXT NOT "
	"NULL,"
	" rate REAL NOT NULL, canary INTEGER NOT NULL, canary_open INTEGER NOT NULL, created INTEGER NOT "
	"NULL,"
	" start_at INTEGER NOT NULL, until INTEGER NOT NULL, started INTEGER NOT NULL DEFAULT 0,"
	" finished INTEGER NOT NULL DEFAULT 0, paused_ms INTEGER NOT NULL DEFAULT 0, paused_at INTEGER NOT "
	"NULL DEFAULT 0,"
	" selected INTEGER NOT NULL DEFAULT 0, suppressed INTEGER NOT NULL DEFAULT 0, unsubscribed INTEGER "
	"NOT NULL DEFAULT 0,"
	" excluded INTEGER NOT NULL DEFAULT 0, duplicate INTEGER NOT NULL DEFAULT 0, audience_n INTEGER NOT "
	"NULL DEFAULT 0,"
	" complaints INTEGER NOT NULL DEFAULT 0, unsubscribes INTEGER NOT NULL DEFAULT 0,"
	" rows INTEGER NOT NULL DEFAULT 0, cursor INTEGER NOT NULL DEFAULT 0, looked_at INTEGER NOT NULL "
	"DEFAULT 0,"
	" sample_below INTEGER);"
	"CREATE TABLE content(campaign INTEGER NOT NULL, n INTEGER NOT NULL, name TEXT NOT NULL, data BLOB "
	"NOT NULL,"
	" PRIMARY KEY(campaign, n));"
	"CREATE TABLE live(campaign INTEGER PRIMARY KEY, rate REAL NOT NULL, bound TEXT NOT NULL, "
	"next_attempt INTEGER NOT NULL,"
	" eta INTEGER NOT NULL, connections INTEGER NOT NULL, at INTEGER NOT NULL);"
	"CREATE TABLE canary(campaign INTEGER NOT NULL, n INTEGER NOT NULL, taken INTEGER NOT NULL DEFAULT 0,"
	" PRIMARY KEY(campaign, n)) WITHOUT ROWID;"

	/* first: when the first attempt was made; before it any time, so that the row need not grow. */
	"CREATE TABLE delivery(id INTEGER PRIMARY KEY, contact INTEGER NOT NULL, domain INTEGER NOT NULL, "
	"list INTEGER NOT NULL,"
	" state INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER, first INTEGER NOT NULL, doubted "
	"INTEGER NOT NULL,"
	" skip INTEGER);"
	"CREATE INDEX delivery_due ON delivery(id >> 32, due) WHERE due IS NOT NULL;"
	"CREATE TABLE intent(delivery INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, at INTEGER NOT NULL, "
	"route INTEGER NOT NULL);"
	/* Deliveries in doubt that wait for nothing, so that they are found without a walk. */
	"CREATE TABLE doubt(delivery INTEGER PRIMARY KEY);"
	"CREATE TABLE attempt(delivery INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, kind "
	"INTEGER NOT NULL,"
	" state INTEGER NOT NULL, code INTEGER NOT NULL, enhanced TEXT NOT NULL, class INTEGER NOT NULL, "
	"scope INTEGER NOT NULL,"
	" reason INTEGER NOT NULL, site INTEGER NOT NULL, route INTEGER NOT NULL, reply TEXT NOT NULL, "
	"relay_id TEXT NOT NULL,"
	" PRIMARY KEY(delivery, n)) WITHOUT ROWID;"
	"CREATE TABLE failure(id INTEGER PRIMARY KEY, delivery INTEGER NOT NULL, n INTEGER NOT NULL, at "
	"INTEGER NOT NULL,"
	" class INTEGER NOT NULL);"

	"CREATE TABLE tally(campaign INTEGER NOT NULL, provider INTEGER NOT NULL, slot INTEGER NOT NULL, n "
	"INTEGER NOT NULL,"
	" PRIMARY KEY(campaign, provider, slot)) WITHOUT ROWID;"
	"CREATE TABLE reason_tally(campaign INTEGER NOT NULL, provider INTEGER NOT NULL, class INTEGER NOT "
	"NULL,"
	" reason INTEGER NOT NULL, n INTEGER NOT NULL, example TEXT NOT NULL,"
	" PRIMARY KEY(campaign, provider, class, reason)) WITHOUT ROWID;"
	"CREATE TABLE timeline(campaign INTEGER NOT NULL, minute INTEGER NOT NULL, sent INTEGER NOT NULL,"
	" deferred INTEGER NOT NULL, failed INTEGER NOT NULL, PRIMARY KEY(campaign, minute)) WITHOUT ROWID;"
	"CREATE TABLE usage(route INTEGER NOT NULL, minute INTEGER NOT NULL, n INTEGER NOT NULL,"
	" PRIMARY KEY(route, minute)) WITHOUT ROWID;"

	"CREATE TABLE lease(id INTEGER PRIMARY KEY CHECK(id = 1), epoch INTEGER NOT NULL, held INTEGER NOT "
	"NULL,"
	" host TEXT NOT NULL, boot TEXT NOT NULL, pid INTEGER NOT NULL, pid_start INTEGER NOT NULL, since "
	"INTEGER NOT NULL,"
	" heartbeat INTEGER NOT NULL, what TEXT NOT NULL);"
	"CREATE TABLE history(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, what TEXT "
	"NOT NULL,"
	" object TEXT NOT NULL, note TEXT NOT NULL);"
	"CREATE INDEX history_at ON history(at);",

	/* What was said in attempts that failed; the oldest go (ledger_trim()). */
	"CREATE TABLE dialogue(id INTEGER PRIMARY KEY, delivery INTEGER NOT NULL, n INTEGER NOT NULL,"
	" text TEXT NOT NULL);"
	"CREATE INDEX dialogue_delivery ON dialogue(delivery, n);"
	/* What can be claimed of campaigns that go out by destination: never attempted (due 0), and due up to
	 * the campaign's ripe_until. lot 1: the canary's, while it is open. */
	"ALTER TABLE campaign ADD COLUMN spread INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE campaign ADD COLUMN ripe_until INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE waiting(campaign INTEGER NOT NULL, lot INTEGER NOT NULL, domain INTEGER NOT NULL, due "
	"INTEGER NOT NULL,"
	" n INTEGER NOT NULL, PRIMARY KEY(campaign, lot, domain, due, n)) WITHOUT ROWID;"
	/* touched: the last spread campaign that claimed of this domain. former_provider: under which one its
	 * deliveries of campaigns up to that number are counted. */
	"ALTER TABLE domain ADD COLUMN touched INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE former_provider(domain INTEGER NOT NULL, campaign INTEGER NOT NULL, provider INTEGER "
	"NOT "
	"NULL,"
	" PRIMARY KEY(domain, campaign)) WITHOUT ROWID;"
	/* What came back. Its id is that of its row in failure (n 0 there); contact 0: nobody's. */
	"ALTER TABLE delivery ADD COLUMN returned INTEGER;"
	"CREATE TABLE returned(id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL, delivery INTEGER NOT NULL, "
	"contact "
	"INTEGER NOT NULL,"
	" effect INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL, source INTEGER NOT NULL, "
	"trust "
	"INTEGER NOT NULL,"
	" class INTEGER NOT NULL, scope INTEGER NOT NULL, reason INTEGER NOT NULL, code INTEGER NOT NULL, "
	"enhanced "
	"TEXT NOT NULL,"
	" diagnostic TEXT NOT NULL, host TEXT NOT NULL, address TEXT NOT NULL, rule TEXT NOT NULL, list "
	"INTEGER NOT NULL);"
	"CREATE UNIQUE INDEX returned_fingerprint ON returned(fingerprint);"
	"CREATE INDEX returned_contact ON returned(contact, delivery);"
	"CREATE TABLE evidence(id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, data BLOB NOT NULL);"
	/* Came back before the outcome of the attempt was recorded. */
	"CREATE TABLE early(delivery INTEGER PRIMARY KEY, returned INTEGER NOT NULL);"
	/* Failures counted for a person, each kind once for a campaign. */
	"CREATE TABLE trouble(contact INTEGER PRIMARY KEY, hard INTEGER NOT NULL, hard_campaign INTEGER NOT "
	"NULL,"
	" soft INTEGER NOT NULL, soft_campaign INTEGER NOT NULL, soft_first INTEGER NOT NULL, soft_last "
	"INTEGER NOT "
	"NULL,"
	" soft_reason INTEGER NOT NULL, complaints INTEGER NOT NULL);"
	/* How far retention has gone: 1 its words are erased, 2 its deliveries. */
	"ALTER TABLE campaign ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;"
	/* MTA-STS policies of receiving domains; mx: its patterns, each ended by a line feed. */
	"CREATE TABLE sts_policy(domain TEXT PRIMARY KEY, id TEXT NOT NULL, mode INTEGER NOT NULL,"
	" fetched INTEGER NOT NULL, expires INTEGER NOT NULL, mx TEXT NOT NULL) WITHOUT ROWID;"
	/* Brakes: what they counted, since when, and providers whose mail waits. */
	"ALTER TABLE campaign ADD COLUMN armed INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE meter(campaign INTEGER NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL, PRIMARY "
	"KEY(campaign, name))"
	" WITHOUT ROWID;"
	"CREATE TABLE provider_pause(campaign INTEGER NOT NULL, provider INTEGER NOT NULL, why TEXT NOT NULL,"
	" text TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(campaign, provider)) WITHOUT ROWID;"
	/* Receivers whose word is not believed at once, and what was suppressed on it. */
	"CREATE TABLE holding(name TEXT PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT "
	"ROWID;"
	"CREATE INDEX suppression_held ON suppression(held_until) WHERE held_until <> 0;"
	/* What the holder shows of routes, providers and sites; written anew every second. */
	"CREATE TABLE live_group(n INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL, name "
	"TEXT NOT NULL,"
	" route TEXT NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL, bound TEXT NOT NULL, rate REAL NOT "
	"NULL, connections "
	"INTEGER NOT NULL,"
	" waiting INTEGER NOT NULL);"
	/* What a source address that is warming up carried, by local day. */
	"CREATE TABLE source_use(source TEXT NOT NULL, provider TEXT NOT NULL, day INTEGER NOT NULL, n "
	"INTEGER "
	"NOT NULL, PRIMARY KEY(source, provider, day)) WITHOUT ROWID;",
};

#endif
