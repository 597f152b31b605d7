#include "cli/build_config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"

#define NS_PER_MS UINT64_C(1000000)
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- variables ---- */

static const char *value_of(const char *const *v, size_t n, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = n; i > 0; i--)
		if (strncmp(v[i - 1], name, len) == 0 && v[i - 1][len] == '=')
			return v[i - 1] + len + 1;
	return NULL;
}

static const char *in_list(const struct strv *list, const char *name)
{
	return value_of((const char *const *)list->v, list->n, name);
}

/* What docker sets of itself: of this machine, for which alone is built. */
static const char *platform_value(struct arena *a, const char *name)
{
	const struct oci_platform p = oci_platform_here();
	static const char *const before[] = {"TARGET", "BUILD"};

	for (size_t i = 0; i < 2; i++) {
		const char *rest = name + strlen(before[i]);

		if (!str_starts(name, before[i]))
			continue;
		if (str_eq(rest, "OS"))
			return p.os;
		if (str_eq(rest, "ARCH"))
			return p.architecture;
		if (str_eq(rest, "VARIANT"))
			return p.variant ? p.variant : "";
		if (str_eq(rest, "PLATFORM"))
			return arena_printf(a, "%s/%s%s%s", p.os, p.architecture,
					    p.variant ? "/" : "", p.variant ? p.variant : "");
	}
	return NULL;
}

const char *build_lookup(void *stage, const char *name)
{
	const struct build_stage *s = stage;
	const char *value = value_of(s->config.env.v, s->config.env.n, name);

	if (!value)
		value = in_list(&s->args, name);
	/* So that PATH=/opt/bin:$PATH is right where the base does not say it. */
	return !value && str_eq(name, "PATH") ? DEFAULT_PATH : value;
}

static int expand(const struct build *b, cf_lookup_fn lookup, void *ctx, const char *word,
		  const char **ret, struct err *err)
{
	const struct cf_expand how = {.escape = b->file->escape, .lookup = lookup, .ctx = ctx};

	return containerfile_expand(b->a, &how, word, ret, err);
}

int build_expand(const struct build *b, struct build_stage *stage, const char *word,
		 const char **ret, struct err *err)
{
	return expand(b, build_lookup, stage, word, ret, err);
}

static const char *lookup_global(void *ctx, const char *name)
{
	const struct build *b = ctx;
	const char *value = in_list(&b->global, name);

	return value ? value : platform_value(b->a, name);
}

int build_expand_global(const struct build *b, const char *word, const char **ret, struct err *err)
{
	struct build copy = *b;

	return expand(b, lookup_global, &copy, word, ret, err);
}

int build_global_arg(struct build *b, const struct cf_step *step, struct err *err)
{
	for (size_t i = 0; i < step->n_pairs; i++) {
		const struct cf_pair *p = &step->pairs[i];
		const char *value = in_list(&b->given, p->name);

		if (!value && p->value && build_expand_global(b, p->value, &value, err) < 0)
			return -1;
		if (value)
			strv_pushf(b->a, &b->global, "%s=%s", p->name, value);
	}
	return 0;
}

/* What was given, else the default, else what the ARG before the first FROM says. */
static int step_arg(const struct build *b, struct build_stage *s, const struct cf_step *step,
		    struct err *err)
{
	for (size_t i = 0; i < step->n_pairs; i++) {
		const struct cf_pair *p = &step->pairs[i];
		const char *value = in_list(&b->given, p->name);

		if (!value && p->value && build_expand(b, s, p->value, &value, err) < 0)
			return -1;
		if (!value)
			value = in_list(&b->global, p->name);
		if (!value)
			value = platform_value(b->a, p->name);
		if (value)
			strv_put_env(b->a, &s->args, arena_printf(b->a, "%s=%s", p->name, value));
	}
	return 0;
}

struct strv build_env(const struct build *b, const struct build_stage *stage)
{
	struct strv env = {0};

	strv_push(b->a, &env, "PATH=" DEFAULT_PATH);
	for (size_t i = 0; i < stage->args.n; i++)
		strv_put_env(b->a, &env, stage->args.v[i]);
	for (size_t i = 0; i < stage->config.env.n; i++)
		strv_put_env(b->a, &env, stage->config.env.v[i]);
	return env;
}

/* ---- lists of the config ---- */

static void set_list(struct oci_strings *list, const struct strv *v)
{
	static const char *const none[] = {NULL};

	list->v = v->n ? (const char *const *)v->v : none;
	list->n = v->n;
	list->set = true;
}

static struct strv copy_list(struct arena *a, const struct oci_strings *list)
{
	struct strv v = {0};

	for (size_t i = 0; i < list->n; i++)
		strv_push(a, &v, list->v[i]);
	return v;
}

