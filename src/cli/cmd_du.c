#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/out.h"
#include "run/view.h"
#include "store/fsck.h"
#include "store/image.h"
#include "store/layer.h"
#include "store/roots.h"
#include "store/tag.h"
#include "store/tree.h"

#define ID_WIDTH 32
#define SIZE_COLUMN 9
#define SHORT 12

struct values {
	bool json;
};

static const struct opt opts[] = {
	{"json", 0, NULL, offsetof(struct values, json), "as JSON"},
	{0},
};

struct du {
	struct arena *a;
	struct roots roots;
	struct chain *images; /* of each of roots.images: the digests of its layers alone */
	char **layers;
	size_t n_layers;
	struct care_measure
		m; /* layers; then the whole folder, upper and home of each environment; then the rest */
};

#define OF_ENV 3 /* paths of an environment */

/* What belongs to nobody: of_rest. */
static const char *const rest[] = {"tmp", FSCK_QUARANTINE, "blobs"};
static const char *const rest_texts[] = {"leftovers (tmp)", "put aside (quarantine)",
					 "images' blobs"};
#define N_REST (sizeof(rest) / sizeof(rest[0]))

static const uint64_t *of_env(const struct du *d, size_t i)
{
	return &d->m.bytes[d->n_layers + OF_ENV * i];
}

static uint64_t of_rest(const struct du *d, size_t i)
{
	return d->m.bytes[d->n_layers + OF_ENV * d->roots.n_envs + i];
}

/* One that cannot be read has no layers; gc and fsck tell of it. */
static void read_images(struct du *d, const struct store *s)
{
	d->images = arena_alloc(d->a, (d->roots.n_images + 1) * sizeof(*d->images));
	for (size_t i = 0; i < d->roots.n_images; i++) {
		struct chain *c = &d->images[i];
		struct image_info info;
		struct err why = {0};

		if (image_info(d->a, s, d->roots.images[i].manifest, &info, &why) < 0)
			continue;
		c->v = arena_alloc(d->a, (info.config.n_diff_ids + 1) * sizeof(*c->v));
		for (; c->n < info.config.n_diff_ids; c->n++)
			c->v[c->n].digest = info.config.diff_ids[c->n];
	}
}

static int measure(struct du *d, const struct store *s, struct err *err)
{
	d->m.store = s;
	if (roots_read(d->a, s, &d->roots, err) < 0 ||
	    layer_list(d->a, s, &d->layers, &d->n_layers, err) < 0)
		return -1;
	for (size_t i = 0; i < d->n_layers; i++)
		strv_pushf(d->a, &d->m.paths, "layers/%s", d->layers[i]);
	for (size_t i = 0; i < d->roots.n_envs; i++) {
		const struct env *e = &d->roots.envs[i];

		strv_pushf(d->a, &d->m.paths, "envs/%s", e->id);
		strv_pushf(d->a, &d->m.paths, "envs/%s/%s", e->id, e->upper);
		strv_pushf(d->a, &d->m.paths, "envs/%s/home", e->id);
	}
	read_images(d, s);
	for (size_t i = 0; i < N_REST; i++)
		strv_push(d->a, &d->m.paths, rest[i]);
	return care_measure(d->a, &d->m, err);
}

static bool has(const struct chain *c, const char *digest)
{
	for (size_t i = 0; i < c->n; i++) {
		if (str_eq(c->v[i].digest, digest))
			return true;
	}
	return false;
}

static size_t users_of(const struct du *d, const char *digest)
{
	size_t n = 0;

	for (size_t i = 0; i < d->roots.n_envs; i++)
		n += has(&d->roots.envs[i].chain, digest);
	for (size_t i = 0; i < d->roots.n_tags; i++)
		n += has(&d->roots.tags[i].chain, digest);
	for (size_t i = 0; i < d->roots.n_images; i++)
		n += has(&d->images[i], digest);
	return n;
}

/* The layers of a chain, each once; *ret_own: those that nothing else needs. */
static uint64_t layers_of(const struct du *d, const struct chain *c, uint64_t *ret_own)
{
	uint64_t all = 0;

	*ret_own = 0;
	for (size_t i = 0; i < d->n_layers; i++) {
		if (!has(c, d->layers[i]))
			continue;
		all += d->m.bytes[i];
		if (users_of(d, d->layers[i]) == 1)
			*ret_own += d->m.bytes[i];
	}
	return all;
}

static uint64_t total(const struct du *d)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < N_REST; i++)
		sum += of_rest(d, i);
	for (size_t i = 0; i < d->n_layers; i++)
		sum += d->m.bytes[i];
	for (size_t i = 0; i < d->roots.n_envs; i++)
		sum += of_env(d, i)[0];
	return sum;
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *json_chain(const struct du *d, json_t *o, const struct chain *c)
{
	uint64_t own;

	json_object_set_new(o, "layers", number(layers_of(d, c, &own)));
	json_object_set_new(o, "layersOwn", number(own));
	return o;
}

