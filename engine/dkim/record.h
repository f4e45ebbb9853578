/* The DNS record of a key (RFC 6376 3.6, 8463 4): written from the private key, and what was found in the DNS
 * read against it. No I/O. */
#ifndef ENGINE_DKIM_RECORD_H
#define ENGINE_DKIM_RECORD_H

#include "engine/dkim/key.h"

/* "v=DKIM1; k=rsa; p=…", one line. */
int dkim_record_text(const struct dkim_key *k, struct buf *out, struct err *e);
/* `name. IN TXT ( "…" "…" )` for a zone file, in strings of at most 255 octets (RFC 1035 3.3); `name` without
 * its last dot. */
void dkim_record_zone(const char *name, struct str text, struct buf *out);

enum dkim_severity { DKIM_PASS, DKIM_INFO, DKIM_WARN, DKIM_FAIL };
extern const char *const dkim_severity_names[]; /* as in docs/INTERFACE.md */

struct dkim_finding {
	const char *id; /* "dkim-record" … */
	enum dkim_severity severity;
	char text[300], remedy[300]; /* remedy "": none is needed */
};

/* Judges the TXT records found at a selector's name, each with its strings joined. Gives at least one
 * finding; returns the worst severity. The texts hold bytes of the records as they came: for a terminal they
 * must be made harmless. */
enum dkim_severity dkim_record_check(const struct dkim_key *k, const struct str *records, size_t n,
	void (*found)(void *ctx, const struct dkim_finding *f), void *ctx);

#endif
