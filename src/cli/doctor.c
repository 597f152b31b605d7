#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/distro.h"
#include "cli/version.h"
#include "plan/host.h"
#include "store/env.h"

#define KNOB_MAX 4096
#define SUBID_FILE_MAX (1U << 20)
#define SUBID_COUNT 65536U
#define SUBID_FIRST 100000U

struct doctor {
	struct arena *a;
	struct host_facts facts;
	enum distro distro;
	struct store store; /* dir NULL: cannot be opened, which `store_why` explains */
	struct err store_why;
};

/* The text of a knob of the kernel's without white space around it, or NULL where there is none. */
static const char *knob(struct arena *a, const char *path)
{
	_cleanup_buf_ struct buf b = {0};

	if (fs_read_at(AT_FDCWD, path, KNOB_MAX, &b, NULL) < 0)
		return NULL;
	return str_trim(arena_strndup(a, b.p ? b.p : "", b.len));
}

static bool knob_is(struct arena *a, const char *path, const char *value)
{
	const char *text = knob(a, path);

	return text && strcmp(text, value) == 0;
}

static void check_kernel(struct doctor *d, struct check *c)
{
	struct version v = {0};
	struct utsname u;

	*c = (struct check){"kernel", "openat2, mount fds, overlayfs without root", .needed = true};
	if (uname(&u) < 0)
		return;
	c->found = arena_strdup(d->a, u.release);
	c->ok = version_of(d->a, u.release, &v) && version_at_least(&v, 5, 12);
	if (!c->ok)
		c->fix = "install a kernel of version 5.12 or later";
}

