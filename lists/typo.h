/* Domains that look like a well-known one mistyped: gmial.com, yahoo.co.j, hotmial.com. Pure. */
#ifndef LISTS_TYPO_H
#define LISTS_TYPO_H

#include "src/base/str.h"

/* The domain that was probably meant (A-labels, lower case), one edit away; NULL: none. Says nothing of
 * domains that are well known themselves. */
const char *typo_of_domain(struct str domain);

#endif
