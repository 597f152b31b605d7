/*
 * build — a Containerfile becomes an image: its stages one after the other, each step that changes files a layer, and
 * a layer that is known (store/build_cache.h) taken as it is.
 *
 * Each such step has an environment of its own (store/build_env.h), which ends with it.
 */
#ifndef SBX_CLI_BUILD_H
#define SBX_CLI_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/mem.h"
#include "cli/base.h"
#include "conf/containerfile.h"
#include "conf/dockerignore.h"
#include "conf/profile.h"
#include "store/env.h"
#include "store/oci.h"
#include "store/pin.h"

struct buf;
struct err;
struct plan;

/* What a step made: for --check, and for the record. */
struct build_made {
	const char *file;
	int line;
	const char *text;
	const char *digest; /* of its layer; "": it changed nothing */
	const char *tree;
};

struct build_stage {
	const char *name; /* FROM … AS, or NULL */
	const char *from; /* as FROM says it */
	struct base base;
	bool over_host;
	struct chain chain;
	struct oci_config config; /* with the history of what is in the chain */
	struct strv args;         /* NAME=value of ARG so far */
	bool own_cmd;             /* by a CMD of its own */
	const char *start;        /* where commands start, if WORKDIR does not say it; or NULL */
};

struct build {
	struct arena *a;
	const struct store *store;
	const struct profile *profile; /* its network counts; or NULL */
	const char *context;           /* absolute; "" : none */
	int context_fd;                /* or -1 */
	struct dockerignore ignore;
	const struct containerfile *file;
	const char *target; /* stage, or NULL: the last */
	struct strv given;  /* --build-arg: NAME=value */
	struct strv global; /* ARG before the first FROM */
	/* The steps are the profile's (build_profile.h): the base is that one's, commands see the project, and run as root. */
	bool of_profile;
	bool allowed; /* as in base_for */
	bool no_cache;
	bool unlocked;    /* with of_profile: whatever a lock file says of the base */
	bool cached_only; /* a step that is not known: ENOENT */
	int64_t newest;   /* SOURCE_DATE_EPOCH, or INT64_MAX */
	struct pin pin;
	const struct plan *any; /* a plan of the map in use */

	struct build_stage *stages;
	size_t n_stages;
	struct build_made *made;
	size_t n_made;
	size_t step, n_steps; /* for the lines that say how far it is */
	size_t cached;
};

/* Build up to the target stage; *ret is it. */
int build_stages(struct build *b, const struct build_stage **ret, struct err *err);

/* Name the result (`ref` NULL: it gets no name): config, manifest, layers as blobs. */
int build_image(struct build *b, const struct build_stage *stage, const char *ref,
		char ret_manifest[DIGEST_HEX + 1], struct err *err);

/* "FILE:LINE: " before the message (`file` NULL: the Containerfile); returns -1. */
int build_failed_at(const struct build *b, const char *file, int line, struct err *err);

/* The word of an instruction, as it is written there. */
const char *build_word(const struct build *b, const struct cf_step *step);

/* The folder that is copied from, and what of it is not in it. */
int build_open_context(struct build *b, const char *dir, struct err *err);

/* SOURCE_DATE_EPOCH; `check`: a time that is the same twice. */
int build_read_epoch(struct build *b, bool check, struct err *err);

/* The first of the names (NULL-terminated) that is in the folder: *ret_name, and its text.  None: ENOENT. */
int build_read_first(int dir_fd, const char *const *names, size_t limit, const char **ret_name,
		     struct buf *ret, struct err *err);

/* What is built of a folder, where nobody gave a name: "localhost/my-folder:latest". */
const char *build_default_ref(struct arena *a, const char *dir);

#endif
