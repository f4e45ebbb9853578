/* Signing a composed message (RFC 6376, 8301, 8463): relaxed/relaxed over the exact bytes that go out, by
 * every key of the sender's domain, RSA-SHA256 and Ed25519-SHA256 at once where both are configured.
 *
 * d= is the domain of From where it has keys, else the nearest parent domain that has, so that it is always
 * aligned with From (RFC 7489 3.1.1). From, To, Subject, Date, Reply-To and Content-Type are named in h= once
 * more than they are there, and so is every List-* field, so that nobody can add another; there is no l=, and
 * t= comes from the caller: equal inputs give equal bytes.
 *
 * Keys are shared by threads; a signer belongs to one. */
#ifndef ENGINE_DKIM_SIGN_H
#define ENGINE_DKIM_SIGN_H

#include "engine/dkim/key.h"
#include "src/base/arena.h"
#include "src/base/clock.h"
#include "src/config/config.h"

struct dkim_keys;
struct dkim_signer;

/* Every [dkim …] of the configuration. *out is NULL where there is none. ERR_CONFIG: a key that cannot be
 * used, or two of one kind for one domain. */
int dkim_keys_load(const struct config *c, struct dkim_keys **out, struct err *e);
void dkim_keys_free(struct dkim_keys **k);
/* Is there a key for mail from that domain? */
bool dkim_keys_serve(const struct dkim_keys *k, struct str from_domain);

/* `k` may be NULL: then nothing is ever signed. NULL: out of memory. */
struct dkim_signer *dkim_signer_new(const struct dkim_keys *k);
void dkim_signer_free(struct dkim_signer **s);

struct dkim_message {
	/* As they go out. The header may end with its empty line; with a tail, which begins a line, the body
	 * ends with CRLF. */
	struct str header, body, tail;
	struct str from_domain; /* of From's address: A-labels */
	ms_t now;               /* t= */
	const char *rewritten;  /* "Date:Message-ID": fields that a relay writes anew, left out of h=; NULL:
				   none */
};

/* 1: *out is the header with its signatures in front, in the arena; 0: no key serves that domain, *out is the
 * header as it was; -1: failed (out of memory, or there is no From). */
int dkim_sign(
	struct dkim_signer *s, const struct dkim_message *m, struct arena *a, struct str *out, struct err *e);

#endif
