#include "src/base/machine.h"

#include "src/base/hash.h"

#include <stdio.h>
#include <unistd.h>

/* 32 hex digits and a line feed; empty or "uninitialized" in images that were never started. */
static bool system_id(char out[64])
{
	static const char *const places[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		FILE *f = fopen(places[i], "re");
		if (f == NULL)
			continue;
		size_t n = fread(out, 1, 63, f);
		fclose(f);
		out[n] = '\0';
		if (strspn(out, "0123456789abcdef") == 32 && strspn(out, "0") < 32) {
			out[32] = '\0';
			return true;
		}
	}
	return false;
}

void machine_name(char out[MACHINE_NAME_MAX])
{
	if (gethostname(out, MACHINE_NAME_MAX) != 0)
		out[0] = '\0';
	out[MACHINE_NAME_MAX - 1] = '\0';
}

void machine_boot(char out[MACHINE_BOOT_MAX])
{
	out[0] = '\0';
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (f == NULL)
		return;
	if (fgets(out, MACHINE_BOOT_MAX, f) == NULL)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

void machine_id(const char *chosen, char out[MACHINE_ID_MAX])
{
	char system[64], name[MACHINE_NAME_MAX];
	unsigned char digest[SHA256_LEN];
	const char *kind = "postrider machine";
	if (chosen != NULL) {
		kind = "postrider chosen";
	} else if (system_id(system)) {
		chosen = system;
	} else {
		kind = "postrider host";
		machine_name(name);
		chosen = name;
	}
	hmac_sha256(str_from(kind), str_from(chosen), digest);
	hex_encode(digest, (MACHINE_ID_MAX - 1) / 2, out);
}
