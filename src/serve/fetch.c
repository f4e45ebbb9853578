#include "src/db/store.h"
#include "src/serve/fetch_private.h"

#include "engine/bounce/mailbox.h"
#include "src/base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_SECONDS = 30, STALLED_SECONDS = 60, ANSWER_BYTES = 512 << 10 };

/* ---- A session ---- */

static size_t take(char *p, size_t size, size_t n, void *ctx)
{
	struct session *s = ctx;
	size_t room = s->body.len < s->most ? s->most - s->body.len : 0;
	buf_add(&s->body, p, size * n < room ? size * n : room);
	return s->body.failed ? 0 : size * n;
}

/* Whoever stops serve does not wait for a server that is silent. */
static int go_on(void *ctx, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	(void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
	return session_stopped(ctx);
}

/* For libcurl a refusal is a number; people want the server's words. */
static int listen_in(CURL *curl, curl_infotype type, char *line, size_t n, void *ctx)
{
	struct session *s = ctx;
	struct str t = str_trim(str_n(line, n));
	size_t tag = str_find(t, ' ');
	struct str word = str_n(t.p + tag, t.n - tag); /* IMAP: "A004 NO why" */
	(void)curl;
	if (type == CURLINFO_HEADER_IN && (str_starts(t, STR("-ERR")) || str_starts(word, STR(" NO ")) ||
						  str_starts(word, STR(" BAD "))))
		snprintf(s->said, sizeof s->said, "%.*s", t.n < 150 ? (int)t.n : 150, t.p);
	return 0;
}

static int failed(const struct session *s, CURLcode rc, struct err *e)
{
	char what[100];
	snprintf(what, sizeof what, "mailbox %s", s->o->mailbox->name);
	const char *why = s->why[0] != '\0' ? s->why : curl_easy_strerror(rc);
	const char *said = s->said[0] != '\0' ? s->said : why;
	switch (rc) {
	case CURLE_LOGIN_DENIED:
		err_set(e, ERR_LOGIN, what, "the server refuses the login: %s", said);
		return err_remedy(e,
			"Look at user and password of [mailbox %s]; many services want an app password "
			"or auth = xoauth2.",
			s->o->mailbox->name);
	case CURLE_QUOTE_ERROR:
	case CURLE_REMOTE_FILE_NOT_FOUND:
		return err_set(e, ERR_DATA, what, "the server refuses: %s", said);
	case CURLE_ABORTED_BY_CALLBACK:
		return err_set(e, ERR_AGAIN, what, "stopped");
	case CURLE_OUT_OF_MEMORY:
	case CURLE_WRITE_ERROR:
		return err_set(e, ERR_INTERNAL, what, "out of memory");
	default:
		return err_set(e, ERR_UNREACH, what, "%s", why);
	}
}

int session_ask(struct session *s, const char *path, const char *command, bool answer, struct err *e)
{
	char url[1024];
	snprintf(url, sizeof url, "%s%s", s->base, path);
	buf_clear(&s->body);
	s->why[0] = s->said[0] = '\0';
	curl_easy_setopt(s->curl, CURLOPT_URL, url);
	curl_easy_setopt(s->curl, CURLOPT_CUSTOMREQUEST, command);
	curl_easy_setopt(s->curl, CURLOPT_NOBODY, answer ? 0L : 1L);
	CURLcode rc = curl_easy_perform(s->curl);
	s->refused = rc == CURLE_WEIRD_SERVER_REPLY;
	return rc == CURLE_OK ? 0 : failed(s, rc, e);
}

static bool loopback(const char *host)
{
	return strncmp(host, "localhost", 9) == 0 || strncmp(host, "127.", 4) == 0 ||
	       strncmp(host, "[::1]", 5) == 0;
}

/* The folder of the URL, which may be written there in UTF-8 or in %XX of it. */
static int set_folder(struct session *s, const char *text, struct err *e)
{
	char name[400];
	int n = 0;
	struct buf out = BUF_INIT(sizeof s->folder - 1);
	char *plain = curl_easy_unescape(s->curl, text, 0, &n);
	bool fine = plain != NULL && strlen(plain) == (size_t)n && folder_name(plain, name, sizeof name);
	curl_free(plain);
	for (const char *p = name; fine && *p != '\0'; p++)
		if (strchr("/-._~&,+", *p) != NULL || (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
			(*p >= 'a' && *p <= 'z'))
			buf_putc(&out, *p);
		else
			buf_printf(&out, "%%%02X", (unsigned char)*p);
	fine = fine && !out.failed;
	snprintf(s->folder, sizeof s->folder, "%s", buf_cstr(&out));
	buf_release(&out);
	return fine ? 0 : err_set(e, ERR_CONFIG, "mailbox", "%.100s: no name for a folder", text);
}

/* Splits "imaps://host:port/folder". */
static int set_url(struct session *s, struct err *e)
{
	const char *url = s->o->mailbox->url, *host = strstr(url, "://") + 3, *slash = strchr(host, '/');
	size_t n = slash != NULL ? (size_t)(slash - url) : strlen(url);
	snprintf(s->base, sizeof s->base, "%.*s/", (int)(n < 500 ? n : 500), url);
	/* Nobody's password goes over a network in the clear. */
	curl_easy_setopt(s->curl, CURLOPT_USE_SSL, (long)(loopback(host) ? CURLUSESSL_TRY : CURLUSESSL_ALL));
	return set_folder(s, slash != NULL && slash[1] != '\0' ? slash + 1 : "INBOX", e);
}

static int session_open(struct session *s, struct err *e)
{
	const struct config_mailbox *m = s->o->mailbox;
	if (config_secret(&m->password, &s->password, e) != 0)
		return -1;
	s->curl = curl_easy_init();
	if (s->curl == NULL)
		return err_set(e, ERR_INTERNAL, "mailbox", "out of memory");
	if (set_url(s, e) != 0)
		return -1;
	curl_easy_setopt(s->curl, CURLOPT_PROTOCOLS_STR, "imap,imaps,pop3,pop3s");
	curl_easy_setopt(s->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(s->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_TIME, (long)STALLED_SECONDS);
	curl_easy_setopt(s->curl, CURLOPT_BUFFERSIZE, (long)ANSWER_BYTES);
	curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, s->why);
	curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, s);
	curl_easy_setopt(s->curl, CURLOPT_VERBOSE, 1L);
	curl_easy_setopt(s->curl, CURLOPT_DEBUGFUNCTION, listen_in);
	curl_easy_setopt(s->curl, CURLOPT_DEBUGDATA, s);
	curl_easy_setopt(s->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(s->curl, CURLOPT_XFERINFOFUNCTION, go_on);
	curl_easy_setopt(s->curl, CURLOPT_XFERINFODATA, s);
	curl_easy_setopt(s->curl, CURLOPT_USERNAME, m->user);
	curl_easy_setopt(s->curl, m->auth == MAILBOX_AUTH_XOAUTH2 ? CURLOPT_XOAUTH2_BEARER : CURLOPT_PASSWORD,
		buf_cstr(&s->password));
	if (m->ca_file != NULL)
		curl_easy_setopt(s->curl, CURLOPT_CAINFO, m->ca_file);
	return 0;
}

void session_place_name(const struct session *s, char *out, size_t n)
{
	snprintf(out, n, "mailbox.%s", s->o->mailbox->name);
}

bool session_stopped(const struct session *s)
{
	return s->o->stop != NULL && atomic_load(s->o->stop);
}

int session_message(struct session *s, const char *id, bool *matched, struct err *e)
{
	char name[80], label[200];
	snprintf(name, sizeof name, "mailbox %s", s->o->mailbox->name);
	snprintf(label, sizeof label, "%s #%s", name, id);
	const struct intake_source source = {.name = name};
	struct intake_result r;
	*matched = false;
	if (intake_message(s->o->intake, buf_get(&s->body), NULL, &source, clock_now(), &r, e) != 0)
		return -1;
	s->n->read++;
	for (size_t i = 0; i < r.nevents; i++)
		*matched = *matched || r.events[i].who.trust != TRUST_NONE;
	s->n->matched += *matched;
	return s->o->row != NULL ? s->o->row(s->o->ctx, label, &r, e) : 0;
}

int fetch_mailbox(const struct fetch_options *o, struct fetch_count *n, struct err *e)
{
	struct session s = {.o = o, .most = MAILBOX_MESSAGE, .n = n};
	*n = (struct fetch_count){0};
	buf_init(&s.password, 64 << 10);
	buf_init(&s.body, MAILBOX_LISTING + 1);
	int rc = session_open(&s, e);
	if (rc == 0)
		rc = strncmp(o->mailbox->url, "imap", 4) == 0 ? fetch_imap(&s, e) : fetch_pop3(&s, e);
	if (s.curl != NULL)
		curl_easy_cleanup(s.curl); /* QUIT: only then POP3 deletes */
	buf_release(&s.password);
	buf_release(&s.body);
	return rc;
}

/* ---- serve's thread ---- */

struct poller {
	struct poller_options o;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	_Atomic bool stop;
	ms_t *next; /* of each mailbox: monotonic */
	struct store *store;
	struct intake *intake;
};

static int open_store(struct poller *f, struct err *e)
{
	if (f->intake != NULL)
		return 0;
	if (f->store == NULL && store_open(&f->store, STORE_WRITE, f->o.store, e) != 0)
		return -1;
	const struct intake_options io = {
		.config = f->o.config, .keys = f->o.keys, .rules = f->o.rules, .store = f->store};
	return intake_new(&f->intake, &io, e);
}

static void look(struct poller *f, size_t i)
{
	const struct config_mailbox *m = &f->o.config->mailboxes[i];
	struct fetch_count n = {0};
	struct err e = {0};
	int rc = open_store(f, &e);
	if (rc == 0) {
		const struct fetch_options o = {
			.mailbox = m, .intake = f->intake, .store = f->store, .stop = &f->stop};
		rc = fetch_mailbox(&o, &n, &e);
	}
	if (rc != 0 && !atomic_load(&f->stop))
		log_err(LOG_LEVEL_WARN, &e);
	if (n.read > 0)
		log_info("mailbox %s: %ld messages read, %ld of ours", m->name, n.read, n.matched);
	/* A server that refuses a login is not asked as often: it would lock the account. */
	f->next[i] = clock_mono() + (rc != 0 && e.code == ERR_LOGIN && m->every < HOUR ? HOUR : m->every);
}

static void *poller_main(void *arg)
{
	struct poller *f = arg;
	while (!atomic_load(&f->stop)) {
		ms_t now = clock_mono(), next = now + HOUR;
		for (size_t i = 0; i < f->o.config->nmailboxes && !atomic_load(&f->stop); i++) {
			if (f->next[i] <= now)
				look(f, i);
			next = f->next[i] < next ? f->next[i] : next;
		}
		struct timespec t;
		clock_gettime(CLOCK_REALTIME, &t);
		ms_t wait = next - clock_mono();
		t.tv_sec += wait > 0 ? wait / 1000 + 1 : 0;
		pthread_mutex_lock(&f->lock);
		if (!atomic_load(&f->stop))
			pthread_cond_timedwait(&f->cond, &f->lock, &t);
		pthread_mutex_unlock(&f->lock);
	}
	intake_free(&f->intake);
	store_close(&f->store);
	return NULL;
}

int poller_start(struct poller **out, const struct poller_options *o, struct err *e)
{
	sigset_t all, old;
	*out = NULL;
	if (o->config->nmailboxes == 0)
		return 0;
	struct poller *f = calloc(1, sizeof *f);
	if (f == NULL || (f->next = calloc(o->config->nmailboxes, sizeof *f->next)) == NULL) {
		free(f);
		return err_set(e, ERR_INTERNAL, "mailboxes", "out of memory");
	}
	f->o = *o;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->cond, NULL);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&f->thread, NULL, poller_main, f);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0) {
		*out = f;
		return 0;
	}
	free(f->next);
	free(f);
	return err_set(e, ERR_INTERNAL, "mailboxes", "no thread");
}

void poller_stop(struct poller **fp)
{
	struct poller *f = *fp;
	if (f == NULL)
		return;
	*fp = NULL;
	pthread_mutex_lock(&f->lock);
	atomic_store(&f->stop, true);
	pthread_cond_signal(&f->cond);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->cond);
	free(f->next);
	free(f);
}
