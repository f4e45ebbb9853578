/* A compiled message, as compiling (message.c, message_body.c, message_parts.c) leaves it to composing
 * (message_compose.c). */
#ifndef TEMPLATES_MESSAGE_PRIVATE_H
#define TEMPLATES_MESSAGE_PRIVATE_H

#include "templates/liquid.h"
#include "templates/message.h"
#include "templates/message_file.h"
#include "templates/mime_address.h"
#include "templates/mime_charset.h"
#include "templates/mime_qp.h"
#include "templates/opaque.h"

#define MESSAGE_MOST ((size_t)64 << 20) /* bytes of one file, and of all that a message is made of */

struct message_bytes { /* a part that was read */
	struct str name, data;
};

/* One header value, or a piece of one. */
struct value {
	bool there;
	struct liquid *l; /* NULL: constant */
	struct str text;  /* the constant, clean */
};

struct sender { /* From, Reply-To, To */
	bool there;
	struct value name, address;
	bool whole; /* `address` gives `Name <a@b>` together */
	bool constant;
	struct mailbox fixed; /* if constant */
};

struct extra { /* Header: X-Name: value */
	const char *name;
	struct value value;
};

enum encoding { ENCODE_7BIT, ENCODE_QP, ENCODE_BASE64 };

struct content { /* the text or the HTML part */
	bool there;
	bool mapped; /* errors are told through `map` */
	struct liquid *l;
	struct opaque_map map;
	enum encoding encoding; /* as UTF-8 */
	struct qp_literal *literals;
	struct str *wire;     /* for base64: literals with CRLF */
	struct str *jis;      /* and as ISO-2022-JP; NULL: not wanted, or they do not fit */
	size_t literal_bytes; /* of the source text, and encoded */
	struct str ready;     /* the encoded bytes, where they are the same for everybody */
	bool constant;
	bool trim; /* made from the HTML part: no line ends in a blank, whatever the values are */
};

/* The tree of MIME entities. */
enum node_kind { NODE_TEXT, NODE_HTML, NODE_READY, NODE_MULTI };
struct node {
	enum node_kind kind;
	const char *subtype;   /* of multipart */
	const char *type;      /* of multipart/related: its first part's type */
	int level;             /* for the boundary */
	struct str head, data; /* of a file: headers with their empty line, and its bytes */
	struct str ready;      /* headers and encoded body, where they are not in the tail */
	struct node **children;
	size_t nchildren;
};

#define MESSAGE_IMAGES 500
struct message_image {
	struct str name, cid;
	struct node *node;
};

enum reserved { NAME_EMAIL, NAME_CAMPAIGN, NAME_LIST, NAME_UNSUBSCRIBE, NAME_VIEW, NAME_NOW, RESERVED };

struct message {
	struct arena keep;                   /* everything but Liquid programs */
	const struct message_reader *reader; /* while compiling */
	const struct message_options *options;
	enum message_format format;
	const char *path;
	const struct zone *zone;
	const char *locale;
	struct opaque_file file;
	struct message_source source;
	struct opaque opaque;

	struct message_bytes *parts;
	size_t nparts, parts_cap, parts_bytes;

	struct liquid_names *names;
	int *slot_of;  /* for each name: slot of the recipient, or -1 - enum reserved */
	size_t *slots; /* their names' numbers */
	size_t nslots, nnames;

	enum charset charset;
	struct str language;
	struct value subject;
	struct sender from, to, reply_to;
	struct str from_domain;
	struct extra *extras;
	size_t nextras;
	struct content text, html;
	struct message_image *images;
	size_t nimages;
	struct node **attached;
	size_t nattached;
	size_t ready_bytes;
	int nlevels;
	struct node *root;
	struct str tail;     /* encoded files behind the last part that is a recipient's own; n == 0: none */
	enum node_kind last; /* that part */
	struct str boundary; /* of all levels, where there is a tail; else each message has its own */
	size_t body_estimate;
	bool own_unsubscribe; /* the author's text has the link */
};

/* message.c: reading. Each part is read once and kept. */
int message_read(struct message *m, const char *name, struct str *out, struct err *e);
int message_keep(struct message *m, const char *name, struct str data, struct err *e);
int message_oom(const struct message *m, struct err *e);

/* message_body.c: from body, layout and partials to the two contents. */
int message_body_compile(struct message *m, struct err *e);
/* Compiles one template of the text or HTML part, told as of the map. */
int content_compile(struct message *m, struct content *c, bool html, struct err *e);
void content_free(struct content *c);

/* message_parts.c: attachments and embedded images; the tree. */
int message_attach(struct message *m, struct err *e);
/* The image's Content-ID, without brackets; out->n == 0: no such file. */
int message_embed(struct message *m, struct str name, struct str *cid, struct err *e);
int message_tree(struct message *m, struct err *e);
/* message_tail.c: encodes the files, all in one where they are large. */
int message_tail(struct message *m, struct err *e);

#endif
