#include "run/relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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
#include "run/joint.h"
#include "run/loop.h"
#include "run/peer.h"

/* Where nobody answers inside, one asks again after this. */
#define AGAIN_MS 50

/* The caller is asked to end; it then ends its command.  After this it is ended. */
#define END_MS 2000

struct relaying;

struct route {
	struct watch watch; /* the first field */
	struct relaying *s;
	const char *path;
	uint64_t early_ms; /* nobody answered there then; 0: that is not so */
	bool open;         /* it is watched for connections */
};

struct relaying {
	struct watch watched; /* the first field */
	const struct relay *r;
	struct loop loop;
	struct joints joints;
	struct route routes[RELAY_MAX_ROUTES];
	bool asked; /* r->ready was called */
	pid_t caller;
};

/* ---- new ones ---- */

/* Is it one that goes away by itself, when the sandbox or the program inside is up? */
static bool is_early(const struct err *why)
{
	return why->errnum == EAGAIN || why->errnum == ENOENT || why->errnum == ECONNREFUSED;
}

/* Inside first: only then is it known that there is somebody. */
static void take_one(struct watch *w, uint32_t events)
{
	struct route *route = (struct route *)w; /* its first field */
	struct relaying *s = route->s;
	_cleanup_fd_ int inside = -1;
	_cleanup_fd_ int outside = -1;
	struct err why = {0};

	(void)events;
	if (s->joints.n >= RELAY_MAX_PAIRS)
		return;
	if (client_dial(s->r->env, route->path, &inside, &why) < 0) {
		if (!is_early(&why))
			log_debug("%s", why.msg);
		route->early_ms = loop_now_ms();
		return;
	}
	outside = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	/* What is not the user's own may not even hold a connection: there are not so many. */
	if (outside < 0 || peer_is_foreign(outside))
		return;
	joints_start(&s->joints, TAKE_FD(outside), TAKE_FD(inside), 0);
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
static void end_caller(struct watch *w, uint32_t events)
{
	const struct relaying *s = (struct relaying *)w; /* its first field */
	struct pollfd never = {.fd = -1};

	(void)events;
	if (getppid() == s->caller)
		(void)kill(s->caller, SIGTERM);
	/* The caller stops this process when it ends. */
	(void)poll(&never, 1, END_MS);
	if (getppid() == s->caller)
		(void)kill(s->caller, SIGKILL);
	_exit(0);
}

/* What waits in a listener's backlog is taken when there is room for it and somebody inside. */
static void open_or_shut(struct relaying *s)
{
	const uint64_t now = loop_now_ms();

	for (size_t i = 0; i < s->r->n; i++) {
		struct route *route = &s->routes[i];
		bool open;

		if (route->early_ms && now - route->early_ms >= AGAIN_MS)
			route->early_ms = 0;
		open = !route->early_ms && s->joints.n < RELAY_MAX_PAIRS;
		if (open == route->open)
			continue;
		route->open = open;
		(void)loop_change(&s->loop, &route->watch, open ? EPOLLIN : 0);
	}
}

/* polls: that a program inside begins to listen is nothing that can be waited for from outside. */
static int timeout(const struct relaying *s, bool more)
{
	bool again = s->r->ready && !s->asked;

	for (size_t i = 0; i < s->r->n; i++)
		again = again || s->routes[i].early_ms;
	return more ? 0 : again ? AGAIN_MS : -1;
}

/* Only what it needs stays open: it would hold the caller's pipes. */
static void close_others(const struct relay *r, int epoll)
{
	int keep[RELAY_MAX_ROUTES + 2] = {epoll};
	size_t n = 1;

	for (size_t i = 0; i < r->n; i++)
		keep[n++] = r->routes[i].fd;
	keep[n++] = r->watched;
	proc_close_fds_except(STDERR_FILENO + 1, keep, n);
}

static int watch_all(struct relaying *s)
{
	const struct relay *r = s->r;

	joints_init(&s->joints, &s->loop);
	s->watched = (struct watch){.fd = r->watched, .ready = end_caller};
	if (r->watched >= 0 && loop_add(&s->loop, &s->watched, EPOLLIN) < 0)
		return -1;
	for (size_t i = 0; i < r->n; i++) {
		s->routes[i] = (struct route){.watch = {.fd = r->routes[i].fd, .ready = take_one},
					      .s = s,
					      .path = r->routes[i].path,
					      .open = true};
		if (loop_add(&s->loop, &s->routes[i].watch, EPOLLIN) < 0)
			return -1;
	}
	return 0;
}

static _Noreturn void serve(struct relaying *s)
{
	static const int not_for_us[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
					 SIGTSTP, SIGPIPE, SIGUSR1, SIGUSR2};
	bool more = false;

	for (size_t i = 0; i < sizeof(not_for_us) / sizeof(not_for_us[0]); i++)
		(void)signal(not_for_us[i], SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != s->caller)
		_exit(0);
	close_others(s->r, s->loop.epoll);
	if (watch_all(s) < 0)
		_exit(1);
	for (;;) {
		loop_turn(&s->loop, timeout(s, more));
		more = joints_work(&s->joints);
		if (s->r->ready && !s->asked)
			ask_ready(s);
		open_or_shut(s);
	}
}

int relay_start(const struct relay *r, pid_t *ret_pid, struct err *err)
{
	__attribute__((cleanup(loop_done))) struct loop loop = {0};
	struct relaying *s;
	pid_t pid;

	if (r->n == 0 || r->n > RELAY_MAX_ROUTES)
		return err_errno(err, EINVAL, "cannot relay %zu sockets", r->n);
	if (loop_init(&loop, err) < 0)
		return err_prefix(err, "cannot start the relay");
	s = xcalloc(1, sizeof(*s));
	*s = (struct relaying){.r = r, .loop = loop, .caller = getpid()};
	pid = fork();
	if (pid == 0)
		serve(s);
	free(s);
	if (pid < 0)
		return err_errno(err, errno, "cannot start the relay");
	*ret_pid = pid;
	return 0;
}

void relay_stop(pid_t pid)
{
	proc_end(pid);
}
