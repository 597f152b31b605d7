#include "run/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum { MASTER, IN, OUT };

/* Nothing tells a process that it came to the foreground without having been stopped (`fg` of a
 * job that runs), nor that somebody opened the inside of a pty again: such is looked at this often. */
#define LOOK_AGAIN_MS 200

/* A pty holds less than that (a buffer of 8 KiB and a line of 4), so that the rest is
 * somebody else's who still writes. */
#define ENDING_MAX (64U << 10)

/* The longest line that a terminal takes before it is read (N_TTY_BUF_SIZE). */
#define MAX_LINE 4096U

/* Where writing may block: what a terminal that is ready takes as a rule. */
#define SMALL_PIECE 64U

/* So many pieces of output, then signals and messages have their turn.  Together more than ENDING_MAX. */
#define PIECES_AT_ONCE 32

#define GONE (POLLHUP | POLLERR | POLLNVAL)

/*
 * The terminal behind `fd` with O_NONBLOCK.  Set on `fd` itself it would be set for the
 * shell as well, which shares the file description; so it is opened anew.
 */
static int reopen(int fd, int flags)
{
	_cleanup_free_ char *path = xasprintf("/proc/self/fd/%d", fd);
	int number;

	/* Of a master (a terminal emulator's side) that would make a new pty. */
	if (ioctl(fd, TIOCGPTN, &number) == 0)
		return -1;
	return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* The first of the terminals in `fds` that is open for writing; -1 where there is none. */
static int find_output(uint32_t bits)
{
	/* Last the one that is typed on: what is typed should be seen, even with 1 and 2 redirected. */
	static const int order[] = {STDOUT_FILENO, STDERR_FILENO, STDIN_FILENO};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!(bits & 1U << order[i]))
			continue;
		if ((fcntl(order[i], F_GETFL) & O_ACCMODE) != O_RDONLY)
			return order[i];
	}
	return -1;
}

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

void terminal_open(struct terminal *t)
{
	int out;

	*t = (struct terminal){.opened = true, .first = -1, .in = -1, .out = -1, .master = -1};
	for (int fd = STDERR_FILENO; fd >= STDIN_FILENO; fd--) {
		if (!isatty(fd))
			continue;
		t->bits |= 1U << fd;
		t->first = fd;
	}
	if (t->bits & 1U << STDIN_FILENO &&
	    (fcntl(STDIN_FILENO, F_GETFL) & O_ACCMODE) != O_WRONLY) {
		t->in = reopen(STDIN_FILENO, O_RDONLY);
		if (t->in < 0)
			t->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	}
	t->lazy = t->in >= 0 && is_pipe(STDOUT_FILENO);
	out = find_output(t->bits);
	if (out < 0)
		return;
	t->out = reopen(out, O_WRONLY);
	if (t->out >= 0)
		return;
	t->out_waits = true;
	t->out = fcntl(out, F_DUPFD_CLOEXEC, 3);
}

void terminal_done(struct terminal *t)
{
	if (!t || !t->opened)
		return;
	terminal_restore(t);
	cleanup_fd(&t->in);
	cleanup_fd(&t->out);
	cleanup_fd(&t->master);
	t->opened = false;
}

void terminal_size(const struct terminal *t, uint16_t *ret_rows, uint16_t *ret_cols)
{
	struct winsize size = {0};

	if (t->first >= 0)
		(void)ioctl(t->first, TIOCGWINSZ, &size);
	*ret_rows = size.ws_row;
	*ret_cols = size.ws_col;
}

void terminal_attach(struct terminal *t, int master)
{
	cleanup_fd(&t->master);
	t->master = master;
	(void)fcntl(master, F_SETFL, fcntl(master, F_GETFL) | O_NONBLOCK);
}

static bool in_foreground(const struct terminal *t)
{
	pid_t group;

	if (t->first < 0)
		return true;
	group = tcgetpgrp(t->first);
	/* One that is not our controlling terminal knows no background. */
	return group < 0 ? errno == ENOTTY : group == getpgrp();
}

static bool same_modes(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_lflag == b->c_lflag;
}

