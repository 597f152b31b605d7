/*
 * launch — bring a sandbox up, as its plan says.
 */
#ifndef SBX_RUN_LAUNCH_H
#define SBX_RUN_LAUNCH_H

struct env;
struct err;
struct plan;
struct store;

/*
 * Start the sandbox of `env` and return when it takes requests.  The caller holds
 * the start lock (run/client.h does).  On failure nothing is left running or
 * mounted, and `err` says what failed.  The processes that stay (guard,
 * supervisor, pid 1, fuse-overlayfs, slirp4netns) are not children of the caller.
 */
int launch(const struct plan *plan, const struct env *env, struct err *err);

/*
 * Remove a tree (absolute path, inside the store's tmp/) that may hold files of subordinate
 * ids: rm -rf inside a user namespace with the plan's map.
 */
int launch_remove_tree(const struct plan *plan, const char *path, struct err *err);

#endif
