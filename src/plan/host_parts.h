/*
 * host_parts — the pieces of host.c, one per file.  Nobody else includes it, but tests.
 *
 * Whatever is looked up as a file is looked up below `root`, so that a made
 * tree can stand for a machine.  The namespaces that are probed are real.
 */
#ifndef SBX_PLAN_HOST_PARTS_H
#define SBX_PLAN_HOST_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "plan/host.h"

struct host_source {
	int root;         /* directory fd of "/" */
	const char *path; /* $PATH */
};

/* host_probe on another tree. */
int host_probe_at(struct arena *a, const struct host_source *src, int cache_dir_fd, bool with_base,
		  struct host_facts *ret, struct err *err);

/* host_user.c: who runs this, and which subordinate ids are theirs. */
int host_user(struct arena *a, int root, struct host_facts *ret, struct err *err);
void host_subids(struct arena *a, int root, struct host_facts *ret);
/* The longest range of `user`/`uid` in the text of a subuid(5) file. `text` is changed. */
struct id_range host_longest_range(char *text, const char *user, uint32_t uid);

/* host_parts.c: programs, device nodes, cgroup, names and texts. */
void host_parts(struct arena *a, const struct host_source *src, struct host_facts *ret);
/* A file of at most `limit` bytes as text; NULL where it cannot be read. */
const char *host_text(struct arena *a, int root, const char *path, size_t limit);

/* host_base.c: what the host's root has for a base. */
void host_base_entries(struct arena *a, int root, struct host_facts *ret);
/* shadow and gshadow. */
void host_accounts(struct arena *a, int root, struct host_facts *ret);

/* host_ns.c: tried in a child process. */
void host_userns(struct arena *a, int root, struct host_facts *ret);
bool host_overlay(int scratch_dir_fd);
/* Why the kernel said no: `status` is 0, errno of unshare(2), or HOST_NO_CAPS. */
#define HOST_NO_CAPS 255
const char *host_userns_cause(struct arena *a, int root, int status);

/* host_cache.c: host.json.  Each says whether it was there and still true. */
struct host_cache {
	bool has_ns;
};
void host_cache_load(struct arena *a, int dir_fd, int root, struct host_facts *ret,
		     struct host_cache *ret_has);
void host_cache_save(struct arena *a, int dir_fd, int root, const struct host_facts *facts,
		     const struct host_cache *has);

#endif
