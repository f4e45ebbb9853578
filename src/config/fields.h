/* Readers of single values: text of a key to a field of a struct. Used by config.c only. */
#ifndef CONFIG_FIELDS_H
#define CONFIG_FIELDS_H

#include "src/base/arena.h"
#include "src/config/config.h"
#include "src/config/parse.h"

struct field;

struct value {
	const char *key, *text; /* text lives as long as the configuration */
	struct config_at at;
	struct arena *arena;
};

/* `base` is the struct that the section fills. */
typedef int field_reader(const struct field *f, const struct value *v, void *base, struct err *e);

struct field {
	const char *key;
	field_reader *read;
	size_t offset;            /* of the field in `base`; unused by readers that only check */
	const char *const *words; /* read_word, read_switch: ends in NULL */
	double min, max;          /* of numbers and spans (ms) */
};

field_reader read_text, read_path, read_int, read_double, read_share, read_span, read_word, read_switch,
	read_rate, read_even_rate, read_host, read_size, read_secret_file, read_secret_env,
	read_secret_command, read_names, read_resolvers, read_zone, read_quiet, read_delays, read_database,
	read_token_address, read_token_url, read_url, read_selector, read_helo, read_envelope, read_warm_up,
	read_listen;
/* Of keys whose value nothing uses yet: right or wrong, but kept nowhere. */
field_reader check_text, check_span, check_int, check_rate, check_host, check_word, check_url, check_place;

#endif
