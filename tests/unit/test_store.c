/* Covers store/store, store/dirs and store/record. */
#include <errno.h>

#include "store/env.h"
#include "store/record.h"
#include "store_world.h"

static void assert_refused(const char *msg, const char *hint)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct store s = {0};
	struct err err = {0};

	assert_int_equal(store_open(a, &s, &err), -1);
	assert_null(s.dir);
	assert_non_null(strstr(err.msg, msg));
	assert_non_null(strstr(err.hint, hint));
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777U;
}

static void makes_a_private_store(void **state)
{
	struct world *w = *state;
	struct store s = {0};
	struct err err = {0};
	mode_t old = umask(0);

	assert_int_equal(store_open(w->a, &s, &err), 0);
	(void)umask(old);
	assert_string_equal(s.dir, world_path(w, "data/sbx"));
	assert_int_equal(mode_of(s.dir), 0700);
	assert_int_equal(mode_of(world_path(w, "data/sbx/envs")), 0700);
	assert_int_equal(mode_of(world_path(w, "data/sbx/tmp")), 0700);
	store_done(&s);
	assert_int_equal(s.fd, -1);
	/* And again, now that it is there. */
	assert_int_equal(store_open(w->a, &s, &err), 0);
	store_done(&s);
}

static void closes_what_others_can_read(void **state)
{
	struct world *w = *state;
	struct store s = {0};
	struct err err = {0};

	world_mkdir(w, "data/sbx");
	assert_int_equal(chmod(world_path(w, "data/sbx"), 0755), 0);
	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(mode_of(s.dir), 0700);
	store_done(&s);
}

static void refuses_what_others_can_write(void **state)
{
	struct world *w = *state;

	world_mkdir(w, "data/sbx");
	assert_int_equal(chmod(world_path(w, "data/sbx"), 0770), 0);
	assert_refused("others may write to it (mode 0770)",
		       "see that nobody has changed it, then run: chmod 700 '");
	assert_int_equal(mode_of(world_path(w, "data/sbx")), 0770);
}

static void refuses_a_foreign_store(void **state)
{
	struct world *w = *state;

	world_mkdir(w, "data");
	if (geteuid() == 0) {
		world_mkdir(w, "data/sbx");
		assert_int_equal(chown(world_path(w, "data/sbx"), 12345, 0), 0);
		assert_refused("it belongs to user 12345, you are user 0",
			       "set XDG_DATA_HOME to a folder of your own; under sudo, use 'sudo");
		return;
	}
	assert_int_equal(symlink("/usr", world_path(w, "data/sbx")), 0);
	assert_refused("it belongs to user 0, you are user ",
		       "set XDG_DATA_HOME to a folder of your own; under sudo, use 'sudo");
}

static void refuses_a_newer_or_damaged_version(void **state)
{
	struct world *w = *state;

	world_mkdir(w, "data/sbx");
	world_write(w, "data/sbx/version", "3\n");
	assert_refused("it has version 3, this sbx knows up to 2",
		       "use the newer sbx that made it, or set XDG_DATA_HOME to another folder");
	world_write(w, "data/sbx/version", "1\n");
	assert_refused("an sbx that knew no layers made it",
		       "move it away: what was installed in it has to be once more");
	world_write(w, "data/sbx/version", "one\n");
	assert_refused("its file 'version' is damaged", "write the line '2' into '");
	world_write(w, "data/sbx/version", "");
	assert_refused("its file 'version' is damaged", "write the line '2' into '");
}

static void says_what_is_read_only(void **state)
{
	(void)state;
	/* Nobody, not even root, makes a folder there. */
	assert_int_equal(setenv("XDG_DATA_HOME", "/sys/sbx-test", 1), 0);
	assert_refused(
		"/sys/sbx-test",
		"make the folder writable for you, or set XDG_DATA_HOME to a folder that is");
}

static void says_what_is_in_the_way(void **state)
{
	struct world *w = *state;

	world_mkdir(w, "data");
	world_write(w, "data/sbx", "a file");
	assert_refused("cannot open the store '", "move away what is in the way, or set XDG_DATA");
}

