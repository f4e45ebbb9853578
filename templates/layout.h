/* The layouts that ship with the program: postrider/letter.html, postrider/digest.html,
 * postrider/announcement.html.
 *
 * A layout's own names: content, subject, preheader, language, sender (From's display name), today (the day,
 * as the language writes it), unsubscribe_link and view_link (links in the message's language, where there is
 * an address). */
#ifndef TEMPLATES_LAYOUT_H
#define TEMPLATES_LAYOUT_H

#include "src/base/str.h"

bool layout_find(struct str name, struct str *out);

#endif
