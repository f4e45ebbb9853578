#include "engine/deliver.h"

#include "engine/delivery_log.h"
#include "engine/hosts.h"
#include "engine/schedule.h"
#include "src/base/log.h"
#include "src/db/import.h"
#include "src/db/ledger.h"

#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const ms_t HEARD = 10 * SECOND;  /* how old what another process says may be; it does each second */
static const ms_t FAILING = 5 * SECOND; /* a server gets that long to answer, however short the patience */
static const ms_t GRACE = 10 * SECOND;  /* for what is on the wire when we are told to stop */
enum {
	MAX_WORKERS = 64,
	OTHER_FILES = 2500, /* of the store, the loops, DNS and relays */
	MOST_FILES = 100000,
	FEW_FILES = 256,
};

struct crew { /* what works while we hold the lease */
	struct route *routes;
	size_t nroutes;
	struct worker *workers[MAX_WORKERS];
	size_t nworkers;
	struct ledger *ledger;
	struct dkim_keys *dkim;
	struct limits_book *limits;
	struct delivery_log *log;
	struct checkpointer *checkpointer;
	struct hosts *hosts;
	int64_t epoch;
};

struct deliver {
	const struct deliver_options *o;
	struct store *store; /* the main thread's own, for looking */
	struct ev_loop *loop;
	ev_async woken;
	ev_timer tick;
	ev_signal sig[3];
	struct crew crew;
	bool holding, stopping;
	ms_t held_since; /* wall clock */
	enum deliver_end end;
	bool failed;
	struct err err;
	ms_t calling_since, waiting_since;
	struct holder holder;
	int64_t told; /* epoch of the holder that was named as the one who delivers */
};

/* ---- The names of relays ---- */

static void hosts_found(void *ctx)
{
	struct crew *c = ctx;
	for (size_t i = 0; i < c->nworkers; i++) {
		for (size_t r = 0; r < c->nroutes; r++)
			if (c->routes[r].cfg->kind == ROUTE_RELAY)
				hatch_tell(worker_hatch(c->workers[i], r));
		worker_wake(c->workers[i]);
	}
}

static void keep_hosts(struct crew *c)
{
	hosts_keep(&c->hosts, c->routes, c->nroutes, hosts_found, c);
}

/* ---- What a run that died has left ---- */

static int recover(struct store *s, int64_t epoch, const struct config *cfg, struct err *e)
{
	int64_t doubtful = 0;
	if (store_ledger_recover(s, epoch, cfg->doubt, clock_now(), &doubtful, e) != 0)
		return -1;
	if (doubtful > 0)
		log_warn("%lld deliveries were on the wire when the last run ended: they are in doubt",
			(long long)doubtful);
	return 0;
}

int deliver_recover(struct store *s, const struct config *cfg, const char *what, struct err *e)
{
	struct holder self, other;
	struct err held = {0};
	int64_t epoch;
	holder_self(&self, what);
	if (store_lease_take(s, &self, clock_now(), &epoch, &other, &held) != 0) {
		if (held.code == ERR_AGAIN)
			return 0;
		*e = held;
		return -1;
	}
	if (recover(s, epoch, cfg, e) == 0)
		return store_lease_release(s, epoch, e);
	store_lease_release(s, epoch, &held);
	return -1;
}

/* ---- Crew ---- */

static void crew_end(struct deliver *d, struct err *e)
{
	struct crew *c = &d->crew;
	/* The ledger still answers for the last outcomes, and wakes those who brought them. */
	for (size_t i = 0; i < c->nworkers; i++)
		worker_join(c->workers[i]);
	if (ledger_stop(&c->ledger, e) != 0)
		d->failed = true;
	hosts_leave(&c->hosts); /* it tells the workers what it has found */
	for (size_t i = 0; i < c->nworkers; i++)
		worker_stop(&c->workers[i]);
	delivery_log_close(&c->log);
	checkpointer_stop(&c->checkpointer);
	for (size_t i = 0; i < c->nroutes; i++)
		route_release(&c->routes[i]);
	free(c->routes);
	dkim_keys_free(&c->dkim);
	limits_free(&c->limits);
	*c = (struct crew){0};
	d->holding = false;
}

static void crew_woken(void *ctx)
{
	struct deliver *d = ctx;
	ev_async_send(d->loop, &d->woken);
}

