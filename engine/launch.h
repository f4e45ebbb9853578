/* From a message file and an audience to a campaign: what must be known before the first message goes out. */
#ifndef ENGINE_LAUNCH_H
#define ENGINE_LAUNCH_H

#include "engine/personal.h"
#include "engine/route_choice.h"
#include "lists/segment.h"
#include "src/db/ledger.h"
#include "src/db/lists.h"

#define LAUNCH_HASH 65 /* hex SHA-256 with its NUL */

struct launch { /* a message that was read, and who it is for */
	const struct config *config;
	struct store *store;
	struct personal *personal; /* its tokens change nothing */
	struct dkim_keys *dkim_keys;
	struct dkim_signer *dkim;
	struct route_plan plan;           /* how it would leave; n == 0: not known */
	const struct config_route *route; /* the first of them, for previews; NULL: not known */
	char *path;
	char hash[LAUNCH_HASH]; /* of every part of the message */
	struct arena arena;
	struct str audience_text;
	struct audience audience;
	struct str name;          /* of the message file, without folder and ending */
	struct str subject, from; /* as written */
};

/* Reads and compiles the message. `prefix` goes before the subject; NULL: none. */
int launch_open(struct launch *l, const char *path, const char *prefix, const struct config *cfg,
	struct store *s, struct err *e);
/* The same of a campaign's frozen content, to look at it. `row`: its strings are copied. */
int launch_open_campaign(struct launch *l, const struct campaign_row *row, const struct config *cfg,
	struct store *s, struct err *e);
void launch_close(struct launch *l);
int launch_audience(struct launch *l, const struct audience_spec *spec, struct err *e);

enum launch_known {
	LAUNCH_NEW,
	LAUNCH_SAME,      /* the name is there with the same content and audience: go on with that one */
	LAUNCH_DIFFERENT, /* the name is taken by something else */
};
int launch_known(struct launch *l, const char *name, enum launch_known *known, struct campaign_row *row,
	struct err *e);

/* Who of the audience had the same content since `since`, from another campaign; *n 0: nobody. Its name goes
 * to `name`. */
int launch_repeats(struct launch *l, const char *name, ms_t since, int64_t *n, char *other, size_t other_n,
	struct err *e);

struct launch_options {
	const char *name;
	const struct route_plan *plan;
	double rate;
	int64_t canary;
	ms_t start_at, until, now;
};
int launch_campaign(struct launch *l, const struct launch_options *o, int64_t *id, struct err *e);

/* A contact as a claim, for previews, checks and tests: no delivery, tokens change nothing. `list` may be
 * NULL. */
void claim_of_contact(struct claim *out, const struct contact_row *c, const struct list_row *list, ms_t now);

/* Fills plan and route: those named (--route; NULL: as the configuration says for the message's sender).
 * ERR_NOINPUT, ERR_CONFIG. */
int launch_plan(struct launch *l, const char *names, struct err *e);

#endif
