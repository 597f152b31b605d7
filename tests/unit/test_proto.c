#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "run/proto.h"

/* Encode, decode, and look: the same. */
static void check_round(const struct proto_body *body)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf b = {0};
	struct proto_body got = {0};
	struct err err = {0};

	assert_int_equal(proto_body_encode(body, &b, &err), 0);
	assert_int_equal(proto_body_decode(a, b.p, b.len, &got, &err), 0);
	assert_string_equal(got.cwd, body->cwd);
	assert_true((got.argv == NULL) == (body->argv == NULL));
	for (size_t i = 0; body->argv && (body->argv[i] || got.argv[i]); i++)
		assert_string_equal(got.argv[i], body->argv[i]);
	assert_non_null(got.env);
	for (size_t i = 0; body->env && (body->env[i] || got.env[i]); i++)
		assert_string_equal(got.env[i], body->env[i]);
}

static void a_body_comes_back_as_it_was(void **state)
{
	static const char *const argv[] = {"sh", "-c", "", "a b\n\xff", NULL};
	static const char *const env[] = {"A=1", "B=", "", NULL};
	static const char *const none[] = {NULL};

	(void)state;
	check_round(&(struct proto_body){argv, env, "/some/where"});
	check_round(&(struct proto_body){argv, none, ""});
	check_round(&(struct proto_body){NULL, env, "/"});
	check_round(&(struct proto_body){NULL, NULL, "/"});
}

static void what_is_decoded_is_its_own(void **state)
{
	static const char *const argv[] = {"true", NULL};
	_cleanup_arena_ struct arena *a = arena_new();
	struct proto_body got = {0};
	struct buf b = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(proto_body_encode(&(struct proto_body){argv, NULL, "/"}, &b, &err), 0);
	assert_int_equal(proto_body_decode(a, b.p, b.len, &got, &err), 0);
	buf_done(&b);
	assert_string_equal(got.argv[0], "true");
}

static void the_longest_body(void **state)
{
	/* Two counts, the word with its end, the empty folder with its. */
	const size_t room = PROTO_BODY_MAX - 2 * sizeof(uint32_t) - 2;
	_cleanup_free_ char *word = malloc(room + 2);
	const char *const argv[] = {word, NULL};
	struct err err = {0};
	struct buf b = {0};

	(void)state;
	assert_non_null(word);
	memset(word, 'x', room);
	word[room] = '\0';
	check_round(&(struct proto_body){argv, NULL, ""});
	word[room] = 'x';
	word[room + 1] = '\0';
	assert_int_equal(proto_body_encode(&(struct proto_body){argv, NULL, ""}, &b, &err), -1);
	assert_int_equal(err.errnum, E2BIG);
	assert_string_equal(err.msg,
			    "cannot pass the command to the sandbox: Argument list too long");
	assert_int_equal(b.len, 0);
}

/* Decode `n` bytes in a block of that size, so that a sanitizer sees a step too far. */
static const char *refusal(const void *bytes, size_t n, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_free_ void *exact = malloc(n ? n : 1);
	struct proto_body got = {.cwd = "untouched"};

	assert_non_null(exact);
	memcpy(exact, bytes, n);
	*err = (struct err){0};
	assert_int_equal(proto_body_decode(a, exact, n, &got, err), -1);
	assert_string_equal(got.cwd, "untouched");
	return err->msg;
}

struct made {
	uint32_t argc, envc;
	char text[16];
};

