/* reclassify: the rules of today over the returned messages that are kept; prune: retention. */
#include "engine/bounce/intake.h"
#include "src/cli/campaign_view.h"
#include "src/cli/cli.h"
#include "src/cli/output.h"
#include "src/db/prune.h"
#include "src/db/returned.h"

#include <stdlib.h>

/* ---- reclassify ---- */

struct pair { /* so many were this and are that */
	enum reply_class was, is;
	char was_reason[40], is_reason[40];
	int64_t n;
};

struct again {
	struct cli *c;
	struct store *s;
	struct intake *in;
	struct buf message;
	struct pair *pairs; /* as many as there are reasons at most, squared */
	size_t npairs, cap;
	int64_t read, unread, changed, hard, soft_again, lifted, suppressed;
	bool apply, together; /* a transaction is open */
	ms_t began;
	struct err *e;
};

static int count_pair(struct again *a, const struct returned_row *was, const struct returned_change *now)
{
	struct pair p = {.was = was->class, .is = now->class, .n = 1};
	snprintf(p.was_reason, sizeof p.was_reason, "%.*s", STR_ARG(was->reason));
	snprintf(p.is_reason, sizeof p.is_reason, "%.*s", STR_ARG(now->reason));
	for (size_t i = 0; i < a->npairs; i++) {
		struct pair *q = &a->pairs[i];
		if (q->was == p.was && q->is == p.is && strcmp(q->was_reason, p.was_reason) == 0 &&
			strcmp(q->is_reason, p.is_reason) == 0) {
			q->n++;
			return 0;
		}
	}
	if (a->npairs == a->cap) {
		struct pair *v = realloc(a->pairs, (a->cap = a->cap * 2 + 32) * sizeof *v);
		if (v == NULL)
			return err_set(a->e, ERR_INTERNAL, "reclassify", "out of memory");
		a->pairs = v;
	}
	a->pairs[a->npairs++] = p;
	return 0;
}

static json_t *class_json(enum reply_class class)
{
	return class != CLASS_NONE ? json_string(reply_class_names[class]) : json_null();
}

static int show_change(struct again *a, const struct returned_row *was, const struct returned_change *now)
{
	json_t *doc = json_pack("{s:I, s:o, s:o, s:o, s:o, s:b}", "id", (json_int_t)was->id, "class",
		class_json(was->class), "reason", view_str(was->reason), "class_now", class_json(now->class),
		"reason_now", view_str(now->reason), "changed", a->apply);
	return json_line(doc) != 0 ? output_error(a->e) : 0;
}

enum { TOGETHER = 40 }; /* ms of one transaction */

static int begin(struct again *a)
{
	if (a->together)
		return 0;
	a->together = true;
	a->began = clock_mono();
	return store_together(a->s, a->e);
}

static int commit(struct again *a)
{
	bool open = a->together;
	a->together = false;
	return open ? store_together_end(a->s, true, a->e) : 0;
}

static int again_one(void *ctx, const struct returned_row *was)
{
	struct again *a = ctx;
	struct returned_change now;
	bool lifted = false, suppressed = false;
	buf_clear(&a->message);
	if (store_returned_message(a->s, was->id, &a->message, a->e) != 0)
		return -1;
	a->read++;
	int rc = intake_again(a->in, was, buf_get(&a->message), &now, a->e);
	a->unread += rc == INTAKE_UNREAD;
	if (rc != 1)
		return rc < 0 ? -1 : 0;
	a->changed++;
	/* What it would mean for the person; the store looks closer when it is done. */
	a->hard += now.class == CLASS_HARD && was->class != CLASS_HARD && was->effect == RETURNED_FAILED;
	a->soft_again +=
		was->class == CLASS_HARD && now.class != CLASS_HARD && was->effect == RETURNED_FAILED;
	if (a->c->json ? show_change(a, was, &now) != 0 : count_pair(a, was, &now) != 0)
		return -1;
	now.at = clock_now();
	if (a->apply && (begin(a) != 0 || store_returned_change(a->s, &now, &lifted, &suppressed, a->e) != 0))
		return -1;
	a->lifted += lifted;
	a->suppressed += suppressed;
	return a->together && clock_mono() - a->began >= TOGETHER ? commit(a) : 0;
}

static int by_count(const void *x, const void *y)
{
	const struct pair *a = x, *b = y;
	return (a->n < b->n) - (a->n > b->n);
}

static const char *class_word(enum reply_class class)
{
	return class != CLASS_NONE ? reply_class_names[class] : "no failure";
}

static int show_pairs(struct again *a)
{
	static const struct column columns[] = {{.title = "messages", .right = true}, {.title = "were"},
		{.title = "reason"}, {.title = "are"}, {.title = "reason"}};
	struct table *t = table_new(a->c, stdout, columns, sizeof columns / sizeof columns[0]);
	if (t == NULL)
		return err_set(a->e, ERR_INTERNAL, "reclassify", "out of memory");
	if (a->npairs != 0)
		qsort(a->pairs, a->npairs, sizeof *a->pairs, by_count);
	for (size_t i = 0; i < a->npairs; i++) {
		const struct pair *p = &a->pairs[i];
		table_count(t, p->n);
		table_str(t, str_from(class_word(p->was)));
		table_str(t, str_from(p->was_reason));
		table_str(t, str_from(class_word(p->is)));
		table_str(t, str_from(p->is_reason));
		table_row(t);
	}
	return table_end(&t) != 0 ? output_error(a->e) : 0;
}

