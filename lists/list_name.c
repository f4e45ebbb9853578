#include "lists/list_name.h"

#include "src/base/utf8.h"

const char *name_fault(struct str name)
{
	const char *why = NULL;
	struct str trimmed = str_trim(name);
	if (name.n == 0)
		why = "it is empty";
	else if (trimmed.n != name.n)
		why = "it begins or ends with a blank";
	else if (name.n > LIST_NAME_MAX)
		why = "it is longer than 200 bytes";
	else if (name.p[0] == '-')
		why = "it begins with a hyphen";
	else if (!utf8_valid(name))
		why = "it is not valid UTF-8";
	for (size_t at = 0; why == NULL && at < name.n;) {
		uint32_t c = utf8_next(name, &at);
		if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029)
			why = "it holds a control character";
	}
	return why;
}

int list_name_check(struct str name, struct err *e)
{
	const char *why = name_fault(name);
	return why == NULL ? 0 : err_set(e, ERR_USAGE, "list name", "a list cannot be called so: %s", why);
}

int list_id_check(struct str id, struct err *e)
{
	bool ok = id.n > 0 && id.n <= LIST_NAME_MAX && id.p[0] != '.' && id.p[id.n - 1] != '.' &&
		  memmem(id.p, id.n, "..", 2) == NULL;
	for (size_t i = 0; ok && i < id.n; i++) {
		char c = id.p[i];
		ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
		     c == '-' || c == '_';
	}
	if (ok)
		return 0;
	err_set(e, ERR_USAGE, "id", "\"%.*s\" cannot stand in List-Id", (int)(id.n < 80 ? id.n : 80),
		id.p != NULL ? id.p : "");
	return err_remedy(e, "use letters, digits, hyphens and single dots: news.books.example");
}
