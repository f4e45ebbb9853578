#include "engine/access.h"
#include "lists/list_name.h"
#include "src/base/log.h"
#include "src/cli/campaign_view.h"
#include "src/cli/copies.h"
#include "src/cli/output.h"
#include "src/cli/rehearse.h"
#include "src/cli/run.h"
#include "src/cli/send.h"
#include "src/db/campaign.h"
#include "src/db/lease.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t CHECK_ALL =
	100000; /* recipients rendered before launch; of a larger audience, the first 1,000 */
static const int64_t CHECK_FIRST = 1000;
static const ms_t REPEAT_SPAN = 7 * DAY;

/* ---- Options ---- */

static int parse_rate(struct send *s, struct err *e)
{
	const char *text = cli_value(s->c, "rate");
	struct rate_spec r = {0};
	if (text == NULL)
		return 0;
	if (rate_parse(text, &r, e) != 0 || r.per_hour != 0 || r.per_day != 0 || !(r.per_second > 0))
		return cli_usage(s->c, e,
			"--rate takes a number a second or a minute, such as 20/s, not \"%s\"", text);
	s->rate = r.per_second;
	return 0;
}

static int parse_first(struct send *s, struct err *e)
{
	const char *text = cli_value(s->c, "first");
	char *end;
	if (text == NULL)
		return 0;
	double v = strtod(text, &end);
	if (end != text && v > 0 && strcmp(end, "%") == 0 && v <= 100) {
		s->first_share = v / 100;
		return 0;
	}
	long long n;
	if (!str_int(str_from(text), 1, INT32_MAX, &n))
		return cli_usage(s->c, e,
			"--first takes a number of recipients or a share such as 5%%, not \"%s\"", text);
	s->first = n;
	return 0;
}

static int parse_expect(struct send *s, struct err *e)
{
	const char *text = cli_value(s->c, "expect"), *dots = text != NULL ? strstr(text, "..") : NULL;
	long long min, max;
	if (text == NULL)
		return 0;
	struct str low = dots != NULL ? str_n(text, (size_t)(dots - text)) : str_from(text),
		   high = dots != NULL ? str_from(dots + 2) : low;
	if (!str_int(low, 0, INT64_MAX, &min) || !str_int(high, min, INT64_MAX, &max))
		return cli_usage(s->c, e, "--expect takes MIN..MAX, such as 9000..11000, not \"%s\"", text);
	s->min = min;
	s->max = max;
	return 0;
}

static int parse(struct send *s, struct err *e)
{
	struct cli *c = s->c;
	char when[TEXT_NUMBER];
	s->now = clock_now();
	s->max = -1;
	if (!cli_audience_given(c))
		return cli_usage(c, e, "say to whom: --list LIST, --where, --of …");
	if (cli_value_time(c, "at", s->now, &s->at, e) != 0 ||
		cli_value_time(c, "until", s->now, &s->until, e) != 0 || parse_rate(s, e) != 0 ||
		parse_first(s, e) != 0 || parse_expect(s, e) != 0 || run_patience(c, &s->patience, e) != 0)
		return -1;
	if (s->at != 0 && s->at < s->now - MINUTE)
		return cli_usage(c, e, "--at lies in the past: %s", text_time(cli_zone(c, e), s->at, when));
	if (s->until != 0 && s->until <= (s->at != 0 ? s->at : s->now))
		return cli_usage(
			c, e, "--until lies before the start: %s", text_time(cli_zone(c, e), s->until, when));
	return 0;
}

/* ---- Before anything is recorded ---- */

