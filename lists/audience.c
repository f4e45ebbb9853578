#include "lists/segment.h"

#include "src/base/nearest.h"
#include "src/db/campaign.h"
#include "src/db/delivery.h"
#include "src/db/lists.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Names to ids ---- */

static int offer_list(void *ctx, const struct list_row *l)
{
	nearest_offer(ctx, l->name);
	return 0;
}

static int offer_campaign(void *ctx, const struct campaign_row *c)
{
	nearest_offer(ctx, c->name);
	return 0;
}

static int unknown(
	struct str name, const char *what, const struct nearest *near, const char *command, struct err *e)
{
	err_set(e, ERR_NOINPUT, what, "there is no %s \"%.*s\"", what, STR_ARG(name));
	if (near->best[0] != '\0')
		return err_remedy(e, "did you mean \"%s\"?", near->best);
	return err_remedy(e, "`postrider %s` shows what there is", command);
}

int audience_list(struct store *s, const char *name, struct list_row *out, struct err *e)
{
	struct err why = {0};
	if (store_list_get(s, str_from(name), out, &why) == 0)
		return 0;
	if (why.code != ERR_NOINPUT) {
		if (e != NULL)
			*e = why;
		return -1;
	}
	struct nearest near;
	nearest_init(&near, str_from(name));
	if (store_lists(s, false, offer_list, &near, e) != 0)
		return -1;
	return unknown(str_from(name), "list", &near, "lists", e);
}

static int resolve_lists(
	struct store *s, const char **names, size_t n, int64_t *ids, size_t *nids, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct list_row row;
		if (audience_list(s, names[i], &row, e) != 0)
			return -1;
		int64_t id = row.id;
		size_t j = 0;
		while (j < *nids && ids[j] != id)
			j++;
		if (j < *nids)
			continue;
		if (*nids == AUDIENCE_MAX)
			return err_set(e, ERR_USAGE, "audience", "more than %d lists", AUDIENCE_MAX);
		ids[(*nids)++] = id;
	}
	return 0;
}

/* "sent,deferred" to bits. False: not a list of states. */
static bool read_states(struct str text, unsigned *states)
{
	*states = 0;
	for (;;) {
		struct str word = str_n(text.p, str_find(text, ','));
		int state = 0;
		while (state < DELIVERY_NSTATES &&
			!str_is_nocase(str_trim(word), delivery_state_names[state]))
			state++;
		if (state == DELIVERY_NSTATES)
			return false;
		*states |= 1u << state;
		if (word.n == text.n)
			return true;
		text = str_n(text.p + word.n + 1, text.n - word.n - 1);
	}
}

/* Splits NAME:STATE,…; a name may hold colons itself. */
static struct str split_states(struct str text, unsigned *states)
{
	size_t colon = text.n;
	while (colon > 0 && text.p[colon - 1] != ':')
		colon--;
	if (colon > 1 && read_states(str_n(text.p + colon, text.n - colon), states))
		return str_n(text.p, colon - 1);
	*states = 0;
	return text;
}

/* 1: found, 0: no such campaign. */
static int campaign_id(struct store *s, struct str name, int64_t *id, struct err *e)
{
	struct campaign_row row;
	struct err why = {0};
	if (store_campaign_get(s, name, &row, &why) == 0) {
		*id = row.id;
		return 1;
	}
	if (why.code == ERR_NOINPUT)
		return 0;
	if (e != NULL)
		*e = why;
	return -1;
}

static int no_campaign(struct store *s, struct str name, struct nearest *near, struct err *e)
{
	nearest_init(near, name);
	if (store_campaigns(s, false, offer_campaign, near, e) != 0)
		return -1;
	return unknown(name, "campaign", near, "campaigns", e);
}

int audience_campaign(struct store *s, const char *name, struct campaign_row *out, struct err *e)
{
	struct nearest near;
	struct err why = {0};
	if (store_campaign_get(s, str_from(name), out, &why) == 0)
		return 0;
	if (why.code == ERR_NOINPUT)
		return no_campaign(s, str_from(name), &near, e);
	if (e != NULL)
		*e = why;
	return -1;
}

