#include "run/prefetch.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "plan/plan.h"

/* The kernel starts no more than that for one call, on a filesystem of this kind. */
#define STEP ((off_t)128 << 10)

/* Nothing that is larger is any of these. */
#define SIZE_MAX_WANTED ((off_t)4 << 20)

static const char *const files[] = {
	"/etc/ld.so.preload",
	"/etc/ld.so.cache",
#if defined(__x86_64__)
	"/lib64/ld-linux-x86-64.so.2",
	"/lib/x86_64-linux-gnu/libc.so.6",
#elif defined(__aarch64__)
	"/lib/ld-linux-aarch64.so.1",
	"/lib/aarch64-linux-gnu/libc.so.6",
#endif
};
#define N_FILES (sizeof(files) / sizeof(files[0]))

void prefetch_begin(int root, const char *program, const char *path, struct prefetch *ret)
{
	*ret = (struct prefetch){.root = root, .program = program, .path = path, .fd = -1};
}

void prefetch_first(const struct plan *plan, const char *program, struct prefetch *ret)
{
	const char *path = "";

	*ret = PREFETCH_NONE;
	if (plan->base != BASE_HOST || plan->driver != ROOT_KERNEL)
		return;
	for (const char *const *v = plan->env; *v; v++)
		if (str_starts(*v, "PATH="))
			path = *v + strlen("PATH=");
	prefetch_begin(open("root", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
		       program ? program : plan->shell, path, ret);
}

/* False: it is not there. */
static bool open_file(struct prefetch *p, const char *path)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	/* It may be anything that the commands before have left there. */
	if (fs_open_in_root(p->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, NULL) < 0)
		return false;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > SIZE_MAX_WANTED)
		return true;
	p->fd = TAKE_FD(fd);
	p->at = 0;
	p->size = st.st_size;
	return true;
}

/* In the next folder of the PATH. */
static void look_for_program(struct prefetch *p)
{
	const char *path = p->path;
	const size_t n = strcspn(path, ":");
	_cleanup_free_ char *file = NULL;
	bool found = *path == '\0';

	if (strchr(p->program, '/')) {
		(void)(p->program[0] == '/' && open_file(p, p->program));
		found = true;
	} else if (*path == '/') {
		file = xasprintf("%.*s/%s", (int)n, path, p->program);
		found = open_file(p, file);
	}
	p->path += n + (path[n] == ':');
	if (found)
		p->program = NULL;
}

static void read_on(struct prefetch *p)
{
	(void)posix_fadvise(p->fd, p->at, STEP, POSIX_FADV_WILLNEED);
	p->at += STEP;
	if (p->at >= p->size)
		cleanup_fd(&p->fd);
}

bool prefetch_step(struct prefetch *p)
{
	if (p->root < 0)
		return false;
	if (p->fd >= 0)
		read_on(p);
	else if (p->program)
		look_for_program(p);
	else if (p->n < N_FILES)
		(void)open_file(p, files[p->n++]);
	else
		cleanup_fd(&p->root);
	return p->root >= 0;
}

void prefetch_done(struct prefetch *p)
{
	/* A zeroed one has no path. */
	if (!p || !p->path)
		return;
	cleanup_fd(&p->fd);
	cleanup_fd(&p->root);
}
