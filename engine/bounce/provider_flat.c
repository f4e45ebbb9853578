/* Services whose events are one flat object: SendGrid, Postmark, Mailjet, Brevo; and SparkPost, which wraps
 * it. What each calls its events is a table; the rest is where the address, the reply and the ids stand. */
#include "engine/bounce/provider_private.h"

struct word {
	const char *event;
	enum mail_kind kind; /* none: nothing follows */
};

static const struct word *find_word(const struct word *list, struct str event)
{
	for (; list->event != NULL; list++)
		if (str_is_nocase(event, list->event))
			return list;
	return NULL;
}

static enum report_action action_of(enum mail_kind kind)
{
	return kind == MAIL_BOUNCE      ? REPORT_FAILED
	       : kind == MAIL_DELAYED   ? REPORT_DELAYED
	       : kind == MAIL_DELIVERED ? REPORT_DELIVERED
					: REPORT_UNSTATED;
}

static struct str first_of(struct event *v, const json_t *doc, const char *a, const char *b, const char *c)
{
	struct str s = event_str(v, doc, a);
	if (s.n == 0 && b != NULL)
		s = event_str(v, doc, b);
	return s.n == 0 && c != NULL ? event_str(v, doc, c) : s;
}

static void seconds(struct event *v, const json_t *doc, const char *key)
{
	v->n->at = (ms_t)event_int(doc, key) * SECOND;
}

static void read_time(struct event *v, struct str s)
{
	ms_t at;
	if (s.n != 0 && clock_parse(s.p, NULL, 0, &at, NULL) == 0)
		v->n->at = at;
}

/* ---- SendGrid (docs.sendgrid.com: event webhook reference) ---- */

static const struct word sendgrid_words[] = {{"bounce", MAIL_BOUNCE}, {"blocked", MAIL_BOUNCE},
	{"dropped", MAIL_BOUNCE}, {"deferred", MAIL_DELAYED}, {"delivered", MAIL_DELIVERED},
	{"spamreport", MAIL_COMPLAINT}, {"unsubscribe", MAIL_OPTOUT}, {"group_unsubscribe", MAIL_OPTOUT},
	{"processed", MAIL_NONE}, {"open", MAIL_NONE}, {"click", MAIL_NONE}, {"group_resubscribe", MAIL_NONE},
	{NULL, MAIL_NONE}};

bool sendgrid_event(struct event *v, const json_t *doc)
{
	const struct word *w = find_word(sendgrid_words, event_str(v, doc, "event"));
	if (w == NULL || (json_object_get(doc, "sg_event_id") == NULL &&
				 json_object_get(doc, "sg_message_id") == NULL))
		return false;
	v->n->provider = "sendgrid";
	v->n->id = event_str(v, doc, "sg_event_id");
	seconds(v, doc, "timestamp");
	struct str relay = event_str(v, doc, "sg_message_id");
	relay.n = str_find(relay, '.');
	v->q->out->relay_id = relay;
	event_message_id(v, event_str(v, doc, "smtp-id"));
	event_candidates(v, "", doc); /* custom arguments stand beside the rest */
	struct str words = arena_printf(v->q->a, "sendgrid %s/%.*s/%.*s %.*s", w->event,
		STR_ARG(event_str(v, doc, "type")), STR_ARG(event_str(v, doc, "bounce_classification")),
		STR_ARG(event_str(v, doc, "reason")));
	event_kind(v, w->kind, "sendgrid");
	event_person(v, event_str(v, doc, "email"), action_of(w->kind), 0, event_str(v, doc, "status"),
		str_is(event_str(v, doc, "event"), "dropped") ? str_n(NULL, 0)
							      : first_of(v, doc, "reason", "response", NULL),
		words);
	return true;
}

/* ---- Postmark (postmarkapp.com/developer: bounce, spam complaint, subscription change webhooks) ---- */

static const struct word postmark_types[] = {{"HardBounce", MAIL_BOUNCE}, {"SoftBounce", MAIL_BOUNCE},
	{"Transient", MAIL_DELAYED}, {"DnsError", MAIL_BOUNCE}, {"SpamNotification", MAIL_BOUNCE},
	{"Blocked", MAIL_BOUNCE}, {"BadEmailAddress", MAIL_BOUNCE}, {"SpamComplaint", MAIL_COMPLAINT},
	{"Unsubscribe", MAIL_OPTOUT}, {"AutoResponder", MAIL_AUTOREPLY}, {"AddressChange", MAIL_AUTOREPLY},
	{"ChallengeVerification", MAIL_CHALLENGE}, {"VirusNotification", MAIL_BOUNCE},
	{"DMARCPolicy", MAIL_BOUNCE}, {"Unknown", MAIL_BOUNCE}, {"Undeliverable", MAIL_BOUNCE},
	{"ManuallyDeactivated", MAIL_NONE}, {"Unconfirmed", MAIL_NONE}, {NULL, MAIL_NONE}};

