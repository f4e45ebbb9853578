#include "src/cli/copies.h"
#include "src/cli/output.h"
#include "src/db/copies.h"

static int run(struct cli *c, struct err *e)
{
	struct store_config sc;
	struct store *s = NULL;
	struct adopted done;
	if (cli_store_config(c, &sc, e) != 0)
		return -1;
	sc.adopting = true;
	if (store_open(&s, STORE_WRITE, &sc, e) != 0)
		return -1;
	int home = store_is_home(s, e), rc = -1;
	if (home == 1)
		rc = err_set(
			e, ERR_DATA, "adopt", "%s is at home here already; nothing was changed", sc.path);
	else if (home == 0 && copies_adopt(c, s, "adopt", 0, NULL, &done, e) == 0)
		rc = copies_report(c, s, &done, e);
	store_close(&s);
	return rc;
}

const struct command cmd_adopt = {
	.name = "adopt",
	.group = GROUP_SYSTEM,
	.summary = "make a copied database the one that sends",
	.help = "A database is at home on one machine. One that was carried to another, or copied\n"
		"beside the original, is only read: two that send would mail people twice. This\n"
		"makes it at home here. Every campaign that is not over is paused first, with\n"
		"the reason `restored`; if there is one, the exit status is 76.\n"
		"The original must not send any more.\n",
	.run = run,
};
