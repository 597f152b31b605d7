#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/logins.h"
#include "cli/out.h"
#include "cli/remote.h"
#include "store/authfile.h"

#define WORD_MAX 4096

struct values {
	const char *user;
	bool password_stdin;
	const char *authfile;
	const char *cert_dir;
	bool plain_http;
};

static const struct opt opts[] = {
	{"username", 'u', "USER", offsetof(struct values, user), "who you are there"},
	{"password-stdin", 0, NULL, offsetof(struct values, password_stdin),
	 "read the password from standard input"},
	{"authfile", 0, "FILE", offsetof(struct values, authfile), "keep it in FILE"},
	{"cert-dir", 0, "DIR", offsetof(struct values, cert_dir),
	 "trust the authorities in DIR (*.crt), too"},
	{"plain-http", 0, NULL, offsetof(struct values, plain_http), "speak http, not https"},
	{0},
};

/* A line without its end; an answer may be empty, its end may not be missing before it. */
static int read_line(FILE *from, const char *what, struct buf *ret, struct err *err)
{
	char line[WORD_MAX];
	size_t n;

	if (!fgets(line, sizeof(line), from)) {
		(void)err_set(err, "cannot read the %s: there is none", what);
		return err_hint(err, "give it on standard input, in a line: … --password-stdin "
				     "REGISTRY <FILE");
	}
	n = strcspn(line, "\r\n");
	if (line[n] == '\0' && n + 1 == sizeof(line))
		return err_set(err, "the %s is too long", what);
	buf_add(ret, line, n);
	explicit_bzero(line, sizeof(line));
	return 0;
}

/* Ask on the terminal; without `echo`, what is typed does not show. */
static int ask(const char *question, bool echo, struct buf *ret, struct err *err)
{
	_cleanup_file_ FILE *terminal = fopen("/dev/tty", "r+e");
	struct termios before, quiet;
	int r;

	if (!terminal || tcgetattr(fileno(terminal), &before) < 0) {
		err_kind(err, ERR_USAGE, "there is no terminal to ask for the %s on", question);
		return err_hint(err,
				"give them: sbx login -u USER --password-stdin REGISTRY <FILE");
	}
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ECHONL;
	if (!echo)
		(void)tcsetattr(fileno(terminal), TCSAFLUSH, &quiet);
	(void)fprintf(terminal, "%s: ", question);
	(void)fflush(terminal);
	r = read_line(terminal, question, ret, err);
	(void)tcsetattr(fileno(terminal), TCSAFLUSH, &before);
	return r;
}

static int get_user(const struct values *v, struct buf *ret, struct err *err)
{
	if (v->user)
		buf_adds(ret, v->user);
	else if (ask("user", true, ret, err) < 0)
		return -1;
	if (!ret->p || ret->len == 0 || strchr(ret->p, ':'))
		return err_kind(err, ERR_USAGE, "a user's name is not empty and has no ':' in it");
	return 0;
}

static int login(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	const struct remote_options how = {.plain_http = v->plain_http, .cert_dir = v->cert_dir};
	const char *registry = cli->args.v[0];
	_cleanup_buf_ struct buf user = {0};
	_cleanup_buf_ struct buf password = {0};
	struct auth auth = {0};
	bool was_there = false;
	const char *file;
	int r;

	if (logins_check_name(cli->a, registry, err) < 0 ||
	    authfile_own(cli->a, v->authfile, &file, err) < 0)
		return -1;
	if (v->password_stdin && !v->user)
		return err_kind(err, ERR_USAGE, "--password-stdin needs --username");
	if (get_user(v, &user, err) < 0 ||
	    (v->password_stdin ? read_line(stdin, "password", &password, err)
			       : ask("password", false, &password, err)) < 0)
		return -1;
	auth.user = user.p;
	auth.password = password.p ? password.p : "";
	r = remote_check(cli->a, registry, auth.user, auth.password, &how, err);
	if (r == 0)
		r = logins_set(cli->a, file, registry, &auth, &was_there, err);
	if (password.p)
		explicit_bzero(password.p, password.len);
	if (r == 0)
		log_info("logged in to '%s'; the password is in '%s'", registry, file);
	return r;
}

const struct command *cmd_login(void)
{
	static const struct command row = {
		.table =
			{.name = "login",
			 .args = "REGISTRY",
			 .summary = "log in to a registry",
			 .details =
				 "Check user and password with the registry, and keep them for `sbx pull` and `sbx push`,\n"
				 "where podman, skopeo and others find them too: ~/.config/containers/auth.json.",
			 .opts = opts,
			 .min_args = 1,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = login,
	};

	return &row;
}
