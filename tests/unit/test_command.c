/* Commands and their shims, run/command and run/command_exec, as whoever runs the test. */
#include <string.h>

#include "command_world.h"
#include "run/command.h"

/* What such a command prints; its exit status has to be `status`. */
static const char *printed(const struct proto_run *run, const struct proto_body *body, int status)
{
	static char text[8192];
	struct job j = job_new();

	job_begin(&j, run, body);
	cleanup_fd(&j.in);
	assert_int_equal(job_finish(&j, text, sizeof(text)), status);
	return text;
}

static const char *output_of(const char *script, int status)
{
	const struct proto_run run = {.umask = 022};
	const struct proto_body body = body_of(SH(script));

	return printed(&run, &body, status);
}

static void the_exit_status_comes_back(void **state)
{
	(void)state;
	assert_string_equal(output_of("echo hello; exit 7", 7), "hello\n");
	assert_string_equal(output_of("true", 0), "");
	assert_string_equal(output_of("kill -KILL $$", 128 + SIGKILL), "");
}

static void streams_are_the_callers(void **state)
{
	const struct proto_run run = {.umask = 022};
	const struct proto_body body = body_of(WORDS("cat"));
	struct job j = job_new();
	char text[64];

	(void)state;
	job_begin(&j, &run, &body);
	assert_int_equal(write(j.in, "through", 7), 7);
	cleanup_fd(&j.in);
	assert_int_equal(job_finish(&j, text, sizeof(text)), 0);
	assert_string_equal(text, "through");
}

static void closed_streams_are_dev_null(void **state)
{
	const struct proto_run run = {.umask = 022, .closed = 1u << 0 | 1u << 2};
	const struct proto_body body =
		body_of(SH("readlink /proc/$$/fd/0; readlink /proc/$$/fd/2"));

	(void)state;
	assert_string_equal(printed(&run, &body, 0), "/dev/null\n/dev/null\n");
}

/* What a command starts with. */
static void nothing_of_ours_is_left_in_a_command(void **state)
{
	(void)state;
	/* The shim had all of them blocked. */
	assert_string_equal(output_of("exec grep SigBlk /proc/self/status", 0),
			    "SigBlk:\t0000000000000000\n");
	/* 3 is the folder itself. */
	assert_string_equal(output_of("exec ls /proc/self/fd", 0), "0\n1\n2\n3\n");
	assert_string_equal(output_of("grep NoNewPrivs /proc/self/status", 0), "NoNewPrivs:\t1\n");
}

/* Its own process group below the shim's session: a Ctrl-Z can stop it. */
static void the_command_has_a_group_and_the_shim_the_session(void **state)
{
	int pid;
	int group;
	int session;
	int parent;

	(void)state;
	assert_int_equal(sscanf(output_of("exec cut -d' ' -f1,4-6 /proc/self/stat", 0),
				"%d %d %d %d", &pid, &parent, &group, &session),
			 4);
	assert_int_equal(group, pid);
	assert_int_equal(session, parent);
	assert_int_not_equal(session, getsid(0));
}

static void where_a_command_is_looked_for(void **state)
{
	const struct world *w = *state;
	const struct proto_run run = {.umask = 022};
	struct proto_body body = {.argv = WORDS("tool"), .cwd = w->dir};
	struct job j = job_new();
	struct err err;

	/* A place that is named from the folder where it starts is none. */
	world_mkdir(w, "bin");
	assert_non_null(world_script(w, "bin/tool", "echo it ran\n"));
	body.env = WORDS("PATH=bin:/nowhere");
	assert_string_equal(job_fails(&j, &run, &body).msg, "cannot run 'tool': command not found");
	body.env = WORDS(arena_printf(w->a, "PATH=:/nowhere:%s/bin:/bin", w->dir));
	assert_string_equal(printed(&run, &body, 0), "it ran\n");
	/* One that cannot be executed is passed over, and told when there is no other. */
	world_mkdir(w, "other");
	world_write(w, "other/tool", "");
	body.env = WORDS(arena_printf(w->a, "PATH=%s/other:%s/bin", w->dir, w->dir));
	assert_string_equal(printed(&run, &body, 0), "it ran\n");
	body.env = WORDS(arena_printf(w->a, "PATH=%s/other:/nowhere", w->dir));
	err = job_fails(&j, &run, &body);
	assert_string_equal(err.msg, "cannot run 'tool': Permission denied");
	assert_int_equal(err.kind, ERR_NOT_EXEC);
}

