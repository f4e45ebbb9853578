#include "lists/reject_file.h"

#include "src/base/utf8.h"

static void put_cell(struct reject_file *r, struct str s)
{
	fputc('"', r->out.f);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			fputc('"', r->out.f);
		fputc(s.p[i], r->out.f);
	}
	fputc('"', r->out.f);
}

/* Bytes that were no text must not make the whole file unreadable. */
static void put_raw(struct reject_file *r, struct str s)
{
	if (utf8_valid(s)) {
		fwrite(s.p, 1, s.n, r->out.f);
		return;
	}
	for (size_t at = 0; at < s.n;) {
		char c[4];
		size_t n = utf8_put(c, utf8_next(s, &at));
		fwrite(c, 1, n, r->out.f);
	}
}

int reject_file_open(
	struct reject_file *r, const char *path, char delimiter, bool bom, struct str header, struct err *e)
{
	*r = (struct reject_file){.delimiter = delimiter};
	if (path == NULL)
		return 0;
	if (output_open(&r->out, path, e) != 0)
		return -1;
	fprintf(r->out.f, "%spr_line%cpr_reason%c", bom ? "\xef\xbb\xbf" : "", delimiter, delimiter);
	put_raw(r, header);
	fputs("\r\n", r->out.f);
	return 0;
}

void reject_file_add(struct reject_file *r, const struct import_reject *row)
{
	if (r->out.f == NULL)
		return;
	fprintf(r->out.f, "%ld%c", row->line, r->delimiter);
	put_cell(r, row->reason);
	fputc(r->delimiter, r->out.f);
	put_raw(r, row->raw);
	fputs("\r\n", r->out.f);
}

int reject_file_close(struct reject_file *r, bool keep, struct err *e)
{
	int rc = keep && r->out.f != NULL ? output_commit(&r->out, e) : 0;
	output_abandon(&r->out);
	*r = (struct reject_file){0};
	return rc;
}
