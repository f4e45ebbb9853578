#include "src/cli/private.h"

#include "engine/token.h"
#include "lists/address.h"
#include "lists/provider.h"
#include "src/base/file.h"

#include <stdio.h>

static void migrating(int from, int to, void *ctx)
{
	(void)ctx;
	fprintf(stderr, "postrider: the database is brought from version %d to %d\n", from, to);
}

int cli_store_config(struct cli *c, struct store_config *out, struct err *e)
{
	const struct config *cfg = cli_config(c, e);
	if (cfg == NULL)
		return -1;
	c->own->suppress = (struct suppress_rule){
		cfg->suppress.hard, cfg->suppress.soft, cfg->suppress.soft_days, cfg->suppress.complaint};
	machine_id(cfg->machine, c->own->home);
	*out = (struct store_config){.path = cfg->database,
		.suppress = &c->own->suppress,
		.actor = cli_actor(c),
		.home = c->own->home,
		.home_chosen = cfg->machine != NULL,
		.provider_of = provider_of_domain,
		.migrating = migrating};
	/* Where there is no database, that is what must be said first. */
	if (!file_exists(cfg->database))
		return cfg->path != NULL ? 0 : cli_no_config(e);
	const struct token_keys *keys = cli_keys(c, e);
	if (keys == NULL)
		return -1;
	out->forget_key = token_forget_key(keys);
	return 0;
}

struct store *cli_store(struct cli *c, enum store_mode mode, struct err *e)
{
	struct store_config sc;
	if (c->own->store != NULL && (c->own->mode == mode || c->own->mode == STORE_WRITE))
		return c->own->store;
	store_close(&c->own->store);
	if (cli_store_config(c, &sc, e) != 0 || store_open(&c->own->store, mode, &sc, e) != 0)
		return NULL;
	c->own->mode = mode;
	return c->own->store;
}
