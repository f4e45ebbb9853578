#include "src/cli/bounce_view.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/cli/people.h"
#include "src/db/attrs.h"
#include "src/db/contacts.h"
#include "src/db/history.h"
#include "src/db/lease.h"
#include "src/db/lists.h"
#include "src/db/report.h"
#include "src/db/suppress.h"

struct show {
	struct cli *c;
	struct store *s;
	const struct zone *zone;
	struct arena arena;
	struct address address;
	struct contact_row contact; /* strings in the arena */
	bool known, held;
	json_t *doc, *into;
	size_t n; /* rows of a section shown */
	struct err *e;
};

static int out_failed(struct show *w, int rc)
{
	return rc != 0 ? output_error(w->e) : 0;
}

static void heading(struct show *w, const char *title, const char *json_name)
{
	w->n = 0;
	if (w->doc != NULL) {
		w->into = json_array();
		json_put(w->doc, json_name, w->into);
	} else {
		out_printf(w->c, "%s%s%s\n", style_on(w->c, STYLE_BOLD), title, style_off(w->c, STYLE_BOLD));
	}
}

static void none(struct show *w, const char *text)
{
	if (w->doc == NULL && w->n == 0)
		out_printf(w->c, "  %s\n", text);
}

static int show_membership(void *ctx, const struct membership *m)
{
	struct show *w = ctx;
	char joined[TEXT_NUMBER], consent[TEXT_NUMBER];
	w->n++;
	if (w->doc == NULL)
		return out_failed(
			w, out_printf(w->c, "  %s, since %s%s%s%s%s\n", out_safe(m->list_name),
				   text_time(w->zone, m->joined, joined), m->source.n > 0 ? ", from " : "",
				   out_safe(m->source), m->consent_at != 0 ? ", agreed " : "",
				   m->consent_at != 0 ? text_time(w->zone, m->consent_at, consent) : ""));
	json_t *o = json_object();
	json_put(o, "list", json_str(m->list_name));
	json_put(o, "joined", json_time(m->joined));
	json_put(o, "source", m->source.n > 0 ? json_str(m->source) : json_null());
	json_put(o, "consent_at", json_time(m->consent_at));
	return json_array_append_new(w->into, o);
}

static int show_suppression(void *ctx, const struct suppression *sup)
{
	struct show *w = ctx;
	w->n++;
	if (w->doc != NULL)
		return json_array_append_new(w->into, people_suppression_json(sup));
	struct buf b = BUF_INIT(1 << 16);
	people_suppression_text(&b, sup, w->zone);
	int rc = out_printf(w->c, "  %s\n", buf_cstr(&b));
	buf_release(&b);
	return out_failed(w, rc);
}

static int show_attrs(struct show *w)
{
	if (w->doc != NULL)
		return json_put(w->doc, "attributes", people_attrs_json(w->s, w->contact.attrs));
	out_printf(w->c, "%sattributes%s\n", style_on(w->c, STYLE_BOLD), style_off(w->c, STYLE_BOLD));
	w->n = 0;
	for (struct attr_iter i = attrs_begin(w->contact.attrs); attrs_next(&i); w->n++)
		if (out_printf(w->c, "  %s = %s\n", out_safe(store_attr_name(w->s, i.id)),
			    out_safe(i.value)) != 0)
			return output_error(w->e);
	none(w, "none");
	return 0;
}

/* ---- --everything ---- */

static int show_attempt(void *ctx, const struct attempt_row *a)
{
	struct show *w = ctx;
	char at[TEXT_NUMBER];
	if (w->doc == NULL)
		return out_failed(w, out_printf(w->c, "    %s %s %s\n", text_time(w->zone, a->at, at),
					     delivery_state_names[a->state], out_safe(a->reply)));
	json_t *o = json_object();
	json_put(o, "at", json_time(a->at));
	json_put(o, "state", json_string(delivery_state_names[a->state]));
	json_put(o, "code", a->code != 0 ? json_integer(a->code) : json_null());
	json_put(o, "reply", json_str(a->reply));
	json_put(o, "site", json_str(a->site));
	json_put(o, "route", json_str(a->route));
	return json_array_append_new(w->into, o);
}

static int show_returned(void *ctx, const struct returned_row *r)
{
	struct show *w = ctx;
	if (w->doc != NULL)
		return json_array_append_new(w->into, bounce_view_json(r));
	return out_failed(w, bounce_view_line(w->c, w->zone, r));
}

static int show_delivery(void *ctx, const struct delivery_row *d)
{
	struct show *w = ctx;
	json_t *all = w->into, *tries = json_array(), *back = json_array();
	w->n++;
	if (w->doc == NULL) {
		json_decref(tries);
		json_decref(back);
		if (out_printf(w->c, "  %s: %s\n", out_safe(d->campaign), delivery_state_names[d->state]) !=
			0)
			return output_error(w->e);
		int rc = store_attempts(w->s, d->id, show_attempt, w, w->e);
		return rc == 0 ? store_returned_of(w->s, d->id, show_returned, w, w->e) : rc;
	}
	json_t *o = json_object();
	json_put(o, "campaign", json_str(d->campaign));
	json_put(o, "state", json_string(delivery_state_names[d->state]));
	json_put(o, "first_attempt", json_time(d->first_attempt));
	json_put(o, "last_attempt", json_time(d->last_attempt));
	w->into = tries;
	int rc = store_attempts(w->s, d->id, show_attempt, w, w->e);
	json_put(o, "attempts", tries);
	w->into = back;
	if (rc == 0)
		rc = store_returned_of(w->s, d->id, show_returned, w, w->e);
	json_put(o, "returned", back);
	w->into = all;
	return json_array_append_new(all, o) != 0 ? -1 : rc;
}

