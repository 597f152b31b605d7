/*
 * fuzz_untar — a layer's tar may come from anybody: any bytes give entries whose names stay
 * below the tree, or a message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/untar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
	const uint8_t *p;
	size_t n;
};

static ssize_t give(void *ctx, void *p, size_t n, struct err *err)
{
	struct source *s = ctx;

	(void)err;
	/* Odd pieces, so that an entry lies across their borders. */
	if (n > 777)
		n = 777;
	if (n > s->n)
		n = s->n;
	memcpy(p, s->p, n);
	s->p += n;
	s->n -= n;
	return (ssize_t)n;
}

static void check_name(const char *path)
{
	size_t n;

	for (const char *p = path; *path && p; p = p[n] ? p + n + 1 : NULL) {
		n = strcspn(p, "/");
		if (n == 0 || n > 255 || strncmp(p, "..", n > 2 ? n : 2) == 0 ||
		    (n == 1 && *p == '.'))
			abort();
	}
}

static void check(struct untar *u, const struct untar_entry *e)
{
	uint64_t offset = 0;
	const void *p = NULL;
	struct err err = {0};
	bool end = false;
	size_t n = 0;

	check_name(e->path);
	if (e->path[0] == '\0' && e->kind != UNTAR_FOLDER)
		abort();
	if (e->kind == UNTAR_HARDLINK)
		check_name(e->link);
	for (size_t i = 0; i < e->n_xattrs; i++) {
		if (!untar_keeps_xattr(e->xattrs[i].name))
			abort();
	}
	while (untar_data(u, &p, &n, &offset, &end, &err) == 0 && !end)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct untar_limits limits = {.entries = 1000, .bytes = 1U << 20};
	struct source s = {data, size};
	_cleanup_untar_ struct untar *u = NULL;
	struct untar_entry e;
	struct err err = {0};
	bool end = false;

	if (untar_open(give, &s, &limits, &u, &err) < 0)
		return 0;
	while (untar_next(u, &e, &end, &err) == 0) {
		if (end)
			return 0;
		check(u, &e);
	}
	if (err.msg[0] == '\0')
		abort();
	return 0;
}
