/* What the user's own client asks: run/ports.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "run/broker_internal.h"
#include "run/listener.h"

struct control {
	struct watch watch; /* the first field */
	struct broker *b;
};

/* `had`: among those that are published; else among those that could not be. */
static struct published *find_clash(const struct broker *b, const struct port *port, bool had)
{
	const struct port_value new = ports_value(port);

	for (struct published *p = b->published; p; p = p->next) {
		const struct port_value old = ports_value(&p->port);

		if ((p->port.errnum == 0) == had && port_clash(&old, &new))
			return p;
	}
	return NULL;
}

/* Those that could not be had, and whose place `new` takes. */
static void replace_lost(struct broker *b, struct published *new)
{
	struct published *old;

	while ((old = find_clash(b, &new->port, false)) != NULL) {
		if (old->port.inside == new->port.inside)
			new->port.from_profile |= old->port.from_profile;
		broker_unpublish(b, old);
	}
}

static size_t count(const struct broker *b)
{
	size_t n = 0;

	for (const struct published *p = b->published; p; p = p->next)
		n++;
	return n;
}

static int add(struct broker *b, struct port *port, struct err *err)
{
	const struct published *old = find_clash(b, port, true);
	struct published *new;
	char name[LISTENER_NAME];

	port->from_profile = false;
	if (old) {
		(void)err_set(
			err, "cannot publish port %u: '%s' is published already, to port %u inside",
			(unsigned)port->host, listener_name(&old->port, name),
			(unsigned)old->port.inside);
		return err_hint(err, "sbx port rm %s", name);
	}
	if (count(b) >= PORTS_MAX)
		return err_set(err, "cannot publish port %u: there are %d already",
			       (unsigned)port->host, PORTS_MAX);
	if (port->inside == 0)
		return err_errno(err, EINVAL, "cannot publish port %u", (unsigned)port->host);
	if (broker_publish(b, port, &new, err) < 0)
		return -1;
	replace_lost(b, new);
	*port = new->port;
	broker_save(b);
	return 0;
}

/* Without an address any will do, if there is only one. */
static struct published *find(const struct broker *b, const struct port *port, bool *ret_many)
{
	struct published *found = NULL;

	*ret_many = false;
	for (struct published *p = b->published; p; p = p->next) {
		if (p->port.host != port->host || p->port.udp != port->udp ||
		    (port->address[0] && !str_eq(port->address, p->port.address)))
			continue;
		*ret_many = found != NULL;
		found = p;
	}
	return found;
}

static int take_away(struct broker *b, struct port *port, struct err *err)
{
	bool many;
	struct published *p = find(b, port, &many);

	if (!p) {
		(void)err_set(err, "cannot remove port %u: it is not published",
			      (unsigned)port->host);
		return err_hint(err, "sbx port list");
	}
	if (many) {
		(void)err_set(err, "cannot remove port %u: it is published at several addresses",
			      (unsigned)port->host);
		return err_hint(err, "say which, as `sbx port list` shows it");
	}
	*port = p->port;
	broker_unpublish(b, p);
	broker_save(b);
	return 0;
}

/* In the order of the addresses' names. */
static int compare(const void *x, const void *y)
{
	const struct published *const *a = x;
	const struct published *const *b = y;
	int r = (int)(*a)->port.host - (int)(*b)->port.host;

	return r ? r : strcmp((*a)->port.address, (*b)->port.address);
}

static void list(const struct broker *b, int sock)
{
	const struct published **all = xcalloc(PORTS_MAX + 1, sizeof(void *));
	struct ports_msg msg = {0};
	size_t n = 0;

	for (const struct published *p = b->published; p && n < PORTS_MAX; p = p->next)
		all[n++] = p;
	qsort(all, n, sizeof(void *), compare);
	for (size_t i = 0; i < n; i++) {
		struct port *to = &msg.u.port[msg.n++];

		*to = all[i]->port;
		to->connections = broker_connections(b, all[i]);
		if (msg.n < PORTS_BATCH)
			continue;
		(void)ports_send(sock, PORTS_SOME, &msg);
		msg.n = 0;
	}
	if (msg.n > 0)
		(void)ports_send(sock, PORTS_SOME, &msg);
	msg.n = 0;
	(void)ports_send(sock, PORTS_SOME, &msg);
	free(all);
}

static void serve(struct broker *b, int sock)
{
	struct ports_msg msg = {0};
	struct err err = {0};
	int r = ports_recv(sock, &msg, &err);

	if (r == 0)
		return;
	if (r > 0 && msg.type == PORTS_LIST) {
		list(b, sock);
		return;
	}
	if (r > 0 && msg.type == PORTS_ADD && msg.n == 1)
		r = add(b, &msg.u.port[0], &err);
	else if (r > 0 && msg.type == PORTS_REMOVE && msg.n == 1)
		r = take_away(b, &msg.u.port[0], &err);
	else
		r = err_errno(&err, EPROTO, "cannot serve the request for ports");
	if (r < 0) {
		msg.n = 0;
		msg.u.err = err;
	}
	(void)ports_send(sock, r < 0 ? PORTS_FAILED : PORTS_DONE, &msg);
}

static void on_request(struct watch *w, uint32_t events)
{
	struct control *c = (struct control *)w; /* its first field */
	int fd = w->fd;

	(void)events;
	serve(c->b, fd);
	loop_remove(&c->b->loop, w);
	(void)close(fd);
	c->b->n_controls--;
	loop_discard(&c->b->loop, c);
}

/* Only the sandbox's own user, as pid 1 has it. */
static bool is_own(int conn)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t n = sizeof(peer);

	return getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.uid == getuid();
}

static void on_client(struct watch *w, uint32_t events)
{
	struct broker *b = (struct broker *)w; /* its first field */
	_cleanup_fd_ int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct control *c;

	(void)events;
	if (fd < 0 || !is_own(fd))
		return;
	c = xcalloc(1, sizeof(*c));
	*c = (struct control){.watch = {.fd = fd, .ready = on_request}, .b = b};
	if (loop_add(&b->loop, &c->watch, EPOLLIN) < 0) {
		free(c);
		return;
	}
	(void)TAKE_FD(fd);
	b->n_controls++;
}

int broker_listen(struct broker *b)
{
	b->door = (struct watch){.fd = b->how->door, .ready = on_client};
	return loop_add(&b->loop, &b->door, EPOLLIN);
}
