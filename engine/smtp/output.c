/* What goes to the wire: commands, and between them messages that are written from where they lie. */
#include "engine/smtp/client_private.h"

#include "src/base/fault.h"

#include <assert.h>

#define DONE_MAX 4096 /* written bytes that may lie in front of the rest */

static struct load *load_at(struct smtp_client *c, unsigned i)
{
	return &c->loads[(c->first_load + i) % c->nplaces];
}

bool smtp_data_pending(const struct smtp_client *c)
{
	return c->nloads != 0;
}

bool smtp_output_pending(const struct smtp_client *c)
{
	return c->out_done != c->out.len || c->nloads != 0;
}

void smtp_lend(struct smtp_client *c, const struct smtp_message *m)
{
	if (smtp_message_size(m) == 0)
		return;
	assert(c->nloads < c->nplaces);
	*load_at(c, c->nloads++) = (struct load){c->out.len, {m->header, m->body, m->tail}};
	c->queued += smtp_message_size(m);
}

static int add_piece(struct iovec *v, int n, int max, const char *p, size_t len)
{
	if (len == 0 || n == max)
		return n;
	v[n] = (struct iovec){(void *)(uintptr_t)p, len};
	return n + 1;
}

/* For tests: is the end of a message among these bytes of the stream? */
static void ends_within(struct smtp_client *c, uint64_t from, uint64_t to, const char *point)
{
	for (unsigned i = 0; i < c->ntaken; i++)
		if (smtp_slot(c, i)->end > from && smtp_slot(c, i)->end <= to)
			fault_point(point);
}

int smtp_client_output(struct smtp_client *c, struct iovec *v, int max)
{
	size_t from = c->out_done;
	if (fault_listen != NULL)
		ends_within(c, c->written, UINT64_MAX, "end-before");
	int n = 0;
	for (unsigned i = 0; i < c->nloads && n < max; i++) {
		const struct load *l = load_at(c, i);
		n = add_piece(v, n, max, c->out.p + from, l->at - from);
		from = l->at;
		for (size_t k = 0; k < LOAD_PIECES; k++)
			n = add_piece(v, n, max, l->piece[k].p, l->piece[k].n);
	}
	return add_piece(v, n, max, c->out.p + from, c->out.len - from);
}

static size_t take(struct str *s, size_t n)
{
	size_t k = n < s->n ? n : s->n;
	*s = str_n(s->p + k, s->n - k);
	return k;
}

/* Of `n` bytes those that stand in front of the first load, and of the load: returns what is left of n. */
static size_t take_load(struct smtp_client *c, size_t n)
{
	struct load *l = load_at(c, 0);
	size_t before = l->at - c->out_done, k = n < before ? n : before, left = 0;
	c->out_done += k;
	n -= k;
	for (size_t i = 0; i < LOAD_PIECES; i++) {
		n -= take(&l->piece[i], n);
		left += l->piece[i].n;
	}
	if (c->out_done == l->at && left == 0) {
		c->first_load = (c->first_load + 1) % c->nplaces;
		c->nloads--;
	}
	return n;
}

/* With several messages under way there may always be something to write. */
static void forget_done(struct smtp_client *c)
{
	buf_drop(&c->out, c->out_done);
	for (unsigned i = 0; i < c->nloads; i++)
		load_at(c, i)->at -= c->out_done;
	c->out_done = 0;
}

void smtp_client_written(struct smtp_client *c, size_t n, ms_t now)
{
	if (fault_listen != NULL)
		ends_within(c, c->written, c->written + n, "end-after");
	c->written += n;
	c->since = now;
	while (n != 0 && c->nloads != 0)
		n = take_load(c, n);
	assert(n <= c->out.len - c->out_done);
	c->out_done += n;
	if (smtp_output_pending(c)) {
		if (c->out_done > DONE_MAX)
			forget_done(c);
		return;
	}
	if (c->secret_out)
		explicit_bzero(c->out.p, c->out.len);
	c->secret_out = false;
	c->out.len = c->out_done = 0;
}

void smtp_drop_output(struct smtp_client *c)
{
	explicit_bzero(c->out.p, c->out.len);
	c->out.len = c->out_done = 0;
	c->nloads = 0;
}