static enum mail_kind postmark_kind(struct event *v, const json_t *doc, struct str record)
{
	if (str_is(record, "Delivery"))
		return MAIL_DELIVERED;
	if (str_is(record, "SpamComplaint"))
		return MAIL_COMPLAINT;
	if (str_is(record, "SubscriptionChange")) {
		struct str why = event_str(v, doc, "SuppressionReason");
		if (!json_is_true(json_object_get(doc, "SuppressSending")))
			return MAIL_NONE;
		return str_is(why, "SpamComplaint") ? MAIL_COMPLAINT
		       : str_is(why, "HardBounce")  ? MAIL_BOUNCE
						    : MAIL_OPTOUT;
	}
	const struct word *w = find_word(postmark_types, event_str(v, doc, "Type"));
	return str_is(record, "Bounce") && w != NULL ? w->kind : MAIL_NONE;
}

bool postmark_event(struct event *v, const json_t *doc)
{
	struct str record = event_str(v, doc, "RecordType");
	if (record.n == 0)
		return false;
	v->n->provider = "postmark";
	v->q->out->relay_id = event_str(v, doc, "MessageID");
	event_candidates(v, "Metadata", json_object_get(doc, "Metadata"));
	candidate_add(v->q, CANDIDATE_REPORT, STR("Tag"), event_str(v, doc, "Tag"));
	read_time(v, first_of(v, doc, "BouncedAt", "DeliveredAt", "ChangedAt"));
	enum mail_kind kind = postmark_kind(v, doc, record);
	struct str type = first_of(v, doc, "Type", "SuppressionReason", NULL);
	struct str words = arena_printf(v->q->a, "postmark %.*s", STR_ARG(type));
	event_kind(v, kind, "postmark");
	event_person(v, first_of(v, doc, "Email", "Recipient", NULL), action_of(kind), 0, str_n(NULL, 0),
		event_str(v, doc, "Details"), words);
	return true;
}

/* ---- Mailjet (dev.mailjet.com: event callbacks) ---- */

static const struct word mailjet_words[] = {{"bounce", MAIL_BOUNCE}, {"blocked", MAIL_BOUNCE},
	{"spam", MAIL_COMPLAINT}, {"unsub", MAIL_OPTOUT}, {"sent", MAIL_DELIVERED}, {"open", MAIL_NONE},
	{"click", MAIL_NONE}, {NULL, MAIL_NONE}};

bool mailjet_event(struct event *v, const json_t *doc)
{
	const struct word *w = find_word(mailjet_words, event_str(v, doc, "event"));
	if (w == NULL ||
		(json_object_get(doc, "MessageID") == NULL && json_object_get(doc, "Message_GUID") == NULL))
		return false;
	v->n->provider = "mailjet";
	seconds(v, doc, "time");
	v->q->out->relay_id = event_str(v, doc, "Message_GUID");
	candidate_add(v->q, CANDIDATE_REPORT, STR("CustomID"), event_str(v, doc, "CustomID"));
	candidate_add(v->q, CANDIDATE_REPORT, STR("Payload"), event_str(v, doc, "Payload"));
	bool hard = json_is_true(json_object_get(doc, "hard_bounce"));
	struct str words = arena_printf(v->q->a, "mailjet %s/%s/%.*s/%.*s", w->event, hard ? "hard" : "soft",
		STR_ARG(event_str(v, doc, "error_related_to")), STR_ARG(event_str(v, doc, "error")));
	event_kind(v, w->kind, "mailjet");
	event_person(v, event_str(v, doc, "email"), action_of(w->kind), 0, str_n(NULL, 0),
		event_str(v, doc, "comment"), words);
	return true;
}

/* ---- Brevo (developers.brevo.com: transactional and marketing webhooks) ---- */