/*
 * The lines that were typed before raw mode.  A Ctrl-D among them has become the end of a read, which
 * the change of modes would forget: for the command it is made one again.
 */
static void take_lines(struct terminal *t, char eof)
{
	struct terminal_flow *f = &t->typed;
	struct pollfd p = {.fd = t->in, .events = POLLIN};

	memmove(f->bytes, f->bytes + f->at, f->n);
	f->at = 0;
	while (sizeof(f->bytes) - f->n > MAX_LINE && poll(&p, 1, 0) == 1 && p.revents == POLLIN) {
		ssize_t n = read(t->in, f->bytes + f->n, MAX_LINE);

		if (n < 0)
			return;
		f->n += (size_t)n;
		if (n == 0 || f->bytes[f->n - 1] != '\n')
			f->bytes[f->n++] = eof;
	}
}

/* Not TCSAFLUSH, ever: what was typed ahead is for the command. */
static void set_raw(struct terminal *t)
{
	struct termios now;

	if (tcgetattr(t->in, &now) < 0)
		return;
	if (now.c_lflag & ICANON)
		take_lines(t, (char)now.c_cc[VEOF]);
	/* Ours still: then what is saved is what was there before. */
	if (!same_modes(&now, &t->set))
		t->saved = now;
	now = t->saved;
	cfmakeraw(&now);
	if (tcsetattr(t->in, TCSANOW, &now) < 0)
		return;
	/* As the terminal sees them, which need not have everything. */
	t->raw = tcgetattr(t->in, &t->set) == 0;
	t->lazy = false;
}

static bool edits_lines(int fd)
{
	struct termios now;

	return tcgetattr(fd, &now) == 0 && now.c_lflag & ICANON && now.c_lflag & ECHO;
}

/* Whole lines come from the terminal, and nobody but the command can be meant. */
static bool gives_lines(const struct terminal *t)
{
	return t->lazy && t->foreground && edits_lines(t->in);
}

bool terminal_look(struct terminal *t)
{
	bool was = t->foreground;

	t->foreground = in_foreground(t);
	if (!t->foreground) {
		/* The modes are the business of who is there. */
		t->raw = false;
		return false;
	}
	if (t->raw || t->in < 0 || t->master < 0 || t->ending)
		return !was;
	/* A password, an editor: the inside wants each key. */
	if (!t->lazy || !edits_lines(t->master))
		set_raw(t);
	return !was;
}

void terminal_restore(struct terminal *t)
{
	struct termios now;

	/* Only those of our own making: another one may have set some since, for itself. */
	if (t->raw && in_foreground(t) && tcgetattr(t->in, &now) == 0 && same_modes(&now, &t->set))
		(void)tcsetattr(t->in, TCSANOW, &t->saved);
	t->raw = false;
	t->foreground = false;
}

void terminal_forget(struct terminal *t)
{
	t->raw = false;
	t->foreground = false;
}

/* The terminal went away: so does the one inside, and the kernel tells the command (SIGHUP). */
static void hang_up(struct terminal *t)
{
	cleanup_fd(&t->in);
	cleanup_fd(&t->out);
	cleanup_fd(&t->master);
	t->raw = false;
}

void terminal_poll(const struct terminal *t, struct pollfd ret[TERMINAL_FDS])
{
	ret[MASTER] = (struct pollfd){.fd = t->master};
	ret[IN] = (struct pollfd){.fd = t->in};
	ret[OUT] = (struct pollfd){.fd = t->out};
	if (t->typed.n > 0)
		ret[MASTER].events |= POLLOUT;
	if (t->shown.n > 0)
		ret[OUT].events |= POLLOUT;
	else
		ret[MASTER].events |= POLLIN;
	if (t->typed.n == 0 && (t->raw || gives_lines(t)))
		ret[IN].events |= POLLIN;
	/* Its POLLHUP cannot be masked, and would be reported without end. */
	if (t->quiet || (ret[MASTER].events == 0))
		ret[MASTER].fd = -1;
}

int terminal_timeout(const struct terminal *t)
{
	bool idle = t->master >= 0 && (t->quiet || (t->in >= 0 && !t->raw));

	return idle && !t->ending ? LOOK_AGAIN_MS : -1;
}

