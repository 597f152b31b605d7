/*
 * build_config — what the steps that change no file do to an image's config, and the variables of a stage.
 */
#ifndef SBX_CLI_BUILD_CONFIG_H
#define SBX_CLI_BUILD_CONFIG_H

#include "cli/build.h"

/* The value of a variable: of ENV, else of ARG; NULL. A cf_lookup_fn; ctx is a struct build_stage. */
const char *build_lookup(void *stage, const char *name);

/* Expand a word with the variables of the stage. */
int build_expand(const struct build *b, struct build_stage *stage, const char *word,
		 const char **ret, struct err *err);

/* The ARGs before the first FROM; their values are `global`. */
int build_global_arg(struct build *b, const struct cf_step *step, struct err *err);

/* Expand a word of FROM. */
int build_expand_global(const struct build *b, const char *word, const char **ret, struct err *err);

/* Do the step, if it is one of them: *ret_done. */
int build_config_step(const struct build *b, struct build_stage *stage, const struct cf_step *step,
		      bool *ret_done, struct err *err);

/* Another entry of the history. */
void build_history(const struct build *b, struct build_stage *stage, const char *created_by,
		   int64_t created, bool empty);

/* NAME=value for RUN: the image's, and the ARGs that it does not have. */
struct strv build_env(const struct build *b, const struct build_stage *stage);

/* WORKDIR, or "/". */
const char *build_workdir(const struct build_stage *stage);

/* The path of an argument inside: absolute and clean, relative to WORKDIR. */
const char *build_path(const struct build *b, const struct build_stage *stage, const char *path);

#endif
