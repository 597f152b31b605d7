/*
 * ports_show — published ports as `sbx port` and `sbx status` tell of them.
 */
#ifndef SBX_CLI_PORTS_SHOW_H
#define SBX_CLI_PORTS_SHOW_H

#include <stddef.h>

#include <jansson.h>

struct arena;
struct port;

/* "127.0.0.1:8888", "[::1]:53/udp". */
const char *ports_name(struct arena *a, const struct port *p);

/* "published", or why it is not. */
const char *ports_state(const struct port *p);

json_t *ports_json(const struct port *v, size_t n);

#endif