static size_t worker_count(const struct config *c)
{
	long n = c->workers > 0 ? c->workers : sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > MAX_WORKERS ? MAX_WORKERS : (size_t)n;
}

/* As many as the system lets us have: on direct routes every receiver needs one, also the slow and the dead.
 * Returns how many are for connections. */
static int all_descriptors(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return FEW_FILES;
	r.rlim_cur = r.rlim_max < MOST_FILES ? r.rlim_max : MOST_FILES;
	if (setrlimit(RLIMIT_NOFILE, &r) != 0 && getrlimit(RLIMIT_NOFILE, &r) != 0)
		return FEW_FILES;
	return (int)(r.rlim_cur > 2 * OTHER_FILES ? r.rlim_cur - OTHER_FILES : r.rlim_cur / 2);
}

static int crew_start(struct deliver *d, struct err *e)
{
	struct crew *c = &d->crew;
	const struct config *cfg = d->o->config;
	c->routes = calloc(cfg->nroutes + 1, sizeof *c->routes);
	if (c->routes == NULL)
		return err_set(e, ERR_INTERNAL, "delivery", "out of memory");
	size_t broken = 0;
	for (size_t i = 0; i < cfg->nroutes; i++) {
		struct route *r = &c->routes[c->nroutes++];
		if (route_init(r, &cfg->routes[i], e) == 0 && route_sources(r, cfg, e) == 0)
			continue;
		/* One that cannot be used does not hold up the others. */
		r->broken = true;
		route_trouble(r, "%s: %s", e->what, e->why);
		if (e->code != ERR_CONFIG || ++broken == cfg->nroutes)
			return -1;
		log_err(LOG_LEVEL_WARN, e);
	}
	if (dkim_keys_load(cfg, &c->dkim, e) != 0)
		return -1;
	if (limits_load(&c->limits, cfg, e) != 0)
		return -1;
	if (cfg->log.deliveries != NULL &&
		delivery_log_open(&c->log, cfg->log.deliveries, cfg->log.size, e) != 0)
		return -1;
	int descriptors = all_descriptors();
	size_t n = worker_count(cfg);
	for (size_t i = 0; i < n; i++) {
		struct worker_options wo = {
			.config = cfg,
			.rules = d->o->rules,
			.keys = d->o->keys,
			.dkim = c->dkim,
			.routes = c->routes,
			.nroutes = c->nroutes,
			.index = i,
			.nworkers = n,
			.descriptors = descriptors,
		};
		if (worker_start(&c->workers[i], &wo, e) != 0)
			return -1;
		c->nworkers++;
	}
	if (recover(d->store, c->epoch, cfg, e) != 0)
		return -1;
	struct ledger_options lo = {
		.config = cfg,
		.rules = d->o->rules,
		.limits = c->limits,
		.store = d->o->store,
		.routes = c->routes,
		.nroutes = c->nroutes,
		.workers = c->workers,
		.nworkers = c->nworkers,
		.epoch = c->epoch,
		.log = c->log,
		.woken = crew_woken,
		.ctx = d,
	};
	if (ledger_start(&c->ledger, &lo, e) != 0)
		return -1;
	for (size_t i = 0; i < c->nworkers; i++)
		if (worker_attach(c->workers[i], c->ledger, e) != 0)
			return -1;
	ledger_wake(c->ledger); /* it has looked around already, and waits */
	if (checkpointer_start(&c->checkpointer, d->o->store, e) != 0)
		return -1;
	keep_hosts(c);
	return 0;
}

