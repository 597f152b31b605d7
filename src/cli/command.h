/*
 * command — the rows of the command table (main.c).  A command is one file cmd_NAME.c with one
 * function that tells its row: what it is called, its options (opt.h), and what runs it.
 */
#ifndef SBX_CLI_COMMAND_H
#define SBX_CLI_COMMAND_H

#include <stddef.h>

#include "cli/opt.h"

struct arena;
struct err;

/* What every command gets. */
struct cli {
	struct arena *a; /* lives as long as the process */
	struct opt_args args;
};

struct command {
	struct opt_table table;
	size_t values_size; /* of the struct that the options are stored into, zeroed at first */
	/* The exit status, or -1 with `err`. */
	int (*run)(const struct cli *cli, const void *values, struct err *err);
};

/* The rows of the table, in its order; NULL behind the last.  And the options before the command. */
const struct command *command_at(size_t i);
const struct opt_table *command_global(void);

const struct command *cmd_init(void);
const struct command *cmd_enter(void);
const struct command *cmd_run(void);
const struct command *cmd_status(void);
const struct command *cmd_stop(void);
const struct command *cmd_list(void);
const struct command *cmd_rm(void);
const struct command *cmd_diff(void);
const struct command *cmd_commit(void);
const struct command *cmd_lock(void);
const struct command *cmd_log(void);
const struct command *cmd_reset(void);
const struct command *cmd_fork(void);
const struct command *cmd_tag(void);
const struct command *cmd_squash(void);
const struct command *cmd_save(void);
const struct command *cmd_load(void);
const struct command *cmd_images(void);
const struct command *cmd_build(void);
const struct command *cmd_pull(void);
const struct command *cmd_push(void);
const struct command *cmd_login(void);
const struct command *cmd_logout(void);
const struct command *cmd_jupyter(void);
const struct command *cmd_kernel(void);
const struct command *cmd_port(void);
const struct command *cmd_allow(void);
const struct command *cmd_profile(void);
const struct command *cmd_doctor(void);
const struct command *cmd_gc(void);
const struct command *cmd_fsck(void);
const struct command *cmd_du(void);
const struct command *cmd_hook(void);
const struct command *cmd_completion(void);
const struct command *cmd_cp(void);
const struct command *cmd_shim(void);

#endif
