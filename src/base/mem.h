/*
 * mem — an arena for what is built once and lives together (profile, plan).
 *
 * Running out of memory ends the process with a message (memory is
 * overcommitted on Linux: such a failure is a bug or an attack, and no caller
 * could do better); so these never return NULL.
 */
#ifndef SBX_BASE_MEM_H
#define SBX_BASE_MEM_H

#include <stddef.h>

struct arena; /* opaque */

struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is fine */
void arena_cleanup(struct arena **a);
#define _cleanup_arena_ __attribute__((cleanup(arena_cleanup)))

/* Zeroed, aligned for any type; freed with the arena. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), nonnull(2)));
/* What malloc(3) gave: freed with the arena, too.  NULL is fine. */
void arena_adopt(struct arena *a, void *p);
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))

/* A growing list of strings inside an arena; `v` always ends with NULL. */
struct strv {
	char **v;
	size_t n;
	size_t cap;
};
void strv_push(struct arena *a, struct strv *list, const char *s); /* copies s */
void strv_pushf(struct arena *a, struct strv *list, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), nonnull(3)));
/* Of a list of NAME=value: replace the one of that name, or add it. */
void strv_put_env(struct arena *a, struct strv *list, const char *assignment);
int strv_contains(const struct strv *list, const char *s); /* 1 or 0 */

/* malloc(3) and friends that do not fail; the caller frees. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
