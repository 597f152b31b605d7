/*
 * terminal_world — a terminal of the caller's and one of a command's, with run/terminal between them.
 */
#ifndef SBX_TESTS_TERMINAL_WORLD_H
#define SBX_TESTS_TERMINAL_WORLD_H

#include <sys/wait.h>

#include "base/cleanup.h"
#include "pty_world.h"
#include "run/terminal.h"

/* The caller's terminal, the command's, and this process' own 0, 1, 2 meanwhile. */
struct world {
	int saved[3];
	struct pty outer, inner;
	struct terminal t;
};

static inline int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	(void)alarm(60);
	for (int fd = 0; fd < 3; fd++)
		w->saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	w->outer = pty_new(33, 101);
	w->inner = pty_new(0, 0);
	*state = w;
	return 0;
}

static inline void give_back(const struct world *w)
{
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(w->saved[fd], fd);
}

static inline int teardown(void **state)
{
	struct world *w = *state;

	terminal_done(&w->t);
	give_back(w);
	for (int fd = 0; fd < 3; fd++)
		(void)close(w->saved[fd]);
	pty_done(&w->outer);
	pty_done(&w->inner);
	free(w);
	(void)alarm(0);
	return 0;
}

/* 0, 1 and 2 as `bits` says: the terminal or /dev/null. */
static inline void redirect(const struct world *w, unsigned bits)
{
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		assert_int_equal(dup2(bits & 1u << fd ? w->outer.slave : null_fd, fd), fd);
}

static inline void run_inside(struct world *w, unsigned bits)
{
	redirect(w, bits);
	terminal_open(&w->t);
	terminal_attach(&w->t, fcntl(w->inner.master, F_DUPFD_CLOEXEC, 3));
	/* So that the last close of the slave is seen. */
	pty_close(&w->inner.master);
	(void)terminal_look(&w->t);
}

/* What the caller's loop does, once. */
static inline void turn(struct world *w, int ms)
{
	struct pollfd p[TERMINAL_FDS];

	terminal_poll(&w->t, p);
	assert_true(poll(p, TERMINAL_FDS, ms) >= 0);
	terminal_pump(&w->t, p);
	(void)terminal_look(&w->t);
}

/* Turn until `fd` can be read. */
static inline void turn_until(struct world *w, int fd)
{
	for (int i = 0; !pty_readable(fd, 0); i++) {
		struct pollfd p[TERMINAL_FDS + 1];

		assert_true(i < 10000);
		terminal_poll(&w->t, p);
		p[TERMINAL_FDS] = (struct pollfd){.fd = fd, .events = POLLIN};
		assert_true(poll(p, TERMINAL_FDS + 1, terminal_timeout(&w->t)) >= 0);
		terminal_pump(&w->t, p);
		(void)terminal_look(&w->t);
	}
}

static inline void turn_expect(struct world *w, int fd, const char *text)
{
	char got[512] = {0};

	assert_true(strlen(text) < sizeof(got));
	for (size_t n = 0; n < strlen(text);) {
		ssize_t r;

		turn_until(w, fd);
		r = read(fd, got + n, strlen(text) - n);
		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_string_equal(got, text);
}

static inline void ended_well(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
