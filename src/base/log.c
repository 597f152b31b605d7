#include "base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"

static enum log_level current_level = LOG_NORMAL;

void log_set_level(enum log_level level)
{
	current_level = level;
}

/*
 * Add "sbx: PREFIX" and the text, escaped.  Further lines are indented, so that a
 * file name with a newline cannot pass for a message of ours.
 */
static void add_message(struct buf *b, const char *prefix, const char *text)
{
	_cleanup_buf_ struct buf safe = {0};

	str_escape_text(&safe, text, strlen(text));
	buf_adds(b, prefix);
	for (const char *p = safe.p; *p; p++) {
		buf_add(b, p, 1);
		if (*p == '\n')
			buf_adds(b, "  ");
	}
	buf_adds(b, "\n");
}

/* One write(2) a message: those of several processes do not run into each other. */
static void emit(const struct buf *b)
{
	(void)fs_write_all(STDERR_FILENO, b->p, b->len);
}

__attribute__((format(printf, 2, 0))) static void say(const char *prefix, const char *fmt,
						      va_list ap)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_buf_ struct buf b = {0};

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return;
	}
	add_message(&b, prefix, text);
	emit(&b);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (current_level == LOG_QUIET)
		return;
	va_start(ap, fmt);
	say("sbx: ", fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("sbx: warning: ", fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (current_level != LOG_DEBUG)
		return;
	va_start(ap, fmt);
	say("sbx: debug: ", fmt, ap);
	va_end(ap);
}

void log_err(const struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	add_message(&b, "sbx: error: ", err->msg);
	if (err->hint[0])
		add_message(&b, "hint: ", err->hint);
	emit(&b);
}

void log_fixed(const char *text)
{
	const struct iovec parts[] = {
		{.iov_base = (void *)(uintptr_t) "sbx: error: ", .iov_len = 12},
		{.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)},
		{.iov_base = (void *)(uintptr_t) "\n", .iov_len = 1},
	};
	ssize_t n = writev(STDERR_FILENO, parts, 3);

	(void)n; /* there is nobody left to tell */
}
