/*
 * A stranger's tar becomes a layer, and a layer a blob: store/layer_load, store/layer_pack,
 * store/inflate and store/deflate.
 */
#include <dirent.h>
#include <errno.h>

#include "base/digest.h"
#include "store/blob.h"
#include "store/deflate.h"
#include "store/env.h"
#include "store/inflate.h"
#include "store/layer.h"
#include "store/layer_load.h"
#include "store/layer_pack.h"
#include "store/layer_tar.h"
#include "store/tar.h"
#include "store_world.h"

/* Bytes that are being read, in odd pieces. */
struct source {
	const char *p;
	size_t n;
};

static ssize_t give(void *ctx, void *p, size_t n, struct err *err)
{
	struct source *s = ctx;

	(void)err;
	if (n > 777)
		n = 777;
	if (n > s->n)
		n = s->n;
	memcpy(p, s->p, n);
	s->p += n;
	s->n -= n;
	return (ssize_t)n;
}

static void put(struct buf *tar, const char *path, mode_t mode, const void *p, size_t n)
{
	struct stat st = {.st_mode = mode, .st_uid = geteuid(), .st_gid = getegid()};
	struct tar_entry e = {.path = path, .st = &st, .mtime = 1000};
	static const char zeros[TAR_BLOCK];

	st.st_size = (off_t)n;
	tar_header(tar, &e);
	buf_add(tar, p, n);
	buf_add(tar, zeros, tar_padding(n));
}

/* A folder, many small files, a large one, and a name that needs an extended header. */
static void make_tar(struct world *w, struct buf *ret)
{
	size_t n = 700000;
	char *large = arena_alloc(w->a, n);
	char name[180];

	for (size_t i = 0; i < n; i++)
		large[i] = (char)(i * i >> 7);
	put(ret, "d", S_IFDIR | 0755, NULL, 0);
	for (unsigned i = 0; i < 500; i++) {
		const char *path = arena_printf(w->a, "d/%u", i);

		put(ret, path, S_IFREG | 0644, path, i % 3 ? strlen(path) : 0);
	}
	put(ret, "large", S_IFREG | 0644, large, n);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	put(ret, name, S_IFREG | 0644, "long", 4);
	tar_end(ret);
}

static int to_buf(void *ctx, const void *p, size_t n, struct err *err)
{
	(void)err;
	buf_add(ctx, p, n);
	return 0;
}

/* The bytes compressed, added to `ret`. */
static void compress(enum layer_form how, const struct buf *from, struct buf *ret)
{
	_cleanup_deflate_ struct deflate *d = NULL;
	struct err err = {0};

	assert_int_equal(deflate_new(how, to_buf, ret, &d, &err), 0);
	assert_int_equal(deflate_add(d, from->p, from->len, &err), 0);
	assert_int_equal(deflate_end(d, &err), 0);
}

static struct store open_store(struct world *w)
{
	struct store s = {.fd = -1};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	return s;
}

static struct layer_load load_of(const struct store *s, struct source *source)
{
	return (struct layer_load){.store = s,
				   .read = give,
				   .ctx = source,
				   .map = "test",
				   .owners = geteuid() == 0,
				   .now = 7,
				   .size = source->n};
}

static int load(const struct store *s, const struct buf *bytes, char ret_digest[DIGEST_HEX + 1],
		bool *ret_new, struct err *err)
{
	struct source source = {bytes->p, bytes->len};
	struct layer_load in = load_of(s, &source);

	return layer_load(&in, ret_digest, ret_new, err);
}

/* Is there nothing in tmp/ and layers/? */
static bool is_empty(const struct store *s, const char *name)
{
	int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fdopendir(fd);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n == 2;
}

/* The tar that skeleton and tree give back. */
static void check_tar(struct world *w, const struct store *s, const char *digest)
{
	_cleanup_layer_tar_ struct layer_tar *t = NULL;
	_cleanup_fd_ int fd = -1;
	struct err err = {0};
	char again[DIGEST_HEX + 1];

	assert_int_equal(layer_open(w->a, s, digest, &fd, NULL, &err), 0);
	assert_int_equal(layer_tar_open(fd, LAYER_TREE, &t, &err), 0);
	assert_int_equal(layer_tar_digest(t, again, &err), 0);
	assert_string_equal(again, digest);
}

static void loads_every_form(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_buf_ struct buf tar = {0};
	char want[DIGEST_HEX + 1];
	struct layer_info info;
	struct err err = {0};
	int fd = -1;

	make_tar(w, &tar);
	digest_sha256(tar.p, tar.len, want);
	for (int how = LAYER_GZIP; how <= LAYER_PLAIN; how++) {
		_cleanup_buf_ struct buf bytes = {0};
		char digest[DIGEST_HEX + 1];
		bool fresh = false;

		compress((enum layer_form)how, &tar, &bytes);
		assert_int_equal(load(&s, &bytes, digest, &fresh, &err), 0);
		assert_string_equal(digest, want);
		/* The same layer, in whatever form it came. */
		assert_int_equal(fresh, how == LAYER_GZIP);
		assert_true(is_empty(&s, "tmp"));
	}
	check_tar(w, &s, want);
	assert_int_equal(layer_open(w->a, &s, want, &fd, &info, &err), 0);
	(void)close(fd);
	assert_int_equal(info.entries, 503);
	assert_int_equal(info.tar_size, tar.len);
	assert_int_equal(info.created, 7);
	assert_string_equal(info.map, "test");
	store_done(&s);
}

