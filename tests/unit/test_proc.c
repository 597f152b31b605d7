#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/proc.h"

/* Run a shell script as a helper; what `err` then says. */
static const char *helper(const char *script, struct err *err)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	struct proc_child child = {.pid = -1, .err_fd = -1};
	int r;

	*err = (struct err){0};
	assert_int_equal(proc_spawn(argv, &child, err), 0);
	r = proc_finish(&child, err);
	assert_int_equal(r, err->kind == ERR_NONE ? 0 : -1);
	assert_int_equal(child.pid, -1);
	assert_int_equal(child.err_fd, -1);
	return err->msg;
}

static void the_last_line_is_the_cause(void **state)
{
	struct err err;

	(void)state;
	assert_string_equal(helper("echo ignored >&2; exit 0", &err), "");
	assert_string_equal(helper("echo first >&2; echo 'the cause' >&2; echo >&2; exit 3", &err),
			    "'/bin/sh' failed: the cause");
	assert_string_equal(helper("printf 'no newline' >&2; exit 1", &err),
			    "'/bin/sh' failed: no newline");
	assert_string_equal(helper("echo to stdout; exit 7", &err),
			    "'/bin/sh' failed with exit status 7");
	assert_string_equal(helper("echo why >&2; kill -9 $$", &err),
			    "'/bin/sh' was killed by signal 9: why");
	assert_string_equal(helper("kill -15 $$", &err), "'/bin/sh' was killed by signal 15");
	assert_string_equal(helper("printf 'a\\0b' >&2; exit 1", &err), "'/bin/sh' failed: a b");
}

static void much_output_neither_hangs_nor_hides_the_end(void **state)
{
	struct err err;

	(void)state;
	assert_string_equal(helper("i=0; while [ $i -lt 20000 ]; do echo line-$i-line-line; "
				   "i=$((i+1)); done >&2; echo end >&2; exit 1",
				   &err),
			    "'/bin/sh' failed: end");
}

/* A helper may leave a daemon behind that keeps its stderr. */
static void a_daemon_left_behind_is_not_waited_for(void **state)
{
	struct err err;
	const char *text;

	(void)state;
	(void)alarm(20);
	text = helper("sleep 1000 & echo $! >&2; exit 1", &err);
	(void)alarm(0);
	assert_int_equal(strncmp(text, "'/bin/sh' failed: ", 18), 0);
	assert_int_equal(kill((pid_t)strtol(text + 18, NULL, 10), SIGKILL), 0);
}

static void a_helper_starts_clean(void **state)
{
	struct err err;
	sigset_t all;
	sigset_t before;

	(void)state;
	assert_int_equal(dup3(STDERR_FILENO, 77, O_CLOEXEC), 77);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	assert_string_equal(helper("while read -r k v; do case $k in SigBlk:) b=$v;;"
				   "SigIgn:) i=$v;; esac; done </proc/$$/status;"
				   "echo $b $((0x$i & 0x1002)) $(readlink /proc/$$/fd/0) "
				   "$(readlink /proc/$$/fd/1) >&2; exit 1",
				   &err),
			    "'/bin/sh' failed: 0000000000000000 0 /dev/null /dev/null");
	assert_string_equal(
		helper("test -e /proc/$$/fd/77 && echo leak >&2 && exit 1; exit 0", &err), "");
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	(void)close(77);
}