static void a_damaged_body_is_refused(void **state)
{
	static const char length[] = "cannot read the request: it has a wrong length";
	static const char command[] = "cannot read the request: no command in it";
	static const char damaged[] = "cannot read the request: it is damaged";
	static const char *const argv[] = {"a", "b", NULL};
	_cleanup_free_ char *big = calloc(1, PROTO_BODY_MAX + 1);
	_cleanup_buf_ struct buf whole = {0};
	struct err err = {0};

	(void)state;
	assert_string_equal(refusal("", 0, &err), length);
	assert_string_equal(refusal("\0\0\0\0\0\0\0", 7, &err), length);
	assert_non_null(big);
	assert_string_equal(refusal(big, PROTO_BODY_MAX + 1, &err), length);

	/* No word at all, fewer than it says, and counts beyond reason. */
	assert_string_equal(refusal(&(struct made){0, 0, "\0"}, 9, &err), command);
	assert_string_equal(refusal(&(struct made){2, 0, "ab"}, 11, &err), command);
	assert_string_equal(refusal(&(struct made){UINT32_MAX - 1, 0, "a"}, 10, &err), command);
	assert_string_equal(refusal(&(struct made){1, UINT32_MAX, "a\0"}, 11, &err), damaged);
	assert_string_equal(refusal(&(struct made){1, 2, "a\0b\0"}, 12, &err), damaged);

	/* No folder, one without its end, and something behind it. */
	assert_string_equal(refusal(&(struct made){1, 0, "a"}, 10, &err), damaged);
	assert_string_equal(refusal(&(struct made){1, 0, "a\0/"}, 11, &err), damaged);
	assert_string_equal(refusal(&(struct made){1, 0, "a\0/\0x"}, 13, &err), damaged);

	/* Cut at any place. */
	assert_int_equal(proto_body_encode(&(struct proto_body){argv, argv, "/"}, &whole, &err), 0);
	for (size_t n = 0; n < whole.len; n++)
		assert_string_not_equal(refusal(whole.p, n, &err), "");
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void pair(int ret[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret), 0);
}

static void a_message_passes_with_its_fds(void **state)
{
	struct proto_msg msg = {.number = -7, .foreground = 1, .u.run = {.rows = 9, .umask = 022}};
	struct proto_msg got = {0};
	struct err err = {0};
	int fds[PROC_MAX_FDS];
	int socks[2];
	size_t n = 0;

	(void)state;
	pair(socks);
	assert_int_equal(proto_send(socks[0], PROTO_RUN, &msg, socks, 2), 0);
	assert_int_equal(proto_recv(socks[1], &got, fds, &n, &err), 1);
	assert_int_equal(got.version, PROTO_VERSION);
	assert_int_equal(got.type, PROTO_RUN);
	assert_int_equal(got.number, -7);
	assert_int_equal(got.u.run.rows, 9);
	assert_int_equal(n, 2);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
	assert_int_equal(close(socks[0]), 0);
	assert_int_equal(proto_recv(socks[1], &got, fds, &n, &err), 0);
	assert_int_equal(close(socks[1]), 0);
}

