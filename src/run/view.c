#include "run/view.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/proc.h"
#include "plan/plan.h"
#include "run/hostfs.h"
#include "run/mnt.h"
#include "run/root.h"
#include "run/service.h"
#include "run/source.h"
#include "run/userns.h"
#include "store/ahead.h"

struct call {
	int (*fn)(void *arg, struct err *err);
	void *arg;
	pid_t parent;
	int mapped; /* a byte comes when the namespace is mapped */
	int report; /* err_send, if it fails */
};

_Noreturn static void child(const struct call *c)
{
	struct err err = {0};
	char byte;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != c->parent || read(c->mapped, &byte, 1) != 1)
		_exit(1);
	if (c->fn(c->arg, &err) < 0)
		err_send(&err, c->report);
	_exit(0);
}

/* Wait for the child, whatever went before: `r` is how that was, and `err` says so. */
static int finish(pid_t pid, int r, struct err *err)
{
	int status = 0;

	if (proc_wait(pid, &status, r < 0 ? NULL : err) < 0)
		return -1;
	if (r == 0 && proc_exit_status(status) != 0)
		return err_set(err, "the helper in the user namespace was killed");
	return r;
}

int userns_call_begin(const struct plan *plan, int (*fn)(void *arg, struct err *err), void *arg,
		      struct userns_job *ret, struct err *err)
{
	_cleanup_fd_ int mapped_read = -1;
	_cleanup_fd_ int mapped_write = -1;
	_cleanup_fd_ int report_read = -1;
	_cleanup_fd_ int report_write = -1;
	struct call c = {.fn = fn, .arg = arg, .parent = getpid()};
	int ends[2];
	pid_t pid;
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	c.mapped = mapped_read = ends[0];
	mapped_write = ends[1];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	report_read = ends[0];
	c.report = report_write = ends[1];
	if (userns_fork_new(&pid, err) < 0)
		return -1;
	if (pid == 0) {
		cleanup_fd(&mapped_write);
		child(&c);
	}
	r = userns_map_outer(plan, pid, err);
	if (r == 0 && write(mapped_write, "1", 1) != 1)
		r = err_errno(err, errno, "cannot talk to the helper in the user namespace");
	if (r < 0) {
		/* Without its byte it ends. */
		cleanup_fd(&mapped_write);
		return finish(pid, r, err);
	}
	*ret = (struct userns_job){.pid = pid, .report = TAKE_FD(report_read)};
	return 0;
}

int userns_call_end(struct userns_job *job, struct err *err)
{
	int r = err_receive(job->report, err);

	cleanup_fd(&job->report);
	return finish(job->pid, r, err);
}

int userns_call(const struct plan *plan, int (*fn)(void *arg, struct err *err), void *arg,
		struct err *err)
{
	struct userns_job job = {.pid = -1, .report = -1};

	if (userns_call_begin(plan, fn, arg, &job, err) < 0)
		return -1;
	return userns_call_end(&job, err);
}

struct view_args {
	const struct plan *plan;
	int hostfs;
	const struct view_job *job;
};

static int show(const struct view_args *args, struct service *ret_fuse, struct view *ret,
		struct err *err)
{
	const struct plan *plan = args->plan;
	struct sources sources = {0};
	const struct root_parts parts = {
		.sources = &sources, .hostfs = args->hostfs, .lock_fd = -1};
	int r;

	/* The overlay may still be there, and keeps its own of it. */
	ret->upper = open(plan->upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ret->upper < 0)
		return err_errno(err, errno, "cannot look at '%s/%s'", plan->env_dir, plan->upper);
	if (args->job->walks)
		ahead_begin(ret->ahead = ahead_new(ret->upper));
	if (sources_open_root(plan, &sources, err) < 0)
		return -1;
	r = root_build_lower(plan, &parts, &ret->lower, ret_fuse, err);
	sources_done(&sources);
	return r;
}

