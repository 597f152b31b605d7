#include <sys/wait.h>

#include "base/proc.h"
#include "cli/jupyter_kept.h"
#include "store_world.h"

static void test_token(void **state)
{
	const struct world *w = *state;
	_cleanup_fd_ int fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char first[JUPYTER_TOKEN_LEN + 1];
	char token[JUPYTER_TOKEN_LEN + 1];
	struct err err = {0};
	struct stat st;

	assert_int_equal(jupyter_token(fd, false, first, &err), 0);
	assert_int_equal(strspn(first, "0123456789abcdef"), JUPYTER_TOKEN_LEN);
	assert_int_equal(strlen(first), JUPYTER_TOKEN_LEN);
	assert_int_equal(fstatat(fd, "jupyter-token", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(jupyter_token(fd, false, token, &err), 0);
	assert_string_equal(token, first);
	assert_int_equal(jupyter_token(fd, true, token, &err), 0);
	assert_string_not_equal(token, first);
	assert_int_equal(jupyter_token(fd, false, first, &err), 0);
	assert_string_equal(token, first);
	/* What is no token is none. */
	world_write(w, "jupyter-token", "short");
	assert_int_equal(jupyter_token(fd, false, token, &err), 0);
	assert_int_equal(strlen(token), JUPYTER_TOKEN_LEN);
}

/* In another process: the port of the one that has it, 1 where it says none, 0 where it is free. */
static int claim_elsewhere(void *arg)
{
	const int *dir = arg;
	uint16_t port = 0;
	struct err err = {0};
	int fd = -1;
	int r = jupyter_claim(*dir, &fd, &port, &err);

	return r < 0 ? 255 : r == 0 ? 0 : port ? port : 1;
}

static void test_claim(void **state)
{
	const struct world *w = *state;
	_cleanup_fd_ int dir = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint16_t port = 0;
	struct err err = {0};
	int fd = -1;

	assert_int_equal(jupyter_claim(dir, &fd, &port, &err), 0);
	assert_true(fd >= 0);
	/* A fork of this one has no part in it, though the descriptor is in it. */
	assert_int_equal(proc_call(claim_elsewhere, &dir), 1);
	assert_int_equal(jupyter_claim_port(fd, 77, &err), 0);
	assert_int_equal(proc_call(claim_elsewhere, &dir), 77);
	cleanup_fd(&fd);
	assert_int_equal(proc_call(claim_elsewhere, &dir), 0);
	/* The port of one that has ended is nobody's. */
	assert_int_equal(jupyter_claim(dir, &fd, &port, &err), 0);
	assert_int_equal(proc_call(claim_elsewhere, &dir), 1);
	cleanup_fd(&fd);
	assert_int_equal(unlinkat(dir, "jupyter-port", 0), 0);
	assert_int_equal(symlinkat("elsewhere", dir, "jupyter-port"), 0);
	assert_int_equal(jupyter_claim(dir, &fd, &port, &err), -1);
	assert_non_null(strstr(err.msg, "cannot open 'jupyter-port'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_token, world_make, world_remove),
		cmocka_unit_test_setup_teardown(test_claim, world_make, world_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
