/*
 * complete — what may stand next on a command line, out of the tables of options and arguments (opt.h).
 *
 * Options and commands are told by their names; values by what the tables call them: FILE is a file, TAG a tag, and
 * words of small letters ("gzip|zstd|none", "list | show [NAME]") are themselves.
 */
#ifndef SBX_CLI_COMPLETE_H
#define SBX_CLI_COMPLETE_H

#include <stddef.h>

#include "base/mem.h"

struct buf;
struct opt_table;

struct completer {
	const struct opt_table *global;
	const struct opt_table *(*table)(size_t i); /* of the commands; NULL ends them */
	/* Add what there is of a kind: "envs", "ids", "images", "layers", "ports", "profiles", "tags". */
	void (*list)(void *ctx, struct arena *a, const char *kind, struct strv *ret);
	void *ctx;
};

/*
 * words[0..n), of which the last one is not finished (it may be empty), are what stands behind `sbx`.  Adds to
 * `ret` a line for each word that may take its place, "WORD" or "WORD\thelp", and ":files", ":dirs" or ":commands"
 * where a file, a folder or a program is meant as well.
 */
void complete(struct arena *a, const struct completer *c, const char *const *words, size_t n,
	      struct buf *ret);

#endif
