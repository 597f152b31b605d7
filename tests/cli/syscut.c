/*
 * syscut — cut a command short at its N-th system call that changes something.
 *
 *     syscut [-n N] [-a ACTION] [-c CLASSES] [-o REPORT] CMD [ARG…]
 *
 * The calls of CMD and of all its children that run the same program are counted together, in the
 * order in which they come; before the N-th runs, ACTION happens:
 *
 *     kill      all processes are killed (SIGKILL)
 *     kill1     the one that is about to make the call is killed; the others go on
 *     errno=E   that call is not made and fails with the number E
 *     short     that call gets at most 3 bytes to read or write, and goes on
 *     stop      the line "hit" is written to stdout, a byte is awaited from stdin, then all is
 *               killed: whoever reads may cut the power meanwhile
 *
 * Without -n nothing happens; the report counts.  CLASSES (all: "wdmso") choose the calls:
 * w data into plain files · d names · m modes, owners, times, attributes · s to the disk
 * o files that are made or cut short · f every new descriptor · r data out of plain files
 * b calls that may be interrupted · p processes and mounts.
 *
 * REPORT gets a line for each counted call, "N NAME", and at the end "status S" as a shell counts
 * it.  The exit status is 0 when CMD ended (or was killed as asked), else 125.
 *
 * newuidmap and newgidmap lose their privilege where a tracer looks on: they are let go before
 * they are executed.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "syscut knows the registers of x86-64 alone"
#endif

#define MAX_TRACED 256
#define PATH_BYTES 4096
#define SHORT_BYTES 3

struct call {
	long nr;
	const char *name;
	const char *classes;
};

static const struct call calls[] = {
	{SYS_write, "write", "wb"},
	{SYS_pwrite64, "pwrite64", "wb"},
	{SYS_writev, "writev", "wb"},
	{SYS_pwritev, "pwritev", "wb"},
	{SYS_sendfile, "sendfile", "wb"},
	{SYS_copy_file_range, "copy_file_range", "wb"},
	{SYS_truncate, "truncate", "w"},
	{SYS_ftruncate, "ftruncate", "w"},
	{SYS_fallocate, "fallocate", "w"},
	{SYS_ioctl, "ioctl", "w"}, /* FICLONE alone: is_point() */
	{SYS_rename, "rename", "d"},
	{SYS_renameat, "renameat", "d"},
	{SYS_renameat2, "renameat2", "d"},
	{SYS_link, "link", "d"},
	{SYS_linkat, "linkat", "d"},
	{SYS_symlink, "symlink", "d"},
	{SYS_symlinkat, "symlinkat", "d"},
	{SYS_unlink, "unlink", "d"},
	{SYS_unlinkat, "unlinkat", "d"},
	{SYS_rmdir, "rmdir", "d"},
	{SYS_mkdir, "mkdir", "d"},
	{SYS_mkdirat, "mkdirat", "d"},
	{SYS_mknod, "mknod", "d"},
	{SYS_mknodat, "mknodat", "d"},
	{SYS_chmod, "chmod", "m"},
	{SYS_fchmod, "fchmod", "m"},
	{SYS_fchmodat, "fchmodat", "m"},
	{SYS_chown, "chown", "m"},
	{SYS_fchown, "fchown", "m"},
	{SYS_lchown, "lchown", "m"},
	{SYS_fchownat, "fchownat", "m"},
	{SYS_utimensat, "utimensat", "m"},
	{SYS_setxattr, "setxattr", "m"},
	{SYS_lsetxattr, "lsetxattr", "m"},
	{SYS_fsetxattr, "fsetxattr", "m"},
	{SYS_removexattr, "removexattr", "m"},
	{SYS_lremovexattr, "lremovexattr", "m"},
	{SYS_fremovexattr, "fremovexattr", "m"},
	{SYS_fsync, "fsync", "s"},
	{SYS_fdatasync, "fdatasync", "s"},
	{SYS_syncfs, "syncfs", "s"},
	{SYS_sync, "sync", "s"},
	{SYS_open, "open", "ofb"},
	{SYS_openat, "openat", "ofb"},
	{SYS_openat2, "openat2", "ofb"},
	{SYS_creat, "creat", "ofb"},
	{SYS_dup, "dup", "f"},
	{SYS_fcntl, "fcntl", "f"}, /* F_DUPFD alone */
	{SYS_pipe2, "pipe2", "f"},
	{SYS_socket, "socket", "f"},
	{SYS_socketpair, "socketpair", "f"},
	{SYS_memfd_create, "memfd_create", "f"},
	{SYS_open_tree, "open_tree", "f"},
	{SYS_fsopen, "fsopen", "f"},
	{SYS_fsmount, "fsmount", "f"},
	{SYS_pidfd_open, "pidfd_open", "f"},
	{SYS_read, "read", "rb"},
	{SYS_pread64, "pread64", "rb"},
	{SYS_readv, "readv", "rb"},
	{SYS_getdents64, "getdents64", "r"},
	{SYS_flock, "flock", "b"},
	{SYS_wait4, "wait4", "b"},
	{SYS_waitid, "waitid", "b"},
	{SYS_poll, "poll", "b"},
	{SYS_ppoll, "ppoll", "b"},
	{SYS_recvmsg, "recvmsg", "b"},
	{SYS_connect, "connect", "b"},
	{SYS_accept4, "accept4", "b"},
	{SYS_clone, "clone", "p"},
	{SYS_clone3, "clone3", "p"},
	{SYS_fork, "fork", "p"},
	{SYS_vfork, "vfork", "p"},
	{SYS_unshare, "unshare", "p"},
	{SYS_setns, "setns", "p"},
	{SYS_mount, "mount", "p"},
	{SYS_move_mount, "move_mount", "p"},
	{SYS_umount2, "umount2", "p"},
	{SYS_pivot_root, "pivot_root", "p"},
};