/* In a child, on a filesystem without room. */
static int full_disk(void *arg)
{
	const struct world *w = arg;
	struct store s = {0};
	struct err err = {0};

	if (world_unshare() < 0 ||
	    mount("none", world_path(w, "home"), "tmpfs", 0, "size=64k,nr_inodes=4,mode=755") < 0)
		return 2;
	(void)setenv("XDG_DATA_HOME", world_path(w, "home"), 1);
	if (store_open(w->a, &s, &err) == 0)
		return 3;
	return strstr(err.msg, "No space left on device") &&
			       strstr(err.hint,
				      "free some space ('sbx gc' removes what nothing needs")
		       ? 0
		       : 4;
}

static void says_that_there_is_no_space(void **state)
{
	assert_int_equal(proc_call(full_disk, *state), 0);
}

static void finds_the_data_folder(void **state)
{
	struct world *w = *state;
	struct store s = {0};
	struct err err = {0};

	/* The specification: a relative one is to be ignored. */
	assert_int_equal(setenv("XDG_DATA_HOME", "data", 1), 0);
	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_string_equal(s.dir, world_path(w, "home/.local/share/sbx"));
	store_done(&s);
	assert_int_equal(unsetenv("XDG_DATA_HOME"), 0);
	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_string_equal(s.dir, world_path(w, "home/.local/share/sbx"));
	store_done(&s);
	assert_int_equal(setenv("HOME", "here", 1), 0);
	assert_refused("cannot use the home folder 'here': it is not an absolute path",
		       "set HOME to an absolute path");
}

static void records_keep_any_bytes(void **state)
{
	struct world *w = *state;
	static const char bytes[] = "/a b,c:d%\n\t\x7f\xff\xc3\xa9\"\\";
	json_t *obj = json_object();
	int fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err err = {0};

	json_object_set_new(obj, "x", record_bytes(bytes));
	assert_string_equal(json_string_value(json_object_get(obj, "x")),
			    "/a b,c:d%25%0A%09%7F%FF%C3%A9\"\\");
	assert_int_equal(record_save(fd, "r.json", 1, obj, &err), 0);
	json_decref(obj);
	assert_int_equal(record_load(fd, "r.json", 1, &obj, &err), 0);
	assert_string_equal(record_get_bytes(w->a, obj, "x"), bytes);
	assert_null(record_get_bytes(w->a, obj, "y"));
	/* An end inside an escape, a digit that is none, a NUL. */
	json_object_set_new(obj, "1", json_string("%"));
	json_object_set_new(obj, "2", json_string("%4"));
	json_object_set_new(obj, "3", json_string("%4x"));
	json_object_set_new(obj, "4", json_string("%00"));
	for (const char *key = "1234"; *key; key++)
		assert_null(record_get_bytes(w->a, obj, (char[]){*key, '\0'}));
	json_decref(obj);
	(void)close(fd);
}

static void records_refuse_damage(void **state)
{
	struct world *w = *state;
	int fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *obj = NULL;
	struct err err = {0};

	assert_int_equal(record_load(fd, "r.json", 1, &obj, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	world_write(w, "r.json", "{\"version\": 1");
	assert_int_equal(record_load(fd, "r.json", 1, &obj, &err), -1);
	assert_non_null(strstr(err.msg, "cannot read 'r.json': line 1: "));
	assert_int_equal(err.errnum, EBADMSG);
	world_write(w, "r.json", "[1]");
	assert_int_equal(record_load(fd, "r.json", 1, &obj, &err), -1);
	assert_string_equal(err.msg, "cannot read 'r.json': it is not a record of sbx");
	world_write(w, "r.json", "{\"version\": 2}");
	assert_int_equal(record_load(fd, "r.json", 1, &obj, &err), -1);
	assert_string_equal(err.msg,
			    "cannot read 'r.json': it has version 2, this sbx knows up to 1");
	assert_string_equal(err.hint, "use the newer sbx that wrote it");
	assert_int_equal(err.errnum, EPROTO);
	assert_null(obj);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(makes_a_private_store),
		TEST(closes_what_others_can_read),
		TEST(refuses_what_others_can_write),
		TEST(refuses_a_foreign_store),
		TEST(refuses_a_newer_or_damaged_version),
		TEST(says_what_is_read_only),
		TEST(says_what_is_in_the_way),
		TEST(says_that_there_is_no_space),
		TEST(finds_the_data_folder),
		TEST(records_keep_any_bytes),
		TEST(records_refuse_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
