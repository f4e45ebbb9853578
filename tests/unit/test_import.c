#include "tests/unit/store_fixture.h"

#include "lists/export.h"
#include "lists/import.h"
#include "src/base/file.h"

#include <sys/resource.h>
#include <zlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fixture *f;
static char list_file[128];

/* ---- Words for the tests ---- */

static void write_file(struct str s)
{
	snprintf(list_file, sizeof list_file, "%s/list.csv", f->dir);
	unlink(list_file);
	OK(f, file_create(list_file, s, 0600, &f->e));
}

static struct import_request request(void)
{
	return (struct import_request){
		.list = "news", .file = list_file, .zone = clock_zone("Asia/Tokyo", NULL), .now = NOW};
}

static struct import_report report;

static int import_str(struct str text, struct import_request q)
{
	write_file(text);
	import_report_release(&report);
	f->e = (struct err){0};
	q.file = list_file;
	return list_import(f->s, &q, &report, &f->e);
}

static void imports(const char *text, struct import_request q, int64_t added, int64_t updated,
	int64_t unchanged, int64_t rejected)
{
	if (import_str(str_from(text), q) != 0)
		fail_msg("%s: %s (%s)", text, f->e.why, f->e.remedy);
	assert_int_equal(report.added, added);
	assert_int_equal(report.updated, updated);
	assert_int_equal(report.unchanged, unchanged);
	assert_int_equal(report.rejected, rejected);
	assert_int_equal(report.read, added + updated + unchanged + rejected + report.duplicates);
}

static void refuses(const char *text, struct import_request q, int code, const char *why)
{
	if (import_str(str_from(text), q) == 0)
		fail_msg("%s was imported", text);
	if (f->e.code != (enum err_code)code || strcmp(f->e.why, why) != 0)
		fail_msg("%s: %d \"%s\" instead of \"%s\"", text, f->e.code, f->e.why, why);
	struct list_row l;
	assert_int_equal(store_list_get(f->s, STR("news"), &l, NULL), -1);
}

/* "name=Ann;city=Kyoto;" in the dictionary's order. */
static const char *attrs_of(const char *key)
{
	static struct buf b;
	struct contact_row c;
	b.max = 1 << 20;
	buf_clear(&b);
	OK(f, store_contact_get(f->s, str_from(key), &c, &f->e));
	for (struct attr_iter i = attrs_begin(c.attrs); attrs_next(&i);)
		buf_printf(&b, "%.*s=%.*s;", STR_ARG(store_attr_name(f->s, i.id)), STR_ARG(i.value));
	return buf_cstr(&b);
}

static int one_status(void *ctx, const struct suppression *sup)
{
	*(int *)ctx = (int)sup->reason + (sup->list != 0 ? 100 : 0);
	return 0;
}

static int suppression_of(const char *key)
{
	int got = -1;
	OK(f, store_suppressions_of(f->s, str_from(key), 0, one_status, &got, &f->e));
	return got;
}

static int64_t members(const char *list)
{
	struct list_row l;
	OK(f, store_list_get(f->s, str_from(list), &l, &f->e));
	return l.members;
}

static int no_list(void *ctx, const struct list_row *l)
{
	(void)ctx;
	fail_msg("the list %.*s is there", STR_ARG(l->name));
	return -1;
}

/* ---- Columns ---- */

static void columns__become_attributes(void **state)
{
	f = *state;
	imports("E-Mail,First Name,氏名, City ,,pr_added\nAnn@Example.com,Ann,山田,Kyoto,x,2020-01-02\n",
		request(), 1, 0, 0, 0);
	assert_true(report.list_created);
	assert_string_equal(attrs_of("ann@example.com"), "first_name=Ann;氏名=山田;city=Kyoto;");
	assert_string_equal(report.encoding, "UTF-8");
	assert_int_equal(report.ncolumns, 6);
	assert_int_equal(report.columns[0].role, COLUMN_EMAIL);
	assert_int_equal(report.columns[4].role, COLUMN_IGNORED);
	assert_int_equal(report.columns[5].role, COLUMN_IGNORED);
	assert_int_equal(report.suppressed, 0);
}

