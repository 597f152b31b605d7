/* The table of hostfs without a kernel that asks: run/hostfs_node, run/hostfs_look. */
#include <errno.h>
#include <string.h>

#include "plan/host.h"
#include "plan/plan.h"
#include "run/hostfs_internal.h"
#include "run_world.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct host_entry entries[] = {{"bin", "usr/bin"}, {"a", NULL}};
static const struct plan plan = {
	.rung = RUNG_SINGLE, .entries = entries, .n_entries = N(entries), .driver = ROOT_KERNEL};

/* The world as a host, of which a/ shows; with room for so many open descriptors. */
static struct hostfs_tree make_tree(const struct world *w, uint32_t max_open)
{
	struct hostfs_tree t;

	world_mkdir(w, "a/b/c");
	world_mkdir(w, "a/d");
	world_write(w, "a/b/c/file", "text\n");
	world_write(w, "a/other", "o\n");
	hostfs_tree_init(&t, &plan, open(w->dir, O_PATH | O_DIRECTORY | O_CLOEXEC), max_open);
	assert_true(t.root >= 0);
	return t;
}

static void tree_done(struct hostfs_tree *t)
{
	int root = t->root;

	hostfs_tree_done(t);
	hostfs_tree_done(t);
	(void)close(root);
}

static node_id look_up(struct hostfs_tree *t, node_id parent, const char *name)
{
	struct fuse_entry_out out = {0};

	assert_int_equal(hostfs_lookup(t, parent, name, &out), 0);
	return (node_id)(out.nodeid - 1);
}

/* By a path with one lookup each; `ids` are its nodes. */
static node_id walk(struct hostfs_tree *t, const char *path, node_id *ids)
{
	char text[256];
	char *save = NULL;
	node_id id = NODE_ROOT;
	size_t n = 0;

	(void)snprintf(text, sizeof(text), "%s", path);
	for (char *word = strtok_r(text, "/", &save); word; word = strtok_r(NULL, "/", &save))
		ids[n++] = id = look_up(t, id, word);
	return id;
}

static void what_is_forgotten_is_freed(void **state)
{
	struct hostfs_tree t = make_tree(*state, 16);
	struct hostfs_tree none = {0};
	node_id ids[8];
	node_id file = walk(&t, "a/b/c/file", ids);
	char path[PATH_MAX];

	assert_true(hostfs_node_path(&t, file, path));
	assert_string_equal(path, "/a/b/c/file");
	assert_int_equal(t.used, 5);
	/* A folder stays as long as something below it does. */
	for (size_t i = 0; i < 3; i++)
		hostfs_node_forget(&t, ids[i], 1);
	assert_int_equal(t.used, 5);
	assert_true(hostfs_node_fd(&t, file) >= 0);
	hostfs_node_forget(&t, file, 1);
	assert_int_equal(t.used, 1);
	assert_int_equal(t.n_open, 0);
	assert_false(hostfs_node_is(&t, file));
	/* A place that is used again has another generation. */
	assert_int_equal(walk(&t, "a", ids), ids[0]);
	assert_true(t.v[ids[0]].generation > 0);
	tree_done(&t);
	hostfs_tree_done(&none);
}

static void few_descriptors_are_enough(void **state)
{
	struct hostfs_tree t = make_tree(*state, 3);
	node_id ids[8];
	node_id file = walk(&t, "a/b/c/file", ids);
	node_id other = look_up(&t, ids[0], "other");

	for (int i = 0; i < 4; i++) {
		struct fuse_attr attr;
		char text[8] = "";

		assert_int_equal(pread(hostfs_node_fd(&t, file), text, 5, 0), 5);
		assert_string_equal(text, "text\n");
		assert_true(t.n_open <= 3);
		assert_true(hostfs_node_fd(&t, other) >= 0);
		assert_true(t.n_open <= 3);
		assert_int_equal(hostfs_getattr(&t, ids[1], &attr), 0);
		assert_true(S_ISDIR(attr.mode));
	}
	tree_done(&t);
}

