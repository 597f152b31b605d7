#include "cli/profile_json.h"

#include "cli/out.h"
#include "conf/port.h"
#include "conf/profile.h"

static const char *base_prefix(enum base_kind kind)
{
	switch (kind) {
	case BASE_DIR:
		return "dir:";
	case BASE_TAR:
		return "tar:";
	case BASE_OCI:
		return "oci:";
	case BASE_LAYER:
		return "layer:";
	case BASE_HOST:
	case BASE_REGISTRY:
		break;
	}
	return "";
}

static json_t *image(const struct profile *p)
{
	json_t *prefix = json_string(base_prefix(p->base.kind));
	json_t *ref = out_json_string(p->base.kind == BASE_HOST ? "host" : p->base.ref);
	json_t *all = json_sprintf("%s%s", json_string_value(prefix),
				   json_string_value(ref) ? json_string_value(ref) : "");

	json_decref(prefix);
	json_decref(ref);
	return all;
}

static json_t *number(const struct u64_value *v)
{
	return v->set ? json_integer((json_int_t)v->n) : json_null();
}

static json_t *variables(const struct profile *p)
{
	json_t *set = json_object();
	json_t *pass = json_array();

	for (size_t i = 0; i < p->env.n; i++) {
		if (p->env.v[i].value)
			json_object_set_new(set, p->env.v[i].name,
					    out_json_string(p->env.v[i].value));
		else
			json_array_append_new(pass, out_json_string(p->env.v[i].name));
	}
	return json_pack("{s:o, s:o}", "pass", pass, "set", set);
}

static json_t *mounts(const struct profile *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->mounts.n; i++) {
		const struct mount_value *m = &p->mounts.v[i];

		json_array_append_new(list,
				      json_pack("{s:o, s:o, s:b}", "host", out_json_string(m->host),
						"inside", out_json_string(m->inside), "writable",
						(int)m->writable));
	}
	return list;
}

static json_t *network(const struct profile *p)
{
	json_t *ports = json_array();

	for (size_t i = 0; i < p->net.ports.n; i++) {
		const struct port_value *v = &p->net.ports.v[i];

		json_array_append_new(ports, json_pack("{s:o, s:i, s:i, s:s}", "address",
						       out_json_string(port_address(v)), "host",
						       (int)v->host, "inside", (int)v->inside,
						       "protocol", v->udp ? "udp" : "tcp"));
	}
	return json_pack("{s:s, s:s, s:o}", "mode", net_mode_name(p->net.mode), "driver",
			 net_driver_name(p->net.driver), "ports", ports);
}

static json_t *texts(const struct text_value *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, out_json_string(v[i].s));
	return list;
}

static json_t *build_steps(const struct profile *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->build.n; i++) {
		json_t *step = json_object();

		json_object_set_new(step, build_step_name(p->build.v[i].kind),
				    out_json_string(p->build.v[i].s));
		json_array_append_new(list, step);
	}
	return list;
}

json_t *profile_json(const struct profile *p)
{
	json_t *o = json_object();

	json_object_set_new(o, "name", out_json_string(p->name.s));
	json_object_set_new(o, "files", texts(p->files.v, p->files.n));
	json_object_set_new(o, "base", json_pack("{s:o}", "image", image(p)));
	json_object_set_new(o, "user", json_pack("{s:s}", "as", user_as_name(p->user.as)));
	json_object_set_new(o, "env", variables(p));
	json_object_set_new(o, "mounts", mounts(p));
	json_object_set_new(o, "network", network(p));
	json_object_set_new(o, "limits",
			    json_pack("{s:o, s:o, s:o, s:b}", "memory", number(&p->limits.memory),
				      "millicpus", number(&p->limits.millicpus), "pids",
				      number(&p->limits.pids), "best-effort",
				      (int)p->limits.best_effort.on));
	json_object_set_new(o, "security",
			    json_pack("{s:s, s:b}", "seccomp",
				      seccomp_mode_name(p->security.seccomp), "nested",
				      (int)p->security.nested.on));
	json_object_set_new(o, "share",
			    json_pack("{s:b, s:b, s:b, s:b, s:b}", "ssh-agent",
				      (int)p->share.ssh_agent.on, "git", (int)p->share.git.on,
				      "wayland", (int)p->share.wayland.on, "x11",
				      (int)p->share.x11.on, "gpu", (int)p->share.gpu.on));
	json_object_set_new(o, "build", build_steps(p));
	json_object_set_new(
		o, "commit",
		json_pack("{s:o}", "exclude", texts(p->commit_exclude.v, p->commit_exclude.n)));
	json_object_set_new(o, "sandbox",
			    json_pack("{s:I}", "linger_ms", (json_int_t)p->sandbox.linger_ms));
	return o;
}
