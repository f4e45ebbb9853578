/* What the commands about people share: an address from the command line, and JSON of what is known. */
#ifndef CLI_PEOPLE_H
#define CLI_PEOPLE_H

#include "lists/address.h"
#include "src/db/contacts.h"
#include "src/db/suppress.h"

#include <jansson.h>

/* ERR_USAGE says what is wrong with it. */
int people_address(const char *text, struct arena *a, struct address *out, struct err *e);
/* ERR_NOINPUT: nobody has it. Strings lent until the store's next call. */
int people_contact(struct store *s, const struct address *address, struct contact_row *out, struct err *e);

json_t *people_attrs_json(struct store *s, struct str attrs);
json_t *people_suppression_json(const struct suppression *sup); /* docs/INTERFACE.md */
/* "for all mail since 2026-…: complaint (evidence)" */
void people_suppression_text(struct buf *out, const struct suppression *sup, const struct zone *z);
/* Says on standard error that nobody has the address: a mistyped one otherwise looks like a done thing. */
void people_warn_unknown(struct store *s, const struct address *address, const char *but);
/* Index in suppress_reason_names; -1 with ERR_USAGE. */
int people_reason(const char *option, const char *word, struct err *e);
/* ERR_NOINPUT: no provider has that name. A typo must not choose nothing. */
int people_provider(const char *name, struct err *e);

#endif
