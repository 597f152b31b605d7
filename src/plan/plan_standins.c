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

static void hide(struct making *m, const char *path, uint32_t mode)
{
	struct plan *plan = m->plan;
	struct hidden_path *v = arena_alloc(m->a, (plan->n_hidden + 1) * sizeof(*v));

	for (size_t i = 0; i < plan->n_entries; i++) {
		const char *entry = path_join(m->a, "/", plan->entries[i].name);

		if (plan->entries[i].target || !path_is_under(path, entry) || str_eq(path, entry))
			continue;
		if (plan->n_hidden > 0)
			memcpy(v, plan->hidden, plan->n_hidden * sizeof(*v));
		v[plan->n_hidden] = (struct hidden_path){path, mode};
		plan->hidden = v;
		plan->n_hidden++;
		return;
	}
}

/* What of the host's is the user's, or anybody's, and no part of a system. */
static void hide_all(struct making *m)
{
	/* The home and the store are hidden even where they lie in a folder of the system. */
	hide(m, m->facts->home, 0755);
	if (!str_eq(plan_real_home(m), m->facts->home))
		hide(m, plan_real_home(m), 0755);
	hide(m, m->env->store_dir, 0755);
	hide(m, "/var/tmp", 01777);
	/* Letters to the user and to others; one is as a rule a link to the other. */
	hide(m, "/var/mail", 0);
	hide(m, "/var/spool/mail", 0);
}

/* What a closed file of the host's reads as. */
static void add_closed(struct candidates *list, const struct making *m, const char *path,
		       const struct host_closed *h)
{
	const struct standin s = {.kind = STANDIN_FILE,
				  .path = path,
				  .data = h->text,
				  .mode = h->mode,
				  .gid = m->plan->rung == RUNG_SUBIDS ? h->gid : 0};

	if (h->text)
		add_with_parents(list, RANK_BASE, &s);
}

static void add_host_base(struct candidates *list, const struct making *m)
{
	add_closed(list, m, "/etc/shadow", &m->facts->shadow);
	add_closed(list, m, "/etc/gshadow", &m->facts->gshadow);
	add_own(list, STANDIN_DIR, "/home", 0755, NULL);
}

/* Images know nothing of the user; what was committed over a host has the host's accounts. */
static void add_accounts(struct candidates *list, const struct making *m)
{
	add_own(list, STANDIN_FILE, "/etc/passwd", 0644, plan_passwd(m));
	add_own(list, STANDIN_FILE, "/etc/group", 0644, plan_group(m));
}

static bool is_keyword(const char *line, const char *word)
{
	return str_starts(line, word) && strchr(" \t", line[strlen(word)]) &&
	       line[strlen(word)] != '\0';
}

/* slirp answers DNS at 10.0.2.3, slirp4netns(1), and pasta where run/net.c tells it to; what the host searches
 * stays. */
static const char *resolv_conf(const struct making *m)
{
	const char *text = m->facts->resolv_conf ? m->facts->resolv_conf : "";
	const char *out =
		m->plan->pasta ? "nameserver " PLAN_PASTA_DNS "\n" : "nameserver 10.0.2.3\n";

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
	if (m->env->build)
		add_own(&list, STANDIN_DIR, "/run/sbx", 0755, NULL);
	add_own(&list, STANDIN_DIR, "/sys", 0755, NULL);
	add_own(&list, STANDIN_DIR, "/tmp", 01777, NULL);
	if (plan->base == BASE_HOST) {
		hide_all(m);
		add_host_base(&list, m);
	}
	if (m->env->image && !m->env->image->over_host && !m->env->build)
		add_accounts(&list, m);
	add_etc(&list, m);
	for (size_t i = 0; i < plan->n_mounts; i++)
		if (plan->mounts[i].kind == MOUNT_BIND)
			add_target(&list, plan, i);
	settle(&list, plan);
}