/* Signals are for the main loop: the threads are started with all of them blocked. */
static int crew_start_quietly(struct deliver *d, struct err *e)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = crew_start(d, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

/* 0: we hold it now, 1: somebody else does, -1. */
static int take_lease(struct deliver *d, struct err *e)
{
	struct holder self;
	holder_self(&self, d->o->what);
	if (store_lease_take(d->store, &self, clock_now(), &d->crew.epoch, &d->holder, e) != 0)
		return e->code == ERR_AGAIN ? 1 : -1;
	d->holder = self;
	d->holding = true;
	d->held_since = clock_now();
	if (store_import_recover(d->store, e) == 0 && crew_start_quietly(d, e) == 0)
		return 0;
	struct err ignored = {0};
	store_lease_release(d->store, d->crew.epoch, &ignored);
	crew_end(d, &ignored);
	return -1;
}

/* ---- The main loop ---- */

static void finish(struct deliver *d, enum deliver_end end)
{
	if (d->stopping)
		return;
	d->stopping = true;
	d->end = end;
	ev_break(d->loop, EVBREAK_ALL);
}

static void broken(struct deliver *d, const struct err *e)
{
	d->failed = true;
	d->err = *e;
	finish(d, DELIVER_INTERRUPTED);
}

/* How long all that was called has only failed, be it that no server is found or that none answers a message;
 * 0: one answers, or none was called yet. */
static ms_t in_vain_for(const struct deliver *d, ms_t now, bool *reached)
{
	ms_t vain = 0;
	bool answered = false;
	*reached = false;
	for (size_t i = 0; i < d->crew.nroutes; i++) {
		const struct route *r = &d->crew.routes[i];
		ms_t good = atomic_load(&r->good_at), bad = atomic_load(&r->bad_at);
		*reached = *reached || atomic_load(&r->ever_connected) != 0;
		if (good < d->calling_since)
			good = d->calling_since;
		/* One receiver that fails says nothing of those that are being mailed. */
		bool others = r->cfg->kind == ROUTE_DIRECT && atomic_load(&r->connections) > 0;
		if (route_lost(r) || (bad > good && !others))
			vain = vain == 0 || now - good < vain ? now - good : vain;
		else
			answered = answered || good > d->calling_since || atomic_load(&r->connections) > 0;
	}
	return answered ? 0 : vain;
}

static void judge(struct deliver *d, const struct campaign_row *c, const struct live *live)
{
	ms_t now = clock_mono(), patience = d->o->patience;
	if (c->state == CAMPAIGN_FINISHED)
		finish(d, DELIVER_FINISHED);
	else if (c->state == CAMPAIGN_CANCELLED)
		finish(d, DELIVER_CANCELLED);
	else if (c->state == CAMPAIGN_PAUSED)
		finish(d, DELIVER_PAUSED);
	if (c->state != CAMPAIGN_WAITING)
		d->waiting_since = now;
	/* At night nobody is called, and while another process delivers, not by us. */
	if (!d->holding || c->state != CAMPAIGN_RUNNING || schedule_quiet(d->o->config, clock_now()) != 0)
		d->calling_since = now;
	if (patience < 0)
		return;
	/* Nor is waited for a retry that lies beyond it. What another process said of it before may be over,
	 * what the one that delivers says counts. */
	ms_t left = patience - (now - d->waiting_since), away = live->next_attempt - clock_now();
	if (c->state == CAMPAIGN_WAITING && live->at >= (d->holding ? d->held_since : clock_now() - HEARD) &&
		(left <= 0 || (live->next_attempt != 0 && away > left)))
		finish(d, d->holding ? DELIVER_PATIENCE : DELIVER_HELD);
	if (!d->holding)
		return;
	bool reached;
	ms_t vain = in_vain_for(d, now, &reached);
	if (c->state == CAMPAIGN_RUNNING && vain > 0 && vain >= (patience > FAILING ? patience : FAILING))
		finish(d, reached ? DELIVER_PATIENCE : DELIVER_UNREACHABLE);
}

static void look(struct deliver *d)
{
	struct err e = {0};
	struct campaign_row c;
	struct campaign_counts n;
	struct live live = {0};
	if (d->holding && ledger_failed(d->crew.ledger, &e)) {
		broken(d, &e);
		return;
	}
	if (d->o->campaign == 0)
		return;
	if (store_campaign_by_id(d->store, d->o->campaign, &c, &e) != 0 ||
		store_campaign_counts(d->store, d->o->campaign, true, &n, &e) != 0) {
		broken(d, &e);
		return;
	}
	if (store_live(d->store, d->o->campaign, &live, &e) != 0)
		live = (struct live){0};
	if (d->o->progress != NULL)
		d->o->progress(d->o->ctx, &c, &n, &live, &d->holder);
	judge(d, &c, &live);
}

/* A daemon that waits for another process would look as if it did nothing. */
static void tell_who_delivers(struct deliver *d)
{
	if (d->o->campaign != 0 || d->told == d->holder.epoch)
		return;
	d->told = d->holder.epoch;
	log_info("%s: waits: process %lld on %s (%s) delivers", d->o->what, (long long)d->holder.pid,
		d->holder.host, d->holder.what);
}

static void try_to_take_over(struct deliver *d)
{
	struct err e = {0};
	int alive = store_lease_get(d->store, clock_now(), &d->holder, &e);
	if (alive < 0)
		broken(d, &e);
	else if (alive > 0)
		tell_who_delivers(d);
	else if (take_lease(d, &e) < 0)
		broken(d, &e);
	else if (d->holding && d->told != 0)
		log_info("%s: delivers from here on", d->o->what);
}

static void on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct deliver *d = t->data;
	(void)loop, (void)revents;
	if (d->holding)
		keep_hosts(&d->crew);
	else
		try_to_take_over(d);
	if (!d->stopping)
		look(d);
}

