/* Conditions over contacts, as a tree. Built by lists/segment.c from what a user typed; each store driver
 * turns it into a query with bound values (no text of a user's becomes SQL). All nodes live in the arena
 * given to the parser. */
#ifndef DB_FILTER_H
#define DB_FILTER_H

#include "src/base/clock.h"
#include "src/base/str.h"

#include <stdint.h>

enum filter_op {
	FILTER_AND,
	FILTER_OR,
	FILTER_NOT, /* a, b */
	FILTER_EQ,
	FILTER_NE,
	FILTER_LT,
	FILTER_LE,
	FILTER_GT,
	FILTER_GE,    /* field, value */
	FILTER_LIKE,  /* field, value.text: % and _ as in SQL, case-folded ASCII */
	FILTER_IN,    /* field, values[nvalues] */
	FILTER_EMPTY, /* field */
};

enum filter_field_kind {
	FIELD_ATTR,      /* attr: id from the store's dictionary; 0: a name no contact has: always empty */
	FIELD_EMAIL,     /* the address, compared as its key */
	FIELD_DOMAIN,    /* $domain, A-labels */
	FIELD_SOURCE,    /* $source */
	FIELD_ADDED,     /* $added: ms */
	FIELD_LAST_SENT, /* $last_sent: ms, empty if never */
};

/* The literal decides how values are compared. A missing value is empty: equal to "", in no order with a
 * number or a date. An attribute that does not read as a number (or as a date) fails every comparison with
 * one but !=. */
enum filter_value_kind { VALUE_TEXT, VALUE_NUMBER, VALUE_DATE };

struct filter_value {
	enum filter_value_kind kind;
	struct str text; /* VALUE_TEXT, UTF-8; compared byte by byte */
	double number;
	ms_t date; /* a date without a time stands for its first instant in the configured zone */
	const struct zone
		*zone; /* VALUE_DATE: that zone, in which attribute values are read as well; NULL: UTC */
};

struct filter {
	enum filter_op op;
	struct filter *a, *b;
	enum filter_field_kind field;
	uint32_t attr;
	struct str name; /* as typed, for messages */
	struct filter_value value;
	struct filter_value *values;
	size_t nvalues;
};

#endif
