/* Covers plan/host and its parts: plan/host_parts, plan/host_user, plan/host_base, plan/host_ns, plan/host_cache. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "host_world.h"
#include "plan/host.h"
#include "plan/host_parts.h"
#include "store/env.h"

static void the_user_is_from_the_password_file(void **state)
{
	struct world *w = *state;
	struct host_source src = made_machine(w);
	struct host_facts f = probe(w, &src, -1);

	assert_int_equal(f.uid, getuid());
	assert_string_equal(f.user, "made");
	assert_string_equal(f.group, "people");
	assert_string_equal(f.home, "/home/made");
	assert_string_equal(f.shell, "/bin/sh");
	assert_string_equal(f.boot_id, "boot-1");
	(void)close(src.root);
}

/* In a child: as a user that nobody has heard of. */
static int probe_as_nobody(void *arg)
{
	const struct world *w = arg;
	struct host_source src = made_machine(w);
	struct host_facts f = {0};
	struct err err = {0};
	const char *map = arena_printf(w->a, "54321 %u 1", (unsigned)getuid());

	if (unshare(CLONE_NEWUSER) < 0 || fs_write_knob("/proc/self/uid_map", map) < 0)
		return 2;
	if (host_probe_at(w->a, &src, -1, false, &f, &err) == 0)
		return 3;
	return strcmp(err.msg, "cannot tell who you are: user 54321 has no entry in the password "
			       "file") == 0 &&
			       strcmp(err.hint, "have the administrator add one (useradd)") == 0
		       ? 0
		       : 4;
}

static void a_user_without_an_entry_is_refused(void **state)
{
	assert_int_equal(proc_call(probe_as_nobody, *state), 0);
}

static struct id_range longest(const struct world *w, const char *text)
{
	return host_longest_range(arena_strdup(w->a, text), "me", 1000);
}

static void subordinate_ids_are_the_longest_range(void **state)
{
	struct world *w = *state;

	assert_int_equal(longest(w, "").count, 0);
	assert_int_equal(longest(w, "you:100000:65536\n").count, 0);
	assert_int_equal(longest(w, "me:100000:65536\n").start, 100000);
	assert_int_equal(longest(w, "me:100000:65536\n").count, 65536);
	assert_int_equal(longest(w, "1000:100000:65536").start, 100000);
	assert_int_equal(longest(w, "me:100000:10\n# x\n1000:200000:20\nme:300000:5\n").start,
			 200000);
	/* Nonsense, a range beyond the last id, one that holds the user's own id. */
	assert_int_equal(longest(w, "me\nme:\nme:1\nme:1:\nme:x:1\nme:-5:9\nme::9\n").count, 0);
	assert_int_equal(longest(w, "me:4294967000:65536\n").count, 0);
	assert_int_equal(longest(w, "me:0:65536\nme:500:65536\n").count, 0);
}

static void programs_are_looked_up_in_path(void **state)
{
	struct world *w = *state;
	struct host_source src = made_machine(w);
	struct host_facts f;

	world_write(w, "usr/bin/fuse-overlayfs", "");
	world_mkdir(w, "usr/bin/slirp4netns");
	world_mkdir(w, "bin");
	world_mkdir(w, "opt/bin");
	f = probe(w, &src, -1);
	assert_null(f.fuse_overlayfs); /* not executable */
	assert_null(f.slirp4netns);    /* a folder */
	assert_int_equal(chmod(world_path(w, "usr/bin/fuse-overlayfs"), 0755), 0);
	world_write(w, "bin/slirp4netns", "");
	assert_int_equal(chmod(world_path(w, "bin/slirp4netns"), 0755), 0);
	f = probe(w, &src, -1);
	assert_string_equal(f.fuse_overlayfs, "/usr/bin/fuse-overlayfs");
	assert_null(f.slirp4netns); /* "xbin" in PATH is relative, and no "/bin" */
	world_write(w, "opt/bin/slirp4netns", "");
	assert_int_equal(chmod(world_path(w, "opt/bin/slirp4netns"), 0755), 0);
	/* Without privileges newuidmap is as good as absent. */
	world_write(w, "usr/bin/newuidmap", "");
	assert_int_equal(chmod(world_path(w, "usr/bin/newuidmap"), 0755), 0);
	f = probe(w, &src, -1);
	assert_string_equal(f.slirp4netns, "/opt/bin/slirp4netns");
	assert_null(f.newuidmap);
	assert_null(f.newgidmap);
	assert_false(f.dev_fuse);
	assert_false(f.dev_tun);
	assert_string_equal(f.resolv_conf, "");
	(void)close(src.root);
}

