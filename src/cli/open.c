#include "cli/open.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/base.h"
#include "cli/beside.h"
#include "cli/build_profile.h"
#include "cli/build_recipe.h"
#include "cli/history.h"
#include "cli/lock.h"
#include "cli/passed.h"
#include "cli/ports_taken.h"
#include "cli/share.h"
#include "cli/trusted.h"
#include "plan/host.h"
#include "plan/host_share.h"
#include "plan/plan.h"
#include "run/client.h"
#include "store/dirs.h"
#include "store/env_chain.h"
#include "store/project.h"

/* How often a sandbox that ends just when a command arrives is started anew. */
#define START_TRIES 5

/* It is there as soon as somebody enters it. */
#define DEFAULT_ENV "default"

/* Of what a profile asks, an error shows the first few lines; `sbx allow` shows all. */
#define SHOWN_REQUESTS 8

void workplace_done(struct workplace *w)
{
	if (!w)
		return;
	env_done(&w->env);
	store_done(&w->store);
	*w = (struct workplace)WORKPLACE_EMPTY;
}

int open_cwd(struct arena *a, const char *dir, const char **ret, struct err *err)
{
	if (dir && chdir(dir) < 0)
		return err_errno(err, errno, "cannot change to the folder '%s'", dir);

	_cleanup_free_ char *cwd = getcwd(NULL, 0);

	if (!cwd) {
		err_errno(err, errno, "cannot tell the current folder");
		if (errno == ENOENT)
			err_hint(err, "it was removed: change to another one");
		return -1;
	}
	/* Linux says "(unreachable)/x" for a folder outside of the process' root. */
	if (cwd[0] != '/')
		return err_set(err, "cannot work in '%s': it lies outside of the root", cwd);
	*ret = arena_strdup(a, cwd);
	return 0;
}

int open_project(struct arena *a, const struct where *where, struct workplace *w, struct err *err)
{
	if (open_cwd(a, where->dir, &w->cwd, err) < 0)
		return -1;
	w->env_name = where->env ? where->env : DEFAULT_ENV;
	w->create = where->create;
	if (project_find(a, w->cwd, &w->project, err) < 0)
		return -1;
	return store_open(a, &w->store, err);
}

