/*
 * holder — which sandbox of this user's has a port of the host's.
 */
#ifndef SBX_RUN_HOLDER_H
#define SBX_RUN_HOLDER_H

#include <stdbool.h>

struct arena;
struct env;
struct port;
struct store;

/*
 * Ask those that run, but `own`, by run/ports.h.  True: *ret, opened with fd -1, publishes it, or one that can not
 * be bound beside it.  Those of another store are not known.
 */
bool holder_find(struct arena *a, const struct store *s, const struct env *own,
		 const struct port *port, struct env *ret);

#endif
