#include "engine/textset.h"

#include <assert.h>
#include <stdlib.h>

struct node {
	int32_t child, sibling; /* the trie while texts are added; 0: none */
	uint16_t fail,
		up;   /* longest proper suffix that is a node; the nearest one of them where a text ends */
	int16_t text; /* that ends here, or -1 */
	unsigned char byte;
};

struct textset {
	struct node *nodes;
	int nnodes, cap;
	int ntexts;
	int nclasses;
	unsigned char class[256]; /* 0: bytes that are in no text */
	uint16_t *next;           /* [node][class] */
};

static unsigned char fold(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static int node_new(struct textset *t, unsigned char byte)
{
	if (t->nnodes == t->cap) {
		int cap = t->cap == 0 ? 256 : t->cap * 2;
		struct node *n = realloc(t->nodes, (size_t)cap * sizeof *n);
		if (n == NULL)
			return -1;
		t->nodes = n;
		t->cap = cap;
	}
	t->nodes[t->nnodes] = (struct node){.text = -1, .byte = byte};
	return t->nnodes++;
}

struct textset *textset_new(void)
{
	struct textset *t = calloc(1, sizeof *t);
	if (t != NULL && node_new(t, 0) < 0)
		textset_free(&t);
	return t;
}

void textset_free(struct textset **t)
{
	if (*t == NULL)
		return;
	free((*t)->nodes);
	free((*t)->next);
	free(*t);
	*t = NULL;
}

static int node_child(struct textset *t, int at, unsigned char byte)
{
	int c = t->nodes[at].child;
	while (c != 0 && t->nodes[c].byte != byte)
		c = t->nodes[c].sibling;
	return c;
}

int textset_add(struct textset *t, struct str text)
{
	assert(t->next == NULL);
	if (text.n == 0 || text.n > (size_t)(TEXTSET_BYTES - t->nnodes))
		return -1;
	int at = 0;
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = fold((unsigned char)text.p[i]);
		int to = node_child(t, at, c);
		if (to == 0) {
			to = node_new(t, c);
			if (to < 0)
				return -1;
			t->nodes[to].sibling = t->nodes[at].child;
			t->nodes[at].child = to;
		}
		at = to;
	}
	if (t->nodes[at].text < 0) {
		if (t->ntexts == TEXTSET_MAX)
			return -1;
		t->nodes[at].text = (int16_t)t->ntexts++;
	}
	return t->nodes[at].text;
}

static void classes_assign(struct textset *t)
{
	t->nclasses = 1;
	for (int i = 1; i < t->nnodes; i++)
		if (t->class[t->nodes[i].byte] == 0)
			t->class[t->nodes[i].byte] = (unsigned char)t->nclasses++;
	for (int c = 'A'; c <= 'Z'; c++)
		t->class[c] = t->class[fold((unsigned char)c)];
}

/* One node in breadth-first order: its row begins as that of its suffix, which is nearer to the root and so
 * complete; then its children take their places. */
static void node_link(struct textset *t, int at, uint16_t *queue, int *tail)
{
	size_t width = (size_t)t->nclasses;
	uint16_t *row = t->next + (size_t)at * width;
	if (at != 0)
		memcpy(row, t->next + t->nodes[at].fail * width, width * sizeof *row);
	for (int c = t->nodes[at].child; c != 0; c = t->nodes[c].sibling) {
		struct node *n = &t->nodes[c];
		uint16_t *slot = &row[t->class[n->byte]];
		n->fail = *slot;
		n->up = t->nodes[n->fail].text >= 0 ? n->fail : t->nodes[n->fail].up;
		*slot = (uint16_t)c;
		queue[(*tail)++] = (uint16_t)c;
	}
}

int textset_build(struct textset *t)
{
	classes_assign(t);
	t->next = calloc((size_t)t->nnodes * (size_t)t->nclasses, sizeof *t->next);
	uint16_t *queue = malloc((size_t)t->nnodes * sizeof *queue);
	if (t->next == NULL || queue == NULL) {
		free(queue);
		return -1;
	}
	int head = 0, tail = 1;
	queue[0] = 0;
	while (head < tail)
		node_link(t, queue[head++], queue, &tail);
	free(queue);
	return 0;
}

int textset_count(const struct textset *t)
{
	return t->ntexts;
}

void textset_find(const struct textset *t, struct str s, struct textset_hits *hits)
{
	memset(hits->bits, 0, (size_t)(t->ntexts + 63) / 64 * sizeof hits->bits[0]);
	unsigned at = 0;
	for (size_t i = 0; i < s.n; i++) {
		at = t->next[(size_t)at * (size_t)t->nclasses + t->class[(unsigned char)s.p[i]]];
		unsigned end = t->nodes[at].text >= 0 ? at : t->nodes[at].up;
		for (; end != 0; end = t->nodes[end].up)
			hits->bits[t->nodes[end].text / 64] |= UINT64_C(1) << (t->nodes[end].text % 64);
	}
}
