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
	bool blobs;
	bool dry_run;
};

static const struct opt opts[] = {
	{"all", 'a', NULL, offsetof(struct values, all),
	 "also the layers that the last reset of an environment left behind, and the build cache"},
	{"blobs", 0, NULL, offsetof(struct values, blobs),
	 "also the compressed form of images' layers that are unpacked"},
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
	for (size_t i = 0; i < gone->n_blobs; i++)
		strv_pushf(a, &m.paths, "blobs/%s", gone->blobs[i]);
	for (size_t i = 0; i < gone->n_partial; i++)
		strv_pushf(a, &m.paths, "blobs/partial/%s", gone->partial[i]);
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
	static const char *const kinds[] = {
		[ROOT_ENVIRONMENT] = "environment", [ROOT_TAG] = "tag", [ROOT_IMAGE] = "image"};
	const struct root_damage *d = &gone->roots.damaged.v[0];

	err_set(err, "cannot tell which layers are needed, so none was removed: the %s '%s': %s",
		kinds[d->kind], d->name, d->why);
	switch (d->kind) {
	case ROOT_TAG:
		return err_hint(err,
				"sbx fsck shows all that is damaged; to forget the tag, run: "
				"sbx tag -d %s",
				d->name);
	case ROOT_IMAGE:
		return err_hint(err,
				"sbx fsck shows all that is damaged; to forget the image, run: "
				"sbx images -d %s",
				d->name);
	case ROOT_ENVIRONMENT:
		break;
	}
	return err_hint(err,
			"sbx fsck shows all that is damaged; move the environment's folder out "
			"of the store, and run sbx gc again");
}

static unsigned how_of(const struct values *v)
{
	return (v->dry_run ? GC_DRY_RUN : 0) | (v->all ? GC_ALL : 0) | (v->blobs ? GC_BLOBS : 0);
}

/* What was swept is among the litter, unless somebody else was quicker with it. */
static void report(const struct gc_result *gone, size_t litter, size_t temps, uint64_t bytes)
{
	_cleanup_buf_ struct buf b = {0};
	size_t swept = gone->n + gone->n_blobs;
	size_t others = temps + gone->n_partial + (litter > swept ? litter - swept : 0);

	if (swept + others == 0) {
		log_info("nothing to remove");
		return;
	}
	buf_printf(&b, "removed %zu layer%s", gone->n, gone->n == 1 ? "" : "s");
	if (gone->n_blobs > 0)
		buf_printf(&b, ", %zu blob%s", gone->n_blobs, gone->n_blobs == 1 ? "" : "s");
	buf_printf(&b, " and %zu leftover%s: ", others, others == 1 ? "" : "s");
	out_size(&b, bytes);
	log_info("%s", b.p);
}

static int gc(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct gc_result gone;
	uint64_t bytes = 0;
	size_t litter = 0;
	size_t temps = 0;

	if (store_open(cli->a, &w.store, err) < 0 ||
	    gc_layers(cli->a, &w.store, how_of(v), &gone, err) < 0)
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
	report(&gone, litter, temps, bytes);
	return gone.roots.damaged.n > 0 ? refuse(&gone, err) : 0;
}

const struct command *cmd_gc(void)
{
	static const struct command row = {
		.table =
			{.name = "gc",
			 .summary = "remove layers that nothing needs, and what crashes left",
			 .details =
				 "Remove the layers and blobs that no environment, tag or image needs, and what\n"
				 "killed commands have left in the store.  Safe at any time, beside any other\n"
				 "command.  What sbx fsck --repair put aside stays, and without --all what\n"
				 "`sbx reset -` could go back to, and the build cache.  After --blobs, sbx push\n"
				 "compresses layers anew, which changes the digest of an image's manifest.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = gc,
	};

	return &row;
}
