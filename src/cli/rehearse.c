#include "src/cli/rehearse.h"

#include "src/cli/output.h"
#include "src/cli/run.h"
#include "src/db/copies.h"
#include "src/db/lease.h"
#include "src/serve/sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rehearsal {
	char dir[256], db[280];
	struct store *store;
	struct sandbox *sandbox;
	struct config config; /* the real one, but for routes and times */
	struct config_route route;
	ms_t delay;
	struct store_config sc;
};

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = sig;
}

/* Otherwise everybody's addresses would lie about in a temporary folder. */
static void catch_signals(void)
{
	struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaction(signals[i], &a, NULL);
}

/* From here on they wait: before the delivery until that takes them, behind it for
 * ever. */
static void hold_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int on_step(void *ctx, int64_t done, int64_t of)
{
	(void)ctx, (void)done, (void)of;
	return stopped;
}

static int end_early(struct err *e)
{
	return err_set(e, ERR_AGAIN, "rehearsal", "interrupted; nothing was recorded");
}

static int interrupted(struct err *e)
{
	return stopped != 0 ? end_early(e) : 0;
}

static const ms_t PATIENCE = 5 * SECOND; /* for what the sandbox defers: retries come after one second */

static int drop_campaign(void *ctx, const struct campaign_row *c)
{
	struct store *s = ctx;
	return store_campaign_cancel(s, c->id, clock_now(), NULL) != 0 && c->state != CAMPAIGN_CANCELLED ? 1
													 : 0;
}

/* The copy is ours alone: nobody holds it, and nothing else is to be delivered from it. */
static int make_copy(struct cli *c, struct rehearsal *r, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	struct holder h;
	struct store *real = cli_store(c, STORE_WRITE, e);
	snprintf(r->dir, sizeof r->dir, "%s/postrider-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
	if (real == NULL)
		return -1;
	if (mkdtemp(r->dir) == NULL) {
		r->dir[0] = '\0';
		return err_sys(e, ERR_CREATE, "rehearsal", tmp);
	}
	snprintf(r->db, sizeof r->db, "%s/rehearsal.db", r->dir);
	if (store_backup(real, r->db, on_step, NULL, e) != 0) {
		interrupted(e);
		return -1;
	}
	if (cli_store_config(c, &r->sc, e) != 0)
		return -1;
	r->sc.path = r->db;
	r->sc.home = NULL;
	if (store_open(&r->store, STORE_WRITE, &r->sc, e) != 0)
		return -1;
	if (store_lease_get(r->store, clock_now(), &h, e) == 1 &&
		store_lease_release(r->store, h.epoch, e) != 0)
		return -1;
	if (store_campaigns(r->store, true, drop_campaign, r->store, e) != 0)
		return err_set(e, ERR_INTERNAL, "rehearsal", "the copy could not be prepared");
	return 0;
}

static int open_world(struct cli *c, struct rehearsal *r, struct err *e)
{
	const struct sandbox_options so = {.profile = "typical", .seed = 1, .no_words = true};
	const struct config *real = cli_config(c, e);
	if (real == NULL || (r->sandbox = sandbox_start(&so, e)) == NULL)
		return -1;
	r->route = (struct config_route){
		.name = "sandbox",
		.kind = ROUTE_RELAY,
		.host = "127.0.0.1",
		.port = sandbox_port(r->sandbox),
		.tls = ROUTE_TLS_NONE,
		.connections = 20,
		.messages_per_connection = 500,
		.chunking = ROUTE_CHUNKING_YES,
		.ahead = 16,
		.ahead_far = 16,
		.weight = -1,
	};
	r->config = *real;
	r->config.routes = &r->route;
	r->config.nroutes = 1;
	r->config.nsources = 0;
	r->config.quiet_from = r->config.quiet_to = 0;
	r->delay = SECOND;
	r->config.retry_delays = &r->delay;
	r->config.nretry = 1;
	return 0;
}

static void clean_up(struct rehearsal *r)
{
	static const char *const files[] = {"", "-wal", "-shm"};
	char path[300];
	hold_signals();
	sandbox_stop(&r->sandbox);
	store_close(&r->store);
	if (r->dir[0] == '\0')
		return;
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s%s", r->db, files[i]);
		unlink(path);
	}
	rmdir(r->dir);
}

static int deliver(
	struct cli *c, struct rehearsal *r, struct launch *l, const char *name, int64_t first, struct err *e)
{
	char copy[300];
	int64_t id;
	enum deliver_end end;
	struct report report;
	struct store *real = l->store;
	snprintf(copy, sizeof copy, "rehearsal of %.250s", name);
	const struct route_plan plan = {.config = &r->config, .n = 1};
	struct launch_options o = {.name = copy, .plan = &plan, .canary = first, .now = clock_now()};
	l->store = r->store;
	int rc = launch_campaign(l, &o, &id, e);
	l->store = real;
	hold_signals();
	if (rc != 0 || interrupted(e) != 0 ||
		run_deliver(c, &r->config, &r->sc, id, "rehearsal", PATIENCE, &end, e) != 0)
		return -1;
	hold_signals();
	if (report_gather(&report, r->store, id, true, clock_now(), e) != 0)
		return -1;
	report.rehearsal = true;
	/* Nobody goes on with it; what is left would only wait. */
	bool waits = end == DELIVER_PATIENCE;
	if (waits)
		report.state = campaign_state_names[CAMPAIGN_WAITING];
	bool finished = report.campaign.state == CAMPAIGN_FINISHED;
	rc = run_print(c, &report, e);
	report_release(&report);
	fflush(stdout);
	if (rc == 0 && end == DELIVER_INTERRUPTED && !finished)
		return end_early(e);
	if (rc == 0 && !c->quiet && !c->json)
		fprintf(stderr,
			"postrider: this was a rehearsal against the built-in sandbox: nothing left this "
			"machine, nothing was recorded%s\n",
			waits ? "; what is deferred would be tried again" : "");
	return rc;
}

int rehearse_campaign(struct cli *c, struct launch *l, const char *name, int64_t first, struct err *e)
{
	struct rehearsal *r = calloc(1, sizeof *r);
	int rc = -1;
	if (r == NULL)
		return err_set(e, ERR_INTERNAL, "rehearsal", "out of memory");
	catch_signals();
	if (make_copy(c, r, e) == 0 && open_world(c, r, e) == 0)
		rc = deliver(c, r, l, name, first, e);
	clean_up(r);
	free(r);
	return rc;
}
