#include "engine/token.h"
#include "lists/address.h"
#include "src/cli/bounce_view.h"
#include "src/cli/campaign_view.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/db/contacts.h"
#include "src/db/lease.h"
#include "src/db/report.h"
#include "src/db/suppress.h"

#include <stdio.h>

struct trace {
	struct cli *c;
	struct store *s;
	const struct zone *zone;
	struct arena arena;
	struct address address; /* parsed, where one was given */
	bool known;             /* there is such a contact */
	struct contact_row contact;
	json_t *doc, *list; /* list: what is being filled */
	bool held;
	int64_t only; /* one delivery, by its Message-ID or return path */
	struct err *e;
};

static int show_suppression(void *ctx, const struct suppression *x)
{
	struct trace *t = ctx;
	char when[TEXT_NUMBER];
	if (t->doc != NULL)
		return json_array_append_new(t->list,
			json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "address", view_str(x->key), "scope",
				x->list == 0 ? json_string("all") : view_str(x->list_name), "reason",
				suppress_reason_names[x->reason], "campaign", view_str(x->campaign_name),
				"evidence", view_str(x->evidence), "created", json_time(x->created),
				"held_until", json_time(x->held_until)));
	out_printf(t->c, "  suppressed %s for %s: %s", text_time(t->zone, x->created, when),
		x->list == 0 ? "all mail" : out_safe(x->list_name), suppress_reason_names[x->reason]);
	return out_printf(t->c, "%s%s\n", x->evidence.n != 0 ? ", " : "", out_safe(x->evidence)) != 0
		       ? output_error(t->e)
		       : 0;
}

static int show_membership(void *ctx, const struct membership *m)
{
	struct trace *t = ctx;
	char when[TEXT_NUMBER];
	if (t->doc != NULL)
		return json_array_append_new(
			t->list, json_pack("{s:o, s:o, s:o, s:o}", "list", view_str(m->list_name), "joined",
					 json_time(m->joined), "source", view_str(m->source), "consent_at",
					 json_time(m->consent_at)));
	return out_printf(t->c, "  on list %s since %s%s%s\n", out_safe(m->list_name),
		       text_time(t->zone, m->joined, when), m->source.n != 0 ? ", from " : "",
		       out_safe(m->source)) != 0
		       ? output_error(t->e)
		       : 0;
}

/* Line by line, so that what a server sent stays within its own. */
static int show_dialogue(struct trace *t, struct str text)
{
	int rc = 0;
	while (text.n != 0 && rc == 0) {
		struct str line = str_n(text.p, str_find(text, '\n'));
		rc = out_printf(t->c, "        %s\n", out_safe(line));
		size_t used = line.n < text.n ? line.n + 1 : line.n;
		text = str_n(text.p + used, text.n - used);
	}
	return rc != 0 ? output_error(t->e) : 0;
}

static json_t *dialogue_json(struct str text)
{
	json_t *lines = json_array();
	while (text.n != 0) {
		struct str line = str_n(text.p, str_find(text, '\n'));
		json_array_append_new(lines, json_str(line));
		size_t used = line.n < text.n ? line.n + 1 : line.n;
		text = str_n(text.p + used, text.n - used);
	}
	return lines;
}

static int show_attempt(void *ctx, const struct attempt_row *a)
{
	struct trace *t = ctx;
	char when[TEXT_NUMBER];
	if (t->doc != NULL)
		return json_array_append_new(t->list,
			json_pack("{s:i, s:o, s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "n", a->n, "at",
				json_time(a->at), "state", delivery_state_names[a->state], "code",
				a->code != 0 ? json_integer(a->code) : json_null(), "enhanced",
				view_str(a->enhanced), "reply", view_str(a->reply), "class",
				reply_class_names[a->class], "reason", view_str(a->reason), "site",
				view_str(a->site), "route", view_str(a->route), "dialogue",
				dialogue_json(a->dialogue)));
	char code[16] = "";
	if (a->code != 0)
		snprintf(code, sizeof code, "%d ", a->code);
	if (out_printf(t->c, "    %s  %s  %s%s%s%s  (%s by route %s)\n", text_time(t->zone, a->at, when),
		    delivery_state_names[a->state], code, out_safe(a->enhanced),
		    a->enhanced.n != 0 ? " " : "", out_safe(a->reply), out_safe(a->site),
		    out_safe(a->route)) != 0)
		return output_error(t->e);
	return show_dialogue(t, a->dialogue);
}

static int show_returned(void *ctx, const struct returned_row *r)
{
	struct trace *t = ctx;
	if (t->doc != NULL)
		return json_array_append_new(t->list, bounce_view_json(r));
	return bounce_view_line(t->c, t->zone, r) != 0 ? output_error(t->e) : 0;
}