/* What of `f` the fd takes now.  False: nobody is behind it any more. */
static bool push(int fd, struct terminal_flow *f, size_t piece)
{
	ssize_t n;

	if (f->n == 0)
		return true;
	n = write(fd, f->bytes + f->at, f->n < piece ? f->n : piece);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	f->at += (size_t)n;
	f->n -= (size_t)n;
	return true;
}

static bool can_write(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && p.revents & POLLOUT;
}

static void show(struct terminal *t)
{
	if (t->out < 0) {
		t->shown.n = 0;
		return;
	}
	if (t->out_waits && (t->shown.n == 0 || !can_write(t->out)))
		return;
	/* Nobody sees it: poll(2) tells when that is a hang-up. */
	if (!push(t->out, &t->shown, t->out_waits ? SMALL_PIECE : sizeof(t->shown.bytes)))
		t->shown.n = 0;
}

/* What is typed, for the command. */
static void take_typed(struct terminal *t)
{
	/* In the background that is EIO; terminal_look comes next. */
	ssize_t n = read(t->in, t->typed.bytes, sizeof(t->typed.bytes));

	t->typed.at = 0;
	t->typed.n = n > 0 ? (size_t)n : 0;
}

/* Does the terminal put a carriage return before each newline itself? */
static bool adds_returns(const struct terminal *t)
{
	struct termios now;

	return t->out >= 0 && tcgetattr(t->out, &now) == 0 && now.c_oflag & OPOST &&
	       now.c_oflag & ONLCR;
}

/* Each "\r\n" to "\n": the pty inside has added what the one outside is about to add again. */
static void strip_returns(struct terminal_flow *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (f->bytes[i] == '\r' && i + 1 < f->n && f->bytes[i + 1] == '\n')
			continue;
		f->bytes[kept++] = f->bytes[i];
	}
	f->n = kept;
}

/* The next output of the command; false: there is none now. */
static bool take_shown(struct terminal *t)
{
	struct terminal_flow *f = &t->shown;
	size_t room = sizeof(f->bytes) - 1;
	ssize_t n;

	if (t->ending && room > t->ending_left)
		room = t->ending_left;
	n = room > 0 ? read(t->master, f->bytes, room) : 0;
	if (n <= 0) {
		/* EIO: the inside is closed; whoever still can may open it again. */
		t->quiet = n < 0 && errno == EIO;
		return false;
	}
	f->at = 0;
	f->n = (size_t)n;
	if (adds_returns(t)) {
		/* The newline to a return at the end. */
		if (f->bytes[f->n - 1] == '\r' && read(t->master, f->bytes + f->n, 1) == 1)
			f->n++;
		strip_returns(f);
	}
	if (t->ending)
		t->ending_left -= (size_t)n;
	return true;
}

/* Until the inside has nothing or the terminal takes nothing; not for ever, for there are signals. */
static void show_all(struct terminal *t)
{
	bool more = true;

	for (int i = 0; more && i < PIECES_AT_ONCE; i++) {
		show(t);
		more = t->shown.n == 0 && t->master >= 0 && take_shown(t);
	}
	show(t);
}

void terminal_pump(struct terminal *t, const struct pollfd polled[TERMINAL_FDS])
{
	if (polled[IN].revents & GONE || polled[OUT].revents & GONE) {
		hang_up(t);
		return;
	}
	if (polled[IN].revents & POLLIN && t->raw)
		take_typed(t);
	else if (polled[IN].revents & POLLIN && gives_lines(t))
		set_raw(t);
	if (t->master >= 0 && !push(t->master, &t->typed, sizeof(t->typed.bytes)))
		t->typed.n = 0;
	if (polled[OUT].revents & POLLOUT || polled[MASTER].revents & (POLLIN | GONE) || t->quiet)
		show_all(t);
}

void terminal_flush(struct terminal *t)
{
	show_all(t);
}

void terminal_end(struct terminal *t)
{
	t->ending = true;
	t->ending_left = ENDING_MAX;
	show_all(t);
}

bool terminal_ended(const struct terminal *t)
{
	/* show_all has taken all that there was, but for what the terminal did not take. */
	return t->shown.n == 0;
}
