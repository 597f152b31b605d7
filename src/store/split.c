#include "store/split.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/skeleton.h"
#include "store/split_header.h"

/* libarchive's own bound of an extended header. */
#define EXTENDED_MAX (1U << 20)
/* How far the other reader may lag behind: its block, and headers as long as they may be. */
#define QUEUE_MAX (8U << 20)
#define COMPACT_AT (1U << 20)
#define DIFFERENTLY "readers of tar understand it differently"

enum state { IN_HEADER, IN_EXTENDED, IN_FILE, IN_PADDING, AT_END };

/* An entry that the other reader has not told of yet. */
struct item {
	uint64_t at;   /* its first header */
	uint64_t size; /* of its contents */
	size_t raw;    /* so many bytes are kept before them */
};

struct split {
	struct skeleton_writer *w;
	enum state state;
	uint64_t offset;
	uint64_t left; /* of the state */
	size_t padding;
	unsigned char block[TAR_BLOCK];
	size_t have;
	struct split_header header;
	struct split_pending pending; /* extended headers before the entry */
	uint64_t begin;               /* of the first of them, or of the entry */
	struct buf extended;
	struct buf raw; /* what waits: from raw_at on */
	size_t raw_at;
	size_t since; /* behind the last item */
	struct item *items;
	size_t first, n, cap;
	uint64_t entries, contents;
};

struct split *split_new(struct skeleton_writer *w)
{
	struct split *s = xcalloc(1, sizeof(*s));

	s->w = w;
	return s;
}

void split_free(struct split **s)
{
	if (!s || !*s)
		return;
	buf_done(&(*s)->extended);
	buf_done(&(*s)->raw);
	free((*s)->items);
	free(*s);
	*s = NULL;
}

uint64_t split_entries(const struct split *s)
{
	return s->entries;
}

uint64_t split_contents(const struct split *s)
{
	return s->contents;
}

/* Bytes that are kept: at once, unless an entry before them has not been told of yet. */
static int keep(struct split *s, const void *p, size_t n, struct err *err)
{
	if (s->first == s->n)
		return skeleton_raw(s->w, p, n, err);
	if (s->raw.len - s->raw_at + n > QUEUE_MAX)
		return untar_refuse("", DIFFERENTLY, err);
	if (s->raw_at >= COMPACT_AT) {
		s->raw.len -= s->raw_at;
		memmove(s->raw.p, s->raw.p + s->raw_at, s->raw.len);
		s->raw_at = 0;
	}
	buf_add(&s->raw, p, n);
	s->since += n;
	return 0;
}

static void push(struct split *s, uint64_t size)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->items = xrealloc(s->items, s->cap * sizeof(*s->items));
	}
	s->items[s->n++] = (struct item){.at = s->begin, .size = size, .raw = s->since};
	s->since = 0;
	s->entries++;
	s->contents += size;
}

/* All that waited before the item goes out, and with the last one what is behind it. */
static int pop(struct split *s, struct item *ret, struct err *err)
{
	struct item item = s->items[s->first++];
	bool last = s->first == s->n;

	if (skeleton_raw(s->w, s->raw.p ? s->raw.p + s->raw_at : "", item.raw, err) < 0)
		return -1;
	s->raw_at += item.raw;
	if (last)
		s->first = s->n = 0;
	*ret = item;
	return 0;
}

/* Behind its contents. */
static int after_last(struct split *s, struct err *err)
{
	if (s->first < s->n)
		return 0;
	if (skeleton_raw(s->w, s->raw.p ? s->raw.p + s->raw_at : "", s->since, err) < 0)
		return -1;
	s->raw.len = s->raw_at = s->since = 0;
	return 0;
}

int split_entry(void *ctx, const struct untar_entry *e, uint64_t at, struct err *err)
{
	struct split *s = ctx;
	struct item item;
	uint64_t size = e->kind == UNTAR_FILE ? e->size : 0;

	if (s->first == s->n)
		return untar_refuse(e->path, DIFFERENTLY, err);
	if (pop(s, &item, err) < 0)
		return -1;
	if (item.at != at || item.size != size)
		return untar_refuse(e->path, DIFFERENTLY, err);
	if (size > 0 && skeleton_file(s->w, e->path, size, err) < 0)
		return -1;
	return after_last(s, err);
}

int split_end(struct split *s, struct err *err)
{
	bool clean = s->state == AT_END || (s->state == IN_HEADER && s->have == 0);

	if (!clean || split_pending_any(&s->pending) || s->first != s->n)
		return untar_refuse("", DIFFERENTLY, err);
	return 0;
}

static bool is_zero(const unsigned char *p)
{
	return p[0] == 0 && memcmp(p, p + 1, TAR_BLOCK - 1) == 0;
}

static void go(struct split *s, enum state state, uint64_t n)
{
	s->state = state;
	s->left = n;
	s->have = 0;
}

/* A header is whole. */
static int on_header(struct split *s, struct err *err)
{
	struct split_header *h = &s->header;
	uint64_t size = 0;

	if (is_zero(s->block)) {
		go(s, AT_END, 0);
		return 0;
	}
	if (!split_pending_any(&s->pending))
		s->begin = s->offset - TAR_BLOCK;
	if (split_header_read(s->block, h, err) < 0)
		return -1;
	if (split_is_extended(h)) {
		if (h->size > EXTENDED_MAX)
			return untar_refuse("", "an extended header is too long", err);
		if (split_pending_add(&s->pending, h, err) < 0)
			return -1;
		s->extended.len = 0;
		s->padding = tar_padding(h->size);
		go(s, IN_EXTENDED, h->size);
		return 0;
	}
	if (split_entry_size(&s->pending, h, &size, err) < 0)
		return -1;
	s->pending = (struct split_pending){0};
	push(s, size);
	s->padding = tar_padding(size);
	go(s, IN_FILE, size);
	return 0;
}

/* The state is over. */
static int next(struct split *s, struct err *err)
{
	switch (s->state) {
	case IN_HEADER:
		return on_header(s, err);
	case IN_EXTENDED:
		if (split_extended_read(&s->pending, &s->header, &s->extended, err) < 0)
			return -1;
		go(s, IN_PADDING, s->padding);
		return 0;
	case IN_FILE:
		go(s, IN_PADDING, s->padding);
		return 0;
	case IN_PADDING:
		go(s, IN_HEADER, TAR_BLOCK);
		return 0;
	case AT_END:
	default:
		return 0;
	}
}

/* n bytes, which belong to the state. */
static int take(struct split *s, const char *p, size_t n, struct err *err)
{
	s->offset += n;
	if (s->state == IN_FILE)
		return 0;
	if (s->state == IN_HEADER) {
		memcpy(s->block + s->have, p, n);
		s->have += n;
	}
	if (s->state == IN_EXTENDED)
		buf_add(&s->extended, p, n);
	return keep(s, p, n, err);
}

int split_feed(struct split *s, const void *bytes, size_t n, struct err *err)
{
	const char *p = bytes;

	if (s->offset == 0)
		go(s, IN_HEADER, TAR_BLOCK);
	while (n > 0) {
		size_t part = s->state != AT_END && s->left < n ? (size_t)s->left : n;

		if (take(s, p, part, err) < 0)
			return -1;
		p += part;
		n -= part;
		if (s->state == AT_END)
			continue;
		s->left -= part;
		/* A state of no length is over before it begins. */
		while (s->left == 0 && s->state != AT_END) {
			if (next(s, err) < 0)
				return -1;
		}
	}
	return 0;
}
