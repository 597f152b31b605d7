#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/trusted.h"

struct values {
	struct where where; /* its env is not used: what is allowed is the project's */
	bool list;
	bool yes;
	bool json;
};

static const struct opt opts[] = {
	OPT_DIRECTORY(struct values),
	{"list", 'l', NULL, offsetof(struct values, list), "show what is asked, and allow nothing"},
	{"yes", 'y', NULL, offsetof(struct values, yes), "do not ask"},
	{"json", 0, NULL, offsetof(struct values, json),
	 "show it as JSON; without --yes, allow nothing"},
	{0},
};

static int show(struct arena *a, const struct trusted *t, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = 0; i < t->n; i++) {
		buf_printf(&b, "%s  ",
			   t->allowed         ? "allowed"
			   : t->v[i].optional ? "optional"
					      : "asked");
		out_cell(&b, t->v[i].what, 0);
		buf_adds(&b, "  (");
		out_cell(&b, trusted_at(a, &t->v[i]), 0);
		buf_adds(&b, ")\n");
	}
	return out_write(&b, err);
}

static int show_json(struct arena *a, const struct trusted *t, struct err *err)
{
	json_t *root = json_array();

	(void)a;
	for (size_t i = 0; i < t->n; i++)
		json_array_append_new(root, json_pack("{s:o, s:o, s:i, s:b, s:b}", "what",
						      out_json_string(t->v[i].what), "file",
						      out_json_string(t->v[i].at.file), "line",
						      t->v[i].at.line, "optional", t->v[i].optional,
						      "allowed", t->allowed));
	return out_json(root, err);
}

static int ask(const struct workplace *w, bool yes, struct err *err)
{
	if (yes)
		return 0;
	if (!out_can_ask()) {
		err_set(err, "cannot ask whether to allow this for '%s': no terminal", w->project);
		return err_hint(err, "if you trust it, run: sbx allow --yes");
	}
	if (out_ask("Allow this, until the profile changes?"))
		return 0;
	return err_set(err, "nothing was allowed for '%s'", w->project);
}

static int allow(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const struct plan *plan;
	struct trusted t;

	if (open_project(cli->a, &v->where, &w, err) < 0 || open_profile(cli->a, &w, err) < 0)
		return -1;
	/* What can never be done is not asked for. */
	if (open_plan(cli->a, &w, &plan, err) < 0 || trusted_look(cli->a, &w, &t, err) < 0)
		return -1;
	if (t.n == 0 && !v->json) {
		log_info("the profile of '%s' asks for nothing that needs to be allowed",
			 w.project);
		return 0;
	}
	if ((v->json ? show_json : show)(cli->a, &t, err) < 0)
		return -1;
	if (v->list || t.allowed || t.n == 0 || (v->json && !v->yes))
		return 0;
	if (ask(&w, v->yes, err) < 0 || trusted_allow(&w, &t, err) < 0)
		return -1;
	log_info("allowed for '%s', until the profile changes", w.project);
	return 0;
}

const struct command *cmd_allow(void)
{
	static const struct command row = {
		.table =
			{.name = "allow",
			 .summary = "allow what the project's profile asks for",
			 .details =
				 "Show what the project's profile asks for beyond its own folder, and allow it once\n"
				 "you agree.  A changed profile asks again.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = allow,
	};

	return &row;
}
