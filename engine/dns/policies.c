#include "engine/dns/policies.h"

#include "src/base/log.h"
#include "src/db/policies.h"

#include <stdlib.h>

enum {
	FRESH_MAX = 1000,
	SLICE = 100
}; /* more that wait are fetched again one day; written in one transaction */

struct fresh_policy {
	struct fresh_policy *next;
	enum sts_mode mode;
	ms_t fetched, max_age;
	char id[STS_ID];
	const char *mx; /* behind the domain */
	char domain[];
};

int policies_open(struct policies *p, const struct store_config *c, struct err *e)
{
	pthread_mutex_init(&p->lock, NULL);
	return c != NULL ? store_open(&p->store, STORE_READ, c, e) : 0;
}

static void free_all(struct fresh_policy *f)
{
	for (struct fresh_policy *next; f != NULL; f = next) {
		next = f->next;
		free(f);
	}
}

void policies_close(struct policies *p)
{
	store_close(&p->store);
	free_all(p->fresh);
	pthread_mutex_destroy(&p->lock);
}

static bool copy_mx(struct sts_policy *out, struct str mx)
{
	if (mx.n >= sizeof out->mx)
		return false;
	memcpy(out->mx, mx.p, mx.n);
	out->mx[mx.n] = '\0';
	return true;
}

static bool find_fresh(struct policies *p, const char *domain, struct sts_policy *out)
{
	bool found = false;
	pthread_mutex_lock(&p->lock);
	for (struct fresh_policy *f = p->fresh; f != NULL && !found; f = f->next) {
		if (strcmp(f->domain, domain) != 0)
			continue;
		found = copy_mx(out, str_from(f->mx));
		memcpy(out->id, f->id, sizeof out->id);
		out->mode = f->mode;
		out->fetched = f->fetched;
		out->max_age = f->max_age;
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

static bool find_kept(struct policies *p, const char *domain, struct sts_policy *out)
{
	struct arena a;
	struct policy_row row;
	struct err e = {0};
	arena_init(&a, 1024, 1 << 20);
	int rc = store_policy_get(p->store, str_from(domain), &a, &row, &e);
	if (rc < 0)
		log_err(LOG_LEVEL_WARN, &e);
	bool found = rc == 1 && row.id.n < sizeof out->id && row.mode >= STS_NONE &&
		     row.mode <= STS_ENFORCE && copy_mx(out, row.mx);
	if (found) {
		memcpy(out->id, row.id.p, row.id.n);
		out->id[row.id.n] = '\0';
		out->mode = (enum sts_mode)row.mode;
		out->fetched = row.fetched;
		out->max_age = row.expires - row.fetched;
	}
	arena_release(&a);
	return found;
}

bool policies_find(struct policies *p, const char *domain, struct sts_policy *out)
{
	return (atomic_load(&p->nfresh) > 0 && find_fresh(p, domain, out)) ||
	       (p->store != NULL && find_kept(p, domain, out));
}

void policies_learn(struct policies *p, const char *domain, const struct sts_policy *policy)
{
	size_t n = strlen(domain) + 1, mx = strlen(policy->mx) + 1;
	struct fresh_policy *f =
		p->store != NULL && atomic_load(&p->nfresh) < FRESH_MAX ? malloc(sizeof *f + n + mx) : NULL;
	if (f == NULL)
		return;
	memcpy(f->domain, domain, n);
	memcpy(f->domain + n, policy->mx, mx);
	f->mx = f->domain + n;
	f->mode = policy->mode;
	f->fetched = policy->fetched;
	f->max_age = policy->max_age;
	memcpy(f->id, policy->id, sizeof f->id);
	pthread_mutex_lock(&p->lock);
	for (struct fresh_policy **at = &p->fresh, *old; (old = *at) != NULL;) {
		if (strcmp(old->domain, domain) != 0) {
			at = &old->next;
			continue;
		}
		*at = old->next;
		free(old);
		atomic_fetch_sub(&p->nfresh, 1);
	}
	f->next = p->fresh;
	p->fresh = f;
	atomic_fetch_add(&p->nfresh, 1);
	pthread_mutex_unlock(&p->lock);
}

static struct fresh_policy *take_some(struct policies *p, struct policy_row *rows, size_t *n)
{
	pthread_mutex_lock(&p->lock);
	struct fresh_policy *taken = p->fresh, **end = &p->fresh;
	for (*n = 0; *end != NULL && *n < SLICE; end = &(*end)->next) {
		const struct fresh_policy *f = *end;
		rows[(*n)++] = (struct policy_row){.domain = str_from(f->domain),
			.id = str_from(f->id),
			.mode = f->mode,
			.fetched = f->fetched,
			.expires = f->fetched + f->max_age,
			.mx = str_from(f->mx)};
	}
	p->fresh = *end;
	*end = NULL;
	atomic_fetch_sub(&p->nfresh, *n);
	pthread_mutex_unlock(&p->lock);
	return taken;
}

int policies_save(struct policies *p, struct store *s, struct err *e)
{
	struct policy_row rows[SLICE];
	size_t n;
	if (atomic_load(&p->nfresh) == 0)
		return 0;
	struct fresh_policy *taken = take_some(p, rows, &n);
	int rc = store_policies_put(s, rows, n, clock_now(), e);
	free_all(taken);
	return rc;
}