static void absent_keeps__empty_clears(void **state)
{
	f = *state;
	imports("email,a,b,c\nx@example.com,1,2,3\n", request(), 1, 0, 0, 0);
	imports("email,a,c\nX@example.com,,9\n", request(), 0, 1, 0, 0);
	assert_string_equal(attrs_of("x@example.com"), "b=2;c=9;");
	imports("email,a,b,c\nx@example.com,7\n", request(), 0, 1, 0, 0);
	assert_string_equal(attrs_of("x@example.com"), "a=7;b=2;c=9;");
	imports("email,a\nx@example.com,7\n", request(), 0, 0, 1, 0);
	assert_false(report.list_created);
}

static void values__stay_text(void **state)
{
	f = *state;
	imports("email,zip,n,t\nx@example.com,007,1.10,\"  padded \"\n", request(), 1, 0, 0, 0);
	assert_string_equal(attrs_of("x@example.com"), "zip=007;n=1.10;t=  padded ;");
}

static void map_and_email_options__choose_columns(void **state)
{
	f = *state;
	const char *maps[] = {"given=First Name", "氏=2"};
	struct import_request q = request();
	q.maps = maps;
	q.nmaps = 2;
	q.email = "Work Mail";
	imports("First Name,2,work mail,Mail\nAnn,Y,a@example.com,b@example.com\n", q, 1, 0, 0, 0);
	assert_string_equal(attrs_of("a@example.com"), "given=Ann;氏=Y;mail=b@example.com;");
	/* Who names one of two by the way it is written has chosen. */
	q.nmaps = 0;
	q.email = "Email";
	imports("email,Email\nx@example.com,c@example.com\n", q, 1, 0, 0, 0);
	assert_string_equal(attrs_of("c@example.com"), "");
}

static void columns_option__names_a_file_without_header(void **state)
{
	f = *state;
	struct import_request q = request();
	q.columns = "email, Name,city";
	imports("a@example.com,Ann,Kyoto\nb@example.com,Bob,Nara\n", q, 2, 0, 0, 0);
	assert_string_equal(attrs_of("b@example.com"), "name=Bob;city=Nara;");
}

static void address_column__is_found_by_name_or_values(void **state)
{
	f = *state;
	imports("address,mail\n1 Main St,a@example.com\n", request(), 1, 0, 0, 0);
	imports("Kontakt,Ort\nb@example.com,Wien\n", request(), 1, 0, 0, 0);
	imports("氏名,メールアドレス\n山田,c@example.com\n", request(), 1, 0, 0, 0);
	imports("address,x\nd@example.com,1\n", request(), 1, 0, 0, 0);
	imports("Eメール,x\ne@example.com,1\n", request(), 1, 0, 0, 0);
	assert_int_equal(members("news"), 5);
}

static void wrong_columns__are_told(void **state)
{
	f = *state;
	struct import_request q = request();
	refuses("", q, ERR_DATA, "the file is empty");
	refuses("\n\n", q, ERR_DATA, "the file is empty");
	refuses("email,name\n", q, ERR_DATA, "the file has a header and no rows");
	refuses("a@example.com,Ann\nb@example.com,Bob\n", q, ERR_DATA,
		"no header: line 1 already holds an address (a@example.com)");
	assert_non_null(strstr(f->e.remedy, "--columns email,name"));
	refuses("x,y\n1,2\n", q, ERR_DATA, "no column holds mail addresses");
	assert_string_equal(f->e.remedy, "the columns are: x, y; choose one: --email COLUMN");
	refuses("x,y\na@example.com,b@example.com\n", q, ERR_DATA, "several columns hold mail addresses");
	refuses("email,First Name,first-name\na@example.com,1,2\n", q, ERR_DATA,
		"columns 2 (\"First Name\") and 3 (\"first-name\") would both become the attribute "
		"first_name");
	refuses("email,n,Email\na@example.com,1,b@example.com\n", q, ERR_DATA,
		"columns 1 (\"email\") and 3 (\"Email\") would both become the address");
	q.email = "email";
	refuses("email,n,email\na@example.com,1,b@example.com\n", q, ERR_DATA,
		"columns 1 (\"email\") and 3 (\"email\") would both become the address");
	q.email = "emial";
	refuses("email,name\na@example.com,1\n", q, ERR_USAGE,
		"the file has no column \"emial\"; did you mean \"email\"?");
	assert_string_equal(f->e.remedy, "the columns are: email, name");
	q = request();
	q.status = "state";
	refuses("email,name\na@example.com,1\n", q, ERR_USAGE, "the file has no column \"state\"");
	q = request();
	q.columns = "email,name,city";
	refuses("a@example.com,1\n", q, ERR_USAGE, "names 3 columns, but the rows have 2");
	const char *maps[] = {"city"};
	q = request();
	q.maps = maps;
	q.nmaps = 1;
	refuses("email,name\na@example.com,1\n", q, ERR_USAGE, "\"city\" is not ATTRIBUTE=COLUMN");
	q = request();
	q.delimiter = "::";
	refuses("email,name\na@example.com,1\n", q, ERR_USAGE,
		"\"::\" is not one character, nor comma, semicolon, tab or pipe");
	q = request();
	q.max_rejects = "some";
	refuses("email,name\na@example.com,1\n", q, ERR_USAGE,
		"\"some\" is neither a number of rows (100) nor a share (5%)");
	refuses("PK\003\004[Content_Types].xml", request(), ERR_DATA,
		"this is an Excel workbook (.xlsx), not a CSV file");
}