enum action { NOTHING, KILL_ALL, KILL_ONE, FAIL, SHORT, STOP };

struct traced {
	pid_t pid;
	bool ours;   /* runs the program that is counted */
	bool inside; /* between the entry and the exit of a call */
	bool fail;   /* the call it is in is to fail */
};

struct cut {
	enum action action;
	long error;
	long at;
	long count;
	const char *classes;
	const char *program; /* the last part of CMD's path */
	FILE *report;
	struct traced traced[MAX_TRACED];
	size_t n;
	pid_t first;
	int status;
	bool done; /* it was killed as asked */
};

static void fatal(const char *what)
{
	fprintf(stderr, "syscut: %s: %s\n", what, strerror(errno));
	exit(125);
}

/* Whether the process runs the program that is counted. */
static bool runs(const struct cut *c, pid_t pid)
{
	char path[64], exe[PATH_BYTES];
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(path, exe, sizeof(exe) - 1);
	if (n < 0)
		return true;
	exe[n] = '\0';
	const char *slash = strrchr(exe, '/');
	return slash != NULL && strcmp(slash + 1, c->program) == 0;
}

static struct traced *find(struct cut *c, pid_t pid)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->traced[i].pid == pid)
			return &c->traced[i];
	if (c->n == MAX_TRACED) {
		errno = ENOBUFS;
		fatal("too many processes");
	}
	c->traced[c->n] = (struct traced){.pid = pid, .ours = runs(c, pid)};
	return &c->traced[c->n++];
}

static void forget(struct cut *c, pid_t pid)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->traced[i].pid == pid) {
			c->traced[i] = c->traced[--c->n];
			return;
		}
}

/* The last part of the path at `address` in the process; "" where it cannot be read. */
static const char *last_part(pid_t pid, uint64_t address, char *buf)
{
	size_t n = 0;
	while (n < PATH_BYTES - 1) {
		errno = 0;
		long word = ptrace(PTRACE_PEEKDATA, pid, (uintptr_t)(address + n), NULL);
		if (word == -1 && errno != 0)
			return "";
		for (size_t i = 0; i < sizeof(word) && n < PATH_BYTES - 1; i++)
			if ((buf[n++] = (char)(word >> (8 * i))) == '\0') {
				const char *slash = strrchr(buf, '/');
				return slash != NULL ? slash + 1 : buf;
			}
	}
	return "";
}

