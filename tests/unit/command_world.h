/*
 * command_world — a shim (run/command.h) in a child of the test, which plays pid 1 and the client.
 */
#ifndef SBX_TESTS_UNIT_COMMAND_WORLD_H
#define SBX_TESTS_UNIT_COMMAND_WORLD_H

#include <sys/mman.h>
#include <sys/socket.h>

#include "plan/plan.h"
#include "run/command.h"
#include "run/proto.h"
#include "run_world.h"

#define WORDS(...)                \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define SH(script) WORDS("/bin/sh", "-c", script)

/* Nobody listens: what a command writes to a stream that the test does not look at is dropped. */
struct job {
	struct plan plan;
	struct seccomp_filters filters;
	struct command_context context;
	pid_t pid;
	int sock;    /* the client's end */
	int in, out; /* the other ends of stdin and stdout; -1: not made */
};

static inline struct job job_new(void)
{
	static const char *plan_env[] = {"PATH=/nowhere:relative:/usr/bin:/bin", "HOME=/home/me",
					 "USER=me", NULL};

	return (struct job){
		.plan =
			{
				.rung = RUNG_SINGLE,
				.project = "/usr",
				.shell = "/bin/sh",
				.self_uid = geteuid(),
				.self_gid = getegid(),
				.env = plan_env,
			},
		.context = {.conn = -1,
			    .devpts = -1,
			    .proc = -1,
			    .root_ns = -1,
			    .commands = 1,
			    .profile_digest = "abc"},
		.pid = -1,
		.sock = -1,
		.in = -1,
		.out = -1,
	};
}

/* The shim, as pid 1 forks it: with all signals blocked. */
static inline void job_start(struct job *j)
{
	int ends[2];
	sigset_t all;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	j->context.plan = &j->plan;
	j->context.filters = &j->filters;
	j->context.conn = ends[1];
	j->pid = fork();
	assert_true(j->pid >= 0);
	if (j->pid == 0) {
		(void)sigfillset(&all);
		(void)sigprocmask(SIG_SETMASK, &all, NULL);
		(void)close(ends[0]);
		_exit(command_serve(&j->context));
	}
	(void)close(ends[1]);
	j->sock = ends[0];
}

static inline struct proto_body body_of(const char *const *argv)
{
	static const char *const no_env[] = {NULL};

	return (struct proto_body){.argv = argv, .env = no_env, .cwd = "/"};
}

static inline int memfd_of(const void *p, size_t n)
{
	int fd = memfd_create("body", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, p, n), 0);
	return fd;
}

static inline int body_fd(const struct proto_body *body)
{
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	assert_int_equal(proto_body_encode(body, &b, &err), 0);
	return memfd_of(b.p, b.len);
}

/* Ask for it, with a pipe for stdin and one for stdout, and stderr of the test. */
static inline void job_ask(struct job *j, const struct proto_run *run,
			   const struct proto_body *body)
{
	struct proto_msg msg = {.u.run = *run};
	int in[2];
	int out[2];
	int fds[4];
	size_t n = 1;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	const int streams[] = {in[0], out[1], STDERR_FILENO};

	fds[0] = body_fd(body);
	for (unsigned i = 0; i < 3; i++)
		if (!((run->terminal | run->closed) & 1U << i))
			fds[n++] = streams[i];
	assert_int_equal(proto_send(j->sock, PROTO_RUN, &msg, fds, n), 0);
	(void)close(fds[0]);
	(void)close(in[0]);
	(void)close(out[1]);
	j->in = in[1];
	j->out = out[0];
}

/* The next message is of this type; with an fd, where one may come. */
static inline struct proto_msg job_hear_fd(const struct job *j, enum proto_type type, int *ret_fd)
{
	struct proto_msg msg = {0};
	int fds[PROC_MAX_FDS];
	size_t n = 0;
	struct err err = {0};

	if (!readable(j->sock))
		fail_msg("waited too long for message %d", (int)type);
	if (proto_recv(j->sock, &msg, fds, &n, &err) != 1)
		fail_msg("no message %d: %s", (int)type, err.msg);
	if (msg.type != (uint32_t)type)
		fail_msg("message %u instead of %d: %s", (unsigned)msg.type, (int)type,
			 msg.type == PROTO_FAILED ? msg.u.err.msg : "");
	assert_int_equal(n, ret_fd ? 1 : 0);
	if (ret_fd)
		*ret_fd = fds[0];
	return msg;
}

static inline struct proto_msg job_hear(const struct job *j, enum proto_type type)
{
	return job_hear_fd(j, type, NULL);
}

/* The exit status of the shim, when it is done with everything. */
static inline int job_end(struct job *j)
{
	struct err err = {0};
	int status = -1;

	cleanup_fd(&j->sock);
	cleanup_fd(&j->in);
	cleanup_fd(&j->out);
	assert_int_equal(proc_wait(j->pid, &status, &err), 0);
	return proc_exit_status(status);
}

static inline void job_begin(struct job *j, const struct proto_run *run,
			     const struct proto_body *body)
{
	job_start(j);
	job_ask(j, run, body);
	(void)job_hear(j, PROTO_TAKEN);
	(void)job_hear(j, PROTO_STARTED);
}

/* To its end: the exit status; what it wrote to stdout is put into `ret_text`. */
static inline int job_finish(struct job *j, char *ret_text, size_t size)
{
	struct proto_msg msg;

	assert_int_equal(read_to_end(j->out, ret_text, size), 0);
	msg = job_hear(j, PROTO_EXITED);
	assert_int_equal(job_end(j), COMMAND_DONE);
	return msg.number;
}

/* The request fails with this. */
static inline struct err job_fails(struct job *j, const struct proto_run *run,
				   const struct proto_body *body)
{
	struct err err;

	job_start(j);
	job_ask(j, run, body);
	(void)job_hear(j, PROTO_TAKEN);
	err = job_hear(j, PROTO_FAILED).u.err;
	assert_int_equal(job_end(j), COMMAND_DONE);
	return err;
}

#endif
