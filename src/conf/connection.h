/*
 * connection — the connection file that a Jupyter front end writes for a kernel that it starts.
 *
 * "Connection files" in the manual of jupyter_client: a JSON object with transport, ip, five ports and the key
 * that signs each message.  Pure: text in, data and text out.
 */
#ifndef SBX_CONF_CONNECTION_H
#define SBX_CONF_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct buf;
struct err;

#define CONNECTION_CHANNELS 5
#define CONNECTION_MAX 65536 /* bytes; a real one has 300 */

/* shell, iopub, stdin, control, hb: the names of the ports less "_port". */
extern const char *const connection_channels[CONNECTION_CHANNELS];

struct connection {
	bool ipc;
	const char
		*ip; /* tcp: a loopback address as written; ipc: the sockets' path less "-PORT" */
	uint16_t port[CONNECTION_CHANNELS];
};

/* What is wrong is an error; so is an address that others could reach. */
int connection_parse(struct arena *a, const char *text, size_t len, struct connection *ret,
		     struct err *err);

/*
 * The same file for inside: sockets at PREFIX-1 to PREFIX-5, in the order of the channels; all that is not about
 * sockets stays.  Adds to `ret`.
 */
int connection_inside(const char *text, size_t len, const char *prefix, struct buf *ret,
		      struct err *err);

#endif