static int conclude(struct again *a)
{
	char n[4][TEXT_NUMBER];
	if (a->c->json)
		return 0;
	if (a->changed != 0 && show_pairs(a) != 0)
		return -1;
	out_printf(a->c, "%s%s of %s kept messages %s read otherwise by the rules of today.\n",
		a->changed != 0 ? "\n" : "", text_count(a->changed, n[0]), text_count(a->read, n[1]),
		a->apply ? "were" : "would be");
	int rc = 0;
	if (a->unread != 0)
		out_printf(a->c, "%s of them could not be read again and stay what they are.\n",
			text_count(a->unread, n[2]));
	if (a->apply)
		rc = out_printf(a->c, "%s addresses are not suppressed any more, %s are from now on.\n",
			text_count(a->lifted, n[2]), text_count(a->suppressed, n[3]));
	else if (a->changed != 0)
		rc = out_printf(a->c,
			"%s are not hard any more, %s are from now on. Nothing was changed: --apply does "
			"it.\n",
			text_count(a->soft_again, n[2]), text_count(a->hard, n[3]));
	return rc != 0 ? output_error(a->e) : 0;
}

static int reclassify_run(struct cli *c, struct err *e)
{
	struct again a = {
		.c = c, .message = BUF_INIT(RETURNED_KEEP + 1), .apply = cli_given(c, "apply"), .e = e};
	ms_t since = 0;
	const struct config *cfg = cli_config(c, e);
	const struct token_keys *keys = cfg != NULL ? cli_keys(c, e) : NULL;
	if (keys == NULL || cli_value_since(c, "since", clock_now(), &since, e) != 0 ||
		(a.s = cli_store(c, a.apply ? STORE_WRITE : STORE_READ, e)) == NULL)
		return -1;
	struct rules *rules = rules_load(cfg->rules_file, e);
	if (rules == NULL)
		return -1;
	const struct intake_options o = {
		.config = cfg, .keys = keys, .rules = rules, .store = a.s, .dry_run = !a.apply};
	int rc = intake_new(&a.in, &o, e);
	if (rc == 0)
		rc = store_returned_walk(a.s, 0, since, again_one, &a, e);
	if (rc == 0)
		rc = commit(&a);
	if (rc == 0)
		rc = conclude(&a);
	if (a.together)
		store_together_end(a.s, false, e);
	intake_free(&a.in);
	rules_free(&rules);
	buf_release(&a.message);
	free(a.pairs);
	return rc;
}

static const struct option reclassify_options[] = {
	{.name = "since", .value = "TIME", .help = "only messages that came since (a time, or a span as 7d)"},
	{.name = "apply", .help = "change what is read otherwise: counts, states and suppressions follow"},
	{0},
};

const struct command cmd_reclassify = {
	.name = "reclassify",
	.group = GROUP_SYSTEM,
	.summary = "read the kept returned messages again, by new rules",
	.help = "Without --apply it only shows what would change. With it, a delivery that was\n"
		"refused for another reason counts under that one, an address whose failure is\n"
		"not hard any more is released, and one whose failure is hard now is suppressed.\n",
	.options = reclassify_options,
	.run = reclassify_run,
};

/* ---- prune ---- */

static int prune_run(struct cli *c, struct err *e)
{
	char n[3][TEXT_NUMBER];
	const struct config *cfg = cli_config(c, e);
	struct store *s = cfg != NULL ? cli_store(c, STORE_WRITE, e) : NULL;
	if (s == NULL)
		return -1;
	ms_t now = clock_now();
	struct prune p = {.evidence_before = now - cfg->retention.evidence,
		.deliveries_before = now - cfg->retention.deliveries};
	if (store_prune(s, &p, e) != 0)
		return -1;
	if (c->json)
		return json_document(json_pack("{s:I, s:I, s:I, s:I}", "messages", (json_int_t)p.messages,
			       "replies", (json_int_t)p.replies, "deliveries", (json_int_t)p.deliveries,
			       "campaigns", (json_int_t)p.campaigns)) != 0
			       ? output_error(e)
			       : 0;
	return out_printf(c, "Erased %s returned messages, %s replies of servers and %s deliveries.\n",
		       text_count(p.messages, n[0]), text_count(p.replies, n[1]),
		       text_count(p.deliveries, n[2])) != 0
		       ? output_error(e)
		       : 0;
}

const struct command cmd_prune = {
	.name = "prune",
	.group = GROUP_SYSTEM,
	.summary = "erase what is older than [retention] says",
	.help = "Returned messages and the words of servers go after `evidence`, the deliveries\n"
		"of a campaign after `deliveries`; what a campaign counted stays, and so do\n"
		"suppressions. It can run while mail is sent, and is meant for a daily timer.\n",
	.run = prune_run,
};
