/*
 * WORKDIR: where commands start, which is made where it is missing.
 */
#include <string.h>

#include "base/err.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/build_config.h"
#include "cli/build_steps.h"
#include "run/view.h"
#include "store/place.h"

static int make_inside(const struct view_roots *v, void *arg, struct err *err)
{
	const struct place place = {.root = v->root};

	return place_folder(&place, arg, err);
}

static int make(struct build *b, struct build_stage *stage, struct env *env,
		const struct plan *plan, void *arg, struct err *err)
{
	(void)b;
	(void)stage;
	(void)env;
	return view_call_roots(plan, NULL, make_inside, arg, err);
}

int build_step_workdir(struct build *b, struct build_stage *stage, const struct cf_step *step,
		       struct err *err)
{
	_cleanup_buf_ struct buf key = {0};
	const char *word;
	char *path;

	if (build_expand(b, stage, step->args[0], &word, err) < 0)
		return -1;
	path = arena_strdup(b->a, build_path(b, stage, word));
	buf_printf(&key, "workdir %s\n", path);

	const struct build_work work = {
		.step = step, .text = step->text, .key = &key, .fn = make, .arg = path};

	if (b->of_profile && path_is_under(path, b->context)) {
		/* The project is there; the image knows nothing of it. */
		build_tell(b, step->text, "");
		stage->start = path;
		return 0;
	}
	if (build_layer(b, stage, &work, err) < 0)
		return -1;
	stage->config.workdir = path;
	if (stage->start)
		stage->start = path;
	return 0;
}
