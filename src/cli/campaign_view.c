#include "src/cli/campaign_view.h"

#include "src/base/utf8.h"
#include "src/cli/live_view.h"
#include "src/cli/output.h"

#include <stdio.h>

#define REHEARSE_AGAIN "a rehearsal does not go on: start it again"

static void number(struct buf *out, int64_t v)
{
	char text[TEXT_NUMBER];
	buf_puts(out, text_count(v, text));
}

static int64_t handled(const struct campaign_counts *n)
{
	int64_t open = n->state[DELIVERY_QUEUED] + n->state[DELIVERY_SENDING] + n->state[DELIVERY_DEFERRED],
		all = 0;
	for (int i = 0; i < DELIVERY_NSTATES; i++)
		all += n->state[i];
	return all - open;
}

static void clock_of_day(struct buf *out, const struct zone *z, ms_t t, ms_t now)
{
	char when[TEXT_NUMBER];
	text_time(z, t, when);
	/* The date only where it is another day. */
	if (t - now > 20 * HOUR)
		buf_printf(out, "%.10s ", when);
	buf_printf(out, "%.5s%s", when + 11, when + 20);
}

void view_shortened(struct buf *out, struct str s, size_t columns)
{
	struct buf safe = BUF_INIT(64 << 10);
	utf8_safe(&safe, s);
	bool whole = utf8_width(buf_get(&safe)) <= columns;
	buf_str(out, whole ? buf_get(&safe) : utf8_cut(buf_get(&safe), columns - 1));
	if (!whole)
		buf_puts(out, "…");
	buf_release(&safe);
}

void view_progress(struct buf *out, const struct campaign_row *c, const struct campaign_counts *n,
	const struct live *live, const struct zone *z, ms_t now)
{
	static const int troubles[] = {
		DELIVERY_DEFERRED, DELIVERY_BOUNCED, DELIVERY_BLOCKED, DELIVERY_EXPIRED, DELIVERY_DOUBT};
	int64_t all = c->selection.audience;
	/* The numbers count, and a terminal may be narrow. */
	view_shortened(out, c->name, 24);
	if (c->state == CAMPAIGN_PREPARING) {
		buf_puts(out, ": selecting recipients, ");
		int64_t so_far = 0;
		for (int i = 0; i < DELIVERY_NSTATES; i++)
			so_far += n->state[i];
		number(out, so_far);
		buf_puts(out, " so far");
		return;
	}
	if (c->state == CAMPAIGN_SCHEDULED) {
		buf_puts(out, ": starts at ");
		clock_of_day(out, z, c->start_at, now);
		return;
	}
	buf_puts(out, ": ");
	number(out, handled(n));
	buf_puts(out, " of ");
	number(out, all);
	if (all > 0)
		buf_printf(out, " (%.1f %%)", 100.0 * (double)handled(n) / (double)all);
	if (live->rate > 0)
		buf_printf(out, live->rate < 10 ? ", %.1f/s" : ", %.0f/s", live->rate);
	if (c->state == CAMPAIGN_WAITING && live->next_attempt > now) {
		buf_puts(out, ", next try at ");
		clock_of_day(out, z, live->next_attempt, now);
	} else if (live->eta > now) {
		buf_puts(out, ", done about ");
		clock_of_day(out, z, live->eta, now);
	}
	for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
		if (n->state[troubles[i]] == 0)
			continue;
		buf_puts(out, ", ");
		number(out, n->state[troubles[i]]);
		buf_printf(out, " %s",
			troubles[i] == DELIVERY_DOUBT ? "in doubt" : delivery_state_names[troubles[i]]);
	}
	if (live->limit[0] != '\0') {
		buf_puts(out, "; limit: ");
		utf8_safe(out, str_from(live->limit));
	}
}

/* ---- JSON ---- */

json_t *view_str(struct str s)
{
	return s.n == 0 ? json_null() : json_str(s);
}

static json_t *states_json(const int64_t state[DELIVERY_NSTATES])
{
	json_t *j = json_object();
	for (int i = 0; i < DELIVERY_NSTATES; i++)
		json_object_set_new(j, delivery_state_names[i], json_integer(state[i]));
	return j;
}

