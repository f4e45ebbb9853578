#include "engine/bounce/attribute.h"

#include "engine/personal.h"
#include "lists/address.h"
#include "src/db/contacts.h"
#include "src/db/report.h"

#include <ctype.h>
#include <stdio.h>

const char *const trust_names[TRUST_N] = {
	[TRUST_NONE] = "",
	[TRUST_RETURN_PATH] = "return-path",
	[TRUST_UNSUBSCRIBE] = "unsubscribe",
	[TRUST_RETURNED] = "returned",
	[TRUST_RELAY_ID] = "relay-id",
	[TRUST_ADDRESS] = "address",
};

enum { TOKEN_MIN = 26, TRIES = 32 }; /* shortest token; words tried in one text */

static bool base32(char c)
{
	return isalpha((unsigned char)c) || (c >= '2' && c <= '7');
}

/* The next run of token characters that is as long as a token may be; n == 0: there is none. */
static struct str next_word(struct str *rest)
{
	while (rest->n != 0) {
		size_t skip = 0, n = 0;
		while (skip < rest->n && !base32(rest->p[skip]))
			skip++;
		while (skip + n < rest->n && base32(rest->p[skip + n]))
			n++;
		struct str word = str_n(rest->p + skip, n);
		*rest = str_n(rest->p + skip + n, rest->n - skip - n);
		if (n >= TOKEN_MIN && n < TOKEN_MAX)
			return word;
	}
	return str_n(NULL, 0);
}

static bool find_delivery(struct token_signer *s, enum token_purpose p, struct str text, int64_t *delivery)
{
	struct str word;
	for (int i = 0; i < TRIES && (word = next_word(&text)).n != 0; i++)
		if (token_read_delivery(s, p, word, delivery))
			return true;
	return false;
}

static bool find_unsubscribe(struct token_signer *s, struct str text, struct attribution *out)
{
	struct str word;
	int64_t contact, list, campaign;
	for (int i = 0; i < TRIES && (word = next_word(&text)).n != 0; i++)
		if (token_read_unsubscribe(s, word, &contact, &list, &campaign)) {
			*out = (struct attribution){.contact = contact,
				.list = list,
				.delivery = campaign != 0 ? DELIVERY_ID(campaign, 0) : 0};
			return true;
		}
	return false;
}

enum token_address attribute_address(struct token_signer *signer, struct str address, struct attribution *out)
{
	int64_t delivery;
	*out = (struct attribution){0};
	if (find_delivery(signer, TOKEN_RETURN_PATH, address, &delivery)) {
		*out = (struct attribution){.trust = TRUST_RETURN_PATH, .delivery = delivery};
		return TOKEN_ADDRESS_RETURN;
	}
	if (find_unsubscribe(signer, address, out)) {
		out->trust = TRUST_UNSUBSCRIBE;
		return TOKEN_ADDRESS_STOP;
	}
	return TOKEN_ADDRESS_NONE;
}

/* The unsubscribe token names person and campaign: their delivery is found by number. 0 or -1; without one
 * the person alone stays known. */
static int find_delivery_of(const struct attribute_context *c, struct attribution *a, struct err *e)
{
	struct err none = {0};
	int64_t campaign = DELIVERY_CAMPAIGN(a->delivery), delivery;
	if (campaign == 0 || a->contact == 0)
		return 0;
	if (store_delivery_find(c->store, a->contact, campaign, STR(""), 0, &delivery, &none) == 0) {
		a->delivery = delivery;
		return 0;
	}
	if (none.code == ERR_NOINPUT)
		return 0;
	*e = none;
	return -1;
}

/* Did it leave with an envelope sender that is not our own for it? 1, 0, -1 */
static int foreign_return_path(const struct attribute_context *c, int64_t delivery, struct err *e)
{
	struct delivery_row d;
	struct err none = {0};
	char name[256];
	if (!personal_has_return_path(c->config))
		return 1;
	if (store_delivery_get(c->store, delivery, true, &d, &none) != 0) {
		if (none.code == ERR_NOINPUT)
			return 0;
		*e = none;
		return -1;
	}
	snprintf(name, sizeof name, "%.*s", STR_ARG(d.route));
	const struct config_route *route = config_route_find(c->config, name);
	return route != NULL && route->envelope != ROUTE_ENVELOPE_OURS;
}

/* A token anywhere but in the address it was sent to. */
static bool token_within(
	const struct attribute_context *c, const struct candidate *k, struct attribution *out)
{
	int64_t delivery;
	*out = (struct attribution){.trust = TRUST_RETURNED};
	if (find_delivery(c->signer, TOKEN_MESSAGE_ID, k->text, &delivery) ||
		find_delivery(c->signer, TOKEN_RETURN_PATH, k->text, &delivery)) {
		out->delivery = delivery;
		return true;
	}
	if (!find_unsubscribe(c->signer, k->text, out))
		return false;
	out->trust = TRUST_RETURNED;
	return true;
}

int attribute_token(const struct attribute_context *c, const struct findings *f, bool loose,
	struct attribution *out, struct err *e)
{
	struct attribution a;
	*out = (struct attribution){0};
	for (size_t i = 0; i < f->ncandidates; i++)
		if (f->candidates[i].place == CANDIDATE_RETURN_PATH &&
			attribute_address(c->signer, f->candidates[i].text, &a) != TOKEN_ADDRESS_NONE) {
			*out = a;
			return a.trust == TRUST_UNSUBSCRIBE ? find_delivery_of(c, out, e) : 0;
		}
	for (size_t i = 0; i < f->ncandidates; i++) {
		if (!token_within(c, &f->candidates[i], &a))
			continue;
		if (a.contact != 0 && find_delivery_of(c, &a, e) != 0)
			return -1;
		int foreign = loose ? 1 : foreign_return_path(c, a.delivery, e);
		if (foreign < 0)
			return -1;
		if (foreign == 1) {
			*out = a;
			return 0;
		}
		out->why_not =
			"it quotes a token of ours, but was not sent to the return path of that delivery";
	}
	return 0;
}

int attribute_vouched(const struct attribute_context *c, struct str address, struct str relay_id, ms_t since,
	struct attribution *out, struct err *e)
{
	struct arena a;
	struct address parsed;
	struct contact_row who = {0};
	struct err none = {0};
	*out = (struct attribution){0};
	arena_init(&a, 1024, 64 << 10);
	int rc = address_parse(address, &a, &parsed, &none);
	if (rc != 0)
		out->why_not = "the address in it is none";
	else if ((rc = store_contact_get(c->store, parsed.key, &who, &none)) != 0)
		out->why_not = "nobody of that address is known";
	int64_t contact = rc == 0 ? who.id : 0;
	arena_release(&a);
	if (rc != 0) {
		if (none.code == ERR_DATA || none.code == ERR_NOINPUT)
			return 0;
		*e = none;
		return -1;
	}
	*out = (struct attribution){.trust = TRUST_ADDRESS, .contact = contact};
	for (int with_id = relay_id.n != 0; with_id >= 0; with_id--) {
		none = (struct err){0};
		if (store_delivery_find(c->store, contact, 0, with_id ? relay_id : STR(""), since,
			    &out->delivery, &none) == 0) {
			out->trust = with_id ? TRUST_RELAY_ID : TRUST_ADDRESS;
			return 0;
		}
		if (none.code != ERR_NOINPUT) {
			*e = none;
			return -1;
		}
		out->delivery = 0;
	}
	return 0;
}
