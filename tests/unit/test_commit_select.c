#include <sys/socket.h>
#include <sys/un.h>

#include "diff_world.h"
#include "store/commit.h"
#include "store/commit_select.h"

static const char *const logs[] = {"*.log", "cache", NULL};

struct picked {
	struct selection s;
	struct commit_result counts;
};

static struct picked pick(const struct diff_world *d, const char *const *exclude)
{
	const struct diff_input in = {
		.lower = d->lower, .upper = d->upper, .owners = true, .exclude = exclude};
	struct picked p = {0};
	struct entries all;
	struct err err = {0};

	even_times(d);
	assert_int_equal(diff_entries(d->w->a, &in, &all, &err), 0);
	commit_select(d->w->a, &all, &p.s, &p.counts);
	return p;
}

static void tidy(const struct diff_world *d, struct picked *p, int64_t newest)
{
	struct err err = {0};

	if (commit_tidy(d->upper, &p->s, newest, d->upper, &err) < 0)
		fail_msg("%s", err.msg);
}

/* "taken | none | kept", each a list of paths. */
static const char *text(const struct diff_world *d, const struct picked *p)
{
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = 0; i < p->s.taken.n; i++)
		buf_printf(&b, "%s ", p->s.taken.v[i].path);
	buf_adds(&b, "| ");
	for (size_t i = 0; i < p->s.none.n; i++)
		buf_printf(&b, "%s ", p->s.none.v[i].path);
	buf_adds(&b, "|");
	for (size_t at = 0; at < p->s.kept.len; at += strlen(p->s.kept.p + at) + 1)
		buf_printf(&b, " %s", p->s.kept.p + at);
	return arena_strdup(d->w->a, b.p);
}

static void assert_counts(const struct picked *p, unsigned added, unsigned modified,
			  unsigned deleted, unsigned kept)
{
	assert_int_equal(p->counts.added, added);
	assert_int_equal(p->counts.modified, modified);
	assert_int_equal(p->counts.deleted, deleted);
	assert_int_equal(p->counts.kept, kept);
}

static void what_is_the_same_is_no_part(void **state)
{
	struct diff_world *d = *state;
	struct picked p;

	both_dirs(d, "d");
	both(d, "d/same", "x");
	file(d->lower, "d/mod", "x");
	file(d->upper, "d/mod", "y");
	file(d->lower, "d/del", "x");
	gone(d->upper, "d/del");
	file(d->upper, "new", "x");
	both(d, "alike", "x");
	p = pick(d, NULL);
	assert_string_equal(text(d, &p), "d d/del d/mod new | alike d/same |");
	assert_counts(&p, 1, 1, 1, 0);
	selection_done(&p.s);
	selection_done(&p.s);
}

static void what_an_opaque_folder_hides_is_counted_only(void **state)
{
	struct diff_world *d = *state;
	struct picked p;

	both_dirs(d, "d");
	file(d->lower, "d/hidden", "x");
	file(d->upper, "d/new", "x");
	xattr(d->upper, "d", "user.overlay.opaque", "y");
	p = pick(d, NULL);
	assert_string_equal(text(d, &p), "d d/new | |");
	assert_counts(&p, 1, 0, 1, 0);
	selection_done(&p.s);
}

static void what_is_excluded_stays_as_a_whole(void **state)
{
	struct diff_world *d = *state;
	struct picked p;

	both_dirs(d, "d");
	file(d->upper, "d/x.log", "x");
	file(d->upper, "d/y", "x");
	dir(d->upper, "cache");
	file(d->upper, "cache/a", "x");
	dir(d->upper, "cache/b");
	file(d->upper, "cache/b/c", "x");
	file(d->lower, "gone.log", "x");
	gone(d->upper, "gone.log");
	p = pick(d, logs);
	assert_string_equal(text(d, &p), "d d/y | | cache d/x.log gone.log");
	assert_counts(&p, 1, 0, 0, 6);
	selection_done(&p.s);
	/* Nothing else is left: then there is no layer. */
	assert_int_equal(unlinkat(d->upper, "d/y", 0), 0);
	p = pick(d, logs);
	assert_counts(&p, 0, 0, 0, 6);
	selection_done(&p.s);
}

