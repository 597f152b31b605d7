#include <errno.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/out.h"
#include "run/client.h"

struct values {
	bool json;
};

static const struct opt opts[] = {
	{"json", 0, NULL, offsetof(struct values, json), "as JSON"},
	{0},
};

/* Of one environment; what cannot be told is said, and counts as stopped. */
static bool is_running(struct arena *a, const struct store *s, const struct env *listed)
{
	_cleanup_fd_ int sock = -1;
	struct env env = {.fd = -1};
	struct err why = {0};
	int r;

	if (env_open_id(a, s, listed->id, &env, &why) < 0)
		return false; /* removed meanwhile */
	r = client_connect(&env, &sock, &why);
	if (r < 0 && why.errnum != ENOENT)
		log_warn("%s: %s", listed->id, why.msg);
	env_done(&env);
	return r == 0;
}

/* Its project's folder may have been removed or moved; `sbx rm ID` removes what stayed. */
static bool is_there(const struct env *env)
{
	return access(env->project, F_OK) == 0 || errno != ENOENT;
}

static int list_json(const struct env *envs, const bool *running, size_t n, struct err *err)
{
	json_t *root = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "id", out_json_string(envs[i].id));
		json_object_set_new(o, "project", out_json_string(envs[i].project));
		json_object_set_new(o, "env", out_json_string(envs[i].name));
		json_object_set_new(o, "running", json_boolean(running[i]));
		json_object_set_new(o, "gone", json_boolean(!is_there(&envs[i])));
		json_object_set_new(o, "created", json_integer(envs[i].created));
		json_array_append_new(root, o);
	}
	return out_json(root, err);
}

static int list_text(const struct env *envs, const bool *running, size_t n, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (n == 0) {
		log_info("no environment yet; sbx init and sbx enter make one");
		return 0;
	}
	buf_printf(&b, "%-32s %-8s %-17s %-10s %s\n", "ID", "STATE", "CREATED", "ENV", "PROJECT");
	for (size_t i = 0; i < n; i++) {
		char day[32] = "-";
		time_t created = (time_t)envs[i].created;
		struct tm tm;

		if (localtime_r(&created, &tm))
			(void)strftime(day, sizeof(day), "%Y-%m-%d %H:%M", &tm);
		out_cell(&b, envs[i].id, 32);
		buf_printf(&b, " %-8s %-17s ", running[i] ? "running" : "stopped", day);
		out_cell(&b, envs[i].name, 10);
		buf_adds(&b, " ");
		out_cell(&b, envs[i].project, 0);
		buf_adds(&b, is_there(&envs[i]) ? "\n" : " (gone)\n");
	}
	return out_write(&b, err);
}

static int list(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct env *envs;
	size_t n;

	if (store_open(cli->a, &w.store, err) < 0 || env_list(cli->a, &w.store, &envs, &n, err) < 0)
		return -1;

	bool *running = arena_alloc(cli->a, n + 1);

	for (size_t i = 0; i < n; i++)
		running[i] = is_running(cli->a, &w.store, &envs[i]);
	return v->json ? list_json(envs, running, n, err) : list_text(envs, running, n, err);
}

const struct command *cmd_list(void)
{
	static const struct command row = {
		.table = {.name = "list",
			  .summary = "list all environments of yours",
			  .opts = opts},
		.values_size = sizeof(struct values),
		.run = list,
	};

	return &row;
}
