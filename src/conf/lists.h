/*
 * lists — the types of what a profile may give more than once.
 *
 * Two of a kind in one file (the same variable, target or port) are an error;
 * between files the child's replaces its parent's: see lists_merge.
 */
#ifndef SBX_CONF_LISTS_H
#define SBX_CONF_LISTS_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/keys.h"

struct arena;
struct profile;

extern const struct value_type list_pass;    /* names for profile.env */
extern const struct value_type list_set;     /* set.NAME = value, for profile.env */
extern const struct value_type list_mount;   /* profile.mounts */
extern const struct value_type list_ports;   /* profile.net.ports */
extern const struct value_type list_build;   /* profile.build, by the key */
extern const struct value_type list_exclude; /* profile.commit_exclude */

/* Most entries of one list in one file. */
#define LISTS_MAX 1024

/* Add the lists of `child` to those of its parent `into`. */
void lists_merge(struct arena *a, struct profile *into, const struct profile *child);

/* Grow the vector of a LIST_OF to hold one more; the new vector. */
void *list_grow(struct arena *a, const void *v, size_t *cap, size_t item_size);

#define LIST_PUSH(a, list, item)                                                                 \
	do {                                                                                     \
		if ((list)->n == (list)->cap)                                                    \
			(list)->v = list_grow((a), (list)->v, &(list)->cap, sizeof(*(list)->v)); \
		(list)->v[(list)->n++] = (item);                                                 \
	} while (0)

#endif