static int open_message(struct send *s, struct err *e)
{
	struct cli *c = s->c;
	struct audience_spec spec;
	struct store *store = cli_store(c, STORE_WRITE, e);
	if (store == NULL)
		return -1;
	cli_audience(c, &spec);
	if (personal_check_config(s->cfg, e) != 0 ||
		launch_open(&s->launch, c->args[0], NULL, s->cfg, store, e) != 0 ||
		launch_audience(&s->launch, &spec, e) != 0)
		return -1;
	s->name = cli_value(c, "name") != NULL ? cli_value(c, "name") : s->launch.name.p;
	const char *fault = name_fault(str_from(s->name));
	if (fault != NULL)
		return cli_usage(c, e, "--name: a campaign cannot be called so: %s", fault);
	return launch_plan(&s->launch, cli_value(c, "route"), e);
}

static int name_taken(struct send *s, struct err *e)
{
	err_set(e, ERR_DATA, "send",
		"campaign `%s` exists already, with another message or to another audience", s->name);
	return err_remedy(
		e, "to go on with that one: postrider resume %s; for a new one: --name ANOTHER", s->name);
}

static int check_repeats(struct send *s, struct err *e)
{
	int64_t n;
	char other[256];
	if (cli_given(s->c, "again"))
		return 0;
	if (launch_repeats(&s->launch, s->name, s->now - REPEAT_SPAN, &n, other, sizeof other, e) != 0)
		return -1;
	if (n == 0)
		return 0;
	char count[TEXT_NUMBER];
	err_set(e, ERR_DATA, "send",
		"%s of these people had the same message in the last 7 days, or wait for it, in campaign "
		"`%s`",
		text_count(n, count), other);
	return err_remedy(e, "--not-of %s leaves them out; --again sends it to them once more", other);
}

static int check_audience(struct send *s, struct err *e)
{
	char a[TEXT_NUMBER], b[TEXT_NUMBER], n[TEXT_NUMBER];
	if (store_audience_count(s->launch.store, &s->launch.audience, &s->selection, e) != 0)
		return -1;
	if (s->selection.audience == 0) {
		err_set(e, ERR_NOINPUT, "send",
			"nobody is left to send to: %s selected, %s of them suppressed, %s unsubscribed",
			text_count(s->selection.selected, n), text_count(s->selection.suppressed, a),
			text_count(s->selection.unsubscribed, b));
		return -1;
	}
	if (s->max >= 0 && (s->selection.audience < s->min || s->selection.audience > s->max)) {
		err_set(e, ERR_DATA, "send", "the audience is %s people, and --expect says %s to %s",
			text_count(s->selection.audience, n), text_count(s->min, a), text_count(s->max, b));
		return err_remedy(e, "look at it with `postrider contacts` and the same options");
	}
	if (s->first_share > 0)
		s->first = (int64_t)((double)s->selection.audience * s->first_share + 0.999);
	return 0;
}

static int check_message(struct send *s, struct err *e)
{
	const struct token_keys *keys = cli_keys(s->c, e);
	int64_t most = s->selection.audience < CHECK_ALL ? 0 : CHECK_FIRST;
	char n[TEXT_NUMBER], all[TEXT_NUMBER];
	struct check_options o = {.keys = keys, .most = most};
	if (keys == NULL)
		return -1;
	int rc = check_run(&s->launch, &o, &s->check, e);
	check_release(&s->check);
	if (rc != 0)
		return -1;
	if (s->check.failed == 0)
		return 0;
	if (e != NULL)
		*e = s->check.first;
	return err_remedy(e, "this is what %s would have got; the message fails for %s of %s",
		s->check.address, text_count(s->check.failed, n), text_count(s->check.checked, all));
}

static int check_size(const struct send *s, struct err *e)
{
	char have[TEXT_NUMBER], most[TEXT_NUMBER];
	for (size_t i = 0; i < s->launch.plan.n; i++) {
		const struct config_route *r = &s->cfg->routes[s->launch.plan.route[i]];
		if (r->size == 0 || s->check.bytes <= r->size)
			continue;
		err_set(e, ERR_DATA, "send", "the message is up to %s large, and route %s takes at most %s",
			text_bytes(s->check.bytes, have), r->name, text_bytes(r->size, most));
		return err_remedy(e, "put large files on a page, and link to it");
	}
	return 0;
}