/* ---- Rejects ---- */

static void rejects__go_to_a_file_that_can_be_imported(void **state)
{
	f = *state;
	char rejects[128];
	struct buf b = BUF_INIT(1 << 20);
	struct import_request q = request();
	snprintf(rejects, sizeof rejects, "%s/rejects.csv", f->dir);
	q.rejects = rejects;
	q.max_rejects = "5";
	q.encoding = "utf-8";
	imports("email;name\na@example.com;Ann\nno "
		"at;\"B;\nb\"\n\nb@example;Bob\nc@example.com;x;y\n;nobody\nd@example.com;\xff\n",
		q, 1, 0, 0, 5);
	OK(f, file_read(rejects, &b, &f->e));
	assert_string_equal(buf_cstr(&b),
		"pr_line;pr_reason;email;name\r\n"
		"3;\"no @\";no at;\"B;\nb\"\r\n"
		"6;\"domain without a dot\";b@example;Bob\r\n"
		"7;\"3 columns where the header has 2\";c@example.com;x;y\r\n"
		"8;\"no address\";;nobody\r\n"
		"9;\"bytes that are not UTF-8 text\";d@example.com;\xef\xbf\xbd\r\n");
	assert_int_equal(report.nrejects, 5);
	assert_int_equal(report.rejects[1].line, 6);
	for (char *p = b.p; (p = strstr(p, "b@example;")) != NULL; p++)
		memcpy(p, "b@ex.ampl;", 10);
	q.max_rejects = "100%";
	imports(b.p, q, 2, 0, 0, 3);
	assert_string_equal(attrs_of("b@ex.ampl"), "name=Bob;");
	buf_release(&b);
}

static void dates__that_are_none__refuse_their_row(void **state)
{
	f = *state;
	struct import_request q = request();
	q.max_rejects = "100%";
	imports("email,pr_joined,pr_added\na@example.com,2024-02-30,\nb@example.com,,soon\n"
		"c@example.com,,\nd@example.com,2024/02/29,2024-02-28T12:00Z\ne@example.com,2h,\n",
		q, 2, 0, 0, 3);
	assert_true(str_is(report.rejects[0].reason, "pr_joined is not a date"));
	assert_true(str_is(report.rejects[1].reason, "pr_added is not a date"));
	assert_int_equal(report.rejects[2].line, 6);
}

