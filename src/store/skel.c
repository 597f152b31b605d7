#include "store/skel.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

#define FILE_MAX 65536

static void copy_one(int from, int to, const char *name)
{
	_cleanup_fd_ int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_fd_ int out = -1;
	_cleanup_buf_ struct buf text = {0};
	struct stat st;

	if (in < 0 || fstat(in, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX ||
	    fs_read_at(from, name, FILE_MAX, &text, NULL) < 0)
		return;
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (out >= 0 && text.len > 0)
		(void)fs_write_all(out, text.p, text.len);
}

void skel_copy(const char *from, int home_fd)
{
	_cleanup_dir_ DIR *d = opendir(from);
	const struct dirent *entry;

	while (d && (entry = readdir(d)) != NULL)
		copy_one(dirfd(d), home_fd, entry->d_name);
}