static void another_file_in_its_place_is_stale(void **state)
{
	const struct world *w = *state;
	struct hostfs_tree t = make_tree(w, 16);
	struct fuse_attr attr;
	node_id ids[8];
	node_id file = walk(&t, "a/b/c/file", ids);

	world_write(w, "a/b/c/next", "next\n");
	assert_int_equal(rename(world_path(w, "a/b/c/next"), world_path(w, "a/b/c/file")), 0);
	assert_int_equal(hostfs_node_fd(&t, file), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(hostfs_getattr(&t, file, &attr), ESTALE);
	assert_int_not_equal(look_up(&t, ids[2], "file"), file);
	tree_done(&t);
}

/* Whether it is held open or not. */
static void what_the_host_closes_is_closed(void **state)
{
	const struct world *w = *state;
	struct hostfs_tree t = make_tree(w, 16);
	struct fuse_entry_out out = {0};
	struct hostfs_list list = {0};
	struct fuse_attr attr;
	node_id ids[8];
	node_id file = walk(&t, "a/b/c/file", ids);
	node_id other = look_up(&t, ids[0], "other");

	assert_true(hostfs_node_fd(&t, file) >= 0);
	assert_int_equal(hostfs_getattr(&t, file, &attr), 0);
	assert_int_equal(chmod(world_path(w, "a/b/c/file"), 0640), 0);
	assert_int_equal(chmod(world_path(w, "a/other"), 0600), 0);
	assert_int_equal(hostfs_node_fd(&t, file), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(hostfs_getattr(&t, file, &attr), ESTALE);
	assert_int_equal(hostfs_node_fd(&t, other), -1);
	assert_int_equal(errno, ESTALE);
	/* Looked at anew, it is empty. */
	assert_int_equal(hostfs_lookup(&t, ids[2], "file", &out), 0);
	assert_int_equal(out.attr.size, 0);
	assert_int_not_equal(out.nodeid, file + 1);

	assert_int_equal(chmod(world_path(w, "a/b/c"), 0711), 0);
	world_write(w, "a/b/c/new", "new\n");
	assert_int_equal(hostfs_lookup(&t, ids[2], "new", &out), ESTALE);
	assert_int_equal(hostfs_list(&t, ids[2], 0, &list), ESTALE);
	assert_int_equal(hostfs_getattr(&t, ids[2], &attr), ESTALE);
	assert_int_equal(chmod(world_path(w, "a/b/c"), 0755), 0);
	tree_done(&t);
}

/* In a folder whose path cannot be told, too long as it is, nothing shows that the plan might hide. */
static void what_may_be_hidden_is_hidden(void **state)
{
	static const struct hidden_path hidden = {.path = "/nowhere/else", .mode = 0700};
	struct plan with_hidden = plan;
	const struct world *w = *state;
	struct hostfs_tree t = make_tree(w, 16);
	struct fuse_entry_out out = {0};
	char path[2 * 300] = "a";
	node_id id = look_up(&t, NODE_ROOT, "a");

	with_hidden.hidden = &hidden;
	with_hidden.n_hidden = 1;
	t.plan = &with_hidden;
	for (size_t i = 1; i + 2 < sizeof(path); i += 2)
		memcpy(path + i, "/d", 3);
	world_mkdir(w, path);
	for (int depth = 2; depth <= 257; depth++)
		id = look_up(&t, id, "d");
	assert_int_equal(hostfs_lookup(&t, id, "d", &out), 0);
	/* So long as it can be told it is not that one. */
	assert_int_equal(t.v[id].key.kind, NODE_HOST);
	assert_int_equal(t.v[out.nodeid - 1].key.kind, NODE_EMPTY);
	tree_done(&t);
}

static void a_moved_folder_is_found_again(void **state)
{
	const struct world *w = *state;
	struct hostfs_tree t = make_tree(w, 16);
	char path[PATH_MAX];
	node_id ids[8];
	node_id file = walk(&t, "a/b/c/file", ids);
	node_id d = look_up(&t, ids[0], "d");

	assert_int_equal(rename(world_path(w, "a/b"), world_path(w, "a/d/b")), 0);
	assert_int_equal(look_up(&t, d, "b"), ids[1]);
	assert_true(hostfs_node_path(&t, file, path));
	assert_string_equal(path, "/a/d/b/c/file");
	assert_true(hostfs_node_fd(&t, file) >= 0);
	tree_done(&t);
}

static void a_hard_link_is_one_node(void **state)
{
	const struct world *w = *state;
	struct hostfs_tree t = make_tree(w, 16);
	node_id ids[8];
	node_id file = walk(&t, "a/other", ids);

	assert_int_equal(link(world_path(w, "a/other"), world_path(w, "a/d/again")), 0);
	assert_int_equal(look_up(&t, look_up(&t, ids[0], "d"), "again"), file);
	assert_int_equal(t.v[file].lookups, 2);
	tree_done(&t);
}

static void owners_are_those_of_the_map(void **state)
{
	/* as self, user 1000; as root, the same user is 0. */
	const struct id_map self = {
		.line = {{0, 100000, 1000}, {1000, 1000, 1}, {1001, 101000, 64535}}, .n = 3};
	const struct id_map root = {.line = {{0, 1000, 1}, {1, 100000, 65535}}, .n = 2};

	(void)state;
	assert_int_equal(hostfs_id_inside(&self, true, 1000, 0), 0);
	assert_int_equal(hostfs_id_inside(&self, true, 1000, 1000), 1000);
	assert_int_equal(hostfs_id_inside(&self, true, 1000, 105), 105);
	assert_int_equal(hostfs_id_inside(&self, true, 1000, 65534), 65534);
	/* What no id inside stands for is root's. */
	assert_int_equal(hostfs_id_inside(&self, true, 1000, 100000), 0);
	assert_int_equal(hostfs_id_inside(&root, true, 1000, 1000), 0);
	assert_int_equal(hostfs_id_inside(&root, true, 1000, 1001), 1001);
	assert_int_equal(hostfs_id_inside(&root, false, 1000, 105), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_forgotten_is_freed),
		TEST(few_descriptors_are_enough),
		TEST(another_file_in_its_place_is_stale),
		TEST(what_the_host_closes_is_closed),
		TEST(what_may_be_hidden_is_hidden),
		TEST(a_moved_folder_is_found_again),
		TEST(a_hard_link_is_one_node),
		TEST(owners_are_those_of_the_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
