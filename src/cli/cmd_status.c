#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/base.h"
#include "cli/command.h"
#include "cli/history.h"
#include "cli/lock.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/ports_show.h"
#include "conf/profile.h"
#include "plan/plan.h"
#include "run/client.h"
#include "run/ports.h"

struct values {
	struct where where;
	bool json;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"json", 0, NULL, offsetof(struct values, json), "as JSON"},
	{0},
};

/* What there is to tell; NULL: not known. */
struct status {
	const struct workplace *w;
	const char *name;
	const char *rung;
	const char *driver;
	const char *home;
	const char *layer;   /* the digest of its last layer */
	const char *other;   /* the host that this layer was made over, where that is another */
	const char *image;   /* that it stands on, or would */
	const char *note;    /* what of that is to be told */
	const char *trouble; /* why it could not be planned here */
	bool running;
	bool old_profile; /* it runs what sbx.ini said before */
	struct client_info info;
	struct port *ports; /* published now */
	size_t n_ports;
};

static int ask_running(struct status *s, struct err *err)
{
	_cleanup_fd_ int sock = -1;
	struct err why = {0};

	if (!s->w->env.id)
		return 0;
	if (client_connect(&s->w->env, &sock, &why) == 0 &&
	    client_info(sock, &s->info, &why) == 0) {
		s->running = true;
		s->old_profile = strcmp(s->info.profile_digest, s->w->digest) != 0;
		return 0;
	}
	/* It ended between the two questions: EAGAIN. */
	if (why.errnum == ENOENT || why.errnum == EAGAIN)
		return 0;
	*err = why;
	return -1;
}

/* What a plan knows; one that cannot be made is told, not a failure of `status`. */
static void ask_plan(struct arena *a, struct status *s)
{
	const struct plan *plan;
	struct err why = {0};

	if (s->w->env.id && s->w->env.rung >= 0)
		s->rung = id_rung_name((enum id_rung)s->w->env.rung);
	if (open_plan(a, s->w, &plan, &why) < 0) {
		s->trouble = arena_strdup(a, why.msg);
		return;
	}
	s->name = plan->name;
	s->rung = id_rung_name(plan->rung);
	s->driver = root_driver_name(plan->driver);
	s->home = arena_printf(a, "%s/home", plan->env_dir);
}

/* An environment stays with what it was made with. */
static void ask_image(struct arena *a, struct status *s)
{
	const struct workplace *w = s->w;
	const char *base = profile_base(a, w->profile);
	const char *known;
	struct err why = {0};

	s->image = w->env.id ? w->env.image.ref : profile_is_image(w->profile) ? base : NULL;
	if (!w->env.id)
		return;
	if (open_check_base(a, w, &why) < 0) {
		s->note = arena_printf(a,
				       "the profile's base is '%s' by now: sbx reset --rebase "
				       "goes over to it",
				       base);
		return;
	}
	s->note = open_build_note(a, w);
	if (!s->image || s->note || w->env.image.build[0])
		return;
	known = base_known(a, &w->store, s->image, w->project);
	if (known && strcmp(known, w->env.image.manifest) != 0)
		s->note = "the image of that name is another by now: sbx reset --rebase goes over "
			  "to it";
	else if (lock_check_env(a, w, &why) < 0)
		s->note = arena_strdup(a, why.msg);
}

static void ask_layers(struct arena *a, struct status *s)
{
	const struct chain *c = &s->w->env.chain;

	if (!s->w->env.id || c->n == 0)
		return;
	s->layer = c->v[c->n - 1].digest;
	s->other = history_other_host(a, s->w, true);
}

static void line(struct buf *b, const char *key, const char *value)
{
	out_cell(b, key, 13);
	out_cell(b, value ? value : "-", 0);
	buf_adds(b, "\n");
}

/* One that has no network of its own has none. */
static void ask_ports(struct arena *a, struct status *s)
{
	struct err why = {0};

	if (s->running)
		(void)ports_list(a, &s->w->env, &s->ports, &s->n_ports, &why);
}

static void add_ports(struct arena *a, const struct status *s, struct buf *b)
{
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct port *p = &s->ports[i];

		line(b, i ? "" : "ports",
		     arena_printf(a, "%s -> %u%s%s%s", ports_name(a, p), (unsigned)p->inside,
				  p->errnum ? " (" : "", p->errnum ? ports_state(p) : "",
				  p->errnum ? ")" : ""));
	}
}

