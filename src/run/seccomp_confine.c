/*
 * What the two processes of published ports may call: run/broker.h and run/dialer.h.
 *
 * They lie outside of the sandbox, and read what hostile peers of both sides send.  So this is a list of what is
 * allowed: each call is one that their code makes after its start, with the arguments that it makes it with.
 * No file is opened, nothing is run, no process is touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/err.h"
#include "run/seccomp.h"
#include "run/seccomp_internal.h"

#define ANY(call)                       \
	{                               \
		(call), SECCOMP_LET, 0, \
		{                       \
			{               \
				0       \
			}               \
		}                       \
	}
#define NOT_EXECUTABLE(call)                              \
	{                                                 \
		(call), SECCOMP_LET, 1,                   \
		{                                         \
			SECCOMP_LOW_BITS(2, PROT_EXEC, 0) \
		}                                         \
	}
/* Of TCP and UDP: no protocol that has a number of its own. */
#define SOCKET(family)                                            \
	{                                                         \
		"socket", SECCOMP_LET, 2,                         \
		{                                                 \
			SECCOMP_INT(0, family), SECCOMP_INT(2, 0) \
		}                                                 \
	}
#define OPTION(level, name)                                         \
	{                                                           \
		"setsockopt", SECCOMP_LET, 2,                       \
		{                                                   \
			SECCOMP_INT(1, level), SECCOMP_INT(2, name) \
		}                                                   \
	}

static const struct seccomp_rule both[] = {
	/* Memory, as malloc has it, and the end. */
	ANY("brk"),
	ANY("munmap"),
	ANY("mremap"),
	ANY("madvise"),
	NOT_EXECUTABLE("mmap"),
	NOT_EXECUTABLE("mmap2"),
	NOT_EXECUTABLE("mprotect"),
	ANY("write"),       /* a last word, when there is no memory */
	ANY("sigaltstack"), /* the address sanitizer asks for it before the end */
	ANY("exit"),
	ANY("exit_group"),

	/* Going on after a stop, and the clock where it is no part of the process. */
	ANY("restart_syscall"),
	ANY("rt_sigreturn"),
	ANY("sigreturn"),
	ANY("clock_gettime"),
	ANY("clock_gettime64"),

	SOCKET(AF_INET),
	SOCKET(AF_INET6),
	{"getsockopt", SECCOMP_LET, 1, {SECCOMP_INT(1, SOL_SOCKET)}},
	ANY("recvmsg"),
	ANY("sendmsg"),
	ANY("close"),
};

static const struct seccomp_rule dialer[] = {
	ANY("connect"),
	ANY("poll"),
	ANY("ppoll"),
	ANY("ppoll_time64"),
	/* Its own limit of open files, to pass a descriptor on: base/proc_msg.c. */
	{"prlimit64", SECCOMP_LET, 1, {SECCOMP_INT(0, 0)}},
	ANY("getrlimit"),
	ANY("setrlimit"),
};

static const struct seccomp_rule broker[] = {
	ANY("epoll_ctl"),
	ANY("epoll_wait"),
	ANY("epoll_pwait"),
	ANY("accept4"),
	ANY("getuid"), /* is it the user's own client? */
	ANY("getuid32"),

	ANY("bind"),
	ANY("listen"),
	ANY("getsockname"),
	OPTION(SOL_SOCKET, SO_REUSEADDR),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO),
	OPTION(IPPROTO_IP, IP_PKTINFO),

	OPTION(SOL_SOCKET, SO_KEEPALIVE),
	OPTION(SOL_SOCKET, SO_LINGER),
	OPTION(IPPROTO_TCP, TCP_NODELAY),
	ANY("recv"),
	ANY("recvfrom"),
	ANY("send"),
	ANY("sendto"),
	ANY("shutdown"),
	ANY("pipe2"),
	{"fcntl", SECCOMP_LET, 1, {SECCOMP_INT(1, F_SETPIPE_SZ)}},
	{"fcntl64", SECCOMP_LET, 1, {SECCOMP_INT(1, F_SETPIPE_SZ)}},
	ANY("splice"),
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int add_all(scmp_filter_ctx ctx, const struct seccomp_rule *rules, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (seccomp_add(ctx, &rules[i], err) < 0)
			return -1;
	return 0;
}

int seccomp_confine(enum seccomp_part part, struct err *err)
{
	_cleanup_ctx_ scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	_cleanup_prog_ struct sock_fprog *prog = NULL;
	int r;

	if (!ctx || seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0)
		return err_set(err, "cannot make the system call filter of published ports");
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = add_all(ctx, both, COUNT(both), err);
	if (r == 0 && part == SECCOMP_BROKER)
		r = add_all(ctx, broker, COUNT(broker), err);
	if (r == 0 && part == SECCOMP_DIALER)
		r = add_all(ctx, dialer, COUNT(dialer), err);
	if (r < 0 || seccomp_compile(ctx, NULL, 0, &prog, err) < 0)
		return -1;
	return seccomp_load_program(prog, "published ports", err);
}
