/* Two connections as one: run/joint, and run/loop below it. */
#include <fcntl.h>
#include <sys/epoll.h>

#include "run/joint.h"
#include "run/loop.h"
#include "tcp_world.h"

/* The ends that are the peers', with a joint between. */
struct joined {
	struct loop loop;
	struct joints joints;
	int a, b;
};

static struct joined *setup_one(struct joined *j)
{
	int x[2];
	int y[2];

	const int little = 32768;

	world_pair(x);
	world_pair(y);
	for (int i = 0; i < 2; i++) {
		(void)setsockopt(x[i], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
		(void)setsockopt(y[i], SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	}
	j->a = x[0];
	j->b = y[0];
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(i ? y[1] : x[1], F_SETFL, O_NONBLOCK), 0);
	joints_start(&j->joints, x[1], y[1], 7);
	return j;
}

static struct joined *joined_new(void)
{
	struct joined *j = xcalloc(1, sizeof(*j));
	struct err err = {0};

	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(loop_init(&j->loop, &err), 0);
	joints_init(&j->joints, &j->loop);
	return setup_one(j);
}

/* Until nothing happens any more. */
static void run_on(struct joined *j)
{
	struct pollfd p = {.fd = j->loop.epoll, .events = POLLIN};
	bool more = false;

	do {
		loop_turn(&j->loop, 0);
		more = joints_work(&j->joints);
	} while (more || poll(&p, 1, 1) == 1);
}

static void joined_free(struct joined *j)
{
	(void)close(j->a);
	(void)close(j->b);
	run_on(j);
	assert_int_equal(j->joints.n, 0);
	joints_done(&j->joints);
	loop_done(&j->loop);
	free(j);
}

static void what_goes_in_comes_out(void **state)
{
	struct joined *j = joined_new();
	char text[16] = "";

	(void)state;
	assert_int_equal(joints_count(&j->joints, 7), 1);
	assert_int_equal(joints_count(&j->joints, 8), 0);
	assert_int_equal(write(j->a, "ping", 4), 4);
	run_on(j);
	assert_int_equal(read(j->b, text, sizeof(text)), 4);
	assert_memory_equal(text, "ping", 4);
	assert_int_equal(write(j->b, "pong!", 5), 5);
	run_on(j);
	assert_int_equal(read(j->a, text, sizeof(text)), 5);
	assert_memory_equal(text, "pong!", 5);
	joined_free(j);
}

static void one_half_can_end_before_the_other(void **state)
{
	struct joined *j = joined_new();
	char text[16];

	(void)state;
	assert_int_equal(write(j->a, "last", 4), 4);
	assert_int_equal(shutdown(j->a, SHUT_WR), 0);
	run_on(j);
	assert_int_equal(read(j->b, text, sizeof(text)), 4);
	assert_int_equal(read(j->b, text, sizeof(text)), 0);
	assert_int_equal(j->joints.n, 1);
	/* The other way is still open. */
	assert_int_equal(write(j->b, "answer", 6), 6);
	assert_int_equal(shutdown(j->b, SHUT_WR), 0);
	run_on(j);
	assert_int_equal(read(j->a, text, sizeof(text)), 6);
	assert_int_equal(read(j->a, text, sizeof(text)), 0);
	assert_int_equal(j->joints.n, 0);
	joined_free(j);
}

static void a_reset_is_passed_on(void **state)
{
	struct joined *j = joined_new();
	char text[16];

	(void)state;
	assert_int_equal(write(j->a, "first", 5), 5);
	joint_reset(j->a);
	j->a = -1;
	run_on(j);
	assert_int_equal(j->joints.n, 0);
	/* What was sent before it has arrived. */
	assert_int_equal(read(j->b, text, sizeof(text)), 5);
	assert_int_equal(read(j->b, text, sizeof(text)), -1);
	assert_int_equal(errno, ECONNRESET);
	joined_free(j);
}

/* More than all the buffers on the way hold. */
static size_t stuff(int fd)
{
	static char block[65536];
	size_t n = 0;
	ssize_t r;

	memset(block, 'x', sizeof(block));
	while ((r = send(fd, block, sizeof(block), MSG_DONTWAIT)) > 0)
		n += (size_t)r;
	return n;
}

static size_t empty(int fd)
{
	static char block[65536];
	size_t n = 0;
	ssize_t r;

	while ((r = recv(fd, block, sizeof(block), MSG_DONTWAIT)) > 0)
		n += (size_t)r;
	return n;
}

static void who_reads_slowly_slows_the_other_down(void **state)
{
	struct joined *j = joined_new();
	size_t sent = 0;
	size_t got = 0;
	size_t more;

	(void)state;
	do {
		more = stuff(j->a);
		sent += more;
		run_on(j);
	} while (more > 0);
	/* Nobody reads, and so nobody can write; and the joint has not taken it all. */
	assert_true(sent < 64u << 20);
	assert_int_equal(shutdown(j->a, SHUT_WR), 0);
	while (got < sent && readable(j->b)) {
		got += empty(j->b);
		run_on(j);
	}
	assert_int_equal(got, sent);
	joined_free(j);
}

/* No pipe is left for them: all is copied. */
static void many_slow_readers_do_not_stop_another(void **state)
{
	enum { SLOW = 20 };
	struct joined *j = joined_new();
	int a[SLOW];
	int b[SLOW];
	size_t sent[SLOW];
	char text[16];
	const int keep_a = j->a;
	const int keep_b = j->b;

	(void)state;
	j->joints.max_tubes = 0;
	for (int i = 0; i < SLOW; i++) {
		size_t more;

		(void)setup_one(j);
		a[i] = j->a;
		b[i] = j->b;
		sent[i] = 0;
		do {
			more = stuff(a[i]);
			sent[i] += more;
			run_on(j);
		} while (more > 0);
	}
	assert_int_equal(j->joints.n_tubes, 0);
	assert_int_equal(write(keep_a, "still", 5), 5);
	run_on(j);
	assert_int_equal(recv(keep_b, text, sizeof(text), MSG_DONTWAIT), 5);
	for (int i = 0; i < SLOW; i++) {
		size_t got = 0;

		while (got < sent[i] && readable(b[i])) {
			got += empty(b[i]);
			run_on(j);
		}
		assert_int_equal(got, sent[i]);
		(void)close(a[i]);
		(void)close(b[i]);
	}
	j->a = keep_a;
	j->b = keep_b;
	joined_free(j);
}

static void an_empty_one_can_be_done_with(void **state)
{
	struct joints joints = {0};
	struct loop loop = {0};

	(void)state;
	joints_done(NULL);
	joints_done(&joints);
	loop_done(NULL);
	loop_done(&loop);
}

static unsigned calls;

static void counts(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
	calls++;
}

/* As a listener that is removed while an event of it is under way. */
static void what_is_removed_is_not_called(void **state)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	struct loop loop = {0};
	struct err err = {0};
	int ends[2];