/* In a folder of everybody's somebody may have laid a link where the file will be written first. */
static void rejects__a_link_laid_beside__is_not_followed(void **state)
{
	f = *state;
	static const char *const beside[] = {"part", "tmp", "part.tmp"};
	char rejects[128], path[160], mine[128];
	struct buf b = BUF_INIT(1 << 20);
	struct import_request q = request();
	struct stat st;
	snprintf(rejects, sizeof rejects, "%s/rejects.csv", f->dir);
	snprintf(mine, sizeof mine, "%s/mine", f->dir);
	OK(f, file_create(mine, STR("mine"), 0600, &f->e));
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s.%s", rejects, beside[i]);
		assert_int_equal(symlink(mine, path), 0);
	}
	q.rejects = rejects;
	q.max_rejects = "5";
	imports("email\na@example.com\nbad\n", q, 1, 0, 0, 1);
	OK(f, file_read(mine, &b, &f->e));
	assert_string_equal(buf_cstr(&b), "mine");
	assert_int_equal(lstat(rejects, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	buf_release(&b);
}

static void too_many_rejects__import_nothing(void **state)
{
	f = *state;
	char rejects[128];
	struct import_request q = request();
	snprintf(rejects, sizeof rejects, "%s/rejects.csv", f->dir);
	q.rejects = rejects;
	refuses("email\na@example.com\nbad\n", q, ERR_DATA,
		"1 of 2 rows cannot be used (50.0 %); nothing was imported");
	assert_int_equal(f->e.line, 3);
	assert_non_null(strstr(f->e.remedy, "line 3: no @; all of them are in "));
	assert_non_null(strstr(f->e.remedy, "--max-rejects 50%"));
	assert_true(file_exists(rejects));
	OK(f, store_lists(f->s, false, no_list, NULL, &f->e));
	assert_int_equal(store_contact_get(f->s, STR("a@example.com"), &(struct contact_row){0}, NULL), -1);
	q.max_rejects = "0";
	refuses("email\na@example.com\nbad\n", q, ERR_DATA,
		"1 of 2 rows cannot be used (50.0 %); nothing was imported");
	/* Not even the name of a column stays. */
	refuses("email,ctiy\na@example.com,1\nbad,2\n", q, ERR_DATA,
		"1 of 2 rows cannot be used (50.0 %); nothing was imported");
	assert_int_equal(store_attr_id(f->s, STR("ctiy"), false, &f->e), 0);
	q.max_rejects = "50%";
	imports("email\na@example.com\nbad\n", q, 1, 0, 0, 1);
	struct buf b = BUF_INIT(1 << 20);
	buf_puts(&b, "email\nbad\n");
	for (int i = 0; i < 99; i++)
		buf_printf(&b, "u%d@example.com\n", i);
	q.max_rejects = NULL;
	q.rejects = NULL;
	imports(b.p, q, 99, 0, 0, 1);
	buf_release(&b);
}

static void unclosed_quote__imports_nothing(void **state)
{
	f = *state;
	struct buf b = BUF_INIT(8 << 20);
	buf_puts(&b, "email,name\n");
	for (int i = 0; i < 30000; i++)
		buf_printf(&b, "u%d@example.com,Ann\n", i);
	buf_puts(&b, "x@example.com,\"Ann\n");
	refuses(b.p, request(), ERR_DATA, "the quote that opens in the row of line 30002 is never closed");
	assert_int_equal(f->e.line, 30002);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM contact"), 0);
	buf_release(&b);
}

/* ---- Duplicates, status, source, consent, expand ---- */

static void duplicates__by_option(void **state)
{
	f = *state;
	struct import_request q = request();
	const char *text = "email,n\na@example.com,1\nA@Example.com,2\n";
	q.on_duplicate = DUPLICATE_FAIL;
	if (import_str(str_from(text), q) == 0)
		fail();
	assert_int_equal(f->e.code, ERR_DATA);
	assert_int_equal(f->e.line, 3);
	OK(f, store_lists(f->s, false, no_list, NULL, &f->e));
	q.on_duplicate = DUPLICATE_SKIP;
	imports(text, q, 1, 0, 0, 0);
	assert_int_equal(report.duplicates, 1);
	assert_string_equal(attrs_of("a@example.com"), "n=1;");
	q.on_duplicate = DUPLICATE_UPDATE;
	imports(text, q, 0, 0, 1, 0);
	assert_string_equal(attrs_of("a@example.com"), "n=2;");
}

static void status__is_seen_where_it_is_not_read(void **state)
{
	f = *state;
	static const struct {
		const char *text, *column;
	} files[] = {
		{"email,Status\na@x.example,Subscribed\nb@x.example,Unsubscribed\n", "Status"},
		{"email,配信\na@x.example,配信中\nb@x.example,退会\n", "配信"},
		{"email,Mail status\na@x.example,active\nb@x.example,\n", "Mail status"},
		{"email,plan\na@x.example,ok\nb@x.example,ok\n", ""},
		{"email,status\na@x.example,gold\nb@x.example,deleted\n", ""},
		{"email,pr_status\na@x.example,unsubscribed\n", ""},
	};
	struct import_request q = request();
	q.dry_run = true;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		assert_int_equal(import_str(str_from(files[i].text), q), 0);
		assert_true(str_is(report.unread_status, files[i].column));
	}
	q.status = "Status";
	assert_int_equal(import_str(str_from(files[0].text), q), 0);
	assert_int_equal(report.unread_status.n, 0);
}

