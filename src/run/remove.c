#include <fcntl.h>
#include <stdint.h>

#include "base/err.h"
#include "base/fs.h"
#include "run/launch.h"
#include "run/view.h"

/* In the namespace: the files are its own, whatever subordinate id they belong to. */
static int remove_tree(void *arg, struct err *err)
{
	const char *path = arg;

	return fs_remove_tree_at(AT_FDCWD, path, err);
}

int launch_remove_tree(const struct plan *plan, const char *path, struct err *err)
{
	char *arg = (char *)(uintptr_t)path;

	return userns_call(plan, remove_tree, arg, err);
}
