#include "src/db/sqlite.h"

#include "src/db/policies.h"

int store_policy_get(
	struct store *s, struct str domain, struct arena *a, struct policy_row *out, struct err *e)
{
	sqlite3_stmt *st = db_query(
		s, e, "SELECT id, mode, fetched, expires, mx FROM sts_policy WHERE domain = ?", "s", domain);
	int rc = db_step(s, st, e);
	if (rc == 1)
		*out = (struct policy_row){
			.domain = domain,
			.id = arena_str(a, col_str(st, 0)),
			.mode = (int)col_int(st, 1),
			.fetched = col_int(st, 2),
			.expires = col_int(st, 3),
			.mx = arena_str(a, col_str(st, 4)),
		};
	db_done(st);
	return rc == 1 && a->failed ? db_nomem(e) : rc;
}

int store_policies_put(struct store *s, const struct policy_row *rows, size_t n, ms_t now, struct err *e)
{
	if (db_begin(s, e) < 0)
		return -1;
	int rc = db_run(s, e, "DELETE FROM sts_policy WHERE expires < ?", "i", now);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = db_run(s, e,
			"INSERT OR REPLACE INTO sts_policy(domain, id, mode, fetched, expires, mx) VALUES(?, "
			"?, ?, ?, ?, ?)",
			"ssiiis", rows[i].domain, rows[i].id, (int64_t)rows[i].mode, rows[i].fetched,
			rows[i].expires, rows[i].mx);
	return db_end(s, rc, e);
}
