/*
 * log — words to the user on stderr; outside cli/ the only thing that prints.
 * Everything is escaped (str_escape_text): no control byte of a file name, a
 * profile or an image reaches the terminal.
 */
#ifndef SBX_BASE_LOG_H
#define SBX_BASE_LOG_H

struct err;

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_DEBUG };
void log_set_level(enum log_level level);

/*
 * Prefix and "sbx: ", a newline is added.  "warning:", "error:" and "hint:" have a colour on a terminal, unless NO_COLOR is set
 * or TERM is dumb.
 */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* not when quiet */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* only with debug */

/* "sbx: error: MSG" and, where there is one, "hint: …" on the next line. */
void log_err(const struct err *err);

/* A fixed text of our own, without using memory: for when there is none left. */
void log_fixed(const char *text);

#endif
