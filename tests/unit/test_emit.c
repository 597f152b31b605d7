#include <sys/socket.h>
#include <sys/un.h>

#include "base/digest.h"
#include "diff_world.h"
#include "store/emit.h"
#include "store/skeleton.h"
#include "store/tar.h"
#include "store/tree.h"

#define OTHER_ID 1234

/* A tar that emit_layer made of the upper folder: what it says, and its bytes. */
struct made {
	struct layer_info info;
	struct buf tar;
};

static int emit_upper(const struct diff_world *d, struct emit in, struct layer_info *ret,
		      struct err *err)
{
	_cleanup_fd_ int stage = open(d->w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct entries list;

	assert_int_equal(tree_entries(d->w->a, d->upper, &list, err), 0);
	(void)unlinkat(stage, LAYER_SKELETON, 0);
	in.tree = d->upper;
	in.list = &list;
	in.skeleton_at = stage;
	in.newest = in.newest ? in.newest : INT64_MAX;
	return emit_layer(&in, ret, err);
}

/* The bytes come back from skeleton and tree, and are what the digest is of. */
static struct made emitted(const struct diff_world *d, struct emit in)
{
	_cleanup_fd_ int stage = open(d->w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_skeleton_ struct skeleton_reader *r = NULL;
	char digest[DIGEST_HEX + 1];
	struct made m = {0};
	struct err err = {0};
	char piece[1000];
	ssize_t n;

	if (emit_upper(d, in, &m.info, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(skeleton_open(stage, LAYER_SKELETON, d->upper, &r, &err), 0);
	while ((n = skeleton_read(r, piece, sizeof(piece), &err)) > 0)
		buf_add(&m.tar, piece, (size_t)n);
	assert_int_equal(n, 0);
	digest_sha256(m.tar.p, m.tar.len, digest);
	assert_string_equal(digest, m.info.digest);
	assert_int_equal(m.info.tar_size, m.tar.len);
	return m;
}

static uint64_t octal(const char *block, size_t at)
{
	return strtoull(block + at, NULL, 8); /* NOLINT: a test reads what was written */
}

/* Its entries, "TYPE NAME[ > LINK]" a line. */
static const char *listing(struct arena *a, const struct made *m)
{
	_cleanup_buf_ struct buf b = {0};

	for (size_t at = 0; m->tar.p[at]; at += TAR_BLOCK) {
		const char *h = m->tar.p + at;
		size_t size = (size_t)octal(h, 124);

		buf_printf(&b, "%c %s%s%s\n", h[156], h, h[157] ? " > " : "", h + 157);
		at += size + tar_padding(size);
	}
	return arena_strdup(a, b.p);
}

/* The header of an entry. */
static const char *header(const struct made *m, const char *name)
{
	for (size_t at = 0; m->tar.p[at]; at += TAR_BLOCK) {
		const char *h = m->tar.p + at;
		size_t size = (size_t)octal(h, 124);

		if (strcmp(h, name) == 0)
			return h;
		at += size + tar_padding(size);
	}
	fail_msg("no entry '%s'", name);
	return NULL;
}

static void set_time(const struct diff_world *d, const char *name, time_t t)
{
	const struct timespec times[2] = {{.tv_sec = t}, {.tv_sec = t, .tv_nsec = 999999999}};

	assert_int_equal(utimensat(d->upper, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* What the digest below is of. */
static void make_tree(const struct diff_world *d)
{
	char many[601];

	memset(many, 'x', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	dir(d->upper, "a");
	file(d->upper, "a-b", "one");
	file(d->upper, "a.b", "");
	file(d->upper, "a/b", many);
	gone(d->upper, "a/gone");
	xattr(d->upper, "a", "user.overlay.opaque", "y");
	assert_int_equal(symlinkat("../a-b", d->upper, "a/l"), 0);
	assert_int_equal(linkat(d->upper, "a-b", d->upper, "a0", 0), 0);
	file(d->upper, "a1", "early");
	assert_int_equal(fchmodat(d->upper, "a1", 04711, 0), 0);
	set_time(d, "a1", 5);
}

/*
 * The digest is Python's, of USTAR headers by its tarfile (TarInfo.tobuf) with uid and gid 0, contents
 * padded to 512, and 1,024 zeros; in this order: a-b "one", a.b "", a/ 0755, a/.wh..wh..opq and
 * a/.wh.gone (mode 0, mtime 0), a/b 600 times "x", a/l -> ../a-b 0777, a0 a hard link to a-b, a1 "early"
 * 04711 mtime 5; where not said, mode 0644 and mtime 900.
 */
static void the_digest_is_that_of_other_programs(void **state)
{
	struct diff_world *d = *state;
	struct made m;

	make_tree(d);
	m = emitted(d, (struct emit){.newest = 900});
	assert_string_equal(listing(d->w->a, &m), "0 a-b\n0 a.b\n5 a/\n0 a/.wh..wh..opq\n"
						  "0 a/.wh.gone\n0 a/b\n2 a/l > ../a-b\n"
						  "1 a0 > a-b\n0 a1\n");
	assert_int_equal(m.info.tar_size, 7680);
	assert_int_equal(m.info.entries, 9);
	assert_int_equal(m.info.bytes, 3 + 600 + 5);
	assert_string_equal(m.info.digest,
			    "3bd9ab60b816fe31035bc7c495a15756b0cd7c0b341f2b023069a6a1838d4303");
	buf_done(&m.tar);
}

static void names_are_in_the_order_of_bytes(void **state)
{
	struct diff_world *d = *state;
	struct made m;

	/* A folder's name ends in a slash, which comes behind '-' and '.', before '0'. */
	dir(d->upper, "a");
	dir(d->upper, "a/b");
	file(d->upper, "a/b/c", "");
	file(d->upper, "a/b-c", "");
	file(d->upper, "a-b", "");
	file(d->upper, "a.b", "");
	file(d->upper, "a0", "");
	file(d->upper, "B", "");
	file(d->upper, "\xff", "");
	gone(d->upper, "a/b/d");
	m = emitted(d, (struct emit){0});
	assert_string_equal(listing(d->w->a, &m),
			    "0 B\n0 a-b\n0 a.b\n5 a/\n0 a/b-c\n5 a/b/\n0 a/b/.wh.d\n0 a/b/c\n"
			    "0 a0\n0 \xff\n");
	buf_done(&m.tar);
}

static void marks_are_always_the_same(void **state)
{
	struct diff_world *d = *state;
	struct made m;
	const char *h;

	gone(d->upper, "x");
	set_time(d, "x", 777);
	m = emitted(d, (struct emit){.owners = true});
	h = header(&m, ".wh.x");
	assert_int_equal(octal(h, 100), 0);
	assert_int_equal(octal(h, 108), 0);
	assert_int_equal(octal(h, 136), 0);
	buf_done(&m.tar);
}

static void times_are_whole_and_clamped(void **state)
{
	struct diff_world *d = *state;
	struct made m;

	file(d->upper, "late", "");
	set_time(d, "late", 2000);
	file(d->upper, "early", "");
	set_time(d, "early", 1);
	m = emitted(d, (struct emit){.newest = 1500});
	assert_int_equal(octal(header(&m, "late"), 136), 1500);
	assert_int_equal(octal(header(&m, "early"), 136), 1);
	buf_done(&m.tar);
	m = emitted(d, (struct emit){0});
	assert_int_equal(octal(header(&m, "late"), 136), 2000);
	buf_done(&m.tar);
}

static void owners_are_kept_or_root(void **state)
{
	struct diff_world *d = *state;
	uid_t wanted = geteuid() == 0 ? OTHER_ID : geteuid();
	struct made m;

	file(d->upper, "x", "");
	assert_int_equal(fchownat(d->upper, "x", wanted, (gid_t)-1, 0), 0);
	m = emitted(d, (struct emit){.owners = true});
	assert_int_equal(octal(header(&m, "x"), 108), wanted);
	buf_done(&m.tar);
	m = emitted(d, (struct emit){.owners = false});
	assert_int_equal(octal(header(&m, "x"), 108), 0);
	assert_int_equal(octal(header(&m, "x"), 116), 0);
	buf_done(&m.tar);
}

static void attributes_are_written_once_for_a_hard_link(void **state)
{
	struct diff_world *d = *state;
	struct made m;

	file(d->upper, "x", "text");
	xattr(d->upper, "x", "user.kept", "1");
	xattr(d->upper, "x", "user.overlay.origin", "2");
	assert_int_equal(linkat(d->upper, "x", d->upper, "y", 0), 0);
	m = emitted(d, (struct emit){0});
	/* "x": the type of a pax header. */
	assert_string_equal(listing(d->w->a, &m), "x PaxHeader\n0 x\n1 y > x\n");
	assert_string_equal(m.tar.p + TAR_BLOCK, "28 SCHILY.xattr.user.kept=1\n");
	buf_done(&m.tar);
}

static void a_link_of_two_names_is_a_hard_link(void **state)
{
	struct diff_world *d = *state;
	struct made m;

	assert_int_equal(symlinkat("to", d->upper, "x"), 0);
	assert_int_equal(linkat(d->upper, "x", d->upper, "y", 0), 0);
	m = emitted(d, (struct emit){0});
	assert_string_equal(listing(d->w->a, &m), "2 x > to\n1 y > x\n");
	buf_done(&m.tar);
}

static void sockets_are_left_out(void **state)
{
	struct diff_world *d = *state;
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct made m;

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/upper/s", d->w->dir);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(mkfifoat(d->upper, "pipe", 0600), 0);
	m = emitted(d, (struct emit){0});
	assert_string_equal(listing(d->w->a, &m), "6 pipe\n");
	buf_done(&m.tar);
}

static void an_empty_list_is_an_empty_tar(void **state)
{
	struct diff_world *d = *state;
	struct made m = emitted(d, (struct emit){0});

	assert_int_equal(m.info.tar_size, 2 * TAR_BLOCK);
	assert_int_equal(m.info.entries, 0);
	buf_done(&m.tar);
}

static void refuses_a_name_that_would_be_a_deletion(void **state)
{
	struct diff_world *d = *state;
	struct layer_info info = {.entries = 77};
	struct err err = {0};

	dir(d->upper, "d");
	file(d->upper, "d/.wh.x", "");
	assert_int_equal(emit_upper(d, (struct emit){0}, &info, &err), -1);
	assert_string_equal(err.msg, "cannot keep '/d/.wh.x' in a layer: there, '.wh.' at the "
				     "start of a name says that it is deleted");
	assert_string_equal(err.hint, "remove it, or give it another name");
	assert_int_equal(info.entries, 77);
}

static void holes_are_the_zeros_that_they_read_as(void **state)
{
	struct diff_world *d = *state;
	const char *path = world_path(d->w, "upper/f");
	_cleanup_fd_ int fd = -1;
	struct made m;

	file(d->upper, "f", "begin");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	/* A hole between, a small one, and one at the end. */
	assert_int_equal(pwrite(fd, "middle", 6, (5 << 20) + 77), 6);
	assert_int_equal(pwrite(fd, "late", 4, (5 << 20) + 40000), 4);
	assert_int_equal(ftruncate(fd, 9 << 20), 0);
	m = emitted(d, (struct emit){0});
	assert_int_equal(m.info.bytes, 9 << 20);
	assert_memory_equal(m.tar.p + TAR_BLOCK, "begin", 6);
	assert_memory_equal(m.tar.p + TAR_BLOCK + (5 << 20) + 77, "middle", 7);
	buf_done(&m.tar);
}

static void refuses_what_is_nothing_but_a_hole(void **state)
{
	struct diff_world *d = *state;
	struct layer_info info = {0};
	struct err err = {0};

	file(d->upper, "huge", "x");
	assert_int_equal(truncate(world_path(d->w, "upper/huge"), (off_t)65 << 30), 0);
	assert_int_equal(emit_upper(d, (struct emit){0}, &info, &err), -1);
	assert_string_equal(err.msg, "cannot keep '/huge' in a layer: it is a hole of 65 GiB, and "
				     "more than 64 GiB are too much to hash");
	assert_string_equal(err.hint,
			    "remove it, make it smaller, or name it under [commit] exclude");
}

struct told {
	const struct diff_world *d;
	uint64_t done, total;
	unsigned times;
	bool cut; /* make the file shorter */
};

static void tell(void *ctx, uint64_t done, uint64_t total)
{
	struct told *t = ctx;

	assert_true(done > t->done);
	t->done = done;
	t->total = total;
	t->times++;
	if (t->cut)
		assert_int_equal(truncate(world_path(t->d->w, "upper/big"), 10), 0);
}

/* Far larger than what is read at once. */
static void make_big(const struct diff_world *d)
{
	file(d->upper, "big", "");
	assert_int_equal(truncate(world_path(d->w, "upper/big"), 5 << 20), 0);
}

static void tells_how_far_it_is(void **state)
{
	struct diff_world *d = *state;
	struct told t = {.d = d};
	struct made m;

	make_big(d);
	file(d->upper, "small", "12");
	m = emitted(d, (struct emit){.progress = tell, .progress_ctx = &t});
	assert_int_equal(t.done, (5 << 20) + 2);
	assert_int_equal(t.total, (5 << 20) + 2);
	assert_true(t.times > 2);
	buf_done(&m.tar);
}

static void fails_where_a_file_changes(void **state)
{
	struct diff_world *d = *state;
	struct told t = {.d = d, .cut = true};
	struct layer_info info = {0};
	struct err err = {0};

	make_big(d);
	assert_int_equal(
		emit_upper(d, (struct emit){.progress = tell, .progress_ctx = &t}, &info, &err),
		-1);
	assert_string_equal(err.msg, "cannot read '/big': it changes meanwhile");
	assert_string_equal(err.hint, "try again when nothing writes to it");
	assert_string_equal(info.digest, "");
}

static void digest_of_nothing_is_freed(void **state)
{
	struct digest *none = NULL;

	(void)state;
	digest_free(NULL);
	digest_free(&none);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIFF_TEST(the_digest_is_that_of_other_programs),
		DIFF_TEST(names_are_in_the_order_of_bytes),
		DIFF_TEST(marks_are_always_the_same),
		DIFF_TEST(times_are_whole_and_clamped),
		DIFF_TEST(owners_are_kept_or_root),
		DIFF_TEST(attributes_are_written_once_for_a_hard_link),
		DIFF_TEST(a_link_of_two_names_is_a_hard_link),
		DIFF_TEST(sockets_are_left_out),
		DIFF_TEST(an_empty_list_is_an_empty_tar),
		DIFF_TEST(refuses_a_name_that_would_be_a_deletion),
		DIFF_TEST(holes_are_the_zeros_that_they_read_as),
		DIFF_TEST(refuses_what_is_nothing_but_a_hole),
		DIFF_TEST(tells_how_far_it_is),
		DIFF_TEST(fails_where_a_file_changes),
		cmocka_unit_test(digest_of_nothing_is_freed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