static void add_word(struct arena *a, struct oci_strings *list, const char *word)
{
	struct strv v = copy_list(a, list);

	if (!strv_contains(&v, word))
		strv_push(a, &v, word);
	set_list(list, &v);
}

static int step_env(const struct build *b, struct build_stage *s, const struct cf_step *step,
		    struct err *err)
{
	struct strv env = copy_list(b->a, &s->config.env);

	/* All of a line see what was before it. */
	for (size_t i = 0; i < step->n_pairs; i++) {
		const char *name;
		const char *value;

		if (build_expand(b, s, step->pairs[i].name, &name, err) < 0 ||
		    build_expand(b, s, step->pairs[i].value, &value, err) < 0)
			return -1;
		if (!*name || strchr(name, '='))
			return err_set(err, "'%s' is not a variable's name", name);
		strv_put_env(b->a, &env, arena_printf(b->a, "%s=%s", name, value));
	}
	set_list(&s->config.env, &env);
	return 0;
}

static int step_label(const struct build *b, struct build_stage *s, const struct cf_step *step,
		      struct err *err)
{
	for (size_t i = 0; i < step->n_pairs; i++) {
		const char *name;
		const char *value;

		if (build_expand(b, s, step->pairs[i].name, &name, err) < 0 ||
		    build_expand(b, s, step->pairs[i].value, &value, err) < 0)
			return -1;
		oci_pair_put(b->a, &s->config.labels, name, value);
	}
	return 0;
}

/* CMD and ENTRYPOINT: in shell form, the shell runs it. */
static struct strv command_of(const struct build *b, const struct build_stage *s,
			      const struct cf_step *step)
{
	struct strv v = {0};

	if (!step->exec && s->config.shell.n > 0)
		v = copy_list(b->a, &s->config.shell);
	else if (!step->exec) {
		strv_push(b->a, &v, "/bin/sh");
		strv_push(b->a, &v, "-c");
	}
	for (size_t i = 0; i < step->n_args; i++)
		strv_push(b->a, &v, step->args[i]);
	return v;
}

static int step_expose(const struct build *b, struct build_stage *s, const char *word,
		       struct err *err)
{
	const char *slash = strchr(word, '/');
	const char *port = arena_strndup(b->a, word, slash ? (size_t)(slash - word) : strlen(word));
	const char *protocol = slash ? slash + 1 : "tcp";
	const char *dash = strchr(port, '-');
	uint64_t first = 0;
	uint64_t last = 0;

	if (num_u64(dash ? arena_strndup(b->a, port, (size_t)(dash - port)) : port, 1, UINT16_MAX,
		    &first, NULL) < 0 ||
	    num_u64(dash ? dash + 1 : port, first, UINT16_MAX, &last, NULL) < 0 ||
	    (!str_eq(protocol, "tcp") && !str_eq(protocol, "udp") && !str_eq(protocol, "sctp")))
		return err_set(err, "'%s' is not PORT[-PORT][/tcp|/udp]", word);
	for (uint64_t p = first; p <= last; p++)
		add_word(b->a, &s->config.ports, arena_printf(b->a, "%" PRIu64 "/%s", p, protocol));
	return 0;
}

