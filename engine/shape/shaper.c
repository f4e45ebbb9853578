#include "engine/shape/shaper_private.h"
#include "src/base/utf8.h"
#include "src/db/delivery.h"

#include <math.h>
#include <stdio.h>

const char *const shaper_state_names[] = {"ok", "slowed", "suspended", "probing", "recovering", "down"};

static const int64_t BRIEF = 1 * US; /* the first pause that no rule asked for */
static const int64_t LONG =
	60 * US; /* from here on it is told, connections are closed, and the way back has steps */
static const unsigned ENOUGH = 20;     /* answers make a rate */
static const double CUT = 0.75;        /* of the connections that stood */
static const double SITE_SHARE = 0.25; /* of answers: temporary refusals that speak of the site, without a
					  rule that says "slow" */
static const double MEMORY = 1.0 / 32; /* of that share */
static const int64_t LEARNED = 3600 * US;

void shaper_init(struct shaper *s, const struct limits *l, int64_t now)
{
	*s = (struct shaper){.limits = *l};
	shaper_window_start(s, l->start);
	limiter_set(&s->connects, l->connection_rate);
	shaper_rate_set(s, 0);
	if (l->rate.per_second > 0)
		limiter_hold(&s->pace, now + (int64_t)((double)US / l->rate.per_second));
}

static void words_set(struct shaper *s, struct str words)
{
	words = utf8_cut_bytes(words, sizeof s->words - 1);
	snprintf(s->words, sizeof s->words, "%.*s", STR_ARG(words));
}

/* ---- Pauses ---- */

/* Longer than the last one of this trouble. */
static int64_t next_pause(const struct shaper *s, int64_t least, int64_t most)
{
	int64_t next = s->pause * 2;
	if (next > most)
		next = most;
	return next > least ? next : least;
}

static void pause_for(struct shaper *s, int64_t now, enum shaper_state state, int64_t pause, struct str words)
{
	if (s->state == SHAPER_OK || s->state == SHAPER_SLOWED) {
		double measured = shaper_rate_measured(s, now, 0);
		bool many = s->served[0].n + s->served[1].n >= ENOUGH;
		s->steps_of = fmax(s->established, 2);
		s->since = now;
		s->rate_of = !many ? 0 : s->rate > 0 ? fmin(s->rate, measured) : measured;
	}
	s->state = state;
	s->pause = pause;
	s->until = now + pause;
	s->cut_at = now;
	s->probe_out = false;
	s->trouble = 0;
	words_set(s, words);
}

/* asked: the pause that a rule names, 0: none. */
static void throttled(struct shaper *s, int64_t now, int64_t asked, struct str words)
{
	bool again = s->state == SHAPER_PROBING || s->state == SHAPER_RECOVERING;
	if (s->state == SHAPER_SUSPENDED || s->state == SHAPER_DOWN) {
		/* The same trouble; but who names a longer time gets it. */
		if (now + asked > s->until) {
			s->until = now + asked;
			s->pause = asked;
			if (asked >= LONG) {
				s->why = SHAPER_PAUSE_LONG;
				words_set(s, words);
			}
		}
		return;
	}
	/* Where the rate is what binds, fewer connections would only make it uneven. */
	if (!again && !shaper_rate_in_use(s, now))
		shaper_window_shrink(s, CUT);
	if (s->state == SHAPER_RECOVERING && asked < s->pause)
		asked = s->pause; /* the last one was too short */
	int64_t most = s->limits.suspend_most * US_PER_MS, least = asked > 0 ? asked : BRIEF,
		pause = again ? next_pause(s, least, most) : least;
	if (!again || s->why != SHAPER_PAUSE_LONG)
		s->why = pause < LONG ? SHAPER_PAUSE_BRIEF : SHAPER_PAUSE_LONG;
	pause_for(s, now, SHAPER_SUSPENDED, pause, words);
}

static int64_t asked_for(const struct shaper *s, const struct verdict *v)
{
	/* What a relay passes on may be about one receiver of many. */
	if (v == NULL || (s->limits.relay && v->scope == SCOPE_SITE))
		return 0;
	if (v->action == ACTION_SUSPEND && v->delay == 0)
		return s->limits.suspend * US_PER_MS;
	return v->delay * US_PER_MS;
}

