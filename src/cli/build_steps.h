/*
 * build_steps — the steps that change files.
 */
#ifndef SBX_CLI_BUILD_STEPS_H
#define SBX_CLI_BUILD_STEPS_H

#include "cli/build.h"
#include "cli/build_layer.h"

int build_step_run(struct build *b, struct build_stage *stage, const struct cf_step *step,
		   struct err *err);

/* COPY and ADD. */
int build_step_copy(struct build *b, struct build_stage *stage, const struct cf_step *step,
		    struct err *err);

int build_step_workdir(struct build *b, struct build_stage *stage, const struct cf_step *step,
		       struct err *err);

/* An earlier stage by its name or number; NULL: none. */
const struct build_stage *build_find_stage(const struct build *b, const char *name);

/* What FROM, or --from, names beside stages: a base, whose layers are pinned. */
int build_base(struct build *b, const char *ref, struct build_stage *ret, struct err *err);

#endif
