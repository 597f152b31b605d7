/*
 * What the host's root offers as a base: its names that belong to an operating
 * system, and below them the paths that this user cannot read (fuse-overlayfs
 * fails on those) and those of system users; the plan covers both with stand-ins.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "plan/host_parts.h"

/* The names of hier(7) and of the multilib ABIs; all else at "/" stays hidden. */
static const char *const os_names[] = {"usr", "etc",   "opt",   "var",    "bin",    "sbin",
				       "lib", "lib32", "lib64", "libx32", "libo32", "libn32"};
#define N_OS_NAMES (sizeof(os_names) / sizeof(os_names[0]))

/* "usr/lib" or "/usr/lib": a path without ".." whose first part is one of the names. */
static bool stays_inside(const char *target)
{
	const char *p = target + (target[0] == '/');
	size_t first = strcspn(p, "/");

	for (const char *q = p; *q; q += strcspn(q, "/"), q += *q == '/') {
		if (strcspn(q, "/") == 2 && q[0] == '.' && q[1] == '.')
			return false;
	}
	for (size_t i = 0; i < N_OS_NAMES; i++) {
		if (strlen(os_names[i]) == first && strncmp(os_names[i], p, first) == 0)
			return true;
	}
	return false;
}

void host_base_entries(struct arena *a, int root, struct host_facts *ret)
{
	ret->entries = arena_alloc(a, N_OS_NAMES * sizeof(*ret->entries));
	ret->n_entries = 0;
	for (size_t i = 0; i < N_OS_NAMES; i++) {
		struct host_entry *e = &ret->entries[ret->n_entries];
		char target[256];
		struct stat st;
		ssize_t n;

		/* Follows links: a link to nowhere is left out, one to somewhere else is that folder. */
		if (fstatat(root, os_names[i], &st, 0) < 0 || !S_ISDIR(st.st_mode))
			continue;
		e->name = os_names[i];
		e->target = NULL;
		ret->n_entries++;
		n = readlinkat(root, os_names[i], target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (stays_inside(target))
			e->target = arena_strdup(a, target + (target[0] == '/'));
	}
}

/*
 * How far to look, by top-level name.  Packages put closed *files* into /etc
 * and /var; below /usr and /opt, which may hold a million files, only folders are
 * looked at, and only the upper ones: a closed folder there is one that a
 * package made for its daemon (/usr/share/polkit-1/rules.d).
 */
struct reach {
	const char *name;
	int depth;
	bool files;
};

static const struct reach reaches[] = {
	{"usr", 3, false},
	{"opt", 3, false},
	{"etc", 12, true},
	{"var", 6, true},
	/* Where /usr is not merged; usually a link, and then not walked. */
	{"bin", 1, false},
	{"sbin", 1, false},
	{"lib", 3, false},
	{"lib64", 2, false},
};

/* Changed all the time by anybody; the plan gives the sandbox its own. */
static const char *const skipped[] = {"/var/tmp", "/var/run", "/var/lock"};

/* Letters to the user and to others; one is as a rule a link to the other. */
static const char *const letters[] = {"/var/mail", "/var/spool/mail"};

#define N(array) (sizeof(array) / sizeof((array)[0]))

struct walk {
	struct arena *a;
	struct host_special *v;
	size_t n;
	size_t cap;
	dev_t dev;
	struct reach reach;
	size_t n_owned;
};

/* Ids that a root filesystem can hold; beyond them, and for "nobody", root will do. */
#define ID_LAST 65533u

/* Owned paths cost a little at each start: a web server's ten thousand folders are not worth it. */
#define OWNED_MAX 512

/* Files of a system user's are copied at each start: only small ones. */
#define OWNED_FILE_MAX 65536

/* The user himself is mapped, and root is what every other becomes. */
static bool is_owned(const struct stat *st)
{
	return (st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid <= ID_LAST) ||
	       (st->st_gid != 0 && st->st_gid != getegid() && st->st_gid <= ID_LAST);
}

/*
 * Only what everybody may read is part of the base.  What is open to this user alone, or by one of
 * his groups (mail, logs), is his, and not for what runs inside.
 */
static bool is_for_all(const struct stat *st)
{
	unsigned need = S_ISDIR(st->st_mode) ? S_IROTH | S_IXOTH : S_IROTH;

	return (st->st_mode & need) == need;
}

static void add_special(struct walk *w, const struct stat *st, const char *path, bool readable)
{
	if (w->n == w->cap) {
		struct host_special *more;

		w->cap = w->cap ? w->cap * 2 : 64;
		more = arena_alloc(w->a, w->cap * sizeof(*more));
		if (w->n > 0)
			memcpy(more, w->v, w->n * sizeof(*more));
		w->v = more;
	}
	w->v[w->n++] = (struct host_special){
		.path = arena_strdup(w->a, path),
		.is_dir = S_ISDIR(st->st_mode),
		.mode = st->st_mode & 07777U,
		.readable = readable,
		.uid = st->st_uid <= ID_LAST ? st->st_uid : 0,
		.gid = st->st_gid <= ID_LAST ? st->st_gid : 0,
	};
}

static void add_owned(struct walk *w, const struct stat *st, const char *path)
{
	if (!is_owned(st) || w->n_owned == OWNED_MAX)
		return;
	/* Setuid and setgid are void inside, and the owner of a program matters to nobody. */
	if (!S_ISDIR(st->st_mode) && (st->st_size > OWNED_FILE_MAX || (st->st_mode & 0111)))
		return;
	w->n_owned++;
	add_special(w, st, path, true);
}

static bool is_one_of(const char *path, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(path, list[i]) == 0)
			return true;
	}
	return false;
}

