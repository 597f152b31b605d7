/*
 * sudo — what `sudo` is inside a sandbox: it asks pid 1 to run the command as somebody else, root
 * as a rule.  No password, no setuid; it works under no_new_privs.  Linked statically, for
 * any root, and so without the name services: users are read from /etc/passwd alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "run/client.h"
#include "run/sudo_args.h"

#define SUDO_SOCKET "/run/sbx/sock"

/* As sudo(8) ends when it cannot run the command. */
#define STATUS_FAILED 1

static const char help[] =
	"sudo of a sandbox: runs a command as root, or as somebody else, without a password\n"
	"usage: sudo [-u USER|#UID] [-g GROUP|#GID] [-D DIR] [NAME=VALUE ...] COMMAND [ARG ...]\n"
	"       sudo -i|-s [-u USER] [COMMAND [ARG ...]]\n"
	"all variables are passed on; -A -B -E -H -n -p -S -k -K -v change nothing here";

/* What no file of users knows may be run all the same. */
static struct sudo_user nobody_knows(struct arena *a, uint32_t uid, uint32_t gid)
{
	return (struct sudo_user){
		.name = arena_printf(a, "%u", uid),
		.home = "/",
		.shell = "/bin/sh",
		.uid = uid,
		.gid = gid,
	};
}

static struct sudo_user user_of(struct arena *a, const struct passwd *p)
{
	return (struct sudo_user){
		.name = arena_strdup(a, p->pw_name),
		.home = p->pw_dir[0] == '/' ? arena_strdup(a, p->pw_dir) : "/",
		.shell = p->pw_shell[0] == '/' ? arena_strdup(a, p->pw_shell) : "/bin/sh",
		.uid = p->pw_uid,
		.gid = p->pw_gid,
	};
}

/* By name, or where that is NULL by number; false: there is no such user. */
static bool find_user(struct arena *a, const char *name, uint32_t uid, struct sudo_user *ret)
{
	_cleanup_file_ FILE *f = fopen("/etc/passwd", "re");
	const struct passwd *p;

	while (f && (p = fgetpwent(f)) != NULL) {
		if (name ? str_eq(p->pw_name, name) : p->pw_uid == uid) {
			*ret = user_of(a, p);
			return true;
		}
	}
	return false;
}

static struct sudo_user find_caller(struct arena *a)
{
	struct sudo_user caller = nobody_knows(a, getuid(), getgid());

	(void)find_user(a, NULL, getuid(), &caller);
	caller.gid = getgid();
	return caller;
}

static int find_group(const char *name, uint32_t *ret_gid, struct err *err)
{
	_cleanup_file_ FILE *f = NULL;
	const struct group *g;

	if (sudo_args_id(name, ret_gid))
		return 0;
	f = fopen("/etc/group", "re");
	while (f && (g = fgetgrent(f)) != NULL) {
		if (str_eq(g->gr_name, name)) {
			*ret_gid = g->gr_gid;
			return 0;
		}
	}
	return err_set(err, "sudo: unknown group '%s'", name);
}

/* With a group alone the user stays who he is. */
static int find_target(struct arena *a, const struct sudo_args *args,
		       const struct sudo_user *caller, struct sudo_user *ret, struct err *err)
{
	struct sudo_user target = {.name = "root", .home = "/root", .shell = "/bin/sh"};
	uint32_t uid;

	if (!args->user) {
		if (args->group)
			target = *caller;
		else
			(void)find_user(a, NULL, 0, &target);
	} else if (sudo_args_id(args->user, &uid)) {
		target = nobody_knows(a, uid, uid == 0 ? 0 : caller->gid);
		(void)find_user(a, NULL, uid, &target);
	} else if (!find_user(a, args->user, 0, &target)) {
		return err_set(err, "sudo: unknown user '%s'", args->user);
	}
	if (args->group && find_group(args->group, &target.gid, err) < 0)
		return -1;
	*ret = target;
	return 0;
}

static int connect_out(int *ret_sock, struct err *err)
{
	const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SUDO_SOCKET};
	_cleanup_fd_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return err_errno(err, errno, "sudo: cannot make a socket");
	if (connect(sock, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != ENOENT && errno != ECONNREFUSED)
			return err_errno(err, errno, "sudo: cannot connect to '%s'", SUDO_SOCKET);
		return err_errno(
			err, errno,
			"sudo: this one works inside a sandbox alone: cannot connect to '%s'",
			SUDO_SOCKET);
	}
	*ret_sock = TAKE_FD(sock);
	return 0;
}

static const char *start_folder(struct arena *a, const struct sudo_args *args,
				const struct sudo_user *target)
{
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	/* Linux says "(unreachable)/x" for a folder outside of the process' root. */
	const char *here = cwd && cwd[0] == '/' ? arena_strdup(a, cwd) : "/";

	if (args->dir)
		return args->dir[0] == '/' ? args->dir : path_join(a, here, args->dir);
	return args->login ? target->home : here;
}

static int run(struct arena *a, const struct sudo_args *args, int *ret_status, struct err *err)
{
	const struct sudo_user caller = find_caller(a);
	struct sudo_user target = {0};
	const char *shell = getenv("SHELL");
	struct client_ids ids;
	struct client_request request = {0};
	_cleanup_fd_ int sock = -1;

	if (find_target(a, args, &caller, &target, err) < 0 || connect_out(&sock, err) < 0)
		return -1;
	/* -s is the caller's own shell. */
	if (args->login || !shell || shell[0] != '/')
		shell = args->login ? target.shell : caller.shell;
	ids = (struct client_ids){target.uid, target.gid};
	request.argv = sudo_args_command(a, args, shell);
	request.env = sudo_args_env(a, args, (const char *const *)environ, &target, &caller);
	request.cwd = start_folder(a, args, &target);
	request.strict_cwd = args->dir != NULL;
	request.as_root = true;
	if (target.uid != 0 || target.gid != 0)
		request.ids = &ids;
	return client_run(sock, &request, ret_status, err);
}

static int dispatch(struct arena *a, const char *const *argv, int *ret_status, struct err *err)
{
	struct sudo_args args = {0};

	if (sudo_args_read(a, argv, &args, err) < 0)
		return -1;
	*ret_status = 0;
	switch (args.mode) {
	case SUDO_RUN:
		return run(a, &args, ret_status, err);
	case SUDO_NOTHING:
		break;
	case SUDO_LIST:
		log_info("everybody in this sandbox may run every command as anybody, "
			 "without a password");
		break;
	case SUDO_HELP:
		log_info("%s", help);
		break;
	case SUDO_VERSION:
		log_info("sudo of a sandbox, part of sbx");
		break;
	}
	return 0;
}

/* As cli/main.c does: no file of ours may become a standard stream that the caller closed. */
static void fill_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		(void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* NOLINT */
	}
}

int main(int argc, char **argv)
{
	_cleanup_arena_ struct arena *a = NULL;
	struct err err = {0};
	int status = STATUS_FAILED;

	fill_standard_fds();
	a = arena_new();
	if (dispatch(a, (const char *const *)(argc > 0 ? argv + 1 : argv), &status, &err) < 0) {
		log_err(&err);
		if (err.kind == ERR_USAGE)
			log_info("%s", help);
		return STATUS_FAILED;
	}
	return status;
}
