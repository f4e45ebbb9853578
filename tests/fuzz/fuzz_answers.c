/* Any bytes as what others answer over the web, in DNS or from a command: an MTA-STS policy and its record
 * (RFC 8461), and an access token. The first byte chooses. */
#include <stdlib.h>
#include <unistd.h>

#include "engine/access.h"
#include "engine/dns/sts.h"
#include "src/base/file.h"
#include "src/base/log.h"

static void must(bool good)
{
	if (!good)
		abort();
}

static void read_policy(struct str body)
{
	static struct sts_policy p;
	memset(&p, 0x5a, sizeof p);
	if (!sts_policy_parse(body, &p))
		return;
	must(p.mode <= STS_ENFORCE && p.max_age >= 0 && p.max_age <= STS_AGE_MAX);
	must(memchr(p.mx, '\0', sizeof p.mx) != NULL);
	must(p.mode == STS_NONE || p.mx[0] != '\0');
	/* What it allows it allows by a name, never all the world. */
	must(!sts_allows(&p, "") && !sts_allows(&p, "."));
	sts_allows(&p, "mx.good.example");
}

static void read_records(struct str text)
{
	struct str texts[8];
	size_t n = 0;
	char id[STS_ID];
	while (n < 8 && text.n != 0) {
		size_t end = str_find(text, '\n');
		texts[n++] = str_n(text.p, end);
		text = end < text.n ? str_n(text.p + end + 1, text.n - end - 1) : str_n(NULL, 0);
	}
	if (!sts_record(texts, n, id))
		return;
	must(memchr(id, '\0', sizeof id) != NULL && id[0] != '\0');
	for (const char *p = id; *p != '\0'; p++)
		must((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'));
}

static void read_token(struct str printed)
{
	static char path[] = "/tmp/postrider-fuzz-XXXXXX";
	static int fd = -1;
	if (fd < 0) {
		log_set_level(LOG_LEVEL_ERROR);
		must((fd = mkstemp(path)) >= 0);
	}
	must(ftruncate(fd, 0) == 0 && pwrite(fd, printed.p, printed.n, 0) == (ssize_t)printed.n);
	const struct secret s = {.from = SECRET_FILE, .value = path, .at = {.file = "fuzz.conf", .line = 1}};
	struct buf token = BUF_INIT(1 << 20);
	struct err e = {0};
	ms_t lifetime = -1;
	if (access_read(&s, &token, &lifetime, &e) == 0) {
		must(token.len != 0 && lifetime >= 0);
		for (size_t i = 0; i < token.len; i++) /* it goes into a line of the login */
			must(token.p[i] > 0x20 && token.p[i] < 0x7f);
	} else {
		must(e.why[0] != '\0');
	}
	buf_release(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct str s = str_n((const char *)data + 1, size - 1);
	switch (data[0] % 3) {
	case 0:
		read_policy(s);
		break;
	case 1:
		read_records(s);
		break;
	default:
		read_token(s);
		break;
	}
	return 0;
}
