/* Commands and shims in namespaces of their own: what needs a pid 1, terminals or a root. */
#include <sched.h>
#include <string.h>

#include "command_world.h"

/* In a pid namespace of its own, where this is pid 1: only there is a stop harmless. */
static int stop_as_pid_1(void *arg)
{
	struct job j = job_new();
	struct proto_msg msg = {0};
	sigset_t term;
	int signal = 0;

	(void)arg;
	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	REQUIRE(getpid() == 1 && sigprocmask(SIG_BLOCK, &term, NULL) == 0);
	job_start(&j);
	REQUIRE(proto_send(j.sock, PROTO_STOP, &msg, NULL, 0) == 0);
	(void)job_hear(&j, PROTO_TAKEN);
	REQUIRE(sigwait(&term, &signal) == 0 && signal == SIGTERM);
	REQUIRE(job_end(&j) == COMMAND_QUERY);
	return 0;
}

static int stop(const struct world *w)
{
	(void)w;
	REQUIRE(unshare(CLONE_NEWPID) == 0);
	return proc_call(stop_as_pid_1, NULL);
}

static void a_stop_is_a_signal_for_pid_1(void **state)
{
	in_namespace(*state, stop);
}

/* With a devpts of our own: the machine's may be closed to us. */
static int use_terminal(const struct world *w)
{
	struct job j = job_new();
	const struct proto_run run = {.umask = 022, .terminal = 3, .rows = 33, .cols = 101};
	const struct proto_body body =
		body_of(SH("stty size; test -t 0 && test -t 1 && ! test -t 2 && echo yes; "
			   "trap 'stty size; exit 9' WINCH; echo up; read x"));
	struct proto_msg size = {.u.size = {.rows = 7, .cols = 8}};
	char text[256] = "";
	size_t n = 0;
	int master = -1;

	(void)w;
	REQUIRE(mkdir("pts", 0755) == 0);
	REQUIRE(mount("none", "pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620") == 0);
	j.context.devpts = open("pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
	j.plan.self_uid = j.plan.self_gid = 0;
	job_start(&j);
	job_ask(&j, &run, &body);
	(void)job_hear(&j, PROTO_TAKEN);
	(void)job_hear_fd(&j, PROTO_STARTED, &master);
	while (!strstr(text, "up\r\n")) {
		ssize_t r;

		REQUIRE(readable(master));
		r = read(master, text + n, sizeof(text) - 1 - n);
		REQUIRE(r > 0);
		n += (size_t)r;
	}
	REQUIRE(strcmp(text, "33 101\r\nyes\r\nup\r\n") == 0);
	REQUIRE(proto_send(j.sock, PROTO_SIZE, &size, NULL, 0) == 0);
	REQUIRE(readable(master));
	n = (size_t)read(master, text, sizeof(text) - 1);
	text[n] = '\0';
	REQUIRE(strcmp(text, "7 8\r\n") == 0);
	REQUIRE(job_hear(&j, PROTO_EXITED).number == 9 && job_end(&j) == COMMAND_DONE);
	return 0;
}

static void a_terminal_is_the_sandboxs_own(void **state)
{
	in_namespace(*state, use_terminal);
}

/* Root, in a namespace where this is root. */
static int run_as_root(const struct world *w)
{
	struct job j = job_new();
	const struct proto_run run = {.umask = 022, .user = PROTO_ROOT};
	const struct proto_body body = body_of(SH("echo \"$HOME $USER $LOGNAME\"; id -u"));
	char text[64];

	(void)w;
	job_begin(&j, &run, &body);
	assert_int_equal(job_finish(&j, text, sizeof(text)), 0);
	REQUIRE(strcmp(text, "/root root root\n0\n") == 0);
	/* Where commands are root's anyhow the home is the profile's. */
	j = job_new();
	j.plan.as_root = true;
	job_begin(&j, &run, &body);
	assert_int_equal(job_finish(&j, text, sizeof(text)), 0);
	REQUIRE(strcmp(text, "/home/me me\n0\n") == 0 || strcmp(text, "/home/me me \n0\n") == 0);
	return 0;
}

static void root_has_a_home_of_its_own(void **state)
{
	in_namespace(*state, run_as_root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stop_is_a_signal_for_pid_1),
		TEST(a_terminal_is_the_sandboxs_own),
		TEST(root_has_a_home_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