static int type_of(int dir_fd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type;
	if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_LNK;
}

static void walk_dir(struct walk *w, int dir_fd, const char *name, struct buf *path, int depth);

static void walk_entry(struct walk *w, int dir_fd, const struct dirent *entry, struct buf *path,
		       int depth)
{
	const char *name = entry->d_name;
	size_t len = path->len;
	int type = type_of(dir_fd, entry);
	struct stat st;

	/* Links are readable by all, and nobody copies up a socket or a device of the host. */
	if (type != DT_DIR && !(type == DT_REG && w->reach.files))
		return;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return;
	buf_adds(path, "/");
	buf_adds(path, name);
	if (type == DT_DIR && is_one_of(path->p, skipped, N(skipped))) {
		path->len = len;
		return;
	}
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!is_for_all(&st) || is_one_of(path->p, letters, N(letters))) {
			add_special(w, &st, path->p, false);
		} else {
			add_owned(w, &st, path->p);
			if (type == DT_DIR && depth < w->reach.depth)
				walk_dir(w, dir_fd, name, path, depth + 1);
		}
	}
	path->len = len;
	path->p[len] = '\0';
}

/* `depth`: of what is in the folder, 1 for what is in /usr. */
static void walk_dir(struct walk *w, int dir_fd, const char *name, struct buf *path, int depth)
{
	_cleanup_fd_ int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_dir_ DIR *d = NULL;
	const struct dirent *entry;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	/* A foreign mount may be a slow network disk, and is not part of the base. */
	if (depth > 1 && st.st_dev != w->dev)
		return;
	w->dev = st.st_dev;
	d = fdopendir(fd);
	if (!d)
		return;
	fd = -1;
	while ((entry = readdir(d)) != NULL)
		walk_entry(w, dirfd(d), entry, path, depth);
}

static int compare_paths(const void *x, const void *y)
{
	const struct host_special *a = x;
	const struct host_special *b = y;

	return strcmp(a->path, b->path);
}

void host_base_special(struct arena *a, int root, struct host_facts *ret)
{
	struct walk w = {.a = a};

	for (size_t i = 0; i < sizeof(reaches) / sizeof(reaches[0]); i++) {
		_cleanup_buf_ struct buf path = {0};

		w.reach = reaches[i];
		buf_printf(&path, "/%s", reaches[i].name);
		walk_dir(&w, root, reaches[i].name, &path, 1);
	}
	if (w.n > 0)
		qsort(w.v, w.n, sizeof(*w.v), compare_paths);
	ret->special = w.v;
	ret->n_special = w.n;
}
