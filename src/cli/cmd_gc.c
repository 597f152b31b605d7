#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/history.h"
#include "cli/out.h"
#include "run/view.h"
#include "store/env_chain.h"
#include "store/gc.h"
#include "store/litter.h"
#include "store/tree.h"

struct values {
	bool all;
	bool dry_run;
};

static const struct opt opts[] = {
	{"all", 'a', NULL, offsetof(struct values, all),
	 "also the layers that the last reset of an environment left behind"},
	{"dry-run", 'n', NULL, offsetof(struct values, dry_run), "only say what would be removed"},
	{0},
};

static int dry_run(struct arena *a, const struct store *s, const struct gc_result *gone,
		   struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct care_measure m = {.store = s};
	struct litter litter = {0};

	for (size_t i = 0; i < gone->n; i++)
		strv_pushf(a, &m.paths, "layers/%s", gone->layers[i]);
	if (litter_find(a, s, &litter, err) < 0)
		return -1;
	for (size_t i = 0; i < litter.n; i++)
		strv_pushf(a, &m.paths, "tmp/%s", litter.names[i]);
	litter_done(&litter);
	if (m.paths.n == 0) {
		log_info("nothing to remove");
		return 0;
	}
	if (care_measure(a, &m, err) < 0)
		return -1;
	for (size_t i = 0; i < m.paths.n; i++) {
		buf_adds(&b, m.paths.v[i]);
		buf_adds(&b, "  ");
		out_size(&b, m.bytes[i]);
		buf_adds(&b, "\n");
	}
	return out_write(&b, err);
}

/* What crashes left in environments that nobody has used since. */
static void settle(struct arena *a, struct workplace *w, const struct roots *roots)
{
	for (size_t i = 0; i < roots->n_envs; i++) {
		struct err why = {0};

		w->env = (struct env){.fd = -1};
		if (env_open_id(a, &w->store, roots->envs[i].id, &w->env, &why) < 0)
			continue; /* removed meanwhile */
		w->project = w->env.project;
		w->env_name = w->env.name;
		if (!env_is_settled(&w->env) && history_settle(a, w, &why) < 0)
			log_warn("%s", why.msg);
		env_done(&w->env);
	}
}

static int refuse(const struct gc_result *gone, struct err *err)
{
	const struct root_damage *d = &gone->roots.damaged.v[0];

	err_set(err, "cannot tell which layers are needed, so none was removed: the %s '%s': %s",
		d->is_tag ? "tag" : "environment", d->name, d->why);
	if (d->is_tag)
		return err_hint(err,
				"sbx fsck shows all that is damaged; to forget the tag, run: "
				"sbx tag -d %s",
				d->name);
	return err_hint(err,
			"sbx fsck shows all that is damaged; move the environment's folder out "
			"of the store, and run sbx gc again");
}

static int gc(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	_cleanup_buf_ struct buf size = {0};
	struct gc_result gone;
	uint64_t bytes = 0;
	size_t litter = 0;
	size_t temps = 0;
	size_t others;

	if (store_open(cli->a, &w.store, err) < 0 ||
	    gc_layers(cli->a, &w.store, (v->dry_run ? GC_DRY_RUN : 0) | (v->all ? GC_ALL : 0),
		      &gone, err) < 0)
		return -1;
	if (v->dry_run) {
		if (dry_run(cli->a, &w.store, &gone, err) < 0)
			return -1;
		return gone.roots.damaged.n > 0 ? refuse(&gone, err) : 0;
	}
	settle(cli->a, &w, &gone.roots);
	if (gc_temps(&w.store, false, &temps, err) < 0 ||
	    care_sweep(cli->a, &w.store, &litter, &bytes, err) < 0)
		return -1;
	out_size(&size, bytes);
	/* The layers are among the litter, unless somebody else was quicker with them. */
	others = temps + (litter > gone.n ? litter - gone.n : 0);
	if (gone.n + others == 0)
		log_info("nothing to remove");
	else
		log_info("removed %zu layer%s and %zu leftover%s: %s", gone.n,
			 gone.n == 1 ? "" : "s", others, others == 1 ? "" : "s", size.p);
	return gone.roots.damaged.n > 0 ? refuse(&gone, err) : 0;
}

const struct command *cmd_gc(void)
{
	static const struct command row = {
		.table =
			{.name = "gc",
			 .summary = "remove layers that nothing needs, and what crashes left",
			 .details =
				 "Remove the layers that no environment and no tag needs, and what killed\n"
				 "commands have left in the store.  Safe at any time, beside any other\n"
				 "command.  What sbx fsck --repair put aside stays, and without --all what\n"
				 "`sbx reset -` could go back to.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = gc,
	};

	return &row;
}