/* Several members, as pigz and estargz write them; several frames and one to be skipped. */
static void goes_on_with_the_next_member(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_buf_ struct buf tar = {0};
	char want[DIGEST_HEX + 1];
	struct err err = {0};

	make_tar(w, &tar);
	digest_sha256(tar.p, tar.len, want);
	for (int how = LAYER_GZIP; how <= LAYER_ZSTD; how++) {
		_cleanup_buf_ struct buf bytes = {0};
		char digest[DIGEST_HEX + 1];
		bool fresh = false;

		for (size_t at = 0; at < tar.len; at += 100000) {
			struct buf part = {.p = tar.p + at, .len = tar.len - at};

			part.len = part.len > 100000 ? 100000 : part.len;
			compress((enum layer_form)how, &part, &bytes);
			if (how == LAYER_ZSTD)
				buf_add(&bytes, "\x50\x2a\x4d\x18\x03\0\0\0xyz", 11);
		}
		assert_int_equal(load(&s, &bytes, digest, &fresh, &err), 0);
		assert_string_equal(digest, want);
	}
	store_done(&s);
}

static void refuses(const struct store *s, const struct buf *bytes, const char *words)
{
	char digest[DIGEST_HEX + 1];
	struct err err = {0};
	bool fresh = false;

	assert_int_equal(load(s, bytes, digest, &fresh, &err), -1);
	if (!strstr(err.msg, words))
		fail_msg("'%s' does not say '%s'", err.msg, words);
	assert_true(is_empty(s, "tmp"));
	assert_true(is_empty(s, "layers"));
}

static void refuses_what_is_cut_or_too_long(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_buf_ struct buf tar = {0};

	make_tar(w, &tar);
	for (int how = LAYER_GZIP; how <= LAYER_ZSTD; how++) {
		_cleanup_buf_ struct buf bytes = {0};

		compress((enum layer_form)how, &tar, &bytes);
		bytes.len -= 5;
		refuses(&s, &bytes, "cannot decompress the layer: it was cut");
		bytes.len += 5;
		buf_adds(&bytes, "more");
		refuses(&s, &bytes, "cannot decompress the layer: ");
		bytes.len -= 4;
		bytes.p[bytes.len - 2] ^= 1;
		refuses(&s, &bytes, "cannot decompress the layer: ");
		bytes.p[bytes.len - 2] ^= 1;
		bytes.p[bytes.len / 2] ^= 1;
		refuses(&s, &bytes, "cannot ");
	}
	tar.len -= 700000;
	refuses(&s, &tar, "cannot read the layer's tar");
	store_done(&s);
}

static void names_a_form_that_layers_do_not_have(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct buf xz = {.p = (char[]){"\xfd"
				       "7zXZ\0"},
			 .len = 6};
	struct buf bzip2 = {.p = (char[]){"BZh91AY"}, .len = 7};

	refuses(&s, &xz, "it is of the form xz, which layers do not have");
	refuses(&s, &bzip2, "it is of the form bzip2, which layers do not have");
	store_done(&s);
}

static void is_what_was_asked_for_or_nothing(void **state)
{
	/* 0: the digest of the gzip, 1: of the tar, 2: of nothing. */
	static const struct {
		int blob, diff_id;
		bool plain;
		const char *words;
	} cases[] = {
		{1, 0, false, "what came has the digest sha256:"},
		{0, 0, false, "it is compressed, so sha256:"},
		{1, 1, false, "it is compressed, so sha256:"},
		{0, 2, false, "its tar has the digest sha256:"},
		{1, 2, true, "its tar has the digest sha256:"},
		{2, 1, true, "what came has the digest sha256:"},
		{0, 0, true, "its tar has the digest sha256:"},
		{2, 2, true, "its tar has the digest sha256:"},
	};
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_buf_ struct buf tar = {0};
	_cleanup_buf_ struct buf bytes = {0};
	char digests[3][DIGEST_HEX + 1];
	char digest[DIGEST_HEX + 1];
	struct err err = {0};
	bool fresh = false;

	make_tar(w, &tar);
	compress(LAYER_GZIP, &tar, &bytes);
	digest_sha256(bytes.p, bytes.len, digests[0]);
	digest_sha256(tar.p, tar.len, digests[1]);
	digest_sha256("", 0, digests[2]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct buf *read = cases[i].plain ? &tar : &bytes;
		struct source source = {read->p, read->len};
		struct layer_load in = load_of(&s, &source);

		in.blob = digests[cases[i].blob];
		in.diff_id = digests[cases[i].diff_id];
		assert_int_equal(layer_load(&in, digest, &fresh, &err), -1);
		assert_int_equal(err.errnum, EBADMSG);
		if (!strstr(err.msg, cases[i].words))
			fail_msg("%zu: '%s' does not say '%s'", i, err.msg, cases[i].words);
		assert_true(is_empty(&s, "tmp"));
		assert_true(is_empty(&s, "layers"));
	}
	store_done(&s);
}

