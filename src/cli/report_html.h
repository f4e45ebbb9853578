/* Parts of the HTML report that several of its sections use: report_html.c, report_refusals.c. */
#ifndef CLI_REPORT_HTML_H
#define CLI_REPORT_HTML_H

#include "src/base/buf.h"
#include "src/cli/report_data.h"

void html_text(struct buf *out, struct str s); /* whatever it holds, it is text */
void html_number(struct buf *out, int64_t v);
void html_share(struct buf *out, int64_t part, int64_t whole); /* "12.3 %"; nothing of nothing */
/* Refusals, providers by reasons, and what came back later. */
void html_refusals(struct buf *out, const struct report *r);

/* How near the brakes are to acting, or what they did. */
void html_brakes(struct buf *out, const struct report *r);

#endif
