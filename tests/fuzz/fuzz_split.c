/*
 * fuzz_split — a layer's bytes, compressed or not, go over two readers of tar: what both take is the
 * same list of files to both, and comes in order; or there is a message.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/inflate.h"
#include "store/skeleton.h"
#include "store/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
	const uint8_t *p;
	size_t n;
	struct inflate *inflate;
	struct split *split;
	uint64_t tar;
};

static ssize_t give(void *ctx, void *p, size_t n, struct err *err)
{
	struct source *s = ctx;

	(void)err;
	/* Odd pieces, so that a header lies across their borders. */
	if (n > 777)
		n = 777;
	if (n > s->n)
		n = s->n;
	memcpy(p, s->p, n);
	s->p += n;
	s->n -= n;
	return (ssize_t)n;
}

static ssize_t read_tar(void *ctx, void *p, size_t n, struct err *err)
{
	struct source *s = ctx;
	ssize_t got = inflate_read(s->inflate, p, n, err);

	if (got <= 0)
		return got;
	s->tar += (uint64_t)got;
	if (s->tar > (8U << 20))
		return err_set(err, "long enough");
	return split_feed(s->split, p, (size_t)got, err) < 0 ? -1 : got;
}

/* Both readers to the end: 0, or -1 and a message. */
static int read_all(struct source *s, struct err *err)
{
	static const struct untar_limits limits = {.entries = 1000, .bytes = 8U << 20};
	_cleanup_untar_ struct untar *u = NULL;
	struct untar_entry e;
	uint64_t contents = 0;
	bool end = false;

	if (untar_open(read_tar, s, &limits, &u, err) < 0)
		return -1;
	untar_watch(u, split_entry, s->split);
	for (;;) {
		uint64_t offset = 0;
		const void *p = NULL;
		uint64_t got = 0;
		bool last = false;
		size_t n = 0;

		if (untar_next(u, &e, &end, err) < 0)
			return -1;
		if (end)
			break;
		while (untar_data(u, &p, &n, &offset, &last, err) == 0 && !last)
			got += n;
		if (!last)
			return -1;
		/* No holes: each byte of it is in the tar. */
		if (e.kind == UNTAR_FILE && got != e.size)
			abort();
		contents += got;
	}
	if (split_end(s->split, err) < 0)
		return -1;
	if (contents != split_contents(s->split) || contents > s->tar)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct skeleton_writer *w = NULL;
	struct source s = {.p = data, .n = size};
	struct err err = {0};
	char name[32];
	int dir = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)snprintf(name, sizeof(name), "fuzz-split-%ld", (long)getpid());
	if (skeleton_create(dir, name, &w, &err) < 0)
		abort();
	(void)unlinkat(dir, name, 0);
	(void)close(dir);
	s.inflate = inflate_new(give, &s);
	s.split = split_new(w);
	if (read_all(&s, &err) < 0 && err.msg[0] == '\0')
		abort();
	split_free(&s.split);
	inflate_free(&s.inflate);
	skeleton_abort(&w);
	return 0;
}