static json_t *holder_json(const struct report *r)
{
	if (!r->held)
		return json_null();
	return json_pack("{s:s, s:s, s:I, s:o}", "what", r->holder.what, "host", r->holder.host, "pid",
		(json_int_t)r->holder.pid, "since", json_time(r->holder.since));
}

static json_t *why_json(const struct report *r)
{
	const struct campaign_row *c = &r->campaign;
	if (c->why.n == 0)
		return json_null();
	struct buf remedy = BUF_INIT(1000);
	view_remedy(&remedy, c->why, c->name);
	json_t *j = json_pack("{s:o, s:o, s:o}", "id", view_str(c->why), "text", view_str(c->why_text),
		"remedy", r->rehearsal ? view_str(STR(REHEARSE_AGAIN)) : view_str(buf_get(&remedy)));
	buf_release(&remedy);
	return j;
}

static json_t *providers_json(const struct report *r)
{
	json_t *all = json_array();
	for (size_t i = 0; i < r->nproviders; i++)
		json_array_append_new(
			all, json_pack("{s:o, s:I, s:o}", "provider", view_str(r->providers[i].name),
				     "audience", (json_int_t)r->providers[i].total, "counts",
				     states_json(r->providers[i].state)));
	return all;
}

/* Mail to these waits, for a cause or by hand. */
static json_t *pauses_json(const struct report *r)
{
	json_t *all = json_array();
	for (size_t i = 0; i < r->npauses; i++)
		json_array_append_new(
			all, json_pack("{s:o, s:o, s:o, s:o}", "provider", view_str(r->pauses[i].provider),
				     "id", view_str(r->pauses[i].why), "text",
				     view_str(r->pauses[i].why_text), "since", json_time(r->pauses[i].at)));
	return all;
}

static json_t *skips_json(const struct report *r)
{
	json_t *all = json_array();
	for (size_t i = 0; i < r->nskips; i++)
		json_array_append_new(
			all, json_pack("{s:o, s:I, s:o}", "reason", view_str(r->skips[i].reason),
				     "deliveries", (json_int_t)r->skips[i].deliveries, "example",
				     view_str(r->skips[i].example)));
	return all;
}

static json_t *reasons_json(const struct report *r)
{
	json_t *all = json_array();
	for (size_t i = 0; i < r->nreasons; i++)
		json_array_append_new(all,
			json_pack("{s:s, s:o, s:I, s:o}", "class", reply_class_names[r->reasons[i].class],
				"reason", view_str(r->reasons[i].reason), "deliveries",
				(json_int_t)r->reasons[i].deliveries, "example",
				view_str(r->reasons[i].example)));
	return all;
}

/* Reasons at each provider, and what came back of what it had accepted. */
static json_t *refusals_json(const struct report *r)
{
	json_t *all = json_array();
	for (size_t i = 0; i < r->nrefusals; i++)
		json_array_append_new(
			all, json_pack("{s:o, s:s, s:o, s:I}", "provider", view_str(r->refusals[i].provider),
				     "class", reply_class_names[r->refusals[i].class], "reason",
				     view_str(r->refusals[i].reason), "deliveries",
				     (json_int_t)r->refusals[i].deliveries));
	return all;
}

static json_t *backs_json(const struct report *r)
{
	json_t *all = json_array();
	for (size_t i = 0; i < r->nbacks; i++)
		json_array_append_new(
			all, json_pack("{s:o, s:I, s:I, s:I}", "provider", view_str(r->backs[i].provider),
				     "bounced", (json_int_t)r->backs[i].bounced, "blocked",
				     (json_int_t)r->backs[i].blocked, "complaints",
				     (json_int_t)r->backs[i].complaints));
	return all;
}

