#include "run/ports.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/proc.h"
#include "conf/port.h"
#include "run/client.h"
#include "store/env.h"

/* A broker that has to be started answers in a few milliseconds. */
#define ANSWER_MS 5000

int ports_send(int sock, enum ports_type type, struct ports_msg *msg)
{
	msg->version = PORTS_VERSION;
	msg->type = type;
	return proc_send(sock, msg, sizeof(*msg), NULL, 0);
}

static bool sound(struct ports_msg *msg)
{
	if (msg->type == PORTS_FAILED) {
		msg->u.err.msg[sizeof(msg->u.err.msg) - 1] = '\0';
		msg->u.err.hint[sizeof(msg->u.err.hint) - 1] = '\0';
		return true;
	}
	if (msg->n > PORTS_BATCH)
		return false;
	for (size_t i = 0; i < PORTS_BATCH; i++)
		msg->u.port[i].address[sizeof(msg->u.port[i].address) - 1] = '\0';
	return true;
}

int ports_recv(int sock, struct ports_msg *ret, struct err *err)
{
	struct ports_msg msg = {0};
	ssize_t n = proc_recv(sock, &msg, sizeof(msg), NULL, NULL);

	if (n == 0)
		return 0;
	if (n < 0)
		return err_errno(err, errno, "cannot read what the other side says");
	if (n != (ssize_t)sizeof(msg) || msg.version != PORTS_VERSION || !sound(&msg))
		return err_errno(err, EPROTO, "cannot read what the other side says");
	*ret = msg;
	return 1;
}

struct port ports_of(const struct port_value *v)
{
	struct port p = {.host = v->host, .inside = v->inside, .udp = v->udp};

	(void)snprintf(p.address, sizeof(p.address), "%s", port_address(v));
	return p;
}

struct port_value ports_value(const struct port *p)
{
	return (struct port_value){
		.address = p->address, .host = p->host, .inside = p->inside, .udp = p->udp};
}

static int gone(struct err *err)
{
	return err_errno(err, ECONNRESET, "cannot ask for ports: the sandbox is ending");
}

/* The next answer; 0 with a message that is no failure. */
static int answer(int sock, struct ports_msg *msg, struct err *err)
{
	struct pollfd fd = {.fd = sock, .events = POLLIN};
	int r;

	if (poll(&fd, 1, ANSWER_MS) == 0)
		return err_errno(err, ETIMEDOUT, "cannot ask for ports");
	r = ports_recv(sock, msg, err);
	if (r < 0)
		return err_prefix(err, "cannot ask for ports");
	if (r == 0)
		return gone(err);
	if (msg->type != PORTS_FAILED)
		return 0;
	if (err)
		*err = msg->u.err;
	return -1;
}

/* Connect and ask; *msg is the request, and then the first answer. */
static int ask(const struct env *env, enum ports_type type, struct ports_msg *msg, int *ret_sock,
	       struct err *err)
{
	_cleanup_fd_ int sock = -1;

	if (client_connect_ports(env, &sock, err) < 0)
		return -1;
	if (ports_send(sock, type, msg) < 0)
		return gone(err);
	if (answer(sock, msg, err) < 0)
		return -1;
	*ret_sock = TAKE_FD(sock);
	return 0;
}

static int ask_for_one(const struct env *env, enum ports_type type, const struct port *port,
		       struct port *ret, struct err *err)
{
	struct ports_msg msg = {.n = 1, .u.port[0] = *port};
	_cleanup_fd_ int sock = -1;

	if (ask(env, type, &msg, &sock, err) < 0)
		return -1;
	if (msg.type != PORTS_DONE || msg.n != 1)
		return err_errno(err, EPROTO, "cannot ask for ports");
	*ret = msg.u.port[0];
	return 0;
}

int ports_add(const struct env *env, const struct port *port, struct port *ret, struct err *err)
{
	return ask_for_one(env, PORTS_ADD, port, ret, err);
}

int ports_remove(const struct env *env, const struct port *port, struct port *ret, struct err *err)
{
	return ask_for_one(env, PORTS_REMOVE, port, ret, err);
}

int ports_list(struct arena *a, const struct env *env, struct port **ret, size_t *ret_n,
	       struct err *err)
{
	struct port *all = arena_alloc(a, PORTS_MAX * sizeof(*all));
	struct ports_msg msg = {0};
	_cleanup_fd_ int sock = -1;
	size_t n = 0;

	if (ask(env, PORTS_LIST, &msg, &sock, err) < 0)
		return -1;
	while (msg.type == PORTS_SOME && msg.n > 0 && n + msg.n <= PORTS_MAX) {
		memcpy(all + n, msg.u.port, msg.n * sizeof(*all));
		n += msg.n;
		if (answer(sock, &msg, err) < 0)
			return -1;
	}
	if (msg.type != PORTS_SOME || msg.n > 0)
		return err_errno(err, EPROTO, "cannot ask for ports");
	*ret = all;
	*ret_n = n;
	return 0;
}
