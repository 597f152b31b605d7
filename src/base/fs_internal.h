/*
 * fs_internal — what the files of base/fs share; for nobody else.
 */
#ifndef SBX_BASE_FS_INTERNAL_H
#define SBX_BASE_FS_INTERNAL_H

#include <linux/openat2.h>
#include <sys/types.h>

struct err;

#define FS_IN_ROOT (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
#define FS_BENEATH (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)

/* openat2(2) with O_CLOEXEC; races are tried again.  -1 with errno. */
int fs_openat2(int dir_fd, const char *path, int flags, mode_t mode, unsigned resolve);

/* "cannot ACTION 'path': cause", with a hint where openat2 itself is missing; returns -1. */
int fs_open_failed(int errnum, const char *action, const char *path, struct err *err);

#endif
