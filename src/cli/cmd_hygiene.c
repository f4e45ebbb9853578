/* hygiene: addresses and domains that a careful owner of a list would look at. */
#include "lists/typo.h"
#include "src/cli/campaign_view.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/db/contacts.h"
#include "src/db/returned.h"

#include <stdlib.h>

struct typo {
	struct str domain;
	const char *meant;
	int64_t id;
};

struct hygiene {
	struct cli *c;
	struct store *s;
	const struct zone *zone;
	struct table *table;
	struct arena arena;
	struct typo *typos;
	size_t ntypos, cap;
	int64_t n; /* in the section at hand */
	struct err *e;
};

static int oom(struct hygiene *h)
{
	return err_set(h->e, ERR_INTERNAL, "hygiene", "out of memory");
}

static int section(struct hygiene *h, const char *title, const struct column *columns, size_t n)
{
	h->n = 0;
	if (h->c->json)
		return 0;
	out_printf(h->c, "%s\n", title);
	h->table = table_new(h->c, stdout, columns, n);
	return h->table != NULL ? 0 : oom(h);
}

static int section_end(struct hygiene *h, const char *nothing)
{
	if (h->c->json)
		return 0;
	int rc = table_end(&h->table);
	if (h->n == 0)
		rc |= out_printf(h->c, "%s\n", nothing);
	rc |= out_printf(h->c, "\n");
	return rc != 0 ? output_error(h->e) : 0;
}

/* ---- Addresses that fail for a time, again and again ---- */

static int one_troubled(void *ctx, const struct trouble_row *t)
{
	struct hygiene *h = ctx;
	char first[TEXT_NUMBER], last[TEXT_NUMBER];
	h->n++;
	if (h->c->json)
		return json_line(json_pack("{s:s, s:o, s:i, s:o, s:o, s:o, s:o}", "what", "soft", "address",
			       json_str(t->address), "soft", t->soft, "reason", view_str(t->reason),
			       "provider", view_str(t->provider), "first", json_time(t->first), "last",
			       json_time(t->last))) != 0
			       ? output_error(h->e)
			       : 0;
	table_str(h->table, t->address);
	table_count(h->table, t->soft);
	table_str(h->table, t->reason);
	table_str(h->table, str_from(text_time(h->zone, t->first, first)));
	table_str(h->table, str_from(text_time(h->zone, t->last, last)));
	return table_row(h->table) != 0 ? output_error(h->e) : 0;
}

static int troubled(struct hygiene *h, int at_least)
{
	static const struct column columns[] = {{.title = "address", .max = 50},
		{.title = "campaigns", .right = true}, {.title = "reason"}, {.title = "since"},
		{.title = "last"}};
	if (section(h, "Failed for a time in several campaigns in a row", columns, 5) != 0 ||
		store_troubled(h->s, at_least, one_troubled, h, h->e) != 0)
		return -1;
	return section_end(h, "  nobody");
}

/* ---- Dead domains ---- */

struct wanted {
	struct hygiene *h;
	const struct domain_failure *dead;
	const struct domain_count *people;
	size_t n, next; /* both ascend with the domain */
};

static int one_dead(void *ctx, int64_t id, struct str name, struct str provider)
{
	struct wanted *w = ctx;
	struct hygiene *h = w->h;
	char last[TEXT_NUMBER];
	(void)provider;
	if (w->next == w->n)
		return 1;
	if (w->dead[w->next].domain != id)
		return 0;
	const struct domain_failure *d = &w->dead[w->next];
	int64_t people = w->people[w->next++].people;
	/* Nobody of there is known any more. */
	if (people == 0)
		return 0;
	h->n++;
	if (h->c->json)
		return json_line(json_pack("{s:s, s:o, s:I, s:I, s:o, s:o}", "what", "dead-domain", "domain",
			       json_str(name), "people", (json_int_t)people, "failures",
			       (json_int_t)d->failures, "reason", view_str(d->reason), "last",
			       json_time(d->last))) != 0
			       ? output_error(h->e)
			       : 0;
	table_str(h->table, name);
	table_count(h->table, people);
	table_count(h->table, d->failures);
	table_str(h->table, d->reason);
	table_str(h->table, str_from(text_time(h->zone, d->last, last)));
	return table_row(h->table) != 0 ? output_error(h->e) : 0;
}

