#include "cli/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/open.h"
#include "conf/image.h"
#include "conf/lockfile.h"
#include "conf/profile.h"
#include "plan/host_fingerprint.h"
#include "store/image.h"

int lock_read(struct arena *a, const char *project, struct lockfile *ret, bool *ret_there,
	      struct err *err)
{
	_cleanup_fd_ int dir = open(project, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_buf_ struct buf text = {0};
	struct stat st;

	if (dir < 0)
		return err_errno(err, errno, "cannot open the project '%s'", project);
	*ret_there = false;
	if (fstatat(dir, LOCKFILE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return 0;
	if (fs_read_at(dir, LOCKFILE_NAME, LOCKFILE_MAX, &text, err) < 0)
		return -1;
	if (lockfile_parse(a, text.p ? text.p : "", text.len, ret, err) < 0) {
		err_prefix(err, "%s/" LOCKFILE_NAME, project);
		return err->hint[0] ? -1 : err_hint(err, "make it again: sbx lock");
	}
	*ret_there = true;
	return 0;
}

/* The lock, where it is for the base that the profile names. */
static int read_for(struct arena *a, const struct profile *p, const char *project,
		    struct lockfile *ret, bool *ret_there, struct err *err)
{
	const char *base = profile_base(a, p);

	*ret_there = false;
	if (lock_read(a, project, ret, ret_there, err) < 0)
		return -1;
	if (!*ret_there || str_eq(ret->base.image, base))
		return 0;
	err_set(err, "the profile's base is '%s', and " LOCKFILE_NAME " is for '%s'", base,
		ret->base.image);
	return err_hint(err, "to lock what the profile says now: sbx lock");
}

int lock_reference(struct arena *a, const struct profile *p, const char *project,
		   const char **ret_ref, struct err *err)
{
	struct lockfile lock;
	struct image_ref r;
	bool there;

	if (read_for(a, p, project, &lock, &there, err) < 0)
		return -1;
	/* What this store alone has goes by its layers: it was made here. */
	if (!there || p->base.kind != BASE_REGISTRY || !lock.base.manifest[0] ||
	    str_starts(p->base.ref, "localhost/"))
		return 0;
	if (image_ref_parse(a, p->base.ref, &r, err) < 0)
		return -1;
	if (r.digest && !str_eq(r.digest, lock.base.manifest)) {
		err_set(err, "the profile's base is '%s', and " LOCKFILE_NAME " pins sha256:%s",
			p->base.ref, lock.base.manifest);
		return err_hint(err, "to lock what the profile says now: sbx lock");
	}
	*ret_ref = arena_printf(a, "%s/%s%s%s@sha256:%s", r.registry, r.repository,
				r.tag ? ":" : "", r.tag ? r.tag : "", lock.base.manifest);
	return 0;
}

static bool same_layers(const struct lock_image *lock, const struct oci_config *c)
{
	if (lock->n_layers != c->n_diff_ids)
		return false;
	for (size_t i = 0; i < c->n_diff_ids; i++)
		if (strcmp(lock->layers[i], c->diff_ids[i]) != 0)
			return false;
	return true;
}

int lock_check_image(struct arena *a, const struct profile *p, const char *project,
		     const struct image_info *info, struct err *err)
{
	struct lockfile lock;
	bool there;

	if (read_for(a, p, project, &lock, &there, err) < 0)
		return -1;
	/* Whoever packed them: the same layers show the same. */
	if (!there || same_layers(&lock.base, &info->config))
		return 0;
	err_set(err,
		"'%s' is not what " LOCKFILE_NAME " pins: its manifest is sha256:%s, not sha256:%s",
		lock.base.image, info->digest, lock.base.manifest);
	return err_hint(err,
			"if it was meant to change: sbx lock; else bring back what was locked");
}

int lock_check_build(struct arena *a, const struct profile *p, const char *project,
		     const struct image_info *info, struct err *err)
{
	struct lockfile lock;
	bool there;

	if (read_for(a, p, project, &lock, &there, err) < 0)
		return -1;
	if (!there || !lock.build.image || same_layers(&lock.build, &info->config))
		return 0;
	if (!profile_is_image(p)) {
		log_warn("what [build] makes here is not what " LOCKFILE_NAME " pins, sha256:%s: "
			 "to lock what it is here, sbx lock",
			 lock.build.manifest);
		return 0;
	}
	err_set(err,
		"what [build] makes is not what " LOCKFILE_NAME " pins: its manifest is sha256:%s, "
		"not sha256:%s",
		info->digest, lock.build.manifest);
	return err_hint(err, "to lock what it makes here: sbx lock; or get the image that is "
			     "locked, by sbx pull or sbx load: it is taken as it is");
}

int lock_check_host(struct arena *a, const struct profile *p, const char *project, struct err *err)
{
	struct lockfile lock;
	const char *host;
	bool there;

	if (read_for(a, p, project, &lock, &there, err) < 0)
		return -1;
	if (!there || !lock.base.host)
		return 0;
	host = fingerprint_host(a);
	if (!str_eq(host, lock.base.host))
		log_warn("this host is %s, and " LOCKFILE_NAME " was made on %s: to lock this one, "
			 "sbx lock",
			 host, lock.base.host);
	return 0;
}

int lock_check_env(struct arena *a, const struct workplace *w, struct err *err)
{
	const struct env_image *image = &w->env.image;
	struct lockfile lock;
	bool there;

	if (read_for(a, w->profile, w->project, &lock, &there, err) < 0)
		return -1;
	if (!there || !lock.base.manifest[0])
		return 0;
	if (image->ref &&
	    (image->build[0] ? image->n >= lock.base.n_layers : image->n == lock.base.n_layers)) {
		size_t i = 0;

		while (i < lock.base.n_layers &&
		       strcmp(w->env.chain.v[i].digest, lock.base.layers[i]) == 0)
			i++;
		if (i == lock.base.n_layers)
			return 0;
	}
	err_set(err,
		"the environment '%s' does not stand on what " LOCKFILE_NAME " pins, sha256:%s",
		w->env_name, lock.base.manifest);
	return err_hint(err, "to put it there, without what was changed in it: sbx reset --rebase; "
			     "or lock what there is: sbx lock");
}