json_t *view_json(const struct report *r, bool whole, ms_t now)
{
	const struct campaign_row *c = &r->campaign;
	const struct selection *s = &c->selection;
	json_t *left = json_pack("{s:I, s:I, s:I, s:I}", "suppressed", (json_int_t)s->suppressed,
		"unsubscribed", (json_int_t)s->unsubscribed, "excluded", (json_int_t)s->excluded, "duplicate",
		(json_int_t)s->duplicate);
	json_t *j = json_pack("{s:o, s:s, s:o, s:o, s:I, s:o, s:I, s:o, s:I, s:I, s:I}", "campaign",
		view_str(c->name), "state", r->state, "why", why_json(r), "holder", holder_json(r),
		"selected", (json_int_t)s->selected, "left_out", left, "audience", (json_int_t)s->audience,
		"counts", states_json(r->counts.state), "attempts", (json_int_t)r->counts.attempts,
		"complaints", (json_int_t)c->complaints, "unsubscribed", (json_int_t)c->unsubscribed);
	if (j == NULL)
		return NULL;
	json_object_set_new(j, "doubted", json_integer(r->counts.doubted));
	json_object_set_new(j, "paused_providers", pauses_json(r));
	/* What was last said of the delivery stays in the store when it is over. */
	bool open = c->finished == 0, moves = open && r->held;
	json_object_set_new(j, "rate", moves ? json_real(r->live.rate) : json_null());
	json_object_set_new(j, "limit", moves ? view_str(str_from(r->live.limit)) : json_null());
	json_object_set_new(j, "next_attempt", open ? json_time(r->live.next_attempt) : json_null());
	json_object_set_new(j, "eta", moves ? json_time(r->live.eta) : json_null());
	json_object_set_new(j, "start_at", json_time(c->start_at));
	json_object_set_new(j, "started", json_time(c->started));
	json_object_set_new(j, "finished", json_time(c->finished));
	json_object_set_new(j, "seconds", json_real((double)report_duration(r, now) / 1000));
	if (whole) {
		json_object_set_new(j, "subject", view_str(c->subject));
		json_object_set_new(j, "from", view_str(c->from));
		json_t *to = json_loadb(c->audience.p, c->audience.n, 0, NULL);
		json_object_set_new(j, "to", to != NULL ? to : json_null());
		json_object_set_new(j, "providers", providers_json(r));
		json_object_set_new(j, "skipped", skips_json(r));
		json_object_set_new(j, "reasons", reasons_json(r));
		json_object_set_new(j, "brakes", brakes_json(r));
		json_object_set_new(j, "refusals", refusals_json(r));
		json_object_set_new(j, "returned", backs_json(r));
	}
	return j;
}

/* ---- For people ---- */

/* `text` with the campaign's name in the place of NAME. */
static void with_name(struct buf *out, const char *text, struct str name)
{
	for (const char *at; (at = strstr(text, "NAME")) != NULL; text = at + strlen("NAME")) {
		buf_add(out, text, (size_t)(at - text));
		utf8_safe(out, name);
	}
	buf_puts(out, text);
}

void view_remedy(struct buf *out, struct str why, struct str name)
{
	static const struct {
		const char *why, *text;
	} remedies[] = {
		{"user", "`postrider resume NAME` goes on"},
		{"canary", "look at the report, then `postrider resume NAME` sends to the rest"},
		{"login", "check user and password of the route, then `postrider resume NAME`"},
		{"sender-refused",
			"let the relay know this sender's domain or address, then `postrider resume NAME`"},
		{"quota", "when the relay's quota has room again, `postrider resume NAME`"},
		{"brake-bounces", "too many addresses were refused: look at `postrider report` and clean the "
				  "list; then "
				  "`postrider resume NAME --past-brake` goes on, with the brake armed anew"},
		{"brake-blocks",
			"receivers refuse what we are or send: look at the replies in `postrider report` and "
			"remove the cause; then `postrider resume NAME --past-brake` goes on, with the brake "
			"armed anew"},
		{"brake-complaints",
			"too many readers call it spam: send only to those who asked for it; "
			"`postrider resume NAME --past-brake` goes on, with the brake armed anew"},
		{"missed", "`postrider resume NAME` sends it now; `postrider cancel NAME` drops it"},
		{"template", "the message fails for its recipients; `postrider cancel NAME`, mend it, and "
			     "send it under a new name to `--of NAME:skipped,cancelled`"},
		{"doubt", "`postrider resume NAME --doubt=resend` sends to those once more, --doubt=skip "
			  "leaves them"},
		{"route", "bring the route back into the configuration, then `postrider resume NAME`"},
		{"restored",
			"`postrider resume NAME` says what to look at first; with --past-restore it goes on"},
		{"interrupted", "nobody delivers it now: `postrider resume NAME` goes on"},
	};
	for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++) {
		if (!str_is(why, remedies[i].why))
			continue;
		with_name(out, remedies[i].text, name);
	}
}

