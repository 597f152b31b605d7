#include <string.h>

#include "base/str.h"
#include "plan/host.h"
#include "plan/plan.h"

/* Escaped, and in quotes where a reader could take it for more than one word. */
static void word(struct buf *b, const char *s)
{
	bool quote = s[0] == '\0' || strpbrk(s, " '\"#") != NULL;

	buf_adds(b, quote ? " \"" : " ");
	while (quote && strchr(s, '"')) {
		size_t len = strcspn(s, "\"");

		str_escape(b, s, len);
		buf_adds(b, "\\\"");
		s += len + 1;
	}
	str_escape(b, s, strlen(s));
	if (quote)
		buf_adds(b, "\"");
}

static void item(struct buf *b, const char *key, const char *value)
{
	buf_printf(b, "  %s", key);
	if (value)
		word(b, value);
	buf_adds(b, "\n");
}

static void flag(struct buf *b, const char *key, bool on)
{
	item(b, key, on ? "yes" : "no");
}

static void show_map(struct buf *b, const char *key, const struct id_map *map)
{
	for (size_t i = 0; i < map->n; i++)
		buf_printf(b, "  %s %u <- %u, %u\n", key, (unsigned int)map->line[i].inside,
			   (unsigned int)map->line[i].outside, (unsigned int)map->line[i].count);
}

static void show_ids(const struct plan *plan, struct buf *b)
{
	buf_adds(b, "user\n");
	item(b, "as", user_as_name(plan->as_root ? AS_ROOT : AS_SELF));
	item(b, "name", plan->user);
	item(b, "group", plan->group);
	buf_printf(b, "  uid %u\n  gid %u\n", (unsigned int)plan->self_uid,
		   (unsigned int)plan->self_gid);
	item(b, "home", plan->home);
	item(b, "shell", plan->shell);
	buf_printf(b, "ids: %s\n", id_rung_name(plan->rung));
	show_map(b, "uid", &plan->uid_map);
	show_map(b, "gid", &plan->gid_map);
	show_map(b, "inner uid", &plan->inner_uid_map);
	show_map(b, "inner gid", &plan->inner_gid_map);
	if (plan->newuidmap)
		item(b, "newuidmap", plan->newuidmap);
	if (plan->newgidmap)
		item(b, "newgidmap", plan->newgidmap);
}

static const char *base_name(const struct plan *plan)
{
	if (plan->base_dir)
		return plan->base_dir;
	return plan->base == BASE_HOST ? "host" : "empty";
}

static void show_root(const struct plan *plan, struct buf *b)
{
	buf_printf(b, "root: %s\n", root_driver_name(plan->driver));
	if (plan->image) {
		item(b, "image", plan->image);
		item(b, "digest", plan->image_digest ? plan->image_digest : "not known yet");
	}
	item(b, "base", base_name(plan));
	if (plan->driver == ROOT_FUSE) {
		item(b, "program", plan->fuse_overlayfs);
		item(b, "options", plan->fuse_options);
	}
	for (const char *const *layer = plan->layers; *layer; layer++)
		item(b, "layer", *layer);
	item(b, "upper", plan->upper);
	for (size_t i = 0; i < plan->n_entries; i++) {
		buf_adds(b, "  shows");
		word(b, plan->entries[i].name);
		if (plan->entries[i].target) {
			buf_adds(b, " ->");
			word(b, plan->entries[i].target);
		}
		buf_adds(b, "\n");
	}
	for (size_t i = 0; i < plan->n_hidden; i++) {
		buf_adds(b, "  hides");
		word(b, plan->hidden[i].path);
		if (plan->hidden[i].mode)
			buf_printf(b, " %04o", (unsigned)plan->hidden[i].mode);
		buf_adds(b, "\n");
	}
}

static const char *standin_name(enum standin_kind kind)
{
	switch (kind) {
	case STANDIN_DIR:
		return "dir";
	case STANDIN_FILE:
		return "file";
	case STANDIN_LINK:
		return "link";
	}
	return "?";
}

