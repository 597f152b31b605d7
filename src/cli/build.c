#include "cli/build.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/build_config.h"
#include "cli/build_layer.h"
#include "cli/build_steps.h"
#include "cli/images.h"
#include "plan/plan.h"

int build_failed_at(const struct build *b, const char *file, int line, struct err *err)
{
	return err_prefix(err, "%s:%d", file ? file : b->file->file, line);
}

const char *build_word(const struct build *b, const struct cf_step *step)
{
	return b->of_profile ? build_step_name(step->kind) : cf_kind_name(step->kind);
}

const struct build_stage *build_find_stage(const struct build *b, const char *name)
{
	for (size_t i = 0; i < b->n_stages; i++) {
		char number[24];

		(void)snprintf(number, sizeof(number), "%zu", i);
		if (str_eq(b->stages[i].name, name) || str_eq(number, name))
			return &b->stages[i];
	}
	return NULL;
}

/* ---- FROM ---- */

static int pin_chain(struct build *b, const struct chain *chain, struct err *err)
{
	for (size_t i = 0; i < chain->n; i++)
		if (pin_add(&b->pin, chain->v[i].digest, err) < 0)
			return -1;
	return 0;
}

/* "debian:12" is an image of this store, where there is one of that name, else docker's. */
static int whole_name(struct build *b, const char *ref, const char **ret, struct err *err)
{
	size_t first = strcspn(ref, "/");
	const char *host = arena_strndup(b->a, ref, first);
	bool whole = ref[first] && (strpbrk(host, ".:") || str_eq(host, "localhost"));
	struct err why = {0};

	*ret = ref;
	if (whole || str_starts(ref, "oci:") || str_starts(ref, "tar:") ||
	    str_starts(ref, "layer:"))
		return 0;
	if (images_name(b->a, ref, false, ret, &why) == 0 &&
	    base_known(b->a, b->store, *ret, b->context))
		return 0;
	return images_name(b->a, ref, true, ret, err);
}

int build_base(struct build *b, const char *ref, struct build_stage *ret, struct err *err)
{
	ret->from = ref;
	ret->config.platform = oci_platform_here();
	if (str_eq(ref, "scratch"))
		return 0;
	if (str_eq(ref, "host")) {
		ret->over_host = true;
		return 0;
	}
	if (whole_name(b, ref, &ref, err) < 0 ||
	    base_get_ref(b->a, &(struct base_for){b->store, b->context, b->any, b->allowed}, ref,
			 &ret->base, err) < 0)
		return -1;
	ret->over_host = ret->base.info.over_host;
	ret->chain = ret->base.chain;
	ret->config = ret->base.info.config;
	return pin_chain(b, &ret->chain, err);
}

/* Only this machine's programs can be run here. */
static int check_platform(struct build *b, const struct cf_step *step, struct err *err)
{
	const struct oci_platform here = oci_platform_here();
	const char *want = cf_flag(step, "platform");
	const char *all;

	if (!want)
		return 0;
	if (build_expand_global(b, want, &want, err) < 0)
		return -1;
	all = arena_printf(b->a, "%s/%s", here.os, here.architecture);
	if (str_eq(want, all) || str_starts(want, arena_printf(b->a, "%s/", all)))
		return 0;
	return err_set(err, "FROM --platform=%s cannot be built on this machine, which is %s", want,
		       all);
}

/* What the profile names, as its lock file pins it. */
static int begin_profile(struct build *b, struct build_stage *stage, const struct cf_step *step,
			 struct err *err)
{
	const struct base_for f = {b->store, b->context, b->any, b->allowed};

