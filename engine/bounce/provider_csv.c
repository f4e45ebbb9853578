/* Lists of errors as CSV: a column of addresses and columns that say why, under the names that services give
 * them. Charset, delimiter and gzip as with lists (lists/csv.h). */
#include "engine/bounce/provider_private.h"
#include "lists/column.h"
#include "lists/csv.h"

#define COLUMNS 64

enum column {
	COLUMN_NONE,
	COLUMN_ADDRESS,
	COLUMN_WHY,
	COLUMN_CODE,
	COLUMN_KIND,
	COLUMN_MESSAGE_ID,
	COLUMN_TIME
};

static bool has(struct str name, const char *const *words)
{
	for (; *words != NULL; words++)
		if (find_nocase(name, *words) < name.n)
			return true;
	return false;
}

static enum column column_of(struct str name)
{
	static const char *const id[] = {"message-id", "message_id", "messageid", "メッセージid", NULL};
	static const char *const time[] = {"date", "time", "日時", "日付", "時刻", NULL};
	static const char *const code[] = {
		"code", "コード", "status", "ステータス", "smtp", "enhanced", NULL};
	static const char *const kind[] = {
		"type", "class", "category", "event", "種別", "区分", "分類", "種類", NULL};
	static const char *const why[] = {"reason", "error", "エラー", "理由", "内容", "原因", "diagnostic",
		"description", "detail", "詳細", "bounce", "response", "応答", "結果", NULL};
	if (column_email_rank(name) > 0)
		return COLUMN_ADDRESS;
	if (has(name, id))
		return COLUMN_MESSAGE_ID;
	if (has(name, time))
		return COLUMN_TIME;
	if (has(name, kind))
		return COLUMN_KIND;
	if (has(name, code))
		return COLUMN_CODE;
	return has(name, why) ? COLUMN_WHY : COLUMN_NONE;
}

struct columns {
	enum column is[COLUMNS];
	size_t n;
	size_t address; /* the one that names it best */
	bool any_address, any_why;
	struct str names; /* the first row, as it stands */
};

static void columns_read(const struct csv_row *row, struct columns *c)
{
	int best = 0;
	*c = (struct columns){.n = row->nfields < COLUMNS ? row->nfields : COLUMNS};
	for (size_t i = 0; i < c->n; i++) {
		c->is[i] = column_of(row->field[i]);
		c->any_why = c->any_why || c->is[i] == COLUMN_WHY || c->is[i] == COLUMN_CODE ||
			     c->is[i] == COLUMN_KIND;
		int rank = c->is[i] == COLUMN_ADDRESS ? column_email_rank(row->field[i]) : 0;
		if (rank > best) {
			best = rank;
			c->address = i;
			c->any_address = true;
		}
	}
}

bool provider_is_csv(struct str bytes)
{
	struct csv_options o = {0};
	struct csv_reader *in = NULL;
	struct csv_row row;
	struct columns c = {0};
	if (csv_reader_open_memory(&in, bytes, &o, NULL) == 0 && csv_reader_next(in, &row, NULL) == 1 &&
		row.bad == NULL)
		columns_read(&row, &c);
	csv_reader_close(&in);
	return c.any_address && c.any_why;
}

/* ---- rows ---- */

static enum mail_kind kind_of(struct str text)
{
	static const char *const complaint[] = {
		"complain", "spam report", "spamreport", "abuse", "迷惑メール報告", "苦情", NULL};
	static const char *const optout[] = {
		"unsub", "opt-out", "optout", "配信停止", "配信解除", "退会", NULL};
	static const char *const delayed[] = {"delay", "defer", "retry", "遅延", "再送中", NULL};
	static const char *const delivered[] = {"delivered", "success", "成功", "正常", "配信完了", NULL};
	static const char *const no[] = {"undelivered", "not ", "unsuccess", "fail", "不成功", NULL};
	static const char *const nothing[] = {"open", "opened", "click", "clicked", "processed", "sent",
		"queued", "accepted", "resubscribe", "group_resubscribe", "開封", "クリック", NULL};
	for (const char *const *word = nothing; *word != NULL; word++)
		if (str_is_nocase(text, *word))
			return MAIL_NONE;
	if (has(text, complaint))
		return MAIL_COMPLAINT;
	if (has(text, optout))
		return MAIL_OPTOUT;
	if (has(text, delayed))
		return MAIL_DELAYED;
	return has(text, delivered) && !has(text, no) ? MAIL_DELIVERED : MAIL_BOUNCE;
}

static bool has_digit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] >= '0' && s.p[i] <= '9')
			return true;
	return false;
}

/* What the service calls it, and where it does not, what the reason says. A server's reply is none of the
 * service's words: "contact abuse@…", "unsubscribe". */
