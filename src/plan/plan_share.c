/* What [share] shows of the user's session: sockets, a text, device nodes. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "plan/host.h"
#include "plan/plan_parts.h"

#define GIT_CONFIG "/run/sbx/gitconfig"

static void set_var(struct making *m, const char *name, const char *value)
{
	size_t n = 0;

	while (m->share_vars[n])
		n++;
	m->share_vars[n] = arena_printf(m->a, "%s=%s", name, value);
}

/* The socket itself: a connection to it is one to the user's program. */
static void add_socket(struct making *m, const char *source, const char *target,
		       const struct origin *at)
{
	struct mount_step *step = plan_step(m, MOUNT_BIND, target);

	step->source = arena_strdup(m->a, source);
	step->at = *at;
}

static const char *in_runtime(struct making *m, const char *name)
{
	return arena_printf(m->a, "/run/user/%u/%s", (unsigned int)m->plan->self_uid, name);
}

static int share_ssh(struct making *m, struct err *err)
{
	const struct bool_value *v = &m->p->share.ssh_agent;
	const char *target = in_runtime(m, "ssh-agent");

	if (!v->on)
		return 0;
	if (!m->facts->ssh_agent) {
		(void)plan_refuse_at(&v->at, err,
				     "cannot share the ssh agent: SSH_AUTH_SOCK names no socket");
		return err_hint(err, "start one: eval \"$(ssh-agent)\" && ssh-add");
	}
	add_socket(m, m->facts->ssh_agent, target, &v->at);
	set_var(m, "SSH_AUTH_SOCK", target);
	return 0;
}

static int share_wayland(struct making *m, struct err *err)
{
	const struct bool_value *v = &m->p->share.wayland;

	if (!v->on)
		return 0;
	if (!m->facts->wayland) {
		(void)plan_refuse_at(&v->at, err,
				     "cannot share the Wayland display: "
				     "WAYLAND_DISPLAY names no socket");
		return err_hint(err, "start sbx from a program on that display, or put `wayland = "
				     "no` under [share]");
	}
	add_socket(m, m->facts->wayland, in_runtime(m, "wayland-0"), &v->at);
	set_var(m, "WAYLAND_DISPLAY", "wayland-0");
	return 0;
}

static int share_x11(struct making *m, struct err *err)
{
	const struct bool_value *v = &m->p->share.x11;

	if (!v->on)
		return 0;
	if (!m->facts->x11) {
		(void)plan_refuse_at(&v->at, err,
				     "cannot share the X11 display: DISPLAY names no socket");
		return err_hint(err, "start sbx from a program on that display, or put `x11 = no` "
				     "under [share]");
	}
	plan_step(m, MOUNT_DIR, "/tmp/.X11-unix")->mode = 01777;
	add_socket(m, m->facts->x11,
		   arena_printf(m->a, "/tmp/.X11-unix/X%s", m->facts->display + 1), &v->at);
	set_var(m, "DISPLAY", m->facts->display);
	return 0;
}

/* Below what the sandbox's own ~/.gitconfig says, and over what the system's would. */
static int share_git(struct making *m, struct err *err)
{
	const struct bool_value *v = &m->p->share.git;
	const char *text = "[include]\n\tpath = /etc/gitconfig\n[user]\n";
	struct mount_step *step;

	if (!v->on)
		return 0;
	if (!m->facts->git_name && !m->facts->git_mail) {
		(void)plan_refuse_at(&v->at, err, "cannot share git's identity: there is none");
		return err_hint(err, "git config --global user.name NAME, and user.email ADDRESS");
	}
	if (m->facts->git_name)
		text = arena_printf(m->a, "%s\tname = \"%s\"\n", text, m->facts->git_name);
	if (m->facts->git_mail)
		text = arena_printf(m->a, "%s\temail = \"%s\"\n", text, m->facts->git_mail);
	step = plan_step(m, MOUNT_FILE, GIT_CONFIG);
	step->mode = 0444;
	step->data = text;
	set_var(m, "GIT_CONFIG_SYSTEM", GIT_CONFIG);
	return 0;
}

static int share_gpu(struct making *m, struct err *err)
{
	const struct bool_value *v = &m->p->share.gpu;
	bool dri = false;

	if (!v->on)
		return 0;
	if (!m->facts->gpu) {
		(void)plan_refuse_at(&v->at, err, "cannot share the GPU: there is no device node");
		return err_hint(err, "put `gpu = no` under [share]; sbx looks for /dev/dri and "
				     "/dev/nvidia*");
	}
	for (const char *const *node = m->facts->gpu; *node; node++) {
		struct mount_step *step;

		if (!dri && path_is_under(*node, "/dev/dri")) {
			plan_step(m, MOUNT_DIR, "/dev/dri")->mode = 0755;
			dri = true;
		}
		step = plan_step(m, MOUNT_DEV, *node);
		step->source = *node;
		step->at = v->at;
	}
	return 0;
}

int plan_share(struct making *m, struct err *err)
{
	/* What is built must not depend on who builds it. */
	if (m->env->build)
		return 0;
	if (share_ssh(m, err) < 0 || share_git(m, err) < 0 || share_wayland(m, err) < 0 ||
	    share_x11(m, err) < 0)
		return -1;
	return share_gpu(m, err);
}
