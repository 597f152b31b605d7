#include "conf/lists.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "conf/keys.h"
#include "conf/lines.h"
#include "conf/port.h"

void *list_grow(struct arena *a, const void *v, size_t *cap, size_t item_size)
{
	size_t old = *cap;
	void *more;

	*cap = old ? old * 2 : 8;
	more = arena_alloc(a, *cap * item_size);
	if (old)
		memcpy(more, v, old * item_size);
	return more;
}

static int too_many(size_t n, struct err *err)
{
	return n < LISTS_MAX ? 0 : err_set(err, "there are more than %d of these", LISTS_MAX);
}

/* The next word of a list of words between blanks or commas; NULL at the end. */
static char *next_word(struct arena *a, const char **s)
{
	size_t n;

	*s += strspn(*s, " \t,");
	n = strcspn(*s, " \t,");
	*s += n;
	return n ? arena_strndup(a, *s - n, n) : NULL;
}

/* --- env ------------------------------------------------------------------------------- */

static bool is_env_name(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

	return *s && strchr(letters, *s) &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")] == '\0';
}

static int add_env(const struct value_in *in, const char *name, const char *value, struct err *err)
{
	struct profile *p = &in->file->p;
	struct env_value v = {name, value, in->at};

	if (!is_env_name(name)) {
		err_set(err, "'%s' is not a variable's name", name);
		return err_hint(err, "a name is of letters, digits and '_', and does not begin "
				     "with a digit");
	}
	for (size_t i = 0; i < p->env.n; i++)
		if (str_eq(p->env.v[i].name, name))
			return err_set(err, "the variable '%s' is given twice (first in line %d)",
				       name, p->env.v[i].at.line);
	if (too_many(p->env.n, err) < 0)
		return -1;
	LIST_PUSH(in->a, &p->env, v);
	return 0;
}

static int parse_pass(const struct value_in *in, void *field, struct err *err)
{
	const char *s = in->value;
	char *name;

	(void)field;
	while ((name = next_word(in->a, &s)))
		if (add_env(in, name, NULL, err) < 0)
			return -1;
	return 0;
}

static int parse_set(const struct value_in *in, void *field, struct err *err)
{
	(void)field;
	return add_env(in, in->name + strlen("set."), in->value, err);
}

/* --- mounts ---------------------------------------------------------------------------- */

static int check_target(const char *written, const char *clean, struct err *err)
{
	/* What sbx makes itself: DESIGN.md §5.5 and the helpers' folder. */
	static const char *const own[] = {"/proc", "/dev", "/sys", "/run/sbx"};

	if (str_eq(clean, "/")) {
		err_set(err, "the whole root cannot be covered");
		return err_hint(err, "to use a folder as the root, write image = dir:PATH under "
				     "[base]");
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (str_eq(clean, own[i]))
			return err_set(err, "'%s' is made by sbx itself", written);
		if (path_is_under(clean, own[i]))
			return err_set(err, "'%s' is in '%s', which sbx makes itself", written,
				       own[i]);
		if (path_is_under(own[i], clean))
			return err_set(err, "'%s' would cover '%s', which sbx makes itself",
				       written, own[i]);
	}
	return 0;
}

static bool has_dotdot(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p++)
		if ((p == path || p[-1] == '/') && (p[2] == '/' || !p[2]))
			return true;
	return false;
}

/* "/a", "/a:ro", "/a:rw".  A ':' in the last part of the path needs the mode behind it. */
static int split_mode(struct arena *a, const char *value, const char **ret_inside,
		      bool *ret_writable, struct err *err)
{
	const char *colon = strrchr(value, ':');

	*ret_writable = false;
	*ret_inside = value;
	if (!colon || strchr(colon, '/'))
		return 0;
	if (!str_eq(colon, ":ro") && !str_eq(colon, ":rw")) {
		err_set(err, "'%s' is not a mode", colon + 1);
		return err_hint(err, "write :ro or :rw behind the path, or nothing for :ro");
	}
	*ret_writable = str_eq(colon, ":rw");
	*ret_inside = arena_strndup(a, value, (size_t)(colon - value));
	return 0;
}

