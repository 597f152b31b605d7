/* Also of store/place, store/accounts and store/unpack_into. */

#include "conf/dockerignore.h"
#include "store/accounts.h"
#include "store/context.h"
#include "store/links.h"
#include "store/place.h"
#include "store/unpack_into.h"
#include "store_world.h"

static int open_dir(const struct world *w, const char *name)
{
	int fd = open(world_path(w, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void make_context(const struct world *w)
{
	world_mkdir(w, "ctx/d/e");
	world_write(w, "ctx/a.txt", "a");
	world_write(w, "ctx/b.txt", "b");
	world_write(w, "ctx/d/c", "c");
	world_write(w, "ctx/d/e/f", "f");
	assert_int_equal(symlink("c", world_path(w, "ctx/d/l")), 0);
	assert_int_equal(mkfifo(world_path(w, "ctx/d/p"), 0600), 0);
	assert_int_equal(symlink("/etc", world_path(w, "ctx/out")), 0);
	assert_int_equal(symlink("../../..", world_path(w, "ctx/up")), 0);
}

static const char *found(const struct world *w, const struct context *c, const char *pattern)
{
	_cleanup_buf_ struct buf b = {0};
	struct strv list = {0};
	struct err err = {0};

	if (context_find(w->a, c, pattern, &list, &err) < 0)
		return arena_strdup(w->a, err.msg);
	for (size_t i = 0; i < list.n; i++)
		buf_printf(&b, "%s%s", i ? " " : "", list.v[i]);
	return arena_strdup(w->a, b.p ? b.p : "");
}

static void patterns_find_what_is_there(void **state)
{
	const struct world *w = *state;
	struct context c = {.fd = -1};
	struct dockerignore ignore = {0};
	struct err err = {0};
	_cleanup_fd_ int fd = -1;

	make_context(w);
	c.fd = fd = open_dir(w, "ctx");
	assert_string_equal(found(w, &c, "*.txt"), "a.txt b.txt");
	assert_string_equal(found(w, &c, "/d/c"), "d/c");
	assert_string_equal(found(w, &c, "../../d/../a.txt"), "a.txt");
	assert_string_equal(found(w, &c, "?/[ce]"), "d/c d/e");
	assert_string_equal(found(w, &c, "."), "");
	assert_string_equal(found(w, &c, "none"), "there is no 'none' in the context");
	assert_string_equal(found(w, &c, "x*"), "there is no 'x*' in the context");
	assert_string_equal(found(w, &c, "[a"), "'[a' is not a pattern");
	assert_int_equal(dockerignore_parse(w->a, "i", "b.txt\n", 6, &ignore, &err), 0);
	c.ignore = &ignore;
	assert_string_equal(found(w, &c, "*.txt"), "a.txt");
	assert_string_equal(found(w, &c, "b.txt"),
			    "there is no 'b.txt' in the context, for it is ignored");
}

static void links_do_not_leave_the_context(void **state)
{
	const struct world *w = *state;
	struct context c = {.fd = -1};
	_cleanup_fd_ int fd = -1;
	struct strv list = {0};
	struct err err = {0};

	make_context(w);
	c.fd = fd = open_dir(w, "ctx");
	assert_int_equal(context_find(w->a, &c, "out/passwd", &list, &err), -1);
	assert_string_equal(err.msg, "cannot take 'out/passwd': a link leads out of the context");
	assert_string_equal(err.hint, "copy what it leads to into the context");
	assert_int_equal(context_find(w->a, &c, "up/etc/*", &list, &err), -1);
	assert_non_null(strstr(err.msg, "a link leads out of the context"));
	/* In a root, the same link stays inside. */
	c.root = true;
	assert_string_equal(found(w, &c, "out/passwd"), "there is no 'out/passwd' in the context");
}

struct seen {
	struct buf b;
	struct digest *d;
};

static int see(void *arg, const struct context_item *item, struct err *err)
{
	struct seen *s = arg;

	buf_printf(&s->b, "[%s>%s%s%s]", item->path, item->to, item->link ? "=" : "",
		   item->link ? item->link : "");
	return s->d ? context_digest(s->d, item, false, err) : 0;
}

static const char *digest_of(const struct world *w, const struct context *c)
{
	struct seen s = {.d = digest_new()};
	struct err err = {0};
	char *hex = arena_alloc(w->a, DIGEST_HEX + 1);

	assert_int_equal(context_walk(c, "d", see, &s, &err), 0);
	digest_end(s.d, hex);
	buf_done(&s.b);
	return hex;
}

static void a_walk_sees_all_in_order(void **state)
{
	const struct world *w = *state;
	struct context c = {.fd = -1};
	struct dockerignore ignore = {0};
	_cleanup_fd_ int fd = -1;
	struct seen s = {0};
	struct err err = {0};
	const char *before;

	make_context(w);
	c.fd = fd = open_dir(w, "ctx");
	assert_int_equal(context_walk(&c, "d", see, &s, &err), 0);
	assert_string_equal(s.b.p, "[d>][d/c>c][d/e>e][d/e/f>e/f][d/l>l=c][d/p>p]");
	buf_done(&s.b);
	assert_int_equal(dockerignore_parse(w->a, "i", "d\n!d/e/f\n", 9, &ignore, &err), 0);
	c.ignore = &ignore;
	assert_int_equal(context_walk(&c, "d", see, &s, &err), 0);
	assert_string_equal(s.b.p, "[d>][d/e/f>e/f]");
	buf_done(&s.b);
	c.ignore = NULL;
	/* A FIFO is never opened. */
	assert_int_equal(context_walk(&c, "d/p", see, &s, &err), -1);
	assert_string_equal(err.msg, "cannot copy 'd/p': it is neither a file nor a folder");

	before = digest_of(w, &c);
	assert_string_equal(digest_of(w, &c), before);
	world_write(w, "ctx/d/e/f", "g");
	assert_string_not_equal(digest_of(w, &c), before);
	world_write(w, "ctx/d/e/f", "f");
	assert_string_equal(digest_of(w, &c), before);
	assert_int_equal(chmod(world_path(w, "ctx/d/e/f"), 0600), 0);
	assert_string_not_equal(digest_of(w, &c), before);
}

/* ---- place ---- */

static int put(void *arg, const struct context_item *item, struct err *err)
{
	struct place *p = arg;
	const char *path = *item->to ? arena_printf(p->a, "/lib/new/%s", item->to) : "/lib/new";

	return place_item(p, path, item, err);
}

static struct place make_place(const struct world *w, int root)
{
	return (struct place){
		.a = w->a, .root = root, .set_owner = true, .uid = getuid(), .gid = getgid()};
}

static void assert_text(const struct world *w, const char *path, const char *want)
{
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	assert_int_equal(fs_read_at(AT_FDCWD, world_path(w, path), 4096, &b, &err), 0);
	assert_string_equal(b.p ? b.p : "", want);
}

/* /lib is a link to a folder of the host's own path: inside the root it is another one. */
static void what_is_put_stays_in_the_root(void **state)
{
	const struct world *w = *state;
	struct context c = {.fd = -1};
	_cleanup_links_ struct links *links = links_new();
	_cleanup_fd_ int fd = -1;
	_cleanup_fd_ int root = -1;
	struct place p;
	struct stat x;
	struct stat y;
	struct err err = {0};

	make_context(w);
	assert_int_equal(link(world_path(w, "ctx/d/c"), world_path(w, "ctx/d/z")), 0);
	world_mkdir(w, "root/usr");
	world_mkdir(w, "host");
	assert_int_equal(symlink(world_path(w, "host"), world_path(w, "root/lib")), 0);
	world_mkdir(w, arena_printf(w->a, "root%s", world_path(w, "host")));
	c.fd = fd = open_dir(w, "ctx");
	root = open_dir(w, "root");
	p = make_place(w, root);
	p.links = links;
	assert_int_equal(context_walk(&c, "d", put, &p, &err), 0);
	assert_int_equal(place_finish(&p, &err), 0);
	assert_text(w, arena_printf(w->a, "root%s/new/e/f", world_path(w, "host")), "f");
	assert_int_equal(access(world_path(w, "host/new"), F_OK), -1);
	assert_int_equal(
		stat(arena_printf(w->a, "%s/root%s/new/c", w->dir, world_path(w, "host")), &x), 0);
	assert_int_equal(
		stat(arena_printf(w->a, "%s/root%s/new/z", w->dir, world_path(w, "host")), &y), 0);
	assert_int_equal(x.st_ino, y.st_ino);
	assert_int_equal(stat(world_path(w, "ctx/d/c"), &y), 0);
	assert_int_equal(x.st_mtime, y.st_mtime);
	assert_int_equal(
		lstat(arena_printf(w->a, "%s/root%s/new/p", w->dir, world_path(w, "host")), &x), 0);
	assert_true(S_ISFIFO(x.st_mode));
}

static int put_at(void *arg, const struct context_item *item, struct err *err)
{
	struct place *p = arg;

	return place_item(p, "/t", item, err);
}

static void a_file_takes_the_place_of_a_file_alone(void **state)
{
	const struct world *w = *state;
	struct context c = {.fd = -1};
	_cleanup_fd_ int fd = -1;
	_cleanup_fd_ int root = -1;
	struct place p;
	struct err err = {0};
	struct stat st;

	make_context(w);
	world_mkdir(w, "root");
	world_write(w, "canary", "safe");
	assert_int_equal(symlink(world_path(w, "canary"), world_path(w, "root/t")), 0);
	c.fd = fd = open_dir(w, "ctx");
	root = open_dir(w, "root");
	p = make_place(w, root);
	p.set_mode = true;
	p.mode = 0640;
	assert_int_equal(context_walk(&c, "a.txt", put_at, &p, &err), 0);
	assert_text(w, "root/t", "a");
	assert_text(w, "canary", "safe");
	assert_int_equal(lstat(world_path(w, "root/t"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(context_walk(&c, "d/e", put_at, &p, &err), -1);
	assert_string_equal(err.msg, "cannot copy a folder over the file '/t'");
	assert_int_equal(unlink(world_path(w, "root/t")), 0);
	world_mkdir(w, "root/t");
	assert_int_equal(context_walk(&c, "a.txt", put_at, &p, &err), -1);
	assert_string_equal(err.msg, "cannot copy a file over the folder '/t'");
	assert_true(place_is_folder(&p, "/t"));
	assert_false(place_is_folder(&p, "/none"));
}

/* ---- accounts ---- */

static void accounts_are_read_inside_the_root(void **state)
{
	const struct world *w = *state;
	static const struct {
		const char *spec;
		uid_t uid;
		gid_t gid;
		const char *home;
	} good[] = {
		{"me", 7, 8, "/h"},     {"7", 7, 8, "/h"},  {"me:grp", 7, 9, "/h"},
		{"me:12", 7, 12, "/h"}, {"99", 99, 0, "/"}, {"99:grp", 99, 9, "/"},
	};
	struct account found;
	struct err err = {0};
	_cleanup_fd_ int root = -1;

	world_mkdir(w, "root/etc");
	world_write(w, "root/etc/passwd",
		    "short\nroot:x:0:0::/root:/bin/sh\nme:x:7:8::/h:/bin/sh\n");
	world_write(w, "root/etc/group", "grp:x:9:\n");
	root = open_dir(w, "root");
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(accounts_find(w->a, root, good[i].spec, &found, &err), 0);
		assert_int_equal(found.uid, good[i].uid);
		assert_int_equal(found.gid, good[i].gid);
		assert_string_equal(found.home, good[i].home);
	}
	assert_int_equal(accounts_find(w->a, root, "you", &found, &err), -1);
	assert_string_equal(err.msg,
			    "there is no user 'you' in the root's /etc/passwd: No such file "
			    "or directory");
	assert_int_equal(accounts_find(w->a, root, "me:you", &found, &err), -1);
	assert_non_null(strstr(err.msg, "there is no group 'you'"));
	/* THREATS.md C9: it neither hangs nor is the host's. */
	assert_int_equal(unlink(world_path(w, "root/etc/passwd")), 0);
	assert_int_equal(mkfifo(world_path(w, "root/etc/passwd"), 0644), 0);
	assert_int_equal(accounts_find(w->a, root, "root", &found, &err), -1);
	assert_int_equal(unlink(world_path(w, "root/etc/passwd")), 0);
	assert_int_equal(symlink("/etc/../../../../etc/passwd", world_path(w, "root/etc/passwd")),
			 0);
	assert_int_equal(accounts_find(w->a, root, "root", &found, &err), -1);
}

/* ---- archives ---- */

static void an_archive_is_unpacked_into_the_root(void **state)
{
	const struct world *w = *state;
	const char *script = arena_printf(
		w->a,
		"cd '%s' && mkdir t && echo x >t/f && ln t/f t/h && ln -s f t/l && mkdir t/d && "
		"tar --owner=%u --group=%u --numeric-owner -czf t.tar.gz -C t . && tar -cf t.tar -C t f",
		w->dir, (unsigned)getuid(), (unsigned)getgid());
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	struct proc_child child;
	_cleanup_fd_ int gz = -1;
	_cleanup_fd_ int plain = -1;
	_cleanup_fd_ int other = -1;
	_cleanup_fd_ int root = -1;
	struct place p;
	struct err err = {0};

	assert_int_equal(proc_spawn(argv, &child, &err), 0);
	assert_int_equal(proc_finish(&child, &err), 0);
	world_mkdir(w, "root");
	world_write(w, "bz", "BZh91AY&SY");
	root = open_dir(w, "root");
	gz = open(world_path(w, "t.tar.gz"), O_RDONLY | O_CLOEXEC);
	plain = open(world_path(w, "t.tar"), O_RDONLY | O_CLOEXEC);
	other = open(world_path(w, "bz"), O_RDONLY | O_CLOEXEC);
	p = make_place(w, root);
	assert_true(unpack_into_is_archive(gz) && unpack_into_is_archive(plain) &&
		    unpack_into_is_archive(other));
	assert_int_equal(unpack_into(&p, gz, "/x", &err), 0);
	assert_int_equal(place_finish(&p, &err), 0);
	assert_text(w, "root/x/h", "x\n");
	assert_text(w, "root/x/l", "x\n");
	assert_int_equal(access(world_path(w, "root/x/d"), F_OK), 0);
	assert_int_equal(unpack_into(&p, plain, "/y", &err), 0);
	assert_text(w, "root/y/f", "x\n");
	assert_int_equal(unpack_into(&p, other, "/z", &err), -1);
	assert_string_equal(err.msg, "cannot unpack the archive: it is compressed by bzip2 or xz");
	assert_string_equal(err.hint,
			    "compress it by gzip or zstd; or COPY it, and unpack it in a RUN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(patterns_find_what_is_there),
		TEST(links_do_not_leave_the_context),
		TEST(a_walk_sees_all_in_order),
		TEST(what_is_put_stays_in_the_root),
		TEST(a_file_takes_the_place_of_a_file_alone),
		TEST(accounts_are_read_inside_the_root),
		TEST(an_archive_is_unpacked_into_the_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