static int print_json(const struct du *d, struct err *err)
{
	json_t *root = json_object();
	json_t *envs = json_array();
	json_t *tags = json_array();
	json_t *images = json_array();
	json_t *layers = json_array();

	for (size_t i = 0; i < d->roots.n_envs; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "id", out_json_string(d->roots.envs[i].id));
		json_object_set_new(o, "bytes", number(of_env(d, i)[0]));
		json_object_set_new(o, "upper", number(of_env(d, i)[1]));
		json_object_set_new(o, "home", number(of_env(d, i)[2]));
		json_array_append_new(envs, json_chain(d, o, &d->roots.envs[i].chain));
	}
	for (size_t i = 0; i < d->roots.n_tags; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "name", out_json_string(d->roots.tags[i].name));
		json_array_append_new(tags, json_chain(d, o, &d->roots.tags[i].chain));
	}
	for (size_t i = 0; i < d->roots.n_images; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "ref", out_json_string(d->roots.images[i].ref));
		json_array_append_new(images, json_chain(d, o, &d->images[i]));
	}
	for (size_t i = 0; i < d->n_layers; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "digest", json_string(d->layers[i]));
		json_object_set_new(o, "bytes", number(d->m.bytes[i]));
		json_object_set_new(o, "users", number(users_of(d, d->layers[i])));
		json_array_append_new(layers, o);
	}
	json_object_set_new(root, "environments", envs);
	json_object_set_new(root, "tags", tags);
	json_object_set_new(root, "images", images);
	json_object_set_new(root, "layers", layers);
	for (size_t i = 0; i < N_REST; i++)
		json_object_set_new(root, rest[i], number(of_rest(d, i)));
	json_object_set_new(root, "total", number(total(d)));
	return out_json(root, err);
}

static void size_cell(struct buf *b, uint64_t bytes)
{
	_cleanup_buf_ struct buf size = {0};

	out_size(&size, bytes);
	buf_printf(b, " %*s", SIZE_COLUMN, size.p);
}

static void print_envs(const struct du *d, struct buf *b)
{
	buf_printf(b, "%-*s %*s %*s %*s %*s\n", ID_WIDTH, "ENVIRONMENT", SIZE_COLUMN, "CHANGES",
		   SIZE_COLUMN, "HOME", SIZE_COLUMN, "LAYERS", SIZE_COLUMN, "OF ITS OWN");
	for (size_t i = 0; i < d->roots.n_envs; i++) {
		uint64_t own;
		uint64_t all = layers_of(d, &d->roots.envs[i].chain, &own);

		out_cell(b, d->roots.envs[i].id, ID_WIDTH);
		size_cell(b, of_env(d, i)[1]);
		size_cell(b, of_env(d, i)[2]);
		size_cell(b, all);
		size_cell(b, own);
		buf_adds(b, "\n");
	}
}

static void print_chain(const struct du *d, const char *name, const struct chain *c, struct buf *b)
{
	uint64_t own;
	uint64_t all = layers_of(d, c, &own);

	out_cell(b, name, ID_WIDTH);
	size_cell(b, all);
	size_cell(b, own);
	buf_adds(b, "\n");
}

static void print_heading(const char *what, struct buf *b)
{
	buf_printf(b, "\n%-*s %*s %*s\n", ID_WIDTH, what, SIZE_COLUMN, "LAYERS", SIZE_COLUMN,
		   "OF ITS OWN");
}

static void print_tags(const struct du *d, struct buf *b)
{
	if (d->roots.n_tags > 0)
		print_heading("TAG", b);
	for (size_t i = 0; i < d->roots.n_tags; i++)
		print_chain(d, d->roots.tags[i].name, &d->roots.tags[i].chain, b);
	if (d->roots.n_images > 0)
		print_heading("IMAGE", b);
	for (size_t i = 0; i < d->roots.n_images; i++)
		print_chain(d, d->roots.images[i].ref, &d->images[i], b);
}

static int print_text(const struct du *d, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	print_envs(d, &b);
	print_tags(d, &b);
	if (d->n_layers > 0)
		buf_printf(&b, "\n%-*s %*s %*s\n", ID_WIDTH, "LAYER", SIZE_COLUMN, "SIZE",
			   SIZE_COLUMN, "USED BY");
	for (size_t i = 0; i < d->n_layers; i++) {
		buf_printf(&b, "%-*.*s", ID_WIDTH, SHORT, d->layers[i]);
		size_cell(&b, d->m.bytes[i]);
		buf_printf(&b, " %*zu\n", SIZE_COLUMN, users_of(d, d->layers[i]));
	}
	for (size_t i = 0; i < N_REST; i++) {
		buf_printf(&b, "\n%-*s", ID_WIDTH, rest_texts[i]);
		size_cell(&b, of_rest(d, i));
	}
	buf_printf(&b, "\n%-*s", ID_WIDTH, "all");
	size_cell(&b, total(d));
	buf_adds(&b, "\n");
	return out_write(&b, err);
}

static int du(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct du d = {.a = cli->a};

	if (store_open(cli->a, &w.store, err) < 0 || measure(&d, &w.store, err) < 0)
		return -1;
	for (size_t i = 0; i < d.roots.damaged.n; i++)
		log_warn("left out: %s", d.roots.damaged.v[i].why);
	return v->json ? print_json(&d, err) : print_text(&d, err);
}

const struct command *cmd_du(void)
{
	static const struct command row = {
		.table =
			{.name = "du",
			 .summary = "show what takes the space of the store",
			 .details =
				 "Show what environments, tags, images and layers take of the disk.  A layer that several\n"
				 "need counts once in the sum; OF ITS OWN are those that nothing else needs.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = du,
	};

	return &row;
}
