#include "run/dialing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/proc.h"

struct dial {
	dialing_done_fn done; /* NULL: forgotten */
	void *ctx;
	struct dial *next;
};

/* Tell the first of those that wait. */
static void tell(struct dialing *d, int fd, int errnum)
{
	struct dial *first = d->first;

	d->first = first->next;
	if (!d->first)
		d->end = &d->first;
	d->n--;
	if (first->done)
		first->done(first->ctx, fd, errnum);
	else if (fd >= 0)
		(void)close(fd);
	free(first);
}

static void end(struct dialing *d, int errnum)
{
	d->over = true;
	loop_remove(d->loop, &d->watch);
	while (d->first)
		tell(d, -1, errnum);
}

static void on_answer(struct watch *w, uint32_t events)
{
	struct dialing *d = (struct dialing *)w; /* its first field */

	(void)events;
	while (!d->over) {
		struct dial_answer a = {0};
		int fds[PROC_MAX_FDS];
		size_t n = 0;
		ssize_t r = proc_recv(w->fd, &a, sizeof(a), fds, &n);

		if (r < 0 && errno == EAGAIN)
			return;
		/* There was no descriptor for it here: the next may find one. */
		if (r < 0 && errno == EMSGSIZE && d->first) {
			tell(d, -1, EMFILE);
			continue;
		}
		if (r != (ssize_t)sizeof(a) || !d->first || n != (a.errnum == 0 ? 1u : 0u)) {
			for (size_t i = 0; i < n; i++)
				(void)close(fds[i]);
			end(d, ECONNRESET);
			return;
		}
		tell(d, n ? fds[0] : -1, a.errnum);
	}
}

int dialing_init(struct dialing *d, struct loop *loop, int sock)
{
	*d = (struct dialing){.watch = {.fd = sock, .ready = on_answer}, .loop = loop};
	d->end = &d->first;
	if (fcntl(sock, F_SETFL, O_NONBLOCK) < 0)
		return -1;
	return loop_add(loop, &d->watch, EPOLLIN);
}

void dialing_done(struct dialing *d)
{
	if (d && d->loop && !d->over)
		end(d, ECANCELED);
}

int dialing_ask(struct dialing *d, const struct dial_order *order, dialing_done_fn done, void *ctx)
{
	struct dial *new;

	if (d->over || d->n >= DIALING_MAX ||
	    proc_send(d->watch.fd, order, sizeof(*order), NULL, 0) < 0)
		return -1;
	new = xcalloc(1, sizeof(*new));
	*new = (struct dial){.done = done, .ctx = ctx};
	*d->end = new;
	d->end = &new->next;
	d->n++;
	return 0;
}

void dialing_forget(struct dialing *d, const void *ctx)
{
	for (struct dial *p = d->first; p; p = p->next)
		if (p->ctx == ctx)
			p->done = NULL;
}