static int check_host(const char *host, struct err *err)
{
	if (!*host)
		return err_set(err, "there is no path of the host before '='");
	if (host[0] == '~' && host[1] && host[1] != '/') {
		err_set(err, "'%s' is another user's home, or a name", host);
		return err_hint(err,
				"only ~ and ~/… are expanded; for a file of that name write ./%s",
				host);
	}
	return 0;
}

static int parse_mount(const struct value_in *in, void *field, struct err *err)
{
	struct profile *p = &in->file->p;
	struct mount_value v = {.host = in->name, .at = in->at};
	const char *inside = NULL;

	(void)field;
	if (check_host(v.host, err) < 0 ||
	    split_mode(in->a, in->value, &inside, &v.writable, err) < 0)
		return -1;
	if (inside[0] != '/') {
		err_set(err, "the path inside, '%s', must be absolute", inside);
		return err_hint(err, "write HOST-PATH = /PATH/INSIDE, and a host path that holds "
				     "'=' or ' ;' in double quotes");
	}
	if (has_dotdot(inside))
		return err_set(err, "the path inside, '%s', must not hold '..'", inside);
	v.inside = path_clean(in->a, inside);
	if (check_target(inside, v.inside, err) < 0)
		return -1;
	for (size_t i = 0; i < p->mounts.n; i++)
		if (str_eq(p->mounts.v[i].inside, v.inside))
			return err_set(err,
				       "the path inside, '%s', is given twice (first in line %d)",
				       v.inside, p->mounts.v[i].at.line);
	if (too_many(p->mounts.n, err) < 0)
		return -1;
	LIST_PUSH(in->a, &p->mounts, v);
	return 0;
}

/* --- ports ----------------------------------------------------------------------------- */

static int add_port(const struct value_in *in, const char *word, struct err *err)
{
	struct profile *p = &in->file->p;
	struct port_value v = {0};

	if (port_parse(in->a, word, 0, &v, err) < 0)
		return -1;
	v.at = in->at;
	for (size_t i = 0; i < p->net.ports.n; i++)
		if (port_clash(&p->net.ports.v[i], &v))
			return err_set(err, "the port %u is given twice (first in line %d)", v.host,
				       p->net.ports.v[i].at.line);
	if (too_many(p->net.ports.n, err) < 0)
		return -1;
	LIST_PUSH(in->a, &p->net.ports, v);
	return 0;
}

static int parse_ports(const struct value_in *in, void *field, struct err *err)
{
	const char *s = in->value;
	char *word;

	(void)field;
	while ((word = next_word(in->a, &s)))
		if (add_port(in, word, err) < 0)
			return -1;
	return 0;
}

/* --- build ----------------------------------------------------------------------------- */

static const struct {
	const char *key;
	enum cf_kind kind;
} steps[] = {
	{"run", CF_RUN},
	{"copy", CF_COPY},
	{"env", CF_ENV},
	{"workdir", CF_WORKDIR},
};

#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

const char *build_step_name(enum cf_kind kind)
{
	for (size_t i = 0; i < N_STEPS; i++)
		if (steps[i].kind == kind)
			return steps[i].key;
	return "image";
}

static int parse_build(const struct value_in *in, void *field, struct err *err)
{
	struct profile *p = &in->file->p;
	struct build_value v = {CF_RUN, in->value, in->at};
	struct cf_step step;

	(void)field;
	for (size_t i = 0; i < N_STEPS; i++)
		if (str_eq(steps[i].key, in->key->key))
			v.kind = steps[i].kind;
	/* What cannot be read is found with its line. */
	if (containerfile_step(in->a, v.kind, in->value, &step, err) < 0 ||
	    too_many(p->build.n, err) < 0)
		return -1;
	LIST_PUSH(in->a, &p->build, v);
	return 0;
}