static int show_history(void *ctx, const struct history_row *h)
{
	struct show *w = ctx;
	char at[TEXT_NUMBER];
	if (!str_eq(h->object, w->address.key) && !str_eq(h->object, w->address.wire))
		return 0;
	w->n++;
	if (w->doc == NULL)
		return out_failed(w, out_printf(w->c, "  %s %s%s%s (%s)\n", text_time(w->zone, h->at, at),
					     out_safe(h->what), h->note.n > 0 ? ": " : "", out_safe(h->note),
					     out_safe(h->actor)));
	json_t *o = json_object();
	json_put(o, "at", json_time(h->at));
	json_put(o, "actor", json_str(h->actor));
	json_put(o, "what", json_str(h->what));
	json_put(o, "note", json_str(h->note));
	return json_array_append_new(w->into, o);
}

static int show_rest(struct show *w)
{
	heading(w, "mail sent", "deliveries");
	if (w->known && store_deliveries_of(w->s, w->contact.id, w->held, show_delivery, w, w->e) != 0)
		return -1;
	none(w, "none");
	heading(w, "changes", "history");
	if (store_history(w->s, 0, show_history, w, w->e) != 0)
		return -1;
	none(w, "none");
	return 0;
}

/* ---- All of it ---- */

static int show_head(struct show *w)
{
	char added[TEXT_NUMBER];
	if (w->doc == NULL)
		return out_failed(w, out_printf(w->c, "%s%s%s%s\n",
					     out_safe(w->known ? w->contact.address : w->address.wire),
					     w->known ? ", known since " : ", not among the contacts",
					     w->known ? text_time(w->zone, w->contact.added, added) : "",
					     w->known && w->contact.removed ? ", on no list any more" : ""));
	json_put(w->doc, "address", json_str(w->known ? w->contact.address : w->address.wire));
	json_put(w->doc, "key", json_str(w->address.key));
	json_put(w->doc, "added", json_time(w->known ? w->contact.added : 0));
	return json_put(w->doc, "changed", json_time(w->known ? w->contact.changed : 0));
}

static int show_all(struct show *w)
{
	if (show_head(w) != 0)
		return -1;
	heading(w, "lists", "lists");
	if (w->known && store_memberships(w->s, w->contact.id, show_membership, w, w->e) != 0)
		return -1;
	none(w, "none");
	if (show_attrs(w) != 0)
		return -1;
	heading(w, "not mailed because of", "suppressions");
	if (store_suppressions_of(w->s, w->address.key, 0, show_suppression, w, w->e) != 0)
		return -1;
	none(w, w->known ? "nothing: this person can be mailed" : "nothing");
	return cli_given(w->c, "everything") ? show_rest(w) : 0;
}

static int find(struct show *w)
{
	struct err why = {0};
	struct holder h;
	int held = store_lease_get(w->s, clock_now(), &h, w->e);
	if (held < 0)
		return -1;
	w->held = held == 1;
	w->known = store_contact_get(w->s, w->address.key, &w->contact, &why) == 0;
	if (!w->known && why.code != ERR_NOINPUT) {
		*w->e = why;
		return -1;
	}
	if (w->known) {
		w->contact.address = arena_str(&w->arena, w->contact.address);
		w->contact.attrs = arena_str(&w->arena, w->contact.attrs);
	}
	return w->arena.failed ? err_set(w->e, ERR_INTERNAL, "contact", "out of memory") : 0;
}

static int show_run(struct cli *c, struct err *e)
{
	struct show w = {.c = c, .e = e, .zone = cli_zone(c, e)};
	arena_init(&w.arena, 4096, 16 << 20);
	int rc = w.zone != NULL ? people_address(c->args[0], &w.arena, &w.address, e) : -1;
	if (rc == 0)
		rc = (w.s = cli_store(c, STORE_READ, e)) != NULL ? find(&w) : -1;
	if (rc == 0) {
		w.doc = c->json ? json_object() : NULL;
		rc = show_all(&w);
		if (w.doc != NULL && rc == 0)
			rc = json_document(w.doc) != 0 ? output_error(e) : 0;
		else
			json_decref(w.doc);
	}
	if (rc == 0 && !w.known)
		rc = ERR_NOINPUT;
	arena_release(&w.arena);
	return rc;
}

static const struct option options[] = {
	{.name = "everything", .help = "all that is kept about the person: also mail sent, replies, changes"},
	{0},
};

extern const struct command contact_show;
const struct command contact_show = {
	.name = "show",
	.args = "ADDRESS",
	.summary = "what is known of a person",
	.help = "--everything answers a request for access: it shows all that is kept.\n",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = show_run,
};
