#include "lists/export.h"

#include "src/db/attrs.h"
#include "src/db/audience.h"
#include "src/db/lists.h"
#include "src/db/suppress.h"

#include <stdlib.h>

static const char *const own[] = {"pr_status", "pr_source", "pr_consent_at", "pr_joined", "pr_added"};
enum { OWN_STATUS, OWN_SOURCE, OWN_CONSENT, OWN_JOINED, OWN_ADDED, NOWN };

struct export_job {
	struct store *s;
	int64_t list;
	const struct export_ops *ops;
	void *ctx;
	struct err *e;
	unsigned char *used; /* by attribute id: somebody has it */
	size_t nused;
	uint32_t *ids; /* ascending */
	size_t nids;
	struct str *cells; /* address, attributes, own */
};

/* ---- Columns ---- */

static int no_memory(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "export", "out of memory");
}

static int note_attrs(void *ctx, const struct contact_row *c)
{
	struct export_job *j = ctx;
	for (struct attr_iter i = attrs_begin(c->attrs); attrs_next(&i);) {
		if (i.id >= j->nused) {
			size_t n = (size_t)i.id + 64;
			unsigned char *p = realloc(j->used, n);
			if (p == NULL)
				return no_memory(j->e);
			memset(p + j->nused, 0, n - j->nused);
			j->used = p;
			j->nused = n;
		}
		j->used[i.id] = 1;
	}
	return 0;
}

static int choose_columns(struct export_job *j)
{
	j->ids = calloc(j->nused + 1, sizeof *j->ids);
	j->cells = malloc((j->nused + 1 + NOWN) * sizeof *j->cells);
	if (j->ids == NULL || j->cells == NULL)
		return no_memory(j->e);
	for (size_t id = 1; id < j->nused; id++)
		if (j->used[id])
			j->ids[j->nids++] = (uint32_t)id;
	j->cells[0] = STR("email");
	for (size_t i = 0; i < j->nids; i++)
		j->cells[1 + i] = store_attr_name(j->s, j->ids[i]);
	for (size_t i = 0; i < NOWN; i++)
		j->cells[1 + j->nids + i] = str_from(own[i]);
	return j->ops->header(j->ctx, j->cells, 1 + j->nids + NOWN, j->e);
}

/* ---- Rows ---- */

/* The word that says most about a person, as a list's owner sees it. */
struct status {
	const char *word;
	int rank;
};

static int strongest(void *ctx, const struct suppression *sup)
{
	static const struct status all[SUPPRESS_NREASONS] = {
		[SUPPRESS_HARD_BOUNCE] = {"bounced", 2},
		[SUPPRESS_SOFT_BOUNCES] = {"bounced", 2},
		[SUPPRESS_COMPLAINT] = {"complained", 4},
		[SUPPRESS_UNSUBSCRIBE] = {"unsubscribed", 3},
		[SUPPRESS_MANUAL] = {"suppressed", 1},
		[SUPPRESS_IMPORT] = {"suppressed", 1},
		[SUPPRESS_FORGOTTEN] = {"suppressed", 1},
	};
	struct status *best = ctx;
	if (all[sup->reason].rank > best->rank)
		*best = all[sup->reason];
	return 0;
}

const char *export_status(struct store *s, struct str key, int64_t list, struct err *e)
{
	struct status best = {"subscribed", 0};
	if (store_suppressions_of(s, key, list, strongest, &best, e) < 0)
		return NULL;
	return best.word;
}

static struct str time_text(ms_t t, char out[CLOCK_TEXT])
{
	return t != 0 ? str_from(clock_utc(t, out)) : STR("");
}

static int put_row(void *ctx, const struct contact_row *c)
{
	struct export_job *j = ctx;
	char consent[CLOCK_TEXT], joined[CLOCK_TEXT], added[CLOCK_TEXT];
	struct str *mine = j->cells + 1 + j->nids;
	struct attr_iter at = attrs_begin(c->attrs);
	bool more = attrs_next(&at);
	const char *status = export_status(j->s, c->key, j->list, j->e);
	if (status == NULL)
		return -1;
	j->cells[0] = c->address;
	for (size_t i = 0; i < j->nids; i++) {
		while (more && at.id < j->ids[i])
			more = attrs_next(&at);
		j->cells[1 + i] = more && at.id == j->ids[i] ? at.value : STR("");
	}
	mine[OWN_STATUS] = str_from(status);
	mine[OWN_SOURCE] = c->source;
	mine[OWN_CONSENT] = time_text(c->consent_at, consent);
	mine[OWN_JOINED] = time_text(c->joined, joined);
	mine[OWN_ADDED] = time_text(c->added, added);
	return j->ops->row(j->ctx, j->cells, 1 + j->nids + NOWN, j->e);
}

int list_export(struct store *s, int64_t list, const struct filter *where, const struct export_ops *ops,
	void *ctx, struct err *e)
{
	struct export_job j = {.s = s, .list = list, .ops = ops, .ctx = ctx, .e = e};
	struct audience a = {.lists = {list}, .nlists = 1, .where = where};
	int rc = store_audience_walk(s, &a, true, note_attrs, &j, e);
	if (rc == 0)
		rc = choose_columns(&j);
	if (rc == 0)
		rc = store_audience_walk(s, &a, true, put_row, &j, e);
	free(j.used);
	free(j.ids);
	free(j.cells);
	return rc;
}
