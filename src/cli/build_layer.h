/*
 * build_layer — a step that changes files: looked up in the cache, or done in an environment of its own and committed.
 */
#ifndef SBX_CLI_BUILD_LAYER_H
#define SBX_CLI_BUILD_LAYER_H

#include <stdbool.h>

#include "cli/build.h"
#include "run/view.h"

struct buf;
struct env;

/* Something to do to the files of a stage. */
struct build_work {
	const struct cf_step *step;
	const char *text; /* for the history and the lines of progress */
	/* Its part of the key: all that it depends on, but the stage itself (build_key). */
	struct buf *key;
	/* Do it; the environment does not run. */
	int (*fn)(struct build *b, struct build_stage *stage, struct env *env,
		  const struct plan *plan, void *arg, struct err *err);
	void *arg;
	bool network; /* as the profile says; else none */
};

/* Then the stage's chain and history have it. */
int build_layer(struct build *b, struct build_stage *stage, const struct build_work *work,
		struct err *err);

/* The plan of a step's environment. */
int build_plan(struct build *b, const struct build_stage *stage, struct env *env, bool network,
	       const struct plan **ret, struct err *err);

/* An environment on the layers of a stage, and its plan, to look at it.  build_env_remove ends it. */
int build_look(struct build *b, const struct build_stage *stage, struct env *ret,
	       const struct plan **ret_plan, struct err *err);

/* What a stage is so far, for a key. */
void build_key_chain(const struct build_stage *stage, struct buf *key);

/* "[2/7] RUN …", and a mark behind it. */
void build_tell(const struct build *b, const char *text, const char *mark);

#endif
