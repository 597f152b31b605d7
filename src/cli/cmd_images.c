#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/history.h"
#include "cli/images.h"
#include "cli/out.h"
#include "store/image.h"
#include "store/layer.h"

#define REF_WIDTH 44
#define SIZE_COLUMN 9

struct values {
	bool delete;
	bool json;
};

static const struct opt opts[] = {
	{"delete", 'd', NULL, offsetof(struct values, delete), "forget the image REF"},
	{"json", 0, NULL, offsetof(struct values, json), "list as JSON"},
	{0},
};

/* An image with what its manifest says; of one that cannot be read, only the name. */
struct row {
	const struct image *image;
	struct image_info info;
	bool good;
	uint64_t size; /* of its layers as they are sent */
};

static struct row *rows_of(struct arena *a, const struct store *s, const struct image *v, size_t n)
{
	struct row *rows = arena_alloc(a, (n + 1) * sizeof(*rows));

	for (size_t i = 0; i < n; i++) {
		struct err why = {0};

		rows[i].image = &v[i];
		rows[i].good = image_info(a, s, v[i].manifest, &rows[i].info, &why) == 0;
		if (!rows[i].good)
			log_warn("'%s' is damaged: %s", v[i].ref, why.msg);
		for (size_t k = 0; rows[i].good && k < rows[i].info.manifest.n; k++)
			rows[i].size += rows[i].info.manifest.layers[k].size;
	}
	return rows;
}

/* When it was made; of one that does not say, when it came. */
static int64_t made(const struct row *r)
{
	int64_t t = r->good ? image_time(r->info.config.created) : 0;

	return t ? t : r->image->created;
}

static int list_json(const struct row *rows, size_t n, struct err *err)
{
	json_t *root = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		json_t *o = json_object();
		json_t *layers = json_array();

		for (size_t k = 0; r->good && k < r->info.config.n_diff_ids; k++)
			json_array_append_new(layers, json_string(r->info.config.diff_ids[k]));
		json_object_set_new(o, "ref", out_json_string(r->image->ref));
		json_object_set_new(o, "manifest", json_sprintf("sha256:%s", r->image->manifest));
		json_object_set_new(o, "size", json_integer((json_int_t)r->size));
		json_object_set_new(o, "layers", layers);
		json_object_set_new(o, "created", json_integer(made(r)));
		json_object_set_new(o, "source", out_json_string(r->image->source));
		json_object_set_new(o, "damaged", json_boolean(!r->good));
		json_array_append_new(root, o);
	}
	return out_json(root, err);
}

static void add_row(struct buf *b, const struct row *r)
{
	_cleanup_buf_ struct buf size = {0};
	char day[32] = "-";
	time_t at = (time_t)made(r);
	struct tm tm;

	if (localtime_r(&at, &tm))
		(void)strftime(day, sizeof(day), "%Y-%m-%d %H:%M", &tm);
	out_cell(b, r->image->ref, REF_WIDTH);
	buf_printf(b, " %-13.*s", HISTORY_SHORT, r->image->manifest);
	if (r->good) {
		out_size(&size, r->size);
		buf_printf(b, " %*s %6zu  %s\n", SIZE_COLUMN, size.p, r->info.manifest.n, day);
	} else {
		buf_printf(b, " %*s %6s  %s\n", SIZE_COLUMN, "damaged", "-", day);
	}
}

static int list_text(const struct row *rows, size_t n, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (n == 0) {
		log_info(
			"no image yet; sbx pull, sbx load, sbx build and sbx init --bootstrap bring "
			"some");
		return 0;
	}
	buf_printf(&b, "%-*s %-13s %*s %6s  %s\n", REF_WIDTH, "IMAGE", "MANIFEST", SIZE_COLUMN,
		   "SIZE", "LAYERS", "CREATED");
	for (size_t i = 0; i < n; i++)
		add_row(&b, &rows[i]);
	return out_write(&b, err);
}

static int list(const struct cli *cli, bool json, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const struct row *rows;
	struct image *v;
	size_t damaged;
	size_t n;

	if (store_open(cli->a, &w.store, err) < 0 ||
	    image_list(cli->a, &w.store, &v, &n, &damaged, err) < 0)
		return -1;
	rows = rows_of(cli->a, &w.store, v, n);
	return json ? list_json(rows, n, err) : list_text(rows, n, err);
}

static int forget(const struct cli *cli, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const char *ref = cli->args.n == 1 ? cli->args.v[0] : NULL;
	struct image image;
	struct err why = {0};
	const char *full;

	if (!ref) {
		err_kind(err, ERR_USAGE, "sbx images --delete takes the name of one image");
		return err_hint(err, "'sbx images' lists them");
	}
	if (store_open(cli->a, &w.store, err) < 0)
		return -1;
	/* As it is written first: one that is damaged cannot be read, only removed. */
	if (image_get(cli->a, &w.store, ref, &image, &why) < 0 && why.errnum == ENOENT &&
	    images_name(cli->a, ref, false, &full, &why) == 0)
		ref = full;
	if (image_delete(&w.store, ref, err) < 0)
		return -1;
	log_info("forgot the image '%s'; sbx gc removes what nothing needs any more", ref);
	return 0;
}

static int images(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;

	if (v->delete)
		return forget(cli, err);
	if (cli->args.n > 0) {
		err_kind(err, ERR_USAGE, "sbx images takes a name only with --delete");
		return err_hint(err, "'sbx images' lists them");
	}
	return list(cli, v->json, err);
}

const struct command *cmd_images(void)
{
	static const struct command row = {
		.table =
			{.name = "images",
			 .args = "[REF]",
			 .summary = "list the images of the store, or forget one",
			 .details =
				 "List the images that the store has a name for, with the size of their layers as they\n"
				 "are sent.  With --delete, forget one: what nothing else needs goes with the next\n"
				 "sbx gc.  Environments that stand on it keep what they need.",
			 .opts = opts,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = images,
	};

	return &row;
}
