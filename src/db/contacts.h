/* People: who they are, and what lists they are on. */
#ifndef DB_CONTACTS_H
#define DB_CONTACTS_H

#include "src/db/store.h"

struct contact_row {
	int64_t id;
	struct str address, key;
	struct str attrs; /* packed */
	ms_t added, changed;
	bool removed; /* left every list, kept for the ledger's sake */
	/* Where the walk knows one list: */
	int64_t list;
	ms_t joined;
	struct str source;
	ms_t consent_at; /* 0: not given */
};

struct membership {
	int64_t list;
	struct str list_name;
	ms_t joined;
	struct str source;
	ms_t consent_at;
};

/* ERR_NOINPUT: nobody with that key. Strings lent till the next call. */
int store_contact_get(struct store *s, struct str key, struct contact_row *out, struct err *e);
int store_contact_by_id(struct store *s, int64_t id, struct contact_row *out, struct err *e);
int store_memberships(struct store *s, int64_t contact, int (*row)(void *ctx, const struct membership *m),
	void *ctx, struct err *e);
/* Adds or changes one person: attributes are laid over the present ones (absent keeps, empty clears).
 * ERR_DATA: the address was forgotten. */
int store_contact_put(struct store *s, struct str address, struct str key, struct str attrs, ms_t now,
	int64_t *id, struct err *e);
/* Puts on a list. `lift` also ends an unsubscription (reason unsubscribe, this list or all): the only way
 * back. */
int store_subscribe(struct store *s, int64_t contact, int64_t list, struct str source, ms_t consent_at,
	bool lift, ms_t now, struct err *e);
/* Takes off the list (0: all lists and the attributes). Not an unsubscription. */
int store_contact_remove(struct store *s, int64_t contact, int64_t list, struct err *e);
/* Erases the person: address, attributes, memberships, suppressions, replies that quote the address; delivery
 * rows stay, nameless; a keyed hash stays, so that they are never mailed or imported again. `key` need not
 * belong to a contact. */
int store_forget(struct store *s, struct str key, ms_t now, struct err *e);
/* 1: forgotten, 0: not. */
int store_is_forgotten(struct store *s, struct str key, struct err *e);
int store_forgotten_at(struct store *s, struct str key, ms_t *at, struct err *e); /* the same, and when */

/* Every domain that addresses were ever of, by id. In slices. */
int store_domains(struct store *s, int (*row)(void *ctx, int64_t id, struct str name, struct str provider),
	void *ctx, struct err *e);
struct domain_count {
	int64_t domain, people; /* people is added to */
};
/* How many people are of these domains now; sorts `v` by domain. Reads all contacts. In slices. */
int store_domain_people(struct store *s, struct domain_count *v, size_t n, struct err *e);

#endif
