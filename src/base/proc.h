/*
 * proc — child processes by pidfd, and messages with fds over a Unix socket.
 */
#ifndef SBX_BASE_PROC_H
#define SBX_BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct buf;

/* pidfd_open(2); -1 with errno. */
int proc_pidfd(pid_t pid);
/* pidfd_send_signal(2); -1 with errno. */
int proc_kill(int pidfd, int sig);

/* waitpid(2) through EINTR; the wait status. */
int proc_wait(pid_t pid, int *ret_status, struct err *err);

/* Kill a child of ours that nobody has waited for yet, and wait for it.  0 or less: there is none. */
void proc_end(pid_t pid);

/* Turn a wait status into a shell's exit status: N, or 128+signal. */
int proc_exit_status(int wait_status);

/*
 * Call fn(arg) in a child process and wait for it: for what cannot be undone in
 * this one (a namespace).  Returns the exit status as proc_exit_status counts it: the
 * low 8 bits of what fn returned, or 128+signal.  -1 with errno where there is no child.
 */
int proc_call(int (*fn)(void *arg), void *arg);

/*
 * Run a helper of the host's (newuidmap, fusermount3): fork, exec by absolute path,
 * wait.  Its stderr is caught: when it fails, its last line is the cause in `err`.
 * proc_spawn only starts it; proc_finish waits and reports. Between them, several run at once.
 */
struct proc_child {
	pid_t pid;
	int err_fd; /* what it writes to stderr */
	const char *name;
};
int proc_spawn(const char *const argv[], struct proc_child *ret_child, struct err *err);
int proc_finish(struct proc_child *child, struct err *err);

/*
 * fn(arg) in a child that shares this memory, on a stack of its own, and whose status is what fn
 * returns; this process waits until it ends or execs, as in vfork(2).  Its cost does not grow with
 * this memory.  What it changes there, stays.  Its descriptors, folder, ids and signals are its own.
 * The pid, or -1 with errno.
 */
pid_t proc_vfork(int (*fn)(void *arg), void *arg);

/* The same with further flags of clone(2): its namespaces may be new, its descriptors those of this process. */
pid_t proc_vfork_in(int flags, int (*fn)(void *arg), void *arg);

/* The absolute path of a program in the given PATH-like list; 0 and *ret (malloc'd), or -1. */
int proc_find(const char *name, const char *path_list, char **ret);

/* Close every fd from `from` on, but those in keep[0..n) (close_range(2)). */
void proc_close_fds_except(int from, const int *keep, size_t n);

/*
 * One message on a SOCK_SEQPACKET socket with up to PROC_MAX_FDS fds.
 * proc_send: all of it or -1 with errno (never SIGPIPE).
 * proc_recv: the length, 0 at end of file (behind all that was sent, whatever the other end
 * has left unread), -1 with errno; received fds are
 * O_CLOEXEC, *ret_nfds of them; a message or fd list too long is -1 EMSGSIZE,
 * and nothing of it stays open.  ret_fds has room for PROC_MAX_FDS; where it is NULL,
 * a message with fds is too long.
 */
#define PROC_MAX_FDS 8
int proc_send(int sock, const void *p, size_t n, const int *fds, size_t nfds);
ssize_t proc_recv(int sock, void *p, size_t size, int *ret_fds, size_t *ret_nfds);

/* Say `why` and end this process at once with status 125: for mem, when memory runs out. */
_Noreturn void proc_give_up(const char *why);

#endif
