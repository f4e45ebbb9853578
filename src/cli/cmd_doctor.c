/* doctor: what is wrong with this installation, and what to do about it. */
#include "src/cli/campaign_view.h"
#include "src/cli/findings.h"
#include "src/cli/output.h"
#include "src/cli/progress.h"
#include "src/cli/run.h"
#include "src/db/check.h"
#include "src/db/lease.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct doctor {
	struct cli *c;
	struct progress *line;
	struct self_count count;
};

static int show(struct doctor *d, const struct self_finding *f)
{
	static const char *const names[SELF_NSEVERITIES] = {[SELF_PASS] = "pass",
		[SELF_INFO] = "info",
		[SELF_SKIP] = "skip",
		[SELF_WARN] = "warn",
		[SELF_FAIL] = "fail"};
	if (d->c->quiet && f->severity == SELF_PASS)
		return 0;
	return finding_print(d->c, &(struct shown_finding){.id = f->id,
					   .severity = names[f->severity],
					   .where = f->where,
					   .text = str_from(f->text),
					   .remedy = f->remedy});
}

static int say(struct doctor *d, const char *id, enum self_severity severity, const char *where,
	const char *remedy, const char *text)
{
	const struct self_finding f = {id, severity, str_from(where), text, remedy};
	d->count.severity[severity]++;
	return show(d, &f);
}

/* ---- Files ---- */

/* After stat(): errno says what is wrong. `gone`: what to do where it is not there. */
static int unread(struct doctor *d, const char *path, const char *what, const char *gone)
{
	char text[200];
	bool is_gone = errno == ENOENT || errno == ENOTDIR;
	snprintf(text, sizeof text, "the %s cannot be read: %s", what, strerror(errno));
	return say(d, "files", SELF_FAIL, path,
		is_gone ? gone : "run it as the user that sends, to whom folder and file must be open", text);
}

/* What nobody else may do with it: bits of its mode. */
static int check_mode(
	struct doctor *d, const char *path, unsigned forbidden, enum self_severity severity, const char *what)
{
	struct stat st;
	char text[200], remedy[300];
	if (path == NULL)
		return 0;
	if (stat(path, &st) != 0)
		return errno == ENOENT && severity != SELF_FAIL
			       ? 0
			       : unread(d, path, what,
					 "bring it back: from a backup, or a password from where you keep "
					 "it");
	if ((st.st_mode & forbidden) == 0)
		return 0;
	snprintf(text, sizeof text, "the %s can be %s by others (mode %04o)", what,
		(st.st_mode & forbidden & 0044) != 0 ? "read" : "changed", (unsigned)st.st_mode & 07777);
	snprintf(remedy, sizeof remedy, "chmod %s %.250s", (forbidden & 0044) != 0 ? "600" : "go-w", path);
	return say(d, "files", severity, path, remedy, text);
}

static int check_keys(struct doctor *d, const struct config *c)
{
	for (size_t i = 0; i < c->nfiles; i++)
		if (check_mode(d, c->files[i], 0022, SELF_FAIL, "configuration") != 0)
			return -1;
	for (size_t i = 0; i < c->ndkim; i++)
		if (check_mode(d, c->dkim[i].key, 0077, SELF_FAIL, "DKIM key") != 0)
			return -1;
	for (size_t i = 0; i < c->nroutes; i++)
		if (c->routes[i].password.from == SECRET_FILE &&
			check_mode(d, c->routes[i].password.value, 0077, SELF_FAIL, "password") != 0)
			return -1;
	for (size_t i = 0; i < c->nmailboxes; i++)
		if (c->mailboxes[i].password.from == SECRET_FILE &&
			check_mode(d, c->mailboxes[i].password.value, 0077, SELF_FAIL, "password") != 0)
			return -1;
	return check_mode(d, c->return_path.certificate_key, 0077, SELF_FAIL, "key of the certificate");
}