static bool name_ends(const char *name, char with)
{
	return name[0] != '\0' && name[strlen(name) - 1] == with;
}

/* Whether the descriptor is a plain file; or, if `other`, a pipe or a socket. */
static bool is_file(pid_t pid, uint64_t fd, bool other)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, (int)fd);
	/* What cannot be seen is the device of the process that serves the root: it never fails like that. */
	return stat(path, &st) == 0 &&
	       (S_ISREG(st.st_mode) || (other && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))));
}

static bool opens_to_change(pid_t pid, uint64_t nr, const uint64_t *args)
{
	uint64_t flags = nr == SYS_open ? args[1] : args[2];
	if (nr == SYS_creat)
		return true;
	if (nr == SYS_openat2) {
		errno = 0;
		long word = ptrace(PTRACE_PEEKDATA, pid, (uintptr_t)args[2], NULL);
		flags = errno != 0 ? 0 : (uint64_t)word;
	}
	return (flags & (O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))) != 0;
}

static const struct call *is_point(const struct cut *c, pid_t pid, uint64_t nr,
				   const uint64_t *args)
{
	const struct call *call = NULL;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if ((uint64_t)calls[i].nr == nr)
			call = &calls[i];
	if (call == NULL || (c->action == SHORT && name_ends(call->name, 'v')))
		return NULL;
	const char *class = strpbrk(call->classes, c->classes);
	if (class == NULL)
		return NULL;
	if (nr == SYS_ioctl)
		return args[1] == 0x40049409 /* FICLONE */ ? call : NULL;
	if (nr == SYS_fcntl)
		return args[1] == F_DUPFD_CLOEXEC || args[1] == F_DUPFD ? call : NULL;
	if (*class == 'o' && strpbrk(c->classes, "fb") == NULL)
		return opens_to_change(pid, nr, args) ? call : NULL;
	bool of_data = strpbrk(call->classes, "wr") != NULL && nr != SYS_truncate;
	if (of_data && nr != SYS_getdents64)
		return is_file(pid, args[0], strchr(c->classes, 'b') != NULL) ? call : NULL;
	return call;
}

static void kill_all(struct cut *c)
{
	for (size_t i = 0; i < c->n; i++)
		kill(c->traced[i].pid, SIGKILL);
	c->done = true;
}

static void hand_over(struct cut *c)
{
	char byte;
	if (write(1, "hit\n", 4) != 4 || read(0, &byte, 1) < 0)
		fatal("cannot hand over at the point");
	kill_all(c);
}

static void set_registers(pid_t pid, bool entry, long value)
{
	struct user_regs_struct regs;
	struct iovec io = {.iov_base = &regs, .iov_len = sizeof(regs)};
	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) != 0)
		fatal("cannot read registers");
	if (!entry)
		regs.rax = (unsigned long long)value;
	else if (value < 0)
		regs.orig_rax = (unsigned long long)-1;
	else if (regs.rdx > (unsigned long long)value)
		regs.rdx = (unsigned long long)value;
	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io) != 0)
		fatal("cannot write registers");
}

static void act(struct cut *c, struct traced *t)
{
	switch (c->action) {
	case KILL_ALL:
		kill_all(c);
		break;
	case KILL_ONE:
		kill(t->pid, SIGKILL);
		break;
	case FAIL:
		set_registers(t->pid, true, -1);
		t->fail = true;
		break;
	case SHORT:
		set_registers(t->pid, true, SHORT_BYTES);
		break;
	case STOP:
		hand_over(c);
		break;
	case NOTHING:
		break;
	}
}

/* True when the process was let go. */
static bool at_entry(struct cut *c, struct traced *t, uint64_t nr, const uint64_t *args)
{
	t->inside = true;
	if (nr == SYS_execve || nr == SYS_execveat) {
		char path[PATH_BYTES];
		const char *name = last_part(t->pid, args[nr == SYS_execveat], path);
		if (strcmp(name, "newuidmap") == 0 || strcmp(name, "newgidmap") == 0) {
			pid_t pid = t->pid;
			forget(c, pid);
			ptrace(PTRACE_DETACH, pid, NULL, NULL);
			return true;
		}
		return false;
	}
	const struct call *call = t->ours ? is_point(c, t->pid, nr, args) : NULL;
	if (call == NULL)
		return false;
	c->count++;
	fprintf(c->report, "%ld %s\n", c->count, call->name);
	if (c->count == c->at)
		act(c, t);
	return false;
}

