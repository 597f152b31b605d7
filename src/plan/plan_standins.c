#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "plan/host.h"
#include "plan/plan_parts.h"

/* Of two stand-ins for one path the higher rank stays. */
enum rank {
	RANK_PARENT, /* only there to hold others */
	RANK_TARGET, /* a mount's */
	RANK_BASE,   /* covers something of the base */
	RANK_OWN,    /* what sbx itself provides */
};

struct candidate {
	struct standin s;
	enum rank rank;
	size_t number; /* of equal rank the first stays */
};

struct candidates {
	struct arena *a;
	struct candidate *v;
	size_t n;
	size_t cap;
};

static void add(struct candidates *list, enum rank rank, const struct standin *s)
{
	if (list->n == list->cap) {
		size_t cap = list->cap > 0 ? 2 * list->cap : 128;
		struct candidate *grown = arena_alloc(list->a, cap * sizeof(*grown));

		if (list->n > 0)
			memcpy(grown, list->v, list->n * sizeof(*grown));
		list->v = grown;
		list->cap = cap;
	}
	list->v[list->n] = (struct candidate){*s, rank, list->n};
	list->n++;
}

/* The folders above `path` too, but "/". */
static void add_with_parents(struct candidates *list, enum rank rank, const struct standin *s)
{
	const char *previous = list->n > 0 ? list->v[list->n - 1].s.path : "";

	for (const char *c = s->path + 1; *c != '\0'; c++) {
		size_t len = (size_t)(c - s->path);
		struct standin parent = {.kind = STANDIN_DIR, .mode = 0755};

		/* Neighbours share their parents. */
		if (*c != '/' || (strncmp(previous, s->path, len) == 0 && previous[len] == '/'))
			continue;
		parent.path = arena_strndup(list->a, s->path, len);
		add(list, RANK_PARENT, &parent);
	}
	add(list, rank, s);
}

static void add_own(struct candidates *list, enum standin_kind kind, const char *path,
		    uint32_t mode, const char *data)
{
	const struct standin s = {.kind = kind, .path = path, .mode = mode, .data = data};

	add_with_parents(list, RANK_OWN, &s);
}

/* Names that are links on most systems (/bin -> usr/bin): a folder in the stand-in layer
 * would hide the link, and the whole system with it. */
static bool often_a_link(const struct plan *plan, const char *path)
{
	static const char *const links[] = {"/bin",    "/lib",  "/lib32",    "/lib64",
					    "/libx32", "/sbin", "/var/lock", "/var/run"};
	const char *name = path + 1;
	size_t len = strcspn(name, "/");

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (path_is_under(path, links[i]))
			return true;
	for (size_t i = 0; i < plan->n_entries; i++)
		if (plan->entries[i].target && strlen(plan->entries[i].name) == len &&
		    memcmp(plan->entries[i].name, name, len) == 0)
			return true;
	return false;
}

/* A folder to mount on.  Below a mount of sbx's own, or below a bind made before, the root
 * is not seen: there run/ makes it. */
static void add_target(struct candidates *list, const struct plan *plan, size_t step)
{
	const struct standin s = {
		.kind = STANDIN_DIR, .path = plan->mounts[step].target, .mode = 0755};

	if (plan_on_own_mount(s.path) || often_a_link(plan, s.path))
		return;
	for (size_t i = 0; i < step; i++)
		if (plan->mounts[i].kind == MOUNT_BIND &&
		    path_is_under(s.path, plan->mounts[i].target))
			return;
	add_with_parents(list, RANK_TARGET, &s);
}

/* The home and the store are hidden even where they lie in a folder of the system. */
static void add_hidden(struct candidates *list, const struct plan *plan, const char *path)
{
	const struct standin s = {.kind = STANDIN_OPAQUE, .path = path, .mode = 0755};

	for (size_t i = 0; i < plan->n_entries; i++) {
		const char *entry = path_join(list->a, "/", plan->entries[i].name);

		if (!plan->entries[i].target && path_is_under(path, entry) && !str_eq(path, entry))
			add_with_parents(list, RANK_BASE, &s);
	}
}

static enum standin_kind kind_of(const struct host_special *h)
{
	if (h->is_dir)
		return h->readable ? STANDIN_DIR : STANDIN_OPAQUE;
	return h->readable ? STANDIN_COPY : STANDIN_FILE;
}

/* What a closed file of the host's reads as. */
static const char *data_of(const struct making *m, const struct host_special *h)
{
	const char *text = NULL;

	if (str_eq(h->path, "/etc/shadow"))
		text = m->facts->shadow;
	else if (str_eq(h->path, "/etc/gshadow"))
		text = m->facts->gshadow;
	return text ? text : "";
}

