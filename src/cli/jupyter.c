#include "cli/jupyter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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
#include "cli/jupyter_kept.h"
#include "cli/out.h"
#include "run/relay.h"

#define FIRST_PORT 8888
#define PORTS_TRIED 100
#define BACKLOG 128

/* In the environment's folder, as what cli/jupyter_kept.h has. */
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
	char token[JUPYTER_TOKEN_LEN + 1];
	int claim, listen;
	uint16_t port;
	pid_t relay;
};

static void server_done(struct server *s)
{
	relay_stop(s->relay);
	if (s->claim < 0)
		return;
	cleanup_fd(&s->listen);
	cleanup_fd(&s->claim);
	if (s->w->env.fd >= 0)
		(void)unlinkat(s->w->env.fd, REDIRECT_FILE, 0);
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

static void tell(const struct server *s, const char *state)
{
	const char *url = arena_printf(s->a, "http://127.0.0.1:%u/?token=%s", s->port, s->token);
	_cleanup_buf_ struct buf line = {0};
	struct err why = {0};

	buf_printf(&line, "%s\n", url);
	if (out_write(&line, &why) < 0)
		log_warn("%s", why.msg);
	log_info("%s", state);
	open_browser(s, url);
}

/* In the relay's process, when Jupyter answers. */
static void ready(void *arg)
{
	tell(arg, "Jupyter runs inside; Ctrl-C ends it");
}

/* ---- one that runs already ---- */

static int ends_first(const char *what, struct err *err)
{
	(void)err_set(err, "cannot %s: Jupyter runs already", what);
	return err_hint(err, "end that one first: Ctrl-C in its terminal");
}

/* Its claim is another process's. */
static int tell_other(struct server *s, struct err *err)
{
	const struct jupyter *j = s->j;

	if (s->port == 0) {
		(void)err_set(err, "another sbx jupyter is just starting Jupyter in '%s'",
			      s->w->env_name);
		return err_hint(err, "it prints the address; or ask once more in a moment");
	}
	if (j->new_token)
		return ends_first("make a new token", err);
	if (j->port != 0 && j->port != s->port)
		return ends_first(arena_printf(s->a, "use port %u", j->port), err);
	if (*j->args)
		return ends_first(arena_printf(s->a, "start it with '%s'", *j->args), err);
	if (jupyter_token(s->w->env.fd, false, s->token, err) < 0)
		return -1;
	tell(s, "Jupyter runs already, where another sbx jupyter waits for its end: Ctrl-C there "
		"ends it");
	return 0;
}

int jupyter_other(struct arena *a, struct workplace *w, const struct jupyter *j, bool *ret,
		  struct err *err)
{
	struct server s = {.a = a, .w = w, .j = j, .listen = -1};
	_cleanup_fd_ int claim = -1;
	struct err why = {0};
	int r;

	if (open_env(a, w, &why) < 0) {
		/* What is wrong with it, whoever starts it says. */
		*ret = false;
		return 0;
	}
	r = jupyter_claim(w->env.fd, &claim, &s.port, err);
	if (r < 0 || (r > 0 && tell_other(&s, err) < 0))
		return -1;
	*ret = r > 0;
	env_done(&w->env);
	return 0;
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
		.a = a, .w = w, .j = j, .claim = -1, .listen = -1};
	struct inside_streams streams = {.out = -1, .err = -1};
	struct open_command command = {0};
	_cleanup_buf_ struct buf text = {0};
	char id[17];
	int r;

	if (jupyter_random(8, id, err) < 0)
		return -1;
	s.family = "/tmp/.sbx-jupyter";
	s.dir = arena_printf(a, "%s-%s", s.family, id);
	r = jupyter_claim(w->env.fd, &s.claim, &s.port, err);
	if (r > 0) {
		*ret_status = 0;
		return tell_other(&s, err);
	}
	if (r < 0 || jupyter_token(w->env.fd, j->new_token, s.token, err) < 0 ||
	    find_port(&s, err) < 0 || jupyter_claim_port(s.claim, s.port, err) < 0 ||
	    start_relay(&s, err) < 0)
		return -1;
	make_settings(&s, &text);
	command.argv = make_argv(&s);
	streams.text = text.p;
	streams.len = text.len;
	return inside_run(a, w, &command, &streams, ret_status, err);
}
