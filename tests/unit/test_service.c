/* Programs that serve a sandbox: what they start with, what is kept of what they say, how they end. */
#include <string.h>

#include "run/service.h"
#include "run_world.h"

#define WORDS(...)                \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

static struct service started(const char *const *argv)
{
	const struct service_how how = {.argv = argv};
	struct service s = SERVICE_NONE;
	struct err err = {0};

	if (service_start(&how, &s, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(s.pid > 0 && s.err_fd >= 0);
	assert_string_equal(s.program, argv[0]);
	return s;
}

/* Let it run to its end. */
static int end_of(struct service *s)
{
	struct err err = {0};
	int status = -1;

	while (s->err_fd >= 0) {
		assert_true(readable(s->err_fd));
		service_listen(s);
	}
	assert_int_equal(proc_wait(s->pid, &status, &err), 0);
	return status;
}

static void ends_so(const char *const *argv, const char *message)
{
	struct service s = started(argv);
	int status = end_of(&s);
	struct err err = {0};

	assert_int_equal(service_failed(&s, status, &err), -1);
	assert_string_equal(err.msg, message);
	service_done(&s);
}

static void its_last_words_are_the_cause(void **state)
{
	(void)state;
	ends_so(WORDS("/bin/sh", "-c", "echo one >&2; echo 'two  words' >&2; echo >&2; exit 3"),
		"'sh' failed: two  words");
	ends_so(WORDS("/bin/sh", "-c", "printf 'no newline' >&2; exit 1"),
		"'sh' failed: no newline");
	ends_so(WORDS("/bin/sh", "-c", "exit 3"), "'sh' ended with exit status 3");
	ends_so(WORDS("/bin/true"), "'true' ended with exit status 0");
	ends_so(WORDS("/bin/sh", "-c", "kill -KILL $$"), "'sh' was killed by signal 9");
	ends_so(WORDS("/bin/sh", "-c", "echo bad luck >&2; kill -TERM $$"),
		"'sh' was killed by signal 15: bad luck");
	ends_so(WORDS("/nowhere/program"),
		"'program' failed: cannot run it: No such file or directory");
}

static void of_much_talk_the_end_is_kept(void **state)
{
	struct service s = started(WORDS(
		"/bin/sh", "-c",
		"i=0; while [ $i -lt 3000 ]; do echo \"line $i of them\" >&2; i=$((i+1)); done"));
	int status = end_of(&s);
	struct err err = {0};

	(void)state;
	assert_int_equal(s.n, SERVICE_TAIL - 1);
	assert_int_equal(strlen(s.tail), SERVICE_TAIL - 1);
	assert_true(str_ends(s.tail, "line 2998 of them\nline 2999 of them\n"));
	(void)service_failed(&s, status, &err);
	assert_string_equal(err.msg, "'sh' failed: line 2999 of them");
	/* A line that is longer than what is kept. */
	s = started(WORDS("/bin/sh", "-c", "printf '%02000d' 7 >&2"));
	status = end_of(&s);
	assert_int_equal(s.n, SERVICE_TAIL - 1);
	assert_true(str_ends(s.tail, "0007"));
}

static void little_pieces_are_put_together(void **state)
{
	struct service s = SERVICE_NONE;
	char all[300 * 7 + 1];
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	s.program = "/bin/x";
	s.err_fd = ends[0];
	for (int i = 0; i < 300; i++) {
		char *at = all + (size_t)7 * (size_t)i;

		(void)snprintf(at, 8, "%06d ", i);
		assert_int_equal(write(ends[1], at, 7), 7);
		service_listen(&s);
	}
	assert_int_equal(s.n, SERVICE_TAIL - 1);
	assert_int_equal(strlen(s.tail), SERVICE_TAIL - 1);
	assert_true(str_ends(all, s.tail));
	/* Nobody waits for what has not been said yet; its end closes the descriptor. */
	assert_true(s.err_fd == ends[0]);
	(void)close(ends[1]);
	service_listen(&s);
	assert_int_equal(s.err_fd, -1);
	service_listen(&s);
}

/* Its own view: descriptors (less the one of the listing), environment, signals. */
static const char view[] =
	"for f in /proc/$$/fd/*; do [ -e \"$f\" ] && echo \"${f##*/}\" >&2; done; "
	"l=$(readlink /proc/$$/fd/0 /proc/$$/fd/1); echo \"$l\" >&2; "
	"tr '\\0' ' ' </proc/$$/environ >&2";

static int start_with_fds(void *arg)
{
	int seven = fcntl(0, F_DUPFD_CLOEXEC, 77);
	int other = fcntl(0, F_DUPFD, 70); /* inherited */
	const int fds[] = {seven};
	const struct service_how how = {
		.argv = WORDS("/bin/sh", "-c", view), .fds = fds, .n_fds = 1};
	struct service s = SERVICE_NONE;
	struct err err = {0};
	sigset_t all;

	(void)arg;
	REQUIRE(seven == 77 && other == 70 && setenv("SECRET", "x", 1) == 0);
	REQUIRE(sigfillset(&all) == 0 && sigprocmask(SIG_SETMASK, &all, NULL) == 0);
	REQUIRE_DONE(service_start(&how, &s, &err));
	while (s.err_fd >= 0 && readable(s.err_fd))
		service_listen(&s);
	if (strcmp(s.tail, "0\n1\n2\n77\n/dev/null\n/dev/null\n"
			   "PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 ") != 0) {
		(void)fprintf(stderr, "# %s\n", s.tail);
		return 1;
	}
	/* A shell puts its signals in order by itself; this one does not. */
	s = started(WORDS("/bin/sed", "-n", "/SigBlk/w /dev/stderr", "/proc/self/status"));
	while (s.err_fd >= 0 && readable(s.err_fd))
		service_listen(&s);
	REQUIRE(strcmp(s.tail, "SigBlk:\t0000000000000000\n") == 0);
	return 0;
}

static void it_starts_with_nothing_of_ours_but_its_fds(void **state)
{
	(void)state;
	assert_int_equal(proc_call(start_with_fds, NULL), 0);
}

/* The service tells that it is there, and then its starter ends without a word. */
static int start_and_leave(void *arg)
{
	const int *held = arg;
	const struct service_how how = {
		.argv = WORDS("/bin/sh", "-c", "echo up >&2; exec sleep 1000"),
		.fds = held,
		.n_fds = 1};
	struct service s = SERVICE_NONE;
	struct err err = {0};

	REQUIRE_DONE(service_start(&how, &s, &err));
	while (s.n < 3 && readable(s.err_fd))
		service_listen(&s);
	REQUIRE(strcmp(s.tail, "up\n") == 0);
	return 0;
}

static void it_dies_with_its_starter(void **state)
{
	char text[16];
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(proc_call(start_and_leave, &ends[1]), 0);
	(void)close(ends[1]);
	/* The end of file comes when nobody holds the other end any more. */
	assert_int_equal(read_to_end(ends[0], text, sizeof(text)), 0);
	(void)close(ends[0]);
}

static int start_as_root(const struct world *w)
{
	const struct service_how how = {.argv = WORDS("/bin/sh", "-c", "id -u >&2; id -g >&2"),
					.as_root = true};
	struct service s = SERVICE_NONE;
	struct err err = {0};

	(void)w;
	REQUIRE_DONE(service_start(&how, &s, &err));
	while (s.err_fd >= 0 && readable(s.err_fd))
		service_listen(&s);
	REQUIRE(strcmp(s.tail, "0\n0\n") == 0);
	return 0;
}

static void it_can_be_the_namespaces_root(void **state)
{
	in_namespace(*state, start_as_root);
}

/* In a child that may not, since it has no other id. */
static int start_as_root_without_right(void *arg)
{
	const struct service_how how = {.argv = WORDS("/bin/true"), .as_root = true};
	struct service s = SERVICE_NONE;
	struct err err = {0};
	int status = -1;

	(void)arg;
	REQUIRE(geteuid() != 0 || setresuid(4321, 4321, 4321) == 0);
	REQUIRE_DONE(service_start(&how, &s, &err));
	while (s.err_fd >= 0 && readable(s.err_fd))
		service_listen(&s);
	REQUIRE_DONE(proc_wait(s.pid, &status, &err));
	REQUIRE(service_failed(&s, status, &err) == -1);
	REQUIRE(strcmp(err.msg, "'true' failed: cannot become root of the user namespace: "
				"Operation not permitted") == 0);
	return 0;
}

static void what_it_cannot_become_is_told(void **state)
{
	(void)state;
	assert_int_equal(proc_call(start_as_root_without_right, NULL), 0);
}

static void an_empty_one_can_be_done_with(void **state)
{
	struct service zero = {0};
	struct service none = SERVICE_NONE;
	struct service s = started(WORDS("/bin/true"));
	int fd = s.err_fd;
	int status;
	struct err err = {0};

	(void)state;
	service_done(NULL);
	service_done(&none);
	service_done(&zero);
	/* Standard input is still there. */
	assert_true(fcntl(0, F_GETFD) >= 0 || errno == EBADF);
	assert_int_equal(zero.err_fd, 0);
	service_done(&s);
	assert_int_equal(s.err_fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(proc_wait(s.pid, &status, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_last_words_are_the_cause),
		cmocka_unit_test(of_much_talk_the_end_is_kept),
		cmocka_unit_test(little_pieces_are_put_together),
		cmocka_unit_test(it_starts_with_nothing_of_ours_but_its_fds),
		cmocka_unit_test(it_dies_with_its_starter),
		TEST(it_can_be_the_namespaces_root),
		cmocka_unit_test(what_it_cannot_become_is_told),
		cmocka_unit_test(an_empty_one_can_be_done_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
