/*
 * err — one failure as a plain value.
 *
 * A function that can fail returns 0 or -1 and takes `struct err *` last.  On
 * failure it fills the struct; its outputs stay untouched.  The struct has no
 * pointers and is no longer than PIPE_BUF, so a child process reports it to
 * its parent in one atomic write(2) on a pipe (err_send, err_receive).
 *
 * A message names the action, the 'object' and the cause:
 *     cannot open '/x/sbx.ini': No such file or directory
 * Where the user can mend it, err_hint adds the command or the change.
 */
#ifndef SBX_BASE_ERR_H
#define SBX_BASE_ERR_H

#define ERR_MSG_SIZE 1536
#define ERR_HINT_SIZE 1024

/* What kind of failure it is, which decides the exit status (cli/main.c). */
enum err_kind {
	ERR_NONE = 0,
	ERR_FAILED,    /* sbx could not do it: exit status 125 */
	ERR_USAGE,     /* the command line is wrong: 2 */
	ERR_NOT_EXEC,  /* the command cannot be executed: 126 */
	ERR_NOT_FOUND, /* there is no such command: 127 */
};

struct err {
	enum err_kind kind;
	int errnum; /* the errno behind it, or 0 */
	char msg[ERR_MSG_SIZE];
	char hint[ERR_HINT_SIZE];
};

/*
 * Fill `err` and return -1, so that a caller can `return err_set(...)`.
 * err_set: message alone.  err_errno: ": strerror(errnum)" is appended.
 * `err` may be NULL (the failure is then only the return value).
 * Messages too long are cut at the end with "…"; control bytes are kept as
 * they are: what prints them escapes them (base/log).
 */
int err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_errno(struct err *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int err_kind(struct err *err, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Add or replace the hint of a failure already set; returns -1. */
int err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put "prefix: " before the message; returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Write the struct to `fd` in one write; best effort (nobody may be listening). */
void err_send(const struct err *err, int fd);

/*
 * Read one struct from `fd`, blocking.  0: end of file came first, there was
 * no failure.  -1: `err` holds the child's failure (or that of reading).
 */
int err_receive(int fd, struct err *err);

#endif
