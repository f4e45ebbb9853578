/* Who operates mail for a domain: the one table of operators, by the domains they give addresses below and by
 * the hosts that take their mail. Names are those of engine/rules.conf and engine/shaping.conf: "google",
 * "microsoft" (Outlook.com and its kin), "m365" (Microsoft 365), "yahoo", "apple", "yahoo-jp", "docomo",
 * "au", "softbank" … "" is unknown. Pure, safe from any thread. */
#ifndef LISTS_PROVIDER_H
#define LISTS_PROVIDER_H

#include "src/base/str.h"

/* By a consumer domain (A-labels, lower case). For store_config.provider_of. */
const char *provider_of_domain(struct str domain);
/* By the MX hosts of a domain (lower case, without the last dot), whatever the domain. All of them must be of
 * one operator: a domain that keeps one host elsewhere is a site of its own. "" for n == 0. */
const char *provider_of_mx(const char *const *hosts, size_t n);
/* The n-th name that either can answer; NULL: there are no more. In no order, none twice. */
const char *provider_name(size_t n);
/* Is `host` that name, or below it? `suffix` may begin with a dot. */
bool provider_below(struct str host, struct str suffix);

#endif