	build_tell(b, step->text, "");
	stage->from = step->args[0];
	stage->start = b->context;
	stage->config.platform = oci_platform_here();
	if (!b->unlocked && base_get(b->a, &f, b->profile, &stage->base, err) < 0)
		return -1;
	if (b->unlocked && profile_is_image(b->profile) &&
	    base_get_ref(b->a, &f, stage->from, &stage->base, err) < 0)
		return -1;
	b->n_stages++;
	stage->over_host = b->profile->base.kind == BASE_HOST || stage->base.info.over_host;
	if (!stage->base.ref)
		return 0;
	stage->chain = stage->base.chain;
	stage->config = stage->base.info.config;
	return pin_chain(b, &stage->chain, err);
}

static int begin_stage(struct build *b, const struct cf_step *step, struct err *err)
{
	struct build_stage *stage = &b->stages[b->n_stages];
	const struct build_stage *other;
	const char *from;

	b->step++;
	if (b->of_profile)
		return begin_profile(b, stage, step, err);
	if (check_platform(b, step, err) < 0 ||
	    build_expand_global(b, step->args[0], &from, err) < 0)
		return -1;
	if (!*from)
		return err_set(err, "FROM: '%s' is empty", step->args[0]);
	build_tell(b, step->text, "");
	other = build_find_stage(b, from);
	if (other && str_eq(other->name, from)) {
		*stage = *other;
		stage->args = (struct strv){0};
		stage->own_cmd = false;
	} else if (build_base(b, from, stage, err) < 0) {
		return err_prefix(err, "FROM");
	}
	stage->name = step->as;
	b->n_stages++;
	return 0;
}

/* ---- the steps ---- */

static int do_step(struct build *b, struct build_stage *stage, const struct cf_step *step,
		   struct err *err)
{
	bool done = false;
	int r;

	b->step++;
	if (build_config_step(b, stage, step, &done, err) < 0)
		return err_prefix(err, "%s", build_word(b, step));
	if (done) {
		build_tell(b, step->text, "");
		return 0;
	}
	if (step->kind == CF_RUN)
		r = build_step_run(b, stage, step, err);
	else if (step->kind == CF_WORKDIR)
		r = build_step_workdir(b, stage, step, err);
	else
		r = build_step_copy(b, stage, step, err);
	return r < 0 ? err_prefix(err, "%s", build_word(b, step)) : 0;
}

/* How many of the instructions are done: those up to the end of the target. */
static int find_end(const struct build *b, size_t *ret, struct err *err)
{
	size_t stage = 0;
	bool found = false;

	*ret = b->file->n;
	if (!b->target)
		return 0;
	for (size_t i = 0; i < b->file->n; i++) {
		const struct cf_step *step = &b->file->v[i];
		char number[24];

		if (step->kind != CF_FROM)
			continue;
		if (found) {
			*ret = i;
			return 0;
		}
		(void)snprintf(number, sizeof(number), "%zu", stage++);
		found = str_eq(step->as, b->target) || str_eq(number, b->target);
	}
	if (found)
		return 0;
	return err_kind(err, ERR_USAGE, "%s has no stage '%s'", b->file->file, b->target);
}

int build_stages(struct build *b, const struct build_stage **ret, struct err *err)
{
	size_t end = 0;

	if (find_end(b, &end, err) < 0)
		return -1;
	b->stages = arena_alloc(b->a, (b->file->n + 1) * sizeof(*b->stages));
	b->made = arena_alloc(b->a, (b->file->n + 1) * sizeof(*b->made));
	b->n_stages = b->n_made = b->step = b->cached = 0;
	b->global = (struct strv){0};
	b->n_steps = end;
	for (size_t i = 0; i < end; i++) {
		const struct cf_step *step = &b->file->v[i];
		int r;

		if (step->kind == CF_FROM)
			r = begin_stage(b, step, err);
		else if (b->n_stages == 0) {
			b->step++;
			r = build_global_arg(b, step, err);
		} else
			r = do_step(b, &b->stages[b->n_stages - 1], step, err);
		if (r < 0)
			return step->line ? build_failed_at(b, step->file, step->line, err) : -1;
	}
	*ret = &b->stages[b->n_stages - 1];
	return 0;
}
