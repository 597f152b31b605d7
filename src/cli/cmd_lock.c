#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/base.h"
#include "cli/build.h"
#include "cli/build_profile.h"
#include "cli/command.h"
#include "cli/images.h"
#include "cli/lock.h"
#include "cli/open.h"
#include "cli/out.h"
#include "conf/lockfile.h"
#include "conf/profile.h"
#include "plan/host_fingerprint.h"

struct values {
	struct where where;
	bool check;
};

static const struct opt opts[] = {
	OPT_DIRECTORY(struct values),
	{"check", 0, NULL, offsetof(struct values, check),
	 "change nothing: exit 1, and say what differs, where it is not as locked"},
	{0},
};

static void take_image(struct arena *a, const char *ref, const struct image_info *info,
		       struct lock_image *ret)
{
	ret->image = arena_strdup(a, ref);
	memcpy(ret->manifest, info->digest, sizeof(ret->manifest));
	ret->layers = info->config.diff_ids;
	ret->n_layers = info->config.n_diff_ids;
}

/* What [build] makes; built, unless it is only checked. */
static int take_build(struct arena *a, const struct workplace *w, bool only_check,
		      struct lock_image *ret, struct err *err)
{
	const struct build_profile in = {
		.store = &w->store,
		.project = w->project,
		.profile = w->profile,
		.unlocked = true,
		.allowed = w->allowed,
		.cached_only = only_check,
	};
	struct base got = {0};

	if (w->profile->build.n == 0)
		return 0;
	if (build_profile(a, &in, &got, err) < 0) {
		if (!only_check || err->errnum != ENOENT)
			return -1;
		err_set(err, "cannot check the build of '%s': not all of its steps are built here",
			w->project);
		return err_hint(err, "build it first: sbx build");
	}
	take_image(a, build_default_ref(a, w->project), &got.info, ret);
	memcpy(ret->steps, got.build, sizeof(ret->steps));
	base_done(&w->store, &got);
	return 0;
}

/* What it is now. */
static int take(struct arena *a, const struct workplace *w, bool only_check, struct lockfile *ret,
		struct err *err)
{
	const char *base = profile_base(a, w->profile);
	struct base got = {0};
	const struct plan *plan;

	*ret = (struct lockfile){.base = {.image = base}};
	memcpy(ret->profile, w->digest, sizeof(ret->profile));
	if (w->profile->base.kind == BASE_HOST)
		ret->base.host = fingerprint_host(a);
	if (take_build(a, w, only_check, &ret->build, err) < 0)
		return -1;
	if (!profile_is_image(w->profile))
		return 0;
	if (images_plan(a, &w->store, &plan, err) < 0 ||
	    base_get_ref(a, &(struct base_for){&w->store, w->project, plan, w->allowed}, base, &got,
			 err) < 0)
		return -1;
	take_image(a, base, &got.info, &ret->base);
	base_done(&w->store, &got);
	return 0;
}

static int write_lock(const char *project, const struct lockfile *lock, struct err *err)
{
	_cleanup_fd_ int dir = open(project, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_buf_ struct buf text = {0};

	if (dir < 0)
		return err_errno(err, errno, "cannot open the project '%s'", project);
	lockfile_write(lock, &text);
	return fs_write_atomic(dir, LOCKFILE_NAME, text.p, text.len, 0644, err);
}

static void differ(struct buf *b, const char *what, const char *locked, const char *now)
{
	if (str_eq(locked, now))
		return;
	buf_printf(b, "%s: locked %s, now %s\n", what, locked ? locked : "nothing",
		   now ? now : "nothing");
}

static void compare_images(struct buf *b, const char *what, const struct lock_image *locked,
			   const struct lock_image *now)
{
	size_t n = 0;

	differ(b, what, locked->image, now->image);
	if (!str_eq(locked->image, now->image))
		return;
	differ(b, "host", locked->host, now->host);
	while (n < locked->n_layers && n < now->n_layers &&
	       strcmp(locked->layers[n], now->layers[n]) == 0)
		n++;
	if (n < locked->n_layers || n < now->n_layers)
		buf_printf(b, "%s %s: locked sha256:%s, now sha256:%s (from layer %zu on)\n", what,
			   now->image, locked->manifest, now->manifest, n + 1);
}

static int check(struct arena *a, const struct workplace *w, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct lockfile locked;
	struct lockfile now;
	bool there;

	if (lock_read(a, w->project, &locked, &there, err) < 0)
		return -1;
	if (!there) {
		err_errno(err, ENOENT, "cannot check '%s/" LOCKFILE_NAME "'", w->project);
		return err_hint(err, "sbx lock makes it");
	}
	if (take(a, w, true, &now, err) < 0)
		return -1;
	compare_images(&b, "base", &locked.base, &now.base);
	compare_images(&b, "build", &locked.build, &now.build);
	differ(&b, "profile", locked.profile, now.profile);
	if (b.len == 0)
		return 0;
	return out_write(&b, err) < 0 ? -1 : 1;
}

static int lock(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct lockfile now;

	if (open_project(cli->a, &v->where, &w, err) < 0 || open_profile(cli->a, &w, err) < 0 ||
	    open_check_allowed(cli->a, &w, err) < 0)
		return -1;
	if (v->check)
		return check(cli->a, &w, err);
	if (take(cli->a, &w, false, &now, err) < 0 || write_lock(w.project, &now, err) < 0)
		return -1;
	log_info("wrote '%s/" LOCKFILE_NAME "': keep it with sbx.ini", w.project);
	return 0;
}

const struct command *cmd_lock(void)
{
	static const struct command row = {
		.table =
			{.name = "lock",
			 .summary = "pin what the project stands on: write sbx.lock",
			 .details =
				 "Write sbx.lock beside sbx.ini: the digests of the base image and of its layers (or\n"
				 "which host it is), of what [build] makes, and of the profile.  With it, a new\n"
				 "environment stands on exactly that, here and on other machines.  The name of an\n"
				 "image means what this store has of it; `sbx pull` gets what is newer.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = lock,
	};

	return &row;
}
