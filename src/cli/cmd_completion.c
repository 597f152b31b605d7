#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/complete.h"
#include "cli/kernelspec.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/shell.h"
#include "conf/profile.h"
#include "run/ports.h"
#include "store/image.h"
#include "store/project.h"
#include "store/tag.h"

struct values {
	bool list;
};

static const struct opt opts[] = {
	{"list", 0, NULL, offsetof(struct values, list),
	 "print what the last of the words behind -- may become"},
	{0},
};

/* Of what cannot be read, nothing is offered, and nothing said: the user is about to type. */
struct world {
	struct workplace w;
	bool project, store;
};

static void add_envs(const struct world *x, struct arena *a, bool ids, struct strv *ret)
{
	struct env *envs;
	size_t n;

	if (env_list(a, &x->w.store, &envs, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (ids || (x->project && str_eq(envs[i].project, x->w.project)))
			strv_push(a, ret, ids ? envs[i].id : envs[i].name);
}

static void add_tags(const struct world *x, struct arena *a, struct strv *ret)
{
	struct tag *tags;
	size_t damaged;
	size_t n;

	if (tag_list(a, &x->w.store, &tags, &n, &damaged, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		strv_push(a, ret, tags[i].name);
}

static void add_images(const struct world *x, struct arena *a, struct strv *ret)
{
	struct image *images;
	size_t damaged;
	size_t n;

	if (image_list(a, &x->w.store, &images, &n, &damaged, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		strv_push(a, ret, images[i].ref);
}

static void add_layers(struct world *x, struct arena *a, struct strv *ret)
{
	struct err why = {0};

	strv_push(a, ret, "base");
	add_tags(x, a, ret);
	if (!x->project || open_env(a, &x->w, &why) < 0)
		return;
	for (size_t i = 0; i < x->w.env.chain.n; i++)
		strv_pushf(a, ret, "%.12s", x->w.env.chain.v[i].digest);
}

static void add_profiles(struct arena *a, struct strv *ret)
{
	struct named_profile *v;
	size_t n;

	if (project_list_named(a, &v, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		strv_push(a, ret, v[i].name);
}

/* Those that are published; where nothing runs, those of the profile. */
static void add_ports(struct world *x, struct arena *a, struct strv *ret)
{
	struct err why = {0};
	struct port *ports;
	size_t n;

	if (!x->project)
		return;
	if (open_env(a, &x->w, &why) == 0 && ports_list(a, &x->w.env, &ports, &n, &why) == 0) {
		for (size_t i = 0; i < n; i++)
			strv_pushf(a, ret, "%u%s", (unsigned)ports[i].host,
				   ports[i].udp ? "/udp" : "");
		return;
	}
	if (open_profile(a, &x->w, &why) < 0)
		return;
	for (size_t i = 0; i < x->w.profile->net.ports.n; i++)
		strv_pushf(a, ret, "%u", (unsigned)x->w.profile->net.ports.v[i].host);
}

static void add_kernels(struct arena *a, struct strv *ret)
{
	struct kernelspec *v;
	size_t n;

	if (kernelspec_list(a, &v, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		strv_push(a, ret, v[i].name);
}

static void list(void *ctx, struct arena *a, const char *kind, struct strv *ret)
{
	struct world *x = ctx;

	if (str_eq(kind, "profiles"))
		add_profiles(a, ret);
	else if (str_eq(kind, "ports"))
		add_ports(x, a, ret);
	else if (str_eq(kind, "kernels"))
		add_kernels(a, ret);
	else if (!x->store)
		return;
	else if (str_eq(kind, "envs") || str_eq(kind, "ids"))
		add_envs(x, a, str_eq(kind, "ids"), ret);
	else if (str_eq(kind, "tags"))
		add_tags(x, a, ret);
	else if (str_eq(kind, "images"))
		add_images(x, a, ret);
	else if (str_eq(kind, "layers"))
		add_layers(x, a, ret);
}

static const struct opt_table *table(size_t i)
{
	const struct command *c = command_at(i);

	return c ? &c->table : NULL;
}

static int list_words(const struct cli *cli, struct err *err)
{
	struct world x = {.w = WORKPLACE_EMPTY};
	const struct where where = {0};
	const struct completer c = {
		.global = command_global(), .table = table, .list = list, .ctx = &x};
	_cleanup_buf_ struct buf b = {0};
	int r;

	x.project = open_project(cli->a, &where, &x.w, NULL) == 0;
	x.store = x.project || store_open(cli->a, &x.w.store, NULL) == 0;
	complete(cli->a, &c, cli->args.v, cli->args.n, &b);
	r = out_write(&b, err);
	workplace_done(&x.w);
	return r;
}

static int completion(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_buf_ struct buf b = {0};

	if (v->list)
		return list_words(cli, err);
	if (cli->args.n != 1) {
		(void)err_kind(err, ERR_USAGE, "'sbx completion' needs the name of a shell");
		return err_hint(err, "sbx completion bash, zsh or fish");
	}
	if (shell_script(cli->a, "completion", cli->args.v[0], &b, err) < 0)
		return -1;
	return out_write(&b, err);
}

const struct command *cmd_completion(void)
{
	static const struct command row = {
		.table =
			{.name = "completion",
			 .args = "bash|zsh|fish",
			 .summary = "print a script that completes sbx on the command line",
			 .details =
				 "Print a script with which the shell completes commands, options and the names of\n"
				 "environments, tags, images and profiles.  For bash: eval \"$(sbx completion bash)\"",
			 .opts = opts,
			 .max_args = OPT_ANY_ARGS},
		.values_size = sizeof(struct values),
		.run = completion,
	};

	return &row;
}
