/*
 * keys — the one table of what a profile may say.
 *
 * A row is a key: its section, its type (how it is parsed and printed) and its
 * place in the struct.  Parsing, merging, printing, suggestions and the check
 * of the manual all walk this table; a new key is a row here, a field in
 * profile.h and a paragraph in sbx.ini(5).
 */
#ifndef SBX_CONF_KEYS_H
#define SBX_CONF_KEYS_H

#include <stddef.h>

#include "conf/profile.h"

struct arena;
struct buf;
struct entry;
struct err;

/* One file's own values, before they are merged with those of the files it extends.
 * A value that the file does not give has at.file == NULL. */
struct profile_file {
	struct profile p;
	struct text_value extends;
};

/* A value on its way into a profile_file. */
struct value_in {
	struct arena *a;
	struct profile_file *file;
	const struct key *key;
	const char *name;  /* the key as written: set.X, a mount's host path */
	const char *value; /* not empty */
	struct origin at;
};

struct value_type {
	/* Parse in->value into `field`.  Fails with the cause alone, "it must be …": the caller
	 * adds which key of which line. */
	int (*parse)(const struct value_in *in, void *field, struct err *err);
	/* Add the value as it would be written; NULL for the types of lists (print.c). */
	void (*print)(const struct key *key, const void *field, struct buf *ret);
};

enum key_flags {
	KEY_LIST = 1 << 0,   /* may be given again; in a list of struct profile */
	KEY_PREFIX = 1 << 1, /* `key` is the start of the name: set. */
	KEY_ANY = 1 << 2,    /* every name is a key of this section: mounts */
	KEY_OWN = 1 << 3,    /* of this file alone, not inherited */
	KEY_UNCUT = 1 << 4,  /* a comment behind the value is more likely a mistake */
};

struct key {
	const char *section;
	const char *key;
	const struct value_type *type;
	size_t offset, size;      /* the field in struct profile_file */
	size_t at;                /* its struct origin there */
	const char *const *names; /* of an enum, NULL-terminated */
	unsigned flags;           /* enum key_flags */
};

extern const struct key keys[];
extern const size_t n_keys;

/* The row of a key, or an error with the nearest right name (no file:line yet). */
int keys_find(const char *section, const char *key, const struct key **ret, struct err *err);

/* The number of a section (the order of the table), or an error with the nearest right name. */
int keys_section(const char *name, unsigned *ret_index, struct err *err);

#endif