/* A shell that says that it is there, and then waits. */
static void begin_waiting(struct job *j, const char *script)
{
	const struct proto_run run = {.umask = 022};
	const struct proto_body body = body_of(SH(script));
	char up[3];

	job_begin(j, &run, &body);
	assert_true(readable(j->out));
	assert_int_equal(read(j->out, up, 3), 3);
}

/* Nor in the shim: a pipe of pid 1's ends when pid 1 closes it. */
static void nothing_of_ours_is_left_in_a_shim(void **state)
{
	struct job j = job_new();
	char text[8];
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	begin_waiting(&j, "echo up; read x");
	(void)close(ends[1]);
	assert_int_equal(read_to_end(ends[0], text, sizeof(text)), 0);
	(void)close(ends[0]);
	assert_int_equal(job_end(&j), COMMAND_DONE);
}

static void folder_umask_and_environment_are_asked_for(void **state)
{
	struct proto_run run = {.umask = 027};
	const struct proto_body body = {.argv = SH("pwd; umask; echo \"$HOME $USER $X $PATH\""),
					.env = WORDS("X=1=2", "USER=other", "X=3"),
					.cwd = "/etc"};
	struct proto_body lost = body;
	struct job j = job_new();

	(void)state;
	assert_string_equal(printed(&run, &body, 0),
			    "/etc\n0027\n/home/me other 3 /nowhere:relative:/usr/bin:/bin\n");
	/* Where the folder is not there, the project. */
	lost.cwd = "/nowhere";
	lost.argv = WORDS("pwd");
	assert_string_equal(printed(&run, &lost, 0), "/usr\n");
	/* Unless it was named. */
	run.strict = 1;
	assert_string_equal(job_fails(&j, &run, &lost).msg,
			    "cannot start in '/nowhere': No such file or directory");
}

static void the_whole_environment_is_the_plans(void **state)
{
	const struct proto_run run = {.umask = 022};
	const struct proto_body body = body_of(WORDS("env"));

	(void)state;
	assert_int_equal(setenv("SECRET", "of the host", 1), 0);
	assert_string_equal(printed(&run, &body, 0),
			    "PATH=/nowhere:relative:/usr/bin:/bin\nHOME=/home/me\nUSER=me\n");
	assert_int_equal(unsetenv("SECRET"), 0);
}

static void without_a_command_it_is_the_shell(void **state)
{
	const struct proto_run run = {.umask = 022};
	const struct proto_body body = body_of(NULL);
	struct job j = job_new();
	char text[64];

	(void)state;
	/* One that is not there gives way to /bin/sh. */
	j.plan.shell = "/nowhere/fish";
	job_begin(&j, &run, &body);
	assert_int_equal(write(j.in, "echo \"$0\"; exit 3\n", 18), 18);
	assert_int_equal(job_finish(&j, text, sizeof(text)), 3);
	assert_string_equal(text, "/bin/sh\n");
	j = job_new();
	j.plan.shell = "/bin/cat";
	job_begin(&j, &run, &body);
	assert_int_equal(write(j.in, "it is cat", 9), 9);
	cleanup_fd(&j.in);
	assert_int_equal(job_finish(&j, text, sizeof(text)), 0);
	assert_string_equal(text, "it is cat");
}

static void cannot_run(const char *word, enum err_kind kind, const char *message)
{
	const struct proto_run run = {.umask = 022};
	const struct proto_body body = body_of(WORDS(word));
	struct job j = job_new();
	struct err err = job_fails(&j, &run, &body);

	assert_string_equal(err.msg, message);
	assert_int_equal(err.kind, kind);
}

