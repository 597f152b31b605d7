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

/* False: it is not there. */
static bool prefetch_file(int root, const char *path)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	/* It may be anything that the commands before have left there. */
	if (fs_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, NULL) < 0)
		return false;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > SIZE_MAX_WANTED)
		return true;
	for (off_t at = 0; at < st.st_size; at += STEP)
		(void)posix_fadvise(fd, at, STEP, POSIX_FADV_WILLNEED);
	return true;
}

static void prefetch_program(int root, const char *program, const char *path)
{
	bool found = strchr(program, '/') != NULL;

	if (program[0] == '/')
		(void)prefetch_file(root, program);
	while (!found && *path) {
		size_t n = strcspn(path, ":");
		_cleanup_free_ char *file = xasprintf("%.*s/%s", (int)n, path, program);

		found = path[0] == '/' && prefetch_file(root, file);
		path += n + (path[n] == ':');
	}
}

void prefetch(int root, const char *program, const char *path)
{
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

	prefetch_program(root, program, path);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		(void)prefetch_file(root, files[i]);
}

void prefetch_first(const struct plan *plan, const char *program)
{
	_cleanup_fd_ int root = -1;
	const char *path = "";

	if (plan->base != BASE_HOST || plan->driver != ROOT_KERNEL)
		return;
	for (const char *const *v = plan->env; *v; v++)
		if (str_starts(*v, "PATH="))
			path = *v + strlen("PATH=");
	root = open("root", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (root >= 0)
		prefetch(root, program ? program : plan->shell, path);
}