static void leavers__are_not_taken_for_readers(void **state)
{
	f = *state;
	struct import_request q = request();
	assert_int_equal(import_str(STR("email,UNSUB_TIME\na@x.example,2023-01-01 10:00:00\n"), q), -1);
	assert_int_equal(f->e.code, ERR_DATA);
	assert_int_equal(import_str(STR("email,配信停止日時\na@x.example,2023/01/01\n"), q), -1);
	imports("email,Unsubscribed At\na@x.example,\nb@x.example,2023-01-01\n", q, 2, 0, 0, 0);
	assert_true(str_is(report.left_at, "Unsubscribed At"));
	imports("email,CLEAN_TIME\nc@x.example,\n", q, 1, 0, 0, 0);
	assert_int_equal(report.left_at.n, 0);
	const char *maps[] = {"left_at=UNSUB_TIME"};
	q.maps = maps;
	q.nmaps = 1;
	imports("email,UNSUB_TIME\nd@x.example,2023-01-01 10:00:00\n", q, 1, 0, 0, 0);
}

static void status__becomes_suppression(void **state)
{
	f = *state;
	struct import_request q = request();
	q.status = "Status";
	q.max_rejects = "2";
	imports("email,status\na@example.com,Subscribed\nb@example.com,Unsubscribed\nc@example.com,"
		"cleaned\nd@example.com,Spam Report\n"
		"e@example.com,配信停止\nf@example.com,エラー停止\ng@example.com,\nh@example.com,pending\ni@"
		"example.com,quux\n",
		q, 7, 0, 0, 2);
	assert_int_equal(report.suppressed, 5);
	assert_int_equal(suppression_of("a@example.com"), -1);
	assert_int_equal(suppression_of("b@example.com"), 100 + SUPPRESS_UNSUBSCRIBE);
	assert_int_equal(suppression_of("c@example.com"), SUPPRESS_HARD_BOUNCE);
	assert_int_equal(suppression_of("d@example.com"), SUPPRESS_COMPLAINT);
	assert_int_equal(suppression_of("e@example.com"), 100 + SUPPRESS_UNSUBSCRIBE);
	assert_int_equal(suppression_of("f@example.com"), SUPPRESS_HARD_BOUNCE);
	assert_string_equal(arena_str(&report.arena, report.rejects[0].reason).p,
		"has not confirmed the subscription yet");
	assert_string_equal(attrs_of("a@example.com"), "");
}

static void suppression__beats_every_later_import(void **state)
{
	f = *state;
	struct suppression sup = {
		.key = STR("a@example.com"), .reason = SUPPRESS_UNSUBSCRIBE, .created = NOW};
	OK(f, store_suppress(f->s, &sup, NULL, &f->e));
	struct import_request q = request();
	q.status = "status";
	imports("email,status\na@example.com,subscribed\n", q, 1, 0, 0, 0);
	assert_int_equal(report.suppressed, 1);
	assert_int_equal(suppression_of("a@example.com"), SUPPRESS_UNSUBSCRIBE);
}

