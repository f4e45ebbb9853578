#include "templates/layout.h"

extern const unsigned char asset_letter_html[], asset_digest_html[], asset_announcement_html[];
extern const size_t asset_letter_html_len, asset_digest_html_len, asset_announcement_html_len;

static const struct {
	const char *name;
	const unsigned char *text;
	const size_t *len;
} layouts[] = {
	{"postrider/letter.html", asset_letter_html, &asset_letter_html_len},
	{"postrider/digest.html", asset_digest_html, &asset_digest_html_len},
	{"postrider/announcement.html", asset_announcement_html, &asset_announcement_html_len},
};

bool layout_find(struct str name, struct str *out)
{
	for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
		if (str_is(name, layouts[i].name)) {
			*out = str_n((const char *)layouts[i].text, *layouts[i].len);
			return true;
		}
	return false;
}
