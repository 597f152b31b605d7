#include "cli/diff_patch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "base/str.h"
#include "cli/diff_print.h"
#include "store/diff.h"

/* A larger file is no text that anybody reads. */
#define TEXT_MAX ((off_t)32 << 20)

/* As git: a NUL near the beginning makes it binary. */
#define LOOKED_AT 8000U

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

int diff_patch_program(char **ret, struct err *err)
{
	const char *path = getenv("PATH");

	if (proc_find("diff", path ? path : DEFAULT_PATH, ret) == 0)
		return 0;
	err_set(err, "cannot show a patch: the host has no program 'diff'");
	return err_hint(err, "install it (the package diffutils), or leave out --patch");
}

/* One side of the comparison. */
struct side {
	int fd; /* a copy of the file in memory; -1: there is none */
	struct buf label;
	bool binary;
};

static int copy_in(int from, struct side *ret)
{
	char block[65536];
	bool first = true;

	for (;;) {
		ssize_t n = read(from, block, sizeof(block));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		if (first)
			ret->binary =
				memchr(block, 0, (size_t)n < LOOKED_AT ? (size_t)n : LOOKED_AT);
		first = false;
		if (fs_write_all(ret->fd, block, (size_t)n) < 0)
			return -1;
	}
}

/* diff(1) runs without the capabilities by which we may read the file: it gets a copy. */
static int load_file(int dir_fd, const struct entry *e, struct side *ret, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (fs_open_beneath(dir_fd, e->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &fd,
			    err) < 0)
		return -1;
	if (copy_in(fd, ret) < 0)
		return err_errno(err, errno, "cannot read '/%s'", e->path);
	return 0;
}

static int load_link(int dir_fd, const struct entry *e, struct side *ret, struct err *err)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(dir_fd, e->path, target, PATH_MAX);

	if (n < 0)
		return err_errno(err, errno, "cannot read the link '/%s'", e->path);
	if (fs_write_all(ret->fd, target, (size_t)n) < 0)
		return err_errno(err, errno, "cannot keep the link '/%s' in memory", e->path);
	return 0;
}

static int load(int dir_fd, const struct entry *e, bool link, struct side *ret, struct err *err)
{
	ret->fd = memfd_create("sbx-diff", MFD_CLOEXEC);
	if (ret->fd < 0)
		return err_errno(err, errno, "cannot keep '/%s' in memory", e->path);
	return link ? load_link(dir_fd, e, ret, err) : load_file(dir_fd, e, ret, err);
}

static void set_label(struct side *s, const char *prefix, const struct entry *e)
{
	s->label.len = 0;
	buf_printf(&s->label, "%s/", prefix);
	str_escape(&s->label, e->path, strlen(e->path));
}

struct pair {
	struct side side[2]; /* before and after */
};

struct run {
	const char *program;
	const struct pair *pair;
	int out;
};

static int run_diff(void *arg)
{
	const struct run *r = arg;
	char paths[2][64] = {"/dev/null", "/dev/null"};
	char env[] = "LC_ALL=C";
	char *const envp[] = {env, NULL};

	for (int i = 0; i < 2; i++) {
		int fd = r->pair->side[i].fd;

		if (fd < 0)
			continue;
		if (fcntl(fd, F_SETFD, 0) < 0)
			return 126;
		(void)snprintf(paths[i], sizeof(paths[i]), "/proc/self/fd/%d", fd);
	}
	if (dup2(r->out, STDOUT_FILENO) < 0)
		return 126;

	const char *const argv[] = {r->program,
				    "-u",
				    "-a",
				    "--label",
				    r->pair->side[0].label.p,
				    "--label",
				    r->pair->side[1].label.p,
				    "--",
				    paths[0],
				    paths[1],
				    NULL};

	(void)execve(r->program, (char *const *)(uintptr_t)argv, envp);
	return 126;
}

static int read_all(int fd, struct buf *ret)
{
	char block[65536];
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	while ((n = read(fd, block, sizeof(block))) > 0)
		buf_add(ret, block, (size_t)n);
	return (int)n;
}

static int call_diff(const char *program, const struct pair *pair, struct buf *ret, struct err *err)
{
	_cleanup_fd_ int out = memfd_create("sbx-diff-out", MFD_CLOEXEC);
	struct run r = {.program = program, .pair = pair, .out = out};
	int status;

	if (out < 0)
		return err_errno(err, errno, "cannot keep a patch in memory");
	status = proc_call(run_diff, &r);
	/* diff(1): 0 the same, 1 different, 2 trouble. */
	if (status != 0 && status != 1)
		return err_set(err, "cannot compare '%s': '%s' gave the status %d",
			       pair->side[1].label.p, program, status);
	if (read_all(out, ret) < 0)
		return err_errno(err, errno, "cannot read the patch of '%s'",
				 pair->side[1].label.p);
	return 0;
}

static bool has_text(const struct stat *st)
{
	return (S_ISREG(st->st_mode) && st->st_size <= TEXT_MAX) || S_ISLNK(st->st_mode);
}

static bool is_deleted(const struct entry *e)
{
	return e->verdict == ENTRY_DELETED || e->verdict == ENTRY_HIDDEN;
}

/* Only where there are two texts, or one and nothing. */
static bool is_patchable(const struct entry *e)
{
	if (!has_text(&e->st) || strlen(e->path) >= PATH_MAX)
		return false;
	if (e->verdict != ENTRY_MODIFIED)
		return true;
	return e->was && has_text(e->was) && e->what & CHANGE_CONTENT;
}

static void pair_done(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		cleanup_fd(&p->side[i].fd);
		buf_done(&p->side[i].label);
	}
}

int diff_patch(const char *program, int lower, int upper, const struct entry *e, struct buf *ret,
	       struct err *err)
{
	__attribute__((cleanup(pair_done))) struct pair pair = {{{.fd = -1}, {.fd = -1}}};
	struct side *sides = pair.side;
	const bool link = S_ISLNK(e->st.st_mode);

	buf_adds(&sides[0].label, "/dev/null");
	buf_adds(&sides[1].label, "/dev/null");
	/* Modes, owners: what a patch of contents does not say. */
	if (!is_patchable(e) || e->what & ~CHANGE_CONTENT || diff_is_notable(e))
		diff_line(e, ret);
	if (!is_patchable(e))
		return 0;
	if (e->verdict != ENTRY_ADDED) {
		set_label(&sides[0], "a", e);
		if (load(lower, e, link, &sides[0], err) < 0)
			return -1;
	}
	if (!is_deleted(e)) {
		set_label(&sides[1], "b", e);
		if (load(upper, e, link, &sides[1], err) < 0)
			return -1;
	}
	if (sides[0].binary || sides[1].binary) {
		buf_printf(ret, "Binary files %s and %s differ\n", sides[0].label.p,
			   sides[1].label.p);
		return 0;
	}
	/* An empty file gives no patch. */
	if (e->verdict != ENTRY_MODIFIED && S_ISREG(e->st.st_mode) && e->st.st_size == 0) {
		if (!diff_is_notable(e))
			diff_line(e, ret);
		return 0;
	}
	return call_diff(program, &pair, ret, err);
}
