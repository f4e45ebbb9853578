/* What was said on a connection, kept for the attempts that fail: commands without secrets and without the
 * message, replies, and when, from the start of the connection. Bounded: what is beyond the bounds is left
 * out and said to be. The bytes are as they came, one line for each; who shows them makes them safe. */
#ifndef ENGINE_SMTP_DIALOGUE_H
#define ENGINE_SMTP_DIALOGUE_H

#include "engine/smtp/reply.h"
#include "src/base/clock.h"

/* The parts: the session (greeting to login, QUIT), and behind it each of the messages that can be under way.
 */
enum { DIALOGUE_SESSION };

struct smtp_dialogue {
	ms_t start;
	int nparts;
	struct buf *part;
};

/* False: out of memory. */
bool smtp_dialogue_init(struct smtp_dialogue *d, int messages);
void smtp_dialogue_release(struct smtp_dialogue *d);
void smtp_dialogue_begin(struct smtp_dialogue *d, int part); /* a new message has that place */
/* A line as it went out, with or without its CRLF; '>' is put before it. */
void smtp_dialogue_command(struct smtp_dialogue *d, int part, struct str line, ms_t now);
void smtp_dialogue_reply(struct smtp_dialogue *d, int part, const struct smtp_reply *r, ms_t now);
/* In the place of the message itself. */
void smtp_dialogue_message(struct smtp_dialogue *d, int part, size_t bytes, ms_t now);
/* Neither: "connected to 192.0.2.1 port 25", "timeout: …". */
void smtp_dialogue_note(struct smtp_dialogue *d, int part, struct str text, ms_t now);
/* The session, and behind it that part (DIALOGUE_SESSION: nothing more). */
void smtp_dialogue_get(const struct smtp_dialogue *d, int part, struct buf *out);

#endif
