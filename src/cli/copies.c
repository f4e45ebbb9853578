#include "src/cli/copies.h"

#include "src/base/log.h"
#include "src/cli/output.h"

#include <stdio.h>

enum { WARNED_FOR = 30 }; /* days */

static void say(void *ctx, const struct copy_campaign *k, ms_t as_of, const char *host, struct buf *text)
{
	struct cli *c = ctx;
	char when[TEXT_NUMBER], n[TEXT_NUMBER], all[TEXT_NUMBER];
	text_time(cli_zone(c, NULL), as_of, when);
	buf_printf(
		text, "this database is a copy as of %s%s%s: ", when, host[0] != '\0' ? " from " : "", host);
	if (k->audience == 0)
		buf_puts(text, "the campaign had not begun then, and may have been sent since");
	else
		buf_printf(text, "%s of %s recipients had not been mailed then, and may have been since",
			text_count(k->unsent, n), text_count(k->audience, all));
	if (k->doubt > 0)
		buf_printf(text, "; %s were in doubt", text_count(k->doubt, n));
}

int copies_adopt(struct cli *c, struct store *s, const char *how, ms_t as_of, const char *path,
	struct adopted *done, struct err *e)
{
	const struct adopt a = {.how = how,
		.as_of = as_of,
		.now = clock_now(),
		.detached = path != NULL,
		.home_path = path != NULL ? str_from(path) : STR(""),
		.say = say,
		.ctx = c};
	return cli_zone(c, e) != NULL ? store_adopt(s, &a, done, e) : -1;
}

struct listing {
	struct cli *c;
	json_t *campaigns;
	int64_t n;
};

static int list_one(void *ctx, const struct campaign_row *row)
{
	struct listing *l = ctx;
	if (!str_is(row->why, "restored"))
		return 0;
	l->n++;
	if (l->c->json) {
		json_t *o = json_object();
		json_put(o, "campaign", json_str(row->name));
		json_put(o, "text", json_str(row->why_text));
		return json_array_append_new(l->campaigns, o);
	}
	return out_printf(l->c, "Campaign %s is paused: %s\n", out_safe(row->name), out_safe(row->why_text));
}

int copies_report(struct cli *c, struct store *s, const struct adopted *done, struct err *e)
{
	struct listing l = {c, json_array(), 0};
	char when[TEXT_NUMBER];
	int rc = store_campaigns(s, true, list_one, &l, e);
	if (rc == 0 && c->json) {
		json_t *o = json_object();
		json_put(o, "host", json_str(str_from(done->host)));
		json_put(o, "as_of", json_time(done->as_of));
		json_put(o, "paused", json_incref(l.campaigns));
		rc = json_document(o) == 0 ? 0 : output_error(e);
	} else if (rc == 0) {
		rc = out_printf(c,
			     "It knows nothing of what happened elsewhere after %s: who unsubscribed, "
			     "complained or "
			     "bounced since is mailed again unless you bring it in (`postrider suppressions "
			     "import`, `postrider receive`), and who was forgotten since is back.\n",
			     text_time(cli_zone(c, NULL), done->as_of, when)) == 0 &&
				     (l.n == 0 ||
					     out_printf(c, "`postrider resume NAME` says what to look at "
							   "before a paused campaign goes on.\n") == 0)
			     ? 0
			     : output_error(e);
	} else if (rc > 0) {
		rc = output_error(e);
	}
	json_decref(l.campaigns);
	return rc != 0 ? -1 : l.n > 0 ? ERR_PAUSED : 0;
}

int copies_refuse(const struct campaign_row *row, struct err *e)
{
	char name[200];
	if (row->state != CAMPAIGN_PAUSED || !str_is(row->why, "restored"))
		return 0;
	snprintf(name, sizeof name, "%s", out_safe(row->name));
	err_set(e, ERR_PAUSED, "resume", "campaign \"%s\": %.300s", name, out_safe(row->why_text));
	return err_remedy(e,
		"`postrider contacts --of %s:queued,deferred` lists them; if nothing went out elsewhere "
		"since, and who "
		"unsubscribed since is brought in, `postrider resume %s --past-restore` goes on",
		name, name);
}

int copies_warn(struct cli *c, struct store *s, struct err *e)
{
	ms_t as_of, at;
	char from[TEXT_NUMBER], to[TEXT_NUMBER];
	int rc = store_adopted(s, &as_of, &at, e);
	if (rc == 1 && clock_now() - at < WARNED_FOR * DAY)
		log_warn("this database was a copy: it does not know who unsubscribed or bounced elsewhere "
			 "between %s "
			 "and %s, unless that was brought in",
			text_time(cli_zone(c, NULL), as_of, from), text_time(cli_zone(c, NULL), at, to));
	return rc < 0 ? -1 : 0;
}