static void what_cannot_be_run_is_told(void **state)
{
	const struct world *w = *state;
	const char *plain = world_path(w, "plain");

	world_write(w, "plain", "no program");
	cannot_run("no-such-command", ERR_NOT_FOUND,
		   "cannot run 'no-such-command': command not found");
	cannot_run("", ERR_NOT_FOUND, "cannot run '': command not found");
	cannot_run("/nowhere/x", ERR_NOT_FOUND,
		   "cannot run '/nowhere/x': No such file or directory");
	cannot_run("/etc/passwd/x", ERR_NOT_FOUND,
		   "cannot run '/etc/passwd/x': No such file or directory");
	cannot_run("/etc", ERR_NOT_EXEC, "cannot run '/etc': Permission denied");
	cannot_run(plain, ERR_NOT_EXEC,
		   arena_printf(w->a, "cannot run '%s': Permission denied", plain));
	assert_int_equal(chmod(plain, 0755), 0);
	cannot_run(plain, ERR_NOT_EXEC,
		   arena_printf(w->a, "cannot run '%s': Exec format error", plain));
}

static void signals_reach_the_group(void **state)
{
	struct job j = job_new();
	struct proto_msg msg = {.number = SIGTERM};
	char text[64];

	(void)state;
	begin_waiting(&j, "echo up; exec cat");
	assert_int_equal(proto_send(j.sock, PROTO_SIGNAL, &msg, NULL, 0), 0);
	assert_int_equal(job_finish(&j, text, sizeof(text)), 128 + SIGTERM);
	/* The whole of it. */
	j = job_new();
	begin_waiting(&j, "trap : USR1; exec 3<&0; "
			  "sh -c 'trap \"echo child; exit\" USR1; echo up; read x <&3' & "
			  "wait; wait; exit 6");
	msg.number = SIGUSR1;
	assert_int_equal(proto_send(j.sock, PROTO_SIGNAL, &msg, NULL, 0), 0);
	assert_int_equal(job_finish(&j, text, sizeof(text)), 6);
	assert_string_equal(text, "child\n");
	/* Numbers that are no signals are nothing. */
	j = job_new();
	begin_waiting(&j, "trap 'echo got it; exit 5' USR1; echo up; read x");
	msg.number = 0;
	assert_int_equal(proto_send(j.sock, PROTO_SIGNAL, &msg, NULL, 0), 0);
	msg.number = 1000000;
	assert_int_equal(proto_send(j.sock, PROTO_SIGNAL, &msg, NULL, 0), 0);
	msg.number = SIGUSR1;
	assert_int_equal(proto_send(j.sock, PROTO_SIGNAL, &msg, NULL, 0), 0);
	assert_int_equal(job_finish(&j, text, sizeof(text)), 5);
	assert_string_equal(text, "got it\n");
}

static void a_stop_is_told_and_goes_on(void **state)
{
	struct job j = job_new();
	const struct proto_run run = {.umask = 022};
	const struct proto_body body = body_of(SH("kill -STOP $$; echo on; exit 4"));
	struct proto_msg msg = {.foreground = 1};
	char text[64];

	(void)state;
	job_begin(&j, &run, &body);
	assert_int_equal(job_hear(&j, PROTO_STOPPED).number, SIGSTOP);
	assert_int_equal(proto_send(j.sock, PROTO_CONT, &msg, NULL, 0), 0);
	assert_int_equal(job_finish(&j, text, sizeof(text)), 4);
	assert_string_equal(text, "on\n");
}

/* The client goes away; what is read until the command's end is `text`. */
static void hung_up(const char *script, const char *text)
{
	struct job j = job_new();
	char got[64];

	begin_waiting(&j, script);
	cleanup_fd(&j.sock);
	assert_int_equal(read_to_end(j.out, got, sizeof(got)), 0);
	assert_string_equal(got, text);
	assert_int_equal(job_end(&j), COMMAND_DONE);
}

