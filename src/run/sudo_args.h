/*
 * sudo_args — the command line and the environment of `sudo` inside a sandbox, as text: no
 * system call.  It takes what sudo(8) takes, so that scripts need not know the difference; what it
 * cannot do is refused, never ignored.
 */
#ifndef SBX_RUN_SUDO_ARGS_H
#define SBX_RUN_SUDO_ARGS_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct err;

enum sudo_mode {
	SUDO_RUN,
	SUDO_NOTHING, /* -v, -k, -K: there is no password, nor a time in which it is remembered */
	SUDO_LIST,
	SUDO_HELP,
	SUDO_VERSION,
};

struct sudo_args {
	enum sudo_mode mode;
	bool login;                 /* -i */
	bool shell;                 /* -s */
	const char *user;           /* a name or #UID; NULL: root */
	const char *group;          /* a name or #GID; NULL: the user's own */
	const char *dir;            /* -D; NULL: where the caller is */
	const char *const *vars;    /* NAME=value, never NULL */
	const char *const *command; /* never NULL; empty with `login` or `shell`, perhaps */
};

/* argv without the program's name.  `ret` points into argv and the arena. */
int sudo_args_read(struct arena *a, const char *const *argv, struct sudo_args *ret,
		   struct err *err);

/* A number behind '#', as -u and -g take it.  False: it is none. */
bool sudo_args_id(const char *text, uint32_t *ret_id);

struct sudo_user {
	const char *name, *home, *shell;
	uint32_t uid, gid;
};

/*
 * What is executed: the command, or `shell` with it.  The words behind -i and -s are one command
 * line for that shell, each quoted as sudo(8) does, which leaves '$' alone.
 */
const char *const *sudo_args_command(struct arena *a, const struct sudo_args *args,
				     const char *shell);

/*
 * The environment for it: the caller's, with HOME and its kin those of `target`, SUDO_… those
 * of `caller`, and then the variables of the command line.
 */
const char *const *sudo_args_env(struct arena *a, const struct sudo_args *args,
				 const char *const *env, const struct sudo_user *target,
				 const struct sudo_user *caller);

#endif
