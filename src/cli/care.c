#include "cli/care.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "cli/history.h"
#include "conf/profile.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/litter.h"
#include "store/tree.h"

const char *const care_maps[] = {"subids-self", "subids-root", "one-id", NULL};

int care_plan(struct arena *a, const struct store *s, const char *map, const struct plan **ret,
	      struct err *err)
{
	/* No project has this path: the plan is for a namespace alone. */
	struct workplace w = {.project = "/nonexistent/sbx", .env_name = "care", .store = *s};

	w.env = (struct env){.id = "care",
			     .dir = arena_printf(a, "%s/tmp", s->dir),
			     .fd = -1,
			     .project = w.project,
			     .name = w.env_name,
			     .rung = -1,
			     .upper = "upper"};
	if (map) {
		w.env.rung = strcmp(map, "one-id") == 0 ? RUNG_SINGLE : RUNG_SUBIDS;
		w.env.as = 1 + (strcmp(map, "subids-root") == 0 ? AS_ROOT : AS_SELF);
	}
	return history_plan(a, &w, ret, err);
}

void care_tidy(struct arena *a, const struct store *s)
{
	struct err why = {0};

	if (care_sweep(a, s, NULL, NULL, &why) < 0)
		log_warn("what an earlier command left in '%s/tmp' is still there: %s", s->dir,
			 why.msg);
}

void *care_shared(size_t size)
{
	void *p = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);

	if (p == MAP_FAILED)
		proc_give_up("out of memory");
	return p;
}

static int measure_inside(void *arg, struct err *err)
{
	const struct care_measure *m = arg;

	for (size_t i = 0; i < m->paths.n; i++) {
		if (tree_usage(m->store->fd, m->paths.v[i], &m->bytes[i], err) < 0)
			return -1;
	}
	return 0;
}

int care_measure(struct arena *a, struct care_measure *m, struct err *err)
{
	const struct plan *plan;

	m->bytes = care_shared(m->paths.n * sizeof(*m->bytes));
	if (care_plan(a, m->store, NULL, &plan, err) < 0)
		return -1;
	return userns_call(plan, measure_inside, m, err);
}

struct removal {
	const struct store *s;
	struct litter litter;
	uint64_t *bytes; /* shared with the child */
};

static int remove_inside(void *arg, struct err *err)
{
	struct removal *r = arg;

	return litter_remove(r->s, &r->litter, r->bytes, err);
}

int care_sweep(struct arena *a, const struct store *s, size_t *ret_n, uint64_t *ret_bytes,
	       struct err *err)
{
	struct removal r = {.s = s};
	const struct plan *plan = NULL;
	uint64_t bytes = 0;
	size_t n = 0;
	int failed = 0;

	for (;;) {
		if (litter_find(a, s, &r.litter, err) < 0)
			return -1;
		if (r.litter.n == 0)
			break;
		log_debug("removing %zu leftovers in tmp/", r.litter.n);
		if (!r.bytes)
			r.bytes = care_shared(sizeof(*r.bytes));
		*r.bytes = 0;
		failed = (!plan && care_plan(a, s, NULL, &plan, err) < 0) ||
			 userns_call(plan, remove_inside, &r, err) < 0;
		n += r.litter.n;
		bytes += *r.bytes;
		litter_done(&r.litter);
		if (failed)
			return -1;
	}
	if (ret_n)
		*ret_n = n;
	if (ret_bytes)
		*ret_bytes = bytes;
	return 0;
}