static const struct word brevo_words[] = {{"hard_bounce", MAIL_BOUNCE}, {"hardBounce", MAIL_BOUNCE},
	{"soft_bounce", MAIL_BOUNCE}, {"softBounce", MAIL_BOUNCE}, {"blocked", MAIL_BOUNCE},
	{"invalid_email", MAIL_BOUNCE}, {"invalid", MAIL_BOUNCE}, {"error", MAIL_BOUNCE},
	{"deferred", MAIL_DELAYED}, {"delivered", MAIL_DELIVERED}, {"spam", MAIL_COMPLAINT},
	{"complaint", MAIL_COMPLAINT}, {"unsubscribed", MAIL_OPTOUT}, {"unsubscribe", MAIL_OPTOUT},
	{"request", MAIL_NONE}, {"sent", MAIL_NONE}, {"opened", MAIL_NONE}, {"unique_opened", MAIL_NONE},
	{"click", MAIL_NONE}, {"proxy_open", MAIL_NONE}, {"unique_proxy_open", MAIL_NONE},
	{"list_addition", MAIL_NONE}, {NULL, MAIL_NONE}};

bool brevo_event(struct event *v, const json_t *doc)
{
	const struct word *w = find_word(brevo_words, event_str(v, doc, "event"));
	bool brevo = json_object_get(doc, "message-id") != NULL || json_object_get(doc, "ts_event") != NULL ||
		     json_object_get(doc, "camp_id") != NULL;
	if (w == NULL || !brevo)
		return false;
	v->n->provider = "brevo";
	seconds(v, doc, "ts_event");
	event_message_id(v, event_str(v, doc, "message-id"));
	v->q->out->relay_id = v->q->out->message_id;
	candidate_add(v->q, CANDIDATE_REPORT, STR("X-Mailin-custom"), event_str(v, doc, "X-Mailin-custom"));
	event_candidates(v, "tags", json_object_get(doc, "tags"));
	struct str words = arena_printf(v->q->a, "brevo %s", w->event);
	event_kind(v, w->kind, "brevo");
	event_person(v, event_str(v, doc, "email"), action_of(w->kind), 0, str_n(NULL, 0),
		event_str(v, doc, "reason"), words);
	return true;
}

/* ---- SparkPost (developers.sparkpost.com: webhook events) ---- */

static const struct word sparkpost_words[] = {{"bounce", MAIL_BOUNCE}, {"out_of_band", MAIL_BOUNCE},
	{"policy_rejection", MAIL_BOUNCE}, {"delay", MAIL_DELAYED}, {"delivery", MAIL_DELIVERED},
	{"spam_complaint", MAIL_COMPLAINT}, {"list_unsubscribe", MAIL_OPTOUT},
	{"link_unsubscribe", MAIL_OPTOUT}, {"injection", MAIL_NONE}, {"open", MAIL_NONE},
	{"initial_open", MAIL_NONE}, {"click", MAIL_NONE}, {NULL, MAIL_NONE}};

/* An automatic answer and a challenge come as bounces of their own class. */
static enum mail_kind sparkpost_kind(enum mail_kind kind, long class)
{
	if (kind != MAIL_BOUNCE)
		return kind;
	return class == 60    ? MAIL_AUTOREPLY
	       : class == 100 ? MAIL_CHALLENGE
	       : class == 90  ? MAIL_OPTOUT
			      : kind;
}

bool sparkpost_event(struct event *v, const json_t *doc)
{
	const json_t *msys = json_object_get(doc, "msys"), *in = json_object_get(msys, "message_event");
	if (in == NULL)
		in = json_object_get(msys, "unsubscribe_event");
	if (msys == NULL)
		return false;
	v->n->provider = "sparkpost";
	const struct word *w = find_word(sparkpost_words, event_str(v, in, "type"));
	if (w == NULL)
		return true;
	long class = event_int(in, "bounce_class");
	enum mail_kind kind = sparkpost_kind(w->kind, class);
	v->n->id = event_str(v, in, "event_id");
	seconds(v, in, "timestamp");
	v->q->out->relay_id = event_str(v, in, "message_id");
	event_candidates(v, "rcpt_meta", json_object_get(in, "rcpt_meta"));
	event_candidates(v, "rcpt_tags", json_object_get(in, "rcpt_tags"));
	candidate_add(v->q, CANDIDATE_REPORT, STR("msg_from"), event_str(v, in, "msg_from"));
	struct str words = arena_printf(v->q->a, "sparkpost class %ld.", class);
	event_kind(v, kind, "sparkpost");
	event_person(v, first_of(v, in, "raw_rcpt_to", "rcpt_to", NULL), action_of(kind),
		event_int(in, "error_code"), str_n(NULL, 0), first_of(v, in, "raw_reason", "reason", NULL),
		words);
	return true;
}
