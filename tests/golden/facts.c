#include "facts.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

#define ENTRIES_MAX 32

struct reading {
	struct arena *a;
	struct case_facts *to;
};

static char *decode(struct arena *a, const char *s)
{
	static const char hex[] = "0123456789abcdef";
	char *out = arena_alloc(a, strlen(s) + 1);
	size_t n = 0;

	while (*s != '\0') {
		if (*s != '\\') {
			out[n++] = *s++;
		} else if (s[1] == 'n') {
			out[n++] = '\n';
			s += 2;
		} else if (s[1] == 'x' && s[2] != '\0' && strchr(hex, s[2]) && s[3] != '\0' &&
			   strchr(hex, s[3])) {
			out[n++] =
				(char)((strchr(hex, s[2]) - hex) * 16 + (strchr(hex, s[3]) - hex));
			s += 4;
		} else {
			s++;
			out[n++] = *s != '\0' ? *s++ : '\\';
		}
	}
	return out;
}

static int set_flag(struct reading *r, const char *key, const char *value)
{
	struct host_facts *f = &r->to->facts;
	const struct {
		const char *key;
		bool *field;
	} flags[] = {
		{"dev_fuse", &f->dev_fuse},
		{"dev_tun", &f->dev_tun},
		{"userns", &f->userns},
		{"overlay_userxattr", &f->overlay_userxattr},
		{"sudo_helper", &r->to->env.sudo_helper},
		{"image_over_host", &r->to->image.over_host},
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (!str_eq(flags[i].key, key))
			continue;
		*flags[i].field = str_eq(value, "yes");
		return 1;
	}
	return 0;
}

static int set_text(struct reading *r, const char *key, const char *value)
{
	struct host_facts *f = &r->to->facts;
	struct plan_env *e = &r->to->env;
	const struct {
		const char *key;
		const char **field;
	} texts[] = {
		{"user", &f->user},
		{"group", &f->group},
		{"home", &f->home},
		{"shell", &f->shell},
		{"newuidmap", &f->newuidmap},
		{"newgidmap", &f->newgidmap},
		{"fuse_overlayfs", &f->fuse_overlayfs},
		{"pasta", &f->pasta},
		{"slirp4netns", &f->slirp4netns},
		{"userns_why", &f->userns_why},
		{"ssh_agent", &f->ssh_agent},
		{"wayland", &f->wayland},
		{"x11", &f->x11},
		{"display", &f->display},
		{"git_name", &f->git_name},
		{"git_mail", &f->git_mail},
		{"resolv_conf", &f->resolv_conf},
		{"env_id", &e->env_id},
		{"env_dir", &e->env_dir},
		{"store_dir", &e->store_dir},
		{"project", &e->project},
		{"name", &e->name},
		{"sudo_path", &e->sudo_path},
		{"upper", &e->upper},
		{"image_ref", &r->to->image.ref},
		{"image_digest", &r->to->image.digest},
		{"image_passwd", &r->to->image.passwd},
		{"image_group", &r->to->image.group},
		{"image_shell", &r->to->image.shell},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!str_eq(texts[i].key, key))
			continue;
		*texts[i].field = str_eq(value, "none") ? NULL : decode(r->a, value);
		return 1;
	}
	return 0;
}

static int set_number(struct reading *r, const char *key, const char *value, struct err *err)
{
	struct host_facts *f = &r->to->facts;
	uint64_t n;

	if (str_eq(key, "kept_rung")) {
		r->to->env.kept_rung = str_eq(value, "subids")   ? RUNG_SUBIDS
				       : str_eq(value, "single") ? RUNG_SINGLE
								 : -1;
		return 1;
	}
	if (!str_eq(key, "uid") && !str_eq(key, "gid") && !str_eq(key, "image_layers"))
		return 0;
	if (num_u64(value, 0, UINT32_MAX, &n, err) < 0)
		return -1;
	if (str_eq(key, "image_layers"))
		r->to->image.layers = n;
	else
		*(str_eq(key, "uid") ? &f->uid : &f->gid) = (uint32_t)n;
	return 1;
}