static void a_command_without_its_client_ends(void **state)
{
	(void)state;
	hung_up("echo up; exec cat", "");
	hung_up("trap 'echo hung up; exit' HUP; trap '' TERM; echo up; read x", "hung up\n");
	hung_up("trap '' HUP; trap 'echo terminated; exit' TERM; echo up; read x", "terminated\n");
	/* One that is stopped, and one that will not hear. */
	hung_up("trap '' HUP; echo up; kill -STOP $$; read x", "");
	hung_up("trap '' HUP TERM; echo up; exec cat", "");
}

static struct err refused(struct job *j, struct proto_msg *msg, const int *fds, size_t n)
{
	struct err err;

	job_start(j);
	assert_int_equal(proto_send(j->sock, PROTO_RUN, msg, fds, n), 0);
	(void)job_hear(j, PROTO_TAKEN);
	err = job_hear(j, PROTO_FAILED).u.err;
	assert_int_equal(job_end(j), COMMAND_DONE);
	return err;
}

static void bodies_may_be_anything(void **state)
{
	const struct proto_body body = body_of(WORDS("true"));
	struct job j = job_new();
	struct proto_msg msg = {.u.run = {.closed = 7}};
	const char *damaged[] = {"", "1234", "12345678", "\1\0\0\0\0\0\0\0x"};
	const size_t sizes[] = {0, 4, 8, 9};
	int good = body_fd(&body);
	int ends[2];
	int fds[4] = {good, 0, 0, 0};
	int huge = memfd_of("x", 1);

	(void)state;
	assert_string_equal(refused(&j, &msg, NULL, 0).msg,
			    "cannot read the request: it has no body");
	for (size_t i = 0; i < 4; i++) {
		int fd = memfd_of(damaged[i], sizes[i]);

		assert_true(str_starts(refused(&j, &msg, &fd, 1).msg, "cannot read the request: "));
		(void)close(fd);
	}
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_string_equal(refused(&j, &msg, &ends[0], 1).msg,
			    "cannot read the request: it is no request");
	assert_int_equal(ftruncate(huge, (off_t)PROTO_BODY_MAX + 1), 0);
	assert_string_equal(refused(&j, &msg, &huge, 1).msg,
			    "cannot read the request: it is no request");
	/* Too many files, and too few. */
	assert_string_equal(refused(&j, &msg, fds, 2).msg,
			    "cannot read the request: it has too many files");
	msg.u.run.closed = 0;
	assert_string_equal(refused(&j, &msg, fds, 3).msg,
			    "cannot read the request: a stream is missing");
	msg.u.run.closed = 7;
	msg.u.run.user = 9;
	assert_string_equal(refused(&j, &msg, fds, 1).msg,
			    "cannot read the request: it has no such user");
	for (int i = 0; i < 2; i++)
		(void)close(ends[i]);
	(void)close(huge);
	(void)close(good);
}