/* So that a layer does not depend on what is left out of it. */
static void a_folder_of_nothing_else_stays_too(void **state)
{
	struct diff_world *d = *state;
	struct picked p;

	both_dirs(d, "d");
	both_dirs(d, "d/e");
	both(d, "d/e/same", "x");
	file(d->upper, "d/e/x.log", "x");
	file(d->upper, "new", "x");
	p = pick(d, logs);
	assert_string_equal(text(d, &p), "new | | d");
	assert_counts(&p, 1, 0, 0, 1);
	tidy(d, &p, INT64_MAX);
	assert_true(there(d->upper, "d/e/x.log"));
	selection_done(&p.s);
	/* A file with another name in the layer cannot stay with it. */
	assert_int_equal(linkat(d->upper, "d/e/same", d->upper, "other", 0), 0);
	p = pick(d, logs);
	assert_string_equal(text(d, &p), "d d/e d/e/same new other | | d/e/x.log");
	tidy(d, &p, INT64_MAX);
	assert_true(there(d->upper, "d/e/x.log"));
	/* Its other name is new: both are one file in the layer. */
	assert_true(there(d->upper, "d/e/same"));
	selection_done(&p.s);
}

/* What is written to never shares an inode with a layer. */
static void a_hard_link_is_committed_all_the_same(void **state)
{
	struct diff_world *d = *state;
	struct picked p;

	file(d->upper, "x.log", "x");
	assert_int_equal(linkat(d->upper, "x.log", d->upper, "y", 0), 0);
	dir(d->upper, "cache");
	file(d->upper, "cache/a", "x");
	file(d->upper, "cache/b", "x");
	assert_int_equal(linkat(d->upper, "cache/b", d->upper, "z", 0), 0);
	file(d->upper, "alone.log", "x");
	p = pick(d, logs);
	assert_string_equal(text(d, &p), "cache cache/a cache/b x.log y z | | alone.log");
	assert_counts(&p, 6, 0, 0, 1);
	selection_done(&p.s);
}

