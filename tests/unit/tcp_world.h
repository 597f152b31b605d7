/*
 * tcp_world — run_world, and sockets on loopback addresses of this machine.
 */
#ifndef SBX_TESTS_UNIT_TCP_WORLD_H
#define SBX_TESTS_UNIT_TCP_WORLD_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "run_world.h"

/* A socket of 127.0.0.1 or ::1 at a port that is free, or -1; *ret_port says which. */
static inline int world_bound(bool six, int type, uint16_t *ret_port)
{
	_cleanup_fd_ int fd = socket(six ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {0};
	socklen_t n = six ? sizeof(address.v6) : sizeof(address.v4);

	if (six)
		address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
						   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	else
		address.v4 = (struct sockaddr_in){.sin_family = AF_INET,
						  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0 || bind(fd, &address.any, n) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 64) < 0) || getsockname(fd, &address.any, &n) < 0)
		return -1;
	*ret_port = ntohs(six ? address.v6.sin6_port : address.v4.sin_port);
	return TAKE_FD(fd);
}

/* Connected to 127.0.0.1, or -1. */
static inline int world_connect(uint16_t port, int type)
{
	_cleanup_fd_ int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return -1;
	return TAKE_FD(fd);
}

/* Two ends of a connection. */
static inline void world_pair(int ret_fds[2])
{
	uint16_t port = 0;
	int listener = world_bound(false, SOCK_STREAM, &port);

	assert_true(listener >= 0);
	ret_fds[0] = world_connect(port, SOCK_STREAM);
	ret_fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ret_fds[0] >= 0 && ret_fds[1] >= 0);
	(void)close(listener);
}

#endif