static int resolve_ref(struct store *s, const char *text, struct audience_ref *out, struct err *e)
{
	struct str whole = str_from(text), name = split_states(whole, &out->states);
	int found = campaign_id(s, name, &out->campaign, e);
	if (found == 0 && name.n != whole.n) {
		out->states = 0;
		found = campaign_id(s, whole, &out->campaign, e);
	}
	if (found != 0)
		return found > 0 ? 0 : -1;
	struct nearest near;
	int64_t other;
	size_t colon = str_find(whole, ':');
	no_campaign(s, name, &near, e);
	if (colon < whole.n && name.n == whole.n && campaign_id(s, str_n(whole.p, colon), &other, NULL) > 0)
		err_remedy(e,
			"campaign \"%.*s\" is there, but \"%s\" is not a list of states (sent, bounced, "
			"deferred …)",
			(int)colon, whole.p, whole.p + colon + 1);
	return -1;
}

static int resolve_refs(
	struct store *s, const char **refs, size_t n, struct audience_ref *out, size_t *nout, struct err *e)
{
	if (n > AUDIENCE_MAX)
		return err_set(e, ERR_USAGE, "audience", "more than %d campaigns", AUDIENCE_MAX);
	for (size_t i = 0; i < n; i++)
		if (resolve_ref(s, refs[i], &out[(*nout)++], e) != 0)
			return -1;
	return 0;
}

static int read_sample(const char *text, struct audience *out, struct err *e)
{
	long long n;
	char *end;
	struct str s = str_from(text);
	if (str_ends(s, STR("%")) && s.n > 1 && ((s.p[0] >= '0' && s.p[0] <= '9') || s.p[0] == '.')) {
		double share = strtod(text, &end);
		if (end == s.p + s.n - 1 && share > 0 && share <= 100 &&
			strspn(text, "0123456789.") == s.n - 1) {
			out->sample_share = share / 100;
			return 0;
		}
	} else if (str_int(s, 1, INT64_MAX, &n)) {
		out->sample_n = n;
		return 0;
	}
	return err_set(e, ERR_USAGE, "--sample",
		"\"%.40s\" is neither a number of people (500) nor a share (10%%)", text);
}

int audience_resolve(const struct audience_spec *spec, struct store *s, const struct zone *z, uint64_t seed,
	struct arena *a, struct audience *out, struct err *e)
{
	*out = (struct audience){.seed = seed};
	if (resolve_lists(s, spec->lists, spec->nlists, out->lists, &out->nlists, e) != 0 ||
		resolve_lists(s, spec->exclude, spec->nexclude, out->exclude, &out->nexclude, e) != 0 ||
		resolve_refs(s, spec->of, spec->nof, out->of, &out->nof, e) != 0 ||
		resolve_refs(s, spec->not_of, spec->nnot_of, out->not_of, &out->nnot_of, e) != 0)
		return -1;
	if (spec->sample != NULL && read_sample(spec->sample, out, e) != 0)
		return -1;
	struct filter *where = NULL;
	if (spec->where != NULL && segment_parse(spec->where, s, z, a, &where, e) != 0)
		return -1;
	out->where = where;
	return 0;
}

/* ---- As text ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* States in their own order, so that "x:sent,bounced" and "x:bounced,sent" are one. */
static const char *canonical_ref(const char *ref, struct arena *a)
{
	unsigned states;
	struct str name = split_states(str_from(ref), &states);
	if (states == 0)
		return ref;
	struct buf b = BUF_INIT(4096);
	buf_str(&b, name);
	for (int i = 0, first = 1; i < DELIVERY_NSTATES; i++) {
		if ((states & 1u << i) != 0) {
			buf_printf(&b, "%c%s", first ? ':' : ',', delivery_state_names[i]);
			first = 0;
		}
	}
	const char *text = b.failed ? ref : arena_strdup(a, b.p);
	buf_release(&b);
	return text;
}