static int check_database_files(struct doctor *d, const struct config *c)
{
	static const char *const ends[] = {"-wal", "-shm"};
	char path[PATH_MAX];
	struct stat st;
	if (stat(c->database, &st) != 0)
		return unread(d, c->database, "database",
			"`postrider init` makes a new one; or bring it back from a backup");
	if (check_mode(d, c->database, 0077, SELF_FAIL, "database") != 0)
		return -1;
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s%s", c->database, ends[i]);
		if (check_mode(d, path, 0077, SELF_WARN, "database's log") != 0)
			return -1;
	}
	return 0;
}

/* SQLite's log is shared by memory: on a network file system two machines would damage the database. */
static int check_place(struct doctor *d, const struct config *c)
{
	static const struct {
		long type;
		const char *text;
	} remote[] = {{NFS_SUPER_MAGIC, "the database is on NFS"},
		{SMB_SUPER_MAGIC, "the database is on SMB"}, {SMB2_SUPER_MAGIC, "the database is on SMB"},
		{CIFS_SUPER_MAGIC, "the database is on SMB"}, {CEPH_SUPER_MAGIC, "the database is on Ceph"},
		{AFS_SUPER_MAGIC, "the database is on AFS"}};
	struct statfs fs;
	if (statfs(c->database, &fs) != 0)
		return 0;
	for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
		if ((long)fs.f_type == remote[i].type)
			return say(d, "place", SELF_WARN, c->database,
				"put it on a disk of this machine; two machines that use it at once would "
				"damage it",
				remote[i].text);
	return say(d, "place", SELF_PASS, "", NULL, "the database is on a file system of this machine");
}

static int check_files(struct doctor *d, const struct config *c)
{
	int64_t before = d->count.severity[SELF_FAIL] + d->count.severity[SELF_WARN];
	if (check_mode(d, c->secret_file, 0077, SELF_FAIL, "secret") != 0 || check_keys(d, c) != 0 ||
		check_database_files(d, c) != 0 ||
		check_mode(d, c->log.deliveries, 0077, SELF_WARN, "delivery log") != 0)
		return -1;
	if (before == d->count.severity[SELF_FAIL] + d->count.severity[SELF_WARN] &&
		say(d, "files", SELF_PASS, "", NULL,
			"secrets, keys and the database are for their owner alone") != 0)
		return -1;
	return check_place(d, c);
}

/* ---- The database ---- */

static int on_finding(void *ctx, const struct self_finding *f)
{
	struct doctor *d = ctx;
	/* The line of progress makes room. */
	progress_end(&d->line);
	int rc = show(d, f);
	d->line = progress_new(d->c);
	return rc;
}

static int on_step(void *ctx, const char *doing, int64_t done, int64_t of)
{
	struct doctor *d = ctx;
	char a[TEXT_NUMBER], b[TEXT_NUMBER];
	if (!progress_due(d->line))
		return 0;
	if (of > 0)
		progress_set(d->line, "%s: %s of %s", doing, text_count(done, a), text_count(of, b));
	else
		progress_set(d->line, "%s", doing);
	return 0;
}

struct waiting {
	struct doctor *d;
	const struct holder *h; /* NULL: nobody delivers */
};

/* Stopped for a cause, or left lying: nothing else would say so to whoever is not looking. */
static int one_campaign(void *ctx, const struct campaign_row *c)
{
	struct waiting *w = ctx;
	struct buf text = BUF_INIT(4096), remedy = BUF_INIT(4096);
	bool served = w->h != NULL && (c->state != CAMPAIGN_SCHEDULED || strcmp(w->h->what, "serve") == 0);
	if (c->state == CAMPAIGN_PAUSED && !str_is(c->why, "user") && !str_is(c->why, "canary")) {
		buf_printf(&text, "it is paused (%.*s): %.*s", STR_ARG(c->why), STR_ARG(c->why_text));
		view_remedy(&remedy, c->why, c->name);
	} else if (c->state != CAMPAIGN_PAUSED && !served) {
		buf_printf(&text, c->state == CAMPAIGN_SCHEDULED
					  ? "it is scheduled, and no `postrider serve` runs"
					  : "it is not over, and nobody delivers");
		buf_printf(&remedy, "start `postrider serve`, or `postrider resume %.*s`", STR_ARG(c->name));
	}
	const struct self_finding f = {"campaign", SELF_WARN, c->name, buf_cstr(&text), buf_cstr(&remedy)};
	bool found = text.len > 0;
	w->d->count.severity[SELF_WARN] += found;
	int rc = found ? show(w->d, &f) : 0;
	buf_release(&text);
	buf_release(&remedy);
	return rc;
}

