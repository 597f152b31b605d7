#include "conf/trust.h"

#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "conf/image.h"
#include "conf/lists.h"
#include "conf/port.h"

/* What is asked so far. */
struct asking {
	struct arena *a;
	const struct trust_facts *facts;
	const char *project; /* clean */
	LIST_OF(struct trust_request) list;
};

static void ask(struct asking *t, const char *what, const struct origin *at)
{
	struct trust_request r = {.what = what, .at = *at};

	LIST_PUSH(t->a, &t->list, r);
}

static void offer(struct asking *t, const char *what, const struct origin *at)
{
	struct trust_request r = {.what = what, .at = *at, .optional = true};

	LIST_PUSH(t->a, &t->list, r);
}

bool trust_env_harmless(const char *name)
{
	/* They tell of the terminal, the language and the time, not of the user. */
	static const char *const names[] = {
		"CLICOLOR",          "CLICOLOR_FORCE", "COLORTERM",
		"COLUMNS",           "FORCE_COLOR",    "LANG",
		"LANGUAGE",          "LINES",          "NO_COLOR",
		"SOURCE_DATE_EPOCH", "TERM",           "TZ",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_eq(names[i], name))
			return true;
	return str_starts(name, "LC_");
}

/* As plan/ resolves it for an untrusted line: relative to the project. */
static const char *host_path(const struct asking *t, const char *written)
{
	const char *path = path_expand_home(t->a, written, t->facts->home);

	return path_clean(t->a, path[0] == '/' ? path : path_join(t->a, t->project, path));
}

