#include "run/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "run/ports.h"

/* The kernel cuts it to net.core.somaxconn. */
#define BACKLOG 4096

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

const char *listener_name(const struct port *port, char name[LISTENER_NAME])
{
	const bool six = strchr(port->address, ':') != NULL;

	(void)snprintf(name, LISTENER_NAME, six ? "[%s]:%u%s" : "%s:%u%s", port->address,
		       (unsigned)port->host, port->udp ? "/udp" : "");
	return name;
}

static socklen_t to_address(const struct port *port, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, port->address, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port->host);
		return sizeof(ret->v4);
	}
	if (inet_pton(AF_INET6, port->address, &ret->v6.sin6_addr) == 1) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons(port->host);
		return sizeof(ret->v6);
	}
	return 0;
}

static int refused(const struct port *port, int errnum, struct err *err)
{
	char name[LISTENER_NAME];
	const unsigned other = port->host < 1024 ? port->host + 8000u : port->host + 1u;

	(void)err_errno(err, errnum, "cannot publish port %u at '%s'", (unsigned)port->host,
			listener_name(port, name));
	switch (errnum) {
	case EADDRINUSE:
		return err_hint(err,
				"another program has it, `ss -ln%cp` says which; or use another "
				"one: %u:%u",
				port->udp ? 'u' : 't', other > 65535 ? 8000u : other,
				(unsigned)port->inside);
	case EACCES:
		return err_hint(err,
				"ports below 1024 are root's here: use another one, %u:%u; or "
				"sudo sysctl net.ipv4.ip_unprivileged_port_start=%u",
				other, (unsigned)port->inside, (unsigned)port->host);
	case EADDRNOTAVAIL:
		return err_hint(err, "this machine does not have that address: `ip address` lists "
				     "those that it has");
	default:
		return -1;
	}
}

static int prepare(int fd, const struct port *port, bool six)
{
	const int on = 1;

	/* [::] and 0.0.0.0 are two ports. */
	if (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -1;
	/* Connections that have just ended do not keep a port; with UDP it would mean sharing it. */
	if (!port->udp)
		return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Of many addresses, an answer has to come from the one that was asked. */
	return six ? setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on))
		   : setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
}

int listener_open(struct port *port, int *ret_fd, struct err *err)
{
	const int type = port->udp ? SOCK_DGRAM : SOCK_STREAM;
	_cleanup_fd_ int fd = -1;
	union address address;
	socklen_t n = to_address(port, &address);
	const bool six = address.any.sa_family == AF_INET6;

	if (n == 0)
		return err_set(err, "cannot publish a port at '%s': it is not an address",
			       port->address);
	fd = socket(address.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || prepare(fd, port, six) < 0 || bind(fd, &address.any, n) < 0 ||
	    (!port->udp && listen(fd, BACKLOG) < 0))
		return refused(port, errno, err);
	if (getsockname(fd, &address.any, &n) < 0)
		return refused(port, errno, err);
	port->host = ntohs(six ? address.v6.sin6_port : address.v4.sin_port);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
