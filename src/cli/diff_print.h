/*
 * diff_print — the changes of an environment as lines, as sums, and as JSON.
 *
 * A path is shown from the root, escaped (str_escape), a folder's with a slash at its end.
 */
#ifndef SBX_CLI_DIFF_PRINT_H
#define SBX_CLI_DIFF_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "store/diff.h"

struct buf;

/* The path as above, with `prefix` before it ("", or the "a" and "b" of a patch). */
void diff_path(const char *prefix, const struct entry *e, struct buf *ret);

/* "A /usr/games/", "A /bin/x (mode 4755)", "A /etc/l (link)", "M /etc/x (mode 0644 -> 0600)", with a
 * newline. */
void diff_line(const struct entry *e, struct buf *ret);

/* Is it new, and something that its contents do not tell: no plain file or folder, or with a mode that lets
 * others in? */
bool diff_is_notable(const struct entry *e);

/* The same with sizes. */
void diff_stat_line(const struct entry *e, struct buf *ret);

struct diff_sums {
	size_t added, modified, deleted;
	uint64_t bytes; /* of the files that are added, or have other contents */
};
void diff_add(struct diff_sums *sums, const struct entry *e);

/* "37 added, 4 modified, 0 deleted, 4.1 MB", with a newline. */
void diff_sums_line(const struct diff_sums *sums, struct buf *ret);

/*
 * {"path", "change": added|modified|deleted, "type", "size", "mode", "uid", "gid", "what": […],
 * "was": {…}, "excluded"}.  A path that is no UTF-8 is escaped in "path" and percent-encoded, whole, in "path_bytes".
 */
json_t *diff_json(const struct entry *e);

#endif
