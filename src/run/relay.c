#include "run/relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "run/client.h"
#include "run/peer.h"

/* Where nobody answers inside, one asks again after this. */
#define AGAIN_MS 50

/* The caller is asked to end; it then ends its command.  After this it is ended. */
#define END_MS 2000

#define BLOCK 32768u

/* One direction: what was read at one end and not yet written to the other. */
struct half {
	size_t from, to; /* in block */
	bool ended;      /* nothing more to read */
	bool told;       /* and the other end knows */
	char block[BLOCK];
};

struct pair {
	int fd[2];
	struct half half[2]; /* half[i] comes from fd[i] */
};

struct relaying {
	const struct relay *r;
	struct pair *pairs[RELAY_MAX_PAIRS];
	size_t n;
	bool early[RELAY_MAX_ROUTES]; /* nobody answered there just now */
	bool asked;                   /* r->ready was called */
	pid_t caller;
};

static void pair_free(struct pair *p)
{
	cleanup_fd(&p->fd[0]);
	cleanup_fd(&p->fd[1]);
	cleanup_free(&p);
}

/* ---- one connection ---- */

/* False: it is broken. */
static bool write_half(struct half *h, int to)
{
	while (h->from < h->to) {
		ssize_t n =
			send(to, h->block + h->from, h->to - h->from, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		h->from += (size_t)n;
	}
	h->from = h->to = 0;
	if (h->ended && !h->told) {
		h->told = true;
		(void)shutdown(to, SHUT_WR);
	}
	return true;
}

static bool read_half(struct half *h, int from)
{
	ssize_t n = recv(from, h->block, BLOCK, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	h->ended = n == 0;
	h->to = (size_t)n;
	return true;
}

static bool is_over(const struct pair *p)
{
	return p->half[0].told && p->half[1].told;
}

/* What there is to wait for; a descriptor of which nothing is wanted would only say that it hung up. */
static void pair_poll(const struct pair *p, struct pollfd fds[static 2])
{
	for (int i = 0; i < 2; i++) {
		short events = 0;

		if (!p->half[i].ended && p->half[i].to == 0)
			events |= POLLIN;
		if (p->half[1 - i].to > 0)
			events |= POLLOUT;
		fds[i] = (struct pollfd){.fd = events ? p->fd[i] : -1, .events = events};
	}
}

/* False: it is over. */
static bool pair_pump(struct pair *p, const struct pollfd fds[static 2])
{
	for (int i = 0; i < 2; i++) {
		struct half *h = &p->half[i];

		if ((fds[i].events & POLLIN) && fds[i].revents && !read_half(h, p->fd[i]))
			return false;
		if (((fds[i].events & POLLIN) || fds[1 - i].revents) &&
		    !write_half(h, p->fd[1 - i]))
			return false;
	}
	return !is_over(p);
}

/* ---- new ones ---- */

/* Is it one that goes away by itself, when the sandbox or the program inside is up? */
static bool is_early(const struct err *why)
{
	return why->errnum == EAGAIN || why->errnum == ENOENT || why->errnum == ECONNREFUSED;
}

/* Inside first: only then is it known that there is somebody. */
static void take_one(struct relaying *s, size_t i)
{
	const struct relay_route *route = &s->r->routes[i];
	_cleanup_fd_ int inside = -1;
	_cleanup_fd_ int outside = -1;
	struct err why = {0};
	struct pair *p;

	if (client_dial(s->r->env, route->path, &inside, &why) < 0) {
		if (!is_early(&why))
			log_debug("%s", why.msg);
		s->early[i] = true;
		return;
	}
	outside = accept4(route->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	/* What is not the user's own may not even hold a connection: there are not so many. */
	if (outside < 0 || peer_is_foreign(outside))
		return;
	p = xcalloc(1, sizeof(*p));
	p->fd[0] = TAKE_FD(outside);
	p->fd[1] = TAKE_FD(inside);
	s->pairs[s->n++] = p;
}

static void ask_ready(struct relaying *s)
{
	_cleanup_fd_ int inside = -1;

	if (client_dial(s->r->env, s->r->routes[0].path, &inside, NULL) < 0)
		return;
	s->asked = true;
	s->r->ready(s->r->arg);
}

/* ---- the process ---- */

/* The front end is gone: so is, in order, the caller, whose command ends with it. */
static void end_caller(const struct relaying *s)
{
	const struct pollfd never = {.fd = -1};
	struct pollfd p = never;

	if (getppid() == s->caller)
		(void)kill(s->caller, SIGTERM);
	/* The caller stops this process when it ends. */
	(void)poll(&p, 1, END_MS);
	if (getppid() == s->caller)
		(void)kill(s->caller, SIGKILL);
	_exit(0);
}

static void pump_all(struct relaying *s, const struct pollfd *fds)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (pair_pump(s->pairs[i], fds + 2 * i))
			s->pairs[n++] = s->pairs[i];
		else
			pair_free(s->pairs[i]);
	}
	s->n = n;
}

/* polls: that a program inside begins to listen is nothing that can be waited for from outside. */
static int timeout(const struct relaying *s)
{
	bool again = s->r->ready && !s->asked;

	for (size_t i = 0; i < s->r->n; i++)
		again = again || s->early[i];
	return again ? AGAIN_MS : -1;
}

static void once(struct relaying *s)
{
	struct pollfd fds[1 + RELAY_MAX_ROUTES + 2 * RELAY_MAX_PAIRS];
	const size_t routes = s->r->n;
	struct pollfd *pairs = fds + 1 + routes;
	const size_t n = s->n;

	fds[0] = (struct pollfd){.fd = s->r->watched, .events = POLLIN};
	for (size_t i = 0; i < routes; i++)
		fds[1 + i] = (struct pollfd){
			.fd = s->early[i] || n == RELAY_MAX_PAIRS ? -1 : s->r->routes[i].fd,
			.events = POLLIN};
	for (size_t i = 0; i < n; i++)
		pair_poll(s->pairs[i], pairs + 2 * i);
	if (poll(fds, (nfds_t)(1 + routes + 2 * n), timeout(s)) < 0)
		return;
	if (fds[0].revents)
		end_caller(s);
	pump_all(s, pairs);
	if (s->r->ready && !s->asked)
		ask_ready(s);
	for (size_t i = 0; i < routes; i++) {
		s->early[i] = false;
		if (fds[1 + i].revents && s->n < RELAY_MAX_PAIRS)
			take_one(s, i);
	}
}

/* Only what it needs stays open: it would hold the caller's pipes. */
static void close_others(const struct relay *r)
{
	int keep[RELAY_MAX_ROUTES + 1];
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		keep[n++] = r->routes[i].fd;
	keep[n++] = r->watched;
	proc_close_fds_except(STDERR_FILENO + 1, keep, n);
}

static _Noreturn void serve(const struct relay *r, pid_t caller)
{
	static const int not_for_us[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
					 SIGTSTP, SIGPIPE, SIGUSR1, SIGUSR2};
	struct relaying *s;

	for (size_t i = 0; i < sizeof(not_for_us) / sizeof(not_for_us[0]); i++)
		(void)signal(not_for_us[i], SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != caller)
		_exit(0);
	close_others(r);
	s = xcalloc(1, sizeof(*s));
	s->r = r;
	s->caller = caller;
	for (;;)
		once(s);
}

int relay_start(const struct relay *r, pid_t *ret_pid, struct err *err)
{
	const pid_t caller = getpid();
	pid_t pid;

	if (r->n == 0 || r->n > RELAY_MAX_ROUTES)
		return err_errno(err, EINVAL, "cannot relay %zu sockets", r->n);
	pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot start the relay");
	if (pid == 0)
		serve(r, caller);
	*ret_pid = pid;
	return 0;
}

void relay_stop(pid_t pid)
{
	int status;

	if (pid <= 0)
		return;
	(void)kill(pid, SIGKILL);
	(void)proc_wait(pid, &status, NULL);
}
