/* Any bytes as a backup to restore, raw or as the manifest and files of one whose sums fit: it is taken or
 * refused, and whatever it names, nothing is written but below the folder that was named. (A name below
 * outside/ is a place of its own by design: such inputs are left out, for the sake of the machine that this
 * runs on.) */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/file.h"
#include "src/base/log.h"
#include "src/serve/backup_private.h"

static char top[40], file[60], folder[60];

static void must(bool good)
{
	if (!good)
		abort();
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
	(void)st;
	(void)flag;
	if (where->level > 0)
		must(remove(path) == 0);
	return 0;
}

static int count_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
	(void)st;
	(void)flag;
	/* Beside the backup itself there is the folder, and all else is in it. */
	must(where->level == 0 || strcmp(path, file) == 0 || strncmp(path, folder, strlen(folder)) == 0);
	return 0;
}

static void remove_top(void)
{
	rmdir(top);
}

static void add_member(FILE *f, const char *name, struct str bytes, struct buf *sums)
{
	struct tar_member m = {.size = bytes.n, .mode = 0600};
	struct backup_sum s;
	char hex[2 * SHA256_LEN + 1];
	struct err e = {0};
	snprintf(m.name, sizeof m.name, "%s", name);
	if (tar_head(f, &m, &e) != 0)
		return;
	fwrite(bytes.p, 1, bytes.n, f);
	must(tar_fill(f, bytes.n, &e) == 0);
	if (sums == NULL)
		return;
	backup_sum_begin(&s);
	backup_sum_add(&s, bytes.p, bytes.n);
	backup_sum_end(&s, hex);
	buf_printf(sums, "%s  %s\n", hex, m.name);
}

static struct str next_text(struct str *rest)
{
	size_t end = str_find(*rest, '\0');
	struct str text = str_n(rest->p, end);
	*rest = end < rest->n ? str_n(rest->p + end + 1, rest->n - end - 1) : str_n(rest->p + end, 0);
	return text;
}

/* manifest NUL name NUL bytes NUL name NUL bytes … */
static void write_archive(struct str s)
{
	struct buf sums = BUF_INIT(1 << 20);
	struct err e = {0};
	FILE *f = fopen(file, "w");
	must(f != NULL);
	add_member(f, BACKUP_MANIFEST, next_text(&s), &sums);
	while (s.n != 0) {
		char name[TAR_NAME_MAX];
		struct str n = next_text(&s);
		snprintf(name, sizeof name, "%.*s", (int)(n.n < 255 ? n.n : 255), n.p);
		add_member(f, name, next_text(&s), &sums);
	}
	add_member(f, BACKUP_SUMS, buf_get(&sums), NULL);
	must(tar_end(f, &e) == 0 && fclose(f) == 0);
	buf_release(&sums);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (top[0] == '\0') {
		log_set_level(LOG_LEVEL_ERROR);
		snprintf(top, sizeof top, "/dev/shm/postrider-fuzz-XXXXXX");
		must(mkdtemp(top) != NULL && atexit(remove_top) == 0);
		snprintf(file, sizeof file, "%s/backup", top);
		snprintf(folder, sizeof folder, "%s/in", top);
	}
	if (size == 0 || memmem(data, size, "outside", 7) != NULL || memmem(data, size, "\\u", 2) != NULL)
		return 0;
	struct str s = str_n((const char *)data + 1, size - 1);
	struct restore *r = NULL;
	struct err e = {0};
	if (data[0] & 1)
		write_archive(s);
	else
		must(file_write(file, s, 0600, &e) == 0);
	if (restore_unpack(&r, file, folder, NULL, &e) == 0) {
		nftw(top, count_one, 8, FTW_PHYS);
		must(restore_database_temp(r) != NULL);
		if (restore_place(r, &e) == 0)
			restore_finish(r, &e);
	} else {
		must(e.why[0] != '\0');
	}
	nftw(top, count_one, 8, FTW_PHYS);
	restore_free(&r);
	nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return 0;
}
