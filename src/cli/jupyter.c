#include "cli/jupyter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "cli/inside.h"
#include "cli/out.h"
#include "run/relay.h"

#define FIRST_PORT 8888
#define PORTS_TRIED 100
#define BACKLOG 128

/* In the environment's folder, which is the user's alone and which no sandbox sees. */
#define TOKEN_FILE "jupyter-token"
#define TOKEN_BYTES ((size_t)24)
#define TOKEN_LEN (2 * TOKEN_BYTES)
#define REDIRECT_FILE "jupyter.html"

/*
 * Its settings come over standard input: an argument or a variable with the token in it could be seen by others.
 */
static const char script[] =
	"umask 077 && rm -rf \"$1\"-* && mkdir \"$2\" && cat >\"$2/jupyter_config.py\" || exit 125\n"
	"shift 2\n" INSIDE_USER_SITE "exec \"$@\" </dev/null";

struct server {
	struct arena *a;
	const struct workplace *w;
	const struct jupyter *j;
	const char *family, *dir; /* inside */
	char token[TOKEN_LEN + 1];
	int listen;
	uint16_t port;
	pid_t relay;
};

static void server_done(struct server *s)
{
	relay_stop(s->relay);
	cleanup_fd(&s->listen);
	if (s->w->env.fd >= 0)
		(void)unlinkat(s->w->env.fd, REDIRECT_FILE, 0);
}

static int random_hex(size_t bytes, char *ret, struct err *err)
{
	unsigned char random[TOKEN_BYTES];

	if (getrandom(random, bytes, 0) != (ssize_t)bytes)
		return err_errno(err, errno, "cannot get random bytes");
	for (size_t i = 0; i < bytes; i++)
		for (int k = 0; k < 2; k++)
			ret[2 * i + (size_t)k] = "0123456789abcdef"[random[i] >> (k ? 0 : 4) & 15];
	ret[2 * bytes] = '\0';
	return 0;
}

/* ---- the token ---- */

static bool is_token(const struct buf *b)
{
	return b->p && b->len == TOKEN_LEN && strspn(b->p, "0123456789abcdef") == TOKEN_LEN;
}

/* The one of the last time, so that a browser's tab goes on. */
static int get_token(struct server *s, struct err *err)
{
	const int env = s->w->env.fd;
	_cleanup_buf_ struct buf b = {0};
	struct err why = {0};

	if (fs_read_at(env, TOKEN_FILE, TOKEN_LEN, &b, &why) == 0 && is_token(&b)) {
		memcpy(s->token, b.p, sizeof(s->token));
		return 0;
	}
	if (random_hex(TOKEN_BYTES, s->token, err) < 0)
		return -1;
	return fs_write_atomic(env, TOKEN_FILE, s->token, TOKEN_LEN, 0600, err);
}

/* ---- the port ---- */

static int listen_on(uint16_t port, int *ret_fd)
{
	const struct sockaddr_in at = {.sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, BACKLOG) < 0)
		return -1;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int find_port(struct server *s, struct err *err)
{
	const bool fixed = s->j->port != 0;

	s->port = fixed ? s->j->port : FIRST_PORT;
	for (int i = fixed ? PORTS_TRIED : 1; listen_on(s->port, &s->listen) < 0; i++, s->port++)
		if (errno != EADDRINUSE || i == PORTS_TRIED)
			break;
	if (s->listen >= 0)
		return 0;
	(void)err_errno(err, errno, "cannot listen on port %u of 127.0.0.1", s->port);
	return errno == EADDRINUSE && fixed
		       ? err_hint(err, "without --port the next free one is taken")
		       : -1;
}

/* ---- inside ---- */

/*
 * Of notebook 6 (NotebookApp), and of jupyter_server (ServerApp), on which lab and notebook 7 stand.  Not all of their
 * versions keep the token out of their logs, in which the browser's first request is.
 *
 * Without a terminal they leave SIGINT to Python, whose KeyboardInterrupt may come in the middle of a request and once
 * more while they clean up, which then ends by the signal.  They end in order by SIGTERM; before they know that one there
 * is nothing to be put in order.  A second SIGINT does not wait for the kernels.
 */