/* The digest of what is read is that of the tar: both are asked for, and it is hashed once. */
static void takes_a_plain_tar(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_buf_ struct buf tar = {0};
	char want[DIGEST_HEX + 1];
	char digest[DIGEST_HEX + 1];
	struct source source = {0};
	struct layer_load in;
	struct err err = {0};
	bool fresh = false;

	make_tar(w, &tar);
	digest_sha256(tar.p, tar.len, want);
	source = (struct source){tar.p, tar.len};
	in = load_of(&s, &source);
	in.blob = in.diff_id = want;
	assert_int_equal(layer_load(&in, digest, &fresh, &err), 0);
	assert_string_equal(digest, want);
	assert_true(fresh);
	store_done(&s);
}

/* 3 GiB of zeros in 3 MB of gzip. */
static void a_bomb_is_refused_in_time(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_buf_ struct buf head = {0};
	_cleanup_buf_ struct buf bytes = {0};
	_cleanup_deflate_ struct deflate *d = NULL;
	const size_t piece = 1U << 20;
	char *zeros = arena_alloc(w->a, piece);
	struct stat st = {.st_mode = S_IFREG | 0644, .st_size = (off_t)3 << 30};
	struct tar_entry e = {.path = "zeros", .st = &st};
	struct err err = {0};

	tar_header(&head, &e);
	assert_int_equal(deflate_new(LAYER_ZSTD, to_buf, &bytes, &d, &err), 0);
	assert_int_equal(deflate_add(d, head.p, head.len, &err), 0);
	for (int i = 0; i < 3072; i++)
		assert_int_equal(deflate_add(d, zeros, piece, &err), 0);
	assert_int_equal(deflate_end(d, &err), 0);
	assert_true(bytes.len < 1U << 20);
	refuses(&s, &bytes, "its size goes beyond what the layer may have");
	store_done(&s);
}

static void packs_the_same_bytes_each_time(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_buf_ struct buf tar = {0};
	char digest[DIGEST_HEX + 1];
	struct err err = {0};
	bool fresh = false;

	make_tar(w, &tar);
	assert_int_equal(load(&s, &tar, digest, &fresh, &err), 0);
	for (int how = LAYER_GZIP; how <= LAYER_PLAIN; how++) {
		_cleanup_buf_ struct buf bytes = {0};
		char hex[DIGEST_HEX + 1];
		struct form f = {0};
		struct stat before, after;

		compress((enum layer_form)how, &tar, &bytes);
		digest_sha256(bytes.p, bytes.len, hex);
		assert_int_equal(layer_pack(&s, digest, LAYER_TREE, (enum layer_form)how, &f, &err),
				 0);
		assert_string_equal(f.digest, hex);
		assert_int_equal(f.size, bytes.len);
		assert_string_equal(f.media_type, layer_form_media_type((enum layer_form)how));
		assert_true(blob_has(&s, hex));
		assert_int_equal(fstatat(s.fd, arena_printf(w->a, "blobs/%s", hex), &before, 0), 0);
		/* Not made again: it is the same file. */
		assert_int_equal(layer_pack(&s, digest, LAYER_TREE, (enum layer_form)how, &f, &err),
				 0);
		assert_int_equal(fstatat(s.fd, arena_printf(w->a, "blobs/%s", hex), &after, 0), 0);
		assert_int_equal(before.st_ino, after.st_ino);
		assert_true(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	}
	store_done(&s);
}

static void packs_no_damaged_layer(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_buf_ struct buf tar = {0};
	char digest[DIGEST_HEX + 1];
	struct err err = {0};
	struct form f = {0};
	bool fresh = false;

	make_tar(w, &tar);
	assert_int_equal(load(&s, &tar, digest, &fresh, &err), 0);
	world_write(w, arena_printf(w->a, "data/sbx/layers/%s/tree/d/1", digest), "x/1");
	assert_int_equal(layer_pack(&s, digest, LAYER_TREE, LAYER_GZIP, &f, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	assert_non_null(strstr(err.msg, "is damaged: its digest is"));
	assert_string_equal(err.hint, "'sbx fsck' looks at the whole store");
	assert_true(is_empty(&s, "blobs/partial"));
	store_done(&s);
}

static void nothing_is_freed_for_nothing(void **state)
{
	(void)state;
	inflate_free(NULL);
	deflate_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(loads_every_form),
		TEST(goes_on_with_the_next_member),
		TEST(refuses_what_is_cut_or_too_long),
		TEST(names_a_form_that_layers_do_not_have),
		TEST(takes_a_plain_tar),
		TEST(is_what_was_asked_for_or_nothing),
		TEST(a_bomb_is_refused_in_time),
		TEST(packs_the_same_bytes_each_time),
		TEST(packs_no_damaged_layer),
		TEST(nothing_is_freed_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
