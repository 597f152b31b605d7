#include "run/peer.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

union end {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct question {
	struct nlmsghdr head;
	struct inet_diag_req_v2 what;
};

static void put_end(const union end *e, __be32 address[4], __be16 *ret_port)
{
	if (e->any.sa_family == AF_INET6) {
		memcpy(address, &e->v6.sin6_addr, sizeof(e->v6.sin6_addr));
		*ret_port = e->v6.sin6_port;
	} else {
		address[0] = e->v4.sin_addr.s_addr;
		*ret_port = e->v4.sin_port;
	}
}

/* The socket of which our end is the far one. */
static int make_question(int fd, struct question *q)
{
	union end near = {0};
	union end far = {0};
	socklen_t n = sizeof(near);
	socklen_t m = sizeof(far);

	if (getsockname(fd, &near.any, &n) < 0 || getpeername(fd, &far.any, &m) < 0 ||
	    (near.any.sa_family != AF_INET && near.any.sa_family != AF_INET6))
		return -1;
	*q = (struct question){
		.head = {.nlmsg_len = sizeof(*q),
			 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			 .nlmsg_flags = NLM_F_REQUEST},
		.what = {.sdiag_family = (__u8)near.any.sa_family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = ~0U,
			 .id = {.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
	};
	put_end(&far, q->what.id.idiag_src, &q->what.id.idiag_sport);
	put_end(&near, q->what.id.idiag_dst, &q->what.id.idiag_dport);
	return 0;
}

int peer_uid(int fd, uid_t *ret)
{
	union {
		char bytes[4096];
		struct nlmsghdr head;
	} answer;
	struct inet_diag_msg found;
	struct question q;
	_cleanup_fd_ int sock = -1;
	ssize_t n;

	if (make_question(fd, &q) < 0)
		return -1;
	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (sock < 0 || send(sock, &q, sizeof(q), 0) < 0)
		return -1;
	/* The kernel has answered before send(2) returns. */
	n = recv(sock, &answer, sizeof(answer), MSG_DONTWAIT);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(found)) ||
	    answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -1;
	memcpy(&found, NLMSG_DATA(&answer.head), sizeof(found));
	/* Where there is no such connection, a listener of the same port is told. */
	if (found.idiag_state == TCP_LISTEN || found.id.idiag_sport != q.what.id.idiag_sport ||
	    found.id.idiag_dport != q.what.id.idiag_dport)
		return -1;
	*ret = found.idiag_uid;
	return 0;
}

bool peer_is_foreign(int fd)
{
	uid_t uid = 0;

	return peer_uid(fd, &uid) == 0 && uid != 0 && uid != getuid();
}
