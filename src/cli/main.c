/*
 * sbx — per-project environments of the whole userland, without root.
 * The command table, the options before the command, and the exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/out.h"

enum {
	EXIT_USAGE = 2,
	EXIT_SBX_FAILED = 125,
	EXIT_NOT_EXEC = 126,
	EXIT_NOT_FOUND = 127,
};

/* A command is one file and one row here. */
static const struct {
	const char *group; /* a heading before this row in the list of commands */
	const struct command *(*row)(void);
} commands[] = {
	/* A row a line. clang-format would put several into one. */
	/* clang-format off */
	{"everyday", cmd_init},
	{NULL, cmd_enter},
	{NULL, cmd_run},
	{NULL, cmd_status},
	{NULL, cmd_stop},
	{NULL, cmd_list},
	{NULL, cmd_rm},
	{"history", cmd_diff},
	{NULL, cmd_commit},
	{NULL, cmd_log},
	{NULL, cmd_reset},
	{NULL, cmd_fork},
	{NULL, cmd_tag},
	{NULL, cmd_squash},
	{"sharing", cmd_save},
	{NULL, cmd_load},
	{NULL, cmd_images},
	{NULL, cmd_build},
	{NULL, cmd_pull},
	{NULL, cmd_push},
	{NULL, cmd_login},
	{NULL, cmd_logout},
	{NULL, cmd_lock},
	{"ports and files", cmd_port},
	{NULL, cmd_cp},
	{"notebooks", cmd_jupyter},
	{NULL, cmd_kernel},
	{"trust and diagnosis", cmd_allow},
	{NULL, cmd_profile},
	{NULL, cmd_doctor},
	{"store", cmd_gc},
	{NULL, cmd_fsck},
	{NULL, cmd_du},
	{"shell", cmd_hook},
	{NULL, cmd_completion},
	{NULL, cmd_shim},
	/* clang-format on */
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

struct global {
	bool quiet, debug, version;
};

static const struct opt global_opts[] = {
	{"quiet", 'q', NULL, offsetof(struct global, quiet), "say nothing but warnings and errors"},
	{"debug", 0, NULL, offsetof(struct global, debug), "say what is done"},
	{"version", 0, NULL, offsetof(struct global, version), "print the version"},
	{0},
};

static const struct opt_table global_table = {
	.name = "",
	.args = "COMMAND [ARG ...]",
	.summary = "Per-project environments of the whole userland, entered without root.",
	.opts = global_opts,
	.max_args = OPT_ANY_ARGS,
	.leading = true,
};

const struct command *command_at(size_t i)
{
	return i < N_COMMANDS ? commands[i].row() : NULL;
}

const struct opt_table *command_global(void)
{
	return &global_table;
}

/*
 * A descriptor 0, 1 or 2 that is closed would be given to the next file opened, and what is meant for
 * the terminal would go into it.  Fill the gaps so that using them fails as it would have.
 */
static void fill_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* The lowest free descriptor is this one. Not CLOEXEC: it stands for a standard one. */
		(void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* NOLINT */
	}
}

static int find_command(struct arena *a, const char *name, const struct command **ret,
			struct err *err)
{
	struct strv names = {0};

	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct command *row = commands[i].row();

		if (strcmp(row->table.name, name) == 0) {
			*ret = row;
			return 0;
		}
		strv_push(a, &names, row->table.name);
	}
	strv_push(a, &names, "help");
	(void)opt_word("", name, (const char *const *)names.v, err);
	return -1;
}

static void global_help(struct buf *ret)
{
	opt_help(&global_table, ret);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct opt_table *t = &commands[i].row()->table;

		if (commands[i].group)
			buf_printf(ret, "\n%s:\n", commands[i].group);
		buf_printf(ret, "  %-12s%s\n", t->name, t->summary);
	}
	buf_adds(ret, "\nsbx help COMMAND, or sbx COMMAND --help, says more of one.\n");
}

static int print_help(const struct opt_table *t, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (t)
		opt_help(t, &b);
	else
		global_help(&b);
	return out_write(&b, err);
}

/* `sbx help [COMMAND]` */
static int help_command(struct arena *a, const char *const *argv, struct err *err)
{
	const struct command *c = NULL;

	if (argv[0] && strcmp(argv[0], "--help") != 0 && strcmp(argv[0], "help") != 0) {
		if (find_command(a, argv[0], &c, err) < 0)
			return -1;
	}
	return print_help(c ? &c->table : NULL, err);
}

static int run_command(struct arena *a, const char *const *argv, struct err *err)
{
	struct cli cli = {.a = a};
	const struct command *c;

	if (strcmp(argv[0], "help") == 0)
		return help_command(a, argv + 1, err);

	if (find_command(a, argv[0], &c, err) < 0)
		return -1;

	void *values = arena_alloc(a, c->values_size ? c->values_size : 1);

	if (opt_read(a, &c->table, argv + 1, values, &cli.args, err) < 0)
		return -1;
	if (cli.args.help)
		return print_help(&c->table, err);
	return c->run(&cli, values, err);
}

static int print_version(struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	buf_adds(&b, "sbx " SBX_VERSION "\n");
	return out_write(&b, err);
}

/* The exit status, or -1 with `err`. */
static int dispatch(struct arena *a, const char *const *argv, struct err *err)
{
	struct global global = {0};
	struct opt_args args;

	if (opt_read(a, &global_table, argv, &global, &args, err) < 0)
		return -1;
	if (args.help)
		return print_help(NULL, err);
	if (global.version)
		return print_version(err);
	if (global.quiet)
		log_set_level(LOG_QUIET);
	if (global.debug)
		log_set_level(LOG_DEBUG);
	if (args.n == 0) {
		err_kind(err, ERR_USAGE, "no command was given");
		return err_hint(err, "sbx --help lists the commands");
	}
	return run_command(a, args.v, err);
}

static int exit_status(const struct err *err)
{
	switch (err->kind) {
	case ERR_USAGE:
		return EXIT_USAGE;
	case ERR_NOT_EXEC:
		return EXIT_NOT_EXEC;
	case ERR_NOT_FOUND:
		return EXIT_NOT_FOUND;
	case ERR_NONE:
	case ERR_FAILED:
		break;
	}
	return EXIT_SBX_FAILED;
}

int main(int argc, char **argv)
{
	struct err err = {0};

	fill_standard_fds();

	_cleanup_arena_ struct arena *a = arena_new();
	int status = dispatch(a, (const char *const *)(argc > 0 ? argv + 1 : argv), &err);

	if (status < 0) {
		/* From anywhere where descriptors are passed on. */
		if (err.errnum == ETOOMANYREFS && !err.hint[0])
			(void)err_hint(&err,
				       "processes of yours keep more descriptors on their way to "
				       "others than the hard limit here (ulimit -Hn): sbx list "
				       "shows what runs, sbx stop ends it");
		log_err(&err);
		status = exit_status(&err);
	}
	return status;
}
