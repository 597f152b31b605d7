#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "conf/port.h"
#include "plan/plan_parts.h"

int plan_refuse_at(const struct origin *at, struct err *err, const char *fmt, ...)
{
	char msg[ERR_MSG_SIZE];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	(void)err_set(err, "%s", msg);
	if (at->file)
		(void)err_prefix(err, "%s:%d", at->file, at->line);
	return -1;
}

static int refuse_limits(const struct making *m, struct err *err)
{
	const struct {
		const char *name;
		const struct u64_value *value;
	} limits[] = {
		{"memory", &m->p->limits.memory},
		{"cpus", &m->p->limits.millicpus},
		{"pids", &m->p->limits.pids},
	};

	if (m->p->limits.best_effort.on)
		return 0;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (!limits[i].value->set)
			continue;
		(void)plan_refuse_at(&limits[i].value->at, err,
				     "cannot limit '%s': limits cannot be enforced yet",
				     limits[i].name);
		return err_hint(err, "remove the line, or put `best-effort = yes` under [limits] "
				     "to go on without it");
	}
	return 0;
}

static int refuse_net(const struct making *m, struct err *err)
{
	if (m->p->net.ports.n > PORTS_MAX)
		return plan_refuse_at(&m->p->net.ports.v[PORTS_MAX].at, err,
				      "cannot publish more than %d ports", PORTS_MAX);
	if (m->p->net.ports.n > 0 && m->p->net.mode == NET_HOST) {
		const struct port_value *port = &m->p->net.ports.v[0];

		(void)plan_refuse_at(
			&port->at, err,
			"cannot publish port '%u': with `mode = host` the sandbox is in "
			"the network of the host",
			(unsigned int)port->host);
		return err_hint(err, "remove `ports` under [network]: what listens inside is "
				     "reached as it is");
	}
	return 0;
}

int plan_refuse(const struct making *m, struct err *err)
{
	if (m->p->security.seccomp == SECCOMP_STRICT) {
		(void)plan_refuse_at(&m->p->security.seccomp_at, err,
				     "cannot use the seccomp filter 'strict': not yet supported");
		return err_hint(err, "use `seccomp = default` under [security]");
	}
	if (refuse_net(m, err) < 0)
		return -1;
	return refuse_limits(m, err);
}