static void row(struct buf *out, const char *label, int64_t v, int64_t whole)
{
	char n[TEXT_NUMBER], share[TEXT_NUMBER];
	buf_printf(out, "  %-14s %12s", label, text_count(v, n));
	if (whole > 0)
		buf_printf(out, "  %7s", text_percent(v, whole, share));
	buf_putc(out, '\n');
}

void view_padded(struct buf *out, struct str s, size_t columns)
{
	size_t from = out->len;
	view_shortened(out, s, columns);
	for (size_t w = utf8_width(str_n(out->p + from, out->len - from)); w < columns; w++)
		buf_putc(out, ' ');
}

static void line_time(struct buf *out, const char *label, const struct zone *z, ms_t t)
{
	char when[TEXT_NUMBER];
	buf_printf(out, "  %-8s %s\n", label, text_time(z, t, when));
}

/* Up to the next blank; a command in `…` stays in one piece, so that it can be copied. */
static size_t word_end(struct str s)
{
	bool command = false;
	size_t i = 0;
	for (; i < s.n && (command || s.p[i] != ' '); i++)
		command = command != (s.p[i] == '`');
	return i;
}

/* A line of text_head, continued under itself. */
static void line_wrapped(struct buf *out, const char *label, struct str text, size_t columns)
{
	struct buf safe = BUF_INIT(2000);
	size_t used = 0;
	utf8_safe(&safe, text);
	buf_printf(out, "  %-8s", label);
	for (struct str rest = buf_get(&safe); rest.n > 0;) {
		size_t n = word_end(rest), width = utf8_width(str_n(rest.p, n));
		if (used > 0 && 10 + used + 1 + width > columns) {
			buf_printf(out, "\n%10s", "");
			used = 0;
		}
		buf_putc(out, ' ');
		buf_str(out, str_n(rest.p, n));
		used += 1 + width;
		rest = n < rest.n ? str_n(rest.p + n + 1, rest.n - n - 1) : str_n(rest.p, 0);
	}
	buf_putc(out, '\n');
	buf_release(&safe);
}

/* Why it stands still, and what to do. */
static void text_why(struct buf *out, const struct report *r, size_t columns)
{
	const struct campaign_row *c = &r->campaign;
	struct buf remedy = BUF_INIT(1000);
	if (c->why_text.n != 0)
		line_wrapped(out, "Because", c->why_text, columns);
	view_remedy(&remedy,
		c->why.n != 0 || strcmp(r->state, campaign_state_names[CAMPAIGN_INTERRUPTED]) != 0
			? c->why
			: STR("interrupted"),
		c->name);
	if (remedy.len > 0)
		line_wrapped(
			out, "Remedy", r->rehearsal ? str_from(REHEARSE_AGAIN) : buf_get(&remedy), columns);
	buf_release(&remedy);
}

/* Which mail waits while the rest goes on. */
static void text_pauses(struct buf *out, const struct report *r)
{
	bool braked = false;
	for (size_t i = 0; i < r->npauses; i++) {
		const struct provider_pause *p = &r->pauses[i];
		buf_printf(out, "  %-8s mail to ", i == 0 ? "Waiting" : "");
		utf8_safe(out, p->provider);
		buf_puts(out, " is paused (");
		utf8_safe(out, p->why);
		buf_puts(out, "): ");
		utf8_safe(out, p->why_text);
		buf_putc(out, '\n');
		braked = braked || !str_is(p->why, "user");
	}
	if (r->npauses > 0 && r->campaign.state != CAMPAIGN_PAUSED && !r->rehearsal) {
		buf_puts(out, "           `postrider resume ");
		utf8_safe(out, r->campaign.name);
		buf_puts(out, braked ? " --past-brake` sends it\n" : "` sends it\n");
	}
}

