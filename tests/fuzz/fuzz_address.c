/* Any bytes as an address: what is read is fit for RCPT TO and reads back as itself. */
#include "lists/address.h"
#include "lists/provider.h"
#include "src/base/utf8.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct address x, y;
	struct err e;
	struct str text = {(const char *)data, size}, domain;
	arena_init(&a, 4096, 1 << 20);
	bool ok = address_parse(text, &a, &x, &e) == 0;
	assert(ok == address_is(text));
	if (ok) {
		assert(x.wire.n <= ADDRESS_MAX && utf8_valid(x.wire) && utf8_valid(x.key) &&
			utf8_valid(x.name));
		for (size_t i = 0; i < x.wire.n; i++)
			assert((unsigned char)x.wire.p[i] >= 0x20 && x.wire.p[i] != 0x7f);
		for (size_t i = 0; i < x.name.n; i++)
			assert((unsigned char)x.name.p[i] >= 0x20);
		for (size_t i = 0; i < x.key.n; i++)
			assert(x.key.p[i] < 'A' || x.key.p[i] > 'Z');
		assert(str_ends(x.key, x.domain) && str_ends(x.wire, x.domain) && utf8_ascii(x.domain));
		assert(address_parse(x.wire, &a, &y, &e) == 0);
		assert(str_eq(x.wire, y.wire) && str_eq(x.key, y.key) && y.name.n == 0);
		assert(address_domain(x.domain, &a, &domain, &e) == 0 && str_eq(domain, x.domain));
		provider_of_domain(x.domain);
	} else {
		assert(e.code == ERR_DATA && e.why[0] != '\0');
	}
	arena_release(&a);
	return 0;
}
