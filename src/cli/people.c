#include "src/cli/people.h"

#include "lists/provider.h"
#include "src/base/log.h"
#include "src/base/nearest.h"
#include "src/cli/output.h"
#include "src/db/attrs.h"
#include "src/db/lists.h"

int people_address(const char *text, struct arena *a, struct address *out, struct err *e)
{
	if (address_parse(str_from(text), a, out, e) == 0)
		return 0;
	if (e->code == ERR_DATA)
		e->code = ERR_USAGE;
	return -1;
}

int people_contact(struct store *s, const struct address *address, struct contact_row *out, struct err *e)
{
	if (store_contact_get(s, address->key, out, e) == 0)
		return 0;
	if (e->code != ERR_NOINPUT)
		return -1;
	err_set(e, ERR_NOINPUT, "contact", "nobody has the address %.*s", STR_ARG(address->wire));
	return err_remedy(e, "`postrider contact subscribe ADDRESS --list LIST --source TEXT` adds a person");
}

void people_warn_unknown(struct store *s, const struct address *address, const char *but)
{
	struct contact_row row;
	struct err e = {0};
	if (store_contact_get(s, address->key, &row, &e) != 0 && e.code == ERR_NOINPUT)
		log_warn("nobody has the address %s: look at its spelling; %s", out_safe(address->wire), but);
}

json_t *people_attrs_json(struct store *s, struct str attrs)
{
	json_t *o = json_object();
	for (struct attr_iter i = attrs_begin(attrs); attrs_next(&i);) {
		struct str name = store_attr_name(s, i.id);
		if (name.n > 0)
			json_object_setn_new(o, name.p, name.n, json_str(i.value));
	}
	return o;
}

json_t *people_suppression_json(const struct suppression *sup)
{
	json_t *o = json_object();
	json_put(o, "address", json_str(sup->key));
	json_put(o, "scope", sup->list == 0 ? json_string("all") : json_str(sup->list_name));
	json_put(o, "reason", json_string(suppress_reason_names[sup->reason]));
	json_put(o, "campaign", sup->campaign_name.n > 0 ? json_str(sup->campaign_name) : json_null());
	json_put(o, "evidence", json_str(sup->evidence));
	json_put(o, "created", json_time(sup->created));
	json_put(o, "held_until", json_time(sup->held_until));
	return o;
}

void people_suppression_text(struct buf *out, const struct suppression *sup, const struct zone *z)
{
	char when[TEXT_NUMBER];
	buf_printf(out, "%s, ", suppress_reason_names[sup->reason]);
	if (sup->list == 0)
		buf_puts(out, "all mail");
	else
		buf_printf(out, "list %s", out_safe(sup->list_name));
	if (sup->created != 0)
		buf_printf(out, ", since %s", text_time(z, sup->created, when));
	if (sup->key.n > 0 && sup->key.p[0] == '@')
		buf_printf(out, ", the whole domain %s", out_safe(sup->key));
	if (sup->campaign_name.n > 0)
		buf_printf(out, ", campaign %s", out_safe(sup->campaign_name));
	if (sup->held_until != 0)
		buf_printf(out, ", held until %s", text_time(z, sup->held_until, when));
	if (sup->evidence.n > 0)
		buf_printf(out, ": %s", out_safe(sup->evidence));
	if (sup->held_until != 0)
		buf_puts(out,
			"\n  held, as its receiver called an unusual share unknown: then it is mailed again, "
			"and suppressed "
			"for good if it is refused once more; `postrider suppressions add` confirms it now, "
			"`postrider suppressions remove` releases it");
}

int people_reason(const char *option, const char *word, struct err *e)
{
	struct nearest near;
	nearest_init(&near, str_from(word));
	for (int i = 0; i < SUPPRESS_NREASONS; i++) {
		if (strcmp(word, suppress_reason_names[i]) == 0)
			return i;
		nearest_offer(&near, str_from(suppress_reason_names[i]));
	}
	err_set(e, ERR_USAGE, option, "\"%.40s\" is not a reason%s%s%s", word,
		near.best[0] != '\0' ? "; did you mean " : "", near.best, near.best[0] != '\0' ? "?" : "");
	return err_remedy(
		e, "reasons: hard-bounce, soft-bounces, complaint, unsubscribe, manual, import, forgotten");
}

int people_provider(const char *name, struct err *e)
{
	struct nearest near;
	nearest_init(&near, str_from(name));
	for (size_t i = 0; provider_name(i) != NULL; i++) {
		if (strcmp(provider_name(i), name) == 0)
			return 0;
		nearest_offer(&near, str_from(provider_name(i)));
	}
	err_set(e, ERR_NOINPUT, "--provider", "no provider is called \"%s\"", name);
	return near.best[0] != '\0' ? err_remedy(e, "did you mean %s?", near.best)
				    : err_remedy(e, "`postrider report` names the providers of a campaign");
}
