#include "engine/worker_private.h"

#include "src/base/log.h"

/* Without an access token no door is tried. */
static bool may_login(struct lane *l)
{
	struct route *r = l->route;
	char why[300];
	int failures = 0;
	if (r->access == NULL)
		return true;
	switch (access_state(r->access, why, sizeof why, &failures)) {
	case ACCESS_READY:
		atomic_store(&r->no_token, 0);
		return true;
	case ACCESS_COMING:
		lane_wait(l, 0.1);
		return false;
	default:
		break;
	}
	/* Of all the workers' lanes one tells it. */
	if (atomic_exchange(&r->no_token, failures) == failures)
		return false;
	atomic_fetch_add(&r->failures, 1);
	atomic_store(&r->bad_at, clock_mono());
	route_trouble(r, "%s", why);
	log_warn("route %s: %s", r->cfg->name, why);
	route_rest(r, clock_mono(), 5 * SECOND);
	if (failures > 1)
		ledger_pause(l->w->ledger, l->hatch.route, 0, STR("login"), why);
	return false;
}

/* As many connections as there is work for; before the first was ever established, one alone tries the door:
 * a wrong password must not be tried twenty times. */
void relay_connect(struct lane *l)
{
	struct route *r = l->route;
	if (atomic_load(&l->w->draining) || r->broken || atomic_load(&r->addrs) == NULL)
		return;
	int64_t work = atomic_load(&r->work) / (int64_t)l->w->o.nworkers + (int64_t)l->count;
	if (work == 0 && atomic_load(&r->work) > 0 && l->w->o.index == 0)
		work = 1;
	bool open = atomic_load(&r->connections) > 0 ||
		    (atomic_load(&r->ever_connected) != 0 && atomic_load(&r->failures) == 0);
	int most = open ? l->share : l->w->o.index == 0 ? 1 : 0;
	if (most > l->share)
		most = l->share;
	ms_t closed = atomic_load(&r->closed_until), rest = atomic_load(&r->connect_after),
	     at = closed > rest ? closed : rest;
	if (clock_mono() < at) {
		lane_wait(l, (double)(at - clock_mono()) / 1e3);
		return;
	}
	if (work > 0 && l->nlinks < most && !may_login(l))
		return;
	int idle = 0;
	for (struct link *k = l->links; k != NULL; k = k->next)
		idle += k->ready || !k->established;
	while (l->nlinks < most && idle < work) {
		if (link_open(l) != 0)
			break;
		idle++;
	}
}

void relay_failed(struct lane *l, const struct smtp_result *r)
{
	struct route *route = l->route;
	struct verdict v;
	if (r->token_refused && route->access != NULL && access_refused(route->access)) {
		route_trouble(route, "%s refused the access token: another is got", route->cfg->host);
		route_rest(route, clock_mono(), SECOND / 10);
		return;
	}
	int code = r->reply != NULL ? r->reply->code : 0;
	struct str text = r->reply != NULL ? r->reply->text : str_from(r->why);
	rules_decide(l->w->o.rules, str_n(NULL, 0), str_from(smtp_stage_names[r->stage]), code,
		str_from(r->reply != NULL ? r->reply->enhanced : ""), text, &v);
	/* Those that fall together are one failure. */
	bool anew = clock_mono() >= atomic_load(&route->connect_after) || atomic_load(&route->failures) == 0;
	int failures = anew ? atomic_fetch_add(&route->failures, 1) + 1 : atomic_load(&route->failures);
	atomic_store(&route->bad_at, clock_mono());
	route_trouble(route, "%s: %s%s%.*s", route->cfg->host, smtp_stage_names[r->stage],
		code != 0 ? " refused: " : ": ", (int)(text.n < 220 ? text.n : 220),
		text.p != NULL ? text.p : "");
	route_rest(
		route, clock_mono(), v.delay > route_backoff(failures) ? v.delay : route_backoff(failures));
	/* A login is tried twice, no more: receivers lock accounts. */
	if (v.action == ACTION_PAUSE &&
		(r->stage != SMTP_AUTH || atomic_fetch_add(&route->login_failures, 1) >= 1))
		link_verdict(l, &v, 0, text);
	log_warn("route %s: %s", route->cfg->name, route->trouble);
}
