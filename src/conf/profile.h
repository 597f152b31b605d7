/*
 * profile — sbx.ini as data: what somebody wrote, merged along `extends`.
 *
 * Text in, struct out: no file is opened and nothing is looked up here; the
 * caller hands in the texts.  Grammar: sbx.ini(5), DESIGN.md §3.
 */
#ifndef SBX_CONF_PROFILE_H
#define SBX_CONF_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/containerfile.h"

struct arena;
struct err;

/* Where a value was written; file is NULL for a built-in default. */
struct origin {
	const char *file;
	int line;
	bool trusted; /* not from a project's own file */
};

/* One text to parse. `file` is for messages. */
struct profile_source {
	const char *file;
	const char *text; /* may hold any bytes, NUL too: they are refused with their line */
	size_t len;
	bool trusted;
};

/* Finds a named profile for `extends`; everything it returns lives in `a`.
 * Not there: fail with a message (the parser adds who asked). */
typedef int (*profile_find_fn)(void *ctx, struct arena *a, const char *name,
			       struct profile_source *ret, struct err *err);

struct text_value {
	const char *s;
	struct origin at;
};

struct u64_value {
	uint64_t n;
	bool set;
	struct origin at;
};

struct bool_value {
	bool on;
	struct origin at;
};

enum user_as { AS_SELF, AS_ROOT };
enum net_mode { NET_SLIRP, NET_NONE, NET_HOST };
enum net_driver { NETDRV_AUTO, NETDRV_SLIRP4NETNS, NETDRV_PASTA };
enum seccomp_mode { SECCOMP_DEFAULT, SECCOMP_STRICT, SECCOMP_OFF };
enum base_kind { BASE_HOST, BASE_DIR, BASE_TAR, BASE_OCI, BASE_LAYER, BASE_REGISTRY };

struct mount_value {
	const char *host;   /* as written: absolute, ~ or ~/…, or relative to the file's folder */
	const char *inside; /* absolute and clean */
	bool writable;      /* default: read-only */
	struct origin at;
};

struct port_value {
	const char *address; /* NULL: 127.0.0.1 */
	uint16_t host;       /* 0: any that is free (`sbx port add` alone) */
	uint16_t inside;
	bool udp;
	bool optional; /* never as parsed: where it is taken, the sandbox starts without it */
	struct origin at;
};

struct env_value {
	const char *name;
	const char *value; /* NULL: passed from outside */
	struct origin at;
};

/* A step of [build]. */
struct build_value {
	enum cf_kind kind; /* CF_RUN, CF_COPY, CF_ENV, CF_WORKDIR */
	const char *s;
	struct origin at;
};

#define LIST_OF(type)       \
	struct {            \
		type *v;    \
		size_t n;   \
		size_t cap; \
	}

struct profile {
	struct text_value name; /* NULL: the caller's default (the folder's name) */
	struct {
		enum base_kind kind;
		/* Behind dir: tar: oci: layer:, or the registry reference; NULL for host. */
		const char *ref;
		struct origin at;
	} base;
	struct {
		enum user_as as;
		struct origin at;
	} user;
	/* set.X and pass, in the order written; a later one of a name wins */
	LIST_OF(struct env_value) env;
	LIST_OF(struct mount_value) mounts;
	struct {
		enum net_mode mode;
		struct origin mode_at;
		enum net_driver driver;
		struct origin driver_at;
		LIST_OF(struct port_value) ports;
	} net;
	struct {
		struct u64_value memory;    /* bytes */
		struct u64_value millicpus; /* thousandths of a CPU */
		struct u64_value pids;
		struct bool_value best_effort;
	} limits;
	struct {
		enum seccomp_mode seccomp;
		struct origin seccomp_at;
		struct bool_value nested;
	} security;
	/* What of the user's session is shown inside. */
	struct {
		struct bool_value ssh_agent, git, wayland, x11, gpu;
	} share;
	LIST_OF(struct build_value) build; /* in the order written, those of parents first */
	LIST_OF(struct text_value) commit_exclude; /* patterns: sbx.ini(5), store/diff.h */
	struct {
		uint64_t linger_ms;
		struct origin linger_at;
	} sandbox;
	LIST_OF(struct text_value) files; /* every file read, the project's first: s = file */
	const char *text; /* all texts one after the other, each with its file's name before it:
			     what trust's digest is taken over */
	size_t text_len;
};

/* The built-in defaults: host base, self, slirp, seccomp default, linger 30 s. */
void profile_defaults(struct arena *a, struct profile *ret);

/*
 * Parse `top` and all that it extends.  Unknown sections and keys, bad values,
 * duplicates, loops and hostile bytes fail with "FILE:LINE: …" and the nearest right name.
 */
int profile_parse(struct arena *a, const struct profile_source *top, profile_find_fn find,
		  void *ctx, const struct profile **ret, struct err *err);

/*
 * As much of it as can be read, for what only tells or undoes: bad lines are left out, and so is what cannot be
 * extended.  0, or 1 where something was: `err` is the first failure that profile_parse would have had.  *ret is always
 * set.
 */
int profile_parse_rest(struct arena *a, const struct profile_source *top, profile_find_fn find,
		       void *ctx, const struct profile **ret, struct err *err);

/* Write the merged profile as INI again, each line with its origin as a comment (`sbx profile show`). */
struct buf;
void profile_print(const struct profile *p, struct buf *ret);

/* What `[base] image =` says, as it is written there: "host", "oci:./dir:tag". */
const char *profile_base(struct arena *a, const struct profile *p);

/* Is it an image: neither the host's root nor a folder? */
bool profile_is_image(const struct profile *p);

/* The key of a step of [build]: "run". */
const char *build_step_name(enum cf_kind kind);

/* The names of all enum values, for messages and completion. */
const char *user_as_name(enum user_as v);
const char *net_mode_name(enum net_mode v);
const char *net_driver_name(enum net_driver v);
const char *seccomp_mode_name(enum seccomp_mode v);

#endif