/* Who delivers read the configuration when it began. */
static int check_holder(struct doctor *d, struct store *s)
{
	struct holder h;
	char text[200];
	const struct config *cfg = cli_config(d->c, NULL);
	bool held = store_lease_get(s, clock_now(), &h, NULL) == 1;
	struct waiting w = {d, held ? &h : NULL};
	const char *file = cfg != NULL && held ? run_changed_since(cfg, h.since) : NULL;
	/* Before a migration it cannot be read by what is now. */
	struct err older;
	if (store_campaigns(s, true, one_campaign, &w, &older) != 0 && ferror(stdout))
		return -1;
	if (file == NULL)
		return 0;
	snprintf(text, sizeof text,
		"it was changed since `%s` (process %lld) began, which goes by what it read then", h.what,
		(long long)h.pid);
	return say(d, "configuration", SELF_WARN, file,
		"stop that process and start it again: nothing is lost", text);
}

static int check_database(struct doctor *d, bool glance, struct err *e)
{
	const struct self_check o = {.row = on_finding, .step = on_step, .ctx = d, .glance = glance};
	struct self_count found;
	struct store_config sc;
	struct store *s = NULL;
	if (cli_store_config(d->c, &sc, e) != 0)
		return -1;
	sc.older = true;
	if (store_open(&s, STORE_READ, &sc, e) != 0)
		return -1;
	d->line = progress_new(d->c);
	int rc = store_check(s, &o, &found, e);
	progress_end(&d->line);
	if (rc == 0 && check_holder(d, s) != 0)
		rc = output_error(e);
	store_close(&s);
	for (int i = 0; i < SELF_NSEVERITIES; i++)
		d->count.severity[i] += found.severity[i];
	return rc;
}

/* Whether it can be opened is a finding here; that a file is missing was said. */
static int glance_at_database(struct doctor *d, const struct config *cfg, struct err *e)
{
	struct err why = {0};
	struct stat st;
	char text[600], size[TEXT_NUMBER];
	if (stat(cfg->database, &st) != 0 || access(cfg->secret_file, R_OK) != 0)
		return 0;
	if (check_database(d, true, &why) != 0) {
		snprintf(text, sizeof text, "%s: %s", why.what, why.why);
		return say(d, "database", SELF_FAIL, "", why.remedy[0] != '\0' ? why.remedy : NULL, text) != 0
			       ? output_error(e)
			       : 0;
	}
	snprintf(text, sizeof text, "%s, of which this was a glance: `doctor --database` reads all of it",
		text_bytes(st.st_size, size));
	return say(d, "database", SELF_INFO, cfg->database, NULL, text) != 0 ? output_error(e) : 0;
}

static int run(struct cli *c, struct err *e)
{
	struct doctor d = {.c = c};
	const struct config *cfg = cli_config(c, e);
	if (cfg == NULL)
		return -1;
	if (check_files(&d, cfg) != 0)
		return output_error(e);
	if ((cli_given(c, "database") ? check_database(&d, false, e) : glance_at_database(&d, cfg, e)) != 0)
		return -1;
	return d.count.severity[SELF_FAIL] > 0 ? ERR_CHECK : 0;
}

static const struct option options[] = {
	{.name = "database", .help = "also whether all that the database holds adds up"},
	{0},
};

const struct command cmd_doctor = {
	.name = "doctor",
	.group = GROUP_SYSTEM,
	.summary = "look for what is wrong with this installation",
	.help = "Whether secrets, keys and the database are for their owner alone, and lie where\n"
		"they are safe; whether the database can be opened, has its tables, is at home on\n"
		"this machine, and who delivers. --database reads all of it: that the ledger adds\n"
		"up, that nobody was mailed after they had been suppressed, that the file is\n"
		"sound. It changes nothing, and works while another process sends.\n"
		"Exit status 1: something fails.\n",
	.options = options,
	.run = run,
};
