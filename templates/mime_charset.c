#include "templates/mime_charset.h"

#include <iconv.h>
#include <pthread.h>
#include <stdint.h>

const char *charset_name(enum charset c)
{
	return c == CHARSET_ISO_2022_JP ? "iso-2022-jp" : "utf-8";
}

bool charset_parse(struct str name, enum charset *out)
{
	if (str_is_nocase(name, "utf-8") || str_is_nocase(name, "utf8"))
		*out = CHARSET_UTF8;
	else if (str_is_nocase(name, "iso-2022-jp"))
		*out = CHARSET_ISO_2022_JP;
	else
		return false;
	return true;
}

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool have_key;

static void converter_close(void *p)
{
	iconv_close((iconv_t)p);
}

static void make_key(void)
{
	have_key = pthread_key_create(&key, converter_close) == 0;
}

static iconv_t converter(void)
{
	pthread_once(&once, make_key);
	if (!have_key)
		return (iconv_t)-1;
	void *cd = pthread_getspecific(key);
	if (cd == NULL) {
		cd = iconv_open("ISO-2022-JP", "UTF-8");
		if ((iconv_t)cd == (iconv_t)-1)
			return (iconv_t)-1;
		if (pthread_setspecific(key, cd) != 0) {
			iconv_close((iconv_t)cd);
			return (iconv_t)-1;
		}
	}
	return (iconv_t)cd;
}

/* One piece without line ends. */
static bool add_piece(struct run *out, iconv_t cd, struct str s)
{
	/* At most 3 bytes of escape and 2 of character for each, and 3 to return to ASCII. */
	if (s.n > SIZE_MAX / 8 || !run_reserve(out, s.n * 5 + 8))
		return false;
	char *in = (char *)(uintptr_t)s.p, *to = out->p + out->n;
	size_t left = s.n, room = out->cap - out->n;
	iconv(cd, NULL, NULL, NULL, NULL);
	if (iconv(cd, &in, &left, &to, &room) != 0 || iconv(cd, NULL, NULL, &to, &room) == (size_t)-1)
		return false;
	out->n = (size_t)(to - out->p);
	return true;
}

bool iso2022jp_add(struct run *out, struct str s)
{
	iconv_t cd = converter();
	if (cd == (iconv_t)-1 || memchr(s.n != 0 ? s.p : "", 0x1b, s.n) != NULL)
		return false;
	while (s.n != 0) {
		size_t line = 0;
		while (line < s.n && s.p[line] != '\n' && s.p[line] != '\r')
			line++;
		if (line != 0 && !add_piece(out, cd, str_n(s.p, line)))
			return false;
		while (line < s.n && (s.p[line] == '\n' || s.p[line] == '\r'))
			run_putc(out, s.p[line++]);
		s = str_n(s.p + line, s.n - line);
	}
	return !out->failed;
}
