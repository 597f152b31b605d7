/*
 * unpack_tar — `unpack-tar FILE FOLDER`: what a layer's tar becomes, for hostile.py.
 * Exit status 0, or 1 with the message on stderr.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "store/unpack.h"

static ssize_t give(void *ctx, void *p, size_t n, struct err *err)
{
	ssize_t got = read(*(const int *)ctx, p, n);

	return got < 0 ? err_set(err, "cannot read") : got;
}

int main(int argc, char *argv[])
{
	static const struct untar_limits limits = {.entries = 100000, .bytes = 64U << 20};
	_cleanup_untar_ struct untar *u = NULL;
	_cleanup_fd_ int file = -1;
	_cleanup_fd_ int folder = -1;
	struct err err = {0};

	if (argc != 3)
		return 2;
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	folder = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file < 0 || folder < 0)
		return 2;
	if (untar_open(give, &file, &limits, &u, &err) == 0 &&
	    unpack(u, folder, geteuid() == 0, &err) == 0)
		return 0;
	log_err(&err);
	return 1;
}
