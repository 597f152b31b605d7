#include "run/datagrams.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "run/dialing.h"
#include "run/loop.h"

#define BUCKETS 256
#define MAX_SIZE 65536

/* From one socket in a row; others wait. */
#define BURST 64

/* What waits while a socket inside is made: of one peer, and of all. */
#define WAITING 16
#define MAX_HELD (8u << 20)

/* Whose datagram it is, and which of our addresses it was for. */
struct key {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} from;
	union {
		struct in_pktinfo v4;
		struct in6_pktinfo v6;
	} to;
};

struct held {
	char *p;
	size_t n;
};

struct peer {
	struct watch watch; /* the first field; the socket inside, fd -1: not there yet */
	struct datagrams *d;
	struct key key;
	struct peer *next;            /* of its bucket */
	struct peer *older, *younger; /* by when something was heard of it */
	uint64_t heard_ms;
	bool answered; /* somebody is there */
	bool six;      /* ::1 was tried, when 127.0.0.1 had nobody */
	struct held held[WAITING];
	size_t n_held;
};

struct datagrams {
	struct watch watch; /* the first field; the socket outside */
	struct datagrams_common *common;
	uint16_t inside;
	struct peer *bucket[BUCKETS];
	struct peer *oldest, *youngest;
	uint32_t n;
};

union control {
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct cmsghdr align;
};

/* As bytes: what a key does not use is zero. */
static bool same(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct key)) == 0;
}

static unsigned bucket_of(const struct key *key)
{
	const unsigned char *p = (const unsigned char *)key;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(*key); i++)
		h = (h ^ p[i]) * 16777619u;
	return h % BUCKETS;
}

/* --- peers ----------------------------------------------------------------------------- */

static void unlink_age(struct peer *p)
{
	struct datagrams *d = p->d;

	if (p->older)
		p->older->younger = p->younger;
	else
		d->oldest = p->younger;
	if (p->younger)
		p->younger->older = p->older;
	else
		d->youngest = p->older;
}

static void link_youngest(struct peer *p)
{
	struct datagrams *d = p->d;

	p->younger = NULL;
	p->older = d->youngest;
	if (d->youngest)
		d->youngest->younger = p;
	else
		d->oldest = p;
	d->youngest = p;
	p->heard_ms = loop_now_ms();
}

static void heard(struct peer *p)
{
	unlink_age(p);
	link_youngest(p);
}

static void drop_held(struct peer *p)
{
	for (size_t i = 0; i < p->n_held; i++) {
		p->d->common->held -= p->held[i].n;
		free(p->held[i].p);
	}
	p->n_held = 0;
}

static void hold(struct peer *p, const char *data, size_t n)
{
	struct datagrams_common *common = p->d->common;
	struct held *h = &p->held[p->n_held];

	if (p->n_held == WAITING || common->held + n > MAX_HELD)
		return;
	*h = (struct held){.p = xmalloc(n + 1), .n = n};
	memcpy(h->p, data, n);
	common->held += n;
	p->n_held++;
}

static void close_inside(struct peer *p)
{
	const int fd = p->watch.fd;

	loop_remove(p->d->common->loop, &p->watch);
	if (fd >= 0)
		(void)close(fd);
}

static void end_peer(struct peer *p)
{
	struct datagrams *d = p->d;
	struct peer **link = &d->bucket[bucket_of(&p->key)];

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	unlink_age(p);
	drop_held(p);
	dialing_forget(d->common->dialing, p);
	close_inside(p);
	d->n--;
	d->common->n_peers--;
	loop_discard(d->common->loop, p);
}

static int dial(struct peer *p);

static struct peer *find_or_make(struct datagrams *d, const struct key *key)
{
	struct peer **bucket = &d->bucket[bucket_of(key)];
	struct peer *p = *bucket;

	while (p && !same(&p->key, key))
		p = p->next;
	if (p)
		return p;
	if (d->common->n_peers >= d->common->max_peers) {
		if (!d->oldest)
			return NULL;
		end_peer(d->oldest);
	}
	p = xcalloc(1, sizeof(*p));
	p->watch.fd = -1;
	p->d = d;
	p->key = *key;
	p->next = *bucket;
	*bucket = p;
	link_youngest(p);
	d->n++;
	d->common->n_peers++;
	if (dial(p) == 0)
		return p;
	end_peer(p);
	return NULL;
}

/* --- inside ------------------------------------------------------------------------------ */

/* Nobody is at 127.0.0.1: once, ::1 is tried, with what the peer said last. */
static void refused(struct peer *p)
{
	close_inside(p);
	if (!p->answered && !p->six) {
		p->six = true;
		if (dial(p) == 0)
			return;
	}
	end_peer(p);
}

