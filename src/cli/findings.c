#include "src/cli/findings.h"

#include "src/cli/output.h"

static enum style style_of(const char *severity)
{
	if (strcmp(severity, "fail") == 0)
		return STYLE_RED;
	if (strcmp(severity, "warn") == 0)
		return STYLE_YELLOW;
	return strcmp(severity, "pass") == 0 ? STYLE_GREEN : STYLE_DIM;
}

static int as_json(const struct shown_finding *f)
{
	json_t *j = json_pack("{s:s, s:s, s:o, s:o, s:s}", "id", f->id, "severity", f->severity, "where",
		json_str(f->where), "text", json_str(f->text), "remedy", f->remedy != NULL ? f->remedy : "");
	if (j != NULL &&
		((f->file.n != 0 && json_put(j, "file", json_str(f->file)) != 0) ||
			(f->times > 1 && json_put(j, "times", json_integer(f->times)) != 0) ||
			(f->read > 0 && (json_put(j, "found", json_integer(f->read)) != 0 ||
						json_put(j, "read", json_integer(f->of)) != 0)) ||
			(f->recipients > 0 && json_put(j, "recipients", json_integer(f->recipients)) != 0) ||
			(f->first.n != 0 && json_put(j, "first", json_str(f->first)) != 0))) {
		json_decref(j);
		return -1;
	}
	return json_line(j);
}

static int heading(const struct cli *c, const struct shown_finding *f)
{
	enum style s = style_of(f->severity);
	const char *colon = f->file.n != 0 && f->where.n != 0 ? ": " : "";
	bool place = f->file.n != 0 || f->where.n != 0;
	return out_printf(c, "%s%s%s  %s%s%s%s%s%s%s\n", style_on(c, s), f->severity, style_off(c, s),
		style_on(c, STYLE_BOLD), f->id, style_off(c, STYLE_BOLD), place ? "  " : "",
		out_safe(f->file), colon, out_safe(f->where));
}

static int for_whom(const struct cli *c, const struct shown_finding *f)
{
	char n[TEXT_NUMBER];
	if (f->recipients == 0)
		return 0;
	if (f->first.n == 0)
		return out_printf(c, "      for %s recipient%s\n", text_count(f->recipients, n),
			f->recipients == 1 ? "" : "s");
	if (f->recipients == 1)
		return out_printf(c, "      for 1 recipient: %s\n", out_safe(f->first));
	return out_printf(c, "      for %s recipients, the first is %s\n", text_count(f->recipients, n),
		out_safe(f->first));
}

static int in_some(const struct cli *c, const struct shown_finding *f)
{
	char n[TEXT_NUMBER], of[TEXT_NUMBER];
	if (f->read == f->of)
		return out_printf(c, "      in every message that was read closely\n");
	return out_printf(c, "      in %s of %s messages that were read closely, the first is for %s\n",
		text_count(f->read, n), text_count(f->of, of), out_safe(f->first));
}

int finding_print(const struct cli *c, const struct shown_finding *f)
{
	char n[TEXT_NUMBER];
	if (c->json)
		return as_json(f);
	if (heading(c, f) != 0 ||
		out_printf(c, "      %s%s", out_safe(f->text), f->times > 1 ? "" : "\n") != 0 ||
		(f->times > 1 && out_printf(c, " (%s times)\n", text_count(f->times, n)) != 0))
		return -1;
	if (f->read > 0 ? in_some(c, f) != 0 : for_whom(c, f) != 0)
		return -1;
	return f->remedy == NULL || f->remedy[0] == '\0'
		       ? 0
		       : out_printf(c, "      %s→ %s%s\n", style_on(c, STYLE_DIM), f->remedy,
				 style_off(c, STYLE_DIM));
}
