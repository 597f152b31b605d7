/*
 * A child in a user namespace of its own, and what it may do: for the tests of run/privs.
 */
#ifndef SBX_TESTS_PRIVS_WORLD_H
#define SBX_TESTS_PRIVS_WORLD_H

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "base/str.h"

/* For children: where an assertion of cmocka's fails, they would go on with the next test. */
#define REQUIRE(what)                                                                  \
	do {                                                                           \
		if (!(what)) {                                                         \
			(void)fprintf(stderr, "# line %d: not %s\n", __LINE__, #what); \
			return 1;                                                      \
		}                                                                      \
	} while (0)

/* The call fails with the message; an empty one: it succeeds. */
#define REQUIRE_MESSAGE(call, message)                                                            \
	do {                                                                                      \
		err = (struct err){0};                                                            \
		if ((call) != ((message)[0] ? -1 : 0) || strcmp(err.msg, (message)) != 0) {       \
			(void)fprintf(stderr, "# line %d: %s: '%s'\n", __LINE__, #call, err.msg); \
			return 1;                                                                 \
		}                                                                                 \
	} while (0)
#define REQUIRE_DONE(call) REQUIRE_MESSAGE(call, "")

/* A child in a user namespace of its own, where it has all capabilities. */
struct world {
	uint32_t inside; /* its one id there */
	bool wide;       /* or it has all ids, which only root can map */
	int (*body)(void);
};
#define NAMESPACE_NOT_HAD 77

static inline int child_of_world(const struct world *w, int sock)
{
	char byte = 0;

	if (unshare(CLONE_NEWUSER) < 0)
		return NAMESPACE_NOT_HAD;
	REQUIRE(write(sock, &byte, 1) == 1);
	REQUIRE(read(sock, &byte, 1) == 1);
	return w->body();
}

static inline int write_file_of(pid_t pid, const char *name, const char *text)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	return fs_write_knob(path, text);
}

static inline int map_ids(const struct world *w, pid_t pid)
{
	char uids[64] = "0 0 65536";
	char gids[64] = "0 0 65536";

	if (!w->wide) {
		(void)snprintf(uids, sizeof(uids), "%u %u 1", w->inside, geteuid());
		(void)snprintf(gids, sizeof(gids), "%u %u 1", w->inside, getegid());
		REQUIRE(write_file_of(pid, "setgroups", "deny") == 0);
	}
	REQUIRE(write_file_of(pid, "uid_map", uids) == 0);
	REQUIRE(write_file_of(pid, "gid_map", gids) == 0);
	return 0;
}

/* In a process of its own, so that what goes wrong leaves nothing behind in the test. */
static inline int run_world(void *arg)
{
	const struct world *w = arg;
	struct err err = {0};
	int status = 0;
	char byte;
	int s[2];
	pid_t pid;

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		(void)close(s[0]);
		_exit(child_of_world(w, s[1]));
	}
	(void)close(s[1]);
	if (read(s[0], &byte, 1) == 1 && (map_ids(w, pid) != 0 || write(s[0], &byte, 1) != 1))
		(void)kill(pid, SIGKILL);
	REQUIRE_DONE(proc_wait(pid, &status, &err));
	return proc_exit_status(status);
}

static inline void in_world(struct world w)
{
	int r;

	if (w.wide && geteuid() != 0) {
		print_message("# skipped: only root can map more ids than its own\n");
		return;
	}
	r = proc_call(run_world, &w);
	if (r == NAMESPACE_NOT_HAD)
		print_message("# skipped: no user namespace is to be had\n");
	else
		assert_int_equal(r, 0);
}

static inline void with_one_id(uint32_t inside, int (*body)(void))
{
	in_world((struct world){.inside = inside, .body = body});
}

static inline void with_all_ids(int (*body)(void))
{
	in_world((struct world){.wide = true, .body = body});
}

struct sets {
	unsigned long long inh, prm, eff, bnd, amb, nnp;
};

static inline unsigned long long field(const char *text, const char *name, int base)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, base) : ~0ull;
}

static inline struct sets sets_of(const char *status)
{
	return (struct sets){
		.inh = field(status, "CapInh:", 16),
		.prm = field(status, "CapPrm:", 16),
		.eff = field(status, "CapEff:", 16),
		.bnd = field(status, "CapBnd:", 16),
		.amb = field(status, "CapAmb:", 16),
		.nnp = field(status, "NoNewPrivs:", 10),
	};
}

static inline struct sets sets_now(void)
{
	_cleanup_buf_ struct buf text = {0};

	(void)fs_read_at(AT_FDCWD, "/proc/self/status", 1u << 16, &text, NULL);
	return sets_of(text.p ? text.p : "");
}

/* Those of a program that a process such as this one becomes. */
static inline struct sets sets_after_exec(void)
{
	char text[8192] = "";
	size_t n = 0;
	ssize_t r;
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return sets_of("");
	pid = fork();
	if (pid == 0) {
		(void)dup2(p[1], 1);
		(void)execl("/bin/cat", "cat", "/proc/self/status", (char *)NULL);
		_exit(127);
	}
	(void)close(p[1]);
	while ((r = read(p[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)r;
	(void)close(p[0]);
	(void)waitpid(pid, NULL, 0);
	return sets_of(text);
}

static inline bool permits_only(struct sets s, unsigned long long caps)
{
	return s.prm == caps && s.eff == caps && s.inh == 0 && s.amb == 0 && s.nnp == 1;
}

#endif
