#include "base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A block is handed over when it is full: large enough to make waking up cheap, small enough for the caches. */
#define BLOCK_SIZE (128U << 10)
#define BLOCKS 16U

struct block {
	char *p;
	size_t n;
};

struct worker {
	worker_fn fn;
	void *ctx;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t moved; /* one of the three below */
	size_t full;          /* blocks handed over since the beginning */
	size_t done;          /* of them, worked off */
	bool end;
	size_t used; /* the owner's alone: bytes in the block that it fills */
	struct block ring[BLOCKS];
};

/* The next block to work on; NULL: there is none, and will be none. */
static struct block *next(struct worker *b)
{
	struct block *block = NULL;

	(void)pthread_mutex_lock(&b->lock);
	while (b->done == b->full && !b->end)
		(void)pthread_cond_wait(&b->moved, &b->lock);
	if (b->done < b->full)
		block = &b->ring[b->done % BLOCKS];
	(void)pthread_mutex_unlock(&b->lock);
	return block;
}

static void *work(void *arg)
{
	struct worker *b = arg;
	struct block *block;

	while ((block = next(b)) != NULL) {
		b->fn(b->ctx, block->p, block->n);
		(void)pthread_mutex_lock(&b->lock);
		b->done++;
		(void)pthread_cond_signal(&b->moved);
		(void)pthread_mutex_unlock(&b->lock);
	}
	return NULL;
}

static void release(struct worker *b)
{
	for (size_t i = 0; i < BLOCKS; i++)
		free(b->ring[i].p);
	(void)pthread_cond_destroy(&b->moved);
	(void)pthread_mutex_destroy(&b->lock);
	free(b);
}

static int start(struct worker *b)
{
	sigset_t all;
	sigset_t before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&b->thread, NULL, work, b);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

struct worker *worker_new(worker_fn fn, void *ctx)
{
	struct worker *b = xcalloc(1, sizeof(*b));
	int r;

	b->fn = fn;
	b->ctx = ctx;
	(void)pthread_mutex_init(&b->lock, NULL);
	(void)pthread_cond_init(&b->moved, NULL);
	r = start(b);
	if (r == 0)
		return b;
	release(b);
	errno = r;
	return NULL;
}

/* The thread has to have left the block that comes next. */
static void await_room(struct worker *b)
{
	struct block *block = &b->ring[b->full % BLOCKS];

	(void)pthread_mutex_lock(&b->lock);
	while (b->full - b->done == BLOCKS)
		(void)pthread_cond_wait(&b->moved, &b->lock);
	(void)pthread_mutex_unlock(&b->lock);
	if (!block->p)
		block->p = xmalloc(BLOCK_SIZE);
}

static void hand_over(struct worker *b, bool end)
{
	(void)pthread_mutex_lock(&b->lock);
	if (b->used > 0) {
		b->ring[b->full % BLOCKS].n = b->used;
		b->full++;
	}
	b->end = end;
	(void)pthread_cond_signal(&b->moved);
	(void)pthread_mutex_unlock(&b->lock);
	b->used = 0;
}

void worker_add(struct worker *b, const void *p, size_t n)
{
	const char *from = p;

	while (n > 0) {
		size_t part = BLOCK_SIZE - b->used < n ? BLOCK_SIZE - b->used : n;

		if (b->used == 0)
			await_room(b);
		memcpy(b->ring[b->full % BLOCKS].p + b->used, from, part);
		b->used += part;
		from += part;
		n -= part;
		if (b->used == BLOCK_SIZE)
			hand_over(b, false);
	}
}

void worker_end(struct worker **b)
{
	if (!b || !*b)
		return;
	hand_over(*b, true);
	(void)pthread_join((*b)->thread, NULL);
	release(*b);
	*b = NULL;
}