/* Our end is the end of all that was mounted and started here. */
static int call_with_view(void *arg, struct err *err)
{
	const struct view_args *args = arg;
	struct service fuse = SERVICE_NONE;
	struct view view = {.lower = -1, .upper = -1};
	int r;

	if (unshare(CLONE_NEWNS) < 0 || chdir(args->plan->env_dir) < 0)
		return err_errno(err, errno, "cannot look at '%s'", args->plan->env_dir);
	if (mnt_make_slave(err) < 0)
		return -1;
	r = show(args, &fuse, &view, err);
	if (r == 0)
		r = args->job->fn(&view, args->job->arg, err);
	ahead_free(view.ahead);
	return r;
}

int view_call(const struct plan *plan, const struct view_job *job, struct err *err)
{
	struct view_args args = {.plan = plan, .job = job, .hostfs = -1};
	struct hostfs host = HOSTFS_NONE;
	int r;

	if (plan->base == BASE_HOST && hostfs_start(plan, -1, &host, err) < 0)
		return -1;
	args.hostfs = host.sock;
	r = userns_call(plan, call_with_view, &args, err);
	hostfs_done(&host);
	return r;
}

/* ---- whole roots ---- */

struct roots_args {
	const struct plan *plan, *from;
	int hostfs, from_hostfs;
	int (*fn)(const struct view_roots *v, void *arg, struct err *err);
	void *arg;
};

static int enter_folder(const struct plan *plan, struct err *err)
{
	if (chdir(plan->env_dir) < 0)
		return err_errno(err, errno, "cannot look at '%s'", plan->env_dir);
	return 0;
}

static int show_from(const struct roots_args *args, struct service *ret_fuse, int *ret,
		     struct err *err)
{
	struct sources sources = {0};
	const struct root_parts parts = {
		.sources = &sources, .hostfs = args->from_hostfs, .lock_fd = -1};
	int r;

	if (enter_folder(args->from, err) < 0 || sources_open_root(args->from, &sources, err) < 0)
		return -1;
	r = root_build_lower(args->from, &parts, ret, ret_fuse, err);
	sources_done(&sources);
	return r;
}

static int show_root(const struct roots_args *args, struct service *ret_fuse, int *ret,
		     struct err *err)
{
	struct sources sources = {0};
	const struct root_parts parts = {
		.sources = &sources, .hostfs = args->hostfs, .lock_fd = -1};
	int r;

	if (enter_folder(args->plan, err) < 0 || sources_open_root(args->plan, &sources, err) < 0)
		return -1;
	r = root_build(args->plan, &parts, ret_fuse, err);
	sources_done(&sources);
	if (r < 0)
		return -1;
	*ret = open("root", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? err_errno(err, errno, "cannot open the root of '%s'", args->plan->env_dir)
			: 0;
}

static int call_with_roots(void *arg, struct err *err)
{
	const struct roots_args *args = arg;
	struct service fuse[2] = {SERVICE_NONE, SERVICE_NONE};
	struct view_roots roots = {.root = -1, .from = -1};

	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(err, errno, "cannot make a mount namespace");
	if (mnt_make_slave(err) < 0 ||
	    (args->from && show_from(args, &fuse[0], &roots.from, err) < 0) ||
	    show_root(args, &fuse[1], &roots.root, err) < 0)
		return -1;
	(void)umask(0);
	/* With one id it is the only one already. */
	if (args->plan->rung != RUNG_SINGLE && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_errno(err, errno, "cannot become root in the user namespace");
	return args->fn(&roots, args->arg, err);
}

int view_call_roots(const struct plan *plan, const struct plan *from,
		    int (*fn)(const struct view_roots *v, void *arg, struct err *err), void *arg,
		    struct err *err)
{
	struct roots_args args = {.plan = plan, .from = from, .fn = fn, .arg = arg};
	struct hostfs host[2] = {HOSTFS_NONE, HOSTFS_NONE};
	int r = 0;

	if (plan->base == BASE_HOST)
		r = hostfs_start(plan, -1, &host[0], err);
	if (r == 0 && from && from->base == BASE_HOST)
		r = hostfs_start(from, -1, &host[1], err);
	args.hostfs = host[0].sock;
	args.from_hostfs = host[1].sock;
	if (r == 0)
		r = userns_call(plan, call_with_roots, &args, err);
	hostfs_done(&host[0]);
	hostfs_done(&host[1]);
	return r;
}
