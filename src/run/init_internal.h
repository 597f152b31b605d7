/* What the files init*.c share; for nobody else. */
#ifndef SBX_RUN_INIT_INTERNAL_H
#define SBX_RUN_INIT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "run/command.h"
#include "run/init.h"
#include "run/seccomp.h"

struct err;
struct sandbox;

struct init {
	const struct sandbox *sb;
	int supervisor;
	int before_v; /* the mount namespace that pid 1 has left, or -1 */
	int inner;
	int signals;
	struct seccomp_filters filters;
	struct command_context context; /* but conn, inner and commands */
	pid_t *shims;
	size_t n_shims;
	pid_t idle; /* a shim that waits for an order, or 0 */
	int idle_sock;
	bool served;         /* since the last one was made */
	uint64_t idle_since; /* when the last command ended */
	uint64_t stop_since; /* 0: not stopping */
	bool hung_up;
};

/* Until requests could be taken, and that was said.  The current folder is the environment's. */
int init_start(struct init *in, struct err *err);

/* Wait for the supervisor's word.  When it is gone so is everything. */
int init_await(const struct init *in, enum init_word word, struct err *err);

#endif
