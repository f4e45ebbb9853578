#include "engine/access.h"

#include "engine/smtp/client.h"
#include "src/base/log.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { PRINTED_MAX = 64 << 10, LIFETIME_MAX = 366 * 24 * 3600 /* seconds; longer is as good as for ever */ };

static const ms_t COMMAND_TIME = 30 * SECOND;
static const ms_t EARLY = MINUTE;     /* it is got anew so long before its end */
static const ms_t AGAIN = 5 * SECOND; /* between two tries that fail */

struct access {
	const struct secret *secret;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool started, stop;
	/* Under lock: */
	bool wanted, running;
	struct buf token;
	ms_t expires; /* monotonic; 0: not known */
	bool refused; /* that token */
	bool proven;  /* it was accepted once */
	bool renewed; /* it came in the place of a refused one */
	int failures;
	ms_t failed_at; /* monotonic, while there are failures */
	char why[300];
};

bool access_used(const struct config_route *r)
{
	return r->password.from != SECRET_NONE &&
	       (r->auth == ROUTE_AUTH_XOAUTH2 || r->auth == ROUTE_AUTH_OAUTHBEARER);
}

/* ---- Reading ---- */

static void wipe(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->len);
	buf_release(b);
}

static int bad(const struct secret *s, const char *why, struct err *e)
{
	err_set(e, ERR_CONFIG, "cannot get the access token", "%s", why);
	return err_at(e, s->at.file, s->at.line);
}

/* {"access_token": "…", "expires_in": 3599}; some write the number as text. */
static int from_json(
	const struct secret *s, struct str text, struct buf *token, ms_t *lifetime, struct err *e)
{
	json_t *j = json_loadb(text.p, text.n, 0, NULL);
	const char *t = json_string_value(json_object_get(j, "access_token"));
	const json_t *life = json_object_get(j, "expires_in");
	long long seconds = json_integer_value(life);
	if (json_is_string(life))
		str_int(str_from(json_string_value(life)), 0, 1LL << 40, &seconds);
	if (t != NULL)
		buf_puts(token, t);
	*lifetime = seconds <= 0 ? 0 : seconds < LIFETIME_MAX ? seconds * SECOND : LIFETIME_MAX * SECOND;
	const char *why = json_string_value(json_object_get(j, "error"));
	char text_why[160];
	snprintf(text_why, sizeof text_why, "the answer has no access_token%s%.100s", why != NULL ? ": " : "",
		why != NULL ? why : "");
	json_decref(j);
	return t != NULL ? 0 : bad(s, text_why, e);
}

static int from_text(
	const struct secret *s, struct str text, struct buf *token, ms_t *lifetime, struct err *e)
{
	text = str_trim(text);
	if (text.n > 0 && text.p[0] == '{')
		return from_json(s, text, token, lifetime, e);
	buf_add(token, text.p, text.n);
	return 0;
}

int access_read(const struct secret *s, struct buf *token, ms_t *lifetime, struct err *e)
{
	struct buf printed = BUF_INIT(PRINTED_MAX);
	*lifetime = 0;
	int rc = s->from == SECRET_COMMAND ? config_secret_command(s, COMMAND_TIME, &printed, e)
					   : config_secret(s, &printed, e);
	if (rc == 0)
		rc = from_text(s, buf_get(&printed), token, lifetime, e);
	wipe(&printed);
	if (rc != 0)
		return -1;
	for (size_t i = 0; i < token->len; i++)
		if ((unsigned char)token->p[i] <= 0x20 || (unsigned char)token->p[i] >= 0x7f)
			return bad(s, "it has blanks or control characters, or more than one line", e);
	if (token->len == 0 || token->failed || token->len > SMTP_TOKEN_MAX)
		return bad(s, token->len == 0 ? "it is empty" : "it is too long", e);
	return 0;
}

/* ---- The thread ---- */

static void take(struct access *a, struct buf *token, ms_t lifetime, int rc, const struct err *e)
{
	bool renewed = a->refused;
	a->running = a->wanted = false;
	if (rc != 0) {
		a->failures++;
		a->failed_at = clock_mono();
		snprintf(a->why, sizeof a->why, "%.60s: %.200s", e->what, e->why);
		return;
	}
	wipe(&a->token);
	a->token = *token;
	*token = BUF_INIT(SMTP_TOKEN_MAX + 1);
	a->expires = lifetime > 0 ? clock_mono() + lifetime : 0;
	a->refused = a->proven = false;
	a->renewed = renewed;
	a->failures = 0;
}

