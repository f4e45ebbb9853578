#include "src/serve/sandbox_fate.h"

#include "src/base/file.h"
#include "src/base/hash.h"

#include <stdlib.h>

#define TRIES_MAX    (1 << 20) /* addresses whose tries are remembered */
#define PATTERNS_MAX 1000
#define PARTS        1000000 /* rates are counted in millionths */

struct pattern {
	struct str glob; /* in `text` */
	struct fated fated;
};

struct tries { /* open addressing; hash 0: free */
	uint64_t hash;
	unsigned n;
};

struct fates {
	uint64_t seed;
	bool words;
	unsigned rates[FATE_NFATES];
	unsigned busy;
	ms_t rtt;
	unsigned long messages;
	struct buf text; /* the profile's file */
	struct pattern *patterns;
	size_t npatterns;
	struct tries *tries;
	size_t ntries, cap;
};

static const struct {
	const char *word;
	enum fate fate;
} fate_words[] = {
	{"drop-data", FATE_DROP_DATA},
	{"drop-end", FATE_DROP_END},
	{"drop", FATE_DROP},
	{"bounce", FATE_UNKNOWN},
	{"unknown", FATE_UNKNOWN},
	{"disabled", FATE_DISABLED},
	{"returned-full", FATE_RETURNED_FULL},
	{"returned", FATE_RETURNED},
	{"complaint", FATE_COMPLAINT},
	{"away", FATE_AWAY},
	{"full", FATE_FULL},
	{"greylist", FATE_GREYLIST},
	{"defer", FATE_DEFER},
	{"never", FATE_NEVER},
	{"blocked", FATE_BLOCK},
	{"block", FATE_BLOCK},
	{"spam", FATE_SPAM},
	{"big", FATE_BIG},
	{"slow", FATE_SLOW},
	{"limit", FATE_LIMIT},
	{"quota", FATE_QUOTA},
	{"accept", FATE_ACCEPT},
};
#define NWORDS (sizeof fate_words / sizeof fate_words[0])

static const struct {
	const char *name, *rates;
	unsigned busy;
	unsigned long messages;
} profiles[] = {
	{"clean", "", 0, 0},
	{"typical", "unknown=2%,full=1%,greylist=3%,block=0.5%", 0, 0},
	{"hostile",
		"unknown=8%,disabled=1%,full=3%,greylist=12%,defer=4%,block=4%,spam=2%,limit=1%,drop=1%,drop-"
		"data=0.5%,"
		"drop-end=0.5%",
		PARTS / 20, 20},
};

bool fate_comes_back(enum fate fate)
{
	return fate == FATE_RETURNED || fate == FATE_RETURNED_FULL || fate == FATE_COMPLAINT ||
	       fate == FATE_AWAY;
}

static bool fate_word(struct str word, enum fate *fate)
{
	for (size_t i = 0; i < NWORDS; i++)
		if (str_is_nocase(word, fate_words[i].word)) {
			*fate = fate_words[i].fate;
			return true;
		}
	return false;
}

static unsigned default_n(enum fate fate)
{
	return fate == FATE_SLOW ? 5 : 1;
}

/* Takes "-3" off the end of *s. */
static unsigned take_number(struct str *s, unsigned otherwise)
{
	size_t i = s->n;
	long long n;
	while (i > 0 && s->p[i - 1] >= '0' && s->p[i - 1] <= '9')
		i--;
	if (i == s->n || i < 2 || s->p[i - 1] != '-' || !str_int(str_n(s->p + i, s->n - i), 0, 100000, &n))
		return otherwise;
	s->n = i - 1;
	return (unsigned)n;
}

static bool is_border(char c)
{
	return c == '-' || c == '.' || c == '+' || c == '_';
}

/* Does it end in a word that decides? */
static bool by_words(struct str s, struct fated *f)
{
	unsigned n = take_number(&s, UINT32_MAX);
	for (size_t i = 0; i < NWORDS; i++) {
		struct str w = str_from(fate_words[i].word);
		if (s.n < w.n || strncasecmp(s.p + s.n - w.n, w.p, w.n) != 0)
			continue;
		if (s.n > w.n && !is_border(s.p[s.n - w.n - 1]))
			continue;
		f->fate = fate_words[i].fate;
		f->n = n != UINT32_MAX ? n : default_n(f->fate);
		return true;
	}
	return false;
}

static bool glob_match(struct str g, struct str s)
{
	size_t gi = 0, si = 0, star = SIZE_MAX, back = 0;
	while (si < s.n) {
		if (gi < g.n && g.p[gi] == '*') {
			star = gi++;
			back = si;
		} else if (gi < g.n && strncasecmp(g.p + gi, s.p + si, 1) == 0) {
			gi++;
			si++;
		} else if (star != SIZE_MAX) {
			gi = star + 1;
			si = ++back;
		} else {
			return false;
		}
	}
	while (gi < g.n && g.p[gi] == '*')
		gi++;
	return gi == g.n;
}

