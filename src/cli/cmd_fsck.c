#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "run/view.h"
#include "store/fsck.h"
#include "store/fsck_blobs.h"
#include "store/fsck_tree.h"
#include "store/layer_tree.h"

/* Something is wrong: the exit status of fsck and diff. */
#define FOUND 1

/* The map without owners. */
#define ONE_ID "one-id"

struct values {
	bool repair, json;
};

static const struct opt opts[] = {
	{"repair", 0, NULL, offsetof(struct values, repair), "put damaged layers and blobs aside"},
	{"json", 0, NULL, offsetof(struct values, json), "as JSON"},
	{0},
};

/* What is looked at in one user namespace. */
struct look {
	const struct store *s;
	const struct fsck_jobs *jobs;
	const char *map;
	int out; /* borrowed: what was found: digest, tree, text, each ended by NUL */
	struct findings *found; /* for fsck_drop_trees */
	const struct fsck_job *now;
	struct progress *progress;
	uint64_t done, total;
};

static void tell(void *ctx, const char *what)
{
	const struct look *l = ctx;
	_cleanup_buf_ struct buf b = {0};

	buf_add(&b, l->now->digest, strlen(l->now->digest) + 1);
	buf_add(&b, l->now->tree, strlen(l->now->tree) + 1);
	buf_add(&b, what, strlen(what) + 1);
	(void)fs_write_all(l->out, b.p, b.len);
}

static int look_at(struct look *l, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_fd_ int fd = -1;
	struct err why = {0};
	const struct fsck_tree t = {
		.tree = l->now->tree,
		.digest = l->now->digest,
		.tar_size = l->now->tar_size,
		.owners = strcmp(l->map, ONE_ID) != 0,
		.tell = tell,
		.ctx = l,
	};
	struct fsck_tree with = t;

	if (layer_open(a, l->s, l->now->digest, &fd, NULL, &why) < 0)
		return 0; /* gc was here */
	with.layer_fd = fd;
	if (fsck_tree(&with, &why) < 0) {
		*err = why;
		return err_prefix(err, "layer %s", l->now->digest);
	}
	return 0;
}

static int look_inside(void *arg, struct err *err)
{
	struct look *l = arg;

	for (size_t i = 0; i < l->jobs->n; i++) {
		l->now = &l->jobs->v[i];
		if (strcmp(l->now->map, l->map) != 0)
			continue;
		if (look_at(l, err) < 0)
			return -1;
		l->done += l->now->tar_size;
		progress_tell(l->progress, l->done, l->total);
	}
	return 0;
}

/* What the child wrote; of a layer that gc removed meanwhile nothing counts. */
static void collect(const struct store *s, const struct buf *b, struct findings *f)
{
	for (size_t i = 0; i < b->len;) {
		const char *digest = b->p + i;
		const char *tree = digest + strlen(digest) + 1;
		const char *what = tree + strlen(tree) + 1;
		const char *path = arena_printf(f->a, "layers/%s/%s", digest, tree);

		if (faccessat(s->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			findings_add(f, &(struct finding){.kind = FSCK_LAYER,
							  .name = digest,
							  .tree = strcmp(tree, "tree") == 0 ? NULL
											    : tree,
							  .what = what});
		i = (size_t)(what - b->p) + strlen(what) + 1;
	}
}

static bool has_map(const struct fsck_jobs *jobs, const char *map)
{
	for (size_t i = 0; i < jobs->n; i++) {
		if (strcmp(jobs->v[i].map, map) == 0)
			return true;
	}
	return false;
}

static int look_at_map(const struct store *s, struct look *l, struct findings *f, struct err *err)
{
	_cleanup_fd_ int out = memfd_create("sbx-fsck", MFD_CLOEXEC);
	_cleanup_buf_ struct buf b = {0};
	const struct plan *plan;
	char space[4096];
	ssize_t n;

	if (out < 0)
		return err_errno(err, errno, "cannot make a file in memory");
	l->out = out;
	if (care_plan(f->a, s, l->map, &plan, err) < 0 ||
	    userns_call(plan, look_inside, l, err) < 0)
		return -1;
	if (lseek(out, 0, SEEK_SET) < 0)
		return err_errno(err, errno, "cannot read what was found");
	while ((n = read(out, space, sizeof(space))) > 0)
		buf_add(&b, space, (size_t)n);
	collect(s, &b, f);
	return 0;
}

/* Trees of maps that this sbx does not know. */
static void tell_unknown(const struct fsck_jobs *jobs, struct findings *f)
{
	for (size_t i = 0; i < jobs->n; i++) {
		bool known = false;

		for (size_t k = 0; care_maps[k]; k++)
			known |= strcmp(care_maps[k], jobs->v[i].map) == 0;
		if (!known)
			findings_add(f, &(struct finding){
						.kind = FSCK_LAYER,
						.name = jobs->v[i].digest,
						.tree = jobs->v[i].main ? NULL : jobs->v[i].tree,
						.what = "it is for ids that nobody knows"});
	}
}

static int look_at_all(const struct store *s, struct findings *f, struct err *err)
{
	struct fsck_jobs jobs = {0};
	struct progress progress;
	struct look l = {.s = s, .jobs = &jobs, .progress = &progress};
	struct roots roots;
	int r = 0;

	if (fsck_layers(s, f, &jobs, err) < 0)
		return -1;
	tell_unknown(&jobs, f);
	for (size_t i = 0; i < jobs.n; i++)
		l.total += jobs.v[i].tar_size;
	progress_begin(&progress, "checking");
	for (size_t i = 0; r == 0 && care_maps[i]; i++) {
		l.map = care_maps[i];
		if (has_map(&jobs, l.map))
			r = look_at_map(s, &l, f, err);
		for (size_t k = 0; k < jobs.n; k++)
			l.done += strcmp(jobs.v[k].map, l.map) == 0 ? jobs.v[k].tar_size : 0;
	}
	progress_end(&progress);
	if (r < 0)
		return -1;
	progress_begin(&progress, "checking blobs");
	r = fsck_blobs(s, f, progress_tell, &progress, err);
	progress_end(&progress);
	if (r < 0 || roots_read(f->a, s, &roots, err) < 0)
		return -1;
	fsck_roots(s, &roots, f);
	fsck_images(s, &roots, f);
	return 0;
}

static int drop_inside(void *arg, struct err *err)
{
	const struct look *l = arg;

	return fsck_drop_trees(l->s, l->found, l->map, err);
}

/* Make a tree anew of the layer's own one, which is as it should be. */
static int remake(const struct store *s, const struct finding *x, const char *map,
		  const struct plan *plan, struct err *err)
{
	struct layer_tree t = {
		.store = s,
		.digest = x->name,
		.map = map,
		.owners = strcmp(map, ONE_ID) != 0,
	};

	if (userns_call(plan, layer_tree_make, &t, err) < 0)
		return -1;
	log_info("made '%s' of the layer %s anew", x->tree, x->name);
	return 0;
}

static bool is_damaged(const struct findings *f, const char *digest)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->v[i].kind == FSCK_LAYER && !f->v[i].tree && str_eq(f->v[i].name, digest))
			return true;
	}
	return false;
}

