#include "lists/reject_file.h"

#include "src/base/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void put_cell(struct reject_file *r, struct str s)
{
	fputc('"', r->f);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			fputc('"', r->f);
		fputc(s.p[i], r->f);
	}
	fputc('"', r->f);
}

/* Bytes that were no text must not make the whole file unreadable. */
static void put_raw(struct reject_file *r, struct str s)
{
	if (utf8_valid(s)) {
		fwrite(s.p, 1, s.n, r->f);
		return;
	}
	for (size_t at = 0; at < s.n;) {
		char c[4];
		size_t n = utf8_put(c, utf8_next(s, &at));
		fwrite(c, 1, n, r->f);
	}
}

int reject_file_open(
	struct reject_file *r, const char *path, char delimiter, bool bom, struct str header, struct err *e)
{
	*r = (struct reject_file){.delimiter = delimiter};
	if (path == NULL)
		return 0;
	r->path = strdup(path);
	if (r->path == NULL || asprintf(&r->temp, "%s.part", path) < 0) {
		r->temp = NULL;
		reject_file_close(r, false, NULL);
		return err_set(e, ERR_INTERNAL, "--rejects", "out of memory");
	}
	r->f = fopen(r->temp, "we");
	if (r->f == NULL) {
		err_sys(e, ERR_CREATE, "--rejects", path);
		reject_file_close(r, false, NULL);
		return -1;
	}
	fprintf(r->f, "%spr_line%cpr_reason%c", bom ? "\xef\xbb\xbf" : "", delimiter, delimiter);
	put_raw(r, header);
	fputs("\r\n", r->f);
	return 0;
}

void reject_file_add(struct reject_file *r, const struct import_reject *row)
{
	if (r->f == NULL)
		return;
	fprintf(r->f, "%ld%c", row->line, r->delimiter);
	put_cell(r, row->reason);
	fputc(r->delimiter, r->f);
	put_raw(r, row->raw);
	fputs("\r\n", r->f);
}

int reject_file_close(struct reject_file *r, bool keep, struct err *e)
{
	int rc = 0;
	if (r->f != NULL) {
		bool failed = ferror(r->f) != 0;
		failed |= fclose(r->f) != 0;
		if (keep && (failed || rename(r->temp, r->path) != 0)) {
			rc = err_sys(e, ERR_IO, "--rejects", r->path);
			keep = false;
		}
		if (!keep)
			unlink(r->temp);
	}
	free(r->path);
	free(r->temp);
	*r = (struct reject_file){0};
	return rc;
}
