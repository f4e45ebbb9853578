#include "lists/csv_sniff.h"

#define SHEET_REMEDY                                                                                         \
	"in Excel: File > Save As > \"CSV UTF-8 (comma delimited)\"; in LibreOffice or Numbers export as "   \
	"CSV"

static bool has(struct str s, const char *word)
{
	return s.n > 0 && memmem(s.p, s.n, word, strlen(word)) != NULL;
}

static bool starts_nocase(struct str s, const char *word)
{
	return s.n >= strlen(word) && strncasecmp(s.p, word, strlen(word)) == 0;
}

static int refuse(const char *name, const char *what, const char *remedy, struct err *e)
{
	err_set(e, ERR_DATA, "import", "this is %s, not a CSV file", what);
	err_at(e, name, 0);
	return err_remedy(e, "%s", remedy);
}

int csv_sniff_format(struct str head, const char *name, struct err *e)
{
	struct str text = str_trim(head);
	if (str_starts(text, STR("\xef\xbb\xbf")))
		text = str_trim(str_n(text.p + 3, text.n - 3));
	if (str_starts(head, STR("PK\003\004")) || str_starts(head, STR("PK\005\006"))) {
		if (has(head, "opendocument.spreadsheet"))
			return refuse(name, "an OpenDocument spreadsheet (.ods)", SHEET_REMEDY, e);
		if (has(head, "xl/") || has(head, "[Content_Types].xml"))
			return refuse(name, "an Excel workbook (.xlsx)", SHEET_REMEDY, e);
		return refuse(name, "a zip archive",
			"unpack it and import the CSV file inside (if it is an Excel workbook, save it as "
			"CSV)",
			e);
	}
	if (str_starts(head, STR("\xd0\xcf\x11\xe0")))
		return refuse(name, "an old Excel workbook (.xls)", SHEET_REMEDY, e);
	if (str_starts(head, STR("%PDF")))
		return refuse(name, "a PDF document",
			"ask for the list as a CSV file; a PDF cannot be read as one", e);
	if (starts_nocase(text, "<!doctype html") || starts_nocase(text, "<html") ||
		starts_nocase(text, "<table") || starts_nocase(text, "<head"))
		return refuse(name, "an HTML page",
			"open it in a spreadsheet and save it as CSV; if it was a download, check that you "
			"are logged in there",
			e);
	if (starts_nocase(text, "<?xml"))
		return refuse(name, "an XML file", SHEET_REMEDY, e);
	if (str_starts(text, STR("[{")) || str_starts(text, STR("{\"")))
		return refuse(name, "JSON",
			"convert it to CSV; attributes as JSON can stand in one column (--expand COLUMN)", e);
	if (str_starts(head, STR("BZh")) ||
		str_starts(head, STR("\xfd"
				     "7zXZ")) ||
		str_starts(head, STR("7z\xbc\xaf")) || str_starts(head, STR("\x28\xb5\x2f\xfd")) ||
		str_starts(head, STR("Rar!")))
		return refuse(name, "a compressed file of a kind that is not read here",
			"unpack it, or pack it with gzip", e);
	if (str_starts(head, STR("SQLite format 3")))
		return refuse(name, "an SQLite database", "export the table as CSV", e);
	return 0;
}

size_t csv_sniff_sep(struct str text, char *delimiter)
{
	size_t end = 0;
	while (end < text.n && text.p[end] != '\n' && text.p[end] != '\r')
		end++;
	struct str line = str_n(text.p, end);
	if (line.n >= 2 && line.p[0] == '"' && line.p[line.n - 1] == '"')
		line = str_n(line.p + 1, line.n - 2);
	if (line.n != 5 || !starts_nocase(line, "sep=") || (unsigned char)line.p[4] >= 0x80 ||
		line.p[4] == '"')
		return 0;
	*delimiter = line.p[4];
	if (end < text.n && text.p[end] == '\r')
		end++;
	if (end < text.n && text.p[end] == '\n')
		end++;
	return end;
}

#define SAMPLE_ROWS 100

/* Columns of the first rows if `delimiter` is the one; returns the number of rows. */
static size_t count_columns(struct str s, bool cut, char delimiter, int columns[SAMPLE_ROWS])
{
	size_t rows = 0;
	int n = 1;
	bool quoted = false, begun = false, any = false;
	for (size_t i = 0; i < s.n && rows < SAMPLE_ROWS; i++) {
		char c = s.p[i];
		if (quoted) {
			quoted = c != '"';
		} else if (c == '"' && (!begun || s.p[i - 1] == '"')) {
			quoted = begun = any =
				true; /* the second of two quotes goes on with the quoted field */
		} else if (c == '\n' || c == '\r') {
			if (any)
				columns[rows++] = n;
			n = 1;
			begun = any = false;
		} else if (c == delimiter) {
			n++;
			begun = false;
			any = true;
		} else if (c != ' ' && c != '\t') {
			begun = any = true;
		}
	}
	if (any && !cut && rows < SAMPLE_ROWS)
		columns[rows++] = n;
	return rows;
}

char csv_sniff_delimiter(struct str text, bool cut)
{
	static const char candidates[] = {',', ';', '\t', '|'};
	char best = ',';
	size_t best_score = 0;
	for (size_t i = 0; i < sizeof candidates; i++) {
		int columns[SAMPLE_ROWS];
		size_t rows = count_columns(text, cut, candidates[i], columns), agree = 0;
		if (rows == 0)
			rows = count_columns(text, false, candidates[i], columns);
		if (rows == 0 || columns[0] < 2)
			continue;
		for (size_t j = 0; j < rows; j++)
			agree += columns[j] == columns[0];
		size_t score = agree * 1000 / rows + (size_t)(columns[0] < 50 ? columns[0] : 50);
		if (score > best_score) {
			best_score = score;
			best = candidates[i];
		}
	}
	return best;
}