/* The damaged trees of one map but the layers' own. */
static int mend_trees(const struct store *s, struct findings *f, const char *map, struct err *err)
{
	struct look l = {.s = s, .map = map, .found = f};
	const char *tree = arena_printf(f->a, "tree-%s", map);
	const struct plan *plan = NULL;

	for (size_t i = 0; i < f->n; i++) {
		if (!str_eq(f->v[i].tree, tree))
			continue;
		if (!plan && (care_plan(f->a, s, map, &plan, err) < 0 ||
			      userns_call(plan, drop_inside, &l, err) < 0))
			return -1;
		if (!is_damaged(f, f->v[i].name) && remake(s, &f->v[i], map, plan, err) < 0)
			return -1;
	}
	return 0;
}

static int repair(const struct store *s, struct findings *f, struct err *err)
{
	struct fsck_aside n = {0};

	for (size_t i = 0; care_maps[i]; i++) {
		if (mend_trees(s, f, care_maps[i], err) < 0)
			return -1;
	}
	if (fsck_quarantine(s, f, &n, err) < 0 || care_sweep(f->a, s, NULL, NULL, err) < 0)
		return -1;
	if (n.blobs > 0)
		log_info("put %zu damaged blob%s aside, in '%s/%s'", n.blobs,
			 n.blobs == 1 ? "" : "s", s->dir, FSCK_QUARANTINE);
	if (n.layers > 0 || n.blobs == 0)
		log_info("put %zu damaged layer%s aside, in '%s/%s'", n.layers,
			 n.layers == 1 ? "" : "s", s->dir, FSCK_QUARANTINE);
	return 0;
}

static const char *const kinds[] = {
	[FSCK_LAYER] = "layer", [FSCK_ENVIRONMENT] = "environment",
	[FSCK_TAG] = "tag",     [FSCK_IMAGE] = "image",
	[FSCK_BLOB] = "blob",
};

static int print_json(const struct findings *f, struct err *err)
{
	json_t *root = json_array();

	for (size_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->v[i];
		json_t *o = json_object();

		json_object_set_new(o, "kind", json_string(kinds[x->kind]));
		json_object_set_new(o, "name", out_json_string(x->name));
		json_object_set_new(o, "tree", out_json_string(x->tree));
		json_object_set_new(o, "problem", out_json_string(x->what));
		json_object_set_new(o, "hint", out_json_string(x->hint));
		json_array_append_new(root, o);
	}
	return out_json(root, err);
}

static int print_text(const struct findings *f, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->v[i];

		buf_printf(&b, "%s ", kinds[x->kind]);
		out_cell(&b, x->name, 0);
		buf_adds(&b, ": ");
		out_cell(&b, x->what, 0);
		buf_adds(&b, "\n");
		if (x->hint)
			buf_printf(&b, "    hint: %s\n", x->hint);
	}
	if (f->n == 0)
		log_info("the store is sound");
	return out_write(&b, err);
}

static int fsck(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct findings f = {.a = cli->a};

	if (store_open(cli->a, &w.store, err) < 0 || look_at_all(&w.store, &f, err) < 0)
		return -1;
	if ((v->json ? print_json(&f, err) : print_text(&f, err)) < 0)
		return -1;
	if (f.n > 0 && v->repair && repair(&w.store, &f, err) < 0)
		return -1;
	return f.n > 0 ? FOUND : 0;
}

const struct command *cmd_fsck(void)
{
	static const struct command row = {
		.table =
			{.name = "fsck",
			 .summary = "check every byte of the store",
			 .details =
				 "Read each layer and compare it with its digest, and its files with what the\n"
				 "layer says of them, and each blob; see that each environment, tag and image has its\n"
				 "layers.  A line for each thing that is wrong, and exit status 1; 0 where all is well.\n"
				 "Safe beside running sandboxes and other commands.  --repair moves damaged layers and\n"
				 "blobs into quarantine/ in the store, and deletes nothing that cannot be made anew.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = fsck,
	};

	return &row;
}
