/*
 * prefault — take now, in a few system calls, the page faults that a process would take one by one.
 *
 * A fault costs as much as twenty small system calls, or a hundred in a virtual machine, and a
 * process that was forked has one for each page that it uses: of its code, which fork(2) does not
 * map, and of its data, heap and stack, which it copies only then.
 */
#ifndef SBX_BASE_PREFAULT_H
#define SBX_BASE_PREFAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The memory of this process, which its forks have at the same addresses. */
#define PREFAULT_MAX 48
struct prefault {
	struct prefault_area {
		uintptr_t start, end;
		bool write;     /* copied, else only mapped */
		bool inherited; /* its page tables, by every fork: there is nothing to take */
	} area[PREFAULT_MAX];
	size_t n;
};

/* Look at /proc/self/maps, and have forks inherit what they can.  Without a /proc, nothing is found. */
void prefault_take(struct prefault *ret);

/*
 * In a fork of that process: MADV_POPULATE_READ and _WRITE, Linux 5.14, of that and of the
 * stack near here.  Where it cannot be done the faults just come later.
 */
void prefault(const struct prefault *p);

#endif
