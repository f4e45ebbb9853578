/* The mailboxes of From, Reply-To and To (RFC 5322 3.4, 6531, 6532): one address each, with a display name.
 *
 * Strict: no groups, no comments, no source routes, no domain literals. Domains become A-labels (IDNA 2008).
 * A local part that is not ASCII is kept; then the message needs SMTPUTF8. */
#ifndef TEMPLATES_MIME_ADDRESS_H
#define TEMPLATES_MIME_ADDRESS_H

#include "src/base/err.h"
#include "templates/mime_word.h"

struct mailbox {
	struct str name;    /* decoded display name, clean; n == 0: none */
	struct str address; /* local@domain as it goes to the wire; the local part quoted where it must be */
	struct str domain;  /* of address: A-labels, lower case */
	bool utf8;          /* the local part is not ASCII */
};

/* Reads `a@b`, `<a@b>`, `Name <a@b>` or `"Name" <a@b>`. Strings are in the arena or within `text`. ERR_DATA:
 * `why` says what is wrong. */
int mailbox_parse(struct str text, struct arena *a, struct mailbox *out, struct err *e);
/* The address alone. */
int mailbox_address(struct str text, struct arena *a, struct mailbox *out, struct err *e);
/* Takes `Name <a@b>` apart without reading the address: for templates. name.n == 0: there is none. */
int mailbox_split(struct str text, struct arena *a, struct str *name, struct str *address, struct err *e);
/* A domain name, as A-labels in lower case. */
int mailbox_domain(struct str text, struct arena *a, struct str *out, struct err *e);
/* "Name: display name <address>" with its line end. */
void mailbox_write(struct header *h, const char *header, const struct mailbox *m);

#endif
