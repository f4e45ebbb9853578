/* The servers of test_hostile_server.c: orderly, but for one fault at one stage. */
#ifndef TESTS_FLOW_HOSTILE_H
#define TESTS_FLOW_HOSTILE_H

#include "engine/smtp/client.h"

#define MESSAGES 5 /* their numbers have one digit */

enum stage {
	S_GREETING,
	S_EHLO,
	S_STARTTLS,
	S_EHLO_TLS, /* the one behind TLS */
	S_AUTH,     /* each line of the login */
	S_MAIL,
	S_RCPT,
	S_DATA,
	S_END, /* or BDAT */
	S_RSET,
	S_QUIT,
	NSTAGES
};
extern const char *const hostile_stages[NSTAGES];

#define ANY_STAGE ((1u << NSTAGES) - 1)
#define HELLO     (1u << S_EHLO | 1u << S_EHLO_TLS)

enum {
	FATAL = 1,   /* the client closes at once when it has all of it */
	SHIFTS = 2,  /* a reply too many or too few: found out later, as what follows does not fit */
	UNREAD = 4,  /* the server reads nothing more */
	HANGS_UP = 8 /* after what it says */
};
enum special {
	PLAIN_FAULT,
	TWICE,       /* the right reply twice in a packet */
	TWICE_APART, /* the second one when the next commands have come */
	THEN,        /* the right reply, and `says` behind it */
	THEN_APART,
	EARLY, /* this one and the next one's reply, which then does not come */
	MISSING,
	DRIP,  /* a byte a minute */
	LINES, /* 200 lines of one reply */
	LONG_LINE,
	ENDLESS_LINE,
	HUGE_REPLY,
	BLOCKED,      /* it takes no more bytes */
	NO_HANDSHAKE, /* TLS is never set up: closed, or silent */
	EVERYTHING,   /* `says`, and so from now on */
	OFFERS        /* EHLO's answer is `says` */
};

struct fault {
	const char *name;
	const char *says; /* in place of the reply; NULL: nothing */
	size_t n;         /* of `says`; 0: as strlen() */
	unsigned flags;
	enum special special;
	unsigned stages; /* at which it is tried */
};
extern const struct fault hostile_faults[];
extern const size_t hostile_nfaults;
extern int hostile_played, hostile_hits;

enum { NFLOWS = 4, NSECURITIES = 9 };

struct world {
	const struct fault *fault;
	enum stage stage;
	int nth; /* which time that stage is reached */
	char mode[80];
	bool bytewise;
	struct smtp_client *c;
	struct smtp_options o;
	struct smtp_message messages[MESSAGES];
	char text[MESSAGES][3][64];
	int given, results, accepted;
	bool closed, clean, out_of_step, in_tls, tls_wanted, tls_ready;
	ms_t began, now, drip;
	struct buf stream; /* all that the client wrote */
	size_t stream_at_end;
	/* The server. */
	size_t server_read;
	struct buf said, packet, later;
	bool said_code[1000], own_words;
	bool hit, deaf, deaf_wire, hung_up, must_close, everything, in_body;
	int skip_replies, reached[NSTAGES], sender;
	size_t chunk_left;
	bool rcpt_ok, transaction;
	bool took[MESSAGES];
};

void hostile_mode(struct world *w, int flow, int security);
void hostile_server_opens(struct world *w); /* the greeting */
bool hostile_server_turn(
	struct world *w); /* reads and answers all that is there; whether there was anything */
ms_t hostile_patience(const struct world *w); /* how long the session may take in all */

#endif
