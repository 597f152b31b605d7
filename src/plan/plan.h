/*
 * plan — everything that will be done, decided before anything is done.
 *
 *     struct profile + struct host_facts + struct plan_env  →  struct plan
 *
 * plan_make is pure: no system call, no clock, no environment; the same input
 * gives the same plan on any machine.  Golden files test it.  What a profile
 * asks that cannot be done (or not yet) is refused here, with file:line.
 */
#ifndef SBX_PLAN_PLAN_H
#define SBX_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/profile.h"

struct arena;
struct buf;
struct err;
struct host_facts;

#define PLAN_MAX_MAP 4

/* Where pasta answers DNS: a link-local address that nobody has. */
#define PLAN_PASTA_DNS "169.254.1.1"

/* One line of an id map: `count` ids from `inside` on are `outside`…, user_namespaces(7). */
struct id_map_line {
	uint32_t inside;
	uint32_t outside;
	uint32_t count;
};

struct id_map {
	struct id_map_line line[PLAN_MAX_MAP];
	size_t n;
};

/* Which rung of the ladder of id maps: DESIGN.md §5.2. */
enum id_rung {
	RUNG_SUBIDS, /* subordinate ids through newuidmap and newgidmap */
	RUNG_SINGLE, /* one id; root is emulated by a seccomp filter */
};

enum root_driver {
	ROOT_FUSE,   /* fuse-overlayfs */
	ROOT_KERNEL, /* overlayfs with userxattr */
};

/* An entry of the stand-ins, which lie right over the base: what it lacks (mount points, sudo,
 * resolv.conf), without a byte in the upper. */
enum standin_kind {
	STANDIN_DIR, /* merged with what lies below */
	STANDIN_FILE,
	STANDIN_LINK,
};

struct standin {
	enum standin_kind kind;
	const char *path; /* absolute, clean; parents come first in the list */
	const char *data; /* file: content; link: target */
	uint32_t mode;
	bool self;         /* owned by the user's own id, not by root */
	uint32_t uid, gid; /* else owned by these, as V numbers them; 0: root */
};

/* A folder of the host's that shows empty. */
struct hidden_path {
	const char *path; /* absolute, clean */
	uint32_t mode;    /* as which it shows, and root's; 0: as it is */
};

/* What is mounted over the root, in this order, each target resolved inside the root. */
enum mount_kind {
	MOUNT_TMPFS,  /* data: mount options such as "mode=1777,size=…" */
	MOUNT_BIND,   /* a host path; recursive */
	MOUNT_DEV,    /* one device node of the host, bound: source /dev/null */
	MOUNT_DEVPTS, /* new instance */
	MOUNT_MQUEUE,
	MOUNT_PROC,
	MOUNT_SYSFS,    /* only where the network namespace is our own */
	MOUNT_MASK,     /* cover target with an empty, read-only file or folder, if it is there */
	MOUNT_READONLY, /* make target (a folder or file of /proc) read-only, if it is there */
	MOUNT_LINK,     /* not a mount: symlink target -> source, on a tmpfs made above */
	MOUNT_DIR,      /* not a mount: a folder on a tmpfs made above; mode */
	MOUNT_FILE,     /* not a mount: a file on a tmpfs made above; data, mode */
};

struct mount_step {
	enum mount_kind kind;
	const char *source;
	const char *target;
	const char *data;
	uint32_t mode;
	bool readonly;
	bool self;        /* owned by the user's own id */
	bool from_env;    /* source is relative to the environment's folder (home) */
	bool optional;    /* a missing source is skipped */
	bool policy;      /* keeps what rules this sandbox (sbx.ini, sbx.lock, .sbx/) as it is */
	struct origin at; /* the profile line that asked for it, or zero */
};

struct plan {
	/* what */
	const char *env_id;
	const char *env_dir; /* absolute: …/envs/<id> */
	const char *name;    /* for people, and the host name inside */
	const char *project; /* absolute path, the same inside */

