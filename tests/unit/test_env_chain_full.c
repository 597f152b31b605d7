/*
 * A disk that is full of what a reset is to take away.
 */
#include "chain_world.h"

static void fill(int dir_fd)
{
	_cleanup_fd_ int fd = openat(dir_fd, "big", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	char block[512] = {1};

	assert_true(fd >= 0);
	while (fs_write_all(fd, block, sizeof(block)) == 0)
		;
	assert_int_equal(errno, ENOSPC);
}

static int reset_on_full_disk(void *arg)
{
	struct world *w = arg;
	void *state = w;
	_cleanup_fd_ int upper = -1;
	struct err err = {0};
	struct site t;
	bool good;

	world_mkdir(w, "data");
	/* 77: no such namespaces here. */
	if (world_unshare() < 0 ||
	    mount("tmpfs", world_path(w, "data"), "tmpfs", 0, "size=256k,mode=755") < 0)
		return 77;
	t = site_new(&state);
	upper = openat(t.e.fd, "upper.1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fill(upper);
	if (env_set_chain(w->a, &t.s, &t.e, &(struct chain){0}, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	reopen(&t);
	good = env_is_settled(&t.e) && strcmp(t.e.upper, "upper.2") == 0 &&
	       !there(t.e.fd, "upper.1") && !there(t.e.fd, "upper.away") &&
	       !there(t.e.fd, "upper.2/big");
	site_done(&t);
	return good ? 0 : 2;
}

static void a_reset_makes_room_for_itself(void **state)
{
	int status = proc_call(reset_on_full_disk, *state);

	if (status == 77)
		fail_msg("no user namespace with a tmpfs here");
	assert_int_equal(status, 0);
}

/* Another chain needs another env.json: then nothing is thrown away. */
static int go_back_on_full_disk(void *arg)
{
	struct world *w = arg;
	void *state = w;
	struct commit c = commit_of(DIGEST);
	_cleanup_fd_ int upper = -1;
	struct err err = {0};
	struct site t;
	bool good;

	world_mkdir(w, "data");
	if (world_unshare() < 0 ||
	    mount("tmpfs", world_path(w, "data"), "tmpfs", 0, "size=256k,mode=755") < 0)
		return 77;
	t = site_new(&state);
	upper = openat(t.e.fd, "upper.1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fill(upper);
	good = env_set_chain(w->a, &t.s, &t.e, &(struct chain){&c, 1}, &err) < 0 &&
	       err.errnum == ENOSPC && strstr(err.hint, "sbx gc") && there(t.e.fd, "upper.1/big");
	site_done(&t);
	return good ? 0 : 1;
}

static void another_chain_is_refused(void **state)
{
	assert_int_equal(proc_call(go_back_on_full_disk, *state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reset_makes_room_for_itself),
		TEST(another_chain_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
