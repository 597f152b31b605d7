#include "run/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "run/launch.h"
#include "run/ports.h"
#include "run/proto.h"
#include "run/sandbox.h"
#include "store/env.h"
#include "store/env_chain.h"

/* Another one that starts it takes that long at the most. */
#define START_LOCK_MS 90000

/* How long an end may take before it is helped on: asked, then SIGTERM, then SIGKILL. */
#define STOP_MS 6000

/* One that ends just now is waited for. */
#define HOLD_MS 2000

static int not_running(const struct env *env, struct err *err)
{
	(void)err_set(err, "the sandbox of '%s' is not running", env->project);
	if (err)
		err->errnum = ENOENT;
	return -1;
}

/* The other side must be this user's: whoever could put a socket there could pose as a sandbox. */
static int check_peer(int sock, struct ucred *ret_peer, struct err *err)
{
	socklen_t n = sizeof(*ret_peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, ret_peer, &n) < 0)
		return err_errno(err, errno, "cannot tell who answers");
	if (ret_peer->uid != geteuid())
		return err_set(err, "the sandbox's socket belongs to user %u",
			       (unsigned)ret_peer->uid);
	return 0;
}

/* To the socket `name` in its run/. */
static int connect_to(const struct env *env, const char *name, int *ret_sock,
		      struct ucred *ret_peer, struct err *err)
{
	_cleanup_fd_ int dir = open(env->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r;

	if (dir < 0 || sock < 0)
		return err_errno(err, errno, "cannot reach the sandbox in '%s'", env->dir);
	/* A path by fd is never too long for an address. */
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/run/%s", dir,
		       name);
	do
		r = connect(sock, (const struct sockaddr *)&address, sizeof(address));
	while (r < 0 && errno == EINTR);
	/* Refused: it was bound and is not listening yet, or nobody is left who would. */
	if (r < 0 && (errno == ENOENT || errno == ECONNREFUSED))
		return not_running(env, err);
	if (r < 0)
		return err_errno(err, errno, "cannot reach the sandbox in '%s'", env->dir);
	if (check_peer(sock, ret_peer, err) < 0)
		return -1;
	*ret_sock = TAKE_FD(sock);
	return 0;
}

int client_connect(const struct env *env, int *ret_sock, struct err *err)
{
	struct ucred peer;

	return connect_to(env, SANDBOX_SOCKET, ret_sock, &peer, err);
}

int client_connect_ports(const struct env *env, int *ret_sock, struct err *err)
{
	_cleanup_fd_ int sandbox = -1;
	struct ucred peer;

	if (connect_to(env, PORTS_SOCKET, ret_sock, &peer, err) == 0)
		return 0;
	if (err->errnum != ENOENT || client_connect(env, &sandbox, err) < 0)
		return -1;
	/* It runs, and has no such door. */
	(void)err_set(err, "cannot publish ports: the sandbox is in the network of the host");
	return err_hint(err,
			"with `mode = host` what listens inside is reached as it is; for ports, "
			"change that in sbx.ini, and sbx stop");
}

/* Its folder is gone: `sbx rm` was faster. */
static int removed(const struct env *env, struct err *err)
{
	(void)err_set(err, "the environment '%s' was removed just now", env->id);
	if (err)
		err->errnum = ENOENT;
	return -1;
}

/* Held while a sandbox is started or ended: one at a time. */
static int take_start_lock(const struct env *env, int *ret_lock, struct err *err)
{
	struct err why = {0};

	if (fs_lock_at(env->fd, "start", true, START_LOCK_MS, ret_lock, &why) == 0)
		return 0;
	if (why.errnum == ENOENT)
		return removed(env, err);
	(void)err_prefix(&why, "cannot start or end the sandbox in '%s'", env->dir);
	if (err)
		*err = why;
	return store_hint(err);
}

/*
 * Before the start, which gives files to subordinate ids: even one that fails leaves an environment that
 * `sbx rm` knows how to remove.  The map is that of the first start; the driver of any.
 */
static int set_used(const struct plan *plan, const struct env *env, struct err *err)
{
	struct env used = *env;
	int as = 1 + (int)(plan->as_root ? AS_ROOT : AS_SELF);

	return env_set_used(&used, env->rung < 0 ? (int)plan->rung : env->rung,
			    env->rung < 0 ? as : env->as, plan->driver == ROOT_FUSE, err);
}

