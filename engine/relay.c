#include "engine/worker_private.h"

#include "src/base/log.h"

/* A second loss would leave a message in doubt for good: what was in doubt with others goes out alone. */
static const ms_t CAREFUL = 10 * MINUTE;
static const ms_t FRESH = 5 * SECOND; /* a connection that was idle for longer may be closed by anybody */

/* A connection ended before it was of any use. */
static void failed(struct lane *l, const struct smtp_result *r, bool calling)
{
	struct route *route = l->route;
	struct verdict v;
	int code = r->reply != NULL ? r->reply->code : 0;
	struct str text = r->reply != NULL ? r->reply->text : str_from(r->why);
	rules_decide(l->w->o.rules, str_n(NULL, 0), str_from(smtp_stage_names[r->stage]), code,
		str_from(r->reply != NULL ? r->reply->enhanced : ""), text, &v);
	atomic_store(&route->bad_at, clock_mono());
	route_trouble(route, "%s: %s%s%.*s", route->cfg->host, smtp_stage_names[r->stage],
		code != 0 ? " refused: " : ": ", (int)(text.n < 220 ? text.n : 220),
		text.p != NULL ? text.p : "");
	if (calling)
		route_not_connected(route, link_fault(r, text), &v, str_from(route->trouble));
	/* A login is tried twice, no more: receivers lock accounts. */
	if (v.action == ACTION_PAUSE &&
		(r->stage != SMTP_AUTH || atomic_fetch_add(&route->login_failures, 1) >= 1))
		link_verdict(l, &v, 0, text);
	route_tell_trouble(route);
}

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
	atomic_store(&r->bad_at, clock_mono());
	route_trouble(r, "%s", why);
	log_warn("route %s: %s", r->cfg->name, why);
	if (route_connect(r, mono_us()) == 0)
		route_not_connected(r, SHAPER_REFUSED, NULL, str_from(why));
	if (failures > 1)
		ledger_pause(l->w->ledger, l->hatch.route, 0, STR("login"), why);
	return false;
}

static bool another_token(struct lane *l, const struct smtp_result *r)
{
	struct route *route = l->route;
	if (!r->token_refused || route->access == NULL || !access_refused(route->access))
		return false;
	route_trouble(route, "%s refused the access token: another is got", route->cfg->host);
	lane_wait(l, 0.1);
	return true;
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
	if (work > 0 && l->nlinks < l->share && !may_login(l))
		return;
	int idle = l->nready + l->nlinks - l->established;
	while (l->nlinks < l->share && idle < work) {
		int64_t wait = route_connect(r, mono_us());
		if (wait > 0 && wait != SHAPER_LATER)
			lane_wait(l, (double)wait / 1e6);
		if (wait > 0)
			break;
		if (link_open(l) != 0) {
			route_not_connected(r, SHAPER_ABANDONED, NULL, STR("no descriptor"));
			atomic_store(&r->bad_at, clock_mono());
			lane_wait(l, 1);
			break;
		}
		idle++;
	}
}

void relay_closed(struct link *k, bool clean, const struct smtp_result *r)
{
	struct lane *l = k->lane;
	struct route *route = l->route;
	bool ours = k->leaving || l->w->cut || (clean && r->reply == NULL);
	if (r->out_of_step && !atomic_exchange(&route->out_of_step, true))
		log_warn("route %s: %s: its replies do not match our commands; from now on one message at a "
			 "time",
			route->cfg->name, r->why);
	if (k->doubts > 1)
		atomic_store(&route->careful_until, clock_mono() + CAREFUL);
	if (k->established) {
		bool fresh = clock_mono() - k->idle_since < FRESH;
		route_disconnected(route, (unsigned)k->answered, !ours && (fresh || k->answered == 0));
		/* Who greets us and then hangs up before anything was answered is in trouble too. */
		if (!ours && !clean && k->answered == 0)
			failed(l, r, false);
		return;
	}
	if (ours || another_token(l, r))
		route_not_connected(route, SHAPER_ABANDONED, NULL, str_n(NULL, 0));
	else
		failed(l, r, true);
}
