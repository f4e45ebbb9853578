/* What the files of the book share: its entries (book.c), its thread (book_thread.c), the MTA-STS policies it
 * knows (policies.c). */
#ifndef ENGINE_DNS_BOOK_H
#define ENGINE_DNS_BOOK_H

#include "engine/dns/fetch.h"
#include "engine/dns/policies.h"
#include "engine/dns/resolver.h"

#include <pthread.h>

struct entry {
	struct entry *chain, *older, *newer;
	struct entry *next; /* in the line of those to be looked up */
	uint64_t hash;
	enum site_state state; /* PENDING: never answered */
	bool asked;            /* in the line, or being looked up: it must not go away */
	struct site *site;
	struct site_failure *failure;
	ms_t expires, refresh_at, no_fetch_until; /* monotonic */
	char domain[];
};

struct running { /* a lookup under way */
	struct running *older, *younger, *next_done;
	struct entry *entry;
	struct lookup *lookup;
	ms_t since;
	bool slow; /* is so for long */
};

enum { SHARED_MAX = 4096 }; /* a site that finds its place taken is only not shared */

enum probe { PROBE_NEEDED, PROBE_ASKED, PROBE_DONE };

struct sites {
	struct sites_options o;
	struct arena arena; /* what `o` points to */
	pthread_mutex_t lock;
	unsigned char hash_key[16];
	struct entry **buckets; /* from here to line_end: under the lock */
	size_t mask, count;
	struct entry *oldest, *newest;
	struct entry *line, **line_end;

	struct policies policies;
	struct fetcher *fetcher;
	pthread_t thread;
	_Atomic bool stop;

	/* The thread's own. */
	struct dns_ops ops;
	struct resolver *resolver, *plain; /* plain: only while it is found out what the resolver can do */
	struct running *running, *youngest,
		*brisk; /* the oldest, the last, the oldest that is not slow yet */
	struct running *done;
	ms_t look_at; /* when deadlines are looked at next */
	size_t nrunning, nslow;
	size_t answered;                 /* not told yet */
	struct site *shared[SHARED_MAX]; /* the last of each name, by its hash */
	enum probe probe;
	struct dns_query probe_query;
	ms_t probe_at;
};

/* ---- book.c ---- */
void book_answered(struct sites *b, struct running *r, ms_t now);
void book_unanswered(struct sites *b, struct entry *e); /* out of memory: it will be asked for again */
/* ---- book_thread.c ---- */
void book_run(struct sites *b);

#endif
