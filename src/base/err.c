#include "base/err.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct err) <= PIPE_BUF, "a child reports its failure in one atomic write");

static const char ellipsis[] = "…";

/* Copy text into out[size], cut at a character's border with "…" where it is too long. */
static void copy_cut(char *out, size_t size, const char *text)
{
	size_t n = strlen(text);

	if (n < size) {
		memcpy(out, text, n + 1);
		return;
	}
	n = size - sizeof(ellipsis);
	while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
		n--;
	memcpy(mempcpy(out, text, n), ellipsis, sizeof(ellipsis));
}

/*
 * The message is made in a buffer of its own: the arguments may point into
 * `err` (a message wrapped in another).  The cause is kept whole: when a name
 * is too long, it is the name that is cut.
 */
__attribute__((format(printf, 4, 0))) static void fill(struct err *err, enum err_kind kind,
						       int errnum, const char *fmt, va_list ap)
{
	char text[2 * ERR_MSG_SIZE];
	char cause[128] = "";

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	if (errnum)
		(void)snprintf(cause, sizeof(cause), ": %s", strerror(errnum));

	copy_cut(err->msg, sizeof(err->msg) - strlen(cause), text);
	strncat(err->msg, cause, sizeof(err->msg) - strlen(err->msg) - 1);
	err->kind = kind;
	err->errnum = errnum;
	err->hint[0] = '\0';
}

int err_set(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	fill(err, ERR_FAILED, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int err_errno(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	fill(err, ERR_FAILED, errnum, fmt, ap);
	va_end(ap);
	return -1;
}

int err_kind(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	fill(err, kind, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int err_hint(struct err *err, const char *fmt, ...)
{
	char text[2 * ERR_HINT_SIZE];
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	copy_cut(err->hint, sizeof(err->hint), text);
	return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char text[3 * ERR_MSG_SIZE];
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(text, 2 * ERR_MSG_SIZE - 2, fmt, ap);
	va_end(ap);
	strncat(text, ": ", sizeof(text) - strlen(text) - 1);
	strncat(text, err->msg, sizeof(text) - strlen(text) - 1);
	copy_cut(err->msg, sizeof(err->msg), text);
	return -1;
}

void err_send(const struct err *err, int fd)
{
	static const struct timespec at_once = {0};
	struct err clean;
	sigset_t pipe_only;
	sigset_t before;
	ssize_t n;

	/* What lies behind the texts' ends is no business of the reader's. */
	memset(&clean, 0, sizeof(clean));
	clean.kind = err->kind;
	clean.errnum = err->errnum;
	copy_cut(clean.msg, sizeof(clean.msg), err->msg);
	copy_cut(clean.hint, sizeof(clean.hint), err->hint);

	/* A pipe has no MSG_NOSIGNAL: hold SIGPIPE back, and take back the one that we made. */
	(void)sigemptyset(&pipe_only);
	(void)sigaddset(&pipe_only, SIGPIPE);
	(void)sigprocmask(SIG_BLOCK, &pipe_only, &before);
	do {
		n = write(fd, &clean, sizeof(clean));
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EPIPE && !sigismember(&before, SIGPIPE))
		(void)sigtimedwait(&pipe_only, NULL, &at_once);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

int err_receive(int fd, struct err *err)
{
	struct err got;
	char *p = (char *)&got;
	size_t have = 0;

	memset(&got, 0, sizeof(got));
	while (have < sizeof(got)) {
		ssize_t n = read(fd, p + have, sizeof(got) - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read what a child process reports");
		if (n == 0)
			break;
		have += (size_t)n;
	}
	if (have == 0)
		return 0;
	if (have < sizeof(got))
		return err_set(err, "cannot read what a child process reports: it stops in the "
				    "middle");

	got.msg[sizeof(got.msg) - 1] = '\0';
	got.hint[sizeof(got.hint) - 1] = '\0';
	if (got.kind <= ERR_NONE || got.kind > ERR_NOT_FOUND)
		got.kind = ERR_FAILED;
	if (err)
		*err = got;
	return -1;
}