	/* ids */
	enum id_rung rung;
	struct id_map uid_map, gid_map;             /* U: inside ← host */
	struct id_map inner_uid_map, inner_gid_map; /* V: inside ← U */
	bool as_root;                               /* commands run as 0, not as self */
	uint32_t self_uid, self_gid;                /* the user's ids as seen in V */
	const char *user, *group, *home, *shell;
	const char *host_home;             /* the user's home outside, without a link in its path */
	const char *newuidmap, *newgidmap; /* NULL on the single rung */

	/* root */
	enum base_kind base;  /* what lies below all layers: BASE_HOST, BASE_DIR, else nothing */
	const char *base_dir; /* BASE_DIR: absolute; else NULL */
	const char *image;    /* as the profile names it; NULL: none */
	const char *image_digest; /* its manifest's; NULL: not known yet */
	const char *const
		*layers;   /* trees over the base, topmost first; NULL-terminated, never NULL */
	size_t n_image;    /* so many of the lowest lie below the stand-ins */
	const char *upper; /* the name of the upper folder in the environment's */
	enum root_driver driver;
	const char *fuse_overlayfs;
	const char *fuse_options; /* "squash_to_root" or "" */
	const struct host_entry *entries;
	size_t n_entries;
	const struct hidden_path *hidden;
	size_t n_hidden;
	struct standin *standins;
	size_t n_standins;
	struct mount_step *mounts;
	size_t n_mounts;

	/* network */
	enum net_mode net;
	const char *slirp4netns;        /* NET_SLIRP: its program, or NULL */
	const char *pasta;              /* or that one's */
	const struct port_value *ports; /* each with its address */
	size_t n_ports;

	/* security */
	bool emulate_root; /* the zero-consistency seccomp filter for root's calls */
	enum seccomp_mode seccomp;
	bool nested;

	/* commands */
	const char **env; /* NULL-terminated NAME=value: the whole environment but what is passed */
	const char **pass; /* NULL-terminated names taken from the caller's environment */
	uint64_t linger_ms;
};

/* What the plan needs to know of the image that an environment stands on. */
struct plan_image {
	const char *ref;
	const char *digest;     /* of its manifest */
	size_t layers;          /* how many of the environment's are its */
	bool over_host;         /* they lie on the host's root */
	const char *const *env; /* NAME=value, of its config; NULL: none */
	/* Texts of its files, NULL where it has none that can be used. */
	const char *passwd, *group;
	const char *shell; /* one that it has; NULL: not known */
};

/* What the plan needs to know of the environment and the caller. */
struct plan_env {
	const char *env_id;
	const char *env_dir;
	const char *store_dir; /* absolute; nothing mounted may contain it */
	const char *project;   /* absolute, clean */
	const char *name;      /* the project folder's name: default for the profile's */
	/* An environment keeps the map it was made with: -1 not made yet, else enum id_rung. */
	int kept_rung;
	int kept_as; /* 1 + enum user_as; 0: not known */
	/* For a step of an image's build: what is written anywhere is to stay in its layer, so there is neither
	 * project nor home nor a /tmp and /run of their own, and no account of the user. */
	bool build;
	/* But for [build]: the project shows, read-only, at its own path. */
	bool build_project;
	const char *const *layers; /* absolute paths of layers' trees, topmost first; NULL: none */
	const struct plan_image *image; /* that the environment stands on; NULL: on none yet */
	const char *upper;              /* the upper folder, a name in the environment's; NULL: not
				* made yet, "upper.1" */
	bool sudo_helper;               /* the static helper is there to be bound */
	const char *sudo_path;          /* its absolute path on the host */
};

int plan_make(struct arena *a, const struct profile *p, const struct host_facts *facts,
	      const struct plan_env *env, const struct plan **ret, struct err *err);

/* The plan as text, a step a line: `sbx run --dry-run`, and the golden files. */
void plan_show(const struct plan *plan, struct buf *ret);

const char *id_rung_name(enum id_rung r);         /* "subordinate ids", "one id" */
const char *root_driver_name(enum root_driver d); /* "fuse-overlayfs", "overlayfs" */

#endif