static void recovered(struct shaper *s, int64_t now)
{
	s->state = SHAPER_OK;
	s->pause = 0;
	s->words[0] = '\0';
	shaper_window_start(s, s->steps_of);
	shaper_rate_begin(s, now, s->rate_of);
}

static void step(struct shaper *s, int64_t now)
{
	shaper_window_start(s, s->steps);
	shaper_rate_set(s, s->rate_of * s->steps / s->steps_of);
	s->step_at = now + s->limits.recover * US_PER_MS;
}

/* The probe was taken. */
static void resume(struct shaper *s, int64_t now)
{
	s->probe_out = false;
	s->top = 0;
	switch (s->why) {
	case SHAPER_PAUSE_BRIEF:
		s->state = SHAPER_SLOWED;
		s->pause = 0;
		shaper_rate_resume(s, now);
		break;
	case SHAPER_PAUSE_LONG:
		s->state = SHAPER_RECOVERING;
		s->steps = 1;
		step(s, now);
		break;
	case SHAPER_PAUSE_DOWN:
		s->state = SHAPER_OK;
		s->pause = 0;
		s->words[0] = '\0';
		shaper_window_start(s, s->limits.start);
		break;
	}
}

/* What time alone changes. */
static void advance(struct shaper *s, int64_t now)
{
	if ((s->state == SHAPER_SUSPENDED || s->state == SHAPER_DOWN) && now >= s->until) {
		s->state = SHAPER_PROBING;
		s->probe_out = false;
	}
	while (s->state == SHAPER_RECOVERING && now >= s->step_at) {
		if (++s->steps >= s->steps_of)
			recovered(s, now);
		else
			step(s, s->step_at);
	}
	if (s->state == SHAPER_SLOWED && s->progress >= 1) {
		s->state = SHAPER_OK;
		s->words[0] = '\0';
	}
}

/* ---- Questions ---- */

static int64_t paused(struct shaper *s, int64_t now)
{
	s->bind = s->state == SHAPER_DOWN ? SHAPER_BY_DOWN : SHAPER_BY_SUSPENSION;
	return s->until - now;
}

/* Too many at once at a closed door help nobody. */
static bool enough_trying(const struct shaper *s)
{
	if (s->limits.relay)
		return s->established == 0 && s->trying > 0;
	return s->trying > s->established / 4;
}

int64_t shaper_may_connect(struct shaper *s, int64_t now)
{
	advance(s, now);
	if (s->state == SHAPER_SUSPENDED || s->state == SHAPER_DOWN)
		return paused(s, now);
	int n = s->trying + s->established, most = shaper_window_now(s, now);
	if (s->state == SHAPER_PROBING)
		return n == 0 ? 0 : SHAPER_LATER;
	if (n >= most) {
		bool all = most >= s->limits.connections;
		s->wanted = true;
		s->bind = s->state == SHAPER_RECOVERING ? SHAPER_BY_SUSPENSION
			  : all                         ? SHAPER_BY_CONNECTIONS
							: SHAPER_BY_RECEIVER_CONNECTIONS;
		return !all && s->top > 0 && now < s->more_at ? s->more_at - now : SHAPER_LATER;
	}
	if (enough_trying(s))
		return SHAPER_LATER;
	int64_t wait = limiter_wait(&s->connects, now);
	if (wait > 0)
		s->bind = SHAPER_BY_CONNECTION_RATE;
	return wait;
}

int64_t shaper_may_send(struct shaper *s, int64_t now)
{
	advance(s, now);
	if (s->state == SHAPER_SUSPENDED || s->state == SHAPER_DOWN)
		return paused(s, now);
	if (s->state == SHAPER_PROBING && s->probe_out) {
		s->bind = SHAPER_BY_SUSPENSION;
		return SHAPER_LATER;
	}
	int64_t wait = limiter_wait(&s->pace, now);
	if (wait > 0)
		s->bind = s->state == SHAPER_RECOVERING ? SHAPER_BY_SUSPENSION
			  : s->rate > 0 && (s->limits.rate.per_second == 0 ||
						   s->rate < s->limits.rate.per_second)
				  ? SHAPER_BY_RECEIVER_RATE
				  : SHAPER_BY_RATE;
	return wait;
}

