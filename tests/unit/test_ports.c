/*
 * Published ports of a real sandbox: run/ports asks, run/publish starts run/broker, run/broker_control answers;
 * run/holder finds whose a port is.
 */
#include "launch_world.h"
#include "run/holder.h"
#include "run/ports.h"
#include "tcp_world.h"

static struct port added(const struct box *b, const struct port *p)
{
	struct port got = {0};
	struct err err = {0};

	if (ports_add(&b->env, p, &got, &err) < 0)
		fail_msg("%s", err.msg);
	return got;
}

static size_t listed(const struct box *b, struct port **ret)
{
	struct err err = {0};
	size_t n = 0;

	if (ports_list(b->w->a, &b->env, ret, &n, &err) < 0)
		fail_msg("%s", err.msg);
	return n;
}

static void ports_come_and_go(void **state)
{
	struct box b = box_new(*state, "");
	const struct port p = {.address = "127.0.0.1", .inside = 80};
	struct port got;
	struct port gone = {0};
	struct port *all;
	struct err err = {0};
	char text[8];
	int sock;
	int fd;

	if (!b.plan)
		return;
	sock = box_start(&b);
	assert_int_equal(listed(&b, &all), 0);
	got = added(&b, &p);
	assert_true(got.host > 0 && got.inside == 80 && !got.from_profile && got.errnum == 0);
	assert_int_equal(listed(&b, &all), 1);
	assert_int_equal(all[0].host, got.host);
	/* Nobody listens inside: a reset, at once. */
	fd = world_connect(got.host, SOCK_STREAM);
	assert_true(fd >= 0 && readable(fd));
	assert_int_equal(read(fd, text, sizeof(text)), -1);
	assert_int_equal(errno, ECONNRESET);
	(void)close(fd);

	assert_int_equal(ports_add(&b.env, &got, &gone, &err), -1);
	assert_true(str_ends(err.msg, "is published already, to port 80 inside"));
	assert_true(str_starts(err.hint, "sbx port rm 127.0.0.1:"));
	got.address[0] = '\0';
	assert_int_equal(ports_remove(&b.env, &got, &gone, &err), 0);
	assert_string_equal(gone.address, "127.0.0.1");
	assert_int_equal(world_connect(got.host, SOCK_STREAM), -1);
	assert_int_equal(ports_remove(&b.env, &got, &gone, &err), -1);
	assert_true(str_ends(err.msg, ": it is not published"));
	assert_string_equal(err.hint, "sbx port list");
	(void)close(sock);
	box_is_over(&b);
	assert_int_equal(faccessat(b.env.fd, "run/" PORTS_SOCKET, F_OK, 0), -1);
	box_done(&b);
}

/* More than fit one message. */
static void many_are_listed(void **state)
{
	struct box b = box_new(*state, "");
	struct port p = {.address = "127.0.0.1"};
	struct port *all;
	int sock;

	if (!b.plan)
		return;
	sock = box_start(&b);
	for (uint16_t i = 1; i <= 2 * PORTS_BATCH; i++) {
		p.inside = i;
		(void)added(&b, &p);
	}
	assert_int_equal(listed(&b, &all), 2 * PORTS_BATCH);
	for (size_t i = 1; i < 2 * (size_t)PORTS_BATCH; i++)
		assert_true(all[i - 1].host < all[i].host);
	(void)close(sock);
	box_is_over(&b);
	box_done(&b);
}

static void at_two_addresses_one_has_to_be_named(void **state)
{
	struct box b = box_new(*state, "");
	struct port p = {.address = "127.0.0.1", .inside = 80};
	struct port got;
	struct err err = {0};
	int sock;

	if (!b.plan)
		return;
	sock = box_start(&b);
	p = added(&b, &p);
	(void)snprintf(p.address, sizeof(p.address), "127.0.0.2");
	p = added(&b, &p);
	p.address[0] = '\0';
	assert_int_equal(ports_remove(&b.env, &p, &got, &err), -1);
	assert_true(str_ends(err.msg, ": it is published at several addresses"));
	assert_string_equal(err.hint, "say which, as `sbx port list` shows it");
	(void)snprintf(p.address, sizeof(p.address), "127.0.0.2");
	assert_int_equal(ports_remove(&b.env, &p, &got, &err), 0);
	(void)close(sock);
	box_is_over(&b);
	box_done(&b);
}

/* What is no request is answered, and harms nobody. */
static void nonsense_is_refused(void **state)
{
	struct box b = box_new(*state, "");
	struct ports_msg msg = {.n = PORTS_BATCH + 1};
	struct port *all;
	struct err err = {0};
	int sock;
	int fd = -1;

	if (!b.plan)
		return;
	sock = box_start(&b);
	assert_int_equal(client_connect_ports(&b.env, &fd, &err), 0);
	assert_int_equal(ports_send(fd, PORTS_ADD, &msg), 0);
	assert_int_equal(ports_recv(fd, &msg, &err), 1);
	assert_int_equal(msg.type, PORTS_FAILED);
	assert_string_equal(msg.u.err.msg, "cannot serve the request for ports: Protocol error");
	(void)close(fd);
	assert_int_equal(client_connect_ports(&b.env, &fd, &err), 0);
	assert_int_equal(proc_send(fd, "x", 1, NULL, 0), 0);
	assert_int_equal(ports_recv(fd, &msg, &err), 1);
	assert_int_equal(msg.type, PORTS_FAILED);
	(void)close(fd);
	assert_int_equal(client_connect_ports(&b.env, &fd, &err), 0);
	(void)close(fd);
	assert_int_equal(listed(&b, &all), 0);
	(void)close(sock);
	box_is_over(&b);
	box_done(&b);
}

static void what_does_not_run_has_none(void **state)
{
	struct box b = box_new(*state, "");
	const struct port p = {.address = "127.0.0.1", .inside = 80};
	struct port got = {.host = 7};
	struct err err = {0};

	if (!b.plan)
		return;
	assert_int_equal(ports_add(&b.env, &p, &got, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_true(str_ends(err.msg, "is not running"));
	assert_int_equal(got.host, 7);
	box_done(&b);
}

/* Of those that run, and of none but them. */
static void the_holder_is_found(void **state)
{
	struct box b = box_new(*state, "");
	struct box other = box_named(*state, "other", "");
	struct port p = {.address = "127.0.0.1", .inside = 80};
	struct env found = {.fd = -1};
	int sock;

	if (!b.plan || !other.plan)
		return;
	sock = box_start(&b);
	p = added(&b, &p);
	assert_true(holder_find(b.w->a, &b.store, &other.env, &p, &found));
	assert_string_equal(found.id, b.env.id);
	assert_false(holder_find(b.w->a, &b.store, &b.env, &p, &found));
	/* Every address is that one, too. */
	(void)snprintf(p.address, sizeof(p.address), "0.0.0.0");
	assert_true(holder_find(b.w->a, &b.store, &other.env, &p, &found));
	p.udp = true;
	assert_false(holder_find(b.w->a, &b.store, &other.env, &p, &found));
	p.udp = false;
	(void)close(sock);
	box_is_over(&b);
	assert_false(holder_find(b.w->a, &b.store, &other.env, &p, &found));
	box_done(&b);
	box_done(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ports_come_and_go),
		TEST(many_are_listed),
		TEST(at_two_addresses_one_has_to_be_named),
		TEST(nonsense_is_refused),
		TEST(what_does_not_run_has_none),
		TEST(the_holder_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
