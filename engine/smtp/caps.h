/* What a server offers in its EHLO reply (RFC 5321 4.1.1.1). Unknown keywords are passed over, malformed
 * values count as not said. */
#ifndef ENGINE_SMTP_CAPS_H
#define ENGINE_SMTP_CAPS_H

#include "src/base/str.h"

#include <stdint.h>

struct smtp_caps {
	bool pipelining, chunking, starttls, smtputf8, dsn, eightbit, enhanced, requiretls;
	/* auth: offered, with whatever mechanisms */
	bool auth, auth_plain, auth_login, auth_xoauth2, auth_oauthbearer;
	bool size_offered;                       /* MAIL may carry SIZE= (RFC 1870) */
	uint64_t size;                           /* 0: no limit known */
	int mail_max, rcpt_max, rcpt_domain_max; /* LIMITS, RFC 9422; 0: not said */
};

/* One line of the reply, without its code. */
void smtp_caps_line(struct smtp_caps *caps, struct str line);

#endif
