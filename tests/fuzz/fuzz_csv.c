/* Any bytes as a list's file, through guessing, decoding and splitting: rows within their limits, valid text,
 * rising line numbers. */
#include "lists/csv.h"
#include "src/base/utf8.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const encodings[] = {
		NULL, "utf-8", "utf-16", "sjis", "euc-jp", "iso-2022-jp", "latin1", "gb18030"};
	static const char delimiters[] = {0, ',', ';', '\t'};
	if (size < 1)
		return 0;
	struct csv_options o = {
		.encoding = encodings[data[0] & 7], .delimiter = delimiters[data[0] >> 3 & 3]};
	struct csv_reader *r;
	struct csv_row row;
	struct err e = {0};
	if (csv_reader_open_memory(&r, str_n((const char *)data + 1, size - 1), &o, &e) != 0) {
		assert(e.code == ERR_DATA && r == NULL);
		return 0;
	}
	long line = 0;
	int rc;
	while ((rc = csv_reader_next(r, &row, &e)) > 0) {
		assert(row.line > line);
		line = row.line;
		assert(row.nfields <= CSV_FIELDS_MAX && row.raw.n <= CSV_ROW_MAX);
		for (size_t i = 0; row.bad == NULL && i < row.nfields; i++)
			assert(utf8_valid(row.field[i]) && row.field[i].n <= row.raw.n);
	}
	assert(rc == 0 || e.code == ERR_DATA);
	csv_reader_close(&r);
	return 0;
}