static void show_standins(const struct plan *plan, struct buf *b)
{
	buf_adds(b, "stand-ins\n");
	for (size_t i = 0; i < plan->n_standins; i++) {
		const struct standin *s = &plan->standins[i];

		buf_printf(b, "  %s", standin_name(s->kind));
		word(b, s->path);
		if (s->kind == STANDIN_LINK)
			buf_adds(b, " ->");
		else
			buf_printf(b, " %04o", (unsigned int)s->mode);
		if (s->data)
			word(b, s->data);
		if (s->self)
			buf_adds(b, " self");
		if (s->uid || s->gid)
			buf_printf(b, " %u:%u", (unsigned)s->uid, (unsigned)s->gid);
		buf_adds(b, "\n");
	}
}

static const char *mount_name(enum mount_kind kind)
{
	switch (kind) {
	case MOUNT_TMPFS:
		return "tmpfs";
	case MOUNT_BIND:
		return "bind";
	case MOUNT_DEV:
		return "device";
	case MOUNT_DEVPTS:
		return "devpts";
	case MOUNT_MQUEUE:
		return "mqueue";
	case MOUNT_PROC:
		return "proc";
	case MOUNT_SYSFS:
		return "sysfs";
	case MOUNT_MASK:
		return "mask";
	case MOUNT_READONLY:
		return "protect";
	case MOUNT_LINK:
		return "link";
	case MOUNT_DIR:
		return "dir";
	case MOUNT_FILE:
		return "file";
	}
	return "?";
}

static void show_mount(const struct mount_step *step, struct buf *b)
{
	buf_printf(b, "  %s", mount_name(step->kind));
	word(b, step->target);
	if (step->source) {
		buf_adds(b, step->kind == MOUNT_LINK ? " ->" : " <-");
		word(b, step->source);
	}
	if (step->kind == MOUNT_DIR || step->kind == MOUNT_FILE)
		buf_printf(b, " %04o", (unsigned int)step->mode);
	if (step->data)
		word(b, step->data);
	if (step->kind == MOUNT_BIND || step->kind == MOUNT_SYSFS)
		buf_adds(b, step->readonly ? " read-only" : " read-write");
	if (step->self)
		buf_adds(b, " self");
	if (step->from_env)
		buf_adds(b, " private");
	if (step->optional)
		buf_adds(b, " if-there");
	if (step->at.file) {
		buf_adds(b, " #");
		word(b, step->at.file);
		buf_printf(b, ":%d", step->at.line);
	}
	buf_adds(b, "\n");
}

static void show_ports(const struct plan *plan, struct buf *b)
{
	for (size_t i = 0; i < plan->n_ports; i++) {
		const struct port_value *v = &plan->ports[i];

		buf_adds(b, "  port ");
		buf_printf(b, strchr(v->address, ':') ? "[%s]:" : "%s:", v->address);
		buf_printf(b, "%u -> %u%s", (unsigned)v->host, (unsigned)v->inside,
			   v->udp ? " udp" : "");
		if (v->at.file) {
			buf_adds(b, " #");
			word(b, v->at.file);
			buf_printf(b, ":%d", v->at.line);
		}
		buf_adds(b, "\n");
	}
}

void plan_show(const struct plan *plan, struct buf *ret)
{
	buf_adds(ret, "sandbox");
	word(ret, plan->name);
	buf_adds(ret, "\n");
	item(ret, "environment", plan->env_id);
	item(ret, "folder", plan->env_dir);
	item(ret, "project", plan->project);
	buf_printf(ret, "  linger %llu ms\n", (unsigned long long)plan->linger_ms);
	show_ids(plan, ret);
	show_root(plan, ret);
	show_standins(plan, ret);
	buf_adds(ret, "mounts\n");
	for (size_t i = 0; i < plan->n_mounts; i++)
		show_mount(&plan->mounts[i], ret);
	buf_printf(ret, "network: %s\n", net_mode_name(plan->net));
	if (plan->slirp4netns)
		item(ret, "program", plan->slirp4netns);
	if (plan->pasta)
		item(ret, "program", plan->pasta);
	show_ports(plan, ret);
	buf_adds(ret, "security\n");
	item(ret, "seccomp", seccomp_mode_name(plan->seccomp));
	flag(ret, "emulate-root", plan->emulate_root);
	flag(ret, "nested", plan->nested);
	buf_adds(ret, "environment\n");
	for (const char **v = plan->env; v && *v; v++)
		item(ret, "set", *v);
	for (const char **v = plan->pass; v && *v; v++)
		item(ret, "pass", *v);
}
