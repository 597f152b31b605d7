/* base/prefault: after it, what a fork shares costs no fault any more. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/prefault.h"
#include "run_world.h"

#define PAGE 4096
#define PAGES 1024

static long faults(void)
{
	struct rusage r = {0};

	(void)getrusage(RUSAGE_SELF, &r);
	return r.ru_minflt;
}

static long write_all(char *p)
{
	const long before = faults();

	for (size_t i = 0; i < PAGES; i++)
		((volatile char *)p)[i * PAGE] = 2;
	return faults() - before;
}

static int without(void *arg)
{
	return write_all(arg) < PAGES ? 1 : 0;
}

/* What is reserved and not used stays so: a sanitizer's shadow alone is 16 TB. */
static int reserved(void *arg)
{
	struct prefault memory;
	const size_t size = 64u << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned char first = 0;

	(void)arg;
	prefault_take(&memory);
	prefault(&memory);
	return p == MAP_FAILED || mincore(p, PAGE, &first) < 0 || (first & 1);
}

static void what_is_only_reserved_is_left_alone(void **state)
{
	(void)state;
	assert_int_equal(proc_call(reserved, NULL), 0);
}

static int with(void *arg)
{
	struct prefault memory;

	if (madvise(arg, PAGE, MADV_POPULATE_READ) < 0)
		return NOT_HAD;
	prefault_take(&memory);
	prefault(&memory);
	/* Only what the measuring itself needs. */
	return write_all(arg) > PAGES / 16 ? 1 : 0;
}

static void what_a_fork_shares_is_copied_ahead(void **state)
{
	char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	int r;

	(void)state;
	assert_true(p != MAP_FAILED);
	/* In small pages, each of which is a fault. */
	(void)madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE);
	memset(p, 1, PAGES * PAGE);
	assert_int_equal(proc_call(without, p), 0);
	r = proc_call(with, p);
	if (r == NOT_HAD)
		not_had("MADV_POPULATE_READ");
	else
		assert_int_equal(r, 0);
	(void)munmap(p, PAGES * PAGE);
}

static int read_all(void *arg)
{
	const long before = faults();

	for (size_t i = 0; i < PAGES; i++)
		(void)((const volatile char *)arg)[i * PAGE];
	return faults() - before > PAGES / 64 ? 1 : 0;
}

/* What the kernel maps at one fault are 16 pages. */
static void what_is_mapped_from_a_file_is_mapped_in_a_fork(void **state)
{
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct prefault memory;
	bool found = false;
	char *p;

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)PAGES * PAGE), 0);
	p = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(fd >= 0 && p != MAP_FAILED);
	(void)read_all(p);
	assert_int_equal(proc_call(read_all, p), 1);

	prefault_take(&memory);
	for (size_t i = 0; i < memory.n; i++)
		if (memory.area[i].start == (uintptr_t)p)
			found = memory.area[i].inherited;
	if (found)
		assert_int_equal(proc_call(read_all, p), 0);
	else
		not_had("writing through /proc/self/mem");
	assert_int_equal(*p, 0);
	(void)munmap(p, PAGES * PAGE);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(what_a_fork_shares_is_copied_ahead),
					   TEST(what_is_only_reserved_is_left_alone),
					   TEST(what_is_mapped_from_a_file_is_mapped_in_a_fork)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