static void *access_main(void *arg)
{
	struct access *a = arg;
	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		if (!a->wanted) {
			pthread_cond_wait(&a->changed, &a->lock);
			continue;
		}
		struct buf token = BUF_INIT(SMTP_TOKEN_MAX + 1);
		struct err e = {0};
		ms_t lifetime;
		a->running = true;
		pthread_mutex_unlock(&a->lock);
		int rc = access_read(a->secret, &token, &lifetime, &e);
		pthread_mutex_lock(&a->lock);
		take(a, &token, lifetime, rc, &e);
		wipe(&token);
		pthread_cond_broadcast(&a->changed);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

int access_new(struct access **out, const struct secret *s, struct err *e)
{
	struct access *a = calloc(1, sizeof *a);
	if (a == NULL)
		return err_set(e, ERR_INTERNAL, "route", "out of memory");
	a->secret = s;
	a->token = BUF_INIT(SMTP_TOKEN_MAX + 1);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	/* Signals are for the main loop. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	a->started = pthread_create(&a->thread, NULL, access_main, a) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	*out = a;
	if (a->started)
		return 0;
	access_free(out);
	return err_set(e, ERR_INTERNAL, "route", "a thread could not be started");
}

void access_free(struct access **ap)
{
	struct access *a = *ap;
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	if (a->started)
		pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	wipe(&a->token);
	free(a);
	*ap = NULL;
}

/* ---- What others ask ---- */

static void want(struct access *a)
{
	if (a->wanted || (a->failures > 0 && clock_mono() < a->failed_at + AGAIN))
		return;
	a->wanted = true;
	pthread_cond_broadcast(&a->changed);
}

static bool good(const struct access *a, ms_t now)
{
	return a->token.len > 0 && !a->refused && (a->expires == 0 || now < a->expires);
}

enum access_state access_state(struct access *a, char *why, size_t n, int *failures)
{
	ms_t now = clock_mono();
	pthread_mutex_lock(&a->lock);
	bool usable = good(a, now);
	if (!usable || (a->expires != 0 && now > a->expires - EARLY))
		want(a);
	enum access_state s = usable ? ACCESS_READY : a->wanted ? ACCESS_COMING : ACCESS_FAILED;
	if (s == ACCESS_COMING && a->failures > 0 && !a->running)
		s = ACCESS_FAILED;
	*failures = a->failures;
	snprintf(why, n, "%s", s == ACCESS_FAILED ? a->why : "");
	pthread_mutex_unlock(&a->lock);
	return s;
}

size_t access_token(void *access, char *out, size_t max)
{
	struct access *a = access;
	size_t n = 0;
	pthread_mutex_lock(&a->lock);
	if (good(a, clock_mono()) && a->token.len <= max) {
		n = a->token.len;
		memcpy(out, a->token.p, n);
	}
	pthread_mutex_unlock(&a->lock);
	return n;
}

int access_wait(struct access *a, struct err *e)
{
	int rc = 0;
	pthread_mutex_lock(&a->lock);
	if (!good(a, clock_mono()))
		want(a);
	while (a->wanted)
		pthread_cond_wait(&a->changed, &a->lock);
	if (!good(a, clock_mono())) {
		err_set(e, ERR_CONFIG, "login", "%s", a->why);
		rc = err_at(e, a->secret->at.file, a->secret->at.line);
	}
	pthread_mutex_unlock(&a->lock);
	return rc;
}

bool access_refused(struct access *a)
{
	pthread_mutex_lock(&a->lock);
	/* Several connections may have carried the same one. */
	bool hope = a->wanted || a->refused || !a->renewed || a->proven;
	if (!a->refused && !a->wanted)
		a->refused = true;
	want(a);
	pthread_mutex_unlock(&a->lock);
	return hope;
}

void access_accepted(struct access *a)
{
	pthread_mutex_lock(&a->lock);
	a->proven = true;
	pthread_mutex_unlock(&a->lock);
}
