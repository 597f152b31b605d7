/*
 * profile — one file's text into a profile_file, and the chain of `extends` into a profile.
 */
#include "conf/profile.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/keys.h"
#include "conf/lines.h"
#include "conf/lists.h"

#define MAX_DEPTH 16
#define DEFAULT_LINGER_MS 30000

/* One file being read. */
struct reading {
	struct arena *a;
	const struct profile_source *src;
	struct profile_file *file;
	int section_lines[16]; /* where each section began, 0: not yet */
	struct err *first;     /* NULL, or where the first failure goes, and reading goes on */
};

/* A file of the chain, from the top one to what it extends at last. */
struct link {
	struct profile_source src;
	const char *name; /* by which `extends` asked for it; NULL for the top */
	struct profile_file file;
};

struct chain {
	struct arena *a;
	struct link *links[MAX_DEPTH];
	size_t n;
};

void profile_defaults(struct arena *a, struct profile *ret)
{
	(void)a;
	memset(ret, 0, sizeof(*ret));
	ret->base.kind = BASE_HOST;
	ret->user.as = AS_SELF;
	ret->net.mode = NET_SLIRP;
	ret->net.driver = NETDRV_AUTO;
	ret->security.seccomp = SECCOMP_DEFAULT;
	ret->sandbox.linger_ms = DEFAULT_LINGER_MS;
}

static int on_section(void *ctx, const char *name, int line, struct err *err)
{
	struct reading *r = ctx;
	unsigned i = 0;

	if (keys_section(name, &i, err) < 0)
		return err_prefix(err, "%s:%d", r->src->file, line);
	if (r->section_lines[i]) {
		(void)err_set(err, "%s:%d: the section [%s] is given twice (first in line %d)",
			      r->src->file, line, name, r->section_lines[i]);
		return err_hint(err, "put its keys under the one in line %d", r->section_lines[i]);
	}
	r->section_lines[i] = line;
	return 0;
}

static int parse_entry(const struct reading *r, const struct entry *e, struct err *err)
{
	struct value_in in = {
		.a = r->a,
		.file = r->file,
		.name = e->key,
		.value = e->value,
		.at = {r->src->file, e->line, r->src->trusted},
	};
	struct origin *at;

	if (keys_find(e->section, e->key, &in.key, err) < 0)
		return -1;
	at = (struct origin *)(void *)((char *)r->file + in.key->at);
	if (!(in.key->flags & KEY_LIST) && at->file)
		return err_set(err, "the key '%s' is given twice (first in line %d)", e->key,
			       at->line);
	if (!*e->value)
		return err_set(err, "the key '%s' has no value", e->key);
	if (e->commented && (in.key->flags & KEY_UNCUT)) {
		err_set(err, "' ;' begins a comment, so '%s' would be cut to '%s'", e->key,
			e->value);
		return err_hint(err,
				"write ';' without a blank before it, '&&', or the comment on a "
				"line of its own");
	}
	if (in.key->type->parse(&in, (char *)r->file + in.key->offset, err) < 0)
		return err_prefix(err, "bad value '%s' of '%s'", e->value, e->key);
	if (!(in.key->flags & KEY_LIST))
		*at = in.at;
	return 0;
}

static int on_entry(void *ctx, const struct entry *e, struct err *err)
{
	const struct reading *r = ctx;

	if (parse_entry(r, e, err) < 0)
		return err_prefix(err, "%s:%d", r->src->file, e->line);
	return 0;
}

static void on_bad(void *ctx, const struct err *why)
{
	const struct reading *r = ctx;

	if (!r->first->msg[0])
		*r->first = *why;
}

/* With `first`, what can be read of it: it does not fail then. */
static int read_link(struct arena *a, struct link *link, struct err *first, struct err *err)
{
	struct reading r = {.a = a, .src = &link->src, .file = &link->file, .first = first};
	struct lines_handler h = {
		.section = on_section, .entry = on_entry, .bad = first ? on_bad : NULL, .ctx = &r};
	struct err why = {0};

	if (lines_read(a, &link->src, &h, &why) == 0)
		return 0;
	if (!first) {
		if (err)
			*err = why;
		return -1;
	}
	on_bad(&r, &why);
	return 0;
}

/* A copy of the source whose file name can be relied on. */
static struct link *new_link(struct arena *a, const struct profile_source *src, const char *name)
{
	struct link *link = ARENA_NEW(a, struct link);

	link->src = *src;
	link->src.file = arena_strdup(a, src->file ? src->file : "profile");
	link->name = name;
	return link;
}

static const char *link_name(const struct link *link)
{
	return link->name ? link->name : link->src.file;
}

