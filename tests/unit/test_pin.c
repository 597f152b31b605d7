#include <sys/wait.h>

#include "store/env.h"
#include "store/layer.h"
#include "store/litter.h"
#include "store/pin.h"
#include "store/roots.h"
#include "store_world.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct store open_store(struct world *w)
{
	struct store s = {.fd = -1};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	return s;
}

static size_t count_litter(struct world *w, const struct store *s)
{
	__attribute__((cleanup(litter_done))) struct litter l = {0};
	struct err err = {0};

	assert_int_equal(litter_find(w->a, s, &l, &err), 0);
	return l.n;
}

static bool is_kept(struct world *w, const struct store *s)
{
	struct roots roots;
	struct err err = {0};

	assert_int_equal(roots_read(w->a, s, &roots, &err), 0);
	return roots_need(&roots, HEX);
}

static void lasts_as_long_as_who_holds_it(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct pin p = PIN_NONE;
	struct err err = {0};

	assert_int_equal(pin_make(&s, &p, &err), 0);
	assert_true(str_starts(p.name, PIN_PREFIX));
	assert_int_equal(pin_add(&p, HEX, &err), 0);
	assert_int_equal(pin_add(&p, HEX, &err), 0);
	assert_int_equal(faccessat(s.fd, arena_printf(w->a, "tmp/%s/" HEX, p.name), F_OK, 0), 0);
	assert_int_equal(count_litter(w, &s), 0);
	assert_true(pin_is_held(&s, p.name));
	assert_true(is_kept(w, &s));
	/* As if the process had been killed. */
	cleanup_fd(&p.fd);
	assert_false(pin_is_held(&s, p.name));
	assert_false(is_kept(w, &s));
	assert_int_equal(count_litter(w, &s), 1);
	pin_done(&s, &p);
	assert_int_equal(count_litter(w, &s), 0);
	assert_int_equal(faccessat(s.fd, arena_printf(w->a, "tmp/%s", p.name), F_OK, 0), -1);
	pin_done(&s, &p);
	store_done(&s);
}

static void takes_digests_alone(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct pin p = PIN_NONE;
	struct err err = {0};

	assert_int_equal(pin_make(&s, &p, &err), 0);
	assert_int_equal(pin_add(&p, "../x", &err), -1);
	assert_string_equal(err.msg, "cannot keep '../x': it is no digest");
	pin_done(&s, &p);
	store_done(&s);
}

/* While gc sweeps, a pin that it has not seen must not be had. */
static void waits_for_a_sweep(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct pin p = PIN_NONE;
	struct err err = {0};
	int lock = -1;
	int status = 0;
	pid_t pid;

	assert_int_equal(pin_make(&s, &p, &err), 0);
	assert_int_equal(layer_lock(&s, true, &lock, &err), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(lock);
		_exit(pin_add(&p, HEX, NULL) < 0);
	}
	/* It stands before the lock: the kernel lists who waits. */
	for (;;) {
		_cleanup_buf_ struct buf locks = {0};
		const char *waits = arena_printf(w->a, "-> FLOCK  ADVISORY  READ %d ", (int)pid);

		assert_int_equal(fs_read_at(AT_FDCWD, "/proc/locks", 1U << 20, &locks, &err), 0);
		assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
		if (strstr(locks.p, waits))
			break;
		(void)sched_yield();
	}
	assert_int_equal(faccessat(p.fd, HEX, F_OK, 0), -1);
	(void)close(lock);
	assert_int_equal(proc_wait(pid, &status, &err), 0);
	assert_int_equal(status, 0);
	assert_int_equal(faccessat(p.fd, HEX, F_OK, 0), 0);
	pin_done(&s, &p);
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lasts_as_long_as_who_holds_it),
		TEST(takes_digests_alone),
		TEST(waits_for_a_sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
