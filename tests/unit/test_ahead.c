/* Covers store/ahead and store/listing. */
#include "diff_world.h"
#include "store/ahead.h"
#include "store/listing.h"

#define FOLDERS 60
#define FILES 30
#define TRIES 500
#define DEEP 100

struct walk {
	struct ahead *h;
	struct buf path;
	size_t folders, others;
	size_t leave_at; /* so many folders are entered, and no more; 0: all */
};

/* FOLDERS with FILES each, and in each a folder with another one in it. */
static void make_tree(int fd)
{
	for (int i = 0; i < FOLDERS; i++) {
		char name[16];
		_cleanup_fd_ int in = -1;
		_cleanup_fd_ int below = -1;

		(void)snprintf(name, sizeof(name), "d%d", i);
		in = folder(fd, name);
		for (int k = 0; k < FILES; k++) {
			(void)snprintf(name, sizeof(name), "f%d", k);
			file(in, name, "");
		}
		below = folder(in, "below");
		dir(below, "empty");
		assert_int_equal(symlinkat("below", in, "link"), 0);
	}
}

static void go(struct walk *w, struct listed *at, int fd)
{
	struct listing l = {0};
	size_t len = w->path.len;

	assert_int_equal(ahead_list(w->h, at, fd, w->path.p, &l), 0);
	for (size_t i = 0; i < l.n; i++) {
		_cleanup_fd_ int below = -1;

		if (!S_ISDIR(l.v[i]->st.st_mode)) {
			w->others++;
			continue;
		}
		w->folders++;
		if (w->leave_at && w->folders >= w->leave_at)
			continue;
		below = openat(fd, l.v[i]->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		assert_true(below >= 0);
		buf_printf(&w->path, "%s%s", len ? "/" : "", l.v[i]->name);
		go(w, l.v[i], below);
		w->path.len = len;
		w->path.p[len] = '\0';
	}
	ahead_leave(w->h, &l);
}

static void walk(const struct diff_world *d, bool ahead, bool begin, size_t leave_at)
{
	struct walk w = {.leave_at = leave_at};

	if (ahead)
		w.h = ahead_new(d->upper);
	if (begin)
		ahead_begin(w.h);
	buf_adds(&w.path, "");
	go(&w, NULL, d->upper);
	ahead_free(w.h);
	buf_done(&w.path);
	if (leave_at)
		return;
	assert_int_equal(w.folders, 3 * FOLDERS);
	assert_int_equal(w.others, (FILES + 1) * FOLDERS);
}

/* However it comes to its lists, a walk sees all, and once. */
static void test_all_of_it(void **state)
{
	const struct diff_world *d = *state;

	make_tree(d->upper);
	walk(d, false, false, 0);
	for (int i = 0; i < 20; i++) {
		walk(d, true, false, 0);
		walk(d, true, true, 0);
	}
}

/* Also where no thread goes any more. */
static void test_far_down(void **state)
{
	const struct diff_world *d = *state;
	int at = fcntl(d->upper, F_DUPFD_CLOEXEC, 3);

	for (int i = 0; i < DEEP; i++) {
		int next = folder(at, "d");

		file(next, "f", "");
		dir(next, "beside");
		(void)close(at);
		at = next;
	}
	(void)close(at);
	for (int i = 0; i < 10; i++) {
		struct walk w = {.h = ahead_new(d->upper)};

		ahead_begin(w.h);
		buf_adds(&w.path, "");
		go(&w, NULL, d->upper);
		ahead_free(w.h);
		buf_done(&w.path);
		assert_int_equal(w.folders, 2 * DEEP);
		assert_int_equal(w.others, DEEP);
	}
}

/* Nobody comes for what was listed. */
static void test_a_walk_that_ends_early(void **state)
{
	const struct diff_world *d = *state;

	make_tree(d->upper);
	for (size_t at = 1; at < 30; at++) {
		walk(d, true, at % 2, at);
		ahead_free(ahead_new(d->upper));
	}
}

static bool has(const struct listing *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i]->name, name) == 0)
			return true;
	}
	return false;
}

