#include "base/prefault.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What is larger is reserved and hardly used, such as the shadow of a sanitizer. */
#define AREA_MAX (16u << 20)

/* As much of /proc/self/maps as is looked at: the program and its heap come first. */
#define MAPS_SIZE 8192

/* Of the stack, this much to both sides of where we are. */
#define STACK_SIZE ((uintptr_t)16 << 10)

/* A number as proc(5) writes addresses; *text goes behind it. */
static uintptr_t address(const char **text)
{
	static const char digits[] = "0123456789abcdef";
	uintptr_t n = 0;
	const char *digit;

	while (**text && (digit = strchr(digits, **text)) != NULL) {
		n = n << 4 | (uintptr_t)(digit - digits);
		(*text)++;
	}
	return n;
}

/* "START-END rwxp …": private, and not the kernel's own pages, which are there already. */
static void take_line(const char *line, struct prefault *ret)
{
	struct prefault_area area = {.start = address(&line)};

	if (*line++ != '-' || ret->n == PREFAULT_MAX)
		return;
	area.end = address(&line);
	area.write = strncmp(line, " rw-p", 5) == 0;
	/* Of the heap a fork writes to few pages. */
	if (area.end - area.start > AREA_MAX || strstr(line, "[v") || strstr(line, "[stack]") ||
	    strstr(line, "[heap]"))
		return;
	if (area.write || strncmp(line, " r-xp", 5) == 0 || strncmp(line, " r--p", 5) == 0)
		ret->area[ret->n++] = area;
}

/* All of it that there is room for. */
static size_t read_maps(char *to, size_t size)
{
	_cleanup_fd_ int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got = 1;

	while (fd >= 0 && got > 0 && n < size) {
		got = read(fd, to + n, size - n);
		n += got > 0 ? (size_t)got : 0;
	}
	return n;
}

/*
 * Have fork(2) copy the page tables of what is mapped from files.  It leaves them out where no page of
 * the mapping was ever written (vma_needs_copy() in mm/memory.c), and then each fork has again the faults
 * that this process has had.  So one byte is written, past the protection, which stays as it is:
 * and it becomes what it is already.  A kernel may forbid that (proc_mem.force_override, Linux 6.12).
 */
static void share_tables(struct prefault *p)
{
	_cleanup_fd_ int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; mem >= 0 && i < p->n; i++) {
		struct prefault_area *area = &p->area[i];
		const off_t at = (off_t)area->start;
		unsigned char byte;

		if (!area->write)
			area->inherited =
				pread(mem, &byte, 1, at) == 1 && pwrite(mem, &byte, 1, at) == 1;
	}
}

void prefault_take(struct prefault *ret)
{
	char maps[MAPS_SIZE];
	char *save = NULL;

	ret->n = 0;
	maps[read_maps(maps, sizeof(maps) - 1)] = '\0';
	for (char *line = strtok_r(maps, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(line, ret);
	share_tables(ret);
}

static void populate(uintptr_t start, uintptr_t end, bool write)
{
	(void)madvise((void *)start, end - start, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

void prefault(const struct prefault *p)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t here = (uintptr_t)__builtin_frame_address(0) / page * page;

	/* To the end of the stack, where that is nearer. */
	populate(here - STACK_SIZE, here + STACK_SIZE, true);
	for (size_t i = 0; i < p->n; i++)
		if (!p->area[i].inherited)
			populate(p->area[i].start, p->area[i].end, p->area[i].write);
}
