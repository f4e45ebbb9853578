#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/delivery_log.h"
#include "src/base/file.h"
#include "src/base/log.h"
#include "src/db/ledger.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[100];

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof path, "/tmp/postrider-log.%d", getpid());
	unlink(path);
	return 0;
}

static int teardown(void **state)
{
	char old[120];
	(void)state;
	snprintf(old, sizeof old, "%s.1", path);
	unlink(old);
	return unlink(path);
}

static struct outcome_row refused(void)
{
	return (struct outcome_row){.delivery = 4294967297,
		.kind = OUTCOME_DEFER,
		.state = DELIVERY_DEFERRED,
		.at = 1780000000123,
		.due = 1780000300000,
		.code = 450,
		.enhanced = "4.2.1",
		.reply = STR("say \"no\" \\ twice\r\n\x1b[2J caf\xc3\xa9 \xff end"),
		.class = CLASS_SOFT,
		.scope = SCOPE_SITE,
		.reason = STR("busy"),
		.site = STR("mx.example"),
		.route = STR("main"),
		.address = STR("ann@x.example"),
		.domain = STR("x.example"),
		.campaign = STR("june"),
		.peer = STR("192.0.2.1 port 25"),
		.attempt = 2,
		.tls = STR("TLSv1.3"),
		.action = "retry",
		.connect_ms = 12,
		.send_ms = 340};
}

static const char *text_of(json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void a_line_is_json(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(10000);
	struct outcome_row r = refused();
	delivery_log_line(&r, &b);
	assert_int_equal(b.p[b.len - 1], '\n');
	assert_null(memchr(b.p, '\n', b.len - 1));
	json_t *o = json_loadb(b.p, b.len, 0, NULL);
	assert_non_null(o);
	assert_string_equal(text_of(o, "time"), "2026-05-28T20:26:40.123Z");
	assert_string_equal(text_of(o, "due"), "2026-05-28T20:31:40.000Z");
	assert_string_equal(
		text_of(o, "reply"), "say \"no\" \\ twice\r\n\x1b[2J caf\xc3\xa9 \xef\xbf\xbd end");
	assert_string_equal(text_of(o, "state"), "deferred");
	assert_string_equal(text_of(o, "scope"), "site");
	assert_int_equal(json_integer_value(json_object_get(o, "delivery")), 4294967297);
	assert_int_equal(json_integer_value(json_object_get(o, "attempt")), 2);
	assert_true(json_is_null(json_object_get(o, "provider")));
	assert_true(json_is_null(json_object_get(o, "relay_id")));
	json_decref(o);
	buf_release(&b);
}

static void only_attempts_have_one(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(10000);
	const struct outcome_row none[] = {{.kind = OUTCOME_RETURN},
		{.kind = OUTCOME_FINAL, .state = DELIVERY_SKIPPED},
		{.kind = OUTCOME_FINAL, .state = DELIVERY_EXPIRED}};
	for (size_t i = 0; i < 3; i++)
		delivery_log_line(&none[i], &b);
	assert_int_equal(b.len, 0);
	const struct outcome_row doubt = {.kind = OUTCOME_DOUBT, .at = 1};
	delivery_log_line(&doubt, &b);
	assert_non_null(strstr(buf_cstr(&b), "\"state\":\"doubt\",\"code\":null"));
	buf_release(&b);
}

static void give(struct delivery_log *l, int n)
{
	struct outcome_batch *b = outcome_batch_new(NULL);
	for (; b->n < (size_t)n; b->n++)
		b->rows[b->n] = refused();
	delivery_log_give(l, b);
}

static int lines_in(const char *file, const char *holding)
{
	struct buf b = BUF_INIT(16 << 20);
	int n = 0;
	assert_int_equal(file_read(file, &b, NULL), 0);
	for (const char *at = buf_cstr(&b), *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
		json_t *o = json_loadb(at, (size_t)(end - at), 0, NULL);
		assert_non_null(o);
		n += json_object_get(o, holding) != NULL;
		json_decref(o);
	}
	assert_true(b.len == 0 || b.p[b.len - 1] == '\n');
	buf_release(&b);
	return n;
}

static void all_that_was_given_is_written(void **state)
{
	(void)state;
	struct delivery_log *l;
	struct err e;
	struct stat st;
	for (int i = 0; i < 2; i++) { /* a second run goes on behind the first */
		assert_int_equal(delivery_log_open(&l, path, 0, &e), 0);
		for (int k = 0; k < 50; k++)
			give(l, 100);
		delivery_log_close(&l);
		assert_int_equal(lines_in(path, "delivery"), (i + 1) * 5000);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(delivery_log_open(&l, "/no/such/folder/log", 0, &e), -1);
	assert_int_equal(e.code, ERR_CREATE);
}

static void a_large_file_is_put_aside(void **state)
{
	(void)state;
	char old[120];
	struct delivery_log *l;
	struct err e;
	snprintf(old, sizeof old, "%s.1", path);
	assert_int_equal(delivery_log_open(&l, path, 20000, &e), 0);
	give(l, 100);
	give(l, 1);
	delivery_log_close(&l);
	assert_int_equal(lines_in(path, "delivery"), 1);
	assert_int_equal(lines_in(old, "delivery"), 100);
}

/* A limit on the size of files is a disk without room. */
static void without_room_whole_lines_are_lost_and_counted(void **state)
{
	(void)state;
	struct delivery_log *l;
	struct err e;
	struct rlimit was, small = {100000, RLIM_INFINITY};
	signal(SIGXFSZ, SIG_IGN);
	log_open("/dev/null", false, 0, NULL);
	getrlimit(RLIMIT_FSIZE, &was);
	small.rlim_max = was.rlim_max;
	assert_int_equal(delivery_log_open(&l, path, 0, &e), 0);
	setrlimit(RLIMIT_FSIZE, &small);
	give(l, 100); /* some 50 kB each */
	give(l, 100);
	give(l, 100);
	delivery_log_close(&l);
	int whole = lines_in(path, "delivery");
	setrlimit(RLIMIT_FSIZE, &was);
	assert_int_equal(whole, 100);
	log_open(NULL, false, 0, NULL);
}

static void it_goes_on_when_there_is_room_again(void **state)
{
	(void)state;
	struct delivery_log *l;
	struct err e;
	struct rlimit was, small;
	int told[2];
	char to[40], c;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(pipe(told), 0);
	snprintf(to, sizeof to, "/proc/self/fd/%d", told[1]);
	assert_int_equal(log_open(to, false, 0, &e), 0);
	getrlimit(RLIMIT_FSIZE, &was);
	small = (struct rlimit){10, was.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(delivery_log_open(&l, path, 0, &e), 0);
	give(l, 10);
	struct stat st;
	assert_int_equal(read(told[0], &c, 1), 1); /* it has tried, and taken back what fitted */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	setrlimit(RLIMIT_FSIZE, &was);
	give(l, 3);
	delivery_log_close(&l);
	assert_int_equal(lines_in(path, "delivery"), 3);
	assert_int_equal(lines_in(path, "lost"), 1);
	log_open(NULL, false, 0, NULL);
	close(told[0]);
	close(told[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_json),
		cmocka_unit_test(only_attempts_have_one),
		cmocka_unit_test_setup_teardown(all_that_was_given_is_written, setup, teardown),
		cmocka_unit_test_setup_teardown(a_large_file_is_put_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(
			without_room_whole_lines_are_lost_and_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(it_goes_on_when_there_is_room_again, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