static int show_delivery(void *ctx, const struct delivery_row *d)
{
	struct trace *t = ctx;
	char when[TEXT_NUMBER];
	if (t->only != 0 && d->id != t->only)
		return 0;
	if (t->doc == NULL) {
		out_printf(t->c, "  campaign %s: %s%s", out_safe(d->campaign), delivery_state_names[d->state],
			d->doubted ? " (was in doubt)" : "");
		if (d->due != 0)
			out_printf(t->c, ", next try %s", text_time(t->zone, d->due, when));
		out_printf(t->c, "%s%s\n", d->reason.n != 0 && d->attempts == 0 ? ", " : "",
			d->attempts == 0 ? out_safe(d->reason) : "");
		int rc = store_attempts(t->s, d->id, show_attempt, t, t->e);
		return rc == 0 ? store_returned_of(t->s, d->id, show_returned, t, t->e) : rc;
	}
	json_t *all = t->list,
	       *one = json_pack("{s:o, s:s, s:i, s:o, s:b, s:o, s:o, s:[], s:[]}", "campaign",
		       view_str(d->campaign), "state", delivery_state_names[d->state], "attempts",
		       d->attempts, "reason", view_str(d->reason), "doubted", d->doubted, "due",
		       json_time(d->due), "relay_id", view_str(d->relay_id), "tries", "returned");
	if (one == NULL || json_array_append_new(all, one) != 0)
		return err_set(t->e, ERR_INTERNAL, "trace", "out of memory");
	t->list = json_object_get(one, "tries");
	int rc = store_attempts(t->s, d->id, show_attempt, t, t->e);
	t->list = json_object_get(one, "returned");
	if (rc == 0)
		rc = store_returned_of(t->s, d->id, show_returned, t, t->e);
	t->list = all;
	return rc;
}

static void section(struct trace *t, const char *name)
{
	if (t->doc == NULL)
		return;
	t->list = json_array();
	json_object_set_new(t->doc, name, t->list);
}

/* A token in the local part of a return path or Message-ID names one delivery. */
static bool read_token(struct trace *t, struct str text, const struct token_keys *keys)
{
	struct token_signer *signer = token_signer_new(keys);
	struct str local = str_n(text.p, str_find(text, '@'));
	bool ours = signer != NULL && token_read_delivery(signer, TOKEN_MESSAGE_ID, local, &t->only);
	size_t at = 0; /* bounce+b-TOKEN@…: the token is behind the last "b-" */
	for (size_t i = 0; i + 2 < local.n; i++)
		if (strncasecmp(local.p + i, "b-", 2) == 0)
			at = i + 2;
	if (!ours && signer != NULL && at > 0)
		ours = token_read_delivery(
			signer, TOKEN_RETURN_PATH, str_n(local.p + at, local.n - at), &t->only);
	token_signer_free(&signer);
	return ours;
}

static int find_person(struct trace *t, const char *text)
{
	struct str s = str_trim(str_from(text));
	const struct token_keys *keys = cli_keys(t->c, t->e);
	if (keys == NULL)
		return -1;
	if (s.n > 1 && s.p[0] == '<' && s.p[s.n - 1] == '>')
		s = str_n(s.p + 1, s.n - 2);
	if (read_token(t, s, keys)) {
		struct delivery_row d;
		if (store_delivery_get(t->s, t->only, t->held, &d, t->e) != 0 ||
			store_contact_by_id(t->s, d.contact, &t->contact, t->e) != 0)
			return -1;
		t->known = true;
		return t->contact.address.n == 0
			       ? 0
			       : address_parse(t->contact.address, &t->arena, &t->address, t->e);
	}
	struct err none = {0};
	if (address_parse(s, &t->arena, &t->address, t->e) != 0)
		return -1;
	t->known = store_contact_get(t->s, t->address.key, &t->contact, &none) == 0;
	if (!t->known && none.code != ERR_NOINPUT) {
		*t->e = none;
		return -1;
	}
	return 0;
}

static int show(struct trace *t)
{
	char when[TEXT_NUMBER];
	int64_t contact = t->known ? t->contact.id : 0;
	if (t->doc != NULL) {
		json_object_set_new(t->doc, "address", view_str(t->address.wire));
		json_object_set_new(t->doc, "known", json_boolean(t->known));
		json_object_set_new(t->doc, "added", json_time(t->known ? t->contact.added : 0));
	} else if (t->known && t->contact.added == 0) {
		out_printf(t->c, "somebody who was forgotten\n");
	} else if (t->known) {
		out_printf(t->c, "%s, known since %s\n", out_safe(t->address.wire),
			text_time(t->zone, t->contact.added, when));
	} else {
		out_printf(t->c, "%s is not among the contacts\n", out_safe(t->address.wire));
	}
	section(t, "suppressions");
	if (t->address.key.n != 0 &&
		store_suppressions_of(t->s, t->address.key, 0, show_suppression, t, t->e) < 0)
		return -1;
	section(t, "lists");
	if (t->known && store_memberships(t->s, contact, show_membership, t, t->e) < 0)
		return -1;
	section(t, "deliveries");
	if (t->known && store_deliveries_of(t->s, contact, t->held, show_delivery, t, t->e) < 0)
		return -1;
	if (t->doc == NULL)
		return 0;
	json_t *doc = t->doc;
	t->doc = NULL;
	return json_document(doc) != 0 ? output_error(t->e) : 0;
}

static int run(struct cli *c, struct err *e)
{
	struct holder h;
	struct trace t = {.c = c, .e = e, .zone = cli_zone(c, e)};
	int rc = -1;
	arena_init(&t.arena, 4096, 1 << 20);
	t.s = t.zone != NULL ? cli_store(c, STORE_READ, e) : NULL;
	int held = t.s != NULL ? store_lease_get(t.s, clock_now(), &h, e) : -1;
	if (held >= 0) {
		t.held = held == 1;
		t.doc = c->json ? json_object() : NULL;
		rc = find_person(&t, c->args[0]) != 0 ? -1 : show(&t);
	}
	if (rc == 0 && !t.known)
		rc = ERR_NOINPUT;
	json_decref(t.doc);
	arena_release(&t.arena);
	return rc;
}

const struct command cmd_trace = {
	.name = "trace",
	CLI_ONE_ARG("ADDRESS|MESSAGE-ID|RETURN-PATH"),
	.group = GROUP_RESULT,
	.summary = "everything that ever happened with an address",
	.run = run,
};
