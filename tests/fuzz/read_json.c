/*
 * read-json KIND FILE… — a line for each file: "ok", or what the reader of that kind of document says.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/oci.h"
#include "store/oci_json.h"

static int read_as(struct arena *a, const char *kind, const struct buf *b, struct err *err)
{
	const char *p = b->p ? b->p : "";
	enum oci_kind what = OCI_IS_INDEX;
	struct oci_manifest m;
	struct oci_config c;
	struct oci_index index;
	json_t *root = NULL;
	int r;

	if (strcmp(kind, "manifest") == 0)
		return oci_read_manifest(a, p, b->len, &m, err);
	if (strcmp(kind, "config") == 0)
		return oci_read_config(a, p, b->len, &c, err);
	if (strcmp(kind, "index") == 0)
		return oci_read_index(a, p, b->len, &index, err);
	if (strchr(kind, '/'))
		return oci_kind(p, b->len, kind, &what, err);
	r = oci_json(p, b->len, &root, err);
	json_decref(root);
	return r;
}

int main(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		_cleanup_buf_ struct buf line = {0};
		_cleanup_buf_ struct buf b = {0};
		struct err err = {0};

		if (fs_read_at(AT_FDCWD, argv[i], (size_t)64 << 20, &b, &err) < 0 ||
		    read_as(a, argv[1], &b, &err) < 0) {
			/* A line, whatever the message quotes. */
			buf_printf(&line, "%d ", err.errnum);
			str_escape(&line, err.msg, strlen(err.msg));
		}
		(void)puts(line.p ? line.p : "ok");
	}
	return 0;
}