/* From a folder of the host's ".." would lead to all others. */
static void folders_are_no_streams(void **state)
{
	const struct proto_body body = body_of(WORDS("true"));
	struct job j = job_new();
	struct proto_msg msg = {.u.run = {.closed = 1u << 0 | 1u << 2}};
	int fds[] = {body_fd(&body), open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	struct err err = refused(&j, &msg, fds, 2);

	(void)state;
	assert_string_equal(err.msg,
			    "cannot pass a folder as file descriptor 1: it would lead out");
	assert_string_equal(err.hint, "name the folder under [mounts] in sbx.ini instead");
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void another_user_needs_more_ids(void **state)
{
	const struct proto_body body = body_of(WORDS("true"));
	struct job j = job_new();
	struct proto_msg msg = {.u.run = {.closed = 7, .user = PROTO_UID, .uid = 4321}};
	int fd = body_fd(&body);
	struct err err = refused(&j, &msg, &fd, 1);

	(void)state;
	assert_string_equal(err.msg, "cannot become user 4321: there is only one id here");
	assert_string_equal(err.hint, "with subordinate ids there are many: `sbx doctor` says how");
	(void)close(fd);
}

/* A first message that is no command; the shim's exit status says that it was none. */
static void answered(struct job *j, enum proto_type type, const char *message)
{
	struct proto_msg msg = {0};

	job_start(j);
	assert_int_equal(proto_send(j->sock, type, &msg, NULL, 0), 0);
	assert_string_equal(job_hear(j, PROTO_FAILED).u.err.msg, message);
	assert_int_equal(job_end(j), COMMAND_QUERY);
}

static void what_cannot_be_asked_is_refused(void **state)
{
	static const char message[] = "cannot read the request: it is none that can be asked here";
	struct job j = job_new();

	(void)state;
	answered(&j, PROTO_SIGNAL, message);
	answered(&j, PROTO_TAKEN, message);
	answered(&j, (enum proto_type)99, message);
	/* From inside only commands are asked for: not to end the sandbox, and not about it. */
	j.context.inner = true;
	answered(&j, PROTO_STOP, message);
	answered(&j, PROTO_INFO, message);
	/* Nothing at all. */
	job_start(&j);
	assert_int_equal(job_end(&j), COMMAND_QUERY);
}

static void another_version_is_told(void **state)
{
	struct job j = job_new();
	struct proto_msg msg = {.version = 77, .type = PROTO_RUN};

	(void)state;
	job_start(&j);
	assert_int_equal(proc_send(j.sock, &msg, sizeof(msg), NULL, 0), 0);
	assert_string_equal(job_hear(&j, PROTO_FAILED).u.err.msg,
			    "cannot talk to the sandbox: another version of sbx started it: "
			    "Protocol error");
	assert_int_equal(job_end(&j), COMMAND_QUERY);
}

static void what_is_known_is_told(void **state)
{
	struct job j = job_new();
	struct proto_msg msg = {0};
	struct proto_info info;

	(void)state;
	j.context.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	j.context.guard_pid = 4711;
	j.context.commands = 3;
	j.context.started_ms = command_now_ms() - 5000;
	j.context.profile_digest =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	job_start(&j);
	assert_int_equal(proto_send(j.sock, PROTO_INFO, &msg, NULL, 0), 0);
	info = job_hear(&j, PROTO_INFO_IS).u.info;
	assert_int_equal(job_end(&j), COMMAND_QUERY);
	(void)close(j.context.proc);
	assert_int_equal(info.guard_pid, 4711);
	assert_int_equal(info.commands, 2);
	assert_true(info.uptime_ms >= 5000 && info.uptime_ms < 65000);
	/* This one and its parent at least, less pid 1 and the shim. */
	assert_true(info.processes >= 1 && info.processes < 1000000);
	assert_string_equal(info.profile_digest, j.context.profile_digest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exit_status_comes_back),
		cmocka_unit_test(streams_are_the_callers),
		cmocka_unit_test(closed_streams_are_dev_null),
		cmocka_unit_test(nothing_of_ours_is_left_in_a_command),
		cmocka_unit_test(the_command_has_a_group_and_the_shim_the_session),
		cmocka_unit_test(nothing_of_ours_is_left_in_a_shim),
		cmocka_unit_test(folder_umask_and_environment_are_asked_for),
		cmocka_unit_test(the_whole_environment_is_the_plans),
		cmocka_unit_test(without_a_command_it_is_the_shell),
		TEST(what_cannot_be_run_is_told),
		TEST(where_a_command_is_looked_for),
		cmocka_unit_test(signals_reach_the_group),
		cmocka_unit_test(a_stop_is_told_and_goes_on),
		cmocka_unit_test(a_command_without_its_client_ends),
		cmocka_unit_test(bodies_may_be_anything),
		cmocka_unit_test(folders_are_no_streams),
		cmocka_unit_test(another_user_needs_more_ids),
		cmocka_unit_test(what_cannot_be_asked_is_refused),
		cmocka_unit_test(another_version_is_told),
		cmocka_unit_test(what_is_known_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
