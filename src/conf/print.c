/*
 * print — a merged profile as INI: what it says parses to the same profile again.
 */
#include <string.h>

#include "base/str.h"
#include "conf/keys.h"
#include "conf/lines.h"
#include "conf/port.h"
#include "conf/profile.h"

/* Up to this width a line has its origin behind it, else above it. */
#define INLINE_WIDTH 48
/* Of a longer file name only the end is shown. */
#define MAX_FILE 200

struct printer {
	struct buf *out;
	const char *section; /* the last one begun, or NULL */
};

static void add_origin(const struct origin *at, struct buf *ret)
{
	size_t n = at->file ? strlen(at->file) : 0;

	if (!at->file) {
		buf_adds(ret, "default");
		return;
	}
	if (n > MAX_FILE) {
		buf_adds(ret, "…");
		str_escape(ret, at->file + n - MAX_FILE, MAX_FILE);
	} else {
		str_escape(ret, at->file, n);
	}
	buf_printf(ret, ":%d", at->line);
}

static void print_line(struct printer *p, const struct key *key, const struct buf *line,
		       const struct origin *at)
{
	/* `run` refuses a comment behind its value. */
	bool above = line->len > INLINE_WIDTH || (key->flags & KEY_UNCUT);

	if (!str_eq(p->section, key->section))
		buf_printf(p->out, "%s[%s]\n", p->section ? "\n" : "", key->section);
	p->section = key->section;
	if (above) {
		buf_adds(p->out, "; ");
		add_origin(at, p->out);
		buf_adds(p->out, "\n");
	}
	buf_add(p->out, line->p, line->len);
	if (!above) {
		size_t column = INLINE_WIDTH / 2;

		buf_printf(p->out, "%*s ; ", line->len < column ? (int)(column - line->len) : 0,
			   "");
		add_origin(at, p->out);
	}
	buf_adds(p->out, "\n");
}

static bool needs_quotes(const char *host)
{
	size_t n = strlen(host);

	return n == 0 || strpbrk(host, "=;\"") || strchr("[#", host[0]) ||
	       lines_is_blank(host[0]) || lines_is_blank(host[n - 1]);
}

static void add_host(const char *host, struct buf *ret)
{
	if (!needs_quotes(host)) {
		buf_adds(ret, host);
		return;
	}
	buf_adds(ret, "\"");
	for (; *host; host++) {
		if (*host == '"' || *host == '\\')
			buf_adds(ret, "\\");
		buf_add(ret, host, 1);
	}
	buf_adds(ret, "\"");
}

static void print_env(struct printer *p, const struct key *key, const struct profile *profile)
{
	for (size_t i = 0; i < profile->env.n; i++) {
		const struct env_value *v = &profile->env.v[i];
		_cleanup_buf_ struct buf line = {0};

		if (v->value)
			buf_printf(&line, "set.%s = %s", v->name, v->value);
		else
			buf_printf(&line, "pass = %s", v->name);
		print_line(p, key, &line, &v->at);
	}
}

static void print_mounts(struct printer *p, const struct key *key, const struct profile *profile)
{
	for (size_t i = 0; i < profile->mounts.n; i++) {
		const struct mount_value *v = &profile->mounts.v[i];
		_cleanup_buf_ struct buf line = {0};

		add_host(v->host, &line);
		buf_printf(&line, " = %s:%s", v->inside, v->writable ? "rw" : "ro");
		print_line(p, key, &line, &v->at);
	}
}

static void print_ports(struct printer *p, const struct key *key, const struct profile *profile)
{
	for (size_t i = 0; i < profile->net.ports.n; i++) {
		const struct port_value *v = &profile->net.ports.v[i];
		_cleanup_buf_ struct buf line = {0};

		buf_adds(&line, "ports = ");
		port_print(v, &line);
		print_line(p, key, &line, &v->at);
	}
}

static void print_exclude(struct printer *p, const struct key *key, const struct profile *profile)
{
	for (size_t i = 0; i < profile->commit_exclude.n; i++) {
		_cleanup_buf_ struct buf line = {0};

		buf_printf(&line, "%s = %s", key->key, profile->commit_exclude.v[i].s);
		print_line(p, key, &line, &profile->commit_exclude.v[i].at);
	}
}

static void print_build(struct printer *p, const struct key *key, const struct profile *profile)
{
	for (size_t i = 0; i < profile->build.n; i++) {
		const struct build_value *v = &profile->build.v[i];
		_cleanup_buf_ struct buf line = {0};

		buf_printf(&line, "%s = %s", build_step_name(v->kind), v->s);
		print_line(p, key, &line, &v->at);
	}
}

/* A row of the table that is one value. */
static void print_scalar(struct printer *p, const struct key *key, const struct profile *profile)
{
	const char *base = (const char *)profile;
	const struct origin *at = (const struct origin *)(const void *)(base + key->at);
	_cleanup_buf_ struct buf line = {0};

	buf_printf(&line, "%s = ", key->key);
	key->type->print(key, base + key->offset, &line);
	print_line(p, key, &line, at);
}

/* Is there something to print: a limit that nobody set has no value, and nothing is shared unasked. */
static bool has_value(const struct key *key, const struct profile *profile)
{
	const char *base = (const char *)profile;
	const struct origin *at = (const struct origin *)(const void *)(base + key->at);

	if (key->flags & KEY_OWN)
		return at->file && key->at < sizeof(struct profile);
	return at->file || (!str_eq(key->section, "limits") && !str_eq(key->section, "share"));
}

void profile_print(const struct profile *profile, struct buf *ret)
{
	static const struct {
		const char *section;
		const char *key;
		void (*print)(struct printer *p, const struct key *key,
			      const struct profile *profile);
	} lists[] = {
		{"env", "pass", print_env}, /* with set.NAME, in their order */
		{"mounts", "", print_mounts},         {"network", "ports", print_ports},
		{"build", "run", print_build}, /* all steps, in their order */
		{"commit", "exclude", print_exclude},
	};
	struct printer p = {.out = ret};

	for (size_t i = 0; i < n_keys; i++) {
		const struct key *key = &keys[i];

		for (size_t j = 0; j < sizeof(lists) / sizeof(lists[0]); j++)
			if (str_eq(lists[j].section, key->section) &&
			    str_eq(lists[j].key, key->key))
				lists[j].print(&p, key, profile);
		if (!(key->flags & KEY_LIST) && key->at < sizeof(*profile) &&
		    has_value(key, profile))
			print_scalar(&p, key, profile);
	}
}