static bool at_call(struct cut *c, struct traced *t)
{
	struct __ptrace_syscall_info info;
	memset(&info, 0, sizeof(info));
	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof(info), &info) <= 0)
		return false;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		uint64_t args[6];
		memcpy(args, info.entry.args, sizeof(args));
		return at_entry(c, t, info.entry.nr, args);
	}
	t->inside = false;
	if (t->fail)
		set_registers(t->pid, false, -c->error);
	t->fail = false;
	return false;
}

static void resume(const struct traced *t, int sig)
{
	/* A process of another program is followed only for its children's sake. */
	ptrace(t->ours || t->inside ? PTRACE_SYSCALL : PTRACE_CONT, t->pid, NULL, (uintptr_t)sig);
}

static void on_stop(struct cut *c, pid_t pid, int status)
{
	struct traced *t = find(c, pid);
	int sig = WSTOPSIG(status), event = status >> 16;
	if (c->done) {
		kill(pid, SIGKILL);
		return;
	}
	if (sig == (SIGTRAP | 0x80)) {
		if (!at_call(c, t))
			resume(t, 0);
	} else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
		   event == PTRACE_EVENT_CLONE) {
		unsigned long child = 0;
		if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child) == 0)
			find(c, (pid_t)child);
		resume(find(c, pid), 0);
	} else if (event == PTRACE_EVENT_EXEC) {
		t->ours = runs(c, pid);
		resume(t, 0);
	} else if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		ptrace(PTRACE_LISTEN, pid, NULL, NULL);
	} else {
		resume(t, event != 0 ? 0 : sig);
	}
}

static void follow(struct cut *c)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (pid <= 0)
			continue;
		if (WIFSTOPPED(status)) {
			on_stop(c, pid, status);
			continue;
		}
		forget(c, pid);
		if (pid == c->first)
			c->status =
				WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}

static void start(struct cut *c, char **argv)
{
	int status;
	c->first = fork();
	if (c->first < 0)
		fatal("cannot fork");
	if (c->first == 0) {
		raise(SIGSTOP);
		execv(argv[0], argv);
		_exit(127);
	}
	if (waitpid(c->first, &status, WUNTRACED) != c->first || !WIFSTOPPED(status))
		fatal("cannot start");
	if (ptrace(PTRACE_SEIZE, c->first, NULL,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			   PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) != 0)
		fatal("cannot trace");
	find(c, c->first);
	kill(c->first, SIGCONT);
}

static enum action action_named(const char *s, long *ret_error)
{
	static const char *const names[] = {"", "kill", "kill1", "", "short", "stop"};
	if (strncmp(s, "errno=", 6) == 0) {
		*ret_error = strtol(s + 6, NULL, 10);
		return FAIL;
	}
	for (int i = KILL_ALL; i <= STOP; i++)
		if (strcmp(s, names[i]) == 0)
			return (enum action)i;
	errno = EINVAL;
	fatal(s);
	return NOTHING;
}

int main(int argc, char **argv)
{
	static struct cut c = {.classes = "wdmso", .action = KILL_ALL, .status = -1};
	int opt;
	c.report = stderr;
	while ((opt = getopt(argc, argv, "+n:a:c:o:")) != -1)
		switch (opt) {
		case 'n':
			c.at = strtol(optarg, NULL, 10);
			break;
		case 'a':
			c.action = action_named(optarg, &c.error);
			break;
		case 'c':
			c.classes = optarg;
			break;
		case 'o':
			c.report = fopen(optarg, "we");
			if (c.report == NULL)
				fatal(optarg);
			break;
		default:
			return 125;
		}
	if (optind == argc)
		return 125;
	const char *slash = strrchr(argv[optind], '/');
	c.program = slash != NULL ? slash + 1 : argv[optind];
	start(&c, argv + optind);
	follow(&c);
	fprintf(c.report, "status %d\n", c.status);
	return 0;
}
