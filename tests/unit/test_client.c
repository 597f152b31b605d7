/* The caller's side of a sandbox: connecting, asking, ending; the sandbox is played by the test.
 * Commands: test_client_run.c.  Real sandboxes: test_launch.c. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "plan/plan.h"
#include "run/client.h"
#include "run/proto.h"
#include "run_world.h"
#include "store/env.h"

struct made {
	struct store store;
	struct env env;
};

static struct made made_env(const struct world *w)
{
	struct made m;
	struct err err = {0};

	if (store_open(w->a, &m.store, &err) < 0 ||
	    env_open_or_make(w->a, &m.store, world_path(w, "home"), "default", &m.env, &err) < 0)
		fail_msg("%s", err.msg);
	return m;
}

static void made_done(struct made *m)
{
	env_done(&m->env);
	store_done(&m->store);
}

/* The socket of a sandbox, bound where it belongs. */
static int bound(const struct world *w, const struct env *env)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/sock", env->dir);

	(void)w;
	assert_true(fd >= 0 && n > 0 && (size_t)n < sizeof(address.sun_path));
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void is_not_running(const struct world *w, const struct env *env)
{
	struct err err = {0};
	int sock = -1;

	assert_int_equal(client_connect(env, &sock, &err), -1);
	assert_string_equal(err.msg,
			    arena_printf(w->a, "the sandbox of '%s' is not running", env->project));
	assert_int_equal(err.errnum, ENOENT);
	err = (struct err){0};
	assert_int_equal(client_stop(env, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_int_equal(sock, -1);
}

static void one_that_does_not_run_is_told_apart(void **state)
{
	const struct world *w = *state;
	struct made m = made_env(w);
	int fd;

	is_not_running(w, &m.env);
	/* Bound, and not listening yet; and left behind by one that was killed. */
	fd = bound(w, &m.env);
	is_not_running(w, &m.env);
	(void)close(fd);
	is_not_running(w, &m.env);
	made_done(&m);
}

static void an_environment_that_is_gone_is_a_failure(void **state)
{
	const struct world *w = *state;
	const struct env gone = {.dir = "/nowhere/env", .fd = -1, .project = "/p"};
	struct err err = {0};
	int sock = -1;

	(void)w;
	assert_int_equal(client_connect(&gone, &sock, &err), -1);
	assert_string_equal(
		err.msg, "cannot reach the sandbox in '/nowhere/env': No such file or directory");
}

static void a_running_one_is_joined_and_not_started(void **state)
{
	const struct world *w = *state;
	struct made m = made_env(w);
	int fd = bound(w, &m.env);
	struct err err = {0};
	int first = -1;
	int second = -1;

	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(client_connect(&m.env, &first, &err), 0);
	assert_int_equal(fcntl(first, F_GETFD), FD_CLOEXEC);
	/* There is no plan by which it could be started. */
	assert_int_equal(client_start(NULL, &m.env, NULL, &second, &err), 0);
	(void)close(first);
	(void)close(second);
	(void)close(fd);
	made_done(&m);
}

/* In a child: become another user and listen there. */
static int listen_as_other(void *arg)
{
	const struct env *env = arg;
	int fd;
	char byte;

	if (setresgid(4321, 4321, 4321) < 0 || setresuid(4321, 4321, 4321) < 0)
		return NOT_HAD;
	fd = bound(NULL, env);
	REQUIRE(listen(fd, 8) == 0 && write(STDOUT_FILENO, "", 1) == 1);
	/* Until the test has looked. */
	(void)!read(STDIN_FILENO, &byte, 1);
	return 0;
}

static void a_socket_of_somebody_else_is_refused(void **state)
{
	const struct world *w = *state;
	struct made m = made_env(w);
	struct err err = {0};
	int up[2];
	int down[2];
	int status = 0;
	int sock = -1;
	char byte;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("# skipped: only root can be two users\n");
		made_done(&m);
		return;
	}
	/* A folder that others may write to, and a way there. */
	assert_int_equal(fchmodat(m.env.fd, "run", 0777, 0), 0);
	assert_int_equal(chmod(m.env.dir, 0711), 0);
	assert_int_equal(chmod(m.store.dir, 0711), 0);
	assert_int_equal(chmod(world_path(w, "data/sbx/envs"), 0711), 0);
	assert_int_equal(chmod(world_path(w, "data"), 0711), 0);
	assert_int_equal(chmod(w->dir, 0711), 0);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(up[1], STDOUT_FILENO);
		(void)dup2(down[0], STDIN_FILENO);
		(void)close(down[1]);
		_exit(listen_as_other(&m.env));
	}
	(void)close(up[1]);
	(void)close(down[0]);
	assert_true(readable(up[0]));
	assert_int_equal(read(up[0], &byte, 1), 1);
	assert_int_equal(client_connect(&m.env, &sock, &err), -1);
	assert_string_equal(err.msg, "the sandbox's socket belongs to user 4321");
	assert_int_equal(sock, -1);
	/* Nor is one started beside it. */
	assert_int_equal(client_start(NULL, &m.env, NULL, &sock, &err), -1);
	assert_string_equal(err.msg, "the sandbox's socket belongs to user 4321");
	(void)close(down[1]);
	(void)close(up[0]);
	assert_int_equal(proc_wait(pid, &status, &err), 0);
	assert_int_equal(status, 0);
	made_done(&m);
}

