/* Images as files, out and in: store/archive_out, store/archive_in, store/image_load, store/image_load_docker. */
#include <errno.h>

#include "chain_world.h"
#include "store/archive_in.h"
#include "store/archive_out.h"
#include "store/blob.h"
#include "store/gc.h"
#include "store/image.h"
#include "store/image_load.h"
#include "store/pin.h"
#include "store/tar.h"

#define PLAIN "application/vnd.oci.image.layer.v1.tar"

/* An image of one layer, whose bytes are "layer". */
static void image_of(const struct site *t, char manifest[DIGEST_HEX + 1])
{
	struct oci_descriptor layer = {.media_type = PLAIN, .size = 5};
	struct commit c = {.message = "m", .by = "b", .tree = LAYER_TREE};
	const struct chain chain = {.v = &c, .n = 1};
	const struct image_make in = {.chain = &chain, .layers = &layer};
	struct err err = {0};

	assert_int_equal(blob_put(&t->s, "layer", 5, layer.digest, &err), 0);
	c.digest = layer.digest;
	assert_int_equal(image_make(t->w->a, &t->s, &in, manifest, &err), 0);
}

static int new_file(const struct site *t)
{
	int fd = openat(t->s.fd, "archive", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void write_image(const struct site *t, enum archive_format format, int fd,
			const char *manifest)
{
	const struct archive_out out = {.store = &t->s,
					.format = format,
					.fd = fd,
					.manifest = manifest,
					.ref = "localhost/a:1"};
	struct err err = {0};

	if (archive_out(t->w->a, &out, &err) < 0)
		fail_msg("%s", err.msg);
}

static ssize_t read_fd(void *ctx, void *p, size_t n, struct err *err)
{
	(void)err;
	return read(*(int *)ctx, p, n);
}

/* All blobs gone, as on another machine. */
static void forget_all(const struct site *t)
{
	struct gc_result r;
	struct err err = {0};

	assert_int_equal(gc_layers(t->w->a, &t->s, 0, &r, &err), 0);
}

struct come {
	struct archive_in in;
	struct pin pin;
	struct image_loaded *v;
	size_t n;
	int r;
	struct err err;
};

static struct come come_new(const struct site *t)
{
	struct come c = {.pin = PIN_NONE};

	assert_int_equal(pin_make(&t->s, &c.pin, &c.err), 0);
	c.in = (struct archive_in){.a = t->w->a, .store = &t->s, .folder = -1};
	return c;
}

static void come_done(const struct site *t, struct come *c)
{
	pin_done(&t->s, &c->pin);
	archive_in_done(&c->in);
}

static void come_from(const struct site *t, struct come *c, int fd)
{
	*c = come_new(t);
	c->in.pin = &c->pin;
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	c->r = archive_in_tar(&c->in, read_fd, &fd, &c->err);
	if (c->r == 0)
		c->r = image_load(&c->in, &c->v, &c->n, &c->err);
}

static void an_oci_archive_comes_back(void **state)
{
	struct site t = site_new(state);
	_cleanup_fd_ int fd = new_file(&t);
	char manifest[DIGEST_HEX + 1];
	struct come c;

	image_of(&t, manifest);
	write_image(&t, ARCHIVE_OCI, fd, manifest);
	forget_all(&t);
	assert_false(blob_has(&t.s, manifest));
	come_from(&t, &c, fd);
	if (c.r < 0)
		fail_msg("%s", c.err.msg);
	assert_int_equal(c.n, 1);
	assert_string_equal(c.v[0].manifest, manifest);
	assert_string_equal(c.v[0].name, "localhost/a:1");
	assert_int_equal(c.in.fresh.n, 3);
	/* The pin keeps it; without, it is for gc_forget. */
	forget_all(&t);
	assert_true(blob_has(&t.s, manifest));
	come_done(&t, &c);
	assert_int_equal(gc_forget(t.w->a, &t.s, &c.in.fresh_layers, &c.in.fresh, &c.err), 0);
	assert_false(blob_has(&t.s, manifest));
	site_done(&t);
}

static void a_folder_comes_back(void **state)
{
	struct site t = site_new(state);
	char manifest[DIGEST_HEX + 1];
	_cleanup_fd_ int fd = -1;
	struct come c;

	dir(t.s.fd, "layout");
	fd = openat(t.s.fd, "layout", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	image_of(&t, manifest);
	write_image(&t, ARCHIVE_OCI_DIR, fd, manifest);
	forget_all(&t);
	c = come_new(&t);
	c.in.pin = &c.pin;
	assert_int_equal(archive_in_folder(&c.in, fd, &c.err), 0);
	if (image_load(&c.in, &c.v, &c.n, &c.err) < 0)
		fail_msg("%s", c.err.msg);
	assert_string_equal(c.v[0].manifest, manifest);
	come_done(&t, &c);
	site_done(&t);
}

static void dockers_comes_back(void **state)
{
	struct site t = site_new(state);
	_cleanup_fd_ int fd = new_file(&t);
	char manifest[DIGEST_HEX + 1];
	struct image_info info;
	struct come c;

	image_of(&t, manifest);
	write_image(&t, ARCHIVE_DOCKER, fd, manifest);
	forget_all(&t);
	come_from(&t, &c, fd);
	if (c.r < 0)
		fail_msg("%s", c.err.msg);
	assert_int_equal(c.n, 1);
	assert_true(c.v[0].docker);
	assert_string_equal(c.v[0].name, "localhost/a:1");
	assert_int_equal(image_info(t.w->a, &t.s, c.v[0].manifest, &info, &c.err), 0);
	assert_string_equal(info.manifest.layers[0].media_type, PLAIN);
	come_done(&t, &c);
	site_done(&t);
}

static void entry(struct buf *b, const char *name, mode_t type, const char *text, const char *link)
{
	const struct stat st = {.st_mode = type | 0644, .st_size = text ? (off_t)strlen(text) : 0};
	const struct tar_entry e = {.path = name, .link = link, .st = &st};
	static const char zeros[TAR_BLOCK];

	tar_header(b, &e);
	if (text) {
		buf_adds(b, text);
		buf_add(b, zeros, tar_padding(strlen(text)));
	}
}

static void come_of(const struct site *t, struct come *c, struct buf *b)
{
	_cleanup_fd_ int fd = new_file(t);

	tar_end(b);
	assert_int_equal(fs_write_all(fd, b->p, b->len), 0);
	come_from(t, c, fd);
	buf_done(b);
}

/* docker's oldest form: a layer that another has already is a link to that one's. */
static void links_lead_to_layers(void **state)
{
	struct site t = site_new(state);
	_cleanup_buf_ struct buf b = {0};
	char hex[DIGEST_HEX + 1];
	struct come c;

	digest_sha256("layer", 5, hex);
	entry(&b, "manifest.json", S_IFREG,
	      "[{\"Config\":\"c.json\",\"Layers\":[\"one/layer.tar\",\"two/layer.tar\"]}]", NULL);
	entry(&b, "two", S_IFDIR, NULL, NULL);
	entry(&b, "two/layer.tar", S_IFLNK, NULL, "../one/layer.tar");
	entry(&b, "one", S_IFDIR, NULL, NULL);
	entry(&b, "one/layer.tar", S_IFREG, "layer", NULL);
	entry(&b, "c.json", S_IFREG,
	      arena_printf(t.w->a, "{\"rootfs\":{\"diff_ids\":[\"sha256:%s\",\"sha256:%s\"]}}", hex,
			   hex),
	      NULL);
	come_of(&t, &c, &b);
	if (c.r < 0)
		fail_msg("%s", c.err.msg);
	assert_null(c.v[0].name);
	come_done(&t, &c);
	entry(&b, "manifest.json", S_IFREG, "[{\"Config\":\"x.json\",\"Layers\":[]}]", NULL);
	entry(&b, "x.json", S_IFLNK, NULL, "x.json");
	come_of(&t, &c, &b);
	assert_int_equal(c.r, -1);
	assert_int_equal(c.err.errnum, ELOOP);
	come_done(&t, &c);
	site_done(&t);
}

static void refuse(const struct site *t, struct buf *b, const char *why)
{
	struct come c;

	come_of(t, &c, b);
	assert_int_equal(c.r, -1);
	if (!strstr(c.err.msg, why))
		fail_msg("%s", c.err.msg);
	come_done(t, &c);
	assert_int_equal(gc_forget(t->w->a, &t->s, &c.in.fresh_layers, &c.in.fresh, &c.err), 0);
	assert_int_equal(count(&t->s, "blobs"), 1); /* partial/ */
	assert_int_equal(count(&t->s, "blobs/partial"), 0);
}

static void what_is_no_image_is_refused(void **state)
{
	struct site t = site_new(state);
	_cleanup_buf_ struct buf b = {0};

	entry(&b, "x", S_IFREG, "y", NULL);
	refuse(&t, &b, "neither 'index.json' nor 'manifest.json'");
	entry(&b, "index.json", S_IFREG, "{", NULL);
	refuse(&t, &b, "cannot use the image's index: line 1");
	entry(&b, "index.json", S_IFREG, "{\"schemaVersion\":2,\"manifests\":[]}", NULL);
	refuse(&t, &b, "there is no image in it");
	entry(&b, "manifest.json", S_IFREG, "[]", NULL);
	refuse(&t, &b, "there is no image in it");
	entry(&b, "manifest.json", S_IFREG, "[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]",
	      NULL);
	refuse(&t, &b, "'../../etc/passwd' is not in the archive");
	/* C10: its name says another digest. */
	entry(&b, "blobs/sha256/" DIGEST, S_IFREG, "y", NULL);
	refuse(&t, &b, "what came has the digest");
	entry(&b, "index.json", S_IFREG,
	      "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI_MEDIA_MANIFEST
	      "\",\"digest\":\"sha256:" DIGEST "\",\"size\":3}]}",
	      NULL);
	refuse(&t, &b, "is not in the archive");
	site_done(&t);
}

/* C11: an index in an index is one too many only where it is the second. */
static void indexes_do_not_go_on_for_ever(void **state)
{
	struct site t = site_new(state);
	_cleanup_buf_ struct buf b = {0};
	const char *inner = "{\"schemaVersion\":2,\"manifests\":[]}";

	for (int i = 0; i < 3; i++) {
		char hex[DIGEST_HEX + 1];

		digest_sha256(inner, strlen(inner), hex);
		entry(&b, arena_printf(t.w->a, "blobs/sha256/%s", hex), S_IFREG, inner, NULL);
		inner = arena_printf(t.w->a,
				     "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\","
				     "\"digest\":\"sha256:%s\",\"size\":%zu}]}",
				     OCI_MEDIA_INDEX, hex, strlen(inner));
	}
	entry(&b, "index.json", S_IFREG, inner, NULL);
	refuse(&t, &b, "an index within an index within an index is too much");
	site_done(&t);
}

static void a_damaged_blob_is_not_written(void **state)
{
	struct site t = site_new(state);
	_cleanup_fd_ int fd = new_file(&t);
	char manifest[DIGEST_HEX + 1];
	struct archive_out out = {.store = &t.s, .fd = fd, .manifest = manifest};
	struct err err = {0};
	char hex[DIGEST_HEX + 1];
	const char *path;

	image_of(&t, manifest);
	digest_sha256("layer", 5, hex);
	path = arena_printf(t.w->a, "blobs/%s", hex);
	assert_int_equal(unlinkat(t.s.fd, path, 0), 0);
	assert_int_equal(archive_out(t.w->a, &out, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	file(t.s.fd, path, "lAyer");
	assert_int_equal(archive_out(t.w->a, &out, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	assert_string_equal(err.hint, "sbx fsck tells more");
	archive_in_done(NULL);
	site_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_oci_archive_comes_back),
		TEST(a_folder_comes_back),
		TEST(dockers_comes_back),
		TEST(links_lead_to_layers),
		TEST(what_is_no_image_is_refused),
		TEST(indexes_do_not_go_on_for_ever),
		TEST(a_damaged_blob_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
