/* backup and restore. */
#include "src/cli/copies.h"
#include "src/cli/output.h"
#include "src/cli/progress.h"
#include "src/db/check.h"
#include "src/db/copies.h"
#include "src/serve/backup.h"

#include "src/base/log.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = sig;
}

/* What was begun is taken back, then the program ends. */
static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	for (size_t i = 0; i < 3; i++)
		sigaction(signals[i], &a, NULL);
}

static int on_progress(void *ctx, const char *what, int64_t done, int64_t of)
{
	struct progress *line = ctx;
	char a[TEXT_NUMBER], b[TEXT_NUMBER];
	if (progress_due(line) && of == 0)
		progress_set(line, "%s", what);
	else if (progress_due(line))
		progress_set(line, "%s: %s of %s", what, text_bytes(done, a), text_bytes(of, b));
	return stopped;
}

static int print_files(const struct cli *c, const json_t *manifest)
{
	size_t i;
	const json_t *f;
	json_array_foreach(json_object_get(manifest, "files"), i,
		f) if (out_printf(c, "  %s\n",
			       out_safe(str_from(json_string_value(json_object_get(f, "name"))))) !=
		       0) return -1;
	return 0;
}

/* What somebody has to bring along in another way. */
static int print_left_out(const struct cli *c, const json_t *manifest, const char *title)
{
	const json_t *list = json_object_get(manifest, "not_copied"), *f;
	size_t i;
	if (json_array_size(list) > 0 && out_printf(c, "%s\n", title) != 0)
		return -1;
	json_array_foreach(list, i, f)
	{
		const char *what = "", *where = "", *why = "";
		if (json_unpack((json_t *)f, "{s:s, s:s, s:s}", "what", &what, "where", &where, "why",
			    &why) == 0 &&
			out_printf(c, "  %s: %s (%s)\n", out_safe(str_from(what)), out_safe(str_from(where)),
				out_safe(str_from(why))) != 0)
			return -1;
	}
	return 0;
}

/* ---- backup ---- */

static int report(struct cli *c, json_t *manifest, const char *file, struct err *e)
{
	struct stat st = {0};
	char bytes[TEXT_NUMBER];
	(void)stat(file, &st);
	if (c->json) {
		json_t *o = json_object();
		json_put(o, "file", json_str(str_from(file)));
		json_put(o, "bytes", json_integer(st.st_size));
		json_object_update(o, manifest);
		return json_document(o) == 0 ? 0 : output_error(e);
	}
	if (c->quiet)
		return 0;
	if (out_printf(c, "%s: %s, with\n", out_safe(str_from(file)), text_bytes(st.st_size, bytes)) != 0 ||
		print_files(c, manifest) != 0 || print_left_out(c, manifest, "Not in it:") != 0)
		return output_error(e);
	return 0;
}

static int backup_run(struct cli *c, struct err *e)
{
	const struct config *cfg = cli_config(c, e);
	struct store *s = cfg != NULL ? cli_store(c, STORE_READ, e) : NULL;
	json_t *manifest;
	if (s == NULL)
		return -1;
	catch_signals();
	struct progress *line = progress_new(c);
	const struct backup_watch w = {on_progress, line};
	int rc = backup_write(s, cfg, c->args[0], &w, &manifest, e);
	progress_end(&line);
	if (rc == 0)
		rc = report(c, manifest, c->args[0], e);
	json_decref(manifest);
	return rc;
}

const struct command cmd_backup = {
	.name = "backup",
	CLI_ONE_ARG("FILE"),
	.group = GROUP_SYSTEM,
	.summary = "write everything into one file, also while sending",
	.help = "A tar archive, mode 0600: the database as it is at this moment, the secret, the\n"
		"configuration with what it includes, reply rules, DKIM keys, and checksums.\n"
		"Passwords, and TLS keys of [return-path], are named and not copied. FILE must\n"
		"not exist; it is there when it is whole. The folder needs room for the database\n"
		"twice. Whoever has the file can read your lists and sign your mail.\n",
	.run = backup_run,
};

/* ---- restore ---- */

static int check_database(struct store *s, const struct backup_watch *w, struct err *e)
{
	struct buf what = BUF_INIT(500);
	int fine = store_integrity(s, w->progress, w->ctx, &what, e);
	if (fine == 0)
		err_set(e, ERR_DATA, "restore", "the database in it is damaged: %.300s", buf_cstr(&what));
	buf_release(&what);
	return fine == 1 ? 0 : -1;
}

/* The database has another name until it is known to be whole, and nothing in it goes on by itself. */
static int take_over(
	struct cli *c, struct restore *r, const struct backup_watch *w, struct adopted *done, struct err *e)
{
	struct store_config sc;
	struct store *s = NULL;
	if (cli_store_config(c, &sc, e) != 0)
		return -1;
	sc.path = restore_database_temp(r);
	sc.adopting = true;
	int rc = store_open(&s, STORE_WRITE, &sc, e);
	if (rc == 0)
		rc = check_database(s, w, e);
	if (rc == 0)
		rc = copies_adopt(c, s, "restore", restore_made(r), restore_database(r), done, e);
	store_close(&s);
	return rc == 0 ? restore_finish(r, e) : -1;
}

static int restore_steps(
	struct cli *c, struct restore *r, const struct backup_watch *w, struct adopted *done, struct err *e)
{
	if (restore_place(r, e) != 0)
		return -1;
	c->config_path = restore_config(r);
	return cli_config(c, e) != NULL ? take_over(c, r, w, done, e) : -1;
}

static int restored(struct cli *c, const struct restore *r, const struct adopted *done, struct err *e)
{
	struct store *s = cli_store(c, STORE_WRITE, e);
	if (s == NULL)
		return -1;
	if (!c->json &&
		(out_printf(c, "Restored beside %s:\n", out_safe(str_from(restore_database(r)))) != 0 ||
			print_files(c, restore_manifest(r)) != 0 ||
			print_left_out(c, restore_manifest(r), "Not in the backup; bring it along:") != 0))
		return output_error(e);
	return copies_report(c, s, done, e);
}

static int restore_run(struct cli *c, struct err *e)
{
	struct restore *r;
	struct adopted done;
	struct stat st;
	if (c->config_path != NULL)
		return cli_usage(c, e, "it brings its own configuration: leave out --config");
	if (stat(c->args[0], &st) == 0 && (st.st_mode & 077) != 0)
		log_warn("%s can be read by others, and holds all addresses and keys", c->args[0]);
	catch_signals();
	struct progress *line = progress_new(c);
	const struct backup_watch w = {on_progress, line};
	int rc = restore_unpack(&r, c->args[0], c->nargs > 1 ? c->args[1] : NULL, &w, e);
	if (rc == 0)
		rc = restore_steps(c, r, &w, &done, e);
	progress_end(&line);
	if (rc == 0)
		rc = restored(c, r, &done, e);
	restore_free(&r);
	c->config_path = NULL;
	return rc;
}

const struct command cmd_restore = {
	.name = "restore",
	.args = "FILE [DIR]",
	.min_args = 1,
	.max_args = 2,
	.group = GROUP_SYSTEM,
	.summary = "bring back what backup has written",
	.help = "Into the folder that it was made from, or into DIR; what lay elsewhere goes\n"
		"where it was. Nothing that is there is overwritten. Checksums and the database\n"
		"are checked before it gets its name.\n"
		"What happened after the backup is not in it: every campaign that is not over is\n"
		"paused (exit status 76), and `resume` says what to look at first. A backup is as\n"
		"trusted as the configuration in it, which may name commands.\n",
	.run = restore_run,
};
