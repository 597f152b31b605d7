/* The base below the overlay: parts of the host's root, or a folder that holds a root. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "plan/host.h"
#include "plan/plan.h"
#include "run/mnt.h"
#include "run/root.h"

/* Of a mount table, more than any machine has. */
#define MOUNTINFO_MAX (16u << 20)

/* Put what is at `source` over the folder `target` below `dir`. */
static int show(int source, int dir, const char *target, struct err *err)
{
	_cleanup_fd_ int tree = -1;
	_cleanup_fd_ int at = openat(dir, target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (at < 0)
		return err_errno(err, errno, "cannot open '%s'", target);
	/* Recursive: the kernel does not let a user namespace take a mount apart from those on it
	 * (EINVAL), since they may hide something. */
	if (mnt_clone(source, true, &tree, err) < 0)
		return -1;
	return mnt_attach(tree, at, err);
}

/* The link of an entry, as the environment kept it or made now. */
static int keep_link(const struct plan *plan, const struct host_entry *entry, int base,
		     struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(base, entry->name, target, sizeof(target) - 1);

	if (n > 0) {
		target[n] = '\0';
		if (str_eq(target, entry->target))
			return 0;
	}
	if (fs_remove_tree_at(base, entry->name, err) < 0)
		return -1;
	if (symlinkat(entry->target, base, entry->name) < 0 ||
	    fchownat(base, entry->name, plan->root_owner, plan->root_owner, AT_SYMLINK_NOFOLLOW) <
		    0)
		return err_errno(err, errno, "cannot make the link '%s' in '%s/base'", entry->name,
				 plan->env_dir);
	return 0;
}

static int show_entry(const struct plan *plan, const struct host_entry *entry, int base,
		      struct root_base *ret_base, struct err *err)
{
	_cleanup_free_ char *source = xasprintf("/%s", entry->name);
	_cleanup_fd_ int fd = -1;
	struct stat ours;
	struct stat theirs;

	if (entry->target)
		return keep_link(plan, entry, base, err);
	fd = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &theirs) < 0 || fstat(base, &ours) < 0)
		return err_errno(err, errno, "cannot open '%s'", source);
	if (theirs.st_dev != ours.st_dev)
		ret_base->one_filesystem = false;
	if (mkdirat(base, entry->name, 0755) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make the folder '%s/base%s'", plan->env_dir,
				 source);
	if (show(fd, base, entry->name, err) < 0)
		return err_prefix(err, "cannot show the host's '%s'", source);
	return 0;
}

/* "\040" and its like, as the kernel writes blanks in its tables; in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (char)(((s[1] - '0') << 6) | ((s[2] - '0') << 3) | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* The mount point of a line of mountinfo, its fifth field; proc(5).  In place, NULL at the end. */
static char *mount_point(char *line)
{
	char *save = NULL;
	char *word = strtok_r(line, " ", &save);

	for (int i = 1; word && i < 5; i++)
		word = strtok_r(NULL, " ", &save);
	if (word)
		unescape(word);
	return word;
}

/*
 * /usr/local or /var/log on a disk of its own is part of the system.  What is mounted deeper is
 * somebody's: container layers, package images, network disks.
 */
static bool is_foreign(const char *below)
{
	size_t depth = 0;

	for (const char *c = below; *c; c++)
		depth += *c == '/';
	return depth >= 2;
}

static int cover(const char *path, struct root_base *ret_base, struct err *err)
{
	static const struct mnt_tmpfs how = {.mode = 0755};
	_cleanup_fd_ int at = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_fd_ int empty = -1;
	struct stat st;

	/* One that is covered already. */
	if (at < 0)
		return 0;
	/* A single file (a container's own) shows, with the number that it has elsewhere. */
	if (fstat(at, &st) < 0 || !S_ISDIR(st.st_mode)) {
		ret_base->one_filesystem = false;
		return 0;
	}
	if (mnt_new_tmpfs(&how, &empty, err) < 0 ||
	    mnt_restrict(empty, MOUNT_ATTR_RDONLY, false, err) < 0 ||
	    mnt_attach(empty, at, err) < 0)
		return err_prefix(err, "cannot hide '%s'", path);
	return 0;
}

/* Cover what is mounted below the folders that came along. */
static int cover_foreign(struct root_base *ret_base, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	_cleanup_buf_ struct buf prefix = {0};
	char *save = NULL;

	if (!cwd)
		return err_errno(err, errno, "cannot tell the building ground");
	if (fs_read_at(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, err) < 0)
		return -1;
	buf_printf(&prefix, "%s/" ROOT_BASE "/", cwd);
	for (char *line = strtok_r(text.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *point = mount_point(line);

		if (!point || !str_starts(point, prefix.p))
			continue;
		if (is_foreign(point + prefix.len)) {
			if (cover(point, ret_base, err) < 0)
				return -1;
		} else if (strchr(point + prefix.len, '/')) {
			ret_base->one_filesystem = false;
		}
	}
	return 0;
}

static int show_dir(const struct plan *plan, int dir, int env, struct err *err)
{
	_cleanup_fd_ int at = openat(env, "base", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (at < 0)
		return err_errno(err, errno, "cannot open '%s/base'", plan->env_dir);
	if (mnt_attach(dir, at, err) < 0)
		return err_prefix(err, "cannot show the root folder '%s'", plan->base_dir);
	return 0;
}

int root_host(const struct plan *plan, struct root_base *ret_base, struct err *err)
{
	_cleanup_fd_ int env = open("env", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_fd_ int base = -1;

	/* On the environment's filesystem, not on a tmpfs: see root_base.one_filesystem. */
	if (env < 0 || (mkdirat(env, "base", 0755) < 0 && errno != EEXIST))
		return err_errno(err, errno, "cannot make the folder '%s/base'", plan->env_dir);
	if (plan->base_dir)
		return show_dir(plan, ret_base->dir, env, err);
	base = openat(env, "base", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (base < 0)
		return err_errno(err, errno, "cannot open the folder '%s/base'", plan->env_dir);
	ret_base->one_filesystem = true;
	for (size_t i = 0; i < plan->n_entries; i++)
		if (show_entry(plan, &plan->entries[i], base, ret_base, err) < 0)
			return -1;
	return cover_foreign(ret_base, err);
}
