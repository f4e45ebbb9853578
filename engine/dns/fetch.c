#include "engine/dns/fetch.h"

#include "src/base/buf.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const long LIMIT = 20 * 1000; /* ms, of a whole fetch */
static const long TRANSFERS = 256;   /* at a time; who waits for his turn uses up his own time */

struct fetcher {
	CURLM *multi;
	char *ca_file;
};

struct transfer { /* token of a policy_fetch */
	CURL *easy;
	struct curl_slist *addresses;
	struct policy_fetch *p;
	struct buf body;
	char why[CURL_ERROR_SIZE];
};

static void set_up_once(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

int fetcher_new(struct fetcher **out, const char *ca_file, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, set_up_once);
	struct fetcher *f = calloc(1, sizeof *f);
	*out = f;
	if (f != NULL)
		f->multi = curl_multi_init();
	if (f != NULL && ca_file != NULL)
		f->ca_file = strdup(ca_file);
	if (f != NULL && f->multi != NULL && (ca_file == NULL || f->ca_file != NULL)) {
		curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, TRANSFERS);
		return 0;
	}
	fetcher_free(out);
	return err_set(e, ERR_INTERNAL, "MTA-STS", "out of memory");
}

void fetcher_free(struct fetcher **fp)
{
	struct fetcher *f = *fp;
	*fp = NULL;
	if (f == NULL)
		return;
	curl_multi_cleanup(f->multi);
	free(f->ca_file);
	free(f);
}

void fetcher_wait(struct fetcher *f, int fd, int other_fd, ms_t most)
{
	struct curl_waitfd more[2] = {
		{.fd = fd, .events = CURL_WAIT_POLLIN}, {.fd = other_fd, .events = CURL_WAIT_POLLIN}};
	curl_multi_poll(f->multi, more, other_fd >= 0 ? 2 : 1, (int)most, NULL);
}

void fetcher_wake(struct fetcher *f)
{
	curl_multi_wakeup(f->multi);
}

/* ---- One transfer ---- */

static void transfer_free(struct fetcher *f, struct transfer *t)
{
	if (t->p != NULL)
		t->p->token = NULL;
	if (t->easy != NULL) {
		curl_multi_remove_handle(f->multi, t->easy);
		curl_easy_cleanup(t->easy);
	}
	curl_slist_free_all(t->addresses);
	buf_release(&t->body);
	free(t);
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	buf_add(&t->body, p, size * n);
	return t->body.failed ? 0 : size * n;
}

/* "host:443:192.0.2.1,[2001:db8::1]" */
static struct curl_slist *address_list(const char *host, const struct sockaddr_storage *addrs, size_t n)
{
	struct buf b = BUF_INIT(4096);
	buf_printf(&b, "%s:443:", host);
	for (size_t i = 0; i < n; i++) {
		char text[INET6_ADDRSTRLEN];
		bool six = addrs[i].ss_family == AF_INET6;
		const void *at = six ? (const void *)&((const struct sockaddr_in6 *)&addrs[i])->sin6_addr
				     : (const void *)&((const struct sockaddr_in *)&addrs[i])->sin_addr;
		inet_ntop(addrs[i].ss_family, at, text, sizeof text);
		buf_printf(&b, "%s%s%s%s", i != 0 ? "," : "", six ? "[" : "", text, six ? "]" : "");
	}
	struct curl_slist *list = b.failed ? NULL : curl_slist_append(NULL, buf_cstr(&b));
	buf_release(&b);
	return list;
}

static bool set_options(struct fetcher *f, struct transfer *t, const char *host)
{
	CURL *c = t->easy;
	char url[DNS_NAME + 64];
	snprintf(url, sizeof url, "https://%s/.well-known/mta-sts.txt", host);
	bool ok = curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_RESOLVE, t->addresses) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, LIMIT) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, LIMIT / 2) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)STS_POLICY) == CURLE_OK &&
		  /* libcurl keeps header fields, however many: what comes is bounded by time and speed. */
		  curl_easy_setopt(c, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)STS_POLICY) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_USERAGENT, "Postrider/" POSTRIDER_VERSION) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->why) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_WRITEDATA, t) == CURLE_OK &&
		  curl_easy_setopt(c, CURLOPT_PRIVATE, t) == CURLE_OK;
	if (ok && f->ca_file != NULL)
		ok = curl_easy_setopt(c, CURLOPT_CAINFO, f->ca_file) == CURLE_OK &&
		     curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
	return ok;
}

int fetcher_start(struct fetcher *f, struct policy_fetch *p, const char *host,
	const struct sockaddr_storage *addrs, size_t n)
{
	struct transfer *t = calloc(1, sizeof *t);
	if (t == NULL)
		return -1;
	buf_init(&t->body, STS_POLICY);
	t->addresses = address_list(host, addrs, n);
	t->easy = curl_easy_init();
	if (t->addresses == NULL || t->easy == NULL || !set_options(f, t, host) ||
		curl_multi_add_handle(f->multi, t->easy) != CURLM_OK) {
		transfer_free(f, t);
		return -1;
	}
	t->p = p;
	p->token = t;
	return 0;
}

void fetcher_cancel(struct fetcher *f, struct policy_fetch *p)
{
	if (p->token != NULL)
		transfer_free(f, p->token);
}

/* ---- Results ---- */

static bool is_text(CURL *easy)
{
	char *type = NULL;
	curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
	struct str t = str_from(type);
	return str_is_nocase(str_trim(str_n(t.p, str_find(t, ';'))), "text/plain");
}

static void finish(struct fetcher *f, struct transfer *t, CURLcode rc)
{
	char why[CURL_ERROR_SIZE] = "";
	long status = 0;
	struct policy_fetch *p = t->p;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (rc != CURLE_OK)
		snprintf(why, sizeof why, "%s", t->why[0] != '\0' ? t->why : curl_easy_strerror(rc));
	else if (status != 200)
		snprintf(why, sizeof why, "HTTP status %ld", status);
	else if (!is_text(t->easy))
		snprintf(why, sizeof why, "not of type text/plain");
	struct buf body = t->body;
	t->body = BUF_INIT(0);
	transfer_free(f, t);
	policy_fetched(
		p, why[0] == '\0' ? str_n(buf_cstr(&body), body.len) : str_n(NULL, 0), why, clock_mono());
	buf_release(&body);
}

void fetcher_process(struct fetcher *f)
{
	int running, left;
	curl_multi_perform(f->multi, &running);
	for (CURLMsg *m; (m = curl_multi_info_read(f->multi, &left)) != NULL;) {
		struct transfer *t = NULL;
		if (m->msg != CURLMSG_DONE)
			continue;
		CURLcode rc = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		finish(f, t, rc);
	}
}
