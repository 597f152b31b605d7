#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/inside.h"
#include "cli/jupyter.h"
#include "cli/out.h"
#include "conf/profile.h"

/* What an installation that was interrupted has left is ended first.  By apt-get where the distribution has it; jupyterlab, which older ones lack, else by pip. */
static const char notebook_script[] =
	"export DEBIAN_FRONTEND=noninteractive\n"
	"dpkg --configure -a && apt-get -q update && apt-get -q -y install --no-install-recommends jupyter-notebook "
	"python3-ipykernel python3-pip python3-matplotlib";
static const char lab_script[] =
	"export DEBIAN_FRONTEND=noninteractive PIP_BREAK_SYSTEM_PACKAGES=1 "
	"PIP_ROOT_USER_ACTION=ignore\n"
	"dpkg --configure -a && apt-get -q update && apt-get -q -y install --no-install-recommends python3-ipykernel "
	"python3-pip python3-matplotlib && {\n"
	"apt-get -q -y install --no-install-recommends jupyterlab || python3 -m pip install "
	"jupyterlab; }";

static int is_there(struct arena *a, struct workplace *w, const char *kind, bool *ret,
		    struct err *err)
{
	const char *const argv[] = {"sh", "-c", arena_printf(a, "command -v jupyter-%s", kind),
				    NULL};

	return inside_check(a, w, argv, ret, err);
}

static int failed(const struct workplace *w, struct err *err)
{
	(void)err_set(err, "cannot install Jupyter inside");
	if (w->profile->net.mode == NET_NONE)
		return err_hint(err, "the profile has no network: install it once with `mode = "
				     "slirp` under [network]");
	return err_hint(err, "sbx run --root -- sh, and install it by hand: jupyter-notebook or "
			     "jupyter-lab has to be in PATH");
}

int jupyter_install(struct arena *a, struct workplace *w, struct jupyter *j, struct err *err)
{
	struct inside_streams streams = {.out = STDERR_FILENO, .err = -1};
	struct open_command command = {.as_root = true};
	const bool either = !j->kind;
	bool there = false;
	int status;

	if (is_there(a, w, either ? "lab" : j->kind, &there, err) < 0)
		return -1;
	if (either)
		j->kind = there ? "lab" : "notebook";
	if (either && !there && is_there(a, w, j->kind, &there, err) < 0)
		return -1;
	if (there)
		return 0;
	log_info("there is no jupyter-%s in the sandbox yet", j->kind);
	if (!j->yes && out_can_ask() && !out_ask("Install it inside?  The host is not changed.")) {
		err_set(err, "Jupyter was not installed");
		return err_hint(err, "sbx jupyter --yes does not ask");
	}
	log_info("installing it inside, once; sbx commit keeps it as a layer");
	command.argv = (const char *const[]){
		"sh", "-c", str_eq(j->kind, "lab") ? lab_script : notebook_script, NULL};
	if (inside_run(a, w, &command, &streams, &status, err) < 0)
		return -1;
	return status == 0 ? 0 : failed(w, err);
}
