/* What the parts of the SMTP server share: server.c (bytes, lines, replies, life), server_command.c,
 * server_text.c. */
#ifndef ENGINE_SMTP_SERVER_PRIVATE_H
#define ENGINE_SMTP_SERVER_PRIVATE_H

#include "engine/smtp/server.h"
#include "src/base/buf.h"

#define HELO_MAX 255

enum mode {
	MODE_COMMAND,
	MODE_AUTH_PLAIN,
	MODE_AUTH_USER,
	MODE_AUTH_PASSWORD,
	MODE_DATA,
	MODE_BDAT,
	MODE_TLS,
	MODE_CLOSING
};

/* Where we are in the text of DATA. A line of one dot ends it; any other first dot is taken off. */
enum text_state { TEXT_START, TEXT_DOT, TEXT_DOT_CR, TEXT_LINE, TEXT_CR };

/* Which answer is awaited after SMTP_LATER. */
enum waiting { WAIT_NONE, WAIT_HELO, WAIT_AUTH, WAIT_MAIL, WAIT_RCPT, WAIT_BEGIN, WAIT_BDAT, WAIT_MESSAGE };

struct smtp_server {
	const struct smtp_server_options *o;
	const struct smtp_server_ops *ops;
	void *ctx;
	struct smtp_server_limits limits;
	struct buf line, out;
	enum mode mode;
	enum waiting waiting;
	bool refused; /* the greeting was no 220 */
	bool greeted, extended, tls, authenticated;
	bool overlong;    /* the line is too long; the rest of it is passed over */
	bool cr;          /* the last byte of the line was CR */
	bool mail;        /* a transaction is open */
	bool failed_bdat; /* what follows until RSET is swallowed */
	int bdat_code;    /* and refused with this */
	unsigned rcpts;
	unsigned long messages, commands, errors;
	char helo[HELO_MAX + 1];
	char user[512];
	size_t user_len;
	/* the message */
	enum text_state text;
	uint64_t size, left; /* taken so far; left of a BDAT chunk */
	unsigned text_line;
	bool last, begun, unwanted, bare, long_line;
	int next_rcpt; /* LMTP: whose answer is next */
};

/* server.c. `refuse` counts as an error; `say` is what a callback answered. */
void server_reply(struct smtp_server *s, int code, const char *enhanced, const char *text);
void server_refuse(struct smtp_server *s, int code, const char *enhanced, const char *text);
void server_say(struct smtp_server *s, struct smtp_answer a);
void server_reset(struct smtp_server *s);

/* server_text.c. The *_input functions return how many bytes they took. */
void server_message_begin(struct smtp_server *s);
void server_message_ask(struct smtp_server *s); /* the (next) answer to a complete message */
size_t server_text_input(struct smtp_server *s, const char *p, size_t n);
size_t server_bdat_input(struct smtp_server *s, const char *p, size_t n);
void server_bdat_begun(struct smtp_server *s, struct smtp_answer a);
void server_bdat(struct smtp_server *s, struct str arg);

/* server_command.c. The *_answered functions go on after a callback, at once or after SMTP_LATER. */
void server_command_line(struct smtp_server *s, struct str line);
void server_auth_line(struct smtp_server *s, struct str line);
void server_helo_answered(struct smtp_server *s, struct smtp_answer a);
void server_auth_answered(struct smtp_server *s, struct smtp_answer a);
void server_mail_answered(struct smtp_server *s, struct smtp_answer a);
void server_rcpt_answered(struct smtp_server *s, struct smtp_answer a);
void server_data_answered(struct smtp_server *s, struct smtp_answer a);

#endif
