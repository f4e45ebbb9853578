/* Who a returned message is about, and how sure that is.
 *
 * A token of ours in the address that the message was sent to names the delivery: nobody else can make one,
 * and it does not matter what else the message says. On routes where the return path is not ours (fixed by
 * the configuration or by the relay), and for complaints and opt-outs, a token in a Message-ID, an
 * unsubscribe link or another header of the returned message does as well. Where the operator vouches for the
 * source, the relay's message id and the address count. Nothing else does. */
#ifndef ENGINE_BOUNCE_ATTRIBUTE_H
#define ENGINE_BOUNCE_ATTRIBUTE_H

#include "engine/bounce/reader.h"
#include "engine/token.h"
#include "src/config/config.h"
#include "src/db/store.h"

enum trust {
	TRUST_NONE,
	TRUST_RETURN_PATH, /* token in the address it was sent to */
	TRUST_UNSUBSCRIBE, /* unsubscribe token in the address it was sent to */
	TRUST_RETURNED,    /* token in what was returned or reported */
	TRUST_RELAY_ID,    /* vouched for: the address, and the relay's id of a message to it */
	TRUST_ADDRESS,     /* vouched for: the address alone */
	TRUST_N
};
extern const char *const trust_names[TRUST_N]; /* "", "return-path" …: kept with the evidence */

enum token_address { TOKEN_ADDRESS_NONE, TOKEN_ADDRESS_RETURN, TOKEN_ADDRESS_STOP };

struct attribution {
	enum trust trust;
	int64_t delivery; /* 0: only the person is known. May be one that is not there (any more) */
	int64_t contact;  /* 0: the delivery's */
	int64_t list;     /* of an unsubscribe token */
	const char
		*why_not; /* TRUST_NONE: what was found and did not count, for --explain; NULL: nothing was */
};

struct attribute_context {
	const struct config *config;
	struct token_signer *signer;
	struct store *store;
};

/* By the address alone, without the store. */
enum token_address attribute_address(
	struct token_signer *signer, struct str address, struct attribution *out);
/* The message's own token. `loose`: places other than the address it was sent to count whatever the route. */
int attribute_token(const struct attribute_context *c, const struct findings *f, bool loose,
	struct attribution *out, struct err *e);
/* A source that is vouched for names `address` (as found) and perhaps the relay's id. */
int attribute_vouched(const struct attribute_context *c, struct str address, struct str relay_id, ms_t since,
	struct attribution *out, struct err *e);

#endif
