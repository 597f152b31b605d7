#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void cleanup_fd(int *fd)
{
	int saved = errno;

	/* No second try after EINTR: on Linux the number is free by then. */
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

void cleanup_free(void *pointer_to_pointer)
{
	void *p = NULL;
	int saved = errno;

	/* memcpy, since the variable may be any kind of pointer and aliasing rules hold. */
	memcpy(&p, pointer_to_pointer, sizeof(p));
	free(p);
	errno = saved;
	p = NULL;
	memcpy(pointer_to_pointer, &p, sizeof(p));
}

void cleanup_file(FILE **f)
{
	int saved = errno;

	if (*f)
		(void)fclose(*f);
	*f = NULL;
	errno = saved;
}

void cleanup_dir(DIR **d)
{
	int saved = errno;

	if (*d)
		(void)closedir(*d);
	*d = NULL;
	errno = saved;
}
