/*
 * lines — the entries of one INI text, each with its line, read by inih.
 *
 * inih splits sections, keys and values.  What it does not do, or does in a way
 * that could show a person something else than what counts, is done here before
 * it sees a line (lines.c has the list of facts):
 *   - hostile bytes are refused: NUL, control characters, invalid UTF-8,
 *     characters that turn the direction of text;
 *   - white space before a key means nothing, there are no continued lines;
 *   - only '=' separates, so that a key may hold ':'; a key that holds '=' or
 *     " ;" is written in double quotes, with \" and \\ for those two;
 *   - a blank followed by ';' begins a comment, in a value too;
 *   - lines up to LINES_MAX_LINE bytes, whatever inih was built for.
 */
#ifndef SBX_CONF_LINES_H
#define SBX_CONF_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct err;
struct profile_source;

#define LINES_MAX_LINE 4096
#define LINES_MAX_TEXT (1U << 18)

struct entry {
	const char *section; /* "" before the first */
	const char *key;     /* without its quotes; in the arena */
	const char *value;   /* trimmed, without comment, "" if empty; in the arena */
	int line;
	bool commented; /* a comment was cut off behind the value */
};

/* Called in the order of the text; each returns 0, or -1 with `err` set, which ends the reading or is for `bad`. */
struct lines_handler {
	int (*section)(void *ctx, const char *name, int line, struct err *err);
	int (*entry)(void *ctx, const struct entry *e, struct err *err);
	/* NULL, or what is told of each bad line, "FILE:LINE: …"; it is left out, and the reading goes on. */
	void (*bad)(void *ctx, const struct err *why);
	void *ctx;
};

/* Fails with "FILE:LINE: …". */
int lines_read(struct arena *a, const struct profile_source *src, const struct lines_handler *h,
	       struct err *err);

/* True for the white space of the grammar: space and tab. */
bool lines_is_blank(char c);

#endif