static void forgotten__is_refused(void **state)
{
	f = *state;
	OK(f, store_forget(f->s, STR("a@example.com"), NOW, &f->e));
	struct import_request q = request();
	q.max_rejects = "0";
	imports("email\nA@example.com\nb@example.com\n", q, 1, 0, 0, 1);
	assert_string_equal(
		arena_str(&report.arena, report.rejects[0].reason).p, "this person asked to be forgotten");
	assert_int_equal(report.rejects[0].line, 2);
	q.max_rejects = "100%";
	imports("email\nbad\nA@example.com\nbad\n", q, 0, 0, 0, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(report.rejects[i].line, 2 + i);
}

static int one_membership(void *ctx, const struct membership *m)
{
	char z[CLOCK_TEXT];
	snprintf(ctx, 200, "%.*s %s", STR_ARG(m->source),
		m->consent_at != 0 ? clock_utc(m->consent_at, z) : "-");
	return 0;
}

static const char *membership_of(const char *key)
{
	static char text[200];
	struct contact_row c;
	OK(f, store_contact_get(f->s, str_from(key), &c, &f->e));
	OK(f, store_memberships(f->s, c.id, one_membership, text, &f->e));
	return text;
}

static void source_and_consent__from_text_or_column(void **state)
{
	f = *state;
	struct import_request q = request();
	q.source = "fair 2026";
	q.consent_at = "2026-05-01T10:00+09:00";
	imports("email\na@example.com\n", q, 1, 0, 0, 0);
	assert_string_equal(membership_of("a@example.com"), "fair 2026 2026-05-01T01:00:00.000Z");
	q.source = "column:from";
	q.consent_at = "column:When";
	q.max_rejects = "1";
	imports("email,from,when,x\nb@example.com,shop,2026/05/02 "
		"09:00,1\nc@example.com,,,\nd@example.com,web,soon,\n",
		q, 2, 0, 0, 1);
	assert_string_equal(membership_of("b@example.com"), "shop 2026-05-02T00:00:00.000Z");
	assert_string_equal(membership_of("c@example.com"), " -");
	assert_string_equal(
		arena_str(&report.arena, report.rejects[0].reason).p, "the time of consent is not a date");
	assert_string_equal(attrs_of("b@example.com"), "x=1;");
	/* In the hour that comes twice, and on a day without midnight, people consent as well. */
	q.zone = clock_zone("Europe/Berlin", NULL);
	imports("email,from,when\ne@example.com,a,2025-10-26 02:30\n", q, 1, 0, 0, 0);
	assert_string_equal(membership_of("e@example.com"), "a 2025-10-26T00:30:00.000Z");
	q.zone = clock_zone("Africa/Cairo", NULL);
	imports("email,from,when\nf@example.com,a,2024-04-26\n", q, 1, 0, 0, 0);
	assert_string_equal(membership_of("f@example.com"), "a 2024-04-25T22:00:00.000Z");
}

static void expand__takes_attributes_from_json(void **state)
{
	f = *state;
	struct import_request q = request();
	q.expand = "attributes";
	q.max_rejects = "2";
	imports("email,city,attributes\na@example.com,Kyoto,\"{\"\"Plan\"\":\"\"pro\"\",\"\"n\"\":1.5,"
		"\"\"ok\"\":true,\"\"zip\"\":\"\"007\"\",\"\"city\"\":\"\"X\"\",\"\"tags\"\":[1,2]}\"\n"
		"b@example.com,Nara,\nc@example.com,,[1]\nd@example.com,,{x\n",
		q, 2, 0, 0, 2);
	assert_string_equal(
		attrs_of("a@example.com"), "city=Kyoto;plan=pro;n=1.5;ok=true;zip=007;tags=[1,2];");
	assert_string_equal(arena_str(&report.arena, report.rejects[0].reason).p,
		"the column with JSON does not hold an object");
	assert_string_equal(arena_str(&report.arena, report.rejects[1].reason).p,
		"the column with JSON does not hold valid JSON");
	imports("email,attributes\na@example.com,\"{\"\"plan\"\":null}\"\n", q, 0, 1, 0, 0);
	assert_string_equal(attrs_of("a@example.com"), "city=Kyoto;n=1.5;ok=true;zip=007;tags=[1,2];");
}

static void display_name__is_kept_unless_a_column_is_called_so(void **state)
{
	f = *state;
	imports("email,city\n=?UTF-8?B?5bGx55Sw?= <a@example.com>,Kyoto\nb@example.com,Nara\n", request(), 2,
		0, 0, 0);
	assert_string_equal(attrs_of("a@example.com"), "city=Kyoto;name=山田;");
	imports("email,Name\nAnn <c@example.com>,Bob\n", request(), 1, 0, 0, 0);
	assert_string_equal(attrs_of("c@example.com"), "name=Bob;");
}

/* ---- Sync, dry run, stopping ---- */

static int64_t asked_leaving, asked_of;

static int say_no(void *ctx, int64_t leaving, int64_t of, struct err *e)
{
	(void)ctx;
	asked_leaving = leaving;
	asked_of = of;
	return err_set(e, ERR_USAGE, "--sync", "no");
}

static void sync__takes_the_absent_off_the_list(void **state)
{
	f = *state;
	struct import_request q = request();
	imports("email\na@example.com\nb@example.com\nc@example.com\n", q, 3, 0, 0, 0);
	q.sync = true;
	q.confirm = say_no;
	assert_int_equal(import_str(STR("email\na@example.com\nd@example.com\n"), q), -1);
	assert_int_equal(asked_leaving, 2);
	assert_int_equal(asked_of, 3);
	assert_int_equal(members("news"), 3);
	q.confirm = NULL;
	imports("email\na@example.com\nd@example.com\n", q, 1, 0, 1, 0);
	assert_int_equal(report.left, 2);
	assert_int_equal(members("news"), 2);
}

static void dry_run__tells_and_leaves_nothing(void **state)
{
	f = *state;
	struct import_request q = request();
	q.dry_run = true;
	q.max_rejects = "1";
	if (import_str(STR("Mail;名前\r\na@example.com;山田\r\nb@example.com;\"x;y\"\r\nbad;\r\nc@example."
			   "com;z\r\n"),
		    q) != 0)
		fail_msg("%s", f->e.why);
	assert_int_equal(report.rejected, 1);
	assert_int_equal(report.read, 4);
	assert_int_equal(report.delimiter, ';');
	assert_int_equal(report.nsample, 3);
	assert_true(str_is(report.sample[0][1], "山田"));
	assert_true(str_is(report.sample[1][1], "x;y"));
	OK(f, store_lists(f->s, false, no_list, NULL, &f->e));
	assert_int_equal(store_attr_id(f->s, STR("名前"), false, &f->e), 0);
}

static atomic_bool stop;

static void stop_soon(void *ctx, const struct import_progress *p)
{
	(void)ctx;
	assert_true(p->bytes > 0 && p->size >= p->bytes);
	stop = true;
}

static void stopped__leaves_no_trace(void **state)
{
	f = *state;
	char rejects[128];
	struct buf b = BUF_INIT(8 << 20);
	struct import_request q = request();
	snprintf(rejects, sizeof rejects, "%s/rejects.csv", f->dir);
	q.rejects = rejects;
	q.stop = &stop;
	q.progress = stop_soon;
	stop = false;
	buf_puts(&b, "email\n");
	for (int i = 0; i < 100000; i++)
		buf_printf(&b, "u%d@example.com\n", i);
	assert_int_equal(import_str(buf_get(&b), q), -1);
	assert_int_equal(f->e.code, ERR_AGAIN);
	assert_string_equal(f->e.why, "interrupted; nothing was imported");
	OK(f, store_lists(f->s, false, no_list, NULL, &f->e));
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM contact"), 0);
	assert_false(file_exists(rejects));
	buf_release(&b);
}

static void many_rows__in_flat_memory(void **state)
{
	f = *state;
	struct rusage before, after;
	struct buf b = BUF_INIT(64 << 20);
	buf_puts(&b, "email,name,city,note\n");
	for (int i = 0; i < 20000; i++)
		buf_printf(&b, "user%d@example.com,\"User, %d\",Kyoto,some text that is a little longer\n", i,
			i);
	imports(b.p, request(), 20000, 0, 0, 0);
	getrusage(RUSAGE_SELF, &before);
	for (int i = 20000; i < 100000; i++)
		buf_printf(&b, "user%d@example.com,\"User, %d\",Kyoto,some text that is a little longer\n", i,
			i);
	write_file(buf_get(&b));
	buf_release(&b);
	struct import_request q = request();
	import_report_release(&report);
	getrusage(RUSAGE_SELF, &before);
	OK(f, list_import(f->s, &q, &report, &f->e));
	getrusage(RUSAGE_SELF, &after);
	assert_int_equal(report.added, 80000);
	assert_int_equal(report.unchanged, 20000);
	assert_int_equal(members("news"), 100000);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they keep what was freed */
	assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 24 << 10);
#endif
}