/* A password that cannot be read is told before anything is recorded. */
static int check_login(const struct send *s, struct err *e)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < s->launch.plan.n; i++) {
		const struct config_route *r = &s->cfg->routes[s->launch.plan.route[i]];
		struct buf password = BUF_INIT(16 << 10);
		ms_t lifetime;
		if (access_used(r))
			rc = access_read(&r->password, &password, &lifetime, e);
		else if (r->password.from != SECRET_NONE)
			rc = config_secret(&r->password, &password, e);
		if (password.p != NULL)
			explicit_bzero(password.p, password.len);
		buf_release(&password);
	}
	return rc;
}

/* When it would be done, by what the configuration limits. */
static int look_ahead(struct send *s, struct err *e)
{
	const struct forecast_ask ask = {
		.messages =
			s->first > 0 && s->first < s->selection.audience ? s->first : s->selection.audience,
		.rate = s->rate,
		.start = s->at != 0 ? s->at : s->now,
	};
	return forecast(&s->forecast, &s->launch.plan, s->launch.store, &ask, e);
}

/* ---- Launch ---- */

static int confirm(const struct send *s, struct err *e)
{
	char answer[64], digits[64], expect[32];
	size_t n = 0;
	if (cli_given(s->c, "yes"))
		return 0;
	if (cli_ask(s->c, "Type the number of recipients to send it, anything else to stop: ",
		    "add --yes to send without being asked", answer, sizeof answer, e) != 0)
		return -1;
	for (const char *p = answer; *p != '\0'; p++)
		if (!isspace((unsigned char)*p) && *p != ',' && *p != '.')
			digits[n++] = *p;
	digits[n] = '\0';
	snprintf(expect, sizeof expect, "%lld", (long long)s->selection.audience);
	return strcmp(digits, expect) == 0
		       ? 0
		       : err_set(e, ERR_USAGE, "send", "not confirmed; nothing was sent or recorded");
}

static int somebody_delivers(struct send *s, struct holder *h, struct err *e)
{
	return store_lease_get(s->launch.store, clock_now(), h, e);
}

/* --detach and --at: recorded; who delivers takes it up. */
static int leave_it(struct send *s, int64_t id, struct err *e)
{
	struct holder h;
	int alive = somebody_delivers(s, &h, e);
	if (alive < 0)
		return -1;
	struct report r;
	if (report_gather(&r, s->launch.store, id, false, clock_now(), e) != 0)
		return -1;
	int rc = s->c->json ? json_document(view_json(&r, false, clock_now()))
			    : out_printf(s->c, "Campaign %s is recorded (%s).\n", out_safe(r.campaign.name),
				      r.state);
	report_release(&r);
	if (rc != 0)
		return output_error(e);
	run_warn_changed(s->c, s->launch.store);
	if (alive == 1 && strcmp(h.what, "serve") == 0)
		return 0;
	if (s->at > clock_now())
		log_warn("no `postrider serve` is running: start one, which begins it then");
	else
		log_warn("no `postrider serve` is running: start one, or `postrider resume %s` delivers it "
			 "here",
			s->name);
	return ERR_AGAIN;
}

static int go_on(struct send *s, const struct campaign_row *row, struct err *e)
{
	int64_t id = row->id;
	switch (row->state) {
	case CAMPAIGN_FINISHED:
	case CAMPAIGN_CANCELLED:
	case CAMPAIGN_PAUSED:
		if (!s->c->quiet)
			fprintf(stderr,
				"postrider: campaign `%s` was launched before; this is how it stands\n",
				out_safe(row->name));
		return run_show(s->c, id, e);
	case CAMPAIGN_SCHEDULED:
		return leave_it(s, id, e);
	default:
		return cli_given(s->c, "detach") ? leave_it(s, id, e)
						 : run_campaign(s->c, id, "send", s->patience, e);
	}
}

