/* Attachments and embedded images stand behind everything that is a recipient's own, and are the same for
 * all. Where they are large they are encoded into one tail, with all that is between and behind them, which
 * every composed message shares; so the boundaries must be the same for all too. */
#include "templates/message_private.h"

#include "src/base/hash.h"
#include "templates/mime_base64.h"

enum { TAIL_LEAST = 16 << 10 }; /* below that a copy costs less than a third piece to sign and to send */

/* Made of the content, so that equal inputs give equal bytes, and nobody knows it before it is sent. In
 * encoded text "=_" cannot stand. */
static struct str boundary(struct message *m)
{
	unsigned char digest[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];
	struct run all = RUN_INIT(&m->keep);
	for (size_t i = 0; i < m->nparts; i++) {
		sha256(m->parts[i].data, digest);
		run_add(&all, digest, sizeof digest);
	}
	sha256(run_get(&all), digest);
	hex_encode(digest, SHA256_LEN, hex);
	return arena_str(&m->keep, str_n(hex, 20));
}

static void encode(struct run *out, const struct node *n)
{
	struct base64 b = {.out = out};
	run_str(out, n->head);
	base64_add(&b, n->data.p, n->data.n);
	base64_end(&b);
}

static void write_boundary(const struct message *m, const struct node *n, const char *after, struct run *out)
{
	/* The line end in front of the first one closes the recipient's own part. */
	run_puts(out, out->n == 0 ? "--=_" : "\r\n--=_");
	run_str(out, m->boundary);
	run_putc(out, '_');
	run_putc(out, (char)('0' + n->level));
	run_puts(out, after);
}

static void write_rest(const struct message *m, const struct node *n, bool *behind, struct run *out)
{
	if (n->kind == m->last)
		*behind = true;
	if (n->kind == NODE_READY)
		encode(out, n);
	for (size_t i = 0; i < n->nchildren; i++) {
		if (*behind)
			write_boundary(m, n, "\r\n", out);
		write_rest(m, n->children[i], behind, out);
	}
	if (n->kind == NODE_MULTI && *behind)
		write_boundary(m, n, "--\r\n", out);
}

static int encode_each(struct message *m, struct node *n)
{
	if (n->kind == NODE_READY) {
		struct run r = RUN_INIT(&m->keep);
		encode(&r, n);
		n->ready = run_get(&r);
		return r.failed ? -1 : 0;
	}
	for (size_t i = 0; i < n->nchildren; i++)
		if (encode_each(m, n->children[i]) != 0)
			return -1;
	return 0;
}

int message_tail(struct message *m, struct err *e)
{
	struct run tail = RUN_INIT(&m->keep);
	bool behind = false;
	m->last = m->html.there ? NODE_HTML : NODE_TEXT;
	if (m->ready_bytes < TAIL_LEAST)
		return encode_each(m, m->root) == 0 ? 0 : message_oom(m, e);
	m->boundary = boundary(m);
	if (m->keep.failed || !run_reserve(&tail, m->ready_bytes + 64 * (m->nattached + m->nimages + 4)))
		return message_oom(m, e);
	write_rest(m, m->root, &behind, &tail);
	m->tail = run_get(&tail);
	return tail.failed ? message_oom(m, e) : 0;
}
