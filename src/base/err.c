#include "src/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int(err_set)(struct err *e, enum err_code code, const char *what, const char *why, ...)
{
	if (e == NULL)
		return -1;
	*e = (struct err){.code = code};
	snprintf(e->what, sizeof e->what, "%s", what);
	va_list ap;
	va_start(ap, why);
	vsnprintf(e->why, sizeof e->why, why, ap);
	va_end(ap);
	return -1;
}

int(err_at)(struct err *e, const char *file, long line)
{
	if (e != NULL) {
		snprintf(e->file, sizeof e->file, "%s", file != NULL ? file : "");
		e->line = line;
	}
	return -1;
}

int(err_remedy)(struct err *e, const char *fmt, ...)
{
	if (e == NULL)
		return -1;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->remedy, sizeof e->remedy, fmt, ap);
	va_end(ap);
	return -1;
}

int(err_sys)(struct err *e, enum err_code code, const char *what, const char *name)
{
	int saved = errno;
	return err_set(
		e, code, what, "%s%s%s", name != NULL ? name : "", name != NULL ? ": " : "", strerror(saved));
}

enum err_code err_unread(void)
{
	return errno == ENOENT || errno == ENOTDIR || errno == EISDIR ? ERR_NOINPUT : ERR_IO;
}
