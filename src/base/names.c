#include "base/names.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/proc.h"

#define GETENT "/usr/bin/getent"

struct question {
	const char *database;
	const char *id;
	int answer; /* borrowed */
};

/* In a child that has our memory: nothing is changed there. */
static int ask(void *arg)
{
	const struct question *q = arg;
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDERR_FILENO) < 0 ||
	    dup2(q->answer, STDOUT_FILENO) < 0)
		return 127;
	(void)execl(GETENT, "getent", q->database, q->id, (char *)NULL);
	return 127;
}

FILE *names_ask(const char *database, uint32_t id)
{
	/* Above the standard streams, which the child lays its own over. */
	_cleanup_fd_ int made = memfd_create("names", MFD_CLOEXEC);
	_cleanup_fd_ int answer = made < 0 ? -1 : fcntl(made, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	char text[16];
	const struct question q = {database, text, answer};
	_cleanup_file_ FILE *f = NULL;
	int status = 0;
	pid_t pid;

	if (answer < 0)
		return NULL;
	(void)snprintf(text, sizeof(text), "%u", (unsigned)id);
	pid = proc_vfork(ask, (void *)(uintptr_t)&q);
	if (pid < 0 || proc_wait(pid, &status, NULL) < 0 || proc_exit_status(status) != 0 ||
	    lseek(answer, 0, SEEK_SET) < 0)
		return NULL;
	f = fdopen(answer, "re");
	if (f)
		(void)TAKE_FD(answer);
	return TAKE_PTR(f);
}
