#include "run/title.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"

/* Fields 48 to 51 of /proc/self/stat, proc(5): where the arguments and the environment lie. */
enum { ARG_START, ARG_END, ENV_START, ENV_END, N_BOUNDS };
#define FIRST_FIELD 48

static int find_bounds(uint64_t ret_bound[N_BOUNDS])
{
	_cleanup_buf_ struct buf text = {0};
	char *save = NULL;
	char *word;
	int field = 2;

	if (fs_read_at(AT_FDCWD, "/proc/self/stat", 4096, &text, NULL) < 0)
		return -1;
	/* The name, field 2, may hold blanks and parentheses; the last one ends it. */
	word = strrchr(text.p, ')');
	if (!word)
		return -1;
	for (word = strtok_r(word + 1, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		field++;
		if (field < FIRST_FIELD || field >= FIRST_FIELD + N_BOUNDS)
			continue;
		if (num_u64(word, 1, UINTPTR_MAX, &ret_bound[field - FIRST_FIELD], NULL) < 0)
			return -1;
	}
	return field >= FIRST_FIELD + N_BOUNDS - 1 ? 0 : -1;
}

static void wipe(uint64_t start, uint64_t end)
{
	if (start < end)
		memset((void *)(uintptr_t)start, 0, (size_t)(end - start));
}

void title_take(struct title *ret)
{
	uint64_t bound[N_BOUNDS] = {0};

	*ret = (struct title){0};
	(void)clearenv();
	if (find_bounds(bound) < 0)
		return;
	wipe(bound[ENV_START], bound[ENV_END]);
	wipe(bound[ARG_START], bound[ARG_END]);
	if (bound[ARG_START] < bound[ARG_END])
		*ret = (struct title){(char *)(uintptr_t)bound[ARG_START],
				      (size_t)(bound[ARG_END] - bound[ARG_START])};
}

void title_set(const struct title *t, const char *comm, const char *title)
{
	size_t n = strlen(title);

	(void)prctl(PR_SET_NAME, comm);
	if (t->room == 0)
		return;
	memset(t->text, 0, t->room);
	memcpy(t->text, title, n < t->room ? n : t->room - 1);
}
