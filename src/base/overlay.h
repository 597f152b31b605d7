/*
 * overlay — the options of an overlay mount, which the kernel's overlayfs and fuse-overlayfs
 * write alike: "lowerdir=A:B,upperdir=U,workdir=W".
 */
#ifndef SBX_BASE_OVERLAY_H
#define SBX_BASE_OVERLAY_H

struct arena;

/* The folders by name; the topmost lower one comes first. */
struct overlay {
	const char *const *lower; /* ends with NULL */
	const char *upper;        /* NULL: read-only, and no `work` */
	const char *work;
	const char *more; /* further options as they are, or "" */
};

/*
 * A name keeps its ':', ',' and '\\': the kernel undoes the escapes.  fuse-overlayfs does not do so
 * everywhere; for it only names without these three are fit.
 */
const char *overlay_options(struct arena *a, const struct overlay *o);

#endif
