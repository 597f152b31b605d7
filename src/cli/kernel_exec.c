#include "cli/kernel_exec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "cli/inside.h"
#include "conf/connection.h"
#include "run/client.h"
#include "run/relay.h"

#define BACKLOG 64

/* Who starts kernels says so, for those that are not to outlive him. */
#define FRONT_END "JPY_PARENT_PID"

/*
 * The kernel's folder, in the sandbox's own /tmp: what an earlier kernel of the same file left goes.  The file
 * comes over standard input, so that it is in no place that anybody else sees.
 */
static const char script[] =
	"umask 077 && rm -rf \"$1\"-* && mkdir \"$2\" && cat >\"$2/kernel.json\" || exit 125\n"
	"shift 2\n" INSIDE_USER_SITE
	/* It then watches its parent, which ends with the front end, and does not tell of Ctrl-C. */
	"JPY_PARENT_PID=$PPID; export JPY_PARENT_PID\n"
	"exec \"$@\" </dev/null";
static const char clean_script[] = "rm -rf \"$1\"";

struct kernel {
	const char *file; /* outside */
	struct connection connection;
	const char *family; /* of folders inside, of this connection file */
	const char *dir;    /* inside */
	struct buf inside;  /* the connection file for inside */
	int listen[CONNECTION_CHANNELS];
	int front_end; /* pidfd, or -1 */
	pid_t relay;
};

static void kernel_done(struct kernel *k)
{
	relay_stop(k->relay);
	for (size_t i = 0; i < CONNECTION_CHANNELS; i++) {
		cleanup_fd(&k->listen[i]);
		if (k->connection.ipc) {
			struct sockaddr_un at = {.sun_family = AF_UNIX};

			(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s-%u", k->connection.ip,
				       k->connection.port[i]);
			(void)unlink(at.sun_path);
		}
	}
	cleanup_fd(&k->front_end);
	buf_done(&k->inside);
}

/* ---- the connection file ---- */

static int name_folder(struct arena *a, struct kernel *k, struct err *err)
{
	char hex[DIGEST_HEX + 1];
	unsigned char random[8];

	digest_sha256(k->file, strlen(k->file), hex);
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return err_errno(err, errno, "cannot get random bytes");
	k->family = arena_printf(a, "/tmp/.sbx-kernel-%.16s", hex);
	k->dir = arena_printf(a, "%s-%02x%02x%02x%02x%02x%02x", k->family, random[0], random[1],
			      random[2], random[3], random[4], random[5]);
	return 0;
}

static int read_connection(struct arena *a, struct kernel *k, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};

	if (fs_read_at(AT_FDCWD, k->file, CONNECTION_MAX, &text, err) < 0 ||
	    name_folder(a, k, err) < 0)
		return -1;
	if (connection_parse(a, text.p ? text.p : "", text.len, &k->connection, err) < 0 ||
	    connection_inside(text.p ? text.p : "", text.len, path_join(a, k->dir, "channel"),
			      &k->inside, err) < 0)
		return err_prefix(err, "cannot use the connection file '%s'", k->file);
	return 0;
}

/* ---- outside ---- */

static int tcp_address(const struct connection *c, size_t i, struct sockaddr_storage *ret,
		       socklen_t *ret_len)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(c->port[i])};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(c->port[i])};

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, c->ip, &v4.sin_addr) == 1) {
		memcpy(ret, &v4, sizeof(v4));
		*ret_len = sizeof(v4);
		return AF_INET;
	}
	(void)inet_pton(AF_INET6, c->ip, &v6.sin6_addr);
	memcpy(ret, &v6, sizeof(v6));
	*ret_len = sizeof(v6);
	return AF_INET6;
}

static int ipc_address(const struct connection *c, size_t i, struct sockaddr_storage *ret,
		       socklen_t *ret_len)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	/* As libzmq does: what an earlier kernel left there goes.  It is the front end's own path. */
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s-%u", c->ip, c->port[i]);
	(void)unlink(at.sun_path);
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, &at, sizeof(at));
	*ret_len = sizeof(at);
	return AF_UNIX;
}

