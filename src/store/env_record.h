/*
 * env_record — env.json: what `struct env` says, as a record (record.h).
 */
#ifndef SBX_STORE_ENV_RECORD_H
#define SBX_STORE_ENV_RECORD_H

#include <jansson.h>

#include "store/env.h"

struct arena;
struct err;

/* The name of the upper folder of that number. */
const char *env_upper_name(struct arena *a, uint64_t n);

/* Fill in what env.json in the folder `fd` says; `e->dir` is for messages. */
int env_record_read(struct arena *a, int fd, struct env *e, struct err *err);

/* Write all of it; the chain as JSON, and back, serves the tags too. */
int env_record_write(int fd, const struct env *e, struct err *err);
json_t *chain_to_json(const struct chain *c);
/* -1 where a value is missing or wrong. */
int chain_from_json(struct arena *a, const json_t *array, struct chain *ret);

#endif
