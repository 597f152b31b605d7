#include "run/joint.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "run/loop.h"

/*
 * A pipe is held only while there is something in it: idle connections have none.  The kernel counts the
 * pages of all pipes of a user, pipe(7), so there are not many; where all are held by slow readers,
 * the others' bytes are copied instead.
 */
#define MAX_TUBES 32
#define TUBE_SIZE (512u << 10)
#define COPY_SIZE (16u << 10)

/* Then it is another one's turn. */
#define ROUNDS 16

struct tube {
	int in, out;
	struct tube *next;
};

struct end {
	struct watch watch;
	struct joint *joint;
	bool readable, writable; /* as far as is known: until EAGAIN */
};

/* From end[i] to the other one. */
struct flow {
	struct tube *tube;
	size_t held; /* in the tube */
	char *copy;  /* or here */
	size_t copy_at, copy_n;
	bool eof;  /* seen */
	bool done; /* and passed on */
};

struct joint {
	struct end end[2];
	struct flow flow[2];
	struct joints *set;
	struct joint **link, *next; /* of `all` */
	struct joint *next_ready;
	bool queued, broken;
	uint32_t tag;
};

enum progress { MOVE_IDLE, MOVE_MORE, MOVE_BROKEN };

static struct tube *new_tube(struct joints *r)
{
	struct tube *t;
	int ends[2];

	if (r->n_tubes >= r->max_tubes || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return NULL;
	/* As large as may be; else it stays as it is. */
	(void)fcntl(ends[1], F_SETPIPE_SZ, (int)TUBE_SIZE);
	t = xcalloc(1, sizeof(*t));
	*t = (struct tube){.in = ends[1], .out = ends[0]};
	r->n_tubes++;
	return t;
}

static struct tube *take_tube(struct joints *r)
{
	struct tube *t = r->tubes;

	if (!t)
		return new_tube(r);
	r->tubes = t->next;
	return t;
}

static void close_tube(struct joints *r, struct tube *t)
{
	(void)close(t->in);
	(void)close(t->out);
	free(t);
	r->n_tubes--;
}

/* Empty, or there is something in it that nobody shall ever get. */
static void give_tube_back(struct joints *r, struct flow *f)
{
	if (f->tube && f->held > 0) {
		close_tube(r, f->tube);
	} else if (f->tube) {
		f->tube->next = r->tubes;
		r->tubes = f->tube;
	}
	f->tube = NULL;
	f->held = 0;
}

static void drop_copy(struct flow *f)
{
	free(f->copy);
	f->copy = NULL;
	f->copy_at = f->copy_n = 0;
}

void joints_init(struct joints *r, struct loop *loop)
{
	*r = (struct joints){.loop = loop, .max_tubes = MAX_TUBES};
	r->ready_end = &r->ready;
}

static void enqueue(struct joint *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->next_ready = NULL;
	*c->set->ready_end = c;
	c->set->ready_end = &c->next_ready;
}

static struct joint *dequeue(struct joints *r)
{
	struct joint *c = r->ready;

	if (!c)
		return NULL;
	r->ready = c->next_ready;
	if (!r->ready)
		r->ready_end = &r->ready;
	c->queued = false;
	return c;
}

void joint_reset(int fd)
{
	const struct linger now = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(fd);
}

/* Not while it is in the queue: only what works on the queue ends one. */
static void end_joint(struct joint *c, bool reset)
{
	struct joints *r = c->set;

	for (int i = 0; i < 2; i++) {
		int fd = c->end[i].watch.fd;

		give_tube_back(r, &c->flow[i]);
		drop_copy(&c->flow[i]);
		loop_remove(r->loop, &c->end[i].watch);
		if (reset)
			joint_reset(fd);
		else
			(void)close(fd);
	}
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	r->n--;
	free(c);
}

void joints_done(struct joints *r)
{
	struct tube *t;

	if (!r || !r->loop)
		return;
	while (dequeue(r))
		;
	for (struct joint *c = r->all, *next; c; c = next) {
		next = c->next;
		end_joint(c, true);
	}
	while ((t = r->tubes)) {
		r->tubes = t->next;
		close_tube(r, t);
	}
}

static void on_event(struct watch *w, uint32_t events)
{
	struct end *e = (struct end *)w; /* its first field */
	int errnum = 0;
	socklen_t n = sizeof(errnum);

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		e->readable = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		e->writable = true;
	/* Reading it clears it: a later splice(2) would tell of an end of file, not of a reset. */
	if (events & EPOLLERR && getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &errnum, &n) == 0 &&
	    errnum)
		e->joint->broken = true;
	enqueue(e->joint);
}

