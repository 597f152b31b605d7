#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/proc.h"

#define CHUNK_SIZE 8192
#define ALIGN _Alignof(max_align_t)

struct chunk {
	struct chunk *next;
	size_t used;
	size_t size;
	max_align_t data[];
};

struct adopted {
	struct adopted *next;
	void *p;
};

struct arena {
	struct chunk *chunks; /* the first is the one being filled */
	struct adopted *adopted;
};

static struct chunk *chunk_new(size_t size)
{
	struct chunk *c;

	if (size > SIZE_MAX - sizeof(*c))
		proc_give_up("out of memory");
	c = xcalloc(1, sizeof(*c) + size);
	c->size = size;
	return c;
}

struct arena *arena_new(void)
{
	return xcalloc(1, sizeof(struct arena));
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	for (const struct adopted *x = a->adopted; x; x = x->next)
		free(x->p);
	while (a->chunks) {
		struct chunk *next = a->chunks->next;
		free(a->chunks);
		a->chunks = next;
	}
	free(a);
}

void arena_cleanup(struct arena **a)
{
	arena_free(*a);
	*a = NULL;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct chunk *c = a->chunks;
	char *p;

	if (size > SIZE_MAX - ALIGN)
		proc_give_up("out of memory");
	/* Something of its own address for 0 bytes too. */
	size = size ? (size + ALIGN - 1) / ALIGN * ALIGN : ALIGN;

	if (size > CHUNK_SIZE / 4) {
		/* A large one gets its own chunk, behind the one being filled. */
		struct chunk *big = chunk_new(size);
		big->used = size;
		if (c) {
			big->next = c->next;
			c->next = big;
		} else {
			a->chunks = big;
		}
		return big->data;
	}
	if (!c || c->size - c->used < size) {
		c = chunk_new(CHUNK_SIZE);
		c->next = a->chunks;
		a->chunks = c;
	}
	p = (char *)c->data + c->used;
	c->used += size;
	return p;
}

void arena_adopt(struct arena *a, void *p)
{
	struct adopted *x;

	if (!p)
		return;
	x = arena_alloc(a, sizeof(*x));
	*x = (struct adopted){.next = a->adopted, .p = p};
	a->adopted = x;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	size_t len;
	char *p;

	if (!s)
		return NULL;
	len = strnlen(s, n);
	p = arena_alloc(a, len + 1);
	memcpy(p, s, len);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

static char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0), nonnull(2)));

static char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	va_list again;
	char *p;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		proc_give_up("cannot format a text");
	p = arena_alloc(a, (size_t)n + 1);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return p;
}

/* Add a string that already lies in the arena. */
static void strv_add(struct arena *a, struct strv *list, char *s)
{
	if (list->n + 2 > list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 8;
		char **v = arena_alloc(a, cap * sizeof(*v));
		if (list->n)
			memcpy(v, list->v, list->n * sizeof(*v));
		list->v = v;
		list->cap = cap;
	}
	list->v[list->n++] = s;
	list->v[list->n] = NULL;
}

void strv_push(struct arena *a, struct strv *list, const char *s)
{
	strv_add(a, list, arena_strdup(a, s));
}

void strv_pushf(struct arena *a, struct strv *list, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strv_add(a, list, arena_vprintf(a, fmt, ap));
	va_end(ap);
}

void strv_put_env(struct arena *a, struct strv *list, const char *assignment)
{
	size_t n = strcspn(assignment, "=") + 1;

	for (size_t i = 0; i < list->n; i++) {
		if (strncmp(list->v[i], assignment, n) == 0) {
			list->v[i] = arena_strdup(a, assignment);
			return;
		}
	}
	strv_push(a, list, assignment);
}

int strv_contains(const struct strv *list, const char *s)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i], s) == 0)
			return 1;
	return 0;
}

void *xrealloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (!p)
		proc_give_up("out of memory");
	return p;
}

void *xmalloc(size_t size)
{
	return xrealloc(NULL, size);
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		proc_give_up("out of memory");
	return p;
}

char *xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(xmalloc(n), s, n);
}

char *xasprintf(const char *fmt, ...)
{
	char *p = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (n < 0)
		proc_give_up("out of memory");
	return p;
}