int64_t shaper_room(struct shaper *s, int64_t now, int64_t until)
{
	advance(s, now);
	if (s->state == SHAPER_SUSPENDED || s->state == SHAPER_DOWN)
		return 0;
	if (s->state == SHAPER_PROBING)
		return s->probe_out ? 0 : 1;
	return limiter_room(&s->pace, now, until);
}

int shaper_connections(struct shaper *s, int64_t now)
{
	advance(s, now);
	if (s->why == SHAPER_PAUSE_LONG && s->pause >= LONG) {
		if (s->state == SHAPER_SUSPENDED)
			return 0;
		if (s->state == SHAPER_PROBING)
			return 1;
	}
	return shaper_window_now(s, now);
}

unsigned shaper_messages(const struct shaper *s, int64_t now)
{
	unsigned most = (unsigned)s->limits.messages_per_connection;
	bool learned = s->learned > 0 && now < s->learned_until;
	return learned && (most == 0 || s->learned < most) ? s->learned : most;
}

int64_t shaper_paused_until(const struct shaper *s)
{
	return s->state == SHAPER_SUSPENDED || s->state == SHAPER_DOWN ? s->until : 0;
}

int shaper_failures(const struct shaper *s)
{
	return s->failures;
}

/* ---- Connections ---- */

void shaper_connecting(struct shaper *s, int64_t now)
{
	s->trying++;
	limiter_take(&s->connects, now);
}

void shaper_established(struct shaper *s, int64_t now)
{
	(void)now;
	s->trying--;
	s->established++;
}

static bool too_many(const struct verdict *v)
{
	return v != NULL && str_is(v->reason, "too-many-connections");
}

static bool says_slow(const struct verdict *v)
{
	return v != NULL && (v->action == ACTION_SLOW || v->action == ACTION_SUSPEND) &&
	       v->scope != SCOPE_ADDRESS && v->scope != SCOPE_MESSAGE;
}

/* No connection stands, and none came about. */
static void unreachable(struct shaper *s, int64_t now, const struct verdict *v, struct str words)
{
	int n = s->failures < 30 ? ++s->failures : 30;
	int64_t most = s->limits.down_most * US_PER_MS, pause = US << (n - 1),
		asked = v != NULL ? v->delay * US_PER_MS : 0;
	if (pause > most)
		pause = most;
	s->why = SHAPER_PAUSE_DOWN;
	pause_for(s, now, SHAPER_DOWN, pause > asked ? pause : asked, words);
}

static void not_connected(
	struct shaper *s, int64_t now, enum shaper_fault how, const struct verdict *v, struct str words)
{
	bool congested = s->limits.reset_is_congestion && (how == SHAPER_RESET || how == SHAPER_TIMEOUT);
	/* Of an extra connection a busy server says no more than that it is one too many. */
	bool slow = says_slow(v) && !too_many(v) && (s->established == 0 || asked_for(s, v) > 0);
	if (s->state == SHAPER_DOWN)
		return; /* those that fall together are one failure */
	if (congested && s->established > 0)
		shaper_window_shrink(s, 0.5);
	if (slow || (congested && s->established == 0))
		throttled(s, now, slow ? asked_for(s, v) : s->limits.suspend * US_PER_MS, words);
	else if (s->established > 0)
		shaper_window_full(s, now);
	else if (s->state == SHAPER_PROBING && s->why != SHAPER_PAUSE_DOWN)
		throttled(s, now, 0, words);
	else if (s->state != SHAPER_SUSPENDED)
		unreachable(s, now, v, words);
}

void shaper_connect_failed(
	struct shaper *s, int64_t now, enum shaper_fault how, const struct verdict *v, struct str text)
{
	advance(s, now);
	s->trying--;
	if (how != SHAPER_ABANDONED)
		not_connected(s, now, how, v, text);
}

