#include <errno.h>

#include "base/digest.h"
#include "store/blob.h"
#include "store/env.h"
#include "store_world.h"

/* SHA-256 of "blob". */
#define HEX "fa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8"
#define OTHER "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct store open_store(struct world *w)
{
	struct store s = {.fd = -1};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	return s;
}

static size_t count_partial(const struct store *s)
{
	int fd = openat(s->fd, "blobs/partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fdopendir(fd);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static void has_its_name_when_it_is_whole(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_blob_ struct blob_writer *b = NULL;
	_cleanup_buf_ struct buf got = {0};
	_cleanup_fd_ int fd = -1;
	struct err err = {0};
	char hex[DIGEST_HEX + 1];
	uint64_t size = 0;

	assert_int_equal(blob_create(&s, &b, &err), 0);
	assert_int_equal(blob_write(b, "bl", 2, &err), 0);
	assert_int_equal(blob_write(b, "ob", 2, &err), 0);
	assert_false(blob_has(&s, HEX));
	assert_int_equal(blob_finish(TAKE_PTR(b), HEX, 4, hex, &err), 0);
	assert_null(b);
	assert_string_equal(hex, HEX);
	assert_true(blob_has(&s, HEX));
	assert_int_equal(blob_open(&s, HEX, &fd, &size, &err), 0);
	assert_int_equal(size, 4);
	assert_int_equal(blob_read(&s, HEX, 4, &got, &err), 0);
	assert_string_equal(got.p, "blob");
	assert_int_equal(blob_read(&s, HEX, 3, &got, &err), -1);
	assert_int_equal(err.errnum, EFBIG);
	assert_int_equal(count_partial(&s), 0);
	store_done(&s);
}

static void refuses_what_was_not_asked_for(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct err err = {0};

	for (int i = 0; i < 2; i++) {
		_cleanup_blob_ struct blob_writer *b = NULL;

		assert_int_equal(blob_create(&s, &b, &err), 0);
		assert_int_equal(blob_write(b, "blob", 4, &err), 0);
		assert_int_equal(
			blob_finish(TAKE_PTR(b), i == 0 ? OTHER : HEX, i == 0 ? 4 : 5, NULL, &err),
			-1);
		assert_int_equal(err.errnum, EBADMSG);
		assert_string_equal(err.msg, i == 0 ? "cannot take the blob sha256:" OTHER
						      ": what came has the digest sha256:" HEX
						    : "cannot take the blob sha256:" HEX
						      ": it has 4 bytes, not 5");
		assert_null(b);
	}
	assert_false(blob_has(&s, HEX));
	assert_int_equal(count_partial(&s), 0);
	store_done(&s);
}

static void goes_on_where_it_was_cut(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_blob_ struct blob_writer *b = NULL;
	struct err err = {0};
	uint64_t at = 9;

	assert_int_equal(blob_resume(&s, HEX, &b, &at, &err), 0);
	assert_int_equal(at, 0);
	assert_int_equal(blob_write(b, "bl", 2, &err), 0);
	blob_abort(&b);
	assert_int_equal(count_partial(&s), 1);
	assert_int_equal(blob_resume(&s, HEX, &b, &at, &err), 0);
	assert_int_equal(at, 2);
	assert_int_equal(blob_write(b, "xx", 2, &err), 0);
	assert_int_equal(blob_restart(b, &err), 0);
	assert_int_equal(blob_write(b, "blob", 4, &err), 0);
	assert_int_equal(blob_finish(TAKE_PTR(b), HEX, 4, NULL, &err), 0);
	assert_int_equal(blob_resume(&s, HEX, &b, &at, &err), -1);
	assert_int_equal(err.errnum, EEXIST);
	assert_int_equal(count_partial(&s), 0);
	store_done(&s);
}

/* Of another digest, a cut download would never come right. */
static void forgets_a_partial_one_that_is_wrong(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_blob_ struct blob_writer *b = NULL;
	struct err err = {0};
	uint64_t at = 9;

	assert_int_equal(blob_resume(&s, HEX, &b, &at, &err), 0);
	assert_int_equal(blob_write(b, "blub", 4, &err), 0);
	assert_int_equal(blob_finish(TAKE_PTR(b), HEX, 4, NULL, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	assert_int_equal(count_partial(&s), 0);
	store_done(&s);
}

/* Another process has begun it: this one waits, and finds it made. */
static void waits_for_who_is_at_it(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_blob_ struct blob_writer *b = NULL;
	struct err err = {0};
	uint64_t at = 9;
	char byte = 0;
	int fds[2];
	pid_t pid;
	int status = 0;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (blob_resume(&s, HEX, &b, &at, NULL) < 0 || write(fds[1], "", 1) != 1)
			_exit(1);
		/* Only when the other one stands before the lock does it matter; either way it is right. */
		_exit(blob_write(b, "blob", 4, NULL) < 0 ||
		      blob_finish(TAKE_PTR(b), HEX, 4, NULL, NULL) < 0);
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(blob_resume(&s, HEX, &b, &at, &err), -1);
	assert_int_equal(err.errnum, EEXIST);
	assert_int_equal(proc_wait(pid, &status, &err), 0);
	assert_int_equal(status, 0);
	assert_int_equal(count_partial(&s), 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
	store_done(&s);
}

static void finds_damage_and_mends_it(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	_cleanup_buf_ struct buf got = {0};
	struct err err = {0};
	char hex[DIGEST_HEX + 1];

	assert_int_equal(blob_put(&s, "blob", 4, hex, &err), 0);
	assert_string_equal(hex, HEX);
	assert_int_equal(unlinkat(s.fd, "blobs/" HEX, 0), 0);
	world_write(w, "data/sbx/blobs/" HEX, "blub");
	assert_int_equal(blob_read(&s, HEX, 100, &got, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	assert_non_null(strstr(err.msg, "the blob sha256:" HEX " is damaged"));
	assert_int_equal(blob_put(&s, "blob", 4, hex, &err), 0);
	assert_int_equal(blob_read(&s, HEX, 100, &got, &err), 0);
	assert_int_equal(count_partial(&s), 0);
	store_done(&s);
}

static void names_lead_nowhere_else(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct err err = {0};
	uint64_t size = 0;
	int fd = -1;

	assert_false(blob_has(&s, "../version"));
	assert_int_equal(blob_open(&s, "../version", &fd, &size, &err), -1);
	assert_string_equal(err.msg, "'../version' is not the digest of a blob");
	assert_int_equal(blob_open(&s, HEX, &fd, &size, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_int_equal(symlinkat("../version", s.fd, "blobs/" HEX), 0);
	assert_false(blob_has(&s, HEX));
	assert_int_equal(blob_open(&s, HEX, &fd, &size, &err), -1);
	assert_int_equal(err.errnum, ELOOP);
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(has_its_name_when_it_is_whole), TEST(refuses_what_was_not_asked_for),
		TEST(goes_on_where_it_was_cut),      TEST(forgets_a_partial_one_that_is_wrong),
		TEST(waits_for_who_is_at_it),        TEST(finds_damage_and_mends_it),
		TEST(names_lead_nowhere_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
