#include "cli/ports_show.h"

#include <string.h>

#include "base/mem.h"
#include "cli/out.h"
#include "run/ports.h"

const char *ports_name(struct arena *a, const struct port *p)
{
	return arena_printf(a, strchr(p->address, ':') ? "[%s]:%u%s" : "%s:%u%s", p->address,
			    (unsigned)p->host, p->udp ? "/udp" : "");
}

const char *ports_state(const struct port *p)
{
	return p->errnum ? strerror(p->errnum) : "published";
}

json_t *ports_json(const struct port *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "address", out_json_string(v[i].address));
		json_object_set_new(o, "host", json_integer(v[i].host));
		json_object_set_new(o, "inside", json_integer(v[i].inside));
		json_object_set_new(o, "protocol", json_string(v[i].udp ? "udp" : "tcp"));
		json_object_set_new(o, "connections", json_integer(v[i].connections));
		json_object_set_new(o, "from", json_string(v[i].from_profile ? "profile" : "add"));
		json_object_set_new(o, "published", json_boolean(v[i].errnum == 0));
		json_object_set_new(o, "trouble",
				    out_json_string(v[i].errnum ? strerror(v[i].errnum) : NULL));
		json_array_append_new(list, o);
	}
	return list;
}