static void a_question_is_answered(void **state)
{
	struct proto_msg msg = {0};
	struct err err = {0};
	const int before = count_fds();
	int socks[2];
	int fd = 9;

	(void)state;
	pair(socks);
	assert_int_equal(proto_send(socks[0], PROTO_ROOT_IS, &msg, socks, 2), 0);
	msg.number = 7;
	assert_int_equal(proto_ask(socks[1], PROTO_SHOW_ROOT, &msg, &fd, &err), 0);
	assert_int_equal(msg.type, PROTO_ROOT_IS);
	assert_int_equal(msg.number, 0);
	/* Of two the first. */
	assert_int_equal(count_fds(), before + 3);
	assert_int_equal(close(fd), 0);
	assert_int_equal(proto_recv(socks[0], &msg, NULL, NULL, &err), 1);
	assert_true(msg.type == PROTO_SHOW_ROOT && msg.number == 7);

	assert_int_equal(proto_send(socks[0], PROTO_FAILED, &msg, NULL, 0), 0);
	assert_int_equal(proto_ask(socks[1], PROTO_DIAL, &msg, &fd, &err), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(proto_send(socks[0], PROTO_INFO_IS, &msg, socks, 1), 0);
	assert_int_equal(proto_ask(socks[1], PROTO_INFO, &msg, NULL, &err), 0);
	assert_int_equal(count_fds(), before + 2);

	proto_answer_fd(socks[0], PROTO_DIALLED, socks[0]);
	assert_int_equal(proto_ask(socks[1], PROTO_DIAL, &msg, &fd, &err), 0);
	assert_true(msg.type == PROTO_DIALLED && fd >= 0);
	assert_int_equal(close(fd), 0);
	proto_answer_fd(socks[0], PROTO_DIALLED, -1);
	assert_int_equal(proto_ask(socks[1], PROTO_DIAL, &msg, &fd, &err), 0);
	assert_true(msg.type == PROTO_FAILED && fd == -1);
	assert_int_equal(proto_failed_errno(&msg), EBADF);
	assert_string_equal(msg.u.err.msg,
			    "the sandbox cannot pass a descriptor on: Bad file descriptor");

	assert_int_equal(close(socks[0]), 0);
	assert_int_equal(proto_ask(socks[1], PROTO_DIAL, &msg, &fd, &err), -1);
	assert_int_equal(err.errnum, EAGAIN);
	assert_true(str_starts(err.msg, "cannot ask the sandbox: it is ending"));
	assert_int_equal(close(socks[1]), 0);
	assert_int_equal(count_fds(), before);
}

static void an_errno_is_one(void **state)
{
	struct proto_msg msg = {0};

	(void)state;
	assert_int_equal(proto_failed_errno(&msg), EPROTO);
	msg.u.err.errnum = -1;
	assert_int_equal(proto_failed_errno(&msg), EPROTO);
	msg.u.err.errnum = 4096;
	assert_int_equal(proto_failed_errno(&msg), EPROTO);
	msg.u.err.errnum = EAGAIN;
	assert_int_equal(proto_failed_errno(&msg), ECONNREFUSED);
	msg.u.err.errnum = EMFILE;
	assert_int_equal(proto_failed_errno(&msg), EMFILE);
}

/* The other side went away with a message unread: that is an end of file, too. */
static void a_reset_is_an_end(void **state)
{
	struct proto_msg msg = {0};
	struct err err = {0};
	int socks[2];

	(void)state;
	pair(socks);
	assert_int_equal(proto_send(socks[0], PROTO_INFO, &msg, NULL, 0), 0);
	assert_int_equal(close(socks[1]), 0);
	assert_int_equal(proto_recv(socks[0], &msg, NULL, NULL, &err), 0);
	assert_int_equal(proto_send(socks[0], PROTO_INFO, &msg, NULL, 0), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(close(socks[0]), 0);
}

static void check_foreign(const void *p, size_t size)
{
	static const char text[] =
		"cannot talk to the sandbox: another version of sbx started it: Protocol error";
	struct proto_msg got;
	struct err err = {0};
	int fds[PROC_MAX_FDS];
	int before;
	int socks[2];
	size_t n = 0;

	pair(socks);
	before = count_fds();
	assert_int_equal(proc_send(socks[0], p, size, socks, 2), 0);
	assert_int_equal(proto_recv(socks[1], &got, fds, &n, &err), -1);
	assert_string_equal(err.msg, text);
	assert_string_equal(err.hint, "sbx stop, and try again");
	assert_int_equal(err.errnum, EPROTO);
	assert_int_equal(count_fds(), before);
	assert_int_equal(close(socks[0]), 0);
	assert_int_equal(close(socks[1]), 0);
}

static void another_version_is_refused(void **state)
{
	struct proto_msg msg = {.version = PROTO_VERSION + 1, .type = PROTO_RUN};

	(void)state;
	check_foreign(&msg, sizeof(msg));
	msg.version = PROTO_VERSION;
	check_foreign(&msg, sizeof(msg) - 1);
	check_foreign(&msg, 4);
}

static void a_message_too_long_is_refused(void **state)
{
	char big[sizeof(struct proto_msg) + 1] = {0};
	struct proto_msg got;
	struct err err = {0};
	int socks[2];

	(void)state;
	pair(socks);
	assert_int_equal(proc_send(socks[0], big, sizeof(big), NULL, 0), 0);
	assert_int_equal(proto_recv(socks[1], &got, NULL, NULL, &err), -1);
	assert_string_equal(err.msg, "cannot talk to the sandbox: Message too long");
	assert_int_equal(close(socks[0]), 0);
	assert_int_equal(close(socks[1]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_comes_back_as_it_was),
		cmocka_unit_test(what_is_decoded_is_its_own),
		cmocka_unit_test(the_longest_body),
		cmocka_unit_test(a_damaged_body_is_refused),
		cmocka_unit_test(a_message_passes_with_its_fds),
		cmocka_unit_test(a_question_is_answered),
		cmocka_unit_test(an_errno_is_one),
		cmocka_unit_test(a_reset_is_an_end),
		cmocka_unit_test(another_version_is_refused),
		cmocka_unit_test(a_message_too_long_is_refused),
	};

	return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}