/* ---- Export ---- */

static void csv_cell(struct buf *b, struct str s)
{
	buf_putc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			buf_putc(b, '"');
		buf_putc(b, s.p[i]);
	}
	buf_putc(b, '"');
}

static int csv_line(void *ctx, const struct str *cells, size_t n, struct err *e)
{
	(void)e;
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(ctx, ',');
		csv_cell(ctx, cells[i]);
	}
	buf_putc(ctx, '\n');
	return 0;
}

static const struct export_ops csv_ops = {.header = csv_line, .row = csv_line};

static void exported(struct buf *b)
{
	struct list_row l;
	buf_clear(b);
	OK(f, store_list_get(f->s, STR("news"), &l, &f->e));
	OK(f, list_export(f->s, l.id, NULL, &csv_ops, b, &f->e));
}

static void export__imports_back_unchanged(void **state)
{
	f = *state;
	struct buf first = BUF_INIT(1 << 20), again = BUF_INIT(1 << 20);
	struct import_request q = request();
	q.status = "status";
	q.source = "column:src";
	imports("email,First Name,氏名,empty,q,status,src\n"
		"Ann@Example.com,Ann,山田,,\"a \"\"b\"\", c\n d\",,fair\n"
		"\"\"\"a..b\"\"@docomo.ne.jp\",  ,,,,unsubscribed,\n"
		"c@bücher.example,\"  x  \",,,,bounced,shop\n"
		"d@example.com,,,,,complained,\n",
		q, 4, 0, 0, 0);
	struct suppression sup = {.key = STR("ann@example.com"), .reason = SUPPRESS_MANUAL, .created = NOW};
	OK(f, store_suppress(f->s, &sup, NULL, &f->e));
	exported(&first);
	assert_null(strstr(first.p, "\"empty\""));
	assert_non_null(
		strstr(first.p, "\"email\",\"first_name\",\"氏名\",\"q\",\"pr_status\",\"pr_source\""));
	assert_non_null(strstr(first.p,
		"\"Ann@example.com\",\"Ann\",\"山田\",\"a \"\"b\"\", c\n d\",\"suppressed\",\"fair\""));
	assert_non_null(strstr(first.p, "\"\"\"a..b\"\"@docomo.ne.jp\",\"\",\"\",\"\",\"unsubscribed\""));
	int64_t before = fixture_sql(f, "SELECT count(*) FROM suppression");
	imports(first.p, request(), 0, 0, 4, 0);
	exported(&again);
	assert_string_equal(again.p, first.p);
	assert_int_equal(fixture_sql(f, "SELECT count(*) FROM suppression"), before);
	/* Into an empty database: nobody becomes mailable who was not. */
	fixture_teardown(state);
	fixture_setup(state);
	f = *state;
	imports(first.p, request(), 4, 0, 0, 0);
	assert_int_equal(report.suppressed, 4);
	assert_int_equal(suppression_of("c@xn--bcher-kva.example"), SUPPRESS_HARD_BOUNCE);
	assert_int_equal(suppression_of("d@example.com"), SUPPRESS_COMPLAINT);
	assert_int_equal(suppression_of("ann@example.com"), 100 + SUPPRESS_UNSUBSCRIBE);
	assert_string_equal(attrs_of("c@xn--bcher-kva.example"), "first_name=  x  ;");
	assert_string_equal(membership_of("ann@example.com"), "fair -");
	buf_release(&first);
	buf_release(&again);
}

