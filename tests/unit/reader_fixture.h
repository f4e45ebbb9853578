/* The reader of returned mail with the rules that ship. */
#ifndef TESTS_READER_FIXTURE_H
#define TESTS_READER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/bounce/reader.h"

static struct rules *rules;
static struct reader *reader;

static int setup(void **state)
{
	(void)state;
	rules = rules_load(NULL, NULL);
	reader = rules != NULL ? reader_new(rules) : NULL;
	return reader != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	reader_free(&reader);
	rules_free(&rules);
	return 0;
}

#endif