static enum mail_kind kind_of_row(struct event *v, struct str kind, struct str code, struct str why)
{
	struct diagnosis d;
	if (kind.n == 0 && code.n != 0 && !has_digit(code))
		kind = code; /* a column "status" */
	if (kind.n != 0)
		return kind_of(str_trim(kind));
	diagnose(v->q, why, &d);
	if (code.n == 0 && d.code == 0 && d.enhanced.n == 0)
		return kind_of(str_trim(why));
	if (str_starts(code, STR("2")))
		return MAIL_DELIVERED;
	bool later = d.code / 100 == 4 || str_starts(code, STR("4")) || str_starts(d.enhanced, STR("4"));
	return later && kind_of(why) == MAIL_DELAYED ? MAIL_DELAYED : MAIL_BOUNCE;
}

/* The fields of one kind, joined by a blank. */
static struct str joined(
	struct event *v, const struct csv_row *row, const struct columns *c, enum column which)
{
	struct buf b = BUF_INIT(4000);
	for (size_t i = 0; i < c->n && i < row->nfields; i++)
		if (c->is[i] == which && row->field[i].n != 0) {
			if (b.len != 0)
				buf_putc(&b, ' ');
			reader_add(&b, row->field[i]);
		}
	struct str out = b.len != 0 ? arena_str(v->q->a, buf_get(&b)) : str_n(NULL, 0);
	buf_release(&b);
	return out;
}

static void row_event(struct event *v, const struct csv_row *row, const struct columns *c)
{
	struct str why = joined(v, row, c, COLUMN_WHY), code = joined(v, row, c, COLUMN_CODE);
	struct str kind = joined(v, row, c, COLUMN_KIND);
	enum mail_kind is = kind_of_row(v, kind, code, why);
	long long reply = 0;
	if (!str_int(str_n(code.p, code.n < 3 ? code.n : 3), 200, 599, &reply))
		reply = 0;
	v->n->provider = "csv";
	event_message_id(v, joined(v, row, c, COLUMN_MESSAGE_ID));
	struct str words =
		arena_printf(v->q->a, "csv %.*s %.*s %.*s", STR_ARG(code), STR_ARG(kind), STR_ARG(why));
	event_kind(v, is, "csv");
	event_person(v, arena_str(v->q->a, row->field[c->address]),
		is == MAIL_BOUNCE      ? REPORT_FAILED
		: is == MAIL_DELAYED   ? REPORT_DELAYED
		: is == MAIL_DELIVERED ? REPORT_DELIVERED
				       : REPORT_UNSTATED,
		(long)reply, code, why, words);
	v->n->evidence = arena_printf(v->q->a, "%.*s\n%.*s\n", STR_ARG(c->names), STR_ARG(row->raw));
}

static int read_row(struct reader *r, const struct csv_row *row, const struct columns *c,
	int (*each)(void *ctx, const struct notice *n), void *ctx, struct err *e)
{
	arena_reset(&r->arena);
	struct notice n = {0};
	n.findings = (struct findings){.failures = r->failures, .candidates = r->candidates};
	struct reading q = {.r = r, .a = &r->arena, .mail = &r->mail, .out = &n.findings};
	r->mail = (struct mail){0};
	struct event v = {&q, &n};
	row_event(&v, row, c);
	if (r->arena.failed)
		return err_set(e, ERR_INTERNAL, "list of errors", "out of memory");
	return n.findings.nfailures != 0 && n.findings.kind != MAIL_NONE ? each(ctx, &n) : 0;
}

int provider_read_csv(struct reader *r, struct str bytes, int (*each)(void *ctx, const struct notice *n),
	void *ctx, struct err *e)
{
	struct csv_options o = {0};
	struct csv_reader *in = NULL;
	struct csv_row row;
	struct columns c = {0};
	struct buf names = BUF_INIT(PROVIDER_BYTES);
	if (csv_reader_open_memory(&in, bytes, &o, e) != 0)
		return -1;
	int more = csv_reader_next(in, &row, e);
	if (more == 1) {
		columns_read(&row, &c);
		buf_str(&names, row.raw);
		c.names = buf_get(&names);
	}
	if (more >= 0 && (!c.any_address || !c.any_why)) {
		err_set(e, ERR_DATA, "list of errors",
			"its first row names no column of addresses, or none that says why");
		more = -1;
	}
	while (more > 0 && (more = csv_reader_next(in, &row, e)) > 0)
		if (row.bad == NULL && c.address < row.nfields && read_row(r, &row, &c, each, ctx, e) != 0)
			more = -1;
	csv_reader_close(&in);
	buf_release(&names);
	return more < 0 ? -1 : 0;
}
