/*
 * commit — the changes of an environment become a layer on top of its chain.
 *
 *     stopped   the upper folder itself becomes the layer's tree, by rename
 *     running   what changed is copied (reflinks where the filesystem has them); the upper folder stays
 *
 * Runs in the environment's user namespace, with the view of what lies below (run/view.h); the caller holds
 * the environment (client_hold), or where it runs, its start lock.
 */
#ifndef SBX_STORE_COMMIT_H
#define SBX_STORE_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "store/emit.h"
#include "store/env.h"

struct arena;
struct entries;
struct err;

/* A deeper chain cannot be mounted everywhere (the kernel's limit is 500), and is slow: squash it. */
#define COMMIT_CHAIN_MAX 250

struct commit_input {
	const struct store *store;
	struct env *env; /* its chain grows */
	int lower, upper;
	bool running;
	bool owners;                /* false on one id: the layer's files belong to 0:0 */
	const char *const *exclude; /* what stays uncommitted (diff_excluded), or NULL */
	int64_t now;                /* seconds since the epoch */
	int64_t newest;             /* as in struct emit */
	const char *message, *by;
	const char *host; /* the host's fingerprint, where its root is the base; or NULL */
	emit_progress_fn progress;
	void *progress_ctx;
};

struct commit_result {
	bool empty; /* nothing had changed: no layer was made */
	char digest[DIGEST_HEX + 1];
	uint64_t added, modified, deleted;
	uint64_t kept; /* changes that were left uncommitted because of `exclude` */
	uint64_t bytes;
};

/*
 * The two steps that squash takes too: skeleton and layer.json of the tree and its entries into the
 * staging folder, all of it on disk; and the chain's word for that layer.
 */
int commit_emit(const struct commit_input *in, const struct layer_stage *st, int tree,
		const struct entries *list, struct layer_info *ret, struct err *err);
struct commit commit_entry(struct arena *a, const struct commit_input *in,
			   const struct layer_info *info);

/* Once it returns 0, all is on disk. */
int commit_make(struct arena *a, const struct commit_input *in, struct commit_result *ret,
		struct err *err);

#endif
