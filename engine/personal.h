/* From a claim to the letter that goes out: the campaign's compiled message, the contact's attributes, and
 * the tokens that let what comes back be understood. Immutable once made and shared by threads; composing
 * allocates from the caller's arena alone. */
#ifndef ENGINE_PERSONAL_H
#define ENGINE_PERSONAL_H

#include "engine/dkim/sign.h"
#include "engine/token.h"
#include "src/config/config.h"
#include "src/db/ledger.h"
#include "templates/message.h"

struct personal;

struct personal_options {
	const struct config *config; /* lent for the life of the personal */
	const char *campaign;        /* its name */
	int64_t campaign_id;         /* 0: not launched (preview, check, test): tokens change nothing */
	const char *subject_prefix;  /* NULL: none */
};

/* Takes the message over (also when it fails). */
int personal_new(struct personal **out, struct message **m, const struct personal_options *o, struct store *s,
	struct err *e);
void personal_free(struct personal **p);
const struct message *personal_message(const struct personal *p);
/* Which of the message's names (message_slot) an attribute is; -1: none. */
int personal_slot(const struct personal *p, uint32_t attr);
/* Compiles a campaign's frozen content; not `launched`: to look at it, tokens change nothing. */
int personal_load(struct personal **out, const struct campaign_row *c, bool launched,
	const struct config *cfg, struct store *s, struct err *e);

struct letter {
	struct str from, rcpt; /* envelope: return path and recipient */
	struct str envid;      /* of the delivery, for reports (RFC 3461): the Message-ID's local part */
	struct composed mail;
};
int personal_compose(const struct personal *p, struct token_signer *t, const struct claim *c, bool want_parts,
	struct arena *a, struct letter *out, struct err *e);

/* The same with values by name instead of the claim's attributes: sample data for previews and tests. */
int personal_compose_named(const struct personal *p, struct token_signer *t, const struct claim *c,
	struct str (*value)(void *ctx, struct str name), void *ctx, bool want_parts, struct arena *a,
	struct letter *out, struct err *e);
/* Makes a composed letter ready for `route` (NULL: not known): the envelope sender, where the route has a
 * fixed one, and DKIM signatures in front, by the keys of its From's domain, without the fields that the
 * relay writes anew. Where there are no keys, or nothing is to be sent, it stays as it is. t= is the first
 * attempt's time, so that a retry has the same bytes. */
int letter_sign(struct letter *l, struct dkim_signer *s, ms_t first_attempt, const struct config_route *route,
	struct arena *a, struct err *e);

/* Without <>; n == 0: out of memory. */
struct str personal_message_id(
	const struct personal *p, struct token_signer *t, int64_t delivery, struct arena *a);

/* Fails with ERR_CONFIG, and what to set, where nobody could unsubscribe. */
int personal_check_config(const struct config *cfg, struct err *e);
bool personal_has_return_path(const struct config *cfg);
/* Which key still names a domain of examples (RFC 2606), as `init` wrote it, in mail that is from a real one:
 * nothing that goes there arrives. NULL: none. `from`: the sender's domain. */
const char *personal_example_left(const struct config *cfg, struct str from);

#endif