	(void)state;
	assert_int_equal(loop_init(&loop, &err), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*w = (struct watch){.fd = ends[0], .ready = counts};
	assert_int_equal(loop_add(&loop, w, EPOLLIN), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	calls = 0;
	loop_turn(&loop, 0);
	assert_int_equal(calls, 1);
	assert_int_equal(loop_change(&loop, w, 0), 0);
	loop_turn(&loop, 0);
	assert_int_equal(calls, 1);
	loop_remove(&loop, w);
	assert_int_equal(w->fd, -1);
	loop_discard(&loop, w);
	loop_turn(&loop, 0);
	assert_int_equal(calls, 1);
	assert_int_equal(loop.n_trash, 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
	loop_done(&loop);
}

/* As run/relay has them: TCP outside, or Unix, and Unix inside. */
static void unix_sockets_are_joined_too(void **state)
{
	struct joined *j = xcalloc(1, sizeof(*j));
	static char block[100000];
	struct err err = {0};
	size_t got = 0;
	ssize_t n;
	int x[2];
	int y[2];

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(loop_init(&j->loop, &err), 0);
	joints_init(&j->joints, &j->loop);
	world_pair(x);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, y), 0);
	assert_int_equal(fcntl(x[1], F_SETFL, O_NONBLOCK), 0);
	joints_start(&j->joints, x[1], y[1], 0);
	j->a = x[0];
	j->b = y[0];
	assert_int_equal(send(j->b, "inside", 6, 0), 6);
	run_on(j);
	assert_int_equal(recv(j->a, block, sizeof(block), 0), 6);
	assert_int_equal(send(j->a, block, sizeof(block), 0), sizeof(block));
	assert_int_equal(shutdown(j->a, SHUT_WR), 0);
	do {
		run_on(j);
		n = recv(j->b, block, sizeof(block), MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	} while (n != 0);
	assert_int_equal(got, sizeof(block));
	/* The other way is open yet. */
	assert_int_equal(send(j->b, "more", 4, 0), 4);
	assert_int_equal(shutdown(j->b, SHUT_WR), 0);
	run_on(j);
	assert_int_equal(recv(j->a, block, sizeof(block), 0), 4);
	assert_int_equal(recv(j->a, block, sizeof(block), 0), 0);
	assert_int_equal(j->joints.n, 0);
	joined_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(one_half_can_end_before_the_other),
		cmocka_unit_test(a_reset_is_passed_on),
		cmocka_unit_test(who_reads_slowly_slows_the_other_down),
		cmocka_unit_test(many_slow_readers_do_not_stop_another),
		cmocka_unit_test(unix_sockets_are_joined_too),
		cmocka_unit_test(an_empty_one_can_be_done_with),
		cmocka_unit_test(what_is_removed_is_not_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
