/*
 * path — path names as text: no system calls, no file is looked at.
 */
#ifndef SBX_BASE_PATH_H
#define SBX_BASE_PATH_H

#include <stdbool.h>

struct arena;

/* dir/name, with exactly one slash between; an absolute `name` is taken as relative.
 * Where one of them is empty, it is the other one, without a slash. */
char *path_join(struct arena *a, const char *dir, const char *name);

/* Lexically clean an absolute path: no "//", ".", ".." (".." at the root stays at the root),
 * no trailing slash but for "/".  Returns NULL if `path` is not absolute. */
char *path_clean(struct arena *a, const char *path);

/* True if `path` is `dir` or lies below it (both clean and absolute). */
bool path_is_under(const char *path, const char *dir);

/* The part behind the last slash; points into `path`. */
const char *path_base(const char *path);

/* "~" and "~/x" become home and home/x; anything else is copied. */
char *path_expand_home(struct arena *a, const char *path, const char *home);

#endif
