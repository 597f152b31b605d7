/* For unit tests: a server that gives canned answers, one a connection, from a thread. */
#ifndef SBX_TESTS_REGISTRY_WORLD_H
#define SBX_TESTS_REGISTRY_WORLD_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

struct canned {
	const char *path;   /* that the request begins with: "GET /v2/" */
	const char *answer; /* all of it */
};

struct world {
	const struct canned *v; /* ends with a path NULL */
	int fd;
	int asked; /* requests so far */
	char host[32];
	char seen[16384]; /* the heads of all requests */
	pthread_t thread;
};

static void world_answer(struct world *w, int fd)
{
	char head[4096];
	size_t n = 0;

	while (n + 1 < sizeof(head)) {
		ssize_t got = read(fd, head + n, sizeof(head) - 1 - n);

		if (got <= 0)
			return;
		n += (size_t)got;
		head[n] = '\0';
		if (strstr(head, "\r\n\r\n") || head[0] < ' ')
			break;
	}
	w->asked++;
	if (strlen(w->seen) + n < sizeof(w->seen))
		memcpy(w->seen + strlen(w->seen), head, n + 1);
	for (const struct canned *c = w->v; c->path; c++) {
		if (strncmp(head, c->path, strlen(c->path)) == 0) {
			(void)fs_write_all(fd, c->answer, strlen(c->answer));
			return;
		}
	}
}

static void *world_serve(void *arg)
{
	struct world *w = arg;

	for (;;) {
		_cleanup_fd_ int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return NULL;
		world_answer(w, fd);
	}
}

static void world_start(struct world *w, const struct canned *v)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);

	*w = (struct world){.v = v, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_int_equal(bind(w->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(w->fd, 16), 0);
	assert_int_equal(getsockname(w->fd, (struct sockaddr *)&at, &n), 0);
	(void)snprintf(w->host, sizeof(w->host), "127.0.0.1:%u", (unsigned)ntohs(at.sin_port));
	assert_int_equal(pthread_create(&w->thread, NULL, world_serve, w), 0);
}

static void world_stop(struct world *w)
{
	(void)shutdown(w->fd, SHUT_RDWR);
	(void)pthread_join(w->thread, NULL);
	cleanup_fd(&w->fd);
}

#endif
