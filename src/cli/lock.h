/*
 * lock — what sbx.lock of a project pins, and whether it is so.
 */
#ifndef SBX_CLI_LOCK_H
#define SBX_CLI_LOCK_H

#include <stdbool.h>

struct arena;
struct err;
struct image_info;
struct lockfile;
struct profile;
struct workplace;

/* Read the project's; *ret_there false: it has none. */
int lock_read(struct arena *a, const char *project, struct lockfile *ret, bool *ret_there,
	      struct err *err);

/* A registry's image is the one that the lock says: *ret_ref becomes it, by its digest.  Another base: refused. */
int lock_reference(struct arena *a, const struct profile *p, const char *project,
		   const char **ret_ref, struct err *err);

/* Is the image the one that is locked?  No lock: it is. */
int lock_check_image(struct arena *a, const struct profile *p, const char *project,
		     const struct image_info *info, struct err *err);

/*
 * Is what [build] made what is locked?  On an image, another one is refused.  On the host it is a warning: over
 * another host's files the same steps make other layers.
 */
int lock_check_build(struct arena *a, const struct profile *p, const char *project,
		     const struct image_info *info, struct err *err);

/* The same for a base that is no image: another host is a warning, another base refused. */
int lock_check_host(struct arena *a, const struct profile *p, const char *project, struct err *err);

/* For an environment that is there: does it stand on what is locked? */
int lock_check_env(struct arena *a, const struct workplace *w, struct err *err);

#endif
