#include "cli/bootstrap.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/base.h"
#include "cli/history.h"
#include "cli/images.h"
#include "cli/open.h"
#include "conf/profile.h"
#include "plan/plan.h"
#include "run/client.h"
#include "run/launch.h"
#include "run/view.h"

#define ENV_NAME "bootstrap"
#define RESULT "root.tar"

/*
 * $1: distribution, $2: suite, $3: where to.  Root inside can chroot, but not mount in a root of its own
 * making, nor make device nodes; with one id, chown and mknod are answered by a filter.
 */
static const char script[] =
	"set -e\n"
	"if ! command -v mmdebstrap >/dev/null; then\n"
	"  command -v apt-get >/dev/null || { echo 'no mmdebstrap, and no apt to install it' >&2; exit 3; }\n"
	"  apt-get -q update && apt-get -q install -y --no-install-recommends mmdebstrap\n"
	"fi\n"
	"mirror=\n"
	"[ \"$(. /etc/os-release; echo \"$ID\")\" != \"$1\" ] ||\n"
	"  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | head -n 1)\n"
	/* A mirror that is frozen needs what the host's apt was told of it, now and in the new root. */
	"for name in Acquire::Check-Valid-Until Acquire::Check-Date; do\n"
	"  said=\n"
	"  eval \"$(apt-config shell said $name 2>/dev/null)\"\n"
	"  [ -z \"$mirror\" ] || [ -z \"$said\" ] || set -- \"$@\" \"--aptopt=$name \\\"$said\\\"\"\n"
	"done\n"
	"export TMPDIR=/var/tmp\n"
	"suite=$2 to=$3\n"
	"shift 3\n"
	"exec mmdebstrap --mode=root --variant=minbase --format=tar \\\n"
	"  --skip=check/canmount,check/chroot,chroot/mount,output/dev,output/mknod,setup/mkdev \\\n"
	"  \"$@\" \"$suite\" \"$to\" ${mirror:+\"$mirror\"}\n";

static bool is_word(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
		      (s[i] == '-' && i > 0)))
			return false;
	return n > 0;
}

int bootstrap_name(struct arena *a, const char *what, const char **ret, struct err *err)
{
	const size_t n = strcspn(what, ":");
	const char *suite = what[n] ? what + n + 1 : "";

	if (!is_word(what, n) || !is_word(suite, strlen(suite)) ||
	    (strncmp(what, "debian:", n + 1) != 0 && strncmp(what, "ubuntu:", n + 1) != 0)) {
		err_kind(err, ERR_USAGE, "cannot make '%s': it is no release of Debian or Ubuntu",
			 what);
		return err_hint(err, "such as: sbx init --base debian:bookworm --bootstrap");
	}
	*ret = arena_printf(a, "localhost/%s", what);
	return 0;
}

/* The host's root and network, and what leads to a mirror. */
static const struct profile *profile_for(struct arena *a)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "no_proxy",
					    "SOURCE_DATE_EPOCH"};
	const size_t n = sizeof(names) / sizeof(names[0]);
	struct profile *p = ARENA_NEW(a, struct profile);

	profile_defaults(a, p);
	p->text = "";
	p->env.v = arena_alloc(a, n * sizeof(*p->env.v));
	p->env.n = p->env.cap = n;
	for (size_t i = 0; i < n; i++)
		p->env.v[i] = (struct env_value){.name = names[i], .at = {.trusted = true}};
	return p;
}

static int run_script(struct arena *a, struct workplace *w, const char *what, struct err *err)
{
	const size_t n = strcspn(what, ":");
	const struct plan *plan;
	int status = 0;

	if (open_plan(a, w, &plan, err) < 0)
		return -1;

	const char *const argv[] = {"sh",
				    "-c",
				    script,
				    "sh",
				    arena_strndup(a, what, n),
				    what + n + 1,
				    arena_printf(a, "%s/" RESULT, plan->home),
				    NULL};
	const struct open_command command = {.argv = argv, .as_root = true};

	if (open_run(a, w, &command, &status, err) < 0)
		return -1;
	if (status == 0)
		return 0;
	err_set(err, "cannot make '%s': mmdebstrap ended with status %d", what, status);
	return err_hint(err,
			"what it said stands above; it needs the mirror that the host's apt uses");
}

static int load(struct arena *a, const struct workplace *w, const char *name, struct err *err)
{
	struct pin pin = PIN_NONE;
	struct base_source src = {
		.store = &w->store,
		.pin = &pin,
		.name = name,
		.path = arena_printf(a, "%s/home/" RESULT, w->env.dir),
		.project = w->project,
		.source = "bootstrap",
	};
	char manifest[DIGEST_HEX + 1];
	int r;

	if (images_plan(a, &w->store, &src.plan, err) < 0 || pin_make(&w->store, &pin, err) < 0)
		return -1;
	r = base_read_tar(a, &src, manifest, err);
	pin_done(&w->store, &pin);
	return r;
}

/* Of what was made only the image stays; what cannot be removed is told, and is `sbx rm`'s. */
static void remove_env(struct arena *a, struct workplace *w)
{
	__attribute__((cleanup(client_hold_done))) struct client_hold held = CLIENT_HOLD_NONE;
	const struct plan *plan;
	struct err why = {0};
	const char *tmp;

	if (!w->env.id)
		return;
	(void)client_stop(&w->env, &why);
	why = (struct err){0};
	if (history_plan(a, w, &plan, &why) < 0 || client_hold(&w->env, &held, &why) < 0 ||
	    env_retire(a, &w->store, &w->env, &tmp, &why) < 0 ||
	    launch_remove_tree(plan, tmp, &why) < 0)
		log_warn("the environment '" ENV_NAME "' stays: %s", why.msg);
}

int bootstrap_make(struct arena *a, const char *dir, const char *what, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const struct where where = {.dir = dir, .env = ENV_NAME, .create = true};
	const char *name = NULL;
	int r;

	if (bootstrap_name(a, what, &name, err) < 0 || open_project(a, &where, &w, err) < 0)
		return -1;
	w.profile = profile_for(a);
	digest_sha256(w.profile->text, 0, w.digest);
	r = run_script(a, &w, what, err);
	if (r == 0)
		r = load(a, &w, name, err);
	remove_env(a, &w);
	return r;
}
