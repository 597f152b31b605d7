/* An environment's files from outside: run/view, and run/remove over it. */
#include <string.h>

#include "launch_world.h"
#include "run/view.h"

struct looked {
	int out; /* a pipe: what a child finds out */
};

static int has(int dir, const char *path)
{
	return faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int look(const struct view *v, void *arg, struct err *err)
{
	const struct looked *l = arg;
	const char *const text[] = {
		has(v->lower, "etc/os-release") ? "base " : "",
		has(v->lower, "made") ? "made-below " : "",
		has(v->upper, "made") ? "made " : "",
		mkdirat(v->lower, "new", 0755) < 0 ? "" : "wrote-below ",
		mkdirat(v->upper, "kept", 0750) == 0 ? "kept " : "",
	};

	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		if (fs_write_all(l->out, text[i], strlen(text[i])) < 0)
			return err_errno(err, errno, "cannot tell");
	return 0;
}

static void a_view_has_the_base_and_the_upper_apart(void **state)
{
	struct box b = box_new(*state, "");
	struct looked l = {0};
	char text[256];
	struct err err = {0};
	struct stat st;
	int ends[2];

	if (!b.plan) {
		box_done(&b);
		return;
	}
	(void)box_run(&b, -1, "echo new >/made", true);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	l.out = ends[1];
	if (view_call(b.plan, &(struct view_job){.fn = look, .arg = &l, .walks = true}, &err) < 0)
		fail_msg("%s", err.msg);
	(void)close(ends[1]);
	assert_int_equal(read_to_end(ends[0], text, sizeof(text)), 0);
	(void)close(ends[0]);
	assert_string_equal(text, "base made kept ");
	/* What is made there is the user's own. */
	assert_int_equal(stat(arena_printf(b.w->a, "%s/%s/kept", b.env.dir, b.env.upper), &st), 0);
	assert_int_equal(st.st_uid, getuid());
	assert_int_equal(st.st_gid, getgid());
	box_done(&b);
}

static int fail_so(void *arg, struct err *err)
{
	(void)err_set(err, "cannot do '%s'", (const char *)arg);
	return err_hint(err, "try again");
}

static int is_capable(void *arg, struct err *err)
{
	(void)arg;
	if (chroot("/") < 0)
		return err_errno(err, errno, "cannot do what root may");
	return 0;
}

static int be_killed(void *arg, struct err *err)
{
	(void)arg;
	(void)err;
	return raise(SIGKILL);
}

static void what_a_call_says_comes_back(void **state)
{
	struct box b = box_new(*state, "");
	char arg[] = "it";
	struct err err = {0};

	if (b.plan) {
		assert_int_equal(userns_call(b.plan, fail_so, arg, &err), -1);
		assert_string_equal(err.msg, "cannot do 'it'");
		assert_string_equal(err.hint, "try again");
		err = (struct err){0};
		if (userns_call(b.plan, is_capable, arg, &err) < 0)
			fail_msg("%s", err.msg);
		assert_int_equal(userns_call(b.plan, be_killed, arg, &err), -1);
		assert_string_equal(err.msg, "the helper in the user namespace was killed");
	}
	box_done(&b);
}

_Noreturn static void wait_long(void)
{
	for (;;)
		(void)pause();
}

static int wait_for_ever(const struct view *v, void *arg, struct err *err)
{
	const int *out = arg;

	(void)v;
	(void)err;
	(void)!write(*out, "1", 1);
	wait_long();
}

static void a_view_ends_with_its_caller(void **state)
{
	struct box b = box_new(*state, "");
	struct err err = {0};
	char byte[2];
	int ends[2];
	int status;
	pid_t pid;

	if (!b.plan) {
		box_done(&b);
		return;
	}
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		_exit(view_call(b.plan, &(struct view_job){.fn = wait_for_ever, .arg = &ends[1]},
				&err) < 0);
	(void)close(ends[1]);
	assert_true(readable(ends[0]) && read(ends[0], byte, 1) == 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(proc_wait(pid, &status, &err), 0);
	/* Its end closes the last writing end. */
	assert_int_equal(read_to_end(ends[0], byte, sizeof(byte)), 0);
	(void)close(ends[0]);
	box_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_view_has_the_base_and_the_upper_apart),
		TEST(what_a_call_says_comes_back),
		TEST(a_view_ends_with_its_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
