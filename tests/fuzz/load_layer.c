/*
 * load_layer — `load-layer FILE [BLOB-DIGEST]`: FILE, compressed or not, becomes a layer of the store below
 * XDG_DATA_HOME, for hostile.py and bench/load.  Its digest on stdout, and exit status 0 where the tar
 * that the skeleton and the tree give back has that digest too; else 1 with the message on stderr.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/env.h"
#include "store/layer.h"
#include "store/layer_load.h"
#include "store/layer_tar.h"

static ssize_t give(void *ctx, void *p, size_t n, struct err *err)
{
	ssize_t got = read(*(const int *)ctx, p, n);

	return got < 0 ? err_set(err, "cannot read") : got;
}

/* What a push would send, and fsck look at. */
static int check_tar(struct arena *a, const struct store *s, const char *digest, struct err *err)
{
	_cleanup_layer_tar_ struct layer_tar *t = NULL;
	_cleanup_fd_ int layer = -1;
	char again[DIGEST_HEX + 1];

	if (layer_open(a, s, digest, &layer, NULL, err) < 0 ||
	    layer_tar_open(layer, LAYER_TREE, &t, err) < 0 || layer_tar_digest(t, again, err) < 0)
		return -1;
	if (!str_eq(digest, again))
		return err_set(err, "THE SKELETON GIVES ANOTHER TAR");
	return 0;
}

static int load(struct arena *a, const struct store *s, int file, const char *blob, struct err *err)
{
	char digest[DIGEST_HEX + 1];
	struct stat st;
	bool fresh = false;
	struct layer_load in = {.store = s,
				.read = give,
				.ctx = &file,
				.blob = blob,
				.map = "test",
				.owners = geteuid() == 0};

	if (fstat(file, &st) < 0)
		return err_set(err, "cannot look at the file");
	in.size = (uint64_t)st.st_size;
	if (layer_load(&in, digest, &fresh, err) < 0)
		return -1;
	/* The bench measures the load alone. */
	if (!blob && check_tar(a, s, digest, err) < 0)
		return -1;
	(void)printf("%s\n", digest);
	return 0;
}

int main(int argc, char *argv[])
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct store s = {.fd = -1};
	_cleanup_fd_ int file = -1;
	struct err err = {0};
	int r;

	if (argc != 2 && argc != 3)
		return 2;
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 2;
	r = store_open(a, &s, &err);
	if (r == 0)
		r = load(a, &s, file, argv[2], &err);
	store_done(&s);
	if (r < 0)
		log_err(&err);
	return r < 0 ? 1 : 0;
}
