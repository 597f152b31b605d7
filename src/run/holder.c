#include "run/holder.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/port.h"
#include "run/ports.h"
#include "store/env.h"

static bool has(struct arena *a, const struct env *env, const struct port_value *wanted)
{
	struct port *all = NULL;
	struct err why = {0};
	size_t n = 0;

	/* One that does not run, or is just ending, has none. */
	if (ports_list(a, env, &all, &n, &why) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct port_value v = ports_value(&all[i]);

		if (all[i].errnum == 0 && port_clash(&v, wanted))
			return true;
	}
	return false;
}

bool holder_find(struct arena *a, const struct store *s, const struct env *own,
		 const struct port *port, struct env *ret)
{
	const struct port_value wanted = ports_value(port);
	struct env *envs = NULL;
	struct err why = {0};
	size_t n = 0;

	if (env_list(a, s, &envs, &n, &why) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (str_eq(envs[i].id, own->id) || !has(a, &envs[i], &wanted))
			continue;
		*ret = envs[i];
		return true;
	}
	return false;
}
