/* Amazon SES: notifications (notificationType) and event publishing (eventType), and the same as the text of
 * a mail (docs.aws.amazon.com/ses: notification contents, event data). */
#include "engine/bounce/provider_private.h"

static bool each_recipient(const json_t *list, size_t i, const json_t **one)
{
	*one = json_array_get(list, i);
	return *one != NULL && i < READER_FAILURES;
}

static struct str words_of(
	struct event *v, const json_t *part, const char *what, const char *type, const char *sub)
{
	return arena_printf(v->q->a, "ses %s %.*s/%.*s", what, STR_ARG(event_str(v, part, type)),
		STR_ARG(event_str(v, part, sub)));
}

static void people(struct event *v, const json_t *list, enum report_action action, struct str words)
{
	const json_t *one;
	for (size_t i = 0; each_recipient(list, i, &one); i++) {
		if (json_is_string(one)) {
			struct str address = str_n(json_string_value(one), json_string_length(one));
			event_person(v, arena_str(v->q->a, address), action, 0, str_n(NULL, 0),
				str_n(NULL, 0), words);
			continue;
		}
		struct str diagnostic = event_str(v, one, "diagnosticCode");
		size_t semi = str_find(diagnostic, ';');
		if (semi < diagnostic.n && semi < 12)
			diagnostic = str_trim(str_n(diagnostic.p + semi + 1, diagnostic.n - semi - 1));
		event_person(v, event_str(v, one, "emailAddress"), action, 0, event_str(v, one, "status"),
			diagnostic, words);
	}
}

/* The message as SES took it: its own id, and the headers if the topic was set up to have them. */
static void sent_message(struct event *v, const json_t *mail)
{
	v->q->out->relay_id = event_str(v, mail, "messageId");
	candidate_add(v->q, CANDIDATE_REPORT, STR("source"), event_str(v, mail, "source"));
	const json_t *one, *headers = json_object_get(mail, "headers");
	for (size_t i = 0; i < READER_CANDIDATES && (one = json_array_get(headers, i)) != NULL; i++) {
		struct str name = event_str(v, one, "name"), value = event_str(v, one, "value");
		if (str_is_nocase(name, "Message-ID"))
			event_message_id(v, value);
		else if (str_is_nocase(name, "Return-Path") || str_is_nocase(name, "List-Unsubscribe") ||
			 str_is_nocase(name, "Feedback-ID"))
			candidate_add(v->q, CANDIDATE_RETURNED, name, value);
	}
	struct str id = event_str(v, json_object_get(mail, "commonHeaders"), "messageId");
	if (v->q->out->message_id.n == 0)
		event_message_id(v, id);
	json_t *tags = json_object_get(mail, "tags");
	for (void *at = json_object_iter(tags); at != NULL; at = json_object_iter_next(tags, at))
		event_candidates(v, "tag", json_object_iter_value(at));
}

static ms_t time_of(struct event *v, const json_t *part)
{
	ms_t at = 0;
	struct str s = event_str(v, part, "timestamp");
	return s.n != 0 && clock_parse(s.p, NULL, 0, &at, NULL) == 0 ? at : 0;
}

bool ses_event(struct event *v, const json_t *doc)
{
	struct str type = event_str(v, doc, "notificationType");
	if (type.n == 0)
		type = event_str(v, doc, "eventType");
	const json_t *mail = json_object_get(doc, "mail");
	if (type.n == 0 || !json_is_object(mail))
		return false;
	v->n->provider = "ses";
	sent_message(v, mail);
	const json_t *part;
	if (str_is(type, "Bounce") && (part = json_object_get(doc, "bounce")) != NULL) {
		event_kind(v, MAIL_BOUNCE, "ses");
		struct str host = event_str(v, part, "reportingMTA");
		size_t semi = str_find(host, ';');
		v->q->out->reporting_host =
			semi < host.n ? str_trim(str_n(host.p + semi + 1, host.n - semi - 1)) : host;
		people(v, json_object_get(part, "bouncedRecipients"), REPORT_FAILED,
			words_of(v, part, "bounce", "bounceType", "bounceSubType"));
	} else if (str_is(type, "Complaint") && (part = json_object_get(doc, "complaint")) != NULL) {
		struct str kind = event_str(v, part, "complaintFeedbackType");
		event_kind(v,
			str_is(kind, "not-spam") || str_is(kind, "auth-failure") ? MAIL_REPORT
										 : MAIL_COMPLAINT,
			"ses");
		v->q->out->feedback.type = kind.n != 0 ? kind : STR("abuse");
		v->q->out->feedback.user_agent = event_str(v, part, "userAgent");
		v->q->out->feedback.arrival = event_str(v, part, "arrivalDate");
		people(v, json_object_get(part, "complainedRecipients"), REPORT_UNSTATED, str_n(NULL, 0));
	} else if (str_is(type, "Delivery") && (part = json_object_get(doc, "delivery")) != NULL) {
		event_kind(v, MAIL_DELIVERED, "ses");
		people(v, json_object_get(part, "recipients"), REPORT_DELIVERED, str_n(NULL, 0));
	} else if (str_is(type, "DeliveryDelay") && (part = json_object_get(doc, "deliveryDelay")) != NULL) {
		event_kind(v, MAIL_DELAYED, "ses");
		people(v, json_object_get(part, "delayedRecipients"), REPORT_DELAYED,
			words_of(v, part, "delay", "delayType", ""));
	} else {
		part = NULL;
	}
	v->n->id = event_str(v, part, "feedbackId");
	v->n->at = time_of(v, part);
	return true;
}

/* ---- as the text of a mail ---- */

/* A topic that is subscribed by mail: the JSON stands in the text, with long lines broken and a footer below.
 */
static json_t *load(struct arena *a, struct str s)
{
	json_t *doc = json_loadb(s.p, s.n, JSON_DISABLE_EOF_CHECK, NULL);
	char *joined = doc == NULL ? arena_bytes(a, s.n + 1) : NULL;
	size_t n = 0;
	if (joined == NULL)
		return doc;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '!' && i + 2 < s.n && s.p[i + 1] == '\n' && s.p[i + 2] == ' ')
			i += 2;
		else if (s.p[i] == '\n')
			i += i + 1 < s.n && s.p[i + 1] == ' ' ? 1 : 0;
		else
			joined[n++] = s.p[i];
	}
	return json_loadb(joined, n, JSON_DISABLE_EOF_CHECK, NULL);
}

static json_t *event_of(struct arena *a, struct str s)
{
	json_t *doc = load(a, s), *message = json_object_get(doc, "Message");
	if (!json_is_string(message))
		return doc;
	json_t *inner = load(a, str_n(json_string_value(message), json_string_length(message)));
	json_decref(doc);
	return inner;
}

bool ses_mail(struct reading *q)
{
	for (int i = 0; i < q->mail->nparts; i++) {
		if (q->mail->part[i].role != PART_TEXT)
			continue;
		struct str s = str_trim(part_text(q->a, &q->mail->part[i]));
		bool may = s.n > 2 && s.p[0] == '{' &&
			   (find_nocase(s, "notificationtype") < s.n || find_nocase(s, "eventtype") < s.n);
		json_t *doc = may ? event_of(q->a, s) : NULL;
		struct notice n = {0};
		struct event v = {q, &n};
		bool read = json_is_object(doc) && ses_event(&v, doc);
		json_decref(doc);
		return read && q->out->kind != MAIL_NONE;
	}
	return false;
}
