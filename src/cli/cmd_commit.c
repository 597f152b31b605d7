#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/history.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "conf/profile.h"
#include "plan/host_fingerprint.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/commit.h"
#include "store/tag.h"

struct values {
	struct where where;
	const char *message;
	const char *tag;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"message", 'm', "TEXT", offsetof(struct values, message), "what the layer is for"},
	{"tag", 't', "TAG", offsetof(struct values, tag), "a name for what it is then"},
	{0},
};

/* What the child that commits is given; `result` is shared with it. */
struct job {
	struct commit_input in;
	struct progress progress;
	struct commit_result *result;
};

static int commit_inside(const struct view *v, void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct job *job = arg;
	int r;

	job->in.lower = v->lower;
	job->in.upper = v->upper;
	progress_begin(&job->progress, "committing");
	r = commit_make(a, &job->in, job->result, err);
	progress_end(&job->progress);
	return r;
}

/* No time in the layer is later than this. */
static int newest_time(int64_t *ret, struct err *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	uint64_t n;

	*ret = INT64_MAX;
	if (!text || !*text)
		return 0;
	if (num_u64(text, 0, INT64_MAX, &n, NULL) < 0) {
		err_kind(err, ERR_USAGE, "cannot use SOURCE_DATE_EPOCH='%s': not a number", text);
		return err_hint(err, "it is a time in seconds since 1970, or unset");
	}
	*ret = (int64_t)n;
	return 0;
}

/* Held while nothing runs in it; where something does, it is told by *ret_running. */
static int hold(struct arena *a, struct workplace *w, struct client_hold *ret, bool *ret_running,
		struct err *err)
{
	struct err why = {0};

	*ret_running = false;
	if (history_hold(a, w, "commit", ret, &why) == 0)
		return 0;
	if (why.errnum != EBUSY) {
		*err = why;
		return -1;
	}
	*ret_running = true;
	if (client_hold_start(&w->env, ret, err) < 0)
		return -1;
	return history_read_anew(a, w, err);
}

static int put_tag(struct arena *a, struct workplace *w, const char *name, struct err *err)
{
	if (!name)
		return 0;
	if (history_read_anew(a, w, err) < 0 || history_put_tag(a, w, name, &w->env.chain, err) < 0)
		return -1;
	log_info("tagged as '%s'", name);
	return 0;
}

static void tell(const struct commit_result *r, const struct workplace *w)
{
	_cleanup_buf_ struct buf said = {0};

	if (r->kept > 0)
		log_info("%" PRIu64 " left out ([commit] exclude): %s uncommitted; "
			 "'sbx diff --all' shows %s",
			 r->kept, r->kept == 1 ? "it stays" : "they stay",
			 r->kept == 1 ? "it" : "them");
	if (r->empty) {
		log_info("nothing to commit: '%s' is as its last layer is", w->env_name);
		return;
	}
	buf_printf(&said, "%" PRIu64 " added, %" PRIu64 " modified, %" PRIu64 " deleted, ",
		   r->added, r->modified, r->deleted);
	out_size(&said, r->bytes);
	log_info("%s", said.p);
}

static int print_digest(const struct commit_result *r, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (r->empty)
		return 0;
	buf_printf(&b, "%s\n", r->digest);
	return out_write(&b, err);
}

static int make(struct arena *a, struct workplace *w, struct job *job, struct err *err)
{
	const struct plan *plan;

	if (newest_time(&job->in.newest, err) < 0 || history_plan(a, w, &plan, err) < 0)
		return -1;
	job->in.store = &w->store;
	job->in.env = &w->env;
	job->in.owners = plan->rung == RUNG_SUBIDS;
	job->in.exclude = history_excluded(a, w);
	job->in.now = (int64_t)time(NULL);
	job->in.by = "sbx commit";
	job->in.host = plan->base == BASE_HOST ? fingerprint_host(a) : NULL;
	job->in.progress = progress_tell;
	job->in.progress_ctx = &job->progress;
	return view_call(plan, &(struct view_job){.fn = commit_inside, .arg = job}, err);
}

static int commit(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	__attribute__((cleanup(client_hold_done))) struct client_hold held = CLIENT_HOLD_NONE;
	struct job job = {.in.message = v->message ? v->message : ""};

	if (v->tag && tag_check_name(v->tag, err) < 0)
		return -1;
	if (history_open(cli->a, &v->where, true, &w, err) < 0 ||
	    (v->tag && history_check_tag(cli->a, &w, v->tag, err) < 0) ||
	    hold(cli->a, &w, &held, &job.in.running, err) < 0)
		return -1;
	care_tidy(cli->a, &w.store);
	job.result = care_shared(sizeof(*job.result));
	if (make(cli->a, &w, &job, err) < 0)
		return -1;
	tell(job.result, &w);
	if (put_tag(cli->a, &w, v->tag, err) < 0)
		return -1;
	return print_digest(job.result, err);
}

const struct command *cmd_commit(void)
{
	static const struct command row = {
		.table =
			{.name = "commit",
			 .summary = "keep the changes as a layer",
			 .details =
				 "Make a layer of what has changed in the environment's root since the last one, and\n"
				 "print its digest.  What `[commit] exclude` of the profile names stays as it is,\n"
				 "uncommitted.  Where commands run, the layer is a copy of that moment.\n"
				 "With SOURCE_DATE_EPOCH in the environment, no time in the layer is later.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = commit,
	};

	return &row;
}
