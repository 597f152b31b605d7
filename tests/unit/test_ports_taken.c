/* What is in the way of a port, with real sandboxes; `port list` and warnings are in tests/cli/test_ports.py. */
#include "cli/open.h"
#include "cli/ports_taken.h"
#include "launch_world.h"
#include "run/listener.h"
#include "run/ports.h"

/* As the commands have it open. */
static struct workplace place_of(const struct box *b)
{
	struct workplace w = WORKPLACE_EMPTY;

	w.project = b->env.project;
	w.env_name = b->env.name;
	w.store = b->store;
	w.env = b->env;
	(void)snprintf(w.digest, sizeof(w.digest), DIGEST);
	return w;
}

static const struct port *port_in(const struct port *all, size_t n, uint16_t host)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].host == host)
			return &all[i];
	fail_msg("port %u is not listed", (unsigned)host);
	return NULL;
}

/* The plan with two ports, whose numbers are free just now. */
static struct plan with_ports(const struct box *b, struct port p[static 2])
{
	struct port_value *v = arena_alloc(b->w->a, 2 * sizeof(*v));
	struct plan plan = *b->plan;
	struct err err = {0};
	int fd[2] = {-1, -1};

	for (int i = 0; i < 2; i++) {
		p[i] = (struct port){.address = "127.0.0.1", .inside = 80};
		assert_int_equal(listener_open(&p[i], &fd[i], &err), 0);
		v[i] = ports_value(&p[i]);
	}
	(void)close(fd[0]);
	(void)close(fd[1]);
	plan.ports = v;
	plan.n_ports = 2;
	return plan;
}

static void another_environment_keeps_it(void **state)
{
	const struct world *w = *state;
	struct port p[2];
	struct plan plan;
	struct box b = box_new(w, "");
	struct box other = box_named(w, "other", "");
	struct workplace place = place_of(&other);
	struct port *all = NULL;
	struct err err = {0};
	int first;
	int sock = -1;
	size_t n = 0;

	if (!b.plan || !other.plan)
		return;
	plan = with_ports(&other, p);
	first = box_start(&b);
	assert_int_equal(ports_add(&b.env, &p[1], &p[1], &err), 0);
	assert_int_equal(ports_taken_start(w->a, &place, &plan, &any_request, &sock, &err), 0);
	assert_int_equal(ports_list(w->a, &other.env, &all, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(port_in(all, n, p[0].host)->errnum, 0);
	assert_int_equal(port_in(all, n, p[1].host)->errnum, EADDRINUSE);
	assert_string_equal(
		ports_taken_state(w->a, &other.store, &other.env, port_in(all, n, p[1].host)),
		"the environment 'default' has it");
	assert_string_equal(
		ports_taken_state(w->a, &other.store, &other.env, port_in(all, n, p[0].host)),
		"published");
	/* Asked for once more, it is there when the first has given it up. */
	assert_int_equal(ports_add(&other.env, &p[1], &p[1], &err), -1);
	(void)ports_taken_explain(w->a, &other.store, &other.env, &p[1], &err);
	assert_true(str_ends(err.msg, arena_printf(w->a, ", by the environment 'default' of '%s'",
						   b.env.project)));
	assert_non_null(strstr(err.hint, arena_printf(w->a,
						      "sbx stop -C %s ends that one; or use "
						      "another port: %u:80",
						      b.env.project, (unsigned)p[1].host + 1)));
	assert_int_equal(ports_remove(&b.env, &p[1], &p[1], &err), 0);
	assert_int_equal(ports_add(&other.env, &p[1], &p[1], &err), 0);
	assert_int_equal(ports_list(w->a, &other.env, &all, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_true(all[0].from_profile && all[1].from_profile && !all[1].errnum);
	(void)close(first);
	(void)close(sock);
	box_is_over(&b);
	box_is_over(&other);
	box_done(&b);
	box_done(&other);
}

/* What no sandbox has stays the failure that it is. */
static void a_strangers_is_refused(void **state)
{
	const struct world *w = *state;
	struct port p[2];
	struct plan plan;
	struct box b = box_named(w, "other", "");
	struct workplace place = place_of(&b);
	struct err err = {0};
	int sock = -1;
	int fd = -1;

	if (!b.plan)
		return;
	plan = with_ports(&b, p);
	assert_int_equal(listener_open(&p[1], &fd, &err), 0);
	assert_int_equal(ports_taken_start(w->a, &place, &plan, &any_request, &sock, &err), -1);
	assert_int_equal(err.errnum, EADDRINUSE);
	assert_true(str_ends(err.msg, ": Address already in use"));
	assert_non_null(strstr(err.hint, "another program has it"));
	assert_int_equal(sock, -1);
	(void)close(fd);
	box_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(another_environment_keeps_it),
		TEST(a_strangers_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