/* Of the project's environments, the one whose name is nearest, or NULL. */
static const char *nearest_env(struct arena *a, const struct workplace *w)
{
	struct strv names = {0};
	struct err why = {0};
	struct env *envs;
	size_t n;

	if (env_list(a, &w->store, &envs, &n, &why) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (str_eq(envs[i].project, w->project))
			strv_push(a, &names, envs[i].name);
	return names.n ? str_nearest(w->env_name, (const char *const *)names.v) : NULL;
}

static int no_env(struct arena *a, const struct workplace *w, struct err *err)
{
	const char *name = w->env_name;
	const char *near;

	if (w->create || str_eq(name, DEFAULT_ENV)) {
		err_set(err, "there is no environment '%s' of '%s' yet", name, w->project);
		err->errnum = ENOENT;
		return err_hint(err, "sbx enter makes it; sbx list shows those that are there");
	}
	near = nearest_env(a, w);
	err_set(err, "there is no environment '%s' of '%s'", name, w->project);
	if (near)
		return err_hint(
			err,
			"did you mean '%s'? to make a new one: sbx enter --create -e %s, or "
			"sbx fork %s",
			near, name, name);
	return err_hint(err,
			"to make it: sbx enter --create -e %s, or sbx fork %s; sbx list shows "
			"those that are there",
			name, name);
}

int open_env(struct arena *a, struct workplace *w, struct err *err)
{
	if (env_open(a, &w->store, w->project, w->env_name, &w->env, err) == 0)
		return 0;
	return err->errnum == ENOENT ? no_env(a, w, err) : -1;
}

/* Has the project that the caller is in an environment of that name? */
static bool is_name(struct arena *a, const struct where *where, const char *name)
{
	const struct where named = {.env = name, .dir = where->dir};
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct err why = {0};

	return open_project(a, &named, &w, &why) == 0 && open_env(a, &w, &why) == 0;
}

int open_env_of(struct arena *a, const struct where *where, const char *id, struct workplace *w,
		struct err *err)
{
	if (!id)
		return open_project(a, where, w, err) < 0 ? -1 : open_env(a, w, err);
	if (store_open(a, &w->store, err) < 0)
		return -1;
	if (env_open_id(a, &w->store, id, &w->env, err) < 0) {
		if (err->errnum != ENOENT)
			return -1;
		err_set(err, "there is no environment with the id '%s'", id);
		if (is_name(a, where, id))
			return err_hint(err, "that is the name of one: -e %s", id);
		return err_hint(err, "sbx list shows them");
	}
	w->project = w->env.project;
	w->env_name = w->env.name;
	return 0;
}

int open_profile(struct arena *a, struct workplace *w, struct err *err)
{
	if (project_profile(a, w->project, &w->profile, err) < 0)
		return -1;
	digest_sha256(w->profile->text, w->profile->text_len, w->digest);
	return 0;
}

void open_profile_rest(struct arena *a, struct workplace *w)
{
	struct err why = {0};

	if (project_profile_rest(a, w->project, &w->profile, &why) != 0)
		log_warn("%s; what is wrong is left out here", why.msg);
	digest_sha256(w->profile->text, w->profile->text_len, w->digest);
}

int open_check_allowed(struct arena *a, struct workplace *w, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct trusted t;

	if (trusted_look(a, w, &t, err) < 0)
		return -1;
	w->allowed = t.allowed;
	if (t.n_asked == 0 || t.allowed)
		return 0;
	for (size_t i = 0; i < t.n_asked && i < SHOWN_REQUESTS; i++)
		buf_printf(&b, "\n%s: %s", trusted_at(a, &t.v[i]), t.v[i].what);
	if (t.n_asked > SHOWN_REQUESTS)
		buf_printf(&b, "\nand %zu more", t.n_asked - SHOWN_REQUESTS);
	err_set(err, "the profile of '%s' asks for more than its own folder:%s", w->project, b.p);
	return err_hint(err, "if you trust it, run: sbx allow");
}

/* What the profile mounts is there: a plan is made without a look at any file. */
static int check_sources(const struct plan *plan, const struct origin *base, struct err *err)
{
	if (plan->base_dir && access(plan->base_dir, X_OK) < 0) {
		(void)err_errno(err, errno, "cannot use '%s' as the root", plan->base_dir);
		(void)err_hint(err, "`image = dir:PATH` under [base] names a folder that holds an "
				    "unpacked root");
		return base->file ? err_prefix(err, "%s:%d", base->file, base->line) : -1;
	}
	for (size_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];
		struct stat st;

		if (step->kind != MOUNT_BIND || !step->at.file || step->optional ||
		    step->from_env || stat(step->source, &st) == 0)
			continue;
		(void)err_errno(err, errno, "cannot mount '%s'", step->source);
		return err_prefix(err, "%s:%d", step->at.file, step->at.line);
	}
	return 0;
}

/* An environment on an image has that one's base, whatever the profile says by now. */
static bool on_host(const struct workplace *w)
{
	if (w->env.id && w->env.image.ref)
		return w->env.image.over_host;
	return w->profile->base.kind == BASE_HOST;
}

int open_plan(struct arena *a, const struct workplace *w, const struct plan **ret, struct err *err)
{
	const struct plan *plan;
	struct host_facts facts = {0};
	struct plan_image image;
	bool made = w->env.id != NULL;
	const char *id = made ? w->env.id : env_id(a, w->project, w->env_name);
	const char *sudo = beside_find(a, "run", "sudo");
	struct plan_env env = {
		.env_id = id,
		.env_dir = made ? w->env.dir : arena_printf(a, "%s/envs/%s", w->store.dir, id),
		.store_dir = w->store.dir,
		.project = w->project,
		.name = path_base(w->project),
		.kept_rung = made ? w->env.rung : -1,
		.kept_as = made ? w->env.as : 0,
		.sudo_helper = sudo != NULL,
		.sudo_path = sudo,
		.layers = made ? history_trees(a, &w->store, &w->env) : NULL,
		.upper = made ? w->env.upper : NULL,
	};

	if (host_probe(a, w->store.fd, on_host(w), &facts, err) < 0)
		return -1;
	host_share(a, w->profile, &facts);
	if (made && w->env.image.ref) {
		base_facts(a, &w->store, &w->env, facts.shell, &image);
		env.image = &image;
	}
	if (plan_make(a, w->profile, &facts, &env, &plan, err) < 0 ||
	    check_sources(plan, &w->profile->base.at, err) < 0)
		return -1;
	*ret = plan;
	return 0;
}

