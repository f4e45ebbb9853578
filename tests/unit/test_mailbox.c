/* Messages in files: where one ends, what is passed over, and when files are moved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/bounce/mailbox.h"
#include "src/base/buf.h"
#include "src/base/file.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct seen {
	struct buf text;
	int n, commits, fail_at;
	ms_t at;
};

static int message(void *ctx, const struct mailbox_message *m)
{
	struct seen *s = ctx;
	if (++s->n == s->fail_at)
		return -1;
	s->at = m->at;
	buf_printf(&s->text, "[%.*s]", (int)(m->text.n < 200 ? m->text.n : 200), m->text.p);
	return 0;
}

static int commit(void *ctx)
{
	((struct seen *)ctx)->commits++;
	return 0;
}

static const char *split(struct seen *s, const char *text, size_t n, bool many)
{
	*s = (struct seen){.text = BUF_INIT(1 << 20)};
	const struct mailbox_reader r = {message, commit, s};
	FILE *f = fmemopen((void *)(uintptr_t)text, n, "r");
	assert_int_equal(mailbox_stream(f, "-", many, 5, &r, NULL), 0);
	fclose(f);
	return buf_cstr(&s->text);
}

#define SPLITS(many_, text_, want_)                                                                          \
	do {                                                                                                 \
		struct seen s_;                                                                              \
		assert_string_equal(split(&s_, text_, strlen(text_), many_), want_);                         \
		buf_release(&s_.text);                                                                       \
	} while (0)

static void mbox__messages_begin_behind_an_empty_line(void **state)
{
	(void)state;
	SPLITS(true, "From a\nS: 1\n\none\n\nFrom b\nS: 2\n\ntwo", "[S: 1\n\none\n\n][S: 2\n\ntwo]");
	SPLITS(true, "From a\r\nS: 1\r\n\r\none\r\n\r\nFrom b\r\nS: 2\r\n",
		"[S: 1\r\n\r\none\r\n\r\n][S: 2\r\n]");
	/* Not behind one, not at the beginning: text. */
	SPLITS(true, "From a\nS: 1\n\none\nFrom here\n", "[S: 1\n\none\nFrom here\n]");
	SPLITS(true, "S: 1\n\none\n\nFrom b\ntwo\n", "[S: 1\n\none\n\nFrom b\ntwo\n]");
	SPLITS(true, "From a\nS: 1\n\n>From x\n>>From y\n> From z\n",
		"[S: 1\n\nFrom x\n>From y\n> From z\n]");
	SPLITS(true, "From a\n\nFrom b\n\n", "[\n][\n]");
	SPLITS(true, "", "");
}

static void one_message__only_its_own_line_goes(void **state)
{
	(void)state;
	SPLITS(false, "From a\nS: 1\n\none\n\nFrom b\ntwo\n", "[S: 1\n\none\n\nFrom b\ntwo\n]");
	SPLITS(false, "S: 1\n\n>From x\n", "[S: 1\n\n>From x\n]");
}

static void time__of_the_mbox_line(void **state)
{
	(void)state;
	struct seen s;
	const char *box = "From a@x  Sun Nov 22 09:00:00 2020\nS: 1\n\n\nFrom b nonsense\nS: 2\n";
	split(&s, box, strlen(box), true);
	assert_int_equal(s.at, 5); /* the second one: the file's */
	buf_release(&s.text);
	split(&s, box, 45, true);
	assert_int_equal(s.at, (ms_t)1606035600 * SECOND);
	buf_release(&s.text);
}

static void long_ones__are_cut(void **state)
{
	(void)state;
	struct seen s = {.text = BUF_INIT(1 << 20)};
	const struct mailbox_reader r = {message, commit, &s};
	FILE *f = tmpfile();
	fputs("From a\n", f);
	for (int i = 0; i < 3 << 20; i++)
		fputc('x', f);
	fputs("\n\nFrom b\nsecond\n", f);
	rewind(f);
	assert_int_equal(mailbox_stream(f, "-", true, 5, &r, NULL), 0);
	fclose(f);
	assert_int_equal(s.n, 2);
	assert_non_null(strstr(buf_cstr(&s.text), "[second\n]"));
	buf_release(&s.text);
}