/* --- commit ---------------------------------------------------------------------------- */

/* Paths are clean, so that a pattern which is not would never match. */
static int check_pattern(const char *s, struct err *err)
{
	if (s[0] == '!') {
		err_set(err, "a pattern that takes another one back, '!', is not to be had");
		return err_hint(err, "for a name that begins with '!' write \\%s", s);
	}
	if (s[strspn(s, "/")] == '\0')
		return err_set(err, "the whole root cannot be left out");
	if (strstr(s, "//") || has_dotdot(s) || str_starts(s, "./") || strstr(s, "/./")) {
		err_set(err, "'//', '.' and '..' match nothing");
		return err_hint(err, "write the path from the root, such as /var/log/, or a name");
	}
	return 0;
}

static int parse_exclude(const struct value_in *in, void *field, struct err *err)
{
	struct profile *p = &in->file->p;
	struct text_value v = {in->value, in->at};

	(void)field;
	if (check_pattern(in->value, err) < 0)
		return -1;
	for (size_t i = 0; i < p->commit_exclude.n; i++)
		if (str_eq(p->commit_exclude.v[i].s, in->value))
			return err_set(err, "the pattern is given twice (first in line %d)",
				       p->commit_exclude.v[i].at.line);
	if (too_many(p->commit_exclude.n, err) < 0)
		return -1;
	LIST_PUSH(in->a, &p->commit_exclude, v);
	return 0;
}

const struct value_type list_pass = {parse_pass, NULL};
const struct value_type list_set = {parse_set, NULL};
const struct value_type list_mount = {parse_mount, NULL};
const struct value_type list_ports = {parse_ports, NULL};
const struct value_type list_build = {parse_build, NULL};
const struct value_type list_exclude = {parse_exclude, NULL};

/* --- merge ----------------------------------------------------------------------------- */

static bool same_env(const struct env_value *a, const struct env_value *b)
{
	return str_eq(a->name, b->name);
}

static bool same_mount(const struct mount_value *a, const struct mount_value *b)
{
	return str_eq(a->inside, b->inside);
}

/* By the number alone: a child that moves a port to another address means that port. */
static bool same_port(const struct port_value *a, const struct port_value *b)
{
	return a->host == b->host && a->udp == b->udp;
}

static bool same_text(const struct text_value *a, const struct text_value *b)
{
	return str_eq(a->s, b->s);
}

/* The parent's, less those that the child gives too, then the child's.  Each list has a type of its
 * own, so the loop is a macro. */
#define MERGE(a, into, child, same)                                                       \
	do {                                                                              \
		size_t kept_ = 0;                                                         \
		for (size_t i_ = 0; i_ < (into)->n; i_++) {                               \
			size_t j_ = 0;                                                    \
			while (j_ < (child)->n && !same(&(into)->v[i_], &(child)->v[j_])) \
				j_++;                                                     \
			if (j_ == (child)->n)                                             \
				(into)->v[kept_++] = (into)->v[i_];                       \
		}                                                                         \
		(into)->n = kept_;                                                        \
		for (size_t i_ = 0; i_ < (child)->n; i_++)                                \
			LIST_PUSH((a), (into), (child)->v[i_]);                           \
	} while (0)

void lists_merge(struct arena *a, struct profile *into, const struct profile *child)
{
	MERGE(a, &into->env, &child->env, same_env);
	MERGE(a, &into->mounts, &child->mounts, same_mount);
	MERGE(a, &into->net.ports, &child->net.ports, same_port);
	MERGE(a, &into->commit_exclude, &child->commit_exclude, same_text);
	for (size_t i = 0; i < child->build.n; i++)
		LIST_PUSH(a, &into->build, child->build.v[i]);
}
