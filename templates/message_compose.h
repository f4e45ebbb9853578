/* Composing one message: what message_compose.c (headers, tree) and message_render.c (text and HTML) share.
 */
#ifndef TEMPLATES_MESSAGE_COMPOSE_H
#define TEMPLATES_MESSAGE_COMPOSE_H

#include "templates/message_private.h"

/* One message being made. */
struct compose {
	const struct message *m;
	const struct message_recipient *r;
	struct arena *a;
	struct composed *out;
	struct liquid_vars vars;
	enum charset charset;
	struct mailbox from, to, reply_to;
	struct str subject;
	struct str *extras;
	struct str text, html; /* as ISO-2022-JP with CRLF, where the charset is that */
	struct run header, body;
	struct err *e;
	bool skip;
	bool at_tail; /* what follows is m->tail */
};

int compose_no_memory(struct compose *c);
/* `sink` NULL: into `out`. Sets c->skip where the template aborts. */
int compose_render(
	struct compose *c, const struct liquid *l, const struct liquid_sink *sink, struct str *out);

/* The part as text with LF, for preview. */
int compose_plain(struct compose *c, const struct content *content, struct str *out);
/* The part as ISO-2022-JP with CRLF; `fits` is false where it cannot be. */
int compose_jis(struct compose *c, const struct content *content, struct str *out, bool *fits);
/* Renders and encodes: Content-Type, Content-Transfer-Encoding and the empty line to `head`, the rest to
 * `body`, which may be the same run. `jis`: the part, where the message's charset is ISO-2022-JP. */
int compose_content(struct compose *c, const struct content *content, struct str jis, const char *type,
	struct run *head, struct run *body);

#endif