static int launch(struct send *s, struct err *e)
{
	struct launch_options o = {
		.name = s->name,
		.plan = &s->launch.plan,
		.rate = s->rate,
		.canary = s->first,
		.start_at = s->at,
		.until = s->until,
		.now = s->now,
	};
	struct campaign_row row;
	enum launch_known known;
	int64_t id;
	if (launch_campaign(&s->launch, &o, &id, e) != 0) {
		/* The same command may have been given twice at one moment, and the other was first. */
		struct err unknown;
		if (launch_known(&s->launch, s->name, &known, &row, &unknown) != 0 || known == LAUNCH_NEW)
			return -1;
		return known == LAUNCH_SAME ? go_on(s, &row, e) : name_taken(s, e);
	}
	if (s->at != 0 || cli_given(s->c, "detach"))
		return leave_it(s, id, e);
	return run_campaign(s->c, id, "send", s->patience, e);
}

static int send_steps(struct send *s, struct err *e)
{
	enum launch_known known;
	struct campaign_row row;
	bool dry = cli_given(s->c, "dry-run"), rehearse = cli_given(s->c, "rehearse");
	if (open_message(s, e) != 0 || launch_known(&s->launch, s->name, &known, &row, e) != 0)
		return -1;
	if (known == LAUNCH_SAME && !dry && !rehearse)
		return go_on(s, &row, e);
	if (known == LAUNCH_DIFFERENT && !rehearse)
		return name_taken(s, e);
	if (check_audience(s, e) != 0 || (!rehearse && known == LAUNCH_NEW && check_repeats(s, e) != 0) ||
		check_message(s, e) != 0 || check_size(s, e) != 0 || look_ahead(s, e) != 0)
		return -1;
	if (send_warnings(s, e) != 0 || copies_warn(s->c, s->launch.store, e) != 0)
		return -1;
	if (dry)
		return send_dry_run(s, e);
	if (rehearse)
		return rehearse_campaign(s->c, &s->launch, s->name, s->first, e);
	if (check_login(s, e) != 0)
		return -1;
	if (!s->c->quiet && !s->c->json)
		send_summary(s, stderr);
	return confirm(s, e) != 0 ? -1 : launch(s, e);
}

static int run(struct cli *c, struct err *e)
{
	struct send s = {.c = c, .cfg = cli_config(c, e)};
	if (s.cfg == NULL || parse(&s, e) != 0)
		return -1;
	int rc = send_steps(&s, e);
	launch_close(&s.launch);
	return rc;
}

static const struct option options[] = {
	CLI_AUDIENCE,
	{.name = "name", .value = "NAME", .help = "what the campaign is called; else as its file"},
	{.name = "at",
		.value = "TIME",
		.help = "start then: 2026-12-01T09:00, with an offset or in the configured zone"},
	{.name = "until", .value = "TIME", .help = "who was not sent to by then gets nothing any more"},
	{.name = "rate", .value = "N/s", .help = "no faster than that"},
	{.name = "route", .value = "ROUTE,…", .help = "by this [route] of the configuration, or these"},
	{.name = "first", .value = "N|N%", .help = "to so many at random, then pause"},
	{.name = "expect", .value = "MIN..MAX", .help = "refuse an audience of another size"},
	{.name = "dry-run", .help = "show all of it, send and record nothing"},
	{.name = "rehearse", .help = "deliver it to the built-in sandbox, without touching the records"},
	{.name = "yes", .help = "do not ask"},
	{.name = "again", .help = "also to people who had the same message in the last 7 days"},
	RUN_OPTIONS,
	{0},
};

const struct command cmd_send = {
	.name = "send",
	CLI_ONE_ARG("MESSAGE"),
	.group = GROUP_CAMPAIGN,
	.summary = "launch a campaign and deliver it",
	.help = "Checks the message for its recipients, shows what will happen and asks for the\n"
		"number of recipients to be typed. The same command given twice mails nobody\n"
		"twice: it goes on with that campaign, or shows its result.\n",
	.options = options,
	.run = run,
};
