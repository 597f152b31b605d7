/*
 * ports_taken — ports of the host's that something else has already.
 *
 * The environments of a project have one sbx.ini, and so the same ports: what another one has is left out when this
 * one starts, with a warning, or a fork could not be entered beside the first.  What anybody else has is a
 * failure: the profile asks for that port, and can ask for another one.
 */
#ifndef SBX_CLI_PORTS_TAKEN_H
#define SBX_CLI_PORTS_TAKEN_H

struct arena;
struct client_request;
struct env;
struct err;
struct plan;
struct port;
struct store;
struct workplace;

/* client_start (run/client.h) of what `w` has open, in that way. */
int ports_taken_start(struct arena *a, const struct workplace *w, const struct plan *plan,
		      const struct client_request *request, int *ret_sock, struct err *err);

/* `err` is of `port`, for `own`: where that is taken by a sandbox of this user's, say by which.  Returns -1. */
int ports_taken_explain(struct arena *a, const struct store *s, const struct env *own,
			const struct port *port, struct err *err);

/* "published", or why it is not: by which environment, where one has it. */
const char *ports_taken_state(struct arena *a, const struct store *s, const struct env *own,
			      const struct port *port);

#endif