/* Nothing may be left out, whatever fails: without its condition an audience would be everybody. */
static bool put_names(json_t *o, const char *key, const char **names, size_t n, bool refs, struct arena *a)
{
	const char **sorted = n > 0 ? arena_alloc(a, n * sizeof *sorted) : NULL;
	if (sorted == NULL)
		return n == 0;
	for (size_t i = 0; i < n; i++)
		if ((sorted[i] = refs ? canonical_ref(names[i], a) : names[i]) == NULL)
			return false;
	qsort(sorted, n, sizeof *sorted, by_text);
	json_t *array = json_array();
	bool whole = true;
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0)
			whole &= json_array_append_new(array, json_string(sorted[i])) == 0;
	return json_object_set_new(o, key, array) == 0 && whole;
}

struct str audience_text(const struct audience_spec *spec, struct arena *a)
{
	json_t *o = json_object();
	bool whole = put_names(o, "lists", spec->lists, spec->nlists, false, a) &&
		     put_names(o, "exclude", spec->exclude, spec->nexclude, false, a) &&
		     put_names(o, "of", spec->of, spec->nof, true, a) &&
		     put_names(o, "not_of", spec->not_of, spec->nnot_of, true, a);
	if (spec->where != NULL) {
		struct str where = str_trim(str_from(spec->where));
		whole &= json_object_set_new(o, "where", json_stringn(where.p, where.n)) == 0;
	}
	if (spec->sample != NULL)
		whole &= json_object_set_new(o, "sample", json_string(spec->sample)) == 0;
	char *text = whole ? json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
	json_decref(o);
	struct str out = text != NULL && !a->failed ? arena_str(a, str_from(text)) : str_n(NULL, 0);
	free(text);
	return out;
}

static int get_names(
	const json_t *o, const char *key, struct arena *a, const char ***names, size_t *n, struct err *e)
{
	const json_t *array = json_object_get(o, key);
	size_t count = json_array_size(array);
	if (array == NULL)
		return 0;
	if (!json_is_array(array))
		return err_set(e, ERR_DATA, "recorded audience", "%s is not a list", key);
	*names = arena_alloc(a, (count + 1) * sizeof **names);
	for (size_t i = 0; i < count && *names != NULL; i++) {
		const char *text = json_string_value(json_array_get(array, i));
		if (text == NULL)
			return err_set(e, ERR_DATA, "recorded audience", "%s holds what is not a name", key);
		(*names)[(*n)++] = arena_strdup(a, text);
	}
	return 0;
}

static int get_text(const json_t *o, const char *key, struct arena *a, const char **out, struct err *e)
{
	const json_t *v = json_object_get(o, key);
	if (v == NULL)
		return 0;
	if (!json_is_string(v))
		return err_set(e, ERR_DATA, "recorded audience", "%s is not a text", key);
	*out = arena_strdup(a, json_string_value(v));
	return 0;
}

int audience_from_text(struct str text, struct arena *a, struct audience_spec *out, struct err *e)
{
	json_error_t why;
	*out = (struct audience_spec){0};
	json_t *o = json_loadb(text.p != NULL ? text.p : "", text.n, 0, &why);
	if (o == NULL)
		return err_set(e, ERR_DATA, "recorded audience", "%s", why.text);
	if (!json_is_object(o)) {
		json_decref(o);
		return err_set(e, ERR_DATA, "recorded audience", "not an object");
	}
	int rc = get_names(o, "lists", a, &out->lists, &out->nlists, e) != 0 ||
				 get_names(o, "exclude", a, &out->exclude, &out->nexclude, e) != 0 ||
				 get_names(o, "of", a, &out->of, &out->nof, e) != 0 ||
				 get_names(o, "not_of", a, &out->not_of, &out->nnot_of, e) != 0 ||
				 get_text(o, "where", a, &out->where, e) != 0 ||
				 get_text(o, "sample", a, &out->sample, e) != 0
			 ? -1
			 : 0;
	json_decref(o);
	if (rc == 0 && a->failed)
		return err_set(e, ERR_INTERNAL, "recorded audience", "out of memory");
	return rc;
}
