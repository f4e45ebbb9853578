/* What IMAP and POP3 share: a session over libcurl, and what a message leads to. */
#ifndef SERVE_FETCH_PRIVATE_H
#define SERVE_FETCH_PRIVATE_H

#include "src/base/buf.h"
#include "src/serve/fetch.h"

#include <curl/curl.h>

#define MAILBOX_LISTING ((size_t)64 << 20) /* of POP3: a line for each message */

struct session {
	const struct fetch_options *o;
	CURL *curl;
	struct buf password, body;
	size_t most;      /* bytes kept of an answer */
	bool refused;     /* what was asked last: by the server, in POP3's words */
	char base[512];   /* the URL without folder, ending in / */
	char folder[400]; /* of the URL; INBOX */
	char said[200];   /* the server's last line, where it is a refusal */
	char why[CURL_ERROR_SIZE];
	struct fetch_count *n;
};

/* Asks for base + path, with a command of our own if that is not NULL; the answer is in s->body, cut to
 * s->most. answer false: a command that only succeeds or fails. */
int session_ask(struct session *s, const char *path, const char *command, bool answer, struct err *e);
/* Reads the message in s->body and acts. *matched: it is about a delivery of ours. */
int session_message(struct session *s, const char *id, bool *matched, struct err *e);
/* Under which the store keeps what of the mailbox was read. */
void session_place_name(const struct session *s, char *out, size_t n);
bool session_stopped(const struct session *s);

/* A folder's name as IMAP writes it (RFC 3501 5.1.3); one that is ASCII may be so already, and stays. */
bool folder_name(const char *utf8, char *out, size_t n);

int fetch_imap(struct session *s, struct err *e);
int fetch_pop3(struct session *s, struct err *e);

#endif