static int setup(void **state)
{
	return fixture_setup(state);
}

static int teardown(void **state)
{
	import_report_release(&report);
	return fixture_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(columns__become_attributes),
		TEST(absent_keeps__empty_clears),
		TEST(values__stay_text),
		TEST(map_and_email_options__choose_columns),
		TEST(columns_option__names_a_file_without_header),
		TEST(address_column__is_found_by_name_or_values),
		TEST(wrong_columns__are_told),
		TEST(rejects__go_to_a_file_that_can_be_imported),
		TEST(dates__that_are_none__refuse_their_row),
		TEST(rejects__a_link_laid_beside__is_not_followed),
		TEST(too_many_rejects__import_nothing),
		TEST(unclosed_quote__imports_nothing),
		TEST(duplicates__by_option),
		TEST(status__is_seen_where_it_is_not_read),
		TEST(status__becomes_suppression),
		TEST(leavers__are_not_taken_for_readers),
		TEST(suppression__beats_every_later_import),
		TEST(forgotten__is_refused),
		TEST(source_and_consent__from_text_or_column),
		TEST(expand__takes_attributes_from_json),
		TEST(display_name__is_kept_unless_a_column_is_called_so),
		TEST(sync__takes_the_absent_off_the_list),
		TEST(dry_run__tells_and_leaves_nothing),
		TEST(stopped__leaves_no_trace),
		TEST(many_rows__in_flat_memory),
		TEST(export__imports_back_unchanged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