/* Each end has its own Nagle and its own delayed acknowledgements, which together wait for each other. */
static int watch_end(struct joints *r, struct end *e)
{
	const int on = 1;

	(void)setsockopt(e->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(e->watch.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	return loop_add(r->loop, &e->watch, EPOLLIN | EPOLLOUT | EPOLLET);
}

void joints_start(struct joints *r, int outer, int inner, uint32_t tag)
{
	const int fds[2] = {outer, inner};
	struct joint *c = xcalloc(1, sizeof(*c));
	int failed = 0;

	c->set = r;
	c->tag = tag;
	c->next = r->all;
	c->link = &r->all;
	if (r->all)
		r->all->link = &c->next;
	r->all = c;
	r->n++;
	for (int i = 0; i < 2; i++) {
		c->end[i] = (struct end){.watch = {.fd = fds[i], .ready = on_event}, .joint = c};
		failed |= watch_end(r, &c->end[i]);
	}
	if (failed)
		end_joint(c, true);
}

/* Only into what is empty: then EAGAIN can only mean that nothing has come, never that a pipe is full. */
static int fill(struct joints *r, struct flow *f, struct end *src)
{
	const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
	int errnum;
	ssize_t n;

	f->tube = take_tube(r);
	if (f->tube) {
		n = splice(src->watch.fd, NULL, f->tube->in, NULL, TUBE_SIZE, flags);
	} else {
		f->copy = xmalloc(COPY_SIZE);
		n = recv(src->watch.fd, f->copy, COPY_SIZE, MSG_DONTWAIT);
	}
	errnum = errno;
	if (n > 0 && f->tube)
		f->held = (size_t)n;
	else if (n > 0)
		f->copy_n = (size_t)n;
	if (n > 0)
		return 0;
	give_tube_back(r, f);
	drop_copy(f);
	if (n == 0)
		f->eof = true;
	else if (errnum == EAGAIN)
		src->readable = false;
	else if (errnum != EINTR)
		return -1;
	return 0;
}

static int drain(struct joints *r, struct flow *f, struct end *dst)
{
	const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
	ssize_t n;

	if (f->tube)
		n = splice(f->tube->out, NULL, dst->watch.fd, NULL, f->held, flags);
	else
		n = send(dst->watch.fd, f->copy + f->copy_at, f->copy_n - f->copy_at,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == EINTR)
		return 0;
	if (n < 0 && errno == EAGAIN) {
		dst->writable = false;
		return 0;
	}
	if (n <= 0)
		return -1;
	if (f->tube)
		f->held -= (size_t)n;
	else
		f->copy_at += (size_t)n;
	if (f->tube && f->held == 0)
		give_tube_back(r, f);
	else if (f->copy && f->copy_at == f->copy_n)
		drop_copy(f);
	return 0;
}

/* One step from end[i] to the other one: something moved, nothing can, or all is over. */
static enum progress step(struct joints *r, struct joint *c, int i)
{
	struct flow *f = &c->flow[i];
	struct end *src = &c->end[i];
	struct end *dst = &c->end[!i];

	if (f->done)
		return MOVE_IDLE;
	if (f->tube || f->copy) {
		if (!dst->writable)
			return MOVE_IDLE;
		return drain(r, f, dst) < 0 ? MOVE_BROKEN : MOVE_MORE;
	}
	/* After a reset it is none. */
	if (f->eof && c->broken)
		return MOVE_BROKEN;
	if (f->eof) {
		(void)shutdown(dst->watch.fd, SHUT_WR);
		f->done = true;
		return MOVE_IDLE;
	}
	if (!src->readable || !dst->writable)
		return MOVE_IDLE;
	return fill(r, f, src) < 0 ? MOVE_BROKEN : MOVE_MORE;
}

static enum progress move(struct joints *r, struct joint *c, int i)
{
	enum progress p = MOVE_MORE;

	for (int round = 0; round < ROUNDS && p == MOVE_MORE; round++)
		p = step(r, c, i);
	return p;
}

static void work_on(struct joints *r, struct joint *c)
{
	enum progress a = move(r, c, 0);
	enum progress b = move(r, c, 1);

	/* What had come before a reset is passed on first, as far as somebody takes it. */
	if (a == MOVE_BROKEN || b == MOVE_BROKEN || (c->broken && a != MOVE_MORE && b != MOVE_MORE))
		end_joint(c, true);
	else if (c->flow[0].done && c->flow[1].done)
		end_joint(c, false);
	else if (a == MOVE_MORE || b == MOVE_MORE)
		enqueue(c);
}

bool joints_work(struct joints *r)
{
	size_t n = 0;

	/* Each that waits now, once: what they put back is for the next turn. */
	for (const struct joint *c = r->ready; c; c = c->next_ready)
		n++;
	while (n-- > 0) {
		struct joint *c = dequeue(r);

		if (c)
			work_on(r, c);
	}
	return r->ready != NULL;
}

uint32_t joints_count(const struct joints *r, uint32_t tag)
{
	uint32_t n = 0;

	for (const struct joint *c = r->all; c; c = c->next)
		n += c->tag == tag;
	return n;
}
