#include "store/project.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "store/dirs.h"

/* Far more than anybody writes by hand. */
#define PROFILE_LIMIT (1U << 20)
#define PROFILE_SUFFIX ".ini"

/*
 * Who else could write the file decides what sbx does: only the user and root
 * may.  Both the file and a link that leads to it count, since the owner of
 * the link chooses the file.
 */
static int check_owner(const char *path, const struct stat *st, struct err *err)
{
	if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
		return err_set(err, "cannot read '%s': it is not a regular file", path);
	if (st->st_uid == geteuid() || st->st_uid == 0)
		return 0;
	err_set(err, "cannot trust '%s': it belongs to user %u, not to you (user %u)", path,
		(unsigned)st->st_uid, (unsigned)geteuid());
	return err_hint(err, "read it; if it does what you want, work in a copy of the folder that "
			     "is your own: cp -r");
}

/* Open and read a profile's text; what is checked is what is read. */
static int read_source(struct arena *a, const char *path, bool trusted, struct profile_source *ret,
		       struct err *err)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_buf_ struct buf text = {0};
	struct stat st;
	char part[8192];
	ssize_t n;
	char *copy;

	if (lstat(path, &st) < 0)
		return err_errno(err, errno, "cannot open '%s'", path);
	if (check_owner(path, &st, err) < 0)
		return -1;
	/* O_NONBLOCK: a FIFO put there since must not hang us. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot open '%s'", path);
	if (check_owner(path, &st, err) < 0)
		return -1;
	while ((n = read(fd, part, sizeof(part))) > 0) {
		buf_add(&text, part, (size_t)n);
		if (text.len > PROFILE_LIMIT)
			return err_errno(err, EFBIG, "cannot read '%s'", path);
	}
	if (n < 0)
		return err_errno(err, errno, "cannot read '%s'", path);
	copy = arena_alloc(a, text.len + 1);
	if (text.len > 0)
		memcpy(copy, text.p, text.len);
	*ret = (struct profile_source){
		.file = arena_strdup(a, path), .text = copy, .len = text.len, .trusted = trusted};
	return 0;
}

static int start_dir(const char *start, char *ret, struct err *err)
{
	if (start && start[0] != '/')
		return err_set(err, "cannot look for '%s' from '%s': the path is not absolute",
			       PROJECT_FILE, start);
	/* Without links: one project has one environment, whichever way it was reached. */
	if (start ? !realpath(start, ret) : !getcwd(ret, PATH_MAX)) {
		if (start)
			return err_errno(err, errno, "cannot find the folder '%s'", start);
		err_errno(err, errno, "cannot tell the current folder");
		return err_hint(err, "it may have been removed: cd to another one");
	}
	/* getcwd(2) of a folder that this mount namespace does not reach. */
	if (ret[0] != '/')
		return err_set(err, "cannot tell the current folder: '%s' is out of reach", ret);
	return 0;
}

int project_find(struct arena *a, const char *start, const char **ret_dir, struct err *err)
{
	char dir[PATH_MAX];
	const char *from;
	size_t len;

	if (start_dir(start, dir, err) < 0)
		return -1;
	from = arena_strdup(a, dir);
	/* "/" itself is not searched: the whole machine is not a project. */
	for (len = strlen(dir); len > 1; len = (size_t)(strrchr(dir, '/') - dir)) {
		const char *path;
		struct stat st;

		dir[len] = '\0';
		path = path_join(a, dir, PROJECT_FILE);
		if (lstat(path, &st) < 0)
			continue;
		if (check_owner(path, &st, err) < 0)
			return -1;
		*ret_dir = arena_strdup(a, dir);
		return 0;
	}
	(void)err_set(err, "no '%s' in '%s' nor in a folder above it", PROJECT_FILE, from);
	if (err)
		err->errnum = ENOENT;
	return err_hint(err, "'sbx init' makes one");
}

int project_profile(struct arena *a, const char *dir, const struct profile **ret, struct err *err)
{
	struct profile_source top;

	if (read_source(a, path_join(a, dir, PROJECT_FILE), false, &top, err) < 0) {
		if (err && err->errnum == ENOENT)
			err_hint(err, "'sbx init' makes one");
		return -1;
	}
	return profile_parse(a, &top, project_find_named, NULL, ret, err);
}

int project_profile_rest(struct arena *a, const char *dir, const struct profile **ret,
			 struct err *err)
{
	const char *path = path_join(a, dir, PROJECT_FILE);
	struct profile_source top;
	struct err why = {0};

	if (read_source(a, path, false, &top, err) == 0)
		return profile_parse_rest(a, &top, project_find_named, NULL, ret, err);
	top = (struct profile_source){.file = path, .text = ""};
	(void)profile_parse_rest(a, &top, project_find_named, NULL, ret, &why);
	return 1;
}

