/*
 * cleanup — OS handles that close themselves at the end of their scope.
 *
 *     _cleanup_fd_ int fd = open(...);
 *     ...
 *     *ret_fd = TAKE_FD(fd);      // handed on: fd is -1 now
 *
 * Every handle is initialised where it is declared (-1 or NULL).
 */
#ifndef SBX_BASE_CLEANUP_H
#define SBX_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>

/* Each takes a pointer to the variable, accepts an empty one, and keeps errno. */
void cleanup_fd(int *fd);                    /* close(2) if >= 0, sets -1 */
void cleanup_free(void *pointer_to_pointer); /* free(3), sets NULL */
void cleanup_file(FILE **f);                 /* fclose(3) */
void cleanup_dir(DIR **d);                   /* closedir(3) */

#define _cleanup_fd_ __attribute__((cleanup(cleanup_fd)))
#define _cleanup_free_ __attribute__((cleanup(cleanup_free)))
#define _cleanup_file_ __attribute__((cleanup(cleanup_file)))
#define _cleanup_dir_ __attribute__((cleanup(cleanup_dir)))

#define TAKE_FD(fd)                   \
	__extension__({               \
		int taken_fd_ = (fd); \
		(fd) = -1;            \
		taken_fd_;            \
	})

#define TAKE_PTR(p)                           \
	__extension__({                       \
		__typeof__(p) taken_p_ = (p); \
		(p) = NULL;                   \
		taken_p_;                     \
	})

#endif
