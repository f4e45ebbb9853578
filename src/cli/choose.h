/* Which person a preview or test is made for: a contact of the audience, or sample data from a file. */
#ifndef CLI_CHOOSE_H
#define CLI_CHOOSE_H

#include "engine/launch.h"
#include "src/cli/cli.h"
#include "src/db/audience.h"
#include "src/db/lists.h"

#include <jansson.h>

struct chosen {
	struct contact_row contact; /* strings in the arena; address n == 0 with sample data */
	struct list_row list;       /* id 0: none */
	json_t *sample;             /* attributes by name; NULL: the contact's */
	struct arena arena;
};

/* The contact with that address. */
int choose_contact(struct chosen *out, struct store *s, const char *address, struct err *e);
/* The N-th of an audience, from 1. */
int choose_nth(struct chosen *out, struct store *s, const struct audience *a, long long nth, struct err *e);
/* A JSON object: attribute names and values; "email" is the address. */
int choose_sample(struct chosen *out, const char *path, struct err *e);
void chosen_release(struct chosen *c);
/* The letter that the chosen one would get, signed. */
int chosen_compose(const struct chosen *c, const struct launch *l, struct token_signer *t, ms_t now,
	struct arena *a, struct letter *out, struct err *e);

#endif
