#include "conf/keys.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/lists.h"
#include "conf/values.h"

/* In the order of the enums of profile.h. */
static const char *const user_as_names[] = {"self", "root", NULL};
static const char *const net_mode_names[] = {"slirp", "none", "host", NULL};
static const char *const net_driver_names[] = {"auto", "slirp4netns", "pasta", NULL};
static const char *const seccomp_mode_names[] = {"default", "strict", "off", NULL};

#define FIELD(member, origin)                                  \
	.offset = offsetof(struct profile_file, member),       \
	.size = sizeof(((struct profile_file *)NULL)->member), \
	.at = offsetof(struct profile_file, origin)

/* Sections and keys in the order in which a profile is printed. */
const struct key keys[] = {
	{"profile", "name", &value_name, FIELD(p.name, p.name.at), .flags = KEY_OWN},
	{"profile", "extends", &value_name, FIELD(extends, extends.at), .flags = KEY_OWN},
	{"base", "image", &value_image, FIELD(p.base, p.base.at)},
	{"user", "as", &value_enum, FIELD(p.user.as, p.user.at), .names = user_as_names},
	{"env", "pass", &list_pass, FIELD(p.env, p.env), .flags = KEY_LIST},
	{"env", "set.", &list_set, FIELD(p.env, p.env), .flags = KEY_LIST | KEY_PREFIX},
	{"mounts", "", &list_mount, FIELD(p.mounts, p.mounts), .flags = KEY_LIST | KEY_ANY},
	{"network", "mode", &value_enum, FIELD(p.net.mode, p.net.mode_at), .names = net_mode_names},
	{"network", "driver", &value_enum, FIELD(p.net.driver, p.net.driver_at),
	 .names = net_driver_names},
	{"network", "ports", &list_ports, FIELD(p.net.ports, p.net.ports), .flags = KEY_LIST},
	{"limits", "memory", &value_size, FIELD(p.limits.memory, p.limits.memory.at)},
	{"limits", "cpus", &value_cpus, FIELD(p.limits.millicpus, p.limits.millicpus.at)},
	{"limits", "pids", &value_count, FIELD(p.limits.pids, p.limits.pids.at)},
	{"limits", "best-effort", &value_bool,
	 FIELD(p.limits.best_effort, p.limits.best_effort.at)},
	{"security", "seccomp", &value_enum, FIELD(p.security.seccomp, p.security.seccomp_at),
	 .names = seccomp_mode_names},
	{"security", "nested", &value_bool, FIELD(p.security.nested, p.security.nested.at)},
	{"share", "ssh-agent", &value_bool, FIELD(p.share.ssh_agent, p.share.ssh_agent.at)},
	{"share", "git", &value_bool, FIELD(p.share.git, p.share.git.at)},
	{"share", "wayland", &value_bool, FIELD(p.share.wayland, p.share.wayland.at)},
	{"share", "x11", &value_bool, FIELD(p.share.x11, p.share.x11.at)},
	{"share", "gpu", &value_bool, FIELD(p.share.gpu, p.share.gpu.at)},
	{"build", "run", &list_build, FIELD(p.build, p.build), .flags = KEY_LIST | KEY_UNCUT},
	{"build", "copy", &list_build, FIELD(p.build, p.build), .flags = KEY_LIST | KEY_UNCUT},
	{"build", "env", &list_build, FIELD(p.build, p.build), .flags = KEY_LIST | KEY_UNCUT},
	{"build", "workdir", &list_build, FIELD(p.build, p.build), .flags = KEY_LIST | KEY_UNCUT},
	{"commit", "exclude", &list_exclude, FIELD(p.commit_exclude, p.commit_exclude),
	 .flags = KEY_LIST},
	{"sandbox", "linger", &value_duration, FIELD(p.sandbox.linger_ms, p.sandbox.linger_at)},
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))
const size_t n_keys = N_KEYS;

