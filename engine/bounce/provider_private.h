/* Between the readers of providers' events. */
#ifndef ENGINE_BOUNCE_PROVIDER_PRIVATE_H
#define ENGINE_BOUNCE_PROVIDER_PRIVATE_H

#include "engine/bounce/provider.h"
#include "engine/bounce/reader_private.h"

#include <jansson.h>

/* One event being read. The string functions give n == 0 for what is not there or is no string. */
struct event {
	struct reading *q;
	struct notice *n;
};

struct str event_str(struct event *v, const json_t *object, const char *key);
long event_int(const json_t *object, const char *key); /* also of a number in a string; 0: none */
/* A person concerned. `words` is what the service calls it, `code` 0 and empty texts where it says nothing.
 */
void event_person(struct event *v, struct str address, enum report_action action, long code,
	struct str enhanced, struct str diagnostic, struct str words);
void event_kind(struct event *v, enum mail_kind kind, const char *source);
/* Every string below `value` may hold a token: custom arguments, tags, metadata. */
void event_candidates(struct event *v, const char *name, const json_t *value);
void event_message_id(struct event *v, struct str id); /* of the message that was sent */

/* true: it is an event of that service, read or passed over (kind none). */
bool ses_event(struct event *v, const json_t *doc);
bool sendgrid_event(struct event *v, const json_t *doc);
bool mailgun_event(struct event *v, const json_t *doc, const struct provider_keys *keys, bool *forged);
bool postmark_event(struct event *v, const json_t *doc);
bool mailjet_event(struct event *v, const json_t *doc);
bool brevo_event(struct event *v, const json_t *doc);
bool sparkpost_event(struct event *v, const json_t *doc);

#endif
