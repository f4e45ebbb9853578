/* What a returned message says: bytes in, findings out. No store, no clock, no network.
 *
 * A message that comes back is a report of failure, delay or success, a complaint, a request to stop, an
 * automatic answer, a challenge, a receipt, somebody's statistics, or none of these. The structured parts are
 * read first (RFC 3464, 5965, 8098), then the prose that mail systems write without any standard, up to where
 * the returned message begins. What the returned message itself says is never taken for the report.
 *
 * *Why* a recipient failed is decided by the same rules as SMTP replies (engine/outcome.h, stage `returned`).
 * *Who* it was is not decided here: `candidates` are texts in which a token may stand, for the caller to
 * verify, and the addresses are what the report claims. Everything in the findings comes from outside and is
 * hostile: it may hold any byte but NUL, in UTF-8 where the charset could be read.
 *
 * Memory for one message is bounded whatever it holds: READER_BYTES of it are looked at, READER_PARTS parts,
 * READER_FAILURES recipients. A reader belongs to one thread. */
#ifndef ENGINE_BOUNCE_READER_H
#define ENGINE_BOUNCE_READER_H

#include "engine/outcome.h"

#define READER_BYTES      (1 << 20)
#define READER_PARTS      64
#define READER_FAILURES   256
#define READER_CANDIDATES 64

enum mail_kind {
	MAIL_NONE,      /* ordinary mail, or not understood */
	MAIL_BOUNCE,    /* at least one recipient failed for good */
	MAIL_DELAYED,   /* still being tried */
	MAIL_DELIVERED, /* delivered, relayed or expanded */
	MAIL_COMPLAINT, /* a person called it spam */
	MAIL_OPTOUT,    /* a request to stop, by a mail program or a provider in a person's name */
	MAIL_AUTOREPLY, /* vacation, ticket systems, "address changed" */
	MAIL_CHALLENGE, /* asks the sender to confirm */
	MAIL_RECEIPT,   /* read, or deleted without being read (RFC 8098) */
	MAIL_REPORT,    /* DMARC, TLS and authentication reports, not-spam, notices of list programs */
	MAIL_NKINDS
};
extern const char *const mail_kind_names[MAIL_NKINDS]; /* as `receive --json` says them */

/* Of the transfer, where known: the recipient is the best place to find a token. */
struct envelope {
	struct str recipient; /* n == 0: unknown */
	struct str sender;    /* n == 0: null sender, if known */
	bool sender_known;
};

/* Where something was found, for `--explain`. */
struct evidence {
	const char *source; /* "delivery-status", "x-failed-recipients", "text", "returned message", "subject"
			       … */
	int part;           /* 0: the message's own header; 1 …: its leaf parts in order */
	long line;          /* of the message, 1-based; 0: unknown */
};

enum report_action {
	REPORT_UNSTATED,
	REPORT_FAILED,
	REPORT_DELAYED,
	REPORT_DELIVERED,
	REPORT_RELAYED,
	REPORT_EXPANDED
};

struct failure {
	struct str address; /* that was written to, as far as the report says; n == 0: it names nobody */
	struct str other;   /* that the report gives for the same person: forwarded or expanded to or from */
	enum report_action action;
	int code;              /* the SMTP reply, 200 to 599; 0: none stated */
	struct str enhanced;   /* "5.1.1": of the reply if it has one, else of the report; n == 0: none */
	struct str diagnostic; /* one line, blanks folded */
	struct str host;       /* that answered */
	struct str command; /* that it answered, as in smtp_stage_names: "rcpt", "end" …; n == 0: unknown */
	struct verdict verdict; /* class, scope, reason, rule; of no meaning for what was delivered */
	struct evidence who, why;
};

enum candidate_place {
	CANDIDATE_RETURN_PATH, /* where it was sent to: envelope, Delivered-To, X-Original-To, Envelope-To,
				  Received, To */
	CANDIDATE_REPORT,      /* fields of the report: Original-Envelope-Id, Original-Mail-From … */
	CANDIDATE_RETURNED, /* headers of the returned message: Return-Path, Message-ID, List-Unsubscribe … */
	CANDIDATE_REFERENCE, /* In-Reply-To and References of the message itself */
	CANDIDATE_TEXT,      /* Message-IDs and return paths quoted in prose */
};

struct candidate {
	enum candidate_place place;
	struct str name; /* of the header or field, as written; n == 0: none */
	struct str text; /* its value, unfolded: look for tokens in it */
};

/* Of a feedback report (RFC 5965, 6591) or a form that stands for one. */
struct feedback {
	struct str type; /* "abuse", "opt-out", "not-spam", "auth-failure", "fraud" … in lower case; n == 0:
			    none */
	struct str user_agent, source_ip, arrival, mail_from, reported_domain, auth_failure;
};

struct findings {
	enum mail_kind kind;
	struct evidence because; /* of the kind */
	/* Bounce (with those that are still being tried, see action), delayed, delivered; complaint, optout:
	 * the people concerned. */
	struct failure *failures;
	size_t nfailures;
	size_t nthrough; /* of a bounce or delay: recipients that were delivered, relayed or expanded, who
			    are not among the failures */
	struct candidate *candidates; /* the more trusted ones first */
	size_t ncandidates;
	struct feedback feedback;
	struct str message_id;  /* of the returned message, without <> */
	struct str return_path; /* of the returned message */
	struct str to;          /* of the returned message, one address */
	struct str relay_id;    /* the queue id that the reporting system quotes */
	struct str reporting_host;
	struct str from;    /* who reports: the address in From */
	struct str subject; /* decoded */
	bool broken;        /* the MIME structure could not be followed: read by lines */
	bool cut;           /* longer than READER_BYTES */
};

struct reader;

/* The rules are borrowed. NULL: out of memory. */
struct reader *reader_new(const struct rules *rules);
void reader_free(struct reader **r);

/* Reads one message (any line ends; a "From " line in front is passed over). env may be NULL. The findings
 * point into the reader and the message and live until the next call. What was made to need more memory than
 * any report does is `none`, `broken` and `cut`. -1: out of memory. */
int reader_read(struct reader *r, struct str message, const struct envelope *env, struct findings *out);

#endif
