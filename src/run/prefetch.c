#include "run/prefetch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"

/* The kernel starts no more than that for one call, on a filesystem of this kind. */
#define STEP ((off_t)128 << 10)

/* Nothing that is larger is any of these. */
#define SIZE_MAX_WANTED ((off_t)4 << 20)

static void prefetch_file(int root, const char *path)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	/* It may be anything that the commands before have left there. */
	if (fs_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, NULL) < 0 ||
	    fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > SIZE_MAX_WANTED)
		return;
	for (off_t at = 0; at < st.st_size; at += STEP)
		(void)posix_fadvise(fd, at, STEP, POSIX_FADV_WILLNEED);
}

void prefetch(int root)
{
	static const char *const files[] = {
		"/etc/ld.so.cache",
#if defined(__x86_64__)
		"/lib64/ld-linux-x86-64.so.2",
		"/lib/x86_64-linux-gnu/libc.so.6",
#elif defined(__aarch64__)
		"/lib/ld-linux-aarch64.so.1",
		"/lib/aarch64-linux-gnu/libc.so.6",
#endif
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		prefetch_file(root, files[i]);
}
