#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Only where a person sees it, and wants it: https://no-color.org */
static bool is_coloured(void)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return (!no || !*no) && term && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO);
}

/* A word in front of a message: red, yellow … as SGR numbers them. */
static void add_word(struct buf *b, const char *word, const char *sgr)
{
	if (is_coloured())
		buf_printf(b, "\033[%sm%s\033[0m ", sgr, word);
	else
		buf_printf(b, "%s ", word);
}

/*
 * Add the text, escaped.  Further lines are indented, so that a
 * file name with a newline cannot pass for a message of ours.
 */
static void add_message(struct buf *b, const char *text)
{
	_cleanup_buf_ struct buf safe = {0};

	str_escape_text(&safe, text, strlen(text));
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

__attribute__((format(printf, 3, 0))) static void say(const char *word, const char *sgr,
						      const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_buf_ struct buf b = {0};

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return;
	}
	buf_adds(&b, "sbx: ");
	if (word)
		add_word(&b, word, sgr);
	add_message(&b, text);
	emit(&b);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (current_level == LOG_QUIET)
		return;
	va_start(ap, fmt);
	say(NULL, NULL, fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("warning:", "1;33", fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (current_level != LOG_DEBUG)
		return;
	va_start(ap, fmt);
	say("debug:", "2", fmt, ap);
	va_end(ap);
}

void log_err(const struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	buf_adds(&b, "sbx: ");
	add_word(&b, "error:", "1;31");
	add_message(&b, err->msg);
	if (err->hint[0]) {
		add_word(&b, "hint:", "1;36");
		add_message(&b, err->hint);
	}
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