static void on_woken(struct ev_loop *loop, ev_async *a, int revents)
{
	(void)loop, (void)revents;
	look(a->data);
}

static void on_signal(struct ev_loop *loop, ev_signal *s, int revents)
{
	struct deliver *d = s->data;
	(void)loop, (void)revents;
	if (s->signum == SIGHUP && d->o->hangup != NULL) {
		d->o->hangup(d->o->ctx);
		if (d->crew.log != NULL)
			delivery_log_reopen(d->crew.log);
		return;
	}
	finish(d, d->holding ? DELIVER_INTERRUPTED : DELIVER_HELD);
}

/* While we wait for what is on the wire, a second signal ends us where we stand. */
static void leave_at_once(int sig)
{
	(void)sig;
	_exit(ERR_AGAIN);
}

static void drain(struct deliver *d)
{
	struct sigaction now = {.sa_handler = leave_at_once}, old[3];
	const int sigs[3] = {SIGINT, SIGTERM, SIGHUP};
	for (int i = 0; i < 3; i++) {
		ev_signal_stop(d->loop, &d->sig[i]);
		sigaction(sigs[i], &now, &old[i]);
	}
	if (d->holding) {
		ledger_drain(d->crew.ledger);
		for (size_t i = 0; i < d->crew.nworkers; i++)
			worker_drain(d->crew.workers[i], d->failed ? 0 : GRACE);
		struct err e = {0};
		bool was = d->failed;
		crew_end(d, &e);
		if (d->failed && !was)
			d->err = e;
	}
	for (int i = 0; i < 3; i++)
		sigaction(sigs[i], &old[i], NULL);
}

int deliver_run(const struct deliver_options *o, enum deliver_end *end, struct err *e)
{
	struct deliver d = {.o = o, .calling_since = clock_mono(), .waiting_since = clock_mono()};
	const int sigs[3] = {SIGINT, SIGTERM, SIGHUP};
	if (store_open(&d.store, STORE_WRITE, o->store, e) != 0)
		return -1;
	signal(SIGPIPE, SIG_IGN);
	d.loop = ev_loop_new(EVFLAG_AUTO);
	if (d.loop == NULL) {
		store_close(&d.store);
		return err_set(e, ERR_INTERNAL, "delivery", "no event loop: too few file descriptors?");
	}
	ev_async_init(&d.woken, on_woken);
	ev_timer_init(&d.tick, on_tick, 0.2, 0.2);
	d.woken.data = d.tick.data = &d;
	ev_async_start(d.loop, &d.woken);
	ev_timer_start(d.loop, &d.tick);
	sigset_t held;
	sigemptyset(&held);
	for (int i = 0; i < 3; i++) {
		ev_signal_init(&d.sig[i], on_signal, sigs[i]);
		d.sig[i].data = &d;
		ev_signal_start(d.loop, &d.sig[i]);
		sigaddset(&held, sigs[i]);
	}
	sigprocmask(SIG_UNBLOCK, &held, NULL); /* the caller may have held them back for us */
	int rc = take_lease(&d, e);
	if (rc >= 0) {
		look(&d);
		if (!d.stopping)
			ev_run(d.loop, 0);
		drain(&d);
		rc = d.failed ? -1 : 0;
		if (d.failed && e != NULL)
			*e = d.err;
		*end = d.end;
	} else {
		for (int i = 0; i < 3; i++)
			ev_signal_stop(d.loop, &d.sig[i]);
	}
	ev_loop_destroy(d.loop);
	store_close(&d.store);
	return rc;
}
