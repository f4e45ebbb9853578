/* The one error type.
 *
 * A function that can fail returns int 0 / -1 (or a pointer / NULL) and takes `struct err *e` last; callers
 * that do not care pass NULL. The code is the exit status the program would end with (docs/INTERFACE.md,
 * after sysexits.h), so nothing ever translates between two numberings. `what` says what failed, `why` the
 * cause, `remedy` what a person can do; file and line point into a user's file.
 *
 * A refused recipient is an outcome (engine/outcome.h), not an error. Our own mistakes are assert()s. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

enum err_code {
	ERR_NONE = 0,
	ERR_CHECK = 1,     /* a check or doctor found something that fails */
	ERR_USAGE = 64,    /* wrong command line */
	ERR_DATA = 65,     /* bad data in a user's file */
	ERR_NOINPUT = 66,  /* no such file, list, campaign or database */
	ERR_UNREACH = 69,  /* no server could be reached */
	ERR_INTERNAL = 70, /* our defect, or out of memory */
	ERR_CREATE = 73,   /* cannot create or write a file */
	ERR_IO = 74,       /* input/output error */
	ERR_AGAIN = 75,    /* come back: a plain `resume` goes on */
	ERR_PAUSED = 76,   /* paused for a cause, a person must decide */
	ERR_LOGIN = 77,    /* login or sender refused */
	ERR_CONFIG = 78,   /* bad configuration */
};

struct err {
	enum err_code code;
	long line;   /* 0: none */
	long column; /* 1-based, in characters; 0: none */
	char what[160];
	char why[400];
	char remedy[400];
	char file[256];
};

/* Fills `e` (if not NULL) and returns -1, so that `return err_set(…)` is one line. `why` is a format. */
int err_set(struct err *e, enum err_code code, const char *what, const char *why, ...)
	__attribute__((format(printf, 4, 5)));
/* Adds to an error that was just set; both return -1. */
int err_at(struct err *e, const char *file, long line);
int err_remedy(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* what + ": " + strerror(errno). */
int err_sys(struct err *e, enum err_code code, const char *what, const char *name);

/* By errno, of what could not be read: ERR_NOINPUT if it is not there, or a folder; ERR_IO if it may not be.
 */
enum err_code err_unread(void);

#ifdef __clang_analyzer__ /* it sees one file at a time, and would not know that -1 is all they return */
#define err_set(...)    ((void)err_set(__VA_ARGS__), -1)
#define err_at(...)     ((void)err_at(__VA_ARGS__), -1)
#define err_remedy(...) ((void)err_remedy(__VA_ARGS__), -1)
#define err_sys(...)    ((void)err_sys(__VA_ARGS__), -1)
#endif

#endif
