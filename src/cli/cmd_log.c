#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/history.h"
#include "cli/out.h"
#include "store/layer.h"
#include "store/tag.h"

struct values {
	struct where where;
	bool json;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"json", 0, NULL, offsetof(struct values, json), "as JSON"},
	{0},
};

struct shown {
	const struct commit *commit;
	struct layer_info info;
	bool there; /* its layer can be read */
	bool of_image;
	struct strv tags;
};

/* The tags whose chain is the environment's up to its layer n. */
static void find_tags(struct arena *a, const struct chain *chain, const struct tag *tags,
		      size_t n_tags, struct shown *v)
{
	for (size_t i = 0; i < n_tags; i++) {
		size_t n = tags[i].chain.n;
		bool same = n > 0 && n <= chain->n;

		for (size_t k = 0; k < n && same; k++)
			same = strcmp(tags[i].chain.v[k].digest, chain->v[k].digest) == 0;
		if (same)
			strv_push(a, &v[n - 1].tags, tags[i].name);
	}
}

static void look(struct arena *a, const struct workplace *w, struct shown *v)
{
	for (size_t i = 0; i < w->env.chain.n; i++) {
		_cleanup_fd_ int fd = -1;
		struct err why = {0};

		v[i].commit = &w->env.chain.v[i];
		v[i].of_image = i < w->env.image.n;
		if (layer_open(a, &w->store, v[i].commit->digest, &fd, &v[i].info, &why) == 0)
			v[i].there = true;
		else
			log_warn("%s", why.msg);
	}
}

static int log_json(const struct shown *v, size_t n, struct err *err)
{
	json_t *root = json_array();

	for (size_t i = n; i-- > 0;) {
		json_t *o = json_object();
		json_t *tags = json_array();

		for (size_t k = 0; k < v[i].tags.n; k++)
			json_array_append_new(tags, out_json_string(v[i].tags.v[k]));
		json_object_set_new(o, "digest", out_json_string(v[i].commit->digest));
		json_object_set_new(o, "created", json_integer(v[i].commit->created));
		json_object_set_new(o, "message", out_json_string(v[i].commit->message));
		json_object_set_new(o, "by", out_json_string(v[i].commit->by));
		json_object_set_new(o, "image", json_boolean(v[i].of_image));
		json_object_set_new(o, "tags", tags);
		if (v[i].there) {
			json_object_set_new(o, "bytes", json_integer((json_int_t)v[i].info.bytes));
			json_object_set_new(o, "entries",
					    json_integer((json_int_t)v[i].info.entries));
			json_object_set_new(o, "host", out_json_string(v[i].info.host));
		}
		json_array_append_new(root, o);
	}
	return out_json(root, err);
}

static void add_row(struct buf *b, const struct shown *s)
{
	_cleanup_buf_ struct buf size = {0};
	char day[32] = "-";
	time_t created = (time_t)s->commit->created;
	struct tm tm;

	/* Who made it may not have said. */
	if (created != 0 && localtime_r(&created, &tm))
		(void)strftime(day, sizeof(day), "%Y-%m-%d %H:%M", &tm);
	if (s->there)
		out_size(&size, s->info.bytes);
	else
		buf_adds(&size, "missing");
	buf_printf(b, "%.*s  %-16s  %9s  ", HISTORY_SHORT, s->commit->digest, day, size.p);
	out_cell(b, s->commit->by, 11);
	buf_adds(b, " ");
	out_cell(b, s->commit->message, 0);
	for (size_t i = 0; i < s->tags.n; i++) {
		buf_adds(b, i == 0 ? " (" : ", ");
		out_cell(b, s->tags.v[i], 0);
	}
	buf_adds(b, s->tags.n > 0 ? ")\n" : "\n");
}

static int log_text(const struct shown *v, size_t n, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (n == 0) {
		log_info("no layer yet; sbx commit makes one");
		return 0;
	}
	buf_printf(&b, "%-12s  %-16s  %9s  %-11s %s\n", "LAYER", "CREATED", "SIZE", "BY",
		   "MESSAGE");
	for (size_t i = n; i-- > 0;)
		add_row(&b, &v[i]);
	return out_write(&b, err);
}

static int log_run(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct shown *shown;
	struct tag *tags;
	size_t damaged;
	size_t n_tags;
	size_t n;

	if (open_env_of(cli->a, &v->where, NULL, &w, err) < 0 ||
	    tag_list(cli->a, &w.store, &tags, &n_tags, &damaged, err) < 0)
		return -1;
	history_add_pending(cli->a, &w.env);
	n = w.env.chain.n;
	shown = arena_alloc(cli->a, (n + 1) * sizeof(*shown));
	look(cli->a, &w, shown);
	find_tags(cli->a, &w.env.chain, tags, n_tags, shown);
	return v->json ? log_json(shown, n, err) : log_text(shown, n, err);
}

const struct command *cmd_log(void)
{
	static const struct command row = {
		.table =
			{.name = "log",
			 .summary = "list the layers of the environment",
			 .details =
				 "List the layers of the environment, the newest first: digest, time, size,\n"
				 "what made it, message, and tags.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = log_run,
	};

	return &row;
}