/* Without stdin, stdout and stderr of our own, the pipe must not be laid over. */
static void a_helper_of_a_process_without_stdio(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		const char *const argv[] = {"/bin/sh", "-c", "echo cause >&2; exit 1", NULL};
		struct proc_child child;
		struct err err = {0};

		proc_close_fds_except(0, NULL, 0);
		if (proc_spawn(argv, &child, &err) < 0 || proc_finish(&child, &err) == 0)
			_exit(1);
		_exit(strcmp(err.msg, "'/bin/sh' failed: cause") == 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_missing_helper_is_named(void **state)
{
	const char *const argv[] = {"/nowhere/newuidmap", NULL};
	struct proc_child child = {.pid = 77};
	struct err err = {0};

	(void)state;
	assert_int_equal(proc_spawn(argv, &child, &err), -1);
	assert_string_equal(err.msg, "cannot run '/nowhere/newuidmap': No such file or directory");
	assert_int_equal(child.pid, 77);
}

static void waiting_and_signals(void **state)
{
	struct err err = {0};
	int status = -1;
	pid_t pid = fork();

	(void)state;
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		for (;;)
			(void)pause();
	_cleanup_fd_ int pidfd = proc_pidfd(pid);
	assert_true(pidfd >= 0);
	assert_true(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(proc_kill(pidfd, 0), 0);
	assert_int_equal(proc_kill(pidfd, SIGKILL), 0);
	assert_int_equal(proc_wait(pid, &status, &err), 0);
	assert_int_equal(proc_exit_status(status), 128 + SIGKILL);
	assert_int_equal(proc_exit_status(5 << 8), 5);
	assert_int_equal(proc_kill(pidfd, SIGKILL), -1);
	assert_int_equal(errno, ESRCH);
	status = 99;
	assert_int_equal(proc_wait(1 << 30, &status, &err), -1);
	assert_string_equal(err.msg, "cannot wait for process 1073741824: No child processes");
	assert_int_equal(status, 99);
}

static void find(void **state)
{
	_cleanup_free_ char *sh = NULL;
	char *none = NULL;

	(void)state;
	assert_int_equal(proc_find("sh", "/nowhere:/bin:/usr/bin", &sh), 0);
	assert_string_equal(sh, "/bin/sh");
	assert_int_equal(proc_find("passwd", "/etc", &none), -1); /* not executable */
	assert_int_equal(errno, ENOENT);
	assert_int_equal(proc_find("bin", "/usr", &none), -1); /* a folder */
	assert_int_equal(proc_find("/bin/sh", "/bin", &none), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(proc_find("", "/bin", &none), -1);
	assert_int_equal(proc_find("sh", "", &none), -1);
	assert_int_equal(proc_find("sh", NULL, &none), -1);
	assert_int_equal(chdir("/bin"), 0);
	assert_int_equal(proc_find("sh", "::.:bin", &none), -1); /* never the current folder */
	assert_int_equal(chdir("/"), 0);
	assert_null(none);
}

static void close_all_but_some(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		static const int keep[] = {40, -1, 20, 40, 5};
		int bad = 0;

		for (int fd = 3; fd < 60; fd++)
			(void)dup2(STDERR_FILENO, fd);
		proc_close_fds_except(4, keep, 5);
		for (int fd = 3; fd < 60; fd++) {
			int want = fd == 3 || fd == 5 || fd == 20 || fd == 40;
			bad += (fcntl(fd, F_GETFD) >= 0) != want;
		}
		_exit(bad);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void pair(int s[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
}

static void a_message_with_fds(void **state)
{
	char text[16] = "";
	int fds[PROC_MAX_FDS];
	size_t n = 99;
	int p[2];
	int s[2];

	(void)state;
	pair(s);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(proc_send(s[0], "hello", 5, p, 2), 0);
	assert_int_equal(proc_send(s[0], "again", 5, NULL, 0), 0);
	assert_int_equal(proc_recv(s[1], text, sizeof(text), fds, &n), 5);
	assert_string_equal(text, "hello");
	assert_int_equal(n, 2);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read(p[0], text, 1), 1);
	assert_int_equal(proc_recv(s[1], text, sizeof(text), fds + 2, &n), 5);
	assert_int_equal(n, 0);
	(void)close(s[0]);
	assert_int_equal(proc_recv(s[1], text, sizeof(text), fds + 2, &n), 0); /* the end */
	for (int i = 0; i < 2; i++) {
		(void)close(fds[i]);
		(void)close(p[i]);
	}
	(void)close(s[1]);
}

/* Whoever fails says why and ends, with what it was sent unread. */
static void last_words_arrive_though_something_was_unread(void **state)
{
	char text[16] = "";
	int s[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
	assert_int_equal(proc_send(s[0], "order", 5, NULL, 0), 0);
	assert_int_equal(proc_send(s[1], "why", 3, NULL, 0), 0);
	assert_int_equal(proc_send(s[1], "else", 4, NULL, 0), 0);
	(void)close(s[1]);
	assert_int_equal(proc_recv(s[0], text, sizeof(text), NULL, NULL), 3);
	assert_memory_equal(text, "why", 3);
	assert_int_equal(proc_recv(s[0], text, sizeof(text), NULL, NULL), 4);
	assert_int_equal(proc_recv(s[0], text, sizeof(text), NULL, NULL), 0);
	(void)close(s[0]);
}

static void eight_fds_arrive_though_credentials_are_asked_for(void **state)
{
	char text[4];
	int fds[PROC_MAX_FDS];
	int send[PROC_MAX_FDS] = {0, 1, 2, 0, 1, 2, 0, 1};
	size_t n = 0;
	int on = 1;
	int s[2];

	(void)state;
	pair(s);
	assert_int_equal(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	assert_int_equal(proc_send(s[0], "x", 1, send, PROC_MAX_FDS), 0);
	assert_int_equal(proc_recv(s[1], text, sizeof(text), fds, &n), 1);
	assert_int_equal(n, PROC_MAX_FDS);
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
	(void)close(s[0]);
	(void)close(s[1]);
}

/* What a hostile peer can send and proc_send does not. */
static void send_raw(int sock, const char *p, size_t len, size_t nfds)
{
	union {
		char bytes[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = (void *)(size_t)p, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = CMSG_SPACE(nfds * sizeof(int))};
	struct cmsghdr *c;
	int zeros[64] = {0};

	memset(&control, 0, sizeof(control));
	c = &control.align;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
	memcpy(CMSG_DATA(c), zeros, nfds * sizeof(int));
	assert_int_equal(sendmsg(sock, &msg, 0), len);
}

static void too_many_fds_are_all_closed(void **state)
{
	char text[4];
	int fds[PROC_MAX_FDS + 1];
	size_t n = 99;
	int before;
	int s[2];

	(void)state;
	pair(s);
	before = count_fds();
	for (size_t many = PROC_MAX_FDS + 1; many <= 64; many++) {
		memset(fds, 0x55, sizeof(fds));
		send_raw(s[0], "x", 1, many);
		errno = 0;
		assert_int_equal(proc_recv(s[1], text, sizeof(text), fds, &n), -1);
		assert_int_equal(errno, EMSGSIZE);
		assert_int_equal(fds[0], 0x55555555); /* untouched */
		assert_int_equal(n, 99);
		assert_int_equal(count_fds(), before);
	}
	/* None wanted. */
	send_raw(s[0], "x", 1, 1);
	assert_int_equal(proc_recv(s[1], text, sizeof(text), NULL, NULL), -1);
	assert_int_equal(errno, EMSGSIZE);
	/* Too long, with fds. */
	send_raw(s[0], "12345", 5, 2);
	assert_int_equal(proc_recv(s[1], text, sizeof(text), fds, &n), -1);
	assert_int_equal(errno, EMSGSIZE);
	/* Empty, with fds. */
	send_raw(s[0], "", 0, 2);
	assert_int_equal(proc_recv(s[1], text, sizeof(text), fds, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(count_fds(), before);
	(void)close(s[0]);
	(void)close(s[1]);
}

static void what_cannot_be_sent(void **state)
{
	int zeros[PROC_MAX_FDS + 1] = {0};
	int s[2];

	(void)state;
	pair(s);
	assert_int_equal(proc_send(s[0], "x", 1, zeros, PROC_MAX_FDS + 1), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(proc_send(s[0], "", 0, NULL, 0), -1);
	assert_int_equal(errno, EINVAL);
	(void)close(s[1]);
	(void)signal(SIGPIPE, SIG_DFL);
	assert_int_equal(proc_send(s[0], "x", 1, NULL, 0), -1); /* and no SIGPIPE */
	assert_int_equal(errno, EPIPE);
	(void)close(s[0]);
}

static int change_it(void *arg)
{
	*(int *)arg = 5;
	(void)!chdir("/");
	return 7;
}

/* It shares the memory, and is over, or another program, before we go on. */
static void a_vfork_shares_the_memory(void **state)
{
	_cleanup_free_ char *before = getcwd(NULL, 0);
	_cleanup_free_ char *after = NULL;
	struct err err = {0};
	int it = 0;
	int status = 0;
	pid_t pid = proc_vfork(change_it, &it);

	(void)state;
	assert_true(pid > 0);
	assert_int_equal(it, 5);
	assert_int_equal(proc_wait(pid, &status, &err), 0);
	assert_int_equal(proc_exit_status(status), 7);
	after = getcwd(NULL, 0);
	assert_string_equal(after, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_line_is_the_cause),
		cmocka_unit_test(much_output_neither_hangs_nor_hides_the_end),
		cmocka_unit_test(a_daemon_left_behind_is_not_waited_for),
		cmocka_unit_test(a_helper_starts_clean),
		cmocka_unit_test(a_helper_of_a_process_without_stdio),
		cmocka_unit_test(a_missing_helper_is_named),
		cmocka_unit_test(waiting_and_signals),
		cmocka_unit_test(find),
		cmocka_unit_test(close_all_but_some),
		cmocka_unit_test(a_message_with_fds),
		cmocka_unit_test(last_words_arrive_though_something_was_unread),
		cmocka_unit_test(eight_fds_arrive_though_credentials_are_asked_for),
		cmocka_unit_test(too_many_fds_are_all_closed),
		cmocka_unit_test(what_cannot_be_sent),
		cmocka_unit_test(a_vfork_shares_the_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
