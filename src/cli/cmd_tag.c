#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/history.h"
#include "cli/out.h"
#include "store/tag.h"

struct values {
	struct where where;
	bool delete;
	bool json;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"delete", 'd', NULL, offsetof(struct values, delete), "remove the tag NAME"},
	{"json", 0, NULL, offsetof(struct values, json), "list as JSON"},
	{0},
};

static int list_json(const struct tag *v, size_t n, struct err *err)
{
	json_t *root = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();
		json_t *layers = json_array();

		for (size_t k = 0; k < v[i].chain.n; k++)
			json_array_append_new(layers, out_json_string(v[i].chain.v[k].digest));
		json_object_set_new(o, "name", out_json_string(v[i].name));
		json_object_set_new(o, "base", out_json_string(v[i].base));
		json_object_set_new(o, "project", out_json_string(v[i].project));
		json_object_set_new(o, "created", json_integer(v[i].created));
		json_object_set_new(o, "layers", layers);
		json_array_append_new(root, o);
	}
	return out_json(root, err);
}

static int list_text(const struct tag *v, size_t n, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (n == 0) {
		log_info("no tag yet; sbx tag NAME, or sbx commit -t NAME, makes one");
		return 0;
	}
	buf_printf(&b, "%-20s %-13s %-17s %s\n", "TAG", "LAYER", "CREATED", "PROJECT");
	for (size_t i = 0; i < n; i++) {
		const struct chain *c = &v[i].chain;
		char day[32] = "-";
		time_t created = (time_t)v[i].created;
		struct tm tm;

		if (localtime_r(&created, &tm))
			(void)strftime(day, sizeof(day), "%Y-%m-%d %H:%M", &tm);
		out_cell(&b, v[i].name, 20);
		buf_printf(&b, " %-13.*s %-17s ", HISTORY_SHORT,
			   c->n > 0 ? c->v[c->n - 1].digest : "base", day);
		out_cell(&b, v[i].project, 0);
		buf_adds(&b, "\n");
	}
	return out_write(&b, err);
}

static int list(const struct cli *cli, bool json, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	size_t damaged;
	struct tag *v;
	size_t n;

	if (store_open(cli->a, &w.store, err) < 0 ||
	    tag_list(cli->a, &w.store, &v, &n, &damaged, err) < 0)
		return -1;
	return json ? list_json(v, n, err) : list_text(v, n, err);
}

static int remove_tag(const struct cli *cli, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;

	if (cli->args.n != 1)
		return err_kind(err, ERR_USAGE, "sbx tag --delete takes the name of one tag");
	if (store_open(cli->a, &w.store, err) < 0 || tag_delete(&w.store, cli->args.v[0], err) < 0)
		return -1;
	log_info("removed the tag '%s'; sbx gc removes layers that nothing needs any more",
		 cli->args.v[0]);
	return 0;
}

static int put(const struct cli *cli, const struct where *where, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	__attribute__((cleanup(client_hold_done))) struct client_hold held = CLIENT_HOLD_NONE;
	const char *word = cli->args.n > 1 ? cli->args.v[1] : NULL;
	struct chain chain;

	if (tag_check_name(cli->args.v[0], err) < 0 ||
	    history_open(cli->a, where, false, &w, err) < 0 ||
	    history_settle(cli->a, &w, err) < 0 || client_hold_start(&w.env, &held, err) < 0 ||
	    history_read_anew(cli->a, &w, err) < 0)
		return -1;
	chain = w.env.chain;
	if (word && history_chain(cli->a, &w, word, &chain, err) < 0)
		return -1;
	if (history_put_tag(cli->a, &w, cli->args.v[0], &chain, err) < 0)
		return -1;
	log_info("'%s' is %.*s", cli->args.v[0], HISTORY_SHORT,
		 chain.n > 0 ? chain.v[chain.n - 1].digest : "the base");
	return 0;
}

static int tag(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;

	if (v->delete)
		return remove_tag(cli, err);
	return cli->args.n == 0 ? list(cli, v->json, err) : put(cli, &v->where, err);
}

const struct command *cmd_tag(void)
{
	static const struct command row = {
		.table =
			{.name = "tag",
			 .args = "[NAME [LAYER]]",
			 .summary = "name a state of the environment, or list the tags",
			 .details =
				 "Name the last layer of the environment, or LAYER, with all below it.  Tags are known\n"
				 "in all projects, and keep their layers from `sbx gc`.  Without NAME, list them.",
			 .opts = opts,
			 .max_args = 2},
		.values_size = sizeof(struct values),
		.run = tag,
	};

	return &row;
}
