/*
 * RUN: the command in a sandbox on the layers so far.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/build_config.h"
#include "cli/build_recipe.h"
#include "cli/build_steps.h"
#include "cli/care.h"
#include "cli/passed.h"
#include "plan/plan.h"
#include "run/client.h"
#include "run/view.h"
#include "store/accounts.h"
#include "store/build_env.h"

#define HOME_MAX 4096

struct running {
	const struct cf_step *step;
	struct strv argv;
};

/* USER, looked up in the root: what comes back is in memory that both have. */
struct looking {
	const char *spec;
	struct client_ids *ids; /* shared, with the home behind it */
	char *home;
};

static int look_inside(const struct view_roots *v, void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct looking *l = arg;
	struct account found;

	if (accounts_find(a, v->root, l->spec, &found, err) < 0)
		return -1;
	l->ids->uid = found.uid;
	l->ids->gid = found.gid;
	memcpy(l->home, found.home, strnlen(found.home, HOME_MAX - 1));
	return 0;
}

static int find_user(const struct build_stage *stage, const struct plan *plan, struct looking *ret,
		     struct err *err)
{
	char *shared = care_shared(sizeof(struct client_ids) + HOME_MAX);

	*ret = (struct looking){
		.spec = stage->config.user,
		.ids = (struct client_ids *)(void *)shared,
		.home = shared + sizeof(struct client_ids),
	};
	return view_call_roots(plan, NULL, look_inside, ret, err);
}

static bool is_root(const char *user)
{
	return !user || !*user || str_eq(user, "root") || str_eq(user, "0") ||
	       str_eq(user, "0:0") || str_eq(user, "root:root");
}

/* The sandbox ends with its command, and is gone when this returns. */
static int run_in(const struct plan *plan, struct env *env, const struct client_request *request,
		  int *ret_status, struct err *err)
{
	_cleanup_fd_ int sock = -1;
	struct err why = {0};
	int r;

	if (client_start(plan, env, request, &sock, err) < 0)
		return -1;
	r = client_run(sock, request, ret_status, err);
	cleanup_fd(&sock);
	if (client_stop(env, &why) < 0 && why.errnum != ENOENT && r == 0) {
		*err = why;
		return -1;
	}
	return r;
}

/* How the network is reached, where the profile passes that: no part of what is built, nor of its key. */
static void add_proxies(const struct build *b, struct strv *vars)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "ftp_proxy",   "all_proxy",
					    "no_proxy",   "HTTP_PROXY",  "HTTPS_PROXY", "FTP_PROXY",
					    "ALL_PROXY",  "NO_PROXY"};
	const char *const *all = passed_env(b->a, b->profile, (const char *const *)environ);

	for (; *all; all++)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (str_starts(*all, names[i]) && (*all)[strlen(names[i])] == '=')
				strv_put_env(b->a, vars, *all);
}

static int run(struct build *b, struct build_stage *stage, struct env *env, const struct plan *plan,
	       void *arg, struct err *err)
{
	struct running *r = arg;
	struct strv vars = build_env(b, stage);
	struct looking user = {0};
	struct client_request request = {
		.argv = (const char *const *)r->argv.v,
		.cwd = build_workdir(stage),
		.strict_cwd = true,
		.as_root = true,
	};
	int status = 0;

	if (!b->of_profile && !is_root(stage->config.user)) {
		if (find_user(stage, plan, &user, err) < 0)
			return -1;
		request.ids = user.ids;
		if (!build_lookup(stage, "HOME"))
			strv_put_env(b->a, &vars, arena_printf(b->a, "HOME=%s", user.home));
	}
	if (b->of_profile)
		add_proxies(b, &vars);
	request.env = (const char *const *)vars.v;
	if (run_in(plan, env, &request, &status, err) < 0)
		return -1;
	if (status == 0)
		return 0;
	err_set(err, "the command ended with status %d", status);
	if (b->of_profile)
		return err_hint(err,
				"to look around before it: make a comment of line %d and the steps "
				"behind it, and run sbx enter -e look",
				r->step->line);
	return err_hint(err,
			"to look around before it: end the file above line %d, sbx build -t "
			"localhost/look, and in another folder sbx init --base localhost/look",
			r->step->line);
}

/* The command may read the project, where it starts: what it names there counts, for the rest it is the same folder. */
static void add_project(const struct build *b, const struct build_stage *stage, const char *command,
			struct buf *key)
{
	const struct build_words w = {b->context_fd, b->context, build_workdir(stage), SIZE_MAX};

	buf_printf(key, "\nproject %s\nat %s\n", b->context, w.cwd);
	build_recipe_files(b->a, &w, command, key);
}

int build_step_run(struct build *b, struct build_stage *stage, const struct cf_step *step,
		   struct err *err)
{
	_cleanup_buf_ struct buf key = {0};
	struct running r = {.step = step};
	const struct build_work work = {
		.step = step,
		.text = step->text,
		.key = &key,
		.fn = run,
		.arg = &r,
		.network = true,
	};

	if (!step->exec && stage->config.shell.n == 0) {
		strv_push(b->a, &r.argv, "/bin/sh");
		strv_push(b->a, &r.argv, "-c");
	}
	for (size_t i = 0; !step->exec && i < stage->config.shell.n; i++)
		strv_push(b->a, &r.argv, stage->config.shell.v[i]);
	for (size_t i = 0; i < step->n_args; i++)
		strv_push(b->a, &r.argv, step->args[i]);
	if (r.argv.n == 0)
		return err_set(err, "there is no command");
	buf_adds(&key, "run\n");
	for (size_t i = 0; i < r.argv.n; i++)
		buf_add(&key, r.argv.v[i], strlen(r.argv.v[i]) + 1);
	if (b->of_profile)
		add_project(b, stage, r.argv.v[r.argv.n - 1], &key);
	return build_layer(b, stage, &work, err);
}