static int newuidmap_under_no_new_privs(void *arg)
{
	const struct world *w = arg;
	struct host_facts f = {0};
	struct host_source src = {.root = open("/", O_PATH | O_CLOEXEC), .path = NULL};

	host_parts(w->a, &src, &f);
	/* Where the machine has it, it is found, until setuid means nothing. */
	if (access("/usr/bin/newuidmap", X_OK) == 0 && !f.newuidmap)
		return 1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 2;
	host_parts(w->a, &src, &f);
	return f.newuidmap ? 3 : 0;
}

static void newuidmap_needs_its_privilege(void **state)
{
	assert_int_equal(proc_call(newuidmap_under_no_new_privs, *state), 0);
}

static void entries_are_the_names_of_an_operating_system(void **state)
{
	struct world *w = *state;
	struct host_source src = made_machine(w);
	struct host_facts f;

	world_mkdir(w, "srv");
	world_mkdir(w, "sbin");
	assert_int_equal(symlink("usr/bin", world_path(w, "bin")), 0);
	assert_int_equal(symlink("usr/lib/../../home", world_path(w, "lib")), 0);
	assert_int_equal(symlink("nowhere", world_path(w, "lib64")), 0);
	assert_int_equal(symlink("home", world_path(w, "opt")), 0);
	f = probe(w, &src, -1);
	assert_int_equal(f.n_entries, 7);
	assert_string_equal(f.entries[0].name, "usr");
	assert_null(f.entries[0].target);
	assert_string_equal(f.entries[2].name, "opt");
	assert_null(
		f.entries[2].target); /* a link to elsewhere is shown as the folder that it gives */
	assert_string_equal(f.entries[4].name, "bin");
	assert_string_equal(f.entries[4].target, "usr/bin");
	assert_string_equal(f.entries[5].name, "sbin");
	assert_null(f.entries[5].target);
	assert_string_equal(f.entries[6].name, "lib");
	assert_null(f.entries[6].target);
	(void)close(src.root);
}

/* What is closed is given for every account, with nobody's password. */
static void closed_accounts_have_stand_ins(void **state)
{
	struct world *w = *state;
	struct host_source src = made_machine(w);
	struct host_facts f = {0};

	host_accounts(w->a, src.root, &f);
	assert_null(f.shadow.text);
	world_write(w, "etc/shadow", "root:secret:1::::::\n");
	world_write(w, "etc/gshadow", "people:!::\n");
	assert_int_equal(chmod(world_path(w, "etc/shadow"), 0640), 0);
	host_accounts(w->a, src.root, &f);
	assert_string_equal(f.shadow.text,
			    "root:*:19000:0:99999:7:::\nmade:*:19000:0:99999:7:::\n");
	assert_int_equal(f.shadow.mode, 0640);
	assert_int_equal(f.shadow.gid, getgid() <= 65533 ? getgid() : 0);
	/* What everybody may read shows as it is. */
	assert_null(f.gshadow.text);
	(void)close(src.root);
}

