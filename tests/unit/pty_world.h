/*
 * pty_world — pseudo-terminals for tests: a user who types and looks at one, and a command on another.
 * Every wait is on a descriptor and has a limit.
 */
#ifndef SBX_TESTS_PTY_WORLD_H
#define SBX_TESTS_PTY_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#define PTY_LIMIT_MS 20000

struct pty {
	int master, slave;
};

static inline struct pty pty_new(unsigned short rows, unsigned short cols)
{
	struct winsize size = {.ws_row = rows, .ws_col = cols};
	struct pty p = {.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
	char name[64];

	assert_true(p.master >= 0);
	assert_int_equal(grantpt(p.master), 0);
	assert_int_equal(unlockpt(p.master), 0);
	assert_int_equal(ptsname_r(p.master, name, sizeof(name)), 0);
	p.slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(p.slave >= 0);
	assert_int_equal(ioctl(p.slave, TIOCSWINSZ, &size), 0);
	return p;
}

static inline void pty_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static inline void pty_done(struct pty *p)
{
	pty_close(&p->master);
	pty_close(&p->slave);
}

static inline void pty_write(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static inline struct termios pty_modes(int fd)
{
	struct termios t;

	assert_int_equal(tcgetattr(fd, &t), 0);
	return t;
}

static inline int pty_same(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag &&
	       memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

/* Is line editing on: is it as a shell leaves it? */
static inline int pty_cooked(int fd)
{
	struct termios t = pty_modes(fd);

	return t.c_lflag & ICANON && t.c_lflag & ECHO && t.c_lflag & ISIG && t.c_oflag & OPOST;
}

static inline int pty_raw(int fd)
{
	struct termios t = pty_modes(fd);

	return !(t.c_lflag & (ICANON | ECHO | ISIG | IEXTEN)) && !(t.c_oflag & OPOST) &&
	       !(t.c_iflag & (ICRNL | IXON));
}

static inline void pty_make_raw(int fd)
{
	struct termios t = pty_modes(fd);

	cfmakeraw(&t);
	assert_int_equal(tcsetattr(fd, TCSANOW, &t), 0);
}

static inline int pty_readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

/* Read `n` bytes, or up to the end of file; how many came. */
static inline size_t pty_read(int fd, char *bytes, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r;

		if (!pty_readable(fd, PTY_LIMIT_MS))
			fail_msg("waited too long for byte %zu of %zu", got, n);
		r = read(fd, bytes + got, n - got);
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	return got;
}

/* The next bytes are these. */
static inline void pty_expect(int fd, const char *text)
{
	char got[512] = {0};

	assert_true(strlen(text) < sizeof(got));
	(void)pty_read(fd, got, strlen(text));
	assert_string_equal(got, text);
}

#endif
