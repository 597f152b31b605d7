/*
 * The child of the shim becomes the command.
 *
 * Until its exec it is not dumpable, so that nothing inside can look into it (THREATS.md A6), and
 * it runs no code of the root's: no name service, no locale, no library is opened here (A7).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "plan/plan.h"
#include "run/command.h"
#include "run/privs.h"
#include "run/proto.h"

#define FALLBACK_SHELL "/bin/sh"

static bool is_root(const struct command_exec *c)
{
	if (c->run->user == PROTO_UID)
		return c->run->uid == 0;
	return c->run->user == PROTO_ROOT || c->context->plan->as_root;
}

static int become(const struct command_exec *c, struct err *err)
{
	const struct plan *plan = c->context->plan;
	struct privs_user user = {.uid = plan->self_uid, .gid = plan->self_gid};
	const uint32_t group = c->run->gid;

	if (c->run->user == PROTO_UID) {
		user = (struct privs_user){c->run->uid, c->run->gid, &group, 1};
	} else if (is_root(c)) {
		user = (struct privs_user){.uid = 0};
	}
	if (is_root(c) && c->context->root_ns >= 0) {
		/* The owner of a user namespace below may go there: user_namespaces(7).  It gives all
		 * capabilities again, over that namespace. */
		if (setns(c->context->root_ns, CLONE_NEWUSER) < 0)
			return err_errno(err, errno, "cannot become root");
		if (privs_bound(err) < 0)
			return -1;
	}
	return privs_become(&user, err);
}

/* As whoever the command runs as: a folder closed to him is closed here. */
static int change_folder(const struct command_exec *c, struct err *err)
{
	if (chdir(c->body->cwd) == 0)
		return 0;
	if (c->run->strict)
		return err_errno(err, errno, "cannot start in '%s'", c->body->cwd);
	if (chdir(c->context->plan->project) < 0)
		(void)!chdir("/");
	return 0;
}

static struct strv make_env(struct arena *a, const struct command_exec *c)
{
	static const char *const of_root[] = {"HOME=/root", "USER=root", "LOGNAME=root"};
	struct strv env = {0};

	for (const char *const *v = c->context->plan->env; *v; v++)
		strv_push(a, &env, *v);
	if (is_root(c) && !c->context->plan->as_root)
		for (size_t i = 0; i < sizeof(of_root) / sizeof(of_root[0]); i++)
			strv_put_env(a, &env, of_root[i]);
	for (const char *const *v = c->body->env; *v; v++)
		strv_put_env(a, &env, *v);
	return env;
}

static const char *get(const struct strv *env, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < env->n; i++)
		if (strncmp(env->v[i], name, n) == 0 && env->v[i][n] == '=')
			return env->v[i] + n + 1;
	return "";
}

static int exec_failed(const char *name, int errnum, struct err *err)
{
	if (errnum == ENOENT || errnum == ENOTDIR) {
		(void)err_kind(err, ERR_NOT_FOUND, "cannot run '%s': %s", name,
			       strchr(name, '/') ? "No such file or directory"
						 : "command not found");
		return -1;
	}
	(void)err_errno(err, errnum, "cannot run '%s'", name);
	if (err)
		err->kind = ERR_NOT_EXEC;
	return -1;
}

/* As execvpe(3), without its shell for scripts that have no "#!"; -1 when nothing was found to run. */
static int exec_in_path(struct arena *a, const char *const *argv, const struct strv *env,
			struct err *err)
{
	char *const *args = (char *const *)(uintptr_t)argv;
	const char *path = get(env, "PATH");
	int errnum = ENOENT;

	if (strchr(argv[0], '/')) {
		(void)execve(argv[0], args, env->v);
		return exec_failed(argv[0], errno, err);
	}
	while (argv[0][0] && *path) {
		size_t n = strcspn(path, ":");

		if (path[0] == '/') {
			(void)execve(arena_printf(a, "%.*s/%s", (int)n, path, argv[0]), args,
				     env->v);
			if (errno != ENOENT && errno != ENOTDIR)
				errnum = errno;
		}
		path += n + (path[n] == ':');
	}
	return exec_failed(argv[0], errnum, err);
}

static int exec_shell(struct arena *a, const char *shell, const struct strv *env, struct err *err)
{
	const char *const argv[] = {shell, NULL};
	const char *const fallback[] = {FALLBACK_SHELL, NULL};
	struct err why = {0};

	(void)exec_in_path(a, argv, env, &why);
	return exec_in_path(a, fallback, env, err);
}

/* The guard has put all at their defaults (run/guard.c), and none was handled or ignored since; they
 * are only blocked. */
static void unblock_signals(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Signals are still blocked: tcsetpgrp(3) from the background raises none. */
static int take_terminal(const struct command_exec *c)
{
	if (setpgid(0, 0) < 0)
		return -1;
	return c->terminal >= 0 ? tcsetpgrp(c->terminal, getpgrp()) : 0;
}

static int arrange_stdio(const struct command_exec *c)
{
	/* First out of the way: one may be the number of another. */
	int high[3];

	for (int i = 0; i < 3; i++) {
		high[i] = fcntl(c->stdio[i], F_DUPFD_CLOEXEC, 10);
		if (high[i] < 0)
			return -1;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(high[i], i) < 0)
			return -1;
	proc_close_fds_except(STDERR_FILENO + 1, NULL, 0);
	return 0;
}

static int run(struct arena *a, const struct command_exec *c, struct err *err)
{
	struct strv env = make_env(a, c);

	if (take_terminal(c) < 0)
		return err_errno(err, errno, "cannot give the terminal to the command");
	if (privs_reserve_files(err) < 0 || become(c, err) < 0)
		return -1;
	(void)umask(c->run->umask & 0777);
	if (change_folder(c, err) < 0)
		return -1;
	if (arrange_stdio(c) < 0)
		return err_errno(err, errno, "cannot arrange the standard streams");
	unblock_signals();
	if (seccomp_install(c->context->filters, is_root(c), err) < 0)
		return -1;
	if (c->body->argv)
		return exec_in_path(a, c->body->argv, &env, err);
	return exec_shell(a, c->context->plan->shell, &env, err);
}

int command_exec(struct command_exec *c)
{
	(void)run(c->arena, c, &c->err);
	return 125;
}
