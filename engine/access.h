/* The access token of a route that logs in by OAuth (auth = xoauth2 or oauthbearer): got from its password
 * command (or file, or variable), kept until it expires or is refused, then got anew.
 *
 * What the command prints is the token in one line, or a token endpoint's answer as JSON: access_token, and
 * expires_in in seconds. It runs on a thread of its own, so that nobody waits for it; the token is in memory
 * only and never logged. Shared by threads. */
#ifndef ENGINE_ACCESS_H
#define ENGINE_ACCESS_H

#include "src/config/config.h"

struct access;

bool access_used(const struct config_route *r); /* does it log in by token? */
/* Runs the command once and waits for it. *lifetime 0: not said. ERR_CONFIG. */
int access_read(const struct secret *s, struct buf *token, ms_t *lifetime, struct err *e);

int access_new(struct access **a, const struct secret *s, struct err *e);
void access_free(struct access **a); /* waits for a command that runs */

enum access_state {
	ACCESS_READY,
	ACCESS_COMING, /* a command runs */
	ACCESS_FAILED, /* it could not be had; tried again at the next question after a pause */
};
/* From any thread, never waits. FAILED: why, for people, and how often in a row. */
enum access_state access_state(struct access *a, char *why, size_t n, int *failures);
/* As smtp_options.token. */
size_t access_token(void *access, char *out, size_t max);
/* Blocks until there is a token. */
int access_wait(struct access *a, struct err *e);
/* The server refused it: true where a new one is being got; false where this one was new already, so that the
 * account itself is refused. */
bool access_refused(struct access *a);
void access_accepted(struct access *a);

#endif