static uint64_t address_hash(const struct fates *f, struct str rcpt)
{
	char key[8 + 320];
	size_t n = rcpt.n < 320 ? rcpt.n : 320;
	memcpy(key, &f->seed, 8);
	for (size_t i = 0; i < n; i++)
		key[8 + i] =
			rcpt.p[i] >= 'A' && rcpt.p[i] <= 'Z' ? (char)(rcpt.p[i] + ('a' - 'A')) : rcpt.p[i];
	return hash64(str_n(key, 8 + n));
}

static struct fated by_chance(const struct fates *f, uint64_t hash)
{
	unsigned at = (unsigned)(hash % PARTS);
	for (int i = 0; i < FATE_NFATES; i++) {
		if (at < f->rates[i])
			return (struct fated){(enum fate)i,
				i == FATE_DEFER ? 1 + (unsigned)(hash >> 40) % 3 : default_n((enum fate)i)};
		at -= f->rates[i];
	}
	return (struct fated){FATE_ACCEPT, 0};
}

struct fated fates_of(const struct fates *f, struct str rcpt)
{
	struct fated out;
	for (size_t i = 0; i < f->npatterns; i++)
		if (glob_match(f->patterns[i].glob, rcpt))
			return f->patterns[i].fated;
	struct str domain = str_after_last(rcpt, '@');
	if (f->words && domain.n != 0) {
		struct str local = str_n(rcpt.p, rcpt.n - domain.n - 1);
		if (by_words(local, &out) || by_words(str_n(domain.p, str_find(domain, '.')), &out))
			return out;
	}
	return by_chance(f, address_hash(f, rcpt));
}

bool fates_sender_refused(const struct fates *f, struct str from)
{
	struct str local = str_n(from.p, str_find(from, '@'));
	struct str word = STR("refused");
	return f->words && str_ends(local, word) &&
	       (local.n == word.n || is_border(local.p[local.n - word.n - 1]));
}

/* ---- how often it was tried ---- */