static void check_userns(struct doctor *d, struct check *c)
{
	*c = (struct check){"user namespaces", "all of it", .needed = true, .ok = d->facts.userns};
	c->found = c->ok ? "can be made" : d->facts.userns_why;
	if (c->ok)
		return;
	if (knob_is(d->a, "/proc/sys/user/max_user_namespaces", "0"))
		c->fix = "sudo sysctl -w user.max_user_namespaces=15000";
	else if (knob_is(d->a, "/proc/sys/kernel/unprivileged_userns_clone", "0"))
		c->fix = "sudo sysctl -w kernel.unprivileged_userns_clone=1";
	else if (knob_is(d->a, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"))
		c->fix = "see apparmor";
	else
		c->fix = "inside of another container: let it make user namespaces "
			 "(podman, docker: --security-opt seccomp=unconfined)";
}

static void check_apparmor(struct doctor *d, struct check *c)
{
	bool restricted =
		knob_is(d->a, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1");

	*c = (struct check){"apparmor", "capabilities in a user namespace", .needed = true};
	/* A profile of the administrator's may let sbx pass all the same. */
	c->ok = !restricted || d->facts.userns;
	c->found = restricted ? "restricts user namespaces" : "does not restrict user namespaces";
	if (!c->ok)
		c->fix = "echo kernel.apparmor_restrict_unprivileged_userns=0 | "
			 "sudo tee /etc/sysctl.d/60-sbx.conf && sudo sysctl --system";
}

static void check_newuidmap(struct doctor *d, struct check *c)
{
	*c = (struct check){"newuidmap", "many users inside (else: one)"};
	c->ok = d->facts.newuidmap && d->facts.newgidmap;
	c->found = d->facts.newuidmap ? d->facts.newuidmap : "not found";
	if (!c->ok)
		c->fix = distro_install(d->a, d->distro, "newuidmap");
}

/* The first id behind all ranges of a file such as /etc/subuid, so that no two users share one. */
static uint64_t free_subid(const char *file)
{
	_cleanup_buf_ struct buf b = {0};
	uint64_t next = SUBID_FIRST;

	if (fs_read_at(AT_FDCWD, file, SUBID_FILE_MAX, &b, NULL) < 0 || !b.p)
		return next;
	for (char *line = b.p, *end; line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';

		char *count = strrchr(line, ':'); /* USER:FIRST:COUNT */
		uint64_t first, n;

		if (!count)
			continue;
		*count++ = '\0';

		const char *start = strrchr(line, ':');

		if (start && num_u64(start + 1, 0, UINT32_MAX, &first, NULL) == 0 &&
		    num_u64(count, 0, UINT32_MAX, &n, NULL) == 0 && first + n > next)
			next = first + n;
	}
	return next;
}

static void check_subids(struct doctor *d, struct check *c)
{
	const struct host_facts *f = &d->facts;

	*c = (struct check){"subordinate ids", "many users inside (else: one)"};
	c->ok = f->subuid.count >= SUBID_COUNT && f->subgid.count >= SUBID_COUNT;
	c->found = arena_printf(d->a, "%u user ids, %u group ids", (unsigned)f->subuid.count,
				(unsigned)f->subgid.count);
	if (c->ok)
		return;

	uint64_t u = free_subid("/etc/subuid");
	uint64_t g = free_subid("/etc/subgid");
	_cleanup_buf_ struct buf user = {0};

	str_shell_quote(&user, f->user);
	c->fix = arena_printf(
		d->a, "sudo usermod --add-subuids %llu-%llu --add-subgids %llu-%llu %s",
		(unsigned long long)u, (unsigned long long)(u + SUBID_COUNT - 1),
		(unsigned long long)g, (unsigned long long)(g + SUBID_COUNT - 1), user.p);
}

/* A device node that this user must be able to open: if not, is it missing or closed? */
static void check_device(struct doctor *d, struct check *c, const char *module)
{
	c->found = "can be opened";
	if (c->ok)
		return;
	if (access(c->name, F_OK) < 0) {
		c->found = "not there";
		c->fix = arena_printf(d->a,
				      "sudo modprobe %s; in another container, start that one "
				      "with --device %s",
				      module, c->name);
		return;
	}
	c->found = "this user cannot open it";
	c->fix = arena_printf(d->a, "sudo chmod 666 %s", c->name);
}

static void check_dev_fuse(struct doctor *d, struct check *c)
{
	*c = (struct check){"/dev/fuse", "the host's root as the base", .needed = true,
			    .ok = d->facts.dev_fuse};
	check_device(d, c, "fuse");
}

static void check_dev_tun(struct doctor *d, struct check *c)
{
	*c = (struct check){"/dev/net/tun", "network = slirp", .needed = true,
			    .ok = d->facts.dev_tun};
	check_device(d, c, "tun");
}

static void check_program(struct doctor *d, struct check *c, const char *path, unsigned major,
			  unsigned minor)
{
	struct version v = {0};
	struct err why = {0};

	c->needed = true;
	c->fix = distro_install(d->a, d->distro, c->name);
	if (!path) {
		c->found = "not found";
		return;
	}
	if (version_ask(d->a, path, &v, &why) < 0) {
		c->found = arena_strdup(d->a, why.msg);
		return;
	}
	c->ok = version_at_least(&v, major, minor);
	c->found = c->ok ? arena_printf(d->a, "%s (%s)", v.text, path)
			 : arena_printf(d->a, "%s (%s), %u.%u or later is needed", v.text, path,
					major, minor);
	if (c->ok)
		c->fix = NULL;
}

static void check_fuse_overlayfs(struct doctor *d, struct check *c)
{
	*c = (struct check){"fuse-overlayfs", "the root, where overlayfs is not to be had"};
	check_program(d, c, d->facts.fuse_overlayfs, 1, 10);
	c->needed = !d->facts.overlay_userxattr;
}

static void check_slirp4netns(struct doctor *d, struct check *c)
{
	*c = (struct check){"slirp4netns", "network = slirp"};
	check_program(d, c, d->facts.slirp4netns, 1, 2);
}

static void check_pasta(struct doctor *d, struct check *c)
{
	*c = (struct check){"pasta", "network driver = pasta (else: slirp4netns)"};
	c->ok = d->facts.pasta != NULL;
	c->found = c->ok ? d->facts.pasta : "not found";
	if (!c->ok)
		c->fix = distro_install(d->a, d->distro, "passt");
}

static void check_overlay(struct doctor *d, struct check *c)
{
	*c = (struct check){"overlayfs",
			    "the root, at the kernel's own speed (else: fuse-overlayfs)"};
	c->ok = d->facts.overlay_userxattr;
	c->found = c->ok ? "mounts in a user namespace" : "does not mount in a user namespace";
	if (!c->ok)
		c->fix = "sudo modprobe overlay; a data folder that lies on overlayfs itself "
			 "cannot be used: set XDG_DATA_HOME";
}

static void check_cgroup(struct doctor *d, struct check *c)
{
	*c = (struct check){"cgroup", "limits of memory, cpus and pids (a later version)"};
	c->ok = d->facts.cgroup_delegated;
	c->found = c->ok ? "delegated" : "none that this user may write";
	if (!c->ok)
		c->fix = "with systemd and cgroup v2: sudo systemctl set-property user.slice "
			 "Delegate=yes, and log in anew";
}

static void check_proc(struct doctor *d, struct check *c)
{
	struct err why = {0};

	*c = (struct check){"/proc", "a /proc of its own in each sandbox", .needed = true};
	if (!d->facts.userns) {
		c->found = "cannot be tried without user namespaces";
		c->fix = "see user namespaces";
		return;
	}
	c->ok = doctor_probe_proc(&why) == 0;
	c->found = "can be mounted afresh";
	if (c->ok)
		return;
	c->found = arena_strdup(d->a, why.msg);
	c->fix =
		"inside of another container: start that one with an unmasked /proc "
		"(podman: --security-opt unmask=/proc/*; docker: --security-opt systempaths=unconfined)";
}

static void check_store(struct doctor *d, struct check *c)
{
	struct err *why = &d->store_why;
	struct statvfs fs;

	*c = (struct check){"store", "where environments are kept", .needed = true};
	if (!d->store.dir || fs_write_atomic(d->store.fd, "tmp/doctor", "\n", 1, 0600, why) < 0) {
		c->found = why->msg;
		c->fix = why->hint[0] ? why->hint
				      : "set XDG_DATA_HOME to a folder that you may write";
		return;
	}
	(void)unlinkat(d->store.fd, "tmp/doctor", 0);
	if (fstatvfs(d->store.fd, &fs) == 0 && (fs.f_flag & ST_NOEXEC)) {
		c->found = arena_printf(d->a, "'%s' is mounted noexec", d->store.dir);
		c->fix = "set XDG_DATA_HOME to a folder on another filesystem";
		return;
	}
	c->ok = true;
	c->found = d->store.dir;
}

int doctor_look(struct arena *a, struct check **ret, size_t *ret_n, struct err *err)
{
	static void (*const checks[])(struct doctor *, struct check *) = {
		check_kernel,         check_userns,  check_apparmor, check_newuidmap,
		check_subids,         check_proc,    check_store,    check_dev_fuse,
		check_fuse_overlayfs, check_overlay, check_dev_tun,  check_slirp4netns,
		check_pasta,          check_cgroup,
	};
	const size_t n = sizeof(checks) / sizeof(checks[0]);
	/* In the arena: what is found may point into it. */
	struct doctor *d = ARENA_NEW(a, struct doctor);
	int r;

	d->a = a;
	d->distro = distro_here();
	d->store.fd = -1;
	/* What was just mended must show: nothing from the cache. */
	if (store_open(a, &d->store, &d->store_why) == 0)
		host_forget(d->store.fd);
	r = host_probe(a, d->store.fd, false, &d->facts, err);
	if (r == 0) {
		*ret = arena_alloc(a, n * sizeof(**ret));
		for (size_t i = 0; i < n; i++)
			checks[i](d, &(*ret)[i]);
		*ret_n = n;
	}
	/* Its folder is told of in the result; only the descriptor ends here. */
	store_done(&d->store);
	return r;
}