static void causes_are_named(void **state)
{
	struct world *w = *state;
	struct host_source src = made_machine(w);

	world_mkdir(w, "proc/sys/user");
	assert_null(host_userns_cause(w->a, src.root, 0));
	assert_string_equal(host_userns_cause(w->a, src.root, EPERM),
			    "a seccomp filter, a container or a security module forbids it");
	assert_string_equal(host_userns_cause(w->a, src.root, HOST_NO_CAPS),
			    "a security module takes its capabilities away");
	assert_string_equal(host_userns_cause(w->a, src.root, ENOSYS),
			    "the kernel was built without user namespaces");
	assert_string_equal(host_userns_cause(w->a, src.root, ENOSPC),
			    "there are too many already: the limit is user.max_user_namespaces");
	assert_string_equal(host_userns_cause(w->a, src.root, ENOMEM),
			    "unshare: Cannot allocate memory");
	world_write(w, "proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
	assert_string_equal(
		host_userns_cause(w->a, src.root, HOST_NO_CAPS),
		"AppArmor forbids it: kernel.apparmor_restrict_unprivileged_userns is 1");
	world_write(w, "proc/sys/kernel/unprivileged_userns_clone", "0\n");
	if (geteuid() != 0)
		assert_string_equal(host_userns_cause(w->a, src.root, EPERM),
				    "kernel.unprivileged_userns_clone is 0");
	world_write(w, "proc/sys/user/max_user_namespaces", "0\n");
	assert_string_equal(host_userns_cause(w->a, src.root, ENOSPC),
			    "user.max_user_namespaces is 0");
	(void)close(src.root);
}

/* From here on unshare(2) is refused, as in many a container. */
static int forbid_unshare(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

static int probe_without_unshare(void *arg)
{
	const struct world *w = arg;
	struct host_source src = {.root = open(w->dir, O_PATH | O_CLOEXEC), .path = NULL};
	struct host_facts f = {0};
	int cache = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (forbid_unshare() < 0)
		return 2;
	if (host_probe_at(w->a, &src, cache, false, &f, NULL) < 0)
		return 3;
	if (f.userns || f.overlay_userxattr || !f.userns_why)
		return 4;
	return strcmp(f.userns_why,
		      "a seccomp filter, a container or a security module forbids it") != 0;
}

static void a_forbidden_namespace_is_a_fact_and_not_kept(void **state)
{
	struct world *w = *state;
	struct host_source src = made_machine(w);
	int cache = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct host_facts f;

	assert_int_equal(proc_call(probe_without_unshare, w), 0);
	/* What forbade it is gone: no cache may say otherwise. */
	f = probe(w, &src, cache);
	assert_true(f.userns);
	assert_null(f.userns_why);
	/* The probe's own folder is gone too. */
	assert_int_equal(faccessat(cache, arena_printf(w->a, "probe-%ld", (long)getpid()), F_OK, 0),
			 -1);
	(void)close(cache);
	(void)close(src.root);
}

/* In a child: a tmpfs as the store, which takes user.* attributes since Linux 6.6. */
static int overlay_on_tmpfs(void *arg)
{
	const struct world *w = arg;
	struct utsname uts;
	int major = 0;
	int minor = 0;
	int fd;

	if (uname(&uts) < 0 || sscanf(uts.release, "%d.%d", &major, &minor) != 2)
		return 2;
	if (world_unshare() < 0 || mount("none", world_path(w, "home"), "tmpfs", 0, NULL) < 0)
		return 3;
	fd = open(world_path(w, "home"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return host_overlay(fd) == (major > 6 || (major == 6 && minor >= 6)) ? 0 : 4;
}

static void overlay_is_tried_where_the_store_is(void **state)
{
	assert_int_equal(proc_call(overlay_on_tmpfs, *state), 0);
}

static void this_machine_can_be_probed(void **state)
{
	struct world *w = *state;
	struct host_facts f = {0};
	struct store s = {0};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(host_probe(w->a, s.fd, true, &f, &err), 0);
	assert_true(f.userns);
	assert_true(f.n_entries >= 4);
	assert_true(strlen(f.boot_id) == 36);
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_user_is_from_the_password_file),
		TEST(a_user_without_an_entry_is_refused),
		TEST(subordinate_ids_are_the_longest_range),
		TEST(programs_are_looked_up_in_path),
		TEST(newuidmap_needs_its_privilege),
		TEST(entries_are_the_names_of_an_operating_system),
		TEST(closed_accounts_have_stand_ins),
		TEST(causes_are_named),
		TEST(a_forbidden_namespace_is_a_fact_and_not_kept),
		TEST(overlay_is_tried_where_the_store_is),
		TEST(this_machine_can_be_probed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
