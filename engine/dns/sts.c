#include "engine/dns/sts.h"

#include "engine/dns/record.h"

static bool alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* "id=20160831085700Z": 1 to 32 letters and digits. */
static bool read_id(struct str field, char id[STS_ID])
{
	static const struct str key = {"id=", 3};
	if (!str_starts(field, key) || field.n == key.n || field.n - key.n >= STS_ID)
		return false;
	for (size_t i = key.n; i < field.n; i++)
		if (!alphanumeric(field.p[i]))
			return false;
	memcpy(id, field.p + key.n, field.n - key.n);
	id[field.n - key.n] = '\0';
	return true;
}

bool sts_record(const struct str *texts, size_t n, char id[STS_ID])
{
	static const struct str version = {"v=STSv1", 7};
	const struct str *found = NULL;
	for (size_t i = 0; i < n; i++) {
		struct str t = texts[i];
		if (!str_starts(t, version) ||
			str_trim(str_n(t.p + version.n, str_find(t, ';') - version.n)).n != 0)
			continue;
		if (found != NULL)
			return false;
		found = &texts[i];
	}
	if (found == NULL)
		return false;
	struct str rest = *found;
	for (;;) {
		size_t end = str_find(rest, ';');
		if (read_id(str_trim(str_n(rest.p, end)), id))
			return true;
		if (end == rest.n)
			return false;
		rest = str_n(rest.p + end + 1, rest.n - end - 1);
	}
}

static bool read_mode(struct str value, enum sts_mode *out)
{
	static const char *const words[] = {
		[STS_NONE] = "none", [STS_TESTING] = "testing", [STS_ENFORCE] = "enforce"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (str_is(value, words[i])) {
			*out = (enum sts_mode)i;
			return true;
		}
	return false;
}

static bool read_mx(struct str value, struct sts_policy *p, size_t *used)
{
	char name[DNS_NAME];
	bool wild = str_starts(value, STR("*."));
	if (!dns_name(wild ? str_n(value.p + 2, value.n - 2) : value, name))
		return false;
	size_t n = strlen(name) + (wild ? 2 : 0);
	if (n + 2 > sizeof p->mx - *used)
		return false;
	if (wild)
		memcpy(p->mx + *used, "*.", 2);
	memcpy(p->mx + *used + (wild ? 2 : 0), name, strlen(name));
	*used += n;
	p->mx[(*used)++] = '\n';
	p->mx[*used] = '\0';
	return true;
}

bool sts_policy_parse(struct str body, struct sts_policy *p)
{
	bool version = false, mode = false, age = false;
	size_t used = 0;
	p->mx[0] = '\0';
	p->mode = STS_NONE;
	while (body.n != 0) {
		size_t end = str_find(body, '\n');
		struct str line = str_trim(str_n(body.p, end));
		body = end < body.n ? str_n(body.p + end + 1, body.n - end - 1) : str_n(NULL, 0);
		size_t colon = str_find(line, ':');
		if (colon == line.n)
			continue;
		struct str key = str_trim(str_n(line.p, colon)),
			   value = str_trim(str_n(line.p + colon + 1, line.n - colon - 1));
		long long seconds;
		if (str_is(key, "version") && !version) {
			if (!str_is(value, "STSv1"))
				return false;
			version = true;
		} else if (str_is(key, "mode") && !mode) {
			if (!read_mode(value, &p->mode))
				return false;
			mode = true;
		} else if (str_is(key, "max_age") && !age) {
			if (value.n > 10 || !str_int(value, 0, 9999999999, &seconds))
				return false;
			p->max_age =
				(ms_t)seconds * SECOND < STS_AGE_MAX ? (ms_t)seconds * SECOND : STS_AGE_MAX;
			age = true;
		} else if (str_is(key, "mx") && !read_mx(value, p, &used)) {
			return false;
		}
	}
	return version && mode && age && (used != 0 || p->mode == STS_NONE);
}

bool sts_allows(const struct sts_policy *p, const char *host)
{
	const char *dot = strchr(host, '.');
	struct str rest = str_from(p->mx);
	while (rest.n != 0) {
		size_t end = str_find(rest, '\n');
		struct str pattern = str_n(rest.p, end);
		if (str_is(pattern, host))
			return true;
		if (str_starts(pattern, STR("*.")) && dot != NULL &&
			str_is(str_n(pattern.p + 1, pattern.n - 1), dot))
			return true;
		rest = str_n(rest.p + end + 1, rest.n - end - 1);
	}
	return false;
}
