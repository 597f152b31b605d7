/*
 * port — how a published port is written: [ADDRESS:]PORT[:PORT-INSIDE][/tcp|/udp].
 */
#ifndef SBX_CONF_PORT_H
#define SBX_CONF_PORT_H

#include <stdbool.h>

#include "conf/profile.h"

struct arena;
struct buf;
struct err;

/* The most that one sandbox publishes. */
#define PORTS_MAX 1024

enum port_flags {
	PORT_ANY = 1 << 0, /* the host's port may be 0, "any that is free", with a port inside */
};

/* `at` is left empty.  An address is numeric: IPv4, or IPv6 in brackets. */
int port_parse(struct arena *a, const char *text, unsigned flags, struct port_value *ret,
	       struct err *err);

/* The reverse; what is the default is left out. */
void port_print(const struct port_value *v, struct buf *ret);

/* v->address, or the default of it. */
const char *port_address(const struct port_value *v);

/* Do only programs of this machine reach it?  NULL: the default address. */
bool port_is_loopback(const char *address);

/* Can they not be bound both? */
bool port_clash(const struct port_value *a, const struct port_value *b);

#endif