int client_start(const struct plan *plan, const struct env *env,
		 const struct client_request *request, int *ret_sock, struct err *err)
{
	_cleanup_fd_ int lock = -1;
	struct err why = {0};

	if (client_connect(env, ret_sock, &why) == 0)
		return 0;
	if (take_start_lock(env, &lock, err) < 0) {
		/* As above: it is to be made anew. */
		if (err && err->errnum == ENOENT)
			err->errnum = ESTALE;
		return -1;
	}
	/* Somebody else may have started it while we waited. */
	if (client_connect(env, ret_sock, &why) == 0)
		return 0;
	if (why.errnum != ENOENT) {
		if (err)
			*err = why;
		return -1;
	}
	/* Whoever held it meanwhile may have changed its layers: the plan is of what was before. */
	if (env_check_current(env, err) < 0 || set_used(plan, env, err) < 0)
		return -1;
	return launch(plan, env, request, ret_sock, err);
}

int client_info(int sock, struct client_info *ret, struct err *err)
{
	struct proto_msg msg = {0};

	if (proto_ask(sock, PROTO_INFO, &msg, NULL, err) < 0)
		return -1;
	if (msg.type != PROTO_INFO_IS)
		return err_set(err, "cannot ask the sandbox: it answered something else");
	*ret = (struct client_info){
		.guard_pid = msg.u.info.guard_pid,
		.uptime_ms = msg.u.info.uptime_ms,
		.commands = msg.u.info.commands,
		.processes = msg.u.info.processes,
	};
	memcpy(ret->profile_digest, msg.u.info.profile_digest, sizeof(ret->profile_digest) - 1);
	return 0;
}

/* Until nothing of it is left: all its parts hold this lock. */
static int await_end(const struct env *env, int ms, struct err *err)
{
	_cleanup_fd_ int lock = -1;

	return fs_lock_at(env->fd, "lock", true, ms, &lock, err);
}

int client_hold_start(const struct env *env, struct client_hold *ret, struct err *err)
{
	_cleanup_fd_ int start = -1;

	if (take_start_lock(env, &start, err) < 0)
		return -1;
	*ret = (struct client_hold){.start = TAKE_FD(start), .lock = -1};
	return 0;
}

int client_hold(const struct env *env, struct client_hold *ret, struct err *err)
{
	_cleanup_fd_ int start = -1;
	_cleanup_fd_ int lock = -1;
	struct err why = {0};

	if (take_start_lock(env, &start, err) < 0)
		return -1;
	if (fs_lock_at(env->fd, "lock", true, HOLD_MS, &lock, &why) < 0) {
		if (why.errnum == ENOENT)
			return removed(env, err);
		if (why.errnum != EWOULDBLOCK) {
			if (err)
				*err = why;
			return -1;
		}
		return err_errno(err, EBUSY, "the environment '%s' is running", env->id);
	}
	*ret = (struct client_hold){.start = TAKE_FD(start), .lock = TAKE_FD(lock)};
	return 0;
}

void client_hold_done(struct client_hold *h)
{
	/* A zeroed one holds nothing; its fds are not ours. */
	if (!h || (h->start == 0 && h->lock == 0))
		return;
	cleanup_fd(&h->start);
	cleanup_fd(&h->lock);
}

static void ask_to_stop(int sock)
{
	struct proto_msg msg = {0};
	struct pollfd fd = {.fd = sock, .events = POLLIN};

	/* The answer or the end of file: either way it has heard. */
	if (proto_send(sock, PROTO_STOP, &msg, NULL, 0) == 0)
		(void)poll(&fd, 1, STOP_MS);
}

int client_stop(const struct env *env, struct err *err)
{
	static const int signals[] = {SIGTERM, SIGKILL};
	_cleanup_fd_ int lock = -1;
	_cleanup_fd_ int sock = -1;
	_cleanup_fd_ int peer_fd = -1;
	struct ucred peer = {0};
	struct err why = {0};

	/* So that one which is just starting is ended too. */
	if (take_start_lock(env, &lock, err) < 0)
		return -1;
	if (connect_to(env, SANDBOX_SOCKET, &sock, &peer, &why) < 0) {
		if (err)
			*err = why;
		if (why.errnum == ENOENT)
			(void)await_end(env, STOP_MS, NULL);
		return -1;
	}
	/* Who listens is the supervisor, and while we are connected the number is its. */
	peer_fd = proc_pidfd(peer.pid);
	ask_to_stop(sock);
	if (await_end(env, STOP_MS, &why) == 0)
		return 0;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (peer_fd >= 0)
			(void)proc_kill(peer_fd, signals[i]);
		if (await_end(env, STOP_MS, &why) == 0)
			return 0;
	}
	(void)err_set(err, "cannot end the sandbox of '%s': %s", env->project, why.msg);
	return -1;
}