/* Is it a registry on this machine?  Its name may be written in any case, and with a port. */
static bool is_loopback(const struct asking *t, const char *registry)
{
	const char *port = strrchr(registry, ':');
	char *host =
		arena_strndup(t->a, registry, port ? (size_t)(port - registry) : strlen(registry));

	for (char *c = host; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return image_is_loopback(host);
}

/*
 * A name of an image.  What anybody is given by a registry is no more than the network gives: *ret_optional, and it
 * says what a login could give.
 */
static const char *named_image(const struct asking *t, const char *name, bool *ret_optional)
{
	enum trust_image known = TRUST_IMAGE_ABSENT;
	struct image_ref ref;

	if (image_ref_parse(t->a, name, &ref, NULL) < 0)
		return arena_printf(
			t->a, "the image '%s' of your own, where your store has one of that name",
			name);
	if (str_eq(ref.registry, "localhost"))
		return arena_printf(t->a, "the image '%s' of your own store", name);
	if (is_loopback(t, ref.registry))
		return arena_printf(t->a, "the image '%s', from a registry on this machine itself",
				    name);
	if (t->facts->image)
		known = t->facts->image(t->facts->ctx, name);
	if (known == TRUST_IMAGE_PUBLIC)
		return NULL;
	if (known == TRUST_IMAGE_OWN)
		return arena_printf(t->a, "the image '%s' of your own store", name);
	*ret_optional = true;
	return arena_printf(t->a, "a login of yours for the image '%s'", name);
}

/* What is asked for with an image that is written as in [base] (base.h); NULL: nothing. */
static const char *image(const struct asking *t, const char *written, bool *ret_optional)
{
	static const char *const files[] = {"dir:", "oci:", "tar:"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const char *path;

		if (!str_starts(written, files[i]))
			continue;
		path = host_path(t, written + strlen(files[i]));
		return path_is_under(path, t->project) ? NULL : arena_printf(t->a, "'%s'", path);
	}
	if (str_starts(written, "layer:"))
		return arena_printf(t->a, "the layer '%s' of your own store",
				    written + strlen("layer:"));
	return str_eq(written, "host") || str_eq(written, "scratch")
		       ? NULL
		       : named_image(t, written, ret_optional);
}

static void ask_image(struct asking *t, const char *written, const char *what_for,
		      const struct origin *at)
{
	bool optional = false;
	const char *what = at->trusted ? NULL : image(t, written, &optional);

	if (!what)
		return;
	what = arena_printf(t->a, "%s %s", what, what_for);
	if (optional)
		offer(t, what, at);
	else
		ask(t, what, at);
}

/* Where --from can be written in many ways, or be of variables, it is asked for whatever it will be. */
static void ask_copies(struct asking *t, const struct profile *p)
{
	for (size_t i = 0; i < p->build.n; i++) {
		const struct build_value *v = &p->build.v[i];
		struct cf_step step;
		const char *from;

		if (v->at.trusted || v->kind != CF_COPY ||
		    containerfile_step(t->a, v->kind, v->s, &step, NULL) < 0)
			continue;
		from = cf_flag(&step, "from");
		if (!from)
			continue;
		if (strpbrk(from, "$\"'\\"))
			ask(t,
			    arena_printf(t->a,
					 "an image whose name is made up when it is built, "
					 "'%s', to copy from",
					 from),
			    &v->at);
		else
			ask_image(t, from, "to copy from", &v->at);
	}
}

/* sbx.ini, sbx.lock and .sbx are read-only at their own path (DESIGN.md §5.10); so no second,
 * writable way to them. */
static bool opens_policy(const struct asking *t, const char *path)
{
	static const char *const own[] = {"sbx.ini", "sbx.lock", ".sbx"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		const char *policy = path_join(t->a, t->project, own[i]);

		if (path_is_under(path, policy) || path_is_under(policy, path))
			return true;
	}
	return false;
}

static void ask_mounts(struct asking *t, const struct profile *p)
{
	for (size_t i = 0; i < p->mounts.n; i++) {
		const struct mount_value *v = &p->mounts.v[i];
		const char *path = host_path(t, v->host);

		if (v->at.trusted ||
		    (path_is_under(path, t->project) && !(v->writable && opens_policy(t, path))))
			continue;
		ask(t,
		    arena_printf(t->a, "mount '%s' at '%s', %s", path, v->inside,
				 v->writable ? "read-write" : "read-only"),
		    &v->at);
	}
}

static void ask_network(struct asking *t, const struct profile *p)
{
	if (p->net.mode == NET_HOST && !p->net.mode_at.trusted)
		ask(t, "the network of the host: mode = host", &p->net.mode_at);
	for (size_t i = 0; i < p->net.ports.n; i++) {
		const struct port_value *v = &p->net.ports.v[i];

		if (!v->at.trusted && !port_is_loopback(v->address))
			ask(t,
			    arena_printf(t->a, "port %u on the address %s, for others to reach",
					 v->host, v->address),
			    &v->at);
	}
}

static void ask_security(struct asking *t, const struct profile *p)
{
	if (p->security.seccomp == SECCOMP_OFF && !p->security.seccomp_at.trusted)
		ask(t, "no filter of system calls: seccomp = off", &p->security.seccomp_at);
	if (p->security.nested.on && !p->security.nested.at.trusted)
		ask(t, "user namespaces of its own: nested = yes", &p->security.nested.at);
}

static void ask_share(struct asking *t, const struct profile *p)
{
	const struct {
		const struct bool_value *value;
		const char *what;
	} shared[] = {
		{&p->share.ssh_agent,
		 "the use of your ssh keys, through the agent: ssh-agent = yes"},
		{&p->share.git, "your name and mail address, as git has them: git = yes"},
		{&p->share.wayland, "your Wayland display: wayland = yes"},
		{&p->share.x11, "your X11 display, on which it may see and type: x11 = yes"},
		{&p->share.gpu, "the device nodes of the GPU: gpu = yes"},
	};

	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		if (shared[i].value->on && !shared[i].value->at.trusted)
			ask(t, shared[i].what, &shared[i].value->at);
}

static void ask_env(struct asking *t, const struct profile *p)
{
	for (size_t i = 0; i < p->env.n; i++) {
		const struct env_value *v = &p->env.v[i];

		if (!v->value && !v->at.trusted && !trust_env_harmless(v->name))
			ask(t, arena_printf(t->a, "the variable '%s' from outside", v->name),
			    &v->at);
	}
}

void trust_requests(struct arena *a, const struct profile *p, const struct trust_facts *f,
		    struct trust_request **ret, size_t *ret_n)
{
	struct asking t = {.a = a, .facts = f, .project = path_clean(a, f->project)};

	ask_image(&t, profile_base(a, p), "as the root", &p->base.at);
	ask_copies(&t, p);
	ask_mounts(&t, p);
	ask_network(&t, p);
	ask_security(&t, p);
	ask_share(&t, p);
	ask_env(&t, p);
	*ret = t.list.v;
	*ret_n = t.list.n;
}
