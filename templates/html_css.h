/* The part of CSS that can be written into style attributes: rules whose selectors are made of types,
 * classes, ids, descendants and children. Everything else (@media, :hover, [attr], *) is left where it is. */
#ifndef TEMPLATES_HTML_CSS_H
#define TEMPLATES_HTML_CSS_H

#include "templates/run.h"

enum { CSS_PARTS = 8, CSS_CLASSES = 8, CSS_DEPTH = 256 /* of nested elements */ };

struct css_part {            /* a compound: td.cell#first */
	struct str type, id; /* n == 0: any */
	struct str classes[CSS_CLASSES];
	int nclasses;
	char combinator; /* to the part before it: ' ' or '>' */
};

struct css_selector {
	struct css_part parts[CSS_PARTS];
	int nparts;
	unsigned specificity;
	int rule;
};

struct css_rule {
	struct str declarations;
	size_t from, to; /* in the style sheet */
	bool whole;      /* all of its selectors can be inlined */
};

struct css_sheet {
	struct css_rule *rules;
	int nrules, rules_cap;
	struct css_selector *selectors;
	int nselectors, selectors_cap;
};

struct css_element {
	struct str name, id;
	struct str classes[16];
	int nclasses;
	const struct css_element *parent;
};

/* Adds the rules of one style sheet. False: no memory. */
bool css_parse(struct css_sheet *sheet, struct str css, struct arena *a);
bool css_matches(const struct css_selector *s, const struct css_element *e);

struct css_declaration {
	struct str name, value; /* value without !important */
	bool important;
};
/* The next declaration of a block; false: no more. */
bool css_declaration_next(struct str *rest, struct css_declaration *out);

/* Appends rules that stay in <style> while others move into attributes: their declarations, also within
 * @media, become !important, since they could not win otherwise. Not those of `*`, which overrule nothing. */
void css_strengthen(struct run *out, struct str css);

#endif