/* A mount's row has no name to suggest. */
static bool can_suggest(const struct key *k)
{
	return !(k->flags & KEY_ANY);
}

/* The rows of one section stand together: is this the first? */
static bool begins_section(size_t i)
{
	return i == 0 || !str_eq(keys[i].section, keys[i - 1].section);
}

static bool matches(const struct key *k, const char *name)
{
	if (k->flags & KEY_ANY)
		return true;
	if (k->flags & KEY_PREFIX)
		return str_starts(name, k->key);
	return str_eq(k->key, name);
}

/* The names of the keys of a section (NULL: of all), NULL-terminated. */
static size_t key_names(const char *section, const char *ret_names[static N_KEYS + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < N_KEYS; i++)
		if (can_suggest(&keys[i]) && (!section || str_eq(keys[i].section, section)))
			ret_names[n++] = keys[i].key;
	ret_names[n] = NULL;
	return n;
}

static const char *joined(const char *const *names, struct buf *ret)
{
	for (size_t i = 0; names[i]; i++)
		buf_printf(ret, "%s%s", i ? ", " : "", names[i]);
	return ret->p;
}

int keys_section(const char *name, unsigned *ret_index, struct err *err)
{
	_cleanup_buf_ struct buf all = {0};
	const char *names[N_KEYS + 1];
	const char *near;
	unsigned n = 0;

	for (size_t i = 0; i < N_KEYS; i++) {
		if (!begins_section(i))
			continue;
		if (str_eq(keys[i].section, name)) {
			*ret_index = n;
			return 0;
		}
		names[n++] = keys[i].section;
	}
	names[n] = NULL;
	near = str_nearest(name, names);
	err_set(err, "there is no section [%s]", name);
	if (near)
		return err_hint(err, "did you mean [%s]?", near);
	return err_hint(err, "the sections are %s", joined(names, &all));
}

/* The key is of no use here: is it right in another section, or misspelt? */
static int suggest(const char *section, const char *key, struct err *err)
{
	_cleanup_buf_ struct buf all = {0};
	const char *names[N_KEYS + 1];
	const char *near;

	for (size_t i = 0; i < N_KEYS; i++)
		if (can_suggest(&keys[i]) && matches(&keys[i], key))
			return err_hint(err, "'%s' belongs in [%s]", key, keys[i].section);
	key_names(section, names);
	near = str_nearest(key, names);
	if (near)
		return err_hint(err, "did you mean '%s'?", near);
	for (size_t i = 0; i < N_KEYS; i++)
		if (str_eq(keys[i].section, section) && (keys[i].flags & KEY_PREFIX))
			return err_hint(err, "did you mean '%s%s'?", keys[i].key, key);
	key_names(NULL, names);
	near = str_nearest(key, names);
	for (size_t i = 0; near && i < N_KEYS; i++)
		if (str_eq(keys[i].key, near))
			return err_hint(err, "did you mean '%s' in [%s]?", near, keys[i].section);
	if (key_names(section, names) == 0)
		return err_hint(err, "begin with a section, such as [network]");
	return err_hint(err, "the keys of [%s] are %s", section, joined(names, &all));
}

int keys_find(const char *section, const char *key, const struct key **ret, struct err *err)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (str_eq(keys[i].section, section) && matches(&keys[i], key)) {
			*ret = &keys[i];
			return 0;
		}
	if (!*section)
		err_set(err, "the key '%s' stands before any section", key);
	else
		err_set(err, "there is no key '%s' in [%s]", key, section);
	return suggest(section, key, err);
}

const char *user_as_name(enum user_as v)
{
	return user_as_names[v];
}

const char *net_mode_name(enum net_mode v)
{
	return net_mode_names[v];
}

const char *net_driver_name(enum net_driver v)
{
	return net_driver_names[v];
}

const char *seccomp_mode_name(enum seccomp_mode v)
{
	return seccomp_mode_names[v];
}