static int listen_at(const struct connection *c, size_t i, int *ret_fd, struct err *err)
{
	struct sockaddr_storage at;
	socklen_t len = 0;
	const int family = c->ipc ? ipc_address(c, i, &at, &len) : tcp_address(c, i, &at, &len);
	_cleanup_fd_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;
	mode_t mask = umask(0177);
	int r = 0;

	if (fd >= 0 && family != AF_UNIX)
		r = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	r = fd < 0 || r < 0 ? -1 : bind(fd, (const struct sockaddr *)&at, len);
	(void)umask(mask);
	if (r < 0 || listen(fd, BACKLOG) < 0)
		return err_errno(err, errno, "cannot listen at '%s', port %u, for the kernel's %s",
				 c->ip, c->port[i], connection_channels[i]);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* One that starts independent kernels does not say who he is. */
static int watch_front_end(void)
{
	const char *text = getenv(FRONT_END);
	uint64_t pid;

	if (!text || num_u64(text, 2, INT32_MAX, &pid, NULL) < 0)
		return -1;
	return proc_pidfd((pid_t)pid);
}

static int start_relay(struct arena *a, const struct workplace *w, struct kernel *k,
		       struct err *err)
{
	const struct env env = {
		.dir = arena_printf(a, "%s/envs/%s", w->store.dir,
				    env_id(a, w->project, w->env_name)),
		.project = w->project,
	};
	struct relay_route routes[CONNECTION_CHANNELS];
	struct relay relay = {.env = &env, .routes = routes, .n = CONNECTION_CHANNELS};

	for (size_t i = 0; i < CONNECTION_CHANNELS; i++) {
		if (listen_at(&k->connection, i, &k->listen[i], err) < 0)
			return -1;
		routes[i] = (struct relay_route){k->listen[i],
						 arena_printf(a, "%s/channel-%zu", k->dir, i + 1)};
	}
	k->front_end = watch_front_end();
	relay.watched = k->front_end;
	return relay_start(&relay, &k->relay, err);
}

/* ---- inside ---- */

static const char *const *make_argv(struct arena *a, const struct kernel *k,
				    const char *const *argv)
{
	const char *const first[] = {"sh", "-c", script, "sbx-kernel", k->family, k->dir};
	struct strv v = {0};

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		strv_push(a, &v, first[i]);
	for (size_t i = 0; argv[i]; i++)
		strv_push(a, &v,
			  str_eq(argv[i], k->file) ? path_join(a, k->dir, "kernel.json") : argv[i]);
	return (const char *const *)v.v;
}

/* The connection file has the key; only where the sandbox still runs, for it goes with that. */
static void clean_up(struct arena *a, struct workplace *w, const struct kernel *k)
{
	const char *const argv[] = {"sh", "-c", clean_script, "sbx-kernel", k->dir, NULL};
	_cleanup_fd_ int sock = -1;
	bool ok;

	if (w->env.fd < 0 || client_connect(&w->env, &sock, NULL) < 0)
		return;
	cleanup_fd(&sock);
	(void)inside_check(a, w, argv, &ok, &(struct err){0});
}

int kernel_exec(struct arena *a, struct workplace *w, const char *connection,
		const char *const *argv, int *ret_status, struct err *err)
{
	__attribute__((cleanup(kernel_done))) struct kernel k = {
		.file = connection, .listen = {-1, -1, -1, -1, -1}, .front_end = -1};
	struct open_command command = {0};
	struct inside_streams streams = {.out = -1, .err = -1};

	if (read_connection(a, &k, err) < 0 || start_relay(a, w, &k, err) < 0)
		return -1;
	command.argv = make_argv(a, &k, argv);
	streams.text = k.inside.p;
	streams.len = k.inside.len;
	if (inside_run(a, w, &command, &streams, ret_status, err) < 0)
		return -1;
	clean_up(a, w, &k);
	log_debug("the kernel of '%s' ended with status %d", connection, *ret_status);
	return 0;
}