/* Who delivers it, and how fast. */
static void text_live(struct buf *out, const struct report *r, const struct zone *z, ms_t now, size_t columns)
{
	bool running = r->campaign.state == CAMPAIGN_RUNNING;
	if (r->held) {
		buf_printf(out, "  Sent by  %s, process %lld on ", r->holder.what, (long long)r->holder.pid);
		utf8_safe(out, str_from(r->holder.host));
		buf_putc(out, '\n');
	}
	if (r->held && r->live.limit[0] != '\0')
		line_wrapped(out, "Limit", str_from(r->live.limit), columns); /* a server's words are in it */
	if (r->live.next_attempt > now && r->campaign.state == CAMPAIGN_WAITING)
		line_time(out, "Next try", z, r->live.next_attempt);
	if (r->held && r->live.rate > 0 && running)
		buf_printf(out, "  Rate     %.1f a second\n", r->live.rate);
	if (r->held && r->live.eta > now && running)
		line_time(out, "Done", z, r->live.eta);
}

static void shell_word(struct buf *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:,@%+-";
	const char *p = word;
	while (*p != '\0' && ((unsigned char)*p >= 0x80 || strchr(plain, *p) != NULL))
		p++;
	if (*p == '\0' && p > word) {
		utf8_safe(out, str_from(word));
		return;
	}
	buf_putc(out, '\'');
	for (const char *end = p = word; *p != '\0'; p = *end != '\0' ? end + 1 : end) {
		end = p + strcspn(p, "'");
		utf8_safe(out, str_n(p, (size_t)(end - p)));
		if (*end != '\0')
			buf_puts(out, "'\\''");
	}
	buf_putc(out, '\'');
}

void view_audience(struct buf *out, struct str audience)
{
	static const struct {
		const char *key, *option;
	} options[] = {{"lists", "list"}, {"exclude", "exclude"}, {"where", "where"}, {"of", "of"},
		{"not_of", "not-of"}, {"sample", "sample"}};
	json_t *o = json_loadb(audience.p, audience.n, 0, NULL);
	size_t from = out->len;
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		json_t *v = json_object_get(o, options[i].key);
		size_t n = json_is_array(v) ? json_array_size(v) : v != NULL;
		for (size_t k = 0; k < n; k++) {
			const char *word = json_string_value(json_is_array(v) ? json_array_get(v, k) : v);
			buf_printf(out, "%s--%s ", out->len > from ? " " : "", options[i].option);
			shell_word(out, word != NULL ? word : "");
		}
	}
	if (out->len == from)
		buf_puts(out, "everybody");
	json_decref(o);
}

/* Nobody was looked for yet. */
static bool never_began(const struct report *r)
{
	return r->campaign.started == 0 && r->campaign.state != CAMPAIGN_PREPARING &&
	       r->campaign.selection.selected == 0;
}

static void text_head(struct buf *out, const struct report *r, const struct zone *z, ms_t now, size_t columns)
{
	const struct campaign_row *c = &r->campaign;
	char when[TEXT_NUMBER], span[CLOCK_TEXT];
	buf_puts(out, "Campaign ");
	utf8_safe(out, c->name);
	buf_printf(out, ": %s", r->state);
	if (c->why.n != 0) {
		buf_puts(out, " (");
		utf8_safe(out, c->why);
		buf_puts(out, ")");
	}
	buf_puts(out, "\n  Subject  ");
	utf8_safe(out, c->subject);
	buf_puts(out, "\n  To       ");
	view_audience(out, c->audience);
	buf_putc(out, '\n');
	text_why(out, r, columns);
	if (never_began(r) && c->finished == 0 && c->start_at > now)
		line_time(out, "Starts", z, c->start_at);
	if (c->started != 0)
		line_time(out, "Started", z, c->started);
	if (c->finished != 0)
		buf_printf(out, "  %-8s %s, after %s\n", "Ended", text_time(z, c->finished, when),
			clock_span_text(report_duration(r, now), span));
	else
		text_live(out, r, z, now, columns);
	if (c->finished == 0)
		text_pauses(out, r);
}

static void text_providers(struct buf *out, const struct report *r)
{
	if (r->nproviders == 0)
		return;
	buf_printf(out, "\n  %-16s %12s %12s %10s %10s %10s\n", "provider", "recipients", "sent", "bounced",
		"blocked", "deferred");
	for (size_t i = 0; i < r->nproviders; i++) {
		const struct report_provider *p = &r->providers[i];
		const int64_t v[] = {p->total, p->state[DELIVERY_SENT], p->state[DELIVERY_BOUNCED],
			p->state[DELIVERY_BLOCKED], p->state[DELIVERY_DEFERRED]};
		char n[TEXT_NUMBER];
		buf_puts(out, "  ");
		view_padded(out, p->name.n != 0 ? p->name : STR("other domains"), 16);
		for (size_t k = 0; k < 5; k++)
			buf_printf(out, " %*s", k < 2 ? 12 : 10, text_count(v[k], n));
		buf_putc(out, '\n');
	}
}

