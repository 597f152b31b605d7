/* A layer's tar out of its parts, and its tree for another id map: store/layer_tar, store/layer_tree. */
#include <dirent.h>
#include <errno.h>
#include <sys/xattr.h>

#include "base/digest.h"
#include "store/env.h"
#include "store/layer.h"
#include "store/layer_tar.h"
#include "store/layer_tree.h"
#include "store/skeleton.h"
#include "store/tar.h"
#include "store_world.h"

struct made {
	struct store store;
	char digest[DIGEST_HEX + 1];
};

/* A layer with the file d/f in it, and a deletion, whose tree is for the map "first". */
static void make_layer(const struct world *w, struct made *m)
{
	static const char text[] = "the content\n";
	struct stat folder = {.st_mode = S_IFDIR | 0750, .st_uid = geteuid(), .st_gid = getegid()};
	struct stat file = {.st_mode = S_IFREG | 0640,
			    .st_size = sizeof(text) - 1,
			    .st_uid = geteuid(),
			    .st_gid = getegid()};
	struct stat gone = {.st_mode = S_IFREG | 0644};
	struct layer_stage st = {.fd = -1};
	struct layer_info info = {.map = "first", .entries = 3, .bytes = sizeof(text) - 1};
	struct skeleton_writer *s = NULL;
	_cleanup_buf_ struct buf head = {0}, tail = {0}, tar = {0};
	_cleanup_fd_ int fd = -1;
	struct err err = {0};
	bool fresh = false;

	assert_int_equal(store_open(w->a, &m->store, &err), 0);
	tar_header(&head, &(struct tar_entry){.path = "d", .st = &folder, .mtime = 5});
	tar_header(&head, &(struct tar_entry){.path = "d/f", .st = &file, .mtime = 6});
	buf_add(&tail, (char[TAR_BLOCK]){0}, tar_padding(sizeof(text) - 1));
	tar_header(&tail, &(struct tar_entry){.path = "d/.wh.gone", .st = &gone});
	tar_end(&tail);
	buf_add(&tar, head.p, head.len);
	buf_adds(&tar, text);
	buf_add(&tar, tail.p, tail.len);
	digest_sha256(tar.p, tar.len, m->digest);

	assert_int_equal(layer_stage_make(w->a, &m->store, &st, &err), 0);
	assert_int_equal(mkdirat(st.fd, "tree", 0755), 0);
	assert_int_equal(mkdirat(st.fd, "tree/d", 0755), 0);
	assert_int_equal(fs_write_atomic(st.fd, "tree/d/f", text, sizeof(text) - 1, 0640, &err), 0);
	assert_int_equal(skeleton_create(st.fd, LAYER_SKELETON, &s, &err), 0);
	assert_int_equal(skeleton_raw(s, head.p, head.len, &err), 0);
	assert_int_equal(skeleton_file(s, "d/f", sizeof(text) - 1, &err), 0);
	assert_int_equal(skeleton_raw(s, tail.p, tail.len, &err), 0);
	assert_int_equal(skeleton_finish(s, &err), 0);
	info.tar_size = tar.len;
	memcpy(info.digest, m->digest, sizeof(info.digest));
	assert_int_equal(layer_stage_info(&st, &info, &err), 0);
	assert_int_equal(layer_publish(&m->store, &st, m->digest, &fresh, &err), 0);
	layer_stage_done(&st);
}

static const char *in_layer(const struct world *w, const struct made *m, const char *name)
{
	return arena_printf(w->a, "%s/layers/%s/%s", m->store.dir, m->digest, name);
}

static size_t count_in(const char *path)
{
	_cleanup_dir_ DIR *d = opendir(path);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static void gives_the_digest_of_the_whole(void **state)
{
	struct world *w = *state;
	struct made m = {0};
	_cleanup_layer_tar_ struct layer_tar *t = NULL;
	_cleanup_fd_ int fd = -1;
	char hex[DIGEST_HEX + 1];
	char some[100];
	struct err err = {0};

	make_layer(w, &m);
	assert_int_equal(layer_open(w->a, &m.store, m.digest, &fd, NULL, &err), 0);
	assert_int_equal(layer_tar_open(fd, LAYER_TREE, &t, &err), 0);
	assert_int_equal(layer_tar_read(t, some, sizeof(some), &err), 100);
	assert_int_equal(layer_tar_digest(t, hex, &err), 0);
	assert_string_equal(hex, m.digest);
	layer_tar_close(&t);
	layer_tar_close(&t);
	assert_int_equal(layer_tar_open(fd, "tree-other", &t, &err), -1);
	assert_string_equal(err.msg, "cannot open the layer's folder 'tree-other': No such file or "
				     "directory");
	store_done(&m.store);
}

static void makes_the_tree_of_another_map(void **state)
{
	struct world *w = *state;
	struct made m = {0};
	struct layer_tree t = {.map = "other", .owners = geteuid() == 0};
	const char *name = NULL;
	bool there = true;
	struct err err = {0};
	struct stat st;

	make_layer(w, &m);
	t.store = &m.store;
	t.digest = m.digest;
	assert_int_equal(layer_tree_find(w->a, &t, &name, &there, &err), 0);
	assert_string_equal(name, "tree-other");
	assert_false(there);
	assert_int_equal(layer_tree_make(&t, &err), 0);
	assert_int_equal(layer_tree_find(w->a, &t, &name, &there, &err), 0);
	assert_true(there);
	assert_int_equal(lstat(in_layer(w, &m, "tree-other/d"), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(st.st_mtim.tv_sec, 5);
	assert_int_equal(lstat(in_layer(w, &m, "tree-other/d/f"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_mtim.tv_sec, 6);
	assert_int_equal(lstat(in_layer(w, &m, "tree-other/d/gone"), &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	/* Once more changes nothing, and nothing is left over. */
	assert_int_equal(layer_tree_make(&t, &err), 0);
	assert_int_equal(count_in(arena_printf(w->a, "%s/tmp", m.store.dir)), 0);
	t.map = "first";
	assert_int_equal(layer_tree_find(w->a, &t, &name, &there, &err), 0);
	assert_string_equal(name, "tree");
	assert_true(there);
	store_done(&m.store);
}

static void makes_none_of_what_was_changed(void **state)
{
	struct world *w = *state;
	struct made m = {0};
	struct layer_tree t = {.map = "other"};
	struct err err = {0};

	make_layer(w, &m);
	t.store = &m.store;
	t.digest = m.digest;
	{
		_cleanup_file_ FILE *f = fopen(in_layer(w, &m, "tree/d/f"), "r+e");

		assert_non_null(f);
		assert_true(fputs("The", f) >= 0);
	}
	assert_int_equal(layer_tree_make(&t, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	assert_non_null(strstr(err.msg, "for the ids 'other': its files are not what they were"));
	assert_int_equal(faccessat(AT_FDCWD, in_layer(w, &m, "tree-other"), F_OK, 0), -1);
	assert_int_equal(count_in(arena_printf(w->a, "%s/tmp", m.store.dir)), 0);
	store_done(&m.store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gives_the_digest_of_the_whole),
		TEST(makes_the_tree_of_another_map),
		TEST(makes_none_of_what_was_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
