/*
 * host — facts about this machine and this user, for the plan.
 *
 * Cheap facts (programs, device nodes, subordinate ids) are looked up every
 * time; dear ones (does a user namespace work, does overlayfs mount in it) are
 * probed once and cached by boot id in the store.
 */
#ifndef SBX_PLAN_HOST_H
#define SBX_PLAN_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct arena;
struct err;

struct id_range {
	uint32_t start;
	uint32_t count;
};

/* A top-level name of the host's root that belongs to an operating system. */
struct host_entry {
	const char *name;   /* "usr" */
	const char *target; /* symlink target, or NULL for a folder */
};

/* A file that is closed to this user, and what stands for it. */
struct host_closed {
	const char *text; /* NULL: there is none */
	uint32_t mode, gid;
};

struct host_facts {
	/* the user */
	uint32_t uid, gid;
	const char *user;  /* login name */
	const char *group; /* name of the primary group */
	const char *home;
	const char *real_home; /* without a link in its path; NULL: as `home` */
	const char *shell;
	struct id_range subuid, subgid; /* count 0: none.  The longest range of the user. */

	/* the machine */
	const char *hostname;
	const char *boot_id;
	const char *newuidmap, *newgidmap; /* absolute paths, NULL: not there */
	const char *fuse_overlayfs, *slirp4netns, *pasta;
	bool dev_fuse, dev_tun;  /* can be opened read-write by this user */
	bool userns;             /* a user namespace can be made and has its capabilities */
	const char *userns_why;  /* why not: "user.max_user_namespaces is 0", …; else NULL */
	bool overlay_userxattr;  /* kernel overlayfs with userxattr mounts in it */
	bool cgroup_delegated;   /* a cgroup v2 folder that this user may write */
	const char *resolv_conf; /* text of the host's /etc/resolv.conf ("" where there is none) */

	/* the user's session: only where the profile shares it (host_share.h); NULL: not there */
	const char *ssh_agent; /* the socket */
	const char *wayland;   /* the socket */
	const char *x11;       /* the socket */
	const char *display;   /* of it: ":0" */
	const char *git_name, *git_mail;
	const char *const *gpu; /* device nodes, sorted; NULL-terminated */

	/* the host's root as a base */
	struct host_entry *entries;
	size_t n_entries;
	struct host_closed shadow, gshadow; /* every account, none with a password */
};

/*
 * Fill the facts (all in `a`).  `cache_dir_fd`: where host.json is kept, or -1
 * for no cache.  Fails only where nothing could go on (no passwd entry); a
 * missing part is a fact, not a failure.  `with_base`: the walk for unreadable
 * paths is needed (host base); else entries and unreadable may stay empty.
 */
int host_probe(struct arena *a, int cache_dir_fd, bool with_base, struct host_facts *ret,
	       struct err *err);

/* Drop the cache, so that the next probe finds everything out again: `sbx doctor`. */
void host_forget(int cache_dir_fd);

#endif
