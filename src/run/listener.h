/*
 * listener — a socket of the host's for a published port.
 */
#ifndef SBX_RUN_LISTENER_H
#define SBX_RUN_LISTENER_H

#include <sys/socket.h>

struct err;
struct port;

/*
 * Bind port->address and port->host (0: any that is free, which is written there), and with TCP listen.  The
 * socket is O_NONBLOCK.  What stands in the way is said, with a hint.
 */
int listener_open(struct port *port, int *ret_fd, struct err *err);

/* "127.0.0.1:8888/udp", for messages. */
#define LISTENER_NAME 72
const char *listener_name(const struct port *port, char name[LISTENER_NAME]);

#endif
