#include "run/prefault.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

#define MAPS_MAX (1u << 20)

/* What is larger is reserved and hardly used, such as the shadow of a sanitizer. */
#define AREA_MAX (16u << 20)

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

/* "START-END rwxp …" */
static void prefault_line(const char *line)
{
	uintptr_t start = address(&line);
	uintptr_t end;

	if (*line++ != '-')
		return;
	end = address(&line);
	if (end - start > AREA_MAX)
		return;
	/* Private, and not the kernel's own pages, which are there already. */
	if (strncmp(line, " rw-p", 5) == 0)
		(void)madvise((void *)start, end - start, MADV_POPULATE_WRITE);
	else if (strncmp(line, " r-xp", 5) == 0 && !strstr(line, "[v"))
		(void)madvise((void *)start, end - start, MADV_POPULATE_READ);
}

void prefault(int proc)
{
	_cleanup_buf_ struct buf maps = {0};
	char *save = NULL;

	if (fs_read_at(proc, "self/maps", MAPS_MAX, &maps, NULL) < 0)
		return;
	for (char *line = strtok_r(maps.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		prefault_line(line);
}
