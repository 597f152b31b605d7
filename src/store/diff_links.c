/* Hard links in the upper. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/diff_internal.h"

void diff_links_done(struct diff_links *links)
{
	if (!links)
		return;
	free(links->v);
	*links = (struct diff_links){0};
}

void diff_links_add(struct diff_links *links, size_t entry, const struct stat *upper,
		    const struct stat *lower)
{
	if (!S_ISREG(upper->st_mode) || upper->st_nlink < 2)
		return;
	if (links->n == links->cap) {
		links->cap = links->cap ? links->cap * 2 : 16;
		links->v = xrealloc(links->v, links->cap * sizeof(*links->v));
	}
	links->v[links->n++] = (struct diff_link){
		.dev = upper->st_dev,
		.ino = upper->st_ino,
		.lower_dev = lower->st_dev,
		.lower_ino = lower->st_ino,
		.entry = entry,
	};
}

static int by_file(const void *a, const void *b)
{
	const struct diff_link *x = a;
	const struct diff_link *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return 0;
}

/* Are these names, all of one file, what they were? */
static bool is_as_before(const struct diff_link *v, size_t n, const struct entry *entries)
{
	for (size_t i = 0; i < n; i++) {
		if (entries[v[i].entry].verdict != ENTRY_SAME || v[i].lower_dev != v[0].lower_dev ||
		    v[i].lower_ino != v[0].lower_ino)
			return false;
	}
	return true;
}

static void mark(struct entry *v, const size_t *parents, size_t i)
{
	if (v[i].verdict != ENTRY_SAME)
		return;
	v[i].verdict = ENTRY_TIME;
	for (size_t p = parents[i]; p != SIZE_MAX; i = p, p = parents[p]) {
		if (v[i].excluded && !v[p].excluded)
			return;
		if (v[p].verdict == ENTRY_SAME || v[p].verdict == ENTRY_TIME)
			v[p].verdict = ENTRY_PARENT;
	}
}

void diff_links_mark(struct diff_links *links, struct entry *v, const size_t *parents)
{
	if (links->n < 2)
		return;
	qsort(links->v, links->n, sizeof(*links->v), by_file);
	for (size_t i = 0; i < links->n;) {
		const struct diff_link *first = &links->v[i];
		size_t n = 1;

		while (i + n < links->n && by_file(first, first + n) == 0)
			n++;
		for (size_t k = 0; k < n && !is_as_before(first, n, v); k++)
			mark(v, parents, first[k].entry);
		i += n;
	}
}
