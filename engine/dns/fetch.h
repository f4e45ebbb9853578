/* MTA-STS policies by HTTPS (RFC 8461 3.3), by libcurl: certificate verified, no redirects, bounded in size
 * and time. The addresses are given: nothing is looked up here. One thread owns it. */
#ifndef ENGINE_DNS_FETCH_H
#define ENGINE_DNS_FETCH_H

#include "engine/dns/lookup.h"

struct fetcher;

int fetcher_new(struct fetcher **f, const char *ca_file, struct err *e);
void fetcher_free(struct fetcher **f);
/* Waits until there is something to do here or at one of these descriptors (-1: none), somebody calls
 * fetcher_wake(), or `most` has passed. */
void fetcher_wait(struct fetcher *f, int fd, int other_fd, ms_t most);
void fetcher_wake(struct fetcher *f);    /* from any thread */
void fetcher_process(struct fetcher *f); /* calls policy_fetched() */
int fetcher_start(struct fetcher *f, struct policy_fetch *p, const char *host,
	const struct sockaddr_storage *addrs, size_t n);
void fetcher_cancel(struct fetcher *f, struct policy_fetch *p);

#endif