/* A list is made before it is asked for: what comes later is not in it.  It need not be, so that is tried often. */
static void test_it_is_ahead(void **state)
{
	const struct diff_world *d = *state;
	bool was = false;

	make_tree(d->upper);
	for (int i = 0; i < TRIES && !was; i++) {
		struct ahead *h = ahead_new(d->upper);
		struct listing l = {0};

		if (!h)
			skip(); /* one processor */
		ahead_begin(h);
		(void)usleep(1000); /* polls: nobody tells that a folder is listed */
		file(d->upper, "late", "");
		assert_int_equal(ahead_list(h, NULL, d->upper, "", &l), 0);
		was = !has(&l, "late");
		ahead_leave(h, &l);
		ahead_free(h);
		assert_int_equal(unlinkat(d->upper, "late", 0), 0);
	}
	assert_true(was);
}

/* Another folder has come to the place of the one that was listed. */
static void test_another_folder(void **state)
{
	const struct diff_world *d = *state;

	for (int i = 0; i < 50; i++) {
		struct ahead *h = ahead_new(d->upper);
		struct listing top = {0};
		struct listing l = {0};
		_cleanup_fd_ int fd = -1;
		_cleanup_fd_ int first = folder(d->upper, "first");
		_cleanup_fd_ int second = folder(d->upper, "second");

		file(first, "in", "");
		file(second, "in2", "");
		assert_int_equal(ahead_list(h, NULL, d->upper, "", &top), 0);
		assert_int_equal(renameat2(d->upper, "first", d->upper, "second", RENAME_EXCHANGE),
				 0);
		for (size_t k = 0; k < top.n; k++) {
			bool one = strcmp(top.v[k]->name, "first") == 0;

			cleanup_fd(&fd);
			fd = openat(d->upper, top.v[k]->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			assert_true(fd >= 0);
			assert_int_equal(ahead_list(h, top.v[k], fd, top.v[k]->name, &l), 0);
			assert_int_equal(l.n, 1);
			assert_string_equal(l.v[0]->name, one ? "in2" : "in");
			ahead_leave(h, &l);
		}
		ahead_leave(h, &top);
		ahead_free(h);
		assert_int_equal(unlinkat(first, "in", 0), 0);
		assert_int_equal(unlinkat(second, "in2", 0), 0);
		assert_int_equal(unlinkat(d->upper, "first", AT_REMOVEDIR), 0);
		assert_int_equal(unlinkat(d->upper, "second", AT_REMOVEDIR), 0);
	}
}

static void test_what_a_list_says(void **state)
{
	const struct diff_world *d = *state;
	struct listing l = {0};
	struct stat st;

	file(d->upper, "file", "12345");
	assert_int_equal(symlinkat("nowhere", d->upper, "link"), 0);
	assert_int_equal(listing_read(d->upper, &l), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(fstat(d->upper, &st), 0);
	assert_int_equal(l.ino, st.st_ino);
	for (size_t i = 0; i < l.n; i++) {
		const struct listed *e = l.v[i];

		assert_null(e->job);
		assert_int_equal(e->st.st_mode & S_IFMT,
				 strcmp(e->name, "link") == 0 ? S_IFLNK : S_IFREG);
		assert_int_equal(e->st.st_size, strcmp(e->name, "link") == 0 ? 7 : 5);
	}
	listing_done(&l);
	listing_done(&l);
	listing_done(NULL);
}

static void test_it_fails_as_it_would_alone(void **state)
{
	const struct diff_world *d = *state;
	struct ahead *h = ahead_new(d->lower);
	struct listing l = {0};
	_cleanup_fd_ int fd = -1;

	file(d->upper, "file", "");
	fd = openat(d->upper, "file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(listing_read(fd, &l), -1);
	assert_int_equal(errno, ENOTDIR);
	ahead_begin(h);
	assert_int_equal(ahead_list(h, NULL, fd, "", &l), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(ahead_list(NULL, NULL, -1, "", &l), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(l.n, 0);
	ahead_leave(NULL, &l);
	ahead_begin(NULL);
	ahead_free(NULL);
	ahead_free(h);
}

#define AHEAD_TEST(f) cmocka_unit_test_setup_teardown(f, diff_world_make, diff_world_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AHEAD_TEST(test_all_of_it),
		AHEAD_TEST(test_far_down),
		AHEAD_TEST(test_a_walk_that_ends_early),
		AHEAD_TEST(test_it_is_ahead),
		AHEAD_TEST(test_another_folder),
		AHEAD_TEST(test_what_a_list_says),
		AHEAD_TEST(test_it_fails_as_it_would_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