static int set_range(struct reading *r, const char *key, char *value, struct err *err)
{
	struct host_facts *f = &r->to->facts;
	char *count = strchr(value, ' ');
	uint64_t start;
	uint64_t n;

	if (!str_eq(key, "subuid") && !str_eq(key, "subgid"))
		return 0;
	if (!count)
		return err_set(err, "'%s' needs START COUNT", key);
	*count++ = '\0';
	if (num_u64(value, 0, UINT32_MAX, &start, err) < 0)
		return -1;
	if (num_u64(count, 0, UINT32_MAX, &n, err) < 0)
		return -1;
	*(str_eq(key, "subuid") ? &f->subuid : &f->subgid) =
		(struct id_range){(uint32_t)start, (uint32_t)n};
	return 1;
}

static int add_entry(struct reading *r, const char *key, char *value, struct err *err)
{
	struct host_facts *f = &r->to->facts;
	char *target = strchr(value, ' ');

	if (!str_eq(key, "entry"))
		return 0;
	if (f->n_entries == ENTRIES_MAX)
		return err_set(err, "too many entries");
	if (target)
		*target++ = '\0';
	if (!f->entries)
		f->entries = arena_alloc(r->a, ENTRIES_MAX * sizeof(*f->entries));
	f->entries[f->n_entries++] = (struct host_entry){
		.name = decode(r->a, value), .target = target ? decode(r->a, target) : NULL};
	return 1;
}

/* "layer PATH", topmost first, and "image_env NAME=VALUE". */
static int add_to_list(struct reading *r, const char *key, char *value, struct err *err)
{
	struct case_facts *to = r->to;
	const char *const **list = str_eq(key, "layer") ? &to->env.layers : &to->image.env;
	const char **grown;
	size_t n = 0;

	if (!str_eq(key, "layer") && !str_eq(key, "image_env"))
		return 0;
	while (*list && (*list)[n])
		n++;
	if (n == ENTRIES_MAX)
		return err_set(err, "too many of '%s'", key);
	grown = arena_alloc(r->a, (n + 2) * sizeof(*grown));
	for (size_t i = 0; i < n; i++)
		grown[i] = (*list)[i];
	grown[n] = decode(r->a, value);
	grown[n + 1] = NULL;
	*list = grown;
	return 1;
}

/* "shadow MODE GID TEXT" */
static int set_shadow(struct reading *r, const char *key, char *value, struct err *err)
{
	struct host_closed s = {0};
	int at = 0;

	if (!str_eq(key, "shadow"))
		return 0;
	if (sscanf(value, "%o %u %n", &s.mode, &s.gid, &at) < 2 || at == 0)
		return err_set(err, "'%s' needs MODE GID TEXT", key);
	s.text = decode(r->a, value + at);
	r->to->facts.shadow = s;
	return 1;
}

static int read_line(struct reading *r, char *line, struct err *err)
{
	char *value = strchr(line, ' ');
	int done = 0;

	if (!value)
		return err_set(err, "'%s' has no value", line);
	*value++ = '\0';
	if (str_starts(line, "image_"))
		r->to->env.image = &r->to->image;
	if (done == 0)
		done = set_flag(r, line, value);
	if (done == 0)
		done = set_text(r, line, value);
	if (done == 0)
		done = set_number(r, line, value, err);
	if (done == 0)
		done = set_range(r, line, value, err);
	if (done == 0)
		done = add_entry(r, line, value, err);
	if (done == 0)
		done = add_to_list(r, line, value, err);
	if (done == 0)
		done = set_shadow(r, line, value, err);
	if (done == 0)
		return err_set(err, "unknown fact '%s'", line);
	return done < 0 ? -1 : 0;
}

int facts_read(struct arena *a, const char *name, const char *text, struct case_facts *facts,
	       struct err *err)
{
	struct reading r = {a, facts};

	for (int number = 1; *text != '\0'; number++) {
		size_t len = strcspn(text, "\n");
		char *line = arena_strndup(a, text, len);

		text += len + (text[len] == '\n');
		if (line[0] == '\0' || line[0] == '#')
			continue;
		if (read_line(&r, line, err) < 0)
			return err_prefix(err, "%s:%d", name, number);
	}
	return 0;
}