static void a_tidy_upper_has_changes_alone(void **state)
{
	struct diff_world *d = *state;
	const struct timespec times[2] = {{.tv_sec = 50}, {.tv_sec = 50}};
	struct picked p;
	struct stat st;

	both_dirs(d, "d");
	both_dirs(d, "same");
	both(d, "same/file", "x");
	both(d, "d/same", "x");
	file(d->upper, "d/new", "x");
	xattr(d->upper, "d", "user.overlay.origin", "z");
	xattr(d->upper, "d", "user.overlay.opaque", "x");
	xattr(d->upper, "d/new", "user.overlay.redirect", "z");
	xattr(d->upper, "d/new", "user.kept", "z");
	assert_int_equal(utimensat(d->upper, "d", times, 0), 0);
	p = pick(d, NULL);
	assert_string_equal(text(d, &p), "d d/new | d/same same same/file |");
	tidy(d, &p, INT64_MAX);
	assert_false(there(d->upper, "same"));
	assert_false(there(d->upper, "d/same"));
	assert_true(there(d->upper, "d/new"));
	assert_false(has_xattr(d->upper, "d", "user.overlay.origin"));
	assert_false(has_xattr(d->upper, "d", "user.overlay.opaque"));
	assert_false(has_xattr(d->upper, "d/new", "user.overlay.redirect"));
	assert_true(has_xattr(d->upper, "d/new", "user.kept"));
	/* As it was before something was removed from it. */
	assert_int_equal(fstatat(d->upper, "d", &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, 50);
	selection_done(&p.s);
}

static void the_mark_of_an_opaque_folder_stays(void **state)
{
	struct diff_world *d = *state;
	struct picked p;

	both_dirs(d, "d");
	file(d->lower, "d/hidden", "x");
	xattr(d->upper, "d", "user.overlay.opaque", "y");
	xattr(d->upper, "d", "user.overlay.origin", "z");
	p = pick(d, NULL);
	tidy(d, &p, INT64_MAX);
	assert_true(has_xattr(d->upper, "d", "user.overlay.opaque"));
	assert_false(has_xattr(d->upper, "d", "user.overlay.origin"));
	selection_done(&p.s);
}

static void no_time_is_later_than_the_newest(void **state)
{
	struct diff_world *d = *state;
	struct picked p;
	struct stat st;

	dir(d->upper, "d");
	file(d->upper, "d/x", "x");
	assert_int_equal(symlinkat("to", d->upper, "d/l"), 0);
	p = pick(d, NULL);
	tidy(d, &p, 900);
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = {"d", "d/x", "d/l"};

		assert_int_equal(fstatat(d->upper, names[i], &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_mtim.tv_sec, 900);
	}
	selection_done(&p.s);
}

static void sockets_are_removed(void **state)
{
	struct diff_world *d = *state;
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct picked p;

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/upper/s", d->w->dir);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	p = pick(d, NULL);
	assert_string_equal(text(d, &p), "| s |");
	tidy(d, &p, INT64_MAX);
	assert_false(there(d->upper, "s"));
	selection_done(&p.s);
}

static void what_an_opaque_folder_hides_has_to_be_in_it(void **state)
{
	struct diff_world *d = *state;
	struct picked p;

	both_dirs(d, "d");
	both(d, "d/same", "x");
	both_dirs(d, "d/sub");
	both(d, "d/sub/same", "x");
	xattr(d->upper, "d", "user.overlay.opaque", "y");
	gone(d->upper, "d/never");
	file(d->upper, "d/new", "x");
	p = pick(d, NULL);
	assert_string_equal(text(d, &p), "d d/new d/same d/sub d/sub/same | d/never |");
	assert_counts(&p, 1, 0, 0, 0);
	tidy(d, &p, INT64_MAX);
	assert_true(has_xattr(d->upper, "d", "user.overlay.opaque"));
	assert_true(there(d->upper, "d/sub/same"));
	assert_false(there(d->upper, "d/never"));
	selection_done(&p.s);
}

/* It goes at once: between two of its files, something would be missing. */
static void an_opaque_folder_that_shows_the_same_goes_as_a_whole(void **state)
{
	struct diff_world *d = *state;
	struct picked p;

	both_dirs(d, "d");
	both(d, "d/same", "x");
	xattr(d->upper, "d", "user.overlay.opaque", "y");
	file(d->upper, "new", "x");
	p = pick(d, NULL);
	assert_string_equal(text(d, &p), "new | |");
	assert_int_equal(p.s.same.n, 1);
	assert_string_equal(p.s.same.v[0].path, "d");
	tidy(d, &p, INT64_MAX);
	assert_false(there(d->upper, "d"));
	assert_true(there(d->upper, "upper.same.0/same"));
	selection_done(&p.s);
}

static void make_socket(int dir_fd, const char *name)
{
	assert_int_equal(mknodat(dir_fd, name, S_IFSOCK | 0600, 0), 0);
}

static void a_socket_is_no_change_but_what_it_took_the_place_of(void **state)
{
	struct diff_world *d = *state;
	struct picked p;

	make_socket(d->upper, "socket");
	p = pick(d, NULL);
	assert_string_equal(text(d, &p), "| socket |");
	assert_counts(&p, 0, 0, 0, 0);
	selection_done(&p.s);
	file(d->lower, "was", "x");
	make_socket(d->upper, "was");
	p = pick(d, NULL);
	assert_string_equal(text(d, &p), "was | socket was |");
	assert_counts(&p, 0, 0, 1, 0);
	tidy(d, &p, INT64_MAX);
	assert_false(there(d->upper, "socket"));
	assert_int_equal(faccessat(d->upper, "was", F_OK, 0), 0);
	selection_done(&p.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIFF_TEST(what_is_the_same_is_no_part),
		DIFF_TEST(what_an_opaque_folder_hides_is_counted_only),
		DIFF_TEST(what_is_excluded_stays_as_a_whole),
		DIFF_TEST(a_folder_of_nothing_else_stays_too),
		DIFF_TEST(a_hard_link_is_committed_all_the_same),
		DIFF_TEST(a_tidy_upper_has_changes_alone),
		DIFF_TEST(the_mark_of_an_opaque_folder_stays),
		DIFF_TEST(no_time_is_later_than_the_newest),
		DIFF_TEST(sockets_are_removed),
		DIFF_TEST(what_an_opaque_folder_hides_has_to_be_in_it),
		DIFF_TEST(an_opaque_folder_that_shows_the_same_goes_as_a_whole),
		DIFF_TEST(a_socket_is_no_change_but_what_it_took_the_place_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