/* "a -> b -> a", from the i-th link on. */
static int fail_loop(const struct chain *c, size_t i, struct err *err)
{
	_cleanup_buf_ struct buf names = {0};
	const struct link *last = c->links[c->n - 1];
	const char *again = link_name(c->links[i]);

	for (size_t j = i; j < c->n; j++)
		buf_printf(&names, "%s -> ", link_name(c->links[j]));
	return err_set(err, "%s:%d: 'extends' goes in a circle: %s%s", last->file.extends.at.file,
		       last->file.extends.at.line, names.p, again);
}

/* Find what the last link of the chain extends. */
static int extend(struct chain *c, profile_find_fn find, void *ctx, struct err *err)
{
	const struct link *last = c->links[c->n - 1];
	const struct text_value *want = &last->file.extends;
	struct profile_source src = {0};

	for (size_t i = 0; i < c->n; i++)
		if (str_eq(c->links[i]->name, want->s))
			return fail_loop(c, i, err);
	if (c->n == MAX_DEPTH)
		return err_set(err, "%s:%d: 'extends' is more than %d profiles deep", want->at.file,
			       want->at.line, MAX_DEPTH);
	if (!find)
		return err_set(err, "%s:%d: 'extends' cannot be used here", want->at.file,
			       want->at.line);
	if (find(ctx, c->a, want->s, &src, err) < 0)
		return err_prefix(err, "%s:%d: cannot extend '%s'", want->at.file, want->at.line,
				  want->s);
	for (size_t i = 0; i < c->n; i++)
		if (str_eq(c->links[i]->src.file, src.file))
			return fail_loop(c, i, err);
	/* Whoever names a profile chooses what it gives: an untrusted file cannot get the user's
	 * own mounts unasked by extending the user's own profile. */
	src.trusted = src.trusted && last->src.trusted;
	c->links[c->n++] = new_link(c->a, &src, want->s);
	return 0;
}

static void merge(struct arena *a, struct profile_file *into, const struct profile_file *child)
{
	for (size_t i = 0; i < n_keys; i++) {
		const struct key *k = &keys[i];
		const char *from = (const char *)child;
		const struct origin *at = (const struct origin *)(const void *)(from + k->at);

		if ((k->flags & (KEY_LIST | KEY_OWN)) || !at->file)
			continue;
		memcpy((char *)into + k->offset, from + k->offset, k->size);
		memcpy((char *)into + k->at, at, sizeof(*at));
	}
	lists_merge(a, &into->p, &child->p);
}

static struct profile *merge_chain(const struct chain *c)
{
	struct profile_file *all = ARENA_NEW(c->a, struct profile_file);
	_cleanup_buf_ struct buf text = {0};

	profile_defaults(c->a, &all->p);
	for (size_t i = c->n; i > 0; i--)
		merge(c->a, all, &c->links[i - 1]->file);
	all->p.name = c->links[0]->file.p.name;
	for (size_t i = 0; i < c->n; i++) {
		const struct link *link = c->links[i];
		struct text_value file = {.s = link->src.file};

		if (i > 0)
			file.at = c->links[i - 1]->file.extends.at;
		LIST_PUSH(c->a, &all->p.files, file);
		/* With the length, no text can look like the next one's head. */
		buf_printf(&text, "%s %zu\n", link->src.file, link->src.len);
		buf_add(&text, link->src.text, link->src.len);
		buf_adds(&text, "\n");
	}
	all->p.text = arena_strndup(c->a, text.p, text.len);
	all->p.text_len = text.len;
	return &all->p;
}

int profile_parse(struct arena *a, const struct profile_source *top, profile_find_fn find,
		  void *ctx, const struct profile **ret, struct err *err)
{
	struct chain c = {.a = a, .links = {new_link(a, top, NULL)}, .n = 1};

	for (;;) {
		struct link *last = c.links[c.n - 1];

		if (read_link(a, last, NULL, err) < 0)
			return -1;
		if (!last->file.extends.s)
			break;
		if (extend(&c, find, ctx, err) < 0)
			return -1;
	}
	*ret = merge_chain(&c);
	return 0;
}

int profile_parse_rest(struct arena *a, const struct profile_source *top, profile_find_fn find,
		       void *ctx, const struct profile **ret, struct err *err)
{
	struct chain c = {.a = a, .links = {new_link(a, top, NULL)}, .n = 1};
	struct err first = {0};
	struct err why = {0};

	for (;;) {
		struct link *last = c.links[c.n - 1];

		(void)read_link(a, last, &first, NULL);
		if (!last->file.extends.s)
			break;
		if (extend(&c, find, ctx, &why) < 0) {
			if (!first.msg[0])
				first = why;
			break;
		}
	}
	*ret = merge_chain(&c);
	if (!first.msg[0])
		return 0;
	*err = first;
	return 1;
}
