#include "run/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"

#define BATCH 256

int loop_init(struct loop *l, struct err *err)
{
	_cleanup_fd_ int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		return err_errno(err, errno, "cannot make an epoll descriptor");
	*l = (struct loop){.epoll = TAKE_FD(epoll)};
	return 0;
}

static void empty_trash(struct loop *l)
{
	for (size_t i = 0; i < l->n_trash; i++)
		free(l->trash[i]);
	l->n_trash = 0;
}

void loop_done(struct loop *l)
{
	/* A zeroed one has no descriptor. */
	if (!l || l->epoll <= 0)
		return;
	cleanup_fd(&l->epoll);
	empty_trash(l);
	free(l->trash);
	l->trash = NULL;
}

static int control(struct loop *l, int what, struct watch *w, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = w};

	return epoll_ctl(l->epoll, what, w->fd, &e);
}

int loop_add(struct loop *l, struct watch *w, uint32_t events)
{
	return control(l, EPOLL_CTL_ADD, w, events);
}

int loop_change(struct loop *l, struct watch *w, uint32_t events)
{
	return control(l, EPOLL_CTL_MOD, w, events);
}

void loop_remove(struct loop *l, struct watch *w)
{
	/* close(2) alone would not do: the process that it came from may still have it. */
	if (w->fd >= 0)
		(void)control(l, EPOLL_CTL_DEL, w, 0);
	w->fd = -1;
}

void loop_discard(struct loop *l, void *p)
{
	if (l->n_trash == l->cap_trash) {
		l->cap_trash = l->cap_trash ? 2 * l->cap_trash : 16;
		l->trash = xrealloc(l->trash, l->cap_trash * sizeof(*l->trash));
	}
	l->trash[l->n_trash++] = p;
}

uint64_t loop_now_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void loop_turn(struct loop *l, int timeout_ms)
{
	struct epoll_event events[BATCH];
	int n = epoll_wait(l->epoll, events, BATCH, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;

		if (w->fd >= 0)
			w->ready(w, events[i].events);
	}
	empty_trash(l);
}
