/*
 * replay — the main of a fuzz target where there is no fuzzer: runs each file and each file of
 * each folder given once, so that the corpus is a test.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLAY_MAX (4U << 20)

static int replay_file(int fd, const char *name)
{
	_cleanup_free_ uint8_t *data = malloc(REPLAY_MAX);
	size_t n = 0;
	ssize_t got = 1;

	while (data && got > 0 && n < REPLAY_MAX) {
		got = read(fd, data + n, REPLAY_MAX - n);
		n += got > 0 ? (size_t)got : 0;
	}
	if (!data || got < 0) {
		fprintf(stderr, "cannot read '%s'\n", name);
		return -1;
	}
	/* A block of the exact size, so that a sanitizer sees each byte read behind its end. */
	_cleanup_free_ uint8_t *exact = malloc(n ? n : 1);

	if (!exact)
		return -1;
	memcpy(exact, data, n);
	LLVMFuzzerTestOneInput(exact, n);
	return 0;
}

/* The number of files replayed, or -1. */
static int replay(int dir_fd, const char *name)
{
	_cleanup_fd_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int total = 0;

	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(name);
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(fd, name) < 0 ? -1 : 1;

	_cleanup_dir_ DIR *d = fdopendir(TAKE_FD(fd));
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		int n = entry->d_name[0] == '.' ? 0 : replay(dirfd(d), entry->d_name);

		if (n < 0)
			return -1;
		total += n;
	}
	return total;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int n = replay(AT_FDCWD, argv[i]);

		if (n <= 0) {
			fprintf(stderr, "nothing to replay in '%s'\n", argv[i]);
			return 1;
		}
		printf("%d inputs of %s\n", n, argv[i]);
	}
	return argc > 1 ? 0 : 1;
}