/* Where named profiles live, the first to have a name wins. */
static int profile_dirs(struct arena *a, struct strv *ret, struct err *err)
{
	const char *config;
	const char *variable = getenv("SBX_PROFILES");
	char exe[PATH_MAX];
	ssize_t n;

	if (dirs_config(a, &config, err) < 0)
		return -1;
	strv_push(a, ret, path_join(a, config, "sbx/profiles"));
	if (variable && variable[0] == '/')
		strv_push(a, ret, variable);
	strv_push(a, ret, SBX_DATADIR "/profiles");
	/* BUILD/src/cli/sbx, not installed: profiles/ beside BUILD. */
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n > 0) {
		exe[n] = '\0';
		strv_push(a, ret, path_clean(a, arena_printf(a, "%s/../../../../profiles", exe)));
	}
	return 0;
}

static bool good_name(const char *name, size_t n)
{
	if (n == 0 || n > NAME_MAX - sizeof(PROFILE_SUFFIX) || name[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == '-'))
			return false;
	}
	return true;
}

/* "There is none", with the nearest name that there is. */
static int no_such_profile(struct arena *a, const char *name, struct err *err)
{
	struct named_profile *v = NULL;
	const char **names;
	const char *near;
	size_t n = 0;

	(void)err_set(err, "no profile is named '%s'", name);
	if (err)
		err->errnum = ENOENT;
	if (project_list_named(a, &v, &n, NULL) < 0)
		return -1;
	names = arena_alloc(a, (n + 1) * sizeof(*names));
	for (size_t i = 0; i < n; i++)
		names[i] = v[i].name;
	near = str_nearest(name, names);
	if (near)
		return err_hint(err, "did you mean '%s'? 'sbx profile list' shows them all", near);
	return err_hint(err, "'sbx profile list' shows them all");
}

int project_find_named(void *ctx, struct arena *a, const char *name, struct profile_source *ret,
		       struct err *err)
{
	struct strv dirs = {0};

	(void)ctx;
	if (!good_name(name, strlen(name))) {
		err_set(err, "cannot look for a profile named '%s'", name);
		return err_hint(err,
				"a name has letters, digits, '.', '_' and '-', and no '.' first");
	}
	if (profile_dirs(a, &dirs, err) < 0)
		return -1;
	for (size_t i = 0; i < dirs.n; i++) {
		const char *path = arena_printf(a, "%s/%s" PROFILE_SUFFIX, dirs.v[i], name);
		struct err why = {0};

		/* What the user or the machine's owner put there needs no `sbx allow`. */
		if (read_source(a, path, true, ret, &why) == 0)
			return 0;
		if (why.errnum != ENOENT && why.errnum != ENOTDIR) {
			if (err)
				*err = why;
			return -1;
		}
	}
	return no_such_profile(a, name, err);
}

/* The first line that is a comment, without its mark; "" where there is none. */
static const char *summary_of(struct arena *a, const struct profile_source *src)
{
	const char *end = memchr(src->text, '\n', src->len);
	size_t n = end ? (size_t)(end - src->text) : src->len;

	if (n == 0 || (src->text[0] != ';' && src->text[0] != '#'))
		return "";
	return str_trim(arena_strndup(a, src->text + 1, n - 1));
}

static int compare_named(const void *x, const void *y)
{
	const struct named_profile *a = x;
	const struct named_profile *b = y;

	return strcmp(a->name, b->name);
}

/* Add the names of one folder that no folder before it had. */
static void add_names(struct arena *a, const char *dir, struct strv *names, struct strv *files)
{
	_cleanup_dir_ DIR *d = opendir(dir);
	const struct dirent *entry;

	while (d && (entry = readdir(d)) != NULL) {
		size_t n = strlen(entry->d_name);
		char *name;

		if (!str_ends(entry->d_name, PROFILE_SUFFIX))
			continue;
		n -= sizeof(PROFILE_SUFFIX) - 1;
		if (!good_name(entry->d_name, n))
			continue;
		name = arena_strndup(a, entry->d_name, n);
		if (strv_contains(names, name))
			continue;
		strv_push(a, names, name);
		strv_push(a, files, path_join(a, dir, entry->d_name));
	}
}

int project_list_named(struct arena *a, struct named_profile **ret, size_t *ret_n, struct err *err)
{
	struct strv dirs = {0};
	struct strv names = {0};
	struct strv files = {0};
	struct named_profile *v;

	if (profile_dirs(a, &dirs, err) < 0)
		return -1;
	for (size_t i = 0; i < dirs.n; i++)
		add_names(a, dirs.v[i], &names, &files);
	v = arena_alloc(a, (names.n + 1) * sizeof(*v));
	for (size_t i = 0; i < names.n; i++) {
		struct profile_source src = {.text = ""};

		/* One that cannot be read is listed all the same: `sbx profile check` says why. */
		(void)read_source(a, files.v[i], true, &src, NULL);
		v[i] = (struct named_profile){
			.name = names.v[i], .file = files.v[i], .summary = summary_of(a, &src)};
	}
	if (names.n > 0)
		qsort(v, names.n, sizeof(*v), compare_named);
	*ret = v;
	*ret_n = names.n;
	return 0;
}
