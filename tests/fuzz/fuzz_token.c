/* Any bytes as tokens: none is taken that was not made by our keys for that purpose, and one that was made is
 * taken as it is, in capitals, and in no other spelling. */
#include "engine/token.h"
#include "src/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void must(bool good)
{
	if (!good)
		abort();
}

static struct token_signer *signer(void)
{
	static struct token_signer *s;
	if (s != NULL)
		return s;
	char path[] = "/tmp/postrider-fuzz-XXXXXX";
	int fd = mkstemp(path);
	must(fd >= 0);
	close(fd);
	struct token_keys *keys;
	struct err e = {0};
	must(file_write(path,
		     STR("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
			 "7:ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100\n"),
		     0600, &e) == 0);
	must(token_keys_load(path, &keys, &e) == 0);
	unlink(path);
	must((s = token_signer_new(keys)) != NULL);
	return s;
}

/* What nobody made is taken by nobody: 96 bits are not met by chance. */
static void read_bytes(struct token_signer *s, struct str token)
{
	int64_t a, b, c;
	for (int p = 0; p < TOKEN_NPURPOSES; p++)
		must(!token_read_delivery(s, (enum token_purpose)p, token, &a));
	must(!token_read_unsubscribe(s, token, &a, &b, &c));
}

static void read_changed(struct token_signer *s, enum token_purpose p, const char *made, const uint8_t *data)
{
	char token[TOKEN_MAX + 1];
	size_t n = (size_t)snprintf(token, sizeof token, "%s", made), at = data[1] % n;
	int64_t a, b, c;
	char was = token[at];
	token[at] = (char)data[0];
	bool same = token[at] == was || (was >= 'a' && was <= 'z' && token[at] == was - 32);
	if (p == TOKEN_UNSUBSCRIBE)
		must(token_read_unsubscribe(s, str_n(token, n), &a, &b, &c) == same);
	else
		must(token_read_delivery(s, p, str_n(token, n), &a) == same);
	token[at] = was;
	size_t shorter = data[2] % n;
	must(!token_read_delivery(s, p, str_n(token, shorter), &a));
	must(!token_read_unsubscribe(s, str_n(token, shorter), &a, &b, &c));
	token[n] = (char)data[0];
	must(!token_read_delivery(s, p, str_n(token, n + 1), &a));
	must(!token_read_unsubscribe(s, str_n(token, n + 1), &a, &b, &c));
}

static void make_and_read(struct token_signer *s, const uint8_t *data, size_t size)
{
	int64_t number[3] = {0}, got[3];
	char token[TOKEN_MAX];
	memcpy(number, data + 3, size - 3 < sizeof number ? size - 3 : sizeof number);
	for (size_t i = 0; i < 3; i++)
		number[i] =
			(int64_t)((uint64_t)number[i] >> (i == 0 ? 1 : 33)); /* as the store numbers them */
	for (int p = TOKEN_RETURN_PATH; p <= TOKEN_MESSAGE_ID; p++) {
		must(token_delivery(s, (enum token_purpose)p, number[0], token) == strlen(token));
		must(token_read_delivery(s, (enum token_purpose)p, str_from(token), &got[0]) &&
			got[0] == number[0]);
		must(!token_read_delivery(s, p == TOKEN_MESSAGE_ID ? TOKEN_RETURN_PATH : TOKEN_MESSAGE_ID,
			str_from(token), &got[0]));
		read_changed(s, (enum token_purpose)p, token, data);
	}
	must(token_unsubscribe(s, number[0], number[1], number[2], token) == strlen(token));
	must(token_read_unsubscribe(s, str_from(token), &got[0], &got[1], &got[2]));
	must(got[0] == number[0] && got[1] == number[1] && got[2] == number[2]);
	read_changed(s, TOKEN_UNSUBSCRIBE, token, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct token_signer *s = signer();
	read_bytes(s, str_n((const char *)data, size));
	if (size > 3)
		make_and_read(s, data, size);
	return 0;
}
