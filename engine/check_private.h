/* What the parts of check share. */
#ifndef ENGINE_CHECK_PRIVATE_H
#define ENGINE_CHECK_PRIVATE_H

#include "engine/check.h"
#include "src/db/contacts.h"
#include "src/db/lists.h"

#include <pthread.h>

/* ---- check_table.c: findings of one thread, later of all ---- */

enum { CHECK_FINDINGS = 400 };

struct check_entry {
	const char *id;
	enum lint_severity severity;
	struct str place; /* one entry for each id and place */
	struct str where, text, remedy, first;
	int64_t recipients, read;
	int64_t number; /* of `first` in the audience */
};

struct check_table {
	struct check_entry v[CHECK_FINDINGS];
	size_t n;
	struct arena arena;
};

struct check_who {
	int64_t number;
	struct str address;
};

void check_table_init(struct check_table *t);
void check_table_release(struct check_table *t);
/* One more recipient, or with `read` one more of the messages read closely; who NULL: `e` says for how many.
 * Strings are copied. */
void check_add(struct check_table *t, const struct check_entry *e, const struct check_who *who, bool read);
void check_addf(struct check_table *t, const char *id, enum lint_severity severity, struct str where,
	const struct check_who *who, bool read, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 8, 9)));
void check_table_merge(struct check_table *into, const struct check_table *from);

/* ---- check_peek.c: into a composed message without parsing all of it ---- */

enum { PEEK_MAX = 2048 };
/* The first PEEK_MAX bytes or so of the decoded text part (else HTML); n == 0: none. `room` has PEEK_MAX
 * bytes. */
struct str peek_text(const struct composed *m, char *room);
/* Bytes of the decoded HTML part; 0: none. */
size_t peek_html_size(const struct composed *m);

/* ---- check_law.c ---- */

/* What a footer must hold where `law` of the configuration counts, looked for in one message. */
void check_law(struct check_table *t, const struct config *cfg, const struct letter *l, struct arena *a,
	const struct check_who *who);

/* ---- check_letter.c: one thread's eyes ---- */

enum { CHECK_READ = 200, CHECK_PATTERNS = 64 };

struct check_shared { /* by all threads */
	const struct launch *l;
	const struct check_options *o;
	size_t nslots;
	int64_t size_limit;
	bool size_known;
	ms_t now;
	/* One signature shows whether the keys work, and how large they are: it takes far longer than a
	 * message does. */
	pthread_mutex_t lock;
	enum { UNSIGNED, SIGNED, CANNOT_SIGN } signing;
	int64_t signatures;
	struct err sign_error;
};

struct check_reader {
	struct check_shared *s;
	struct token_signer *signer;
	struct arena arena, close; /* of a message; of one that is read closely */
	struct check_table table;
	struct lint *lint;
	int64_t *have; /* for each of the message's names */
	uint64_t patterns[CHECK_PATTERNS];
	size_t npatterns;
	int64_t checked, failed, skipped, bytes, read;
	int64_t first_failed; /* its number; -1: none */
	struct err first;
	char address[320];
};

int check_reader_init(struct check_reader *r, struct check_shared *s, struct err *e);
void check_reader_release(struct check_reader *r);
/* number: in the audience, from 0. */
void check_letter(
	struct check_reader *r, const struct contact_row *c, const struct list_row *list, int64_t number);

/* ---- check_setup.c: before and after the messages ---- */

void check_setup(struct check_table *t, const struct launch *l);
struct check_values { /* for each of the message's names: how many have a value */
	int64_t *have;
	int64_t checked;
};
int check_names(struct check_table *t, const struct launch *l, const struct check_values *v, struct err *e);
/* The least limit of the routes for one message, in bytes; *known false: a guess that most servers keep to.
 */
int64_t check_size_limit(const struct route_plan *p, bool *known);

#endif
