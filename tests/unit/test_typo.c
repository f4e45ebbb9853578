#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lists/typo.h"

static void slips__are_seen(void **state)
{
	(void)state;
	static const char *const slips[][2] = {{"gmial.com", "gmail.com"}, {"gmai.com", "gmail.com"},
		{"gmaill.com", "gmail.com"}, {"gmail.con", "gmail.com"}, {"gmail.co", "gmail.com"},
		{"hotmial.com", "hotmail.com"}, {"yahoo.co.j", "yahoo.co.jp"},
		{"docomo.ne.jo", "docomo.ne.jp"}, {"ezwebb.ne.jp", "ezweb.ne.jp"},
		{"iclod.com", "icloud.com"}};
	for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
		const char *meant = typo_of_domain(str_from(slips[i][0]));
		if (meant == NULL)
			fail_msg("%s", slips[i][0]);
		assert_string_equal(meant, slips[i][1]);
	}
}

static void others__are_not(void **state)
{
	(void)state;
	static const char *const fine[] = {"gmail.com", "ymail.com", "email.com", "example.com", "a.de", "",
		"yahoo.co.kr", "gmail.com.example.com", "yahoo.com", "yahoo.ca", "hotmail.ca", "mygmail.com",
		"books.example"};
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		if (typo_of_domain(str_from(fine[i])) != NULL)
			fail_msg("%s is taken for %s", fine[i], typo_of_domain(str_from(fine[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slips__are_seen),
		cmocka_unit_test(others__are_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