static const char settings[] =
	"import logging, os, signal\n"
	"token = '%s'\n"
	"def interrupted(*_):\n"
	"    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
	"    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:\n"
	"        raise SystemExit(0)\n"
	"    os.kill(os.getpid(), signal.SIGTERM)\n"
	"signal.signal(signal.SIGINT, interrupted)\n"
	"make = logging.getLogRecordFactory()\n"
	"def without_token(*args, **kw):\n"
	"    record = make(*args, **kw)\n"
	"    try:\n"
	"        text = record.getMessage()\n"
	"    except Exception:\n"
	"        return record\n"
	"    if token in text:\n"
	"        record.msg, record.args = text.replace(token, '...'), None\n"
	"    return record\n"
	"logging.setLogRecordFactory(without_token)\n"
	"c = get_config()\n"
	"c.JupyterApp.answer_yes = True\n"
	"c.IdentityProvider.token = token\n"
	"for app in c.NotebookApp, c.ServerApp:\n"
	"    app.sock = '%s'\n"
	"    app.token = token\n"
	"    app.open_browser = False\n"
	"    app.allow_remote_access = False\n";

static void make_settings(const struct server *s, struct buf *ret)
{
	buf_printf(ret, settings, s->token, path_join(s->a, s->dir, "sock"));
}

static const char *const *make_argv(const struct server *s)
{
	struct arena *a = s->a;
	const char *const first[] = {"sh",
				     "-c",
				     script,
				     "sbx-jupyter",
				     s->family,
				     s->dir,
				     arena_printf(a, "jupyter-%s", s->j->kind),
				     arena_printf(a, "--config=%s/jupyter_config.py", s->dir),
				     "-y",
				     "--no-browser"};
	struct strv v = {0};

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		strv_push(a, &v, first[i]);
	for (const char *const *arg = s->j->args; *arg; arg++)
		strv_push(a, &v, *arg);
	return (const char *const *)v.v;
}

/* ---- the browser ---- */

static bool has_display(void)
{
	const char *x = getenv("DISPLAY");
	const char *wayland = getenv("WAYLAND_DISPLAY");

	return (x && *x) || (wayland && *wayland);
}

/* By a file of the user's own that leads there: arguments are for everybody to see. */
static void open_browser(const struct server *s, const char *url)
{
	_cleanup_free_ char *program = NULL;
	_cleanup_buf_ struct buf page = {0};
	_cleanup_fd_ int dir = -1;
	struct proc_child child;
	const char *path = getenv("PATH");
	struct err why = {0};

	if (!s->j->browser || !has_display() || !path || proc_find("xdg-open", path, &program) < 0)
		return;
	buf_printf(&page,
		   "<!DOCTYPE html><meta charset=\"utf-8\"><title>sbx jupyter</title>"
		   "<meta http-equiv=\"refresh\" content=\"1;url=%s\"><a href=\"%s\">Jupyter</a>\n",
		   url, url);
	const char *const argv[] = {
		program, arena_printf(s->a, "file://%s/%s", s->w->env.dir, REDIRECT_FILE), NULL};

	/* This process has none of the caller's. */
	dir = open(s->w->env.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs_write_atomic(dir, REDIRECT_FILE, page.p, page.len, 0600, &why) < 0 ||
	    proc_spawn(argv, &child, &why) < 0)
		log_warn("cannot open a browser: %s", why.msg);
}

/* In the relay's process, when Jupyter answers. */
static void ready(void *arg)
{
	const struct server *s = arg;
	const char *url = arena_printf(s->a, "http://127.0.0.1:%u/?token=%s", s->port, s->token);
	_cleanup_buf_ struct buf line = {0};
	struct err why = {0};

	buf_printf(&line, "%s\n", url);
	if (out_write(&line, &why) < 0)
		log_warn("%s", why.msg);
	log_info("Jupyter runs inside; Ctrl-C ends it");
	open_browser(s, url);
}

/* ---- all of it ---- */

static int start_relay(struct server *s, struct err *err)
{
	const struct relay_route route = {s->listen, arena_printf(s->a, "%s/sock", s->dir)};
	const struct relay relay = {.env = &s->w->env,
				    .routes = &route,
				    .n = 1,
				    .watched = -1,
				    .ready = ready,
				    .arg = s};

	return relay_start(&relay, &s->relay, err);
}

int jupyter_run(struct arena *a, struct workplace *w, const struct jupyter *j, int *ret_status,
		struct err *err)
{
	__attribute__((cleanup(server_done))) struct server s = {
		.a = a, .w = w, .j = j, .listen = -1};
	struct inside_streams streams = {.out = -1, .err = -1};
	struct open_command command = {0};
	_cleanup_buf_ struct buf text = {0};
	char id[17];

	if (random_hex(8, id, err) < 0)
		return -1;
	s.family = "/tmp/.sbx-jupyter";
	s.dir = arena_printf(a, "%s-%s", s.family, id);
	if (get_token(&s, err) < 0 || find_port(&s, err) < 0 || start_relay(&s, err) < 0)
		return -1;
	make_settings(&s, &text);
	command.argv = make_argv(&s);
	streams.text = text.p;
	streams.len = text.len;
	return inside_run(a, w, &command, &streams, ret_status, err);
}