void shaper_closed(struct shaper *s, int64_t now, unsigned messages, bool early)
{
	advance(s, now);
	s->established--;
	if (early && messages == 0)
		not_connected(s, now, SHAPER_RESET, NULL, STR("it closes the connection without an answer"));
	if (s->established == 0)
		shaper_window_forget(s);
	if (!early || messages == 0)
		return;
	if (messages != s->early) {
		s->early = messages;
		s->early_at = now;
		s->early_times = 1;
	} else if (now - s->early_at >= US) {
		/* Those that close together do so for another reason. */
		s->early_at = now;
		s->learned = ++s->early_times >= 3 ? messages : s->learned;
		s->learned_until = now + LEARNED;
	}
}

/* ---- Messages ---- */

void shaper_start(struct shaper *s, int64_t now)
{
	s->probe_out = s->state == SHAPER_PROBING;
	limiter_take(&s->pace, now);
}

enum sense { GOOD, NOTHING, SITE_TROUBLE, TOO_MUCH };

static enum sense sense_of(const struct shaper *s, enum shaper_answer a, const struct verdict *v)
{
	if (a == SHAPER_ACCEPTED)
		return GOOD;
	if (a == SHAPER_LOST || v == NULL)
		return SITE_TROUBLE;
	if (says_slow(v))
		return TOO_MUCH;
	if (v->scope == SCOPE_ADDRESS || v->scope == SCOPE_MESSAGE)
		return GOOD;
	/* Of a relay that is a receiver's trouble, and there are many receivers. */
	if (s->limits.relay && v->scope == SCOPE_SITE)
		return NOTHING;
	return v->action == ACTION_RETRY || v->action == ACTION_REQUEUE ? SITE_TROUBLE : NOTHING;
}

static void probe_answered(
	struct shaper *s, int64_t now, enum sense sense, const struct verdict *v, struct str text)
{
	if (sense == GOOD)
		resume(s, now);
	else if (sense == NOTHING)
		s->probe_out = false;
	else
		throttled(s, now, sense == TOO_MUCH ? asked_for(s, v) : 0, text);
}

bool shaper_easy(const struct shaper *s)
{
	return s->state == SHAPER_OK && s->rate <= 0 && s->limits.rate.per_second <= 0 && s->top <= 0 &&
	       s->window >= s->limits.connections;
}

void shaper_accepted(struct shaper *s, int64_t now, unsigned n)
{
	if (n == 0)
		return;
	s->failures = 0;
	s->trouble *= n < 1000 ? pow(1 - MEMORY, n) : 0;
	shaper_rate_served(s, now, n);
}

void shaper_answer(struct shaper *s, int64_t now, int64_t started, enum shaper_answer a,
	const struct verdict *v, struct str text)
{
	advance(s, now);
	bool old = started <= s->cut_at && s->cut_at > 0;
	if (a == SHAPER_UNTRIED) {
		if (!old)
			s->probe_out = false;
		return;
	}
	enum sense sense = sense_of(s, a, v);
	if (a != SHAPER_LOST)
		s->failures = 0;
	/* With one that is not mended, whoever has the others: that is a wish for a pause. */
	bool alone = s->established <= 1 && s->full_at > 0 && started >= s->full_at;
	if (sense == TOO_MUCH && too_many(v) && !alone) {
		/* It is not about the rate: one fewer. */
		s->established--;
		shaper_window_full(s, now);
		s->established++;
		sense = NOTHING;
	}
	if (s->state == SHAPER_PROBING && !old) {
		probe_answered(s, now, sense, v, text);
		return;
	}
	if (sense == TOO_MUCH && (!old || asked_for(s, v) >= LONG)) {
		throttled(s, now, asked_for(s, v), text);
	} else if (sense == SITE_TROUBLE && !old) {
		s->trouble += (1 - s->trouble) * MEMORY;
		if (s->trouble > SITE_SHARE)
			throttled(s, now, 0, text);
	} else if (sense == GOOD) {
		s->trouble -= s->trouble * MEMORY;
		shaper_rate_served(s, now, 1);
		if (s->state == SHAPER_OK || s->state == SHAPER_SLOWED)
			shaper_rate_grow(s, now);
		shaper_window_answered(s, now);
	}
}