static struct tries *tries_slot(struct tries *v, size_t cap, uint64_t hash)
{
	size_t i = hash & (cap - 1);
	while (v[i].hash != 0 && v[i].hash != hash)
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static bool tries_grow(struct fates *f)
{
	size_t cap = f->cap == 0 ? 1024 : f->cap * 2;
	if (cap > 2 * TRIES_MAX)
		return false;
	struct tries *v = calloc(cap, sizeof *v);
	if (v == NULL)
		return false;
	for (size_t i = 0; i < f->cap; i++)
		if (f->tries[i].hash != 0)
			*tries_slot(v, cap, f->tries[i].hash) = f->tries[i];
	free(f->tries);
	f->tries = v;
	f->cap = cap;
	return true;
}

/* Tries before this one. When the table is full, who is new counts as tried often enough. */
static unsigned tries_count(struct fates *f, struct str rcpt)
{
	uint64_t hash = address_hash(f, rcpt) | 1;
	struct tries *t = f->cap != 0 ? tries_slot(f->tries, f->cap, hash) : NULL;
	if (t == NULL || t->hash == 0) {
		if (2 * f->ntries >= f->cap && !tries_grow(f))
			return UINT32_MAX;
		t = tries_slot(f->tries, f->cap, hash);
		t->hash = hash;
		f->ntries++;
	}
	return t->n++;
}

struct fated fates_try(struct fates *f, struct str rcpt)
{
	struct fated d = fates_of(f, rcpt);
	unsigned often = 1;
	switch (d.fate) {
	case FATE_DEFER:
		often = d.n;
		break;
	case FATE_GREYLIST:
	case FATE_LIMIT:
	case FATE_DROP:
	case FATE_DROP_DATA:
	case FATE_DROP_END:
		break;
	default:
		return d;
	}
	return tries_count(f, rcpt) < often ? d : (struct fated){FATE_ACCEPT, 0};
}

/* ---- profiles ---- */

/* "2%", "0.5%", "3" (percent too) */
static bool read_percent(struct str s, unsigned *out)
{
	char text[24], *end;
	if (s.n == 0 || s.n >= sizeof text || s.p[0] < '0' || s.p[0] > '9')
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	double v = strtod(text, &end);
	if (*end == '%')
		end++;
	if (end != text + s.n || !(v >= 0 && v <= 100))
		return false;
	*out = (unsigned)(v * PARTS / 100 + 0.5);
	return true;
}

static bool read_rates(struct fates *f, struct str s)
{
	unsigned long total = 0;
	memset(f->rates, 0, sizeof f->rates);
	while (s.n != 0) {
		struct str part = str_n(s.p, str_find(s, ','));
		size_t eq = str_find(part, '=');
		enum fate fate;
		unsigned rate;
		if (eq == part.n || !fate_word(str_trim(str_n(part.p, eq)), &fate) ||
			!read_percent(str_trim(str_n(part.p + eq + 1, part.n - eq - 1)), &rate))
			return false;
		total += rate;
		if (total > PARTS)
			return false;
		f->rates[fate] += rate;
		s = part.n < s.n ? str_n(s.p + part.n + 1, s.n - part.n - 1) : str_n(NULL, 0);
	}
	return true;
}

bool fates_span(struct str s, ms_t *out)
{
	char text[24];
	long long ms;
	if (str_ends(s, STR("ms")))
		return str_int(str_n(s.p, s.n - 2), 0, 60000, &ms) && (*out = ms, true);
	if (s.n >= sizeof text)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return clock_span(text, out, NULL) == 0 && *out <= MINUTE;
}

static bool read_pattern(struct fates *f, struct str glob, struct str word)
{
	struct fated d;
	unsigned n = take_number(&word, UINT32_MAX);
	if (!fate_word(word, &d.fate) || f->npatterns == PATTERNS_MAX || str_find(glob, '@') == glob.n)
		return false;
	struct pattern *v = realloc(f->patterns, (f->npatterns + 1) * sizeof *v);
	if (v == NULL)
		return false;
	d.n = n != UINT32_MAX ? n : default_n(d.fate);
	f->patterns = v;
	f->patterns[f->npatterns++] = (struct pattern){glob, d};
	return true;
}

static bool read_line(struct fates *f, struct str line)
{
	size_t n = 0;
	while (n < line.n && line.p[n] != ' ' && line.p[n] != '\t')
		n++;
	struct str word = str_n(line.p, n), rest = str_trim(str_n(line.p + n, line.n - n));
	long long count;
	if (str_is(word, "rates"))
		return read_rates(f, rest);
	if (str_is(word, "rtt"))
		return fates_span(rest, &f->rtt);
	if (str_is(word, "busy"))
		return read_percent(rest, &f->busy);
	if (str_is(word, "messages"))
		return str_int(rest, 1, 1000000, &count) && (f->messages = (unsigned long)count, true);
	return read_pattern(f, word, rest);
}

static int read_file(struct fates *f, const char *path, struct err *e)
{
	if (file_read(path, &f->text, e) != 0) {
		err_remedy(e, "A profile is clean, typical, hostile, or the path of a file.");
		return -1;
	}
	struct str s = buf_get(&f->text);
	for (long line = 1; s.n != 0; line++) {
		size_t n = str_find(s, '\n');
		struct str one = str_trim(str_n(s.p, str_find(str_n(s.p, n), '#')));
		if (one.n != 0 && !read_line(f, one)) {
			err_set(e, ERR_CONFIG, "sandbox profile", "not understood: \"%.*s\"",
				(int)(one.n < 80 ? one.n : 80), one.p);
			return err_at(e, path, line);
		}
		s = n < s.n ? str_n(s.p + n + 1, s.n - n - 1) : str_n(NULL, 0);
	}
	return 0;
}

static int read_profile(struct fates *f, const char *name, struct err *e)
{
	for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
		if (strcmp(name, profiles[i].name) == 0) {
			f->busy = profiles[i].busy;
			f->messages = profiles[i].messages;
			read_rates(f, str_from(profiles[i].rates));
			return 0;
		}
	return read_file(f, name, e);
}

struct fates *fates_new(const char *profile, const char *rates, uint64_t seed, bool words, struct err *e)
{
	struct fates *f = calloc(1, sizeof *f);
	if (f == NULL) {
		err_set(e, ERR_INTERNAL, "sandbox", "out of memory");
		return NULL;
	}
	buf_init(&f->text, 1 << 20);
	f->seed = seed;
	f->words = words;
	if (read_profile(f, profile != NULL ? profile : "clean", e) != 0) {
		fates_free(&f);
	} else if (rates != NULL && !read_rates(f, str_from(rates))) {
		err_set(e, ERR_USAGE, "sandbox", "rates not understood: \"%.80s\"", rates);
		err_remedy(e, "For example unknown=2%%,full=1%%,greylist=3%%: words of the sandbox, together "
			      "at most 100%%.");
		fates_free(&f);
	}
	return f;
}

void fates_free(struct fates **f)
{
	if (*f == NULL)
		return;
	buf_release(&(*f)->text);
	free((*f)->patterns);
	free((*f)->tries);
	free(*f);
	*f = NULL;
}

ms_t fates_rtt(const struct fates *f)
{
	return f->rtt;
}

unsigned long fates_messages(const struct fates *f)
{
	return f->messages;
}

bool fates_busy(const struct fates *f, unsigned long connection)
{
	uint64_t key[2] = {f->seed, connection};
	return hash64(str_n((const char *)key, sizeof key)) % PARTS < f->busy;
}
