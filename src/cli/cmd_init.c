#include "src/cli/private.h"

#include "engine/token.h"
#include "src/base/file.h"
#include "src/base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

extern const unsigned char asset_postrider_conf[], asset_newsletter_md[], asset_readers_csv[];
extern const size_t asset_postrider_conf_len, asset_newsletter_md_len, asset_readers_csv_len;

#define SECRET_BYTES 32

struct work {
	struct cli *c;
	json_t *created, *kept;
};

static int tell(struct work *w, const char *path, bool created)
{
	if (w->c->json)
		return json_array_append_new(created ? w->created : w->kept, json_str(str_from(path)));
	return out_printf(w->c, "%s %s\n", created ? "  wrote" : "  kept ", out_safe(str_from(path)));
}

static int put(struct work *w, const char *path, struct str data, unsigned mode, struct err *e)
{
	if (file_exists(path))
		return tell(w, path, false) == 0 ? 0 : output_error(e);
	if (file_create(path, data, mode, e) != 0)
		return -1;
	return tell(w, path, true) == 0 ? 0 : output_error(e);
}

static int put_beside(struct work *w, const char *conf, const char *name, const unsigned char *data, size_t n,
	struct err *e)
{
	char *path = path_beside(conf, name);
	if (path == NULL)
		return err_set(e, ERR_INTERNAL, "init", "out of memory");
	int rc = put(w, path, str_n((const char *)data, n), 0644, e);
	free(path);
	return rc;
}

static int put_secret(struct work *w, const struct config *cfg, struct err *e)
{
	unsigned char key[SECRET_BYTES];
	char text[2 * SECRET_BYTES + 2];
	if (!file_exists(cfg->secret_file) && file_exists(cfg->database)) {
		err_set(e, ERR_CREATE, "init", "there is a database, but its secret %s is missing",
			cfg->secret_file);
		return err_remedy(e, "restore it from a backup: with another one, links in mail that was "
				     "sent stop working");
	}
	random_bytes(key, sizeof key);
	hex_encode(key, sizeof key, text);
	text[2 * SECRET_BYTES] = '\n';
	int rc = put(w, cfg->secret_file, str_n(text, 2 * SECRET_BYTES + 1), 0600, e);
	explicit_bzero(key, sizeof key);
	explicit_bzero(text, sizeof text);
	return rc;
}

static int put_database(struct work *w, const struct config *cfg, struct err *e)
{
	struct store_config sc;
	struct store *s = NULL;
	if (file_exists(cfg->database))
		return tell(w, cfg->database, false) == 0 ? 0 : output_error(e);
	const struct token_keys *keys = cli_keys(w->c, e);
	if (keys == NULL || cli_store_config(w->c, &sc, e) != 0)
		return -1;
	sc.forget_key = token_forget_key(keys);
	if (store_open(&s, STORE_CREATE, &sc, e) != 0)
		return -1;
	store_close(&s);
	return tell(w, cfg->database, true) == 0 ? 0 : output_error(e);
}

/* The example goes with a fresh configuration only: in a folder of somebody's own it would be in the way. */
static int put_all(struct work *w, const char *conf, bool fresh, struct err *e)
{
	if (put(w, conf, str_n((const char *)asset_postrider_conf, asset_postrider_conf_len), 0644, e) != 0)
		return -1;
	if (fresh &&
		(put_beside(w, conf, "newsletter.md", asset_newsletter_md, asset_newsletter_md_len, e) != 0 ||
			put_beside(w, conf, "readers.csv", asset_readers_csv, asset_readers_csv_len, e) != 0))
		return -1;
	w->c->config_path = conf;
	const struct config *cfg = cli_config(w->c, e);
	if (cfg == NULL || put_secret(w, cfg, e) != 0)
		return -1;
	return put_database(w, cfg, e);
}

/* With the example that was written; who has a configuration goes on with lists of their own. */
static int next_steps(const struct cli *c, const char *dir, bool fresh)
{
	if (!fresh || c->quiet)
		return 0;
	out_printf(c, "\nNext:\n");
	if (dir != NULL && strcmp(dir, ".") != 0)
		out_printf(c, "  cd %s\n", out_safe(str_from(dir)));
	return out_printf(c, "  postrider import readers readers.csv\n"
			     "  postrider preview newsletter.md --list readers --nth 1\n"
			     "  postrider send newsletter.md --list readers --rehearse\n");
}

static int finish(struct work *w, const char *dir, bool fresh, int rc, struct err *e)
{
	if (rc == 0 && w->c->json) {
		json_t *doc = json_object();
		json_put(doc, "created", json_incref(w->created));
		json_put(doc, "kept", json_incref(w->kept));
		rc = json_document(doc) == 0 ? 0 : output_error(e);
	} else if (rc == 0) {
		rc = next_steps(w->c, dir, fresh) == 0 ? 0 : output_error(e);
	}
	json_decref(w->created);
	json_decref(w->kept);
	return rc;
}

static int init_run(struct cli *c, struct err *e)
{
	const char *dir = c->nargs > 0 ? c->args[0] : NULL;
	char *conf = NULL;
	if (c->config_path != NULL)
		return cli_usage(
			c, e, "it writes postrider.conf into DIR and reads no other: leave out --config");
	if (dir != NULL && mkdir(dir, 0755) != 0 && errno != EEXIST)
		return err_sys(e, ERR_CREATE, "cannot create the folder", dir);
	if (asprintf(&conf, "%s%spostrider.conf", dir != NULL ? dir : "", dir != NULL ? "/" : "") < 0)
		return err_set(e, ERR_INTERNAL, "init", "out of memory");
	struct work w = {c, json_array(), json_array()};
	bool fresh = !file_exists(conf);
	int rc = finish(&w, dir, fresh, put_all(&w, conf, fresh, e), e);
	free(conf);
	return rc;
}

const struct command cmd_init = {
	.name = "init",
	.args = "[DIR]",
	.summary = "write a configuration, an example newsletter and a database",
	.help = "In DIR (made if it is not there; else in this folder) it writes\n"
		"  postrider.conf   the configuration, with comments\n"
		"  newsletter.md, readers.csv   an example to try everything with\n"
		"  postrider.key    the secret that signs return paths and links (mode 0600)\n"
		"  postrider.db     the database\n"
		"Nothing that is there is overwritten: in a folder with a configuration of your\n"
		"own it only makes the secret and the database that are missing.\n",
	.group = GROUP_START,
	.max_args = 1,
	.run = init_run,
};