/* Answer the first message on the other end with `type`; 0: with the end of file. */
static int ask_info(enum proto_type type, struct proto_msg *answer, struct client_info *ret,
		    struct err *err)
{
	struct proto_msg got = {0};
	int ends[2];
	int r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	/* The answer lies there before the question is put: neither waits. */
	if (type)
		assert_int_equal(proto_send(ends[1], type, answer, NULL, 0), 0);
	else
		assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
	r = client_info(ends[0], ret, err);
	assert_int_equal(proto_recv(ends[1], &got, NULL, NULL, err), 1);
	assert_int_equal(got.type, PROTO_INFO);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return r;
}

static void what_a_sandbox_tells_of_itself_is_read(void **state)
{
	struct proto_msg answer = {.u.info = {.guard_pid = 7,
					      .commands = 2,
					      .processes = 9,
					      .uptime_ms = 12345678901ULL,
					      .profile_digest = "abcdef"}};
	struct client_info info = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(ask_info(PROTO_INFO_IS, &answer, &info, &err), 0);
	assert_int_equal(info.guard_pid, 7);
	assert_int_equal(info.commands, 2);
	assert_int_equal(info.processes, 9);
	assert_true(info.uptime_ms == 12345678901ULL);
	assert_string_equal(info.profile_digest, "abcdef");
	/* A digest without an end is cut. */
	memset(answer.u.info.profile_digest, 'x', sizeof(answer.u.info.profile_digest));
	assert_int_equal(ask_info(PROTO_INFO_IS, &answer, &info, &err), 0);
	assert_int_equal(strlen(info.profile_digest), 64);
}

