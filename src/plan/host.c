#include "plan/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "plan/host_parts.h"

/* tmp/ of the store, where a probe that was killed is swept up; else the cache's folder. */
static void probe_overlay(int cache_dir_fd, struct host_facts *ret)
{
	_cleanup_fd_ int tmp = -1;

	if (!ret->userns)
		return;
	tmp = openat(cache_dir_fd, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ret->overlay_userxattr = host_overlay(tmp >= 0 ? tmp : cache_dir_fd);
}

int host_probe_at(struct arena *a, const struct host_source *src, int cache_dir_fd, bool with_base,
		  struct host_facts *ret, struct err *err)
{
	struct host_facts facts = {0};
	struct host_cache has = {0};
	bool found = false;

	if (host_user(a, src->root, &facts, err) < 0)
		return -1;
	host_subids(a, src->root, &facts);
	host_parts(a, src, &facts);
	if (cache_dir_fd >= 0)
		host_cache_load(a, cache_dir_fd, src->root, &facts, &has);
	if (!has.has_ns) {
		host_userns(a, src->root, &facts);
		if (cache_dir_fd >= 0)
			probe_overlay(cache_dir_fd, &facts);
		has.has_ns = found = facts.userns;
	}
	if (with_base) {
		host_base_entries(a, src->root, &facts);
		host_accounts(a, src->root, &facts);
	}
	if (cache_dir_fd >= 0 && found)
		host_cache_save(a, cache_dir_fd, src->root, &facts, &has);
	*ret = facts;
	return 0;
}

int host_probe(struct arena *a, int cache_dir_fd, bool with_base, struct host_facts *ret,
	       struct err *err)
{
	_cleanup_fd_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct host_source src = {.root = root, .path = getenv("PATH")};
	_cleanup_free_ char *real = NULL;

	if (root < 0)
		return err_errno(err, errno, "cannot open '/'");
	if (host_probe_at(a, &src, cache_dir_fd, with_base, ret, err) < 0)
		return -1;
	/* For tests: as on a kernel without it. */
	if (getenv("SBX_TEST_NO_OVERLAYFS"))
		ret->overlay_userxattr = false;
	real = realpath(ret->home, NULL);
	ret->real_home = real ? arena_strdup(a, real) : NULL;
	return 0;
}

void host_forget(int cache_dir_fd)
{
	(void)unlinkat(cache_dir_fd, "host.json", 0);
}
