/*
 * launch — bring a sandbox up, as its plan says.
 *
 *     client       forks the guard, twice over, so that it is nobody's child
 *     guard        in the host's namespaces: makes the supervisor in U, maps U
 *     hostfs       in the host's namespaces: serves the host's root, where that is the base
 *     supervisor   in U: forks pid 1, and when U is mapped builds the root, starts slirp4netns, and fuse-overlayfs where needed
 *     ports        in U: the broker of published ports, with a dialer in the sandbox's network; when
 *                  somebody wants one (run/broker.h)
 *     pid 1        in namespaces of U's, which it makes meanwhile, with the filters and what needs no root:
 *                  mounts the rest over the root, changes to it, goes into V
 *
 * The lock of the environment is held by each of them; it is free when all are gone.  Any of
 * them may die at any time: guard and supervisor clean up after each other, all others die with
 * the supervisor (PR_SET_PDEATHSIG), and everything inside with pid 1.
 */
#ifndef SBX_RUN_LAUNCH_H
#define SBX_RUN_LAUNCH_H

struct client_request;
struct env;
struct err;
struct plan;

/*
 * Start the sandbox of `env` and return when it takes requests; *ret_sock is a connection to it,
 * which counts as a command until it is closed; `request` is what it is for.  The caller holds the start lock (run/client.h
 * does).  On failure nothing is left running or mounted, and `err` says what failed.  The processes
 * that stay are not children of the caller.
 */
int launch(const struct plan *plan, const struct env *env, const struct client_request *request,
	   int *ret_sock, struct err *err);

/*
 * Remove a tree (absolute path, inside the store's tmp/) that may hold files of subordinate
 * ids: rm -rf inside a user namespace with the plan's map.
 */
int launch_remove_tree(const struct plan *plan, const char *path, struct err *err);

#endif