static void other_answers_are_failures(void **state)
{
	struct proto_msg answer = {0};
	struct client_info info = {.guard_pid = -5};
	struct err err = {0};
	int ends[2];

	(void)state;
	assert_int_equal(ask_info(PROTO_TAKEN, &answer, &info, &err), -1);
	assert_string_equal(err.msg, "cannot ask the sandbox: it answered something else");
	err = (struct err){0};
	assert_int_equal(ask_info(0, NULL, &info, &err), -1);
	assert_string_equal(err.msg, "cannot ask the sandbox: it is ending: Resource temporarily "
				     "unavailable");
	assert_int_equal(err.errnum, EAGAIN);
	/* It is gone altogether. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	(void)close(ends[1]);
	err = (struct err){0};
	assert_int_equal(client_info(ends[0], &info, &err), -1);
	assert_int_equal(err.errnum, EAGAIN);
	(void)close(ends[0]);
	assert_int_equal(info.guard_pid, -5);
}

/* Who does not answer is not waited for for ever. */
static void one_that_says_nothing_is_given_up(void **state)
{
	struct client_info info = {.guard_pid = -5};
	struct err err = {0};
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(client_info(ends[0], &info, &err), -1);
	assert_string_equal(err.msg, "cannot ask the sandbox: Connection timed out");
	assert_string_equal(err.hint, "it may have been stopped from inside: sbx stop ends it");
	assert_int_equal(info.guard_pid, -5);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* In a child: a sandbox that holds the lock until it is asked to stop. */
static int be_asked_to_stop(void *arg)
{
	const struct env *env = arg;
	_cleanup_fd_ int lock = -1;
	struct proto_msg msg = {0};
	struct err err = {0};
	int fd = bound(NULL, env);
	int conn;

	REQUIRE_DONE(fs_lock_at(env->fd, "lock", true, 0, &lock, &err));
	REQUIRE(listen(fd, 8) == 0 && write(STDOUT_FILENO, "", 1) == 1 && readable(fd));
	conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	REQUIRE(conn >= 0 && readable(conn));
	REQUIRE(proto_recv(conn, &msg, NULL, NULL, &err) == 1 && msg.type == PROTO_STOP);
	REQUIRE(proto_send(conn, PROTO_TAKEN, &msg, NULL, 0) == 0);
	return 0;
}

static void a_stop_is_asked_for_and_the_end_awaited(void **state)
{
	const struct world *w = *state;
	struct made m = made_env(w);
	struct err err = {0};
	int status = -1;
	int up[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(up[1], STDOUT_FILENO);
		_exit(be_asked_to_stop(&m.env));
	}
	(void)close(up[1]);
	assert_true(readable(up[0]));
	assert_int_equal(read(up[0], &byte, 1), 1);
	if (client_stop(&m.env, &err) < 0)
		fail_msg("%s", err.msg);
	/* It has ended, or is a zombie: the lock was free. */
	assert_int_equal(proc_wait(pid, &status, &err), 0);
	assert_int_equal(status, 0);
	(void)close(up[0]);
	made_done(&m);
}

static void an_environment_is_held_still(void **state)
{
	const struct world *w = *state;
	struct made m = made_env(w);
	struct client_hold hold = CLIENT_HOLD_NONE;
	struct client_hold zero = {0};
	_cleanup_fd_ int lock = -1;
	struct err err = {0};

	client_hold_done(NULL);
	client_hold_done(&hold);
	client_hold_done(&zero);
	assert_int_equal(client_hold(&m.env, &hold, &err), 0);
	assert_int_equal(fs_lock_at(m.env.fd, "lock", true, 0, &lock, &err), -1);
	assert_int_equal(fs_lock_at(m.env.fd, "start", true, 0, &lock, &err), -1);
	client_hold_done(&hold);
	assert_int_equal(hold.start, -1);
	assert_int_equal(hold.lock, -1);
	/* One that runs. */
	assert_int_equal(fs_lock_at(m.env.fd, "lock", true, 0, &lock, &err), 0);
	err = (struct err){0};
	assert_int_equal(client_hold(&m.env, &hold, &err), -1);
	assert_string_equal(err.msg, arena_printf(w->a, "the environment '%s' is running: %s",
						  m.env.id, strerror(EBUSY)));
	assert_int_equal(err.errnum, EBUSY);
	assert_int_equal(hold.start, -1);
	made_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_that_does_not_run_is_told_apart),
		TEST(an_environment_that_is_gone_is_a_failure),
		TEST(a_running_one_is_joined_and_not_started),
		TEST(a_socket_of_somebody_else_is_refused),
		TEST(what_a_sandbox_tells_of_itself_is_read),
		TEST(other_answers_are_failures),
		TEST(one_that_says_nothing_is_given_up),
		TEST(a_stop_is_asked_for_and_the_end_awaited),
		TEST(an_environment_is_held_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
