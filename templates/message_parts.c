#include "templates/message_private.h"

#include "src/base/hash.h"
#include "src/base/utf8.h"
#include "templates/mime_base64.h"
#include "templates/mime_param.h"
#include "templates/mime_type.h"

#include <stdio.h>

enum { ATTACH_MOST = 25 << 20 }; /* encoded: what the large providers take in one message */

static struct str base_name(struct str path)
{
	size_t i = path.n;
	while (i > 0 && path.p[i - 1] != '/')
		i--;
	return str_n(path.p + i, path.n - i);
}

static struct node *node_new(struct message *m, enum node_kind kind, size_t most)
{
	struct node *n = arena_zalloc(&m->keep, sizeof *n);
	if (n == NULL)
		return NULL;
	n->kind = kind;
	n->children = arena_alloc(&m->keep, (most + 1) * sizeof *n->children);
	return n->children != NULL ? n : NULL;
}

/* Content-Type of a file; text whose charset cannot be told goes as bytes. */
static void write_type(struct message *m, struct header *h, struct str name, struct str data)
{
	const char *type = mime_type(name);
	bool text = strncmp(type, "text/", 5) == 0;
	if (text && !utf8_valid(data))
		type = "application/octet-stream";
	header_begin(h, "Content-Type");
	header_token(h, str_from(type), false);
	if (text && type[0] == 't')
		param_write(h, "charset", STR("utf-8"));
	struct str shown = base_name(name);
	param_write(h, "name", param_simple(shown) ? shown : param_fallback(&m->keep, shown));
	header_end(h);
}

/* Headers and empty line; the file itself is encoded by message_tail(). */
static struct node *file_node(
	struct message *m, struct str name, struct str data, const char *disposition, struct str cid)
{
	struct node *n = node_new(m, NODE_READY, 0);
	struct run r = RUN_INIT(&m->keep);
	struct header h = {.out = &r};
	if (n == NULL)
		return NULL;
	write_type(m, &h, name, data);
	header_begin(&h, "Content-Disposition");
	header_token(&h, str_from(disposition), false);
	param_write(&h, "filename", header_clean(&m->keep, base_name(name)));
	header_end(&h);
	if (cid.n != 0)
		run_printf(&r, "Content-ID: <%.*s>\r\n", STR_ARG(cid));
	run_puts(&r, "Content-Transfer-Encoding: base64\r\n\r\n");
	n->head = run_get(&r);
	n->data = data;
	m->ready_bytes += n->head.n + base64_size(data.n);
	return r.failed ? NULL : n;
}

/* --- attachments --- */

static int attach_one(struct message *m, const struct message_line *l, struct err *e)
{
	struct str data;
	const char *name = arena_str(&m->keep, l->value).p;
	if (memmem(l->value.p, l->value.n, "{{", 2) != NULL ||
		memmem(l->value.p, l->value.n, "{%", 2) != NULL) {
		err_set(e, ERR_DATA, m->path, "an attachment is the same for everybody: no Liquid there");
		return err_at(e, m->path, l->line);
	}
	if (!message_name_ok(l->value)) {
		err_set(e, ERR_DATA, m->path,
			"an attachment must be a file in the message's folder, or below it");
		return err_at(e, m->path, l->line);
	}
	if (message_read(m, name, &data, e) != 0)
		return e != NULL && e->line == 0 ? err_at(e, m->path, l->line) : -1;
	struct node *n = file_node(m, l->value, data, "attachment", STR(""));
	if (n == NULL)
		return message_oom(m, e);
	m->attached[m->nattached++] = n;
	if (m->ready_bytes <= ATTACH_MOST)
		return 0;
	err_set(e, ERR_DATA, m->path,
		"attachments and images are %zu MB, encoded; at most 25 are delivered by the large providers",
		m->ready_bytes >> 20);
	return err_at(e, m->path, l->line);
}

int message_attach(struct message *m, struct err *e)
{
	m->attached = arena_alloc(&m->keep, (m->source.nlines + 1) * sizeof *m->attached);
	if (m->attached == NULL)
		return message_oom(m, e);
	for (size_t i = 0; i < m->source.nlines; i++)
		if (m->source.lines[i].field == FIELD_ATTACH && attach_one(m, &m->source.lines[i], e) != 0)
			return -1;
	return 0;
}

/* --- embedded images --- */

/* Made of the content, so that equal inputs give equal bytes. */
static struct str content_id(struct message *m, struct str data)
{
	unsigned char digest[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];
	sha256(data, digest);
	hex_encode(digest, SHA256_LEN, hex);
	struct str domain = m->from_domain.n != 0 ? m->from_domain : STR("images.invalid");
	return arena_printf(&m->keep, "%.20s@%.*s", hex, STR_ARG(domain));
}

int message_embed(struct message *m, struct str name, struct str *cid, struct err *e)
{
	struct str data;
	struct err why = {0};
	*cid = STR("");
	for (size_t i = 0; i < m->nimages; i++)
		if (str_eq(m->images[i].name, name)) {
			*cid = m->images[i].cid;
			return 0;
		}
	struct str z = arena_str(&m->keep, name);
	if (m->nimages == MESSAGE_IMAGES)
		return err_set(e, ERR_DATA, m->path, "more than %d images in the message", MESSAGE_IMAGES);
	if (message_read(m, z.p, &data, &why) != 0) {
		if (why.code == ERR_NOINPUT)
			return 0;
		if (e != NULL)
			*e = why;
		return -1;
	}
	struct message_image *image = &m->images[m->nimages];
	image->name = z;
	image->cid = content_id(m, data);
	image->node = file_node(m, z, data, "inline", image->cid);
	if (image->node == NULL || m->keep.failed)
		return message_oom(m, e);
	m->nimages++;
	*cid = image->cid;
	return 0;
}

/* --- the tree --- */

static struct node *multi(struct message *m, const char *subtype, struct node *first, size_t most)
{
	struct node *n = node_new(m, NODE_MULTI, most);
	if (n == NULL || first == NULL)
		return NULL;
	n->subtype = subtype;
	n->level = m->nlevels++;
	n->children[n->nchildren++] = first;
	return n;
}

/* mixed( alternative( text, related( html, images ) ), attachments ), without the levels that are not needed.
 */
int message_tree(struct message *m, struct err *e)
{
	struct node *root = node_new(m, NODE_TEXT, 0);
	if (m->html.there) {
		struct node *html = node_new(m, NODE_HTML, 0);
		if (m->nimages != 0) {
			html = multi(m, "related", html, m->nimages + 1);
			for (size_t i = 0; html != NULL && i < m->nimages; i++)
				html->children[html->nchildren++] = m->images[i].node;
			if (html != NULL)
				html->type = "text/html";
		}
		root = multi(m, "alternative", root, 2);
		if (root != NULL)
			root->children[root->nchildren++] = html;
		if (html == NULL)
			root = NULL;
	}
	if (m->nattached != 0) {
		root = multi(m, "mixed", root, m->nattached + 1);
		for (size_t i = 0; root != NULL && i < m->nattached; i++)
			root->children[root->nchildren++] = m->attached[i];
	}
	m->root = root;
	if (root == NULL || message_tail(m, e) != 0)
		return message_oom(m, e);
	size_t ready = m->tail.n != 0 ? 0 : m->ready_bytes;
	m->body_estimate = ready + m->text.literal_bytes + m->html.literal_bytes + 4096;
	return 0;
}
