/* A contact's attributes, packed.
 *
 * A run of (attribute id, length, bytes), ids ascending, numbers as LEB128. Ids come from the store's
 * dictionary of attribute names (store_attr_id), which is shared by all lists. Values are UTF-8 text as it
 * was given. An absent attribute and an empty one are the same when read; in an import row an empty value
 * says "clear". */
#ifndef DB_ATTRS_H
#define DB_ATTRS_H

#include "src/base/buf.h"

#include <stdint.h>

struct attr_iter {
	struct str rest;
	uint32_t id;
	struct str value;
};

void attrs_put(struct buf *out, uint32_t id, struct str value); /* ids must ascend */
/* for (struct attr_iter i = attrs_begin(packed); attrs_next(&i);) … A damaged run ends early. */
struct attr_iter attrs_begin(struct str packed);
bool attrs_next(struct attr_iter *i);
struct str attrs_get(struct str packed, uint32_t id); /* n == 0: absent or empty */
/* `base` with the values of `over` laid on it: absent keeps, empty clears. Returns true if that changed
 * anything. */
bool attrs_merge(struct buf *out, struct str base, struct str over);
bool attrs_valid(struct str packed);

#endif
