#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "conf/port.h"
#include "plan/host.h"
#include "plan/plan_parts.h"

static int need_device(const struct making *m, struct err *err)
{
	if (m->facts->dev_fuse)
		return 0;
	(void)err_set(err, "cannot mount the root: '/dev/fuse' cannot be opened");
	return err_hint(err, "sudo modprobe fuse && sudo chmod 0666 /dev/fuse; "
			     "`sbx doctor` checks it");
}

/* The kernel's overlay where it works in a user namespace; both write the same to disk. */
static int choose_driver(struct making *m, struct err *err)
{
	struct plan *plan = m->plan;

	plan->driver = ROOT_KERNEL;
	plan->fuse_options = "";
	if (m->facts->overlay_userxattr)
		return 0;
	if (!m->facts->fuse_overlayfs) {
		(void)err_set(err, "cannot mount the root: fuse-overlayfs is not installed");
		return err_hint(err, "sudo apt install fuse-overlayfs");
	}
	plan->driver = ROOT_FUSE;
	plan->fuse_overlayfs = m->facts->fuse_overlayfs;
	if (plan->rung == RUNG_SINGLE)
		plan->fuse_options = "squash_to_root";
	return need_device(m, err);
}

static int host_root(struct making *m, struct err *err)
{
	struct plan *plan = m->plan;

	if (need_device(m, err) < 0)
		return -1;
	plan->entries = m->facts->entries;
	plan->n_entries = m->facts->n_entries;
	return 0;
}

/* A root that holds the home, the store or the project would show them all again, past
 * everything that the profile's author and its user agreed on. */
static int check_base_dir(const struct making *m, const char *dir, struct err *err)
{
	const char *inside = NULL;

	if (path_is_under(m->facts->home, dir) || path_is_under(plan_real_home(m), dir))
		inside = m->facts->home;
	else if (path_is_under(m->env->project, dir))
		inside = m->env->project;
	else if (plan_overlap(m->env->store_dir, dir))
		inside = m->env->store_dir;
	if (!inside)
		return 0;
	(void)plan_refuse_at(&m->p->base.at, err, "cannot use '%s' as the root: it would show '%s'",
			     dir, inside);
	return err_hint(err, "give a folder that holds an unpacked root and nothing else, or use "
			     "`image = host`");
}

static int dir_root(struct making *m, struct err *err)
{
	const char *dir = plan_host_path(m, m->p->base.ref ? m->p->base.ref : "");

	if (check_base_dir(m, dir, err) < 0)
		return -1;
	m->plan->base_dir = dir;
	return 0;
}

/* Beside the plan, nobody has the list: a copy. */
static void add_layers(struct making *m)
{
	const char *const *from = m->env->layers;
	const char **to;
	size_t n = 0;

	while (from && from[n])
		n++;
	to = arena_alloc(m->a, (n + 1) * sizeof(*to));
	for (size_t i = 0; i < n; i++)
		to[i] = arena_strdup(m->a, from[i]);
	to[n] = NULL;
	m->plan->layers = to;
}

/* What the image is, as far as it is known: an environment that is not made yet stands on none. */
static void image_root(struct making *m)
{
	const struct plan_image *image = m->env->image;
	struct plan *plan = m->plan;

	plan->base = m->p->base.kind;
	if (!image && !profile_is_image(m->p))
		return;
	plan->image = image ? arena_strdup(m->a, image->ref) : profile_base(m->a, m->p);
	if (!image)
		return;
	plan->image_digest = arena_strdup(m->a, image->digest);
	plan->base = image->over_host ? BASE_HOST : BASE_REGISTRY;
	/* Over a host, the stand-ins are for that host: as if its layers had been made here. */
	plan->n_image = image->over_host ? 0 : image->layers;
}

int plan_root(struct making *m, struct err *err)
{
	m->plan->upper = m->env->upper ? arena_strdup(m->a, m->env->upper) : "upper.1";
	add_layers(m);
	image_root(m);
	if (choose_driver(m, err) < 0)
		return -1;
	if (m->plan->base == BASE_DIR)
		return dir_root(m, err);
	return m->plan->base == BASE_HOST ? host_root(m, err) : 0;
}

static void plan_ports(struct making *m)
{
	const size_t n = m->p->net.ports.n;
	struct port_value *ports = arena_alloc(m->a, n * sizeof(*ports));

	for (size_t i = 0; i < n; i++) {
		ports[i] = m->p->net.ports.v[i];
		ports[i].address = port_address(&ports[i]);
	}
	m->plan->ports = ports;
	m->plan->n_ports = n;
}

int plan_net(struct making *m, struct err *err)
{
	const bool pasta = m->p->net.driver == NETDRV_PASTA;

	m->plan->net = m->p->net.mode;
	plan_ports(m);
	if (m->p->net.mode != NET_SLIRP)
		return 0;
	if (pasta && !m->facts->pasta) {
		(void)plan_refuse_at(&m->p->net.driver_at, err,
				     "cannot set up the network: pasta is not installed");
		return err_hint(err, "sudo apt install passt; or use `driver = auto` under "
				     "[network]");
	}
	if (!pasta && !m->facts->slirp4netns) {
		(void)plan_refuse_at(&m->p->net.mode_at, err,
				     "cannot set up the network: slirp4netns is not installed");
		return err_hint(err, "sudo apt install slirp4netns; or go without a network: "
				     "`mode = none` under [network]");
	}
	if (!m->facts->dev_tun) {
		(void)plan_refuse_at(&m->p->net.mode_at, err,
				     "cannot set up the network: '/dev/net/tun' cannot be opened");
		return err_hint(err, "sudo modprobe tun && sudo chmod 0666 /dev/net/tun; or go "
				     "without a network: `mode = none` under [network]");
	}
	if (pasta)
		m->plan->pasta = m->facts->pasta;
	else
		m->plan->slirp4netns = m->facts->slirp4netns;
	return 0;
}