static void add_host_base(struct candidates *list, const struct making *m)
{
	const bool many = m->plan->rung == RUNG_SUBIDS;

	for (size_t i = 0; i < m->facts->n_special; i++) {
		const struct host_special *h = &m->facts->special[i];
		const struct standin s = {.kind = kind_of(h),
					  .path = h->path,
					  .data = kind_of(h) == STANDIN_FILE ? data_of(m, h) : NULL,
					  .mode = h->mode,
					  .uid = many ? h->uid : 0,
					  .gid = many ? h->gid : 0};

		/* With one id everything has the same owner. */
		if (many || !h->readable)
			add_with_parents(list, RANK_BASE, &s);
	}
	add_hidden(list, m->plan, m->facts->home);
	add_hidden(list, m->plan, plan_real_home(m));
	add_hidden(list, m->plan, m->env->store_dir);
	add_own(list, STANDIN_OPAQUE, "/home", 0755, NULL);
	add_own(list, STANDIN_OPAQUE, "/var/tmp", 01777, NULL);
}

static bool is_keyword(const char *line, const char *word)
{
	return str_starts(line, word) && strchr(" \t", line[strlen(word)]) &&
	       line[strlen(word)] != '\0';
}

/* slirp answers DNS at 10.0.2.3, slirp4netns(1); what the host searches stays. */
static const char *resolv_conf(const struct making *m)
{
	const char *text = m->facts->resolv_conf ? m->facts->resolv_conf : "";
	const char *out = "nameserver 10.0.2.3\n";

	if (m->plan->net == NET_NONE)
		return "";
	if (m->plan->net == NET_HOST)
		return text;
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		if (is_keyword(text, "search") || is_keyword(text, "options"))
			out = arena_printf(m->a, "%s%.*s\n", out, (int)len, text);
		text += len + (text[len] == '\n');
	}
	return out;
}

static void add_etc(struct candidates *list, const struct making *m)
{
	const char *name = m->plan->name;

	add_own(list, STANDIN_FILE, "/etc/hostname", 0644, arena_printf(m->a, "%s\n", name));
	add_own(list, STANDIN_FILE, "/etc/hosts", 0644,
		arena_printf(m->a,
			     "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
			     "127.0.1.1 %s\n",
			     name));
	add_own(list, STANDIN_FILE, "/etc/resolv.conf", 0644, resolv_conf(m));
	/* With one id apt cannot become _apt to fetch. */
	if (m->plan->rung == RUNG_SINGLE)
		add_own(list, STANDIN_FILE, "/etc/apt/apt.conf.d/99sbx-one-id", 0644,
			"APT::Sandbox::User \"root\";\n");
	if (m->env->sudo_helper)
		add_own(list, STANDIN_LINK, "/usr/local/bin/sudo", 0777, "/run/sbx/bin/sudo");
}

static int compare(const void *a, const void *b)
{
	const struct candidate *x = a;
	const struct candidate *y = b;
	int order = strcmp(x->s.path, y->s.path);

	if (order != 0)
		return order;
	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

/* Sorted bytewise, a parent comes before what it holds. */
static void settle(struct candidates *list, struct plan *plan)
{
	struct standin *v = arena_alloc(list->a, list->n * sizeof(*v));
	size_t n = 0;

	qsort(list->v, list->n, sizeof(*list->v), compare);
	for (size_t i = 0; i < list->n; i++)
		if (n == 0 || strcmp(v[n - 1].path, list->v[i].s.path) != 0)
			v[n++] = list->v[i].s;
	plan->standins = v;
	plan->n_standins = n;
}

void plan_standins(struct making *m)
{
	struct candidates list = {.a = m->a};
	struct plan *plan = m->plan;

	add_own(&list, STANDIN_DIR, "/dev", 0755, NULL);
	add_own(&list, STANDIN_DIR, "/proc", 0755, NULL);
	add_own(&list, STANDIN_DIR, "/root", 0700, NULL);
	add_own(&list, STANDIN_DIR, "/run", 0755, NULL);
	add_own(&list, STANDIN_DIR, "/sys", 0755, NULL);
	add_own(&list, STANDIN_DIR, "/tmp", 01777, NULL);
	if (plan->base == BASE_HOST)
		add_host_base(&list, m);
	add_etc(&list, m);
	for (size_t i = 0; i < plan->n_mounts; i++)
		if (plan->mounts[i].kind == MOUNT_BIND)
			add_target(&list, plan, i);
	settle(&list, plan);
}
