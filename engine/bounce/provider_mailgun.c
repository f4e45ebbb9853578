/* Mailgun's webhooks: {"signature": {…}, "event-data": {…}}, and the event data alone as its Events API gives
 * them. */
#include "engine/bounce/provider_private.h"
#include "src/base/hash.h"

/* hex(HMAC-SHA256(key, timestamp + token)) */
static bool is_signed(struct event *v, const json_t *signature, struct str key)
{
	struct str t = event_str(v, signature, "timestamp"), token = event_str(v, signature, "token");
	struct str given = event_str(v, signature, "signature");
	struct str text = arena_printf(v->q->a, "%.*s%.*s", STR_ARG(t), STR_ARG(token));
	unsigned char mac[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];
	hmac_sha256(key, text, mac);
	hex_encode(mac, sizeof mac, hex);
	return t.n != 0 && token.n != 0 && given.n == 2 * SHA256_LEN && mem_eq_const(hex, given.p, given.n);
}

static void read_message(struct event *v, const json_t *data)
{
	const json_t *headers = json_object_get(json_object_get(data, "message"), "headers");
	event_message_id(v, event_str(v, headers, "message-id"));
	candidate_add(v->q, CANDIDATE_REPORT, STR("sender"),
		event_str(v, json_object_get(data, "envelope"), "sender"));
	event_candidates(v, "user-variables", json_object_get(data, "user-variables"));
	event_candidates(v, "tags", json_object_get(data, "tags"));
}

static void failed(struct event *v, const json_t *data, bool permanent)
{
	const json_t *status = json_object_get(data, "delivery-status");
	struct str text = event_str(v, status, "message");
	if (text.n == 0)
		text = event_str(v, status, "description");
	struct str words = arena_printf(v->q->a, "mailgun %s/%.*s", permanent ? "permanent" : "temporary",
		STR_ARG(event_str(v, data, "reason")));
	v->q->out->reporting_host = event_str(v, status, "mx-host");
	long code = event_int(status, "code");
	event_person(v, event_str(v, data, "recipient"), permanent ? REPORT_FAILED : REPORT_DELAYED,
		code >= 600 ? 0 : code, event_str(v, status, "enhanced-code"), text, words);
	event_kind(v, permanent ? MAIL_BOUNCE : MAIL_DELAYED, "mailgun");
}

bool mailgun_event(struct event *v, const json_t *doc, const struct provider_keys *keys, bool *forged)
{
	const json_t *data = json_object_get(doc, "event-data"),
		     *signature = json_object_get(doc, "signature");
	if (data == NULL && json_object_get(doc, "delivery-status") != NULL &&
		json_object_get(doc, "recipient") != NULL)
		data = doc;
	struct str event = event_str(v, data, "event"), who = event_str(v, data, "recipient");
	if (event.n == 0)
		return false;
	v->n->provider = "mailgun";
	if (keys != NULL && keys->mailgun.n != 0 && data != doc) {
		v->n->verified = is_signed(v, signature, keys->mailgun);
		*forged = !v->n->verified;
	}
	v->n->id = event_str(v, data, "id");
	const json_t *at = json_object_get(data, "timestamp");
	v->n->at = json_is_number(at) ? (ms_t)(json_number_value(at) * 1000) : 0;
	read_message(v, data);
	if (str_is(event, "failed")) {
		failed(v, data, str_is(event_str(v, data, "severity"), "permanent"));
	} else if (str_is(event, "complained") || str_is(event, "unsubscribed") ||
		   str_is(event, "delivered")) {
		enum mail_kind kind = str_is(event, "complained")     ? MAIL_COMPLAINT
				      : str_is(event, "unsubscribed") ? MAIL_OPTOUT
								      : MAIL_DELIVERED;
		event_kind(v, kind, "mailgun");
		event_person(v, who, kind == MAIL_DELIVERED ? REPORT_DELIVERED : REPORT_UNSTATED, 0,
			str_n(NULL, 0), str_n(NULL, 0), str_n(NULL, 0));
	}
	return true;
}