static int print_json(const struct status *s, struct err *err)
{
	const struct workplace *w = s->w;
	json_t *o = json_object();

	json_object_set_new(o, "name", out_json_string(s->name));
	json_object_set_new(o, "project", out_json_string(w->project));
	json_object_set_new(o, "env", out_json_string(w->env_name));
	json_object_set_new(o, "id", out_json_string(w->env.id));
	json_object_set_new(o, "running", json_boolean(s->running));
	json_object_set_new(o, "guard_pid",
			    s->running ? json_integer(s->info.guard_pid) : json_null());
	json_object_set_new(o, "uptime_ms",
			    s->running ? json_integer((json_int_t)s->info.uptime_ms) : json_null());
	json_object_set_new(o, "commands", json_integer(s->running ? s->info.commands : 0));
	json_object_set_new(o, "processes", json_integer(s->running ? s->info.processes : 0));
	json_object_set_new(o, "profile_changed", json_boolean(s->running && s->old_profile));
	json_object_set_new(o, "ids", out_json_string(s->rung));
	json_object_set_new(o, "driver", out_json_string(s->driver));
	json_object_set_new(o, "image", out_json_string(s->image));
	json_object_set_new(o, "image_digest",
			    out_json_string(w->env.image.ref ? w->env.image.manifest : NULL));
	json_object_set_new(o, "image_layers", json_integer((json_int_t)w->env.image.n));
	json_object_set_new(o, "built", json_boolean(w->env.image.build[0]));
	json_object_set_new(o, "note", out_json_string(s->note));
	json_object_set_new(o, "layers", json_integer((json_int_t)w->env.chain.n));
	json_object_set_new(o, "layer", out_json_string(s->layer));
	json_object_set_new(o, "layer_host", out_json_string(s->other));
	json_object_set_new(o, "network", out_json_string(net_mode_name(w->profile->net.mode)));
	json_object_set_new(o, "ports", ports_json(s->ports, s->n_ports));
	json_object_set_new(o, "home", out_json_string(s->home));
	json_object_set_new(o, "trouble", out_json_string(s->trouble));
	return out_json(o, err);
}

/* "3, the last 0123456789ab (tools)" */
static const char *layers(struct arena *a, const struct workplace *w)
{
	const struct chain *c = &w->env.chain;
	const struct commit *top;

	if (!w->env.id || c->n <= w->env.image.n)
		return "none (sbx commit makes one)";
	top = &c->v[c->n - 1];
	return arena_printf(a, "%zu, the last %.*s%s%s%s", c->n - w->env.image.n, HISTORY_SHORT,
			    top->digest, top->message[0] ? " (" : "", top->message,
			    top->message[0] ? ")" : "");
}

static void add_state(const struct status *s, struct buf *b)
{
	if (!s->running) {
		buf_adds(b, s->w->env.id ? "stopped" : "not made yet (sbx enter makes it)");
		return;
	}
	buf_adds(b, "running for ");
	out_duration(b, s->info.uptime_ms);
	buf_printf(b, ", %" PRIu32 " command%s, %" PRIu32 " process%s", s->info.commands,
		   s->info.commands == 1 ? "" : "s", s->info.processes,
		   s->info.processes == 1 ? "" : "es");
}

static int print_text(struct arena *a, const struct status *s, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	_cleanup_buf_ struct buf state = {0};
	const struct workplace *w = s->w;

	add_state(s, &state);
	line(&b, "name", s->name);
	line(&b, "project", w->project);
	line(&b, "environment",
	     w->env.id ? arena_printf(a, "%s (%s)", w->env_name, w->env.id) : w->env_name);
	line(&b, "state", state.p);
	line(&b, "ids", s->rung);
	line(&b, "root", s->driver);
	if (s->image)
		line(&b, w->env.image.build[0] ? "built on" : "image",
		     w->env.image.ref ? arena_printf(a, "%s (%.*s, %zu layer%s)", s->image,
						     HISTORY_SHORT, w->env.image.manifest,
						     w->env.image.n, w->env.image.n == 1 ? "" : "s")
				      : s->image);
	line(&b, "layers", layers(a, w));
	line(&b, "network", net_mode_name(w->profile->net.mode));
	add_ports(a, s, &b);
	line(&b, "home", s->home);
	if (s->running && s->old_profile)
		line(&b, "note",
		     "sbx.ini has changed since it started: sbx stop, to start with it");
	if (s->note)
		line(&b, "note", s->note);
	if (s->other)
		line(&b, "note",
		     arena_printf(a, "its last layer was made over another host: %s", s->other));
	if (s->trouble)
		line(&b, "trouble", s->trouble);
	return out_write(&b, err);
}

static int status(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct status s = {.w = &w};
	struct err why = {0};

	if (open_project(cli->a, &v->where, &w, err) < 0)
		return -1;
	open_profile_rest(cli->a, &w);
	if (open_env(cli->a, &w, &why) < 0 && why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	s.name = w.profile->name.s;
	ask_layers(cli->a, &s);
	ask_image(cli->a, &s);
	if (ask_running(&s, err) < 0)
		return -1;
	ask_plan(cli->a, &s);
	ask_ports(cli->a, &s);
	return v->json ? print_json(&s, err) : print_text(cli->a, &s, err);
}

const struct command *cmd_status(void)
{
	static const struct command row = {
		.table =
			{.name = "status",
			 .summary = "tell of the project's sandbox: running or not, ids, network",
			 .details =
				 "Tell of the project's sandbox: whether it runs and since when, which rung of the\n"
				 "ladder of id maps it uses, what makes its root, its layers, its network, its home.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = status,
	};

	return &row;
}
