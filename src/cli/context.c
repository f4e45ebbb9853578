/* What a command works with: configuration, zone, keys, who is asking. The store is in store.c. */
#include "src/cli/private.h"

#include "engine/shape/limits.h"
#include "engine/token.h"

#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const struct config *cli_config(struct cli *c, struct err *e)
{
	if (c->own->config == NULL && config_load(c->config_path, &c->own->config, e) == 0 &&
		limits_known(c->own->config, e) != 0)
		config_free(&c->own->config);
	return c->own->config;
}

const struct zone *cli_zone(struct cli *c, struct err *e)
{
	const struct config *cfg = cli_config(c, e);
	return cfg != NULL ? cfg->zone : NULL;
}

int cli_no_config(struct err *e)
{
	err_set(e, ERR_NOINPUT, "configuration",
		"there is no postrider.conf in this folder, and no /etc/postrider/postrider.conf");
	return err_remedy(
		e, "go where `postrider init` wrote it, name it with --config, or begin: `postrider init`");
}

const struct token_keys *cli_keys(struct cli *c, struct err *e)
{
	const struct config *cfg = cli_config(c, e);
	if (cfg == NULL)
		return NULL;
	if (c->own->keys == NULL && token_keys_load(cfg->secret_file, &c->own->keys, e) != 0) {
		if (e != NULL && e->code == ERR_NOINPUT && cfg->path == NULL)
			cli_no_config(e);
		else if (e != NULL && e->code == ERR_NOINPUT)
			err_remedy(e, "it was made by postrider init: restore it from a backup");
		return NULL;
	}
	return c->own->keys;
}

/* Without arguments: they may hold the address of somebody who asks to be forgotten. */
const char *cli_actor(const struct cli *c)
{
	char *out = c->own->actor, host[128] = "localhost";
	if (out[0] != '\0')
		return out;
	struct passwd *pw = getpwuid(geteuid());
	const char *sudo = getenv("SUDO_USER");
	const char *user = sudo != NULL && sudo[0] != '\0' ? sudo : pw != NULL ? pw->pw_name : NULL;
	gethostname(host, sizeof host - 1);
	if (user != NULL)
		snprintf(out, sizeof c->own->actor, "%.60s@%s", user, host);
	else
		snprintf(out, sizeof c->own->actor, "%ld@%s", (long)geteuid(), host);
	size_t n = strlen(out);
	snprintf(out + n, sizeof c->own->actor - n, " %s%s%s", c->parent != NULL ? c->parent->name : "",
		c->parent != NULL ? " " : "", c->command != NULL ? c->command->name : "");
	return out;
}

int cli_ask(struct cli *c, const char *question, const char *remedy, char *out, size_t size, struct err *e)
{
	if (!c->in_terminal || !c->err_terminal) {
		cli_usage(c, e, "this needs an answer, and there is no terminal to ask on");
		return err_remedy(e, "%s", remedy);
	}
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	sigset_t ends, now;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	/* A read would be taken up again behind a signal that the command has caught, and one that comes
	 * between the question and the wait would be missed. */
	sigprocmask(SIG_BLOCK, &ends, &now);
	fputs(question, stderr);
	fflush(stderr);
	int rc = ppoll(&in, 1, NULL, &now);
	sigprocmask(SIG_SETMASK, &now, NULL);
	if (rc < 0)
		return err_set(e, ERR_AGAIN, "no answer", "interrupted");
	if (fgets(out, (int)size, stdin) == NULL)
		return err_set(e, ERR_USAGE, "no answer", "the input ended");
	struct str s = str_trim(str_from(out));
	memmove(out, s.p, s.n);
	out[s.n] = '\0';
	return 0;
}

void cli_release(struct cli *c)
{
	store_close(&c->own->store);
	token_keys_free(&c->own->keys);
	config_free(&c->own->config);
	free(c->own->given);
	free(c->own->values);
	free(c->args);
}