static int dead_domains(struct hygiene *h, ms_t since)
{
	static const struct column columns[] = {{.title = "domain", .max = 50},
		{.title = "people", .right = true}, {.title = "failures", .right = true}, {.title = "reason"},
		{.title = "last"}};
	struct domain_failure *dead = NULL;
	size_t n = 0;
	if (section(h, "Domains that take no mail", columns, 5) != 0 ||
		store_dead_domains(h->s, since, &dead, &n, h->e) != 0)
		return -1;
	struct domain_count *people = calloc(n + 1, sizeof *people);
	if (people == NULL) {
		free(dead);
		return oom(h);
	}
	for (size_t i = 0; i < n; i++)
		people[i].domain = dead[i].domain;
	int rc = store_domain_people(h->s, people, n, h->e);
	struct wanted w = {h, dead, people, n, 0};
	if (rc == 0 && store_domains(h->s, one_dead, &w, h->e) < 0)
		rc = -1;
	free(people);
	free(dead);
	return rc == 0 ? section_end(h, "  none") : rc;
}

/* ---- Mistyped domains ---- */

static int find_typo(void *ctx, int64_t id, struct str name, struct str provider)
{
	struct hygiene *h = ctx;
	const char *meant = provider.n == 0 ? typo_of_domain(name) : NULL;
	if (meant == NULL)
		return 0;
	if (h->ntypos == h->cap) {
		struct typo *v = realloc(h->typos, (h->cap * 2 + 32) * sizeof *v);
		if (v == NULL)
			return oom(h);
		h->typos = v;
		h->cap = h->cap * 2 + 32;
	}
	h->typos[h->ntypos++] = (struct typo){arena_str(&h->arena, name), meant, id};
	return h->arena.failed ? oom(h) : 0;
}

static int show_typo(struct hygiene *h, const struct typo *t, int64_t people)
{
	if (people == 0)
		return 0;
	h->n++;
	if (h->c->json)
		return json_line(json_pack("{s:s, s:o, s:s, s:I}", "what", "typo", "domain",
			       json_str(t->domain), "meant", t->meant, "people", (json_int_t)people)) != 0
			       ? output_error(h->e)
			       : 0;
	table_str(h->table, t->domain);
	table_str(h->table, str_from(t->meant));
	table_count(h->table, people);
	return table_row(h->table) != 0 ? output_error(h->e) : 0;
}

static int typos(struct hygiene *h)
{
	static const struct column columns[] = {
		{.title = "domain", .max = 50}, {.title = "meant"}, {.title = "people", .right = true}};
	if (section(h, "Domains that look mistyped", columns, 3) != 0 ||
		store_domains(h->s, find_typo, h, h->e) != 0)
		return -1;
	struct domain_count *people = calloc(h->ntypos + 1, sizeof *people);
	if (people == NULL)
		return oom(h);
	for (size_t i = 0; i < h->ntypos; i++)
		people[i].domain = h->typos[i].id;
	int rc = store_domain_people(h->s, people, h->ntypos, h->e);
	for (size_t i = 0; i < h->ntypos && rc == 0; i++)
		rc = show_typo(h, &h->typos[i], people[i].people);
	free(people);
	return rc == 0 ? section_end(h, "  none") : rc;
}

/* ---- The command ---- */

static int run(struct cli *c, struct err *e)
{
	struct hygiene h = {.c = c, .zone = cli_zone(c, e), .e = e};
	long long at_least = 2;
	ms_t now = clock_now(), since = now - 90 * DAY;
	if (h.zone == NULL || cli_value_int(c, "at-least", 1, 1000, &at_least, e) != 0 ||
		cli_value_since(c, "since", now, &since, e) != 0 ||
		(h.s = cli_store(c, STORE_READ, e)) == NULL)
		return -1;
	arena_init(&h.arena, 16 << 10, 64 << 20);
	int rc = troubled(&h, (int)at_least);
	if (rc == 0)
		rc = dead_domains(&h, since);
	if (rc == 0)
		rc = typos(&h);
	if (h.table != NULL)
		table_end(&h.table);
	arena_release(&h.arena);
	free(h.typos);
	return rc;
}

static const struct option options[] = {
	{.name = "since", .value = "TIME", .help = "domains that failed since then (90d)"},
	{.name = "at-least", .value = "N", .help = "addresses that failed in so many campaigns in a row (2)"},
	{0},
};

const struct command cmd_hygiene = {
	.name = "hygiene",
	.group = GROUP_PEOPLE,
	.summary = "addresses that keep failing, domains dead or mistyped",
	.help = "It changes nothing. Addresses are suppressed by themselves after what\n"
		"[suppress] says; `suppressions add @DOMAIN` does it for a whole domain.\n",
	.options = options,
	.run = run,
};