static void text_reasons(struct buf *out, const struct report *r, size_t columns)
{
	enum { BEFORE = 47, SHOWN = 40 };
	char n[TEXT_NUMBER];
	int64_t rest = 0;
	if (r->nreasons > 0)
		buf_printf(out, "\n  %-22s %-8s %10s  %s\n", "reason", "class", "recipients", "for example");
	for (size_t i = 0; i < r->nreasons && i < SHOWN; i++) {
		const struct report_reason *x = &r->reasons[i];
		buf_puts(out, "  ");
		view_padded(out, x->reason, 22);
		buf_printf(out, " %-8s %10s  ", reply_class_names[x->class], text_count(x->deliveries, n));
		view_shortened(out, x->example, columns > BEFORE + 20 ? columns - BEFORE : 20);
		buf_putc(out, '\n');
	}
	for (size_t i = SHOWN; i < r->nreasons; i++)
		rest += r->reasons[i].deliveries;
	if (r->nreasons > SHOWN)
		buf_printf(
			out, "  … and %s for %zu other reasons\n", text_count(rest, n), r->nreasons - SHOWN);
}

static void text_skips(struct buf *out, const struct report *r, size_t columns)
{
	enum { BEFORE = 31 };
	char n[TEXT_NUMBER];
	if (r->nskips > 0)
		buf_printf(out, "\n  %-14s %12s  %s\n", "skipped", "recipients", "because");
	for (size_t i = 0; i < r->nskips; i++) {
		const struct report_reason *x = &r->skips[i];
		struct buf because = BUF_INIT(2000);
		buf_puts(&because, skip_words(x->reason));
		if (x->example.n != 0)
			buf_puts(&because, ": ");
		buf_str(&because, x->example);
		buf_puts(out, "  ");
		view_padded(out, x->reason, 14);
		buf_printf(out, " %12s  ", text_count(x->deliveries, n));
		view_shortened(out, buf_get(&because), columns > BEFORE + 20 ? columns - BEFORE : 20);
		buf_putc(out, '\n');
		buf_release(&because);
	}
}

void view_text(struct buf *out, const struct report *r, const struct zone *z, ms_t now, size_t columns)
{
	const struct selection *s = &r->campaign.selection;
	text_head(out, r, z, now, columns);
	buf_puts(out, "\n");
	if (never_began(r)) {
		buf_puts(out, r->campaign.finished == 0 ? "  Who gets it is chosen when it starts.\n"
							: "  It never began: nobody was chosen.\n");
		return;
	}
	row(out, "selected", s->selected, 0);
	if (s->suppressed > 0)
		row(out, "- suppressed", s->suppressed, 0);
	if (s->unsubscribed > 0)
		row(out, "- unsubscribed", s->unsubscribed, 0);
	if (s->excluded > 0)
		row(out, "- excluded", s->excluded, 0);
	if (s->duplicate > 0)
		row(out, "(duplicates)", s->duplicate, 0);
	row(out, "audience", s->audience, 0);
	buf_puts(out, "\n");
	for (int i = 0; i < DELIVERY_NSTATES; i++)
		if (r->counts.state[i] > 0)
			row(out, i == DELIVERY_DOUBT ? "in doubt" : delivery_state_names[i],
				r->counts.state[i], s->audience);
	/* No states: what people did with what they got. */
	if (r->campaign.complaints > 0 || r->campaign.unsubscribed > 0)
		buf_puts(out, "\n");
	if (r->campaign.complaints > 0)
		row(out, "complaints", r->campaign.complaints, s->audience);
	if (r->campaign.unsubscribed > 0)
		row(out, "unsubscribed", r->campaign.unsubscribed, s->audience);
	text_skips(out, r, columns);
	live_text(out, r, z, columns);
	text_providers(out, r);
	brakes_text(out, r);
	text_reasons(out, r, columns);
}