int open_check_base(struct arena *a, const struct workplace *w, struct err *err)
{
	const char *ref = w->env.image.ref;
	const char *base = profile_base(a, w->profile);

	if (profile_is_image(w->profile) || w->env.image.build[0] ? str_eq(ref, base) : !ref)
		return 0;
	(void)err_set(err, "cannot enter '%s': it stands on %s%s%s, and the profile's base is '%s'",
		      w->env_name, ref ? "'" : "", ref ? ref : "the host's root, or a folder",
		      ref ? "'" : "", base);
	(void)err_hint(
		err, "to put it there, without what was changed in it: sbx reset --rebase; or make "
		     "another one: --create -e NAME");
	return w->profile->base.at.file ? err_prefix(err, "%s:%d", w->profile->base.at.file,
						     w->profile->base.at.line)
					: -1;
}

const char *open_build_note(struct arena *a, const struct workplace *w)
{
	char now[DIGEST_HEX + 1];

	if (w->profile->build.n == 0 && !w->env.image.build[0])
		return NULL;
	build_recipe(a, w->profile, w->project, now);
	if (strcmp(now, w->env.image.build) == 0)
		return NULL;
	if (w->profile->build.n == 0)
		return arena_printf(a,
				    "'%s' stands on what [build] made, which the profile does not "
				    "have any more: sbx reset --rebase leaves it",
				    w->env_name);
	return arena_printf(a,
			    "'%s' is older than [build] of the profile, or the files that it "
			    "names: sbx build, then sbx reset --rebase",
			    w->env_name);
}

/* The name means another image by now: the environment stays with the one it was made with. */
static void warn_moved(struct arena *a, const struct workplace *w)
{
	const bool plain = w->env.image.ref && !w->env.image.build[0];
	const char *known = plain ? base_known(a, &w->store, w->env.image.ref, w->project) : NULL;
	const char *older = open_build_note(a, w);

	if (older)
		log_warn("%s", older);

	if (known && strcmp(known, w->env.image.manifest) != 0)
		log_warn("'%s' is another image by now; '%s' stays on the one that it was made "
			 "with, until sbx reset --rebase",
			 w->env.image.ref, w->env_name);
}

/*
 * A connection to the sandbox, which is started where it does not run: by *ret_plan, which is made
 * where it is NULL.
 */
static int connect_or_start(struct arena *a, struct workplace *w,
			    const struct client_request *request, const struct plan **ret_plan,
			    int *ret_sock, struct err *err)
{
	const char *other;

	if (client_connect(&w->env, ret_sock, err) == 0)
		return 0;
	if (err->errnum != ENOENT)
		return -1;
	if (!env_is_settled(&w->env)) {
		*ret_plan = NULL;
		if (history_settle(a, w, err) < 0)
			return -1;
	}
	/* Only now: a command in a running sandbox must not wait for what only starting one needs. */
	if (lock_check_env(a, w, err) < 0 || (!*ret_plan && open_plan(a, w, ret_plan, err) < 0))
		return -1;
	warn_moved(a, w);
	other = history_other_host(a, w, false);
	if (other)
		log_warn("the layers of '%s' were made over another host (%s): they may not fit",
			 w->env.id, other);
	if (share_prepare(a, w, err) < 0)
		return -1;
	trusted_begin(a, w);
	return ports_taken_start(a, w, *ret_plan, request, ret_sock, err);
}

int open_workdir(struct arena *a, const char *cwd, const char *workdir, const char **ret,
		 struct err *err)
{
	const char *path = workdir[0] == '/' ? path_clean(a, workdir)
					     : path_clean(a, path_join(a, cwd, workdir));

	if (workdir[0] == '\0' || !path)
		return err_kind(err, ERR_USAGE, "cannot start in '%s': not a path", workdir);
	/* /proc/self/fd/N and its like lead to wherever the descriptor does: out, too. */
	if (path_is_under(path, "/proc") || path_is_under(path, "/dev/fd")) {
		err_kind(err, ERR_USAGE, "cannot start in '%s': magic link", workdir);
		return err_hint(err, "name a folder, not a descriptor or a process");
	}
	*ret = path;
	return 0;
}

