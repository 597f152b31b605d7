#include "run/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "run/broker.h"
#include "run/command.h"
#include "run/sandbox.h"

#define BACKLOG 16

/* One that ends sooner may end so again: this often in a row. */
#define SOUND_MS 200
#define QUICK_MAX 5

static int open_door(struct publish *p, const struct sandbox *sb)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	/* By a path that is never too long for an address. */
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
		       sb->run_fd, PORTS_SOCKET);
	/* One that a power cut left behind; we hold the lock. */
	(void)unlinkat(sb->run_fd, PORTS_SOCKET, 0);
	(void)umask(0077);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -1;
	p->door = TAKE_FD(fd);
	return 0;
}

int publish_open(struct publish *p, const struct sandbox *sb, pid_t init, struct err *err)
{
	char path[64];

	if (sb->plan->net == NET_HOST)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)init);
	p->netns = open(path, O_RDONLY | O_CLOEXEC);
	if (p->netns < 0)
		return err_errno(err, errno, "cannot open the network namespace");
	if (open_door(p, sb) < 0)
		return err_errno(err, errno, "cannot listen for ports in '%s/run'",
				 sb->plan->env_dir);
	return 0;
}

static int make_table(struct publish *p)
{
	void *table;

	if (p->table)
		return 0;
	table = mmap(NULL, sizeof(*p->table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	if (table == MAP_FAILED)
		return -1;
	p->table = table;
	return 0;
}

/* `ready_fd`: as broker.h has it. */
static int fork_broker(struct publish *p, const struct sandbox *sb, int ready_fd)
{
	const pid_t parent = getpid();
	pid_t pid;

	if (make_table(p) < 0)
		return -1;

	const struct broker_how how = {
		.plan = sb->plan,
		.title = &sb->title,
		.door = p->door,
		.netns = p->netns,
		.lock_fd = sb->lock_fd,
		.ready_fd = ready_fd,
		.table = p->table,
	};

	pid = fork();
	if (pid == 0)
		broker_main(&how, parent);
	if (pid < 0)
		return -1;
	p->pid = pid;
	p->started_ms = command_now_ms();
	return 0;
}

int publish_start(struct publish *p, const struct sandbox *sb, struct err *err)
{
	const struct plan *plan = sb->plan;
	_cleanup_fd_ int ready_read = -1;
	_cleanup_fd_ int ready_write = -1;
	int ends[2];

	if (plan->n_ports == 0)
		return 0;
	if (pipe2(ends, O_CLOEXEC) < 0 || make_table(p) < 0)
		return err_errno(err, errno, "cannot publish ports");
	ready_read = ends[0];
	ready_write = ends[1];
	for (size_t i = 0; i < plan->n_ports && i < PORTS_MAX; i++) {
		struct port *port = &p->table->port[p->table->n++];

		*port = ports_of(&plan->ports[i]);
		port->from_profile = true;
	}
	if (fork_broker(p, sb, ready_write) < 0)
		return err_errno(err, errno, "cannot publish ports");
	p->ready_fd = TAKE_FD(ready_read);
	return 0;
}

int publish_hear(struct publish *p, struct err *err)
{
	union {
		char byte;
		struct err err;
	} said;
	ssize_t n = read(p->ready_fd, &said, sizeof(said));

	cleanup_fd(&p->ready_fd);
	if (n == 1)
		return 0;
	if (n != (ssize_t)sizeof(said))
		return err_set(err, "cannot publish ports: the broker ended");
	*err = said.err;
	return -1;
}

void publish_knocked(struct publish *p, const struct sandbox *sb)
{
	/* Where it cannot be, the client hears it by the end of its connection. */
	if (p->pid == 0 && fork_broker(p, sb, -1) < 0) {
		_cleanup_fd_ int client = accept4(p->door, NULL, NULL, SOCK_CLOEXEC);

		(void)client;
	}
}

void publish_ended(struct publish *p, const struct sandbox *sb)
{
	p->pid = 0;
	if (p->table->n == 0)
		return;
	p->n_quick = command_now_ms() - p->started_ms < SOUND_MS ? p->n_quick + 1 : 0;
	/* The table stays as it is: for the next one that somebody at the door asks for. */
	if (p->n_quick <= QUICK_MAX)
		(void)fork_broker(p, sb, -1);
}

void publish_close(struct publish *p, const struct sandbox *sb)
{
	if (p->door >= 0)
		(void)unlinkat(sb->run_fd, PORTS_SOCKET, 0);
	cleanup_fd(&p->door);
}