static int files_in(const char *dir, const char *below)
{
	char command[300];
	snprintf(command, sizeof command, "ls %s/%s | wc -l", dir, below);
	FILE *p = popen(command, "r");
	int n = -1;
	assert_int_equal(fscanf(p, "%d", &n), 1);
	pclose(p);
	return n;
}

static void maildir__moved_when_recorded__not_before(void **state)
{
	(void)state;
	char dir[] = "/tmp/postrider-maildir-XXXXXX", path[200];
	assert_non_null(mkdtemp(dir));
	static const char *const below[] = {"new", "cur", "tmp"};
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, below[i]);
		mkdir(path, 0700);
	}
	for (int i = 0; i < 150; i++) {
		snprintf(path, sizeof path, "%s/new/%03d.x", dir, i);
		assert_int_equal(file_write(path, STR("S: 1\n\nhello\n"), 0600, NULL), 0);
	}
	struct seen s = {.text = BUF_INIT(1 << 20), .fail_at = 100};
	const struct mailbox_reader r = {message, commit, &s};
	assert_int_equal(mailbox_walk(dir, true, &r, NULL), -1);
	assert_int_equal(files_in(dir, "cur"), 0);
	s.n = s.commits = 0;
	assert_int_equal(mailbox_walk(dir, false, &r, NULL), -1);
	/* The batch that failed stays; those before it are done. */
	assert_true(s.commits >= 1);
	assert_true(files_in(dir, "cur") >= 100 - MAILBOX_BATCH && files_in(dir, "cur") < 100);
	assert_int_equal(files_in(dir, "cur") + files_in(dir, "new"), 150);
	s.fail_at = 0;
	assert_int_equal(mailbox_walk(dir, false, &r, NULL), 0);
	assert_int_equal(files_in(dir, "cur"), 150);
	buf_release(&s.text);
	snprintf(path, sizeof path, "rm -r %s", dir);
	assert_int_equal(system(path), 0);
}

static void maildir__links_and_pipes__are_no_messages(void **state)
{
	(void)state;
	char dir[] = "/tmp/postrider-maildir-XXXXXX", path[200], other[200];
	assert_non_null(mkdtemp(dir));
	static const char *const below[] = {"new", "cur", "tmp", "new/1.folder"};
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, below[i]);
		mkdir(path, 0700);
	}
	snprintf(other, sizeof other, "%s/secret", dir);
	assert_int_equal(file_write(other, STR("S: 2\n\nsecret\n"), 0600, NULL), 0);
	snprintf(path, sizeof path, "%s/new/2.link", dir);
	assert_int_equal(symlink(other, path), 0);
	snprintf(path, sizeof path, "%s/new/3.pipe", dir); /* opening it to read would wait for ever */
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(path, sizeof path, "%s/new/4.mail", dir);
	assert_int_equal(file_write(path, STR("S: 1\n\nhello\n"), 0600, NULL), 0);
	struct seen s = {.text = BUF_INIT(1 << 20)};
	const struct mailbox_reader r = {message, commit, &s};
	assert_int_equal(mailbox_walk(dir, false, &r, NULL), 0);
	assert_string_equal(buf_cstr(&s.text), "[S: 1\n\nhello\n]");
	assert_int_equal(files_in(dir, "cur"), 1);
	assert_int_equal(files_in(dir, "new"), 3);
	buf_release(&s.text);
	snprintf(path, sizeof path, "rm -r %s", dir);
	assert_int_equal(system(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mbox__messages_begin_behind_an_empty_line),
		cmocka_unit_test(one_message__only_its_own_line_goes),
		cmocka_unit_test(time__of_the_mbox_line),
		cmocka_unit_test(long_ones__are_cut),
		cmocka_unit_test(maildir__moved_when_recorded__not_before),
		cmocka_unit_test(maildir__links_and_pipes__are_no_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
