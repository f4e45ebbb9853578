/* Words for a subscription's state, in English, Japanese and the words of common services' exports. */
#ifndef LISTS_IMPORT_STATUS_H
#define LISTS_IMPORT_STATUS_H

#include "src/db/import.h"

/* Empty is subscribed. Returns NULL and sets *out, or why such a row cannot be taken (a static text). */
const char *import_status_read(struct str word, enum import_status *out);
/* What a column of that attribute's name tells by being filled: UNSUB_TIME and its like, in the exports of
 * those who left. IMPORT_SUBSCRIBED: nothing. */
enum import_status import_status_of_time(struct str attr);
extern const char *const import_status_names[]; /* as export writes them, by enum import_status */

#endif