/* Until somebody has answered it is kept, for another try. */
static void send_inside(struct peer *p, const char *data, size_t n)
{
	if (p->watch.fd < 0) {
		hold(p, data, n);
		return;
	}
	if (!p->answered && !p->six) {
		drop_held(p);
		hold(p, data, n);
	}
	if (send(p->watch.fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
		refused(p);
}

static void send_outside(const struct peer *p, char *data, size_t n)
{
	const bool six = p->key.from.any.sa_family == AF_INET6;
	const size_t size = six ? sizeof(p->key.to.v6) : sizeof(p->key.to.v4);
	struct iovec iov = {.iov_base = data, .iov_len = n};
	struct sockaddr_in6 to = p->key.from.v6; /* the larger one */
	union control control;
	struct msghdr msg = {
		.msg_name = &to,
		.msg_namelen = six ? sizeof(p->key.from.v6) : sizeof(p->key.from.v4),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(size),
	};

	memset(&control, 0, sizeof(control));
	control.align.cmsg_level = six ? IPPROTO_IPV6 : IPPROTO_IP;
	control.align.cmsg_type = six ? IPV6_PKTINFO : IP_PKTINFO;
	control.align.cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(&control.align), &p->key.to, size);
	/* What cannot be sent is lost, as on any network. */
	(void)sendmsg(p->d->watch.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_inside(struct watch *w, uint32_t events)
{
	struct peer *p = (struct peer *)w; /* its first field */
	char data[MAX_SIZE];

	(void)events;
	for (int i = 0; i < BURST; i++) {
		ssize_t n = recv(w->fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0 && errno == ECONNREFUSED) {
			refused(p);
			return;
		}
		if (n < 0)
			return;
		if (!p->answered)
			drop_held(p);
		p->answered = true;
		heard(p);
		send_outside(p, data, (size_t)n);
	}
}

static void on_dialed(void *ctx, int fd, int errnum)
{
	struct peer *p = ctx;
	const size_t n = p->n_held;

	(void)errnum;
	p->watch = (struct watch){.fd = fd, .ready = on_inside};
	if (fd < 0 || loop_add(p->d->common->loop, &p->watch, EPOLLIN) < 0) {
		end_peer(p);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (send(fd, p->held[i].p, p->held[i].n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		    errno == ECONNREFUSED) {
			/* The answer to the one before; it is told but once. */
			refused(p);
			return;
		}
	}
	/* They are kept until somebody answers, or turns out not to be there. */
	if (p->six)
		drop_held(p);
}

static int dial(struct peer *p)
{
	const struct dial_order order = {.port = p->d->inside, .udp = true, .six = p->six};

	return dialing_ask(p->d->common->dialing, &order, on_dialed, p);
}

/* --- outside ----------------------------------------------------------------------------- */

/* Which address of ours it was for; the interface does not matter but for link-local ones. */
static void take_address(struct msghdr *msg, struct key *key)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			key->to.v4.ipi_spec_dst = info.ipi_spec_dst;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&key->to.v6, CMSG_DATA(c), sizeof(key->to.v6));
			if (!IN6_IS_ADDR_LINKLOCAL(&key->to.v6.ipi6_addr))
				key->to.v6.ipi6_ifindex = 0;
		}
	}
}

/* -1: there is none now. */
static ssize_t take_one(int fd, char *data, struct key *key)
{
	union control control;
	struct iovec iov = {.iov_base = data, .iov_len = MAX_SIZE};
	struct msghdr msg = {
		.msg_name = &key->from,
		.msg_namelen = sizeof(key->from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	/* Compared as bytes. */
	memset(key, 0, sizeof(*key));
	n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n >= 0)
		take_address(&msg, key);
	return n;
}

static void on_outside(struct watch *w, uint32_t events)
{
	struct datagrams *d = (struct datagrams *)w; /* its first field */
	char data[MAX_SIZE];

	(void)events;
	for (int i = 0; i < BURST; i++) {
		struct key key;
		ssize_t n = take_one(w->fd, data, &key);
		struct peer *p;

		if (n < 0)
			return;
		p = find_or_make(d, &key);
		if (!p)
			continue;
		heard(p);
		send_inside(p, data, (size_t)n);
	}
}

int datagrams_start(struct datagrams_common *common, int fd, uint16_t inside,
		    struct datagrams **ret)
{
	struct datagrams *d = xcalloc(1, sizeof(*d));

	d->watch = (struct watch){.fd = fd, .ready = on_outside};
	d->common = common;
	d->inside = inside;
	if (loop_add(common->loop, &d->watch, EPOLLIN) < 0) {
		free(d);
		return -1;
	}
	*ret = d;
	return 0;
}

void datagrams_free(struct datagrams *d)
{
	_cleanup_fd_ int fd = d ? d->watch.fd : -1;

	if (!d)
		return;
	while (d->oldest)
		end_peer(d->oldest);
	loop_remove(d->common->loop, &d->watch);
	loop_discard(d->common->loop, d);
}

uint32_t datagrams_count(const struct datagrams *d)
{
	return d->n;
}

void datagrams_expire(struct datagrams *d, uint64_t since_ms)
{
	while (d->oldest && d->oldest->heard_ms < since_ms)
		end_peer(d->oldest);
}
