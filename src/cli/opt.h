/*
 * opt — a command's options and arguments out of its table: parsing, help, nearest names.
 *
 *     struct values { bool root; const char *workdir; };
 *     static const struct opt opts[] = {
 *             {"root", 0, NULL, offsetof(struct values, root), "run as root inside"},
 *             {"workdir", 'w', "DIR", offsetof(struct values, workdir), "start in DIR"},
 *             {0},
 *     };
 *
 * Grammar: --name, --name=VALUE, --name VALUE, -n, -nVALUE, -n VALUE, -ab (flags together); "--"
 * ends the options.  Names are never abbreviated.  Of an option given twice the last one counts.
 */
#ifndef SBX_CLI_OPT_H
#define SBX_CLI_OPT_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct buf;
struct err;

struct opt {
	const char *name; /* the long name, without dashes; NULL ends a table */
	char letter;      /* the short name, or 0 */
	const char *arg;  /* what the help calls its value; NULL: a flag; "X ...": each time counts,
			   * and its place is a struct strv */
	size_t offset; /* where in the command's values: a bool for a flag, else a const char * */
	const char *help;   /* one line */
	const char *values; /* NULL, or all there are: "gzip|zstd|none" */
};

#define OPT_ANY_ARGS ((size_t)-1)

struct opt_table {
	const char *name;    /* of the command: "run"; "" for the options before the command */
	const char *args;    /* its arguments, for the synopsis: "[--] CMD [ARG ...]", or NULL */
	const char *summary; /* one line for the list of commands */
	const char *details; /* what `--help` says below the synopsis; NULL: the summary */
	const struct opt *opts;
	size_t min_args, max_args;
	bool leading; /* the first argument ends the options: the rest is somebody else's */
};

struct opt_args {
	const char *const *v; /* ends with NULL */
	size_t n;
	bool help; /* --help or -h was there: nothing else was checked */
};

/*
 * Read `argv` (NULL-terminated, behind the command's name) into `values`, which has the fields that the
 * table's offsets name, and `ret`.  What was not given is left as it was.  Failures are ERR_USAGE.
 */
int opt_read(struct arena *a, const struct opt_table *t, const char *const *argv, void *values,
	     struct opt_args *ret, struct err *err);

/*
 * Is `word` one of those that the command has, "add" of "port"?  0, or ERR_USAGE with the nearest one.  `command` "": a
 * command itself.
 */
int opt_word(const char *command, const char *word, const char *const *words, struct err *err);

/* "sbx run [-e NAME] [--root] [--] CMD [ARG ...]", without a newline. */
void opt_synopsis(const struct opt_table *t, struct buf *ret);

/* The whole text of `sbx COMMAND --help`, for 80 columns: details without columns are filled anew. */
void opt_help(const struct opt_table *t, struct buf *ret);

#endif