static int step_words(const struct build *b, struct build_stage *s, const struct cf_step *step,
		      struct err *err)
{
	for (size_t i = 0; i < step->n_args; i++) {
		const char *word;

		if (build_expand(b, s, step->args[i], &word, err) < 0)
			return -1;
		if (step->kind == CF_VOLUME)
			add_word(b->a, &s->config.volumes, word);
		else if (step_expose(b, s, word, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- HEALTHCHECK ---- */

/* "1m30s", "5s", "100ms": as Go writes durations; in nanoseconds. */
static int duration(struct arena *a, const char *s, uint64_t *ret_ns, struct err *err)
{
	uint64_t all = 0;

	while (*s) {
		size_t n = strspn(s, "0123456789.");
		size_t unit = strspn(s + n, "hms");
		uint64_t ms = 0;

		if (n == 0 || unit == 0 ||
		    num_duration(arena_strndup(a, s, n + unit), &ms, NULL) < 0)
			return err_set(err, "'%s' is not a time such as 30s", s);
		all += ms;
		s += n + unit;
	}
	*ret_ns = all * NS_PER_MS;
	return 0;
}

static int health_flags(const struct build *b, const struct cf_step *step, json_t *root,
			struct err *err)
{
	static const char *const names[][2] = {
		{"interval", "Interval"},
		{"timeout", "Timeout"},
		{"start-period", "StartPeriod"},
		{"start-interval", "StartInterval"},
	};
	const char *retries = cf_flag(step, "retries");
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = cf_flag(step, names[i][0]);
		uint64_t ns = 0;

		if (!value)
			continue;
		if (duration(b->a, value, &ns, err) < 0)
			return -1;
		(void)json_object_set_new(root, names[i][1], json_integer((json_int_t)ns));
	}
	if (retries && num_u64(retries, 0, INT32_MAX, &n, NULL) < 0)
		return err_set(err, "'%s' is not a number of retries", retries);
	if (retries)
		(void)json_object_set_new(root, "Retries", json_integer((json_int_t)n));
	return 0;
}

static int step_health(const struct build *b, struct build_stage *s, const struct cf_step *step,
		       struct err *err)
{
	json_auto_t *root = json_object();
	json_t *test = json_array();
	char *text;

	(void)json_object_set_new(root, "Test", test);
	(void)json_array_append_new(test, json_string(step->n_args == 0 ? "NONE"
						      : step->exec      ? "CMD"
									: "CMD-SHELL"));
	for (size_t i = 0; i < step->n_args; i++)
		(void)json_array_append_new(test, json_string(step->args[i]));
	if (health_flags(b, step, root, err) < 0)
		return -1;
	text = json_dumps(root, JSON_COMPACT);
	s->config.healthcheck = arena_strdup(b->a, text);
	free(text);
	return 0;
}

/* ---- the steps ---- */

static int step_one(const struct build *b, struct build_stage *s, const struct cf_step *step,
		    struct err *err)
{
	const char *word;

	if (build_expand(b, s, step->args[0], &word, err) < 0)
		return -1;
	if (step->kind == CF_USER)
		s->config.user = word;
	else if (step->kind == CF_STOPSIGNAL)
		s->config.stop_signal = word;
	else
		oci_pair_put(b->a, &s->config.labels, "maintainer", word);
	return 0;
}

static int step_command(const struct build *b, struct build_stage *s, const struct cf_step *step)
{
	struct strv v = command_of(b, s, step);

	if (step->kind == CF_CMD) {
		set_list(&s->config.cmd, &v);
		s->own_cmd = true;
		return 0;
	}
	set_list(&s->config.entrypoint, &v);
	/* What the base starts with is none of another program's arguments. */
	if (!s->own_cmd)
		s->config.cmd = (struct oci_strings){0};
	return 0;
}

static int dispatch(const struct build *b, struct build_stage *s, const struct cf_step *step,
		    bool *ret_done, struct err *err)
{
	struct strv v;

	*ret_done = true;
	switch (step->kind) {
	case CF_ARG:
		return step_arg(b, s, step, err);
	case CF_ENV:
		return step_env(b, s, step, err);
	case CF_LABEL:
		return step_label(b, s, step, err);
	case CF_USER:
	case CF_STOPSIGNAL:
	case CF_MAINTAINER:
		return step_one(b, s, step, err);
	case CF_EXPOSE:
	case CF_VOLUME:
		return step_words(b, s, step, err);
	case CF_CMD:
	case CF_ENTRYPOINT:
		return step_command(b, s, step);
	case CF_SHELL:
		v = command_of(b, s, step);
		set_list(&s->config.shell, &v);
		return 0;
	case CF_HEALTHCHECK:
		return step_health(b, s, step, err);
	case CF_FROM:
	case CF_RUN:
	case CF_COPY:
	case CF_ADD:
	case CF_WORKDIR:
		break;
	}
	*ret_done = false;
	return 0;
}

int build_config_step(const struct build *b, struct build_stage *stage, const struct cf_step *step,
		      bool *ret_done, struct err *err)
{
	if (dispatch(b, stage, step, ret_done, err) < 0)
		return -1;
	if (*ret_done)
		build_history(b, stage, step->text, 0, true);
	return 0;
}

static const char *time_text(struct arena *a, int64_t t)
{
	char text[32] = "1970-01-01T00:00:00Z";
	time_t at = (time_t)t;
	struct tm tm;

	if (gmtime_r(&at, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return arena_strdup(a, text);
}

void build_history(const struct build *b, struct build_stage *stage, const char *created_by,
		   int64_t created, bool empty)
{
	struct oci_config *c = &stage->config;
	struct oci_history *v = arena_alloc(b->a, (c->n_history + 1) * sizeof(*v));

	if (c->n_history > 0)
		memcpy(v, c->history, c->n_history * sizeof(*v));
	v[c->n_history++] = (struct oci_history){
		.created =
			created ? time_text(b->a, created < b->newest ? created : b->newest) : NULL,
		.created_by = created_by,
		.empty_layer = empty,
	};
	c->history = v;
}

const char *build_workdir(const struct build_stage *stage)
{
	const char *w = stage->start ? stage->start : stage->config.workdir;

	return w && w[0] == '/' ? w : "/";
}

const char *build_path(const struct build *b, const struct build_stage *stage, const char *path)
{
	return path[0] == '/' ? path_clean(b->a, path)
			      : path_clean(b->a, path_join(b->a, build_workdir(stage), path));
}
