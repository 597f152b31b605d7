#include "run/userns.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "plan/plan.h"

pid_t userns_fork(int flags)
{
	/* The order of clone(2)'s arguments differs among architectures; with all but the flags
	 * zero only s390 has another one. */
#ifdef __s390x__
	return (pid_t)syscall(SYS_clone, 0, flags | SIGCHLD, 0, 0, 0);
#else
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
#endif
}

int userns_fork_new(pid_t *ret_pid, struct err *err)
{
	pid_t pid = userns_fork(CLONE_NEWUSER);

	if (pid >= 0) {
		*ret_pid = pid;
		return 0;
	}
	(void)err_errno(err, errno, "cannot make a user namespace");
	return err_hint(err, "`sbx doctor` says what forbids it, and prints the command that "
			     "permits it");
}

/* newuidmap PID INSIDE OUTSIDE COUNT…, started. */
static int start_helper(const char *program, pid_t pid, const struct id_map *map,
			struct proc_child *ret_child, struct err *err)
{
	char words[3 * PLAN_MAX_MAP + 1][16];
	const char *argv[3 * PLAN_MAX_MAP + 3];
	size_t n = 0;

	(void)snprintf(words[n++], sizeof(words[0]), "%d", (int)pid);
	for (size_t i = 0; i < map->n; i++) {
		const struct id_map_line *line = &map->line[i];

		(void)snprintf(words[n++], sizeof(words[0]), "%u", (unsigned)line->inside);
		(void)snprintf(words[n++], sizeof(words[0]), "%u", (unsigned)line->outside);
		(void)snprintf(words[n++], sizeof(words[0]), "%u", (unsigned)line->count);
	}
	argv[0] = program;
	for (size_t i = 0; i < n; i++)
		argv[i + 1] = words[i];
	argv[n + 1] = NULL;
	return proc_spawn(argv, ret_child, err);
}

static int map_failed(struct err *err)
{
	(void)err_prefix(err, "cannot map the subordinate ids");
	return err_hint(err, "see that /etc/subuid and /etc/subgid give you the ranges that "
			     "`sbx run --dry-run` shows; `sbx doctor` checks them");
}

static int begin_by_helpers(const struct plan *plan, pid_t pid, struct userns_mapping *ret,
			    struct err *err)
{
	if (start_helper(plan->newuidmap, pid, &plan->uid_map, &ret->uids, err) < 0)
		return map_failed(err);
	ret->helpers = true;
	/* The other is waited for whatever happens to this one: userns_map_end. */
	ret->gids_failed =
		start_helper(plan->newgidmap, pid, &plan->gid_map, &ret->gids, &ret->why) < 0;
	return 0;
}

static int end_by_helpers(struct userns_mapping *m, struct err *err)
{
	int r = m->gids_failed ? -1 : proc_finish(&m->gids, &m->why);

	if (proc_finish(&m->uids, err) < 0)
		return map_failed(err);
	if (r == 0)
		return 0;
	if (err)
		*err = m->why;
	return map_failed(err);
}

static int write_map(pid_t pid, const char *file, const struct id_map *map, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	char path[64];

	for (size_t i = 0; i < map->n; i++)
		buf_printf(&text, "%u %u %u\n", (unsigned)map->line[i].inside,
			   (unsigned)map->line[i].outside, (unsigned)map->line[i].count);
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	if (fs_write_knob(path, text.p ? text.p : "") < 0) {
		(void)err_errno(err, errno, "cannot write '%s'", path);
		return err_hint(err, "`sbx doctor` says what this machine forbids");
	}
	return 0;
}

int userns_map_begin(const struct plan *plan, pid_t pid, struct userns_mapping *ret,
		     struct err *err)
{
	char path[64];

	*ret = (struct userns_mapping){0};
	if (plan->rung == RUNG_SUBIDS)
		return begin_by_helpers(plan, pid, ret, err);
	/* Without the right to write group maps the kernel wants setgroups(2) denied first, lest
	 * somebody drops a group by which he is kept out: user_namespaces(7). */
	(void)snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
	if (fs_write_knob(path, "deny") < 0)
		return err_errno(err, errno, "cannot write '%s'", path);
	if (write_map(pid, "uid_map", &plan->uid_map, err) < 0)
		return -1;
	return write_map(pid, "gid_map", &plan->gid_map, err);
}

int userns_map_end(struct userns_mapping *m, struct err *err)
{
	return m->helpers ? end_by_helpers(m, err) : 0;
}

int userns_map_outer(const struct plan *plan, pid_t pid, struct err *err)
{
	struct userns_mapping m;

	if (userns_map_begin(plan, pid, &m, err) < 0)
		return -1;
	return userns_map_end(&m, err);
}

int userns_map_inner(const struct plan *plan, pid_t pid, struct err *err)
{
	if (write_map(pid, "uid_map", &plan->inner_uid_map, err) < 0)
		return -1;
	return write_map(pid, "gid_map", &plan->inner_gid_map, err);
}
