/* MTA-STS (RFC 8461): the record that says a policy exists, the policy, and what it allows. Texts in, values
 * out. */
#ifndef ENGINE_DNS_STS_H
#define ENGINE_DNS_STS_H

#include "src/base/clock.h"
#include "src/base/str.h"

#define STS_ID      33          /* with its NUL */
#define STS_POLICY  (64 * 1024) /* no policy is larger */
#define STS_MX      8192        /* nor its names together */
#define STS_AGE_MAX (31557600 * (ms_t)SECOND)

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

struct sts_policy {
	char id[STS_ID]; /* of the record it was fetched for */
	enum sts_mode mode;
	ms_t fetched, max_age; /* wall clock; span */
	char mx[STS_MX];       /* patterns in lower case, each ended by a line feed */
};

/* 3.1: the one record among the TXT texts of _mta-sts.DOMAIN. False: none, or several. */
bool sts_record(const struct str *texts, size_t n, char id[STS_ID]);
/* 3.2. False: not a policy. Sets mode, max_age and mx. */
bool sts_policy_parse(struct str body, struct sts_policy *out);
/* 4.1: `host` in lower case. */
bool sts_allows(const struct sts_policy *p, const char *host);

#endif