/* Where the command starts.  Inside, a folder that is not there falls back to the project. */
static int start_folder(struct arena *a, const struct workplace *w, const char *workdir,
			const char **ret, struct err *err)
{
	const char *path = w->cwd;

	if (workdir)
		return open_workdir(a, w->cwd, workdir, ret, err);
	*ret = path_is_under(path, w->project) ? path : w->project;
	return 0;
}

/* By *ret_plan: on what the profile names, which is fetched where it is not there. */
static int make_on_base(struct arena *a, struct workplace *w, const struct plan **ret_plan,
			struct err *err)
{
	struct base base = {0};
	struct env_want want = {.project = w->project, .name = w->env_name};
	const struct base_for f = {&w->store, w->project, *ret_plan, w->allowed};
	struct env_from from;
	int r;

	if (build_base_of(a, &f, w->profile, &base, err) < 0)
		return -1;
	if (base.ref) {
		from = base_from(&base, *ret_plan);
		want.from = &from;
	}
	/* `sbx rm` may take away what was made a moment before. */
	for (int i = 0; i < START_TRIES; i++) {
		r = env_open_or_make_on(a, &w->store, &want, &w->env, err);
		if (r == 0 || err->errnum != ENOENT)
			break;
	}
	/* The plan is of one without layers: not if it stands on an image, or somebody was faster, and has committed. */
	if (r == 0 && (w->env.upper_n != 1 || w->env.chain.n > 0))
		*ret_plan = NULL;
	base_done(&w->store, &base);
	return r;
}

/*
 * The environment, made where missing; but not for a profile that cannot be planned, of which
 * nothing is to stay.  *ret_plan where one was made.
 */
static int make_env(struct arena *a, struct workplace *w, const struct plan **ret_plan,
		    struct err *err)
{
	struct err why = {0};

	if (open_env(a, w, &why) == 0)
		return open_check_base(a, w, err);
	if (why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	if (open_plan(a, w, ret_plan, err) < 0 || make_on_base(a, w, ret_plan, err) < 0)
		return -1;
	return open_check_base(a, w, err);
}

int open_sandbox(struct arena *a, struct workplace *w, int *ret_sock, struct err *err)
{
	const struct client_request none = {.profile_digest = w->digest};
	const struct plan *plan = NULL;

	if (open_check_allowed(a, w, err) < 0 || make_env(a, w, &plan, err) < 0)
		return -1;
	for (int i = 0; i < START_TRIES; i++) {
		if (connect_or_start(a, w, &none, &plan, ret_sock, err) == 0)
			return 0;
		if (err->errnum != ESTALE && err->errnum != EAGAIN)
			return -1;
		if (err->errnum == EAGAIN)
			continue;
		env_done(&w->env);
		plan = NULL;
		if (make_env(a, w, &plan, err) < 0)
			return -1;
	}
	return -1;
}

int open_run(struct arena *a, struct workplace *w, const struct open_command *command,
	     int *ret_status, struct err *err)
{
	const struct plan *plan = NULL;
	struct client_request request = {
		.argv = command->argv,
		.as_root = command->as_root,
		.strict_cwd = command->workdir != NULL,
		.env = passed_env_and(a, w->profile, (const char *const *)environ, command->env),
		.profile_digest = w->digest,
	};

	if (start_folder(a, w, command->workdir, &request.cwd, err) < 0)
		return -1;
	if (open_check_allowed(a, w, err) < 0 || make_env(a, w, &plan, err) < 0)
		return -1;
	for (int i = 0; i < START_TRIES; i++) {
		_cleanup_fd_ int sock = -1;

		if (connect_or_start(a, w, &request, &plan, &sock, err) == 0 &&
		    client_run(sock, &request, ret_status, err) == 0)
			return 0;
		if (err->errnum == ESTALE) {
			/* `sbx rm` was faster: a new one, as if it had been a moment before us. */
			env_done(&w->env);
			plan = NULL;
			if (make_env(a, w, &plan, err) < 0)
				return -1;
			continue;
		}
		if (err->errnum != EAGAIN)
			return -1;
		log_debug("the sandbox ended before it took the command: once more");
	}
	return -1;
}
