/* `--where` expressions: text to a condition tree (src/db/filter.h).
 *
 *   city = "Kyoto" and (age >= 30 or [氏名] like "山%") and not $domain in ("example.com", "example.org")
 *
 * Operators = != < <= > >= in like is empty and or not (); names are attribute names, [any text], or $added
 * $source $domain $last_sent email. Errors (ERR_USAGE) name the column of the expression and show it; an
 * attribute that no contact has is one, with the nearest name. */
#ifndef LISTS_SEGMENT_H
#define LISTS_SEGMENT_H

#include "src/base/arena.h"
#include "src/db/campaign.h"
#include "src/db/lists.h"

int segment_parse(const char *text, struct store *s, const struct zone *z, struct arena *a,
	struct filter **out, struct err *e);

/* A list or campaign by its name; ERR_NOINPUT says the nearest one. Strings lent until the next call. */
int audience_list(struct store *s, const char *name, struct list_row *out, struct err *e);
int audience_campaign(struct store *s, const char *name, struct campaign_row *out, struct err *e);

/* AUD of docs/INTERFACE.md as the user gave it. */
struct audience_spec {
	const char **lists, **exclude, **of, **not_of;
	size_t nlists, nexclude, nof, nnot_of;
	const char *where;  /* NULL: none */
	const char *sample; /* "N" or "N%"; NULL: none */
};
/* Resolves names (unknown list or campaign: ERR_NOINPUT with the nearest one). Everything lives in the arena.
 */
int audience_resolve(const struct audience_spec *spec, struct store *s, const struct zone *z, uint64_t seed,
	struct arena *a, struct audience *out, struct err *e);
/* Canonical JSON of a spec: equal audiences have equal text. p NULL: out of memory, or what it names is not
 * UTF-8. And back. */
struct str audience_text(const struct audience_spec *spec, struct arena *a);
int audience_from_text(struct str text, struct arena *a, struct audience_spec *out, struct err *e);

#endif
