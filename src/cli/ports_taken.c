#include "cli/ports_taken.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/open.h"
#include "cli/ports_show.h"
#include "cli/shell.h"
#include "plan/plan.h"
#include "run/client.h"
#include "run/holder.h"
#include "run/listener.h"
#include "run/ports.h"

/* "-C DIR", and "-e NAME" where it is not the default one. */
static const char *options(struct arena *a, const struct env *env)
{
	_cleanup_buf_ struct buf b = {0};

	buf_adds(&b, "-C ");
	str_shell_quote(&b, env->project);
	if (!str_eq(env->name, "default"))
		buf_printf(&b, " -e %s", env->name);
	return arena_strdup(a, b.p);
}

static int explain(struct arena *a, const struct env *holder, const struct port *port,
		   struct err *err)
{
	const unsigned other = port->host < 65535 ? port->host + 1u : 8000u;
	struct err why = *err;

	(void)err_set(err, "%s, by the environment '%s' of '%s'", why.msg, holder->name,
		      holder->project);
	err->errnum = why.errnum;
	return err_hint(err, "sbx stop %s ends that one; or use another port: %u:%u",
			options(a, holder), other, (unsigned)port->inside);
}

int ports_taken_explain(struct arena *a, const struct store *s, const struct env *own,
			const struct port *port, struct err *err)
{
	struct env holder;

	if (err->errnum == EADDRINUSE && holder_find(a, s, own, port, &holder))
		return explain(a, &holder, port, err);
	return -1;
}

const char *ports_taken_state(struct arena *a, const struct store *s, const struct env *own,
			      const struct port *port)
{
	struct env holder;

	if (port->errnum != EADDRINUSE || !holder_find(a, s, own, port, &holder))
		return ports_state(port);
	if (str_eq(holder.project, own->project))
		return arena_printf(a, "the environment '%s' has it", holder.name);
	return arena_printf(a, "the environment '%s' of '%s' has it", holder.name, holder.project);
}

static bool is_taken(const struct port *port)
{
	struct port copy = *port;
	_cleanup_fd_ int fd = -1;
	struct err why = {0};

	return listener_open(&copy, &fd, &why) < 0 && why.errnum == EADDRINUSE;
}

static void warn_spared(struct arena *a, const struct env *own, const struct env *holder,
			const struct port *port)
{
	const char *to = str_eq(own->name, "default") ? "" : arena_printf(a, "-e %s ", own->name);

	log_warn("%s is not published for '%s': the environment '%s' has it; sbx port add %s0:%u%s "
		 "takes another one",
		 ports_name(a, port), own->name, holder->name, to, (unsigned)port->inside,
		 port->udp ? "/udp" : "");
}

/*
 * Which of `ports` could not be had?  0: only such as other environments of the project have, and the sandbox is to
 * start without them.  -1: `err` says of the first of the others what is in its way.
 */
static int spare(struct arena *a, const struct workplace *w, struct port_value *ports, size_t n,
		 struct err *err)
{
	int r = -1;

	for (size_t i = 0; i < n; i++) {
		const struct port port = ports_of(&ports[i]);
		struct env holder;

		if (ports[i].optional || !is_taken(&port))
			continue;
		if (!holder_find(a, &w->store, &w->env, &port, &holder))
			return -1;
		if (!str_eq(holder.project, w->env.project))
			return explain(a, &holder, &port, err);
		warn_spared(a, &w->env, &holder, &port);
		ports[i].optional = true;
		r = 0;
	}
	return r;
}

int ports_taken_start(struct arena *a, const struct workplace *w, const struct plan *plan,
		      const struct client_request *request, int *ret_sock, struct err *err)
{
	const size_t size = plan->n_ports * sizeof(*plan->ports);
	struct plan without = *plan;
	struct port_value *ports;

	if (client_start(plan, &w->env, request, ret_sock, err) == 0)
		return 0;
	if (err->errnum != EADDRINUSE || plan->n_ports == 0)
		return -1;
	ports = arena_alloc(a, size);
	memcpy(ports, plan->ports, size);
	without.ports = ports;
	/* Each time one more is left out at least. */
	while (err->errnum == EADDRINUSE && spare(a, w, ports, plan->n_ports, err) == 0) {
		*err = (struct err){0};
		if (client_start(&without, &w->env, request, ret_sock, err) == 0)
			return 0;
	}
	return -1;
}
