#include <fcntl.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/profile_json.h"
#include "store/project.h"

/* A profile is a page of text; more is a mistake. */
#define PROFILE_MAX (1U << 20)

struct values {
	struct where where; /* its env is not used */
	bool json;
};

static const struct opt opts[] = {
	OPT_DIRECTORY(struct values),
	{"json", 0, NULL, offsetof(struct values, json), "as JSON (list and show)"},
	{0},
};

static int list(struct arena *a, bool json, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct named_profile *v;
	size_t n;

	if (project_list_named(a, &v, &n, err) < 0)
		return -1;
	if (json) {
		json_t *root = json_array();

		for (size_t i = 0; i < n; i++)
			json_array_append_new(root, json_pack("{s:o, s:o, s:o}", "name",
							      out_json_string(v[i].name), "file",
							      out_json_string(v[i].file), "summary",
							      out_json_string(v[i].summary)));
		return out_json(root, err);
	}
	for (size_t i = 0; i < n; i++) {
		out_cell(&b, v[i].name, 15);
		buf_adds(&b, " ");
		out_cell(&b, v[i].summary ? v[i].summary : "", 0);
		buf_adds(&b, "\n");
	}
	return out_write(&b, err);
}

/* The named profile, or the project's. */
static int load(struct arena *a, const struct values *v, const char *name,
		const struct profile **ret, struct err *err)
{
	struct profile_source source = {0};
	const char *cwd;
	const char *project;

	if (name) {
		if (project_find_named(NULL, a, name, &source, err) < 0)
			return -1;
		return profile_parse(a, &source, project_find_named, NULL, ret, err);
	}
	if (open_cwd(a, v->where.dir, &cwd, err) < 0 || project_find(a, cwd, &project, err) < 0)
		return -1;
	return project_profile(a, project, ret, err);
}

static int show(struct arena *a, const struct values *v, const char *name, struct err *err)
{
	_cleanup_buf_ struct buf ini = {0};
	_cleanup_buf_ struct buf shown = {0};
	const struct profile *p;

	if (load(a, v, name, &p, err) < 0)
		return -1;
	if (v->json)
		return out_json(profile_json(p), err);
	profile_print(p, &ini);
	str_escape_text(&shown, ini.p, ini.len);
	return out_write(&shown, err);
}

static int load_file(struct arena *a, const char *file, const struct profile **ret, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};

	if (fs_read_at(AT_FDCWD, file, PROFILE_MAX, &text, err) < 0)
		return -1;

	const struct profile_source source = {
		.file = file,
		.text = text.p ? text.p : "",
		.len = text.len,
	};

	return profile_parse(a, &source, project_find_named, NULL, ret, err);
}

/* What is written well may still ask for what sbx, or this machine, cannot do: planning it tells. */
static int check(struct arena *a, const struct values *v, const char *file, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const struct plan *plan;

	if (file) {
		if (open_cwd(a, v->where.dir, &w.cwd, err) < 0 ||
		    load_file(a, file, &w.profile, err) < 0 || store_open(a, &w.store, err) < 0)
			return -1;
		w.project = w.cwd;
		w.env_name = "default";
	} else if (open_project(a, &v->where, &w, err) < 0 || open_profile(a, &w, err) < 0) {
		return -1;
	}
	if (open_plan(a, &w, &plan, err) < 0)
		return -1;
	log_info("%s: no mistake found", w.profile->files.v[0].s);
	return 0;
}

static int profile(const struct cli *cli, const void *values, struct err *err)
{
	static const char *const words[] = {"list", "show", "check", NULL};
	const char *word = cli->args.v[0];
	const char *name = cli->args.v[1];

	if (opt_word("profile", word, words, err) < 0)
		return -1;
	if (strcmp(word, "show") == 0)
		return show(cli->a, values, name, err);
	if (strcmp(word, "check") == 0)
		return check(cli->a, values, name, err);
	if (name)
		return err_kind(err, ERR_USAGE,
				"'sbx profile list' has no use for the argument '%s'", name);
	return list(cli->a, ((const struct values *)values)->json, err);
}

const struct command *cmd_profile(void)
{
	static const struct command row = {
		.table =
			{.name = "profile",
			 .args = "list | show [NAME] | check [FILE]",
			 .summary = "list, show or check profiles",
			 .details =
				 "list    the named profiles that `extends` and `sbx init` know\n"
				 "show    one of them, or the project's own, merged with all that it extends;\n"
				 "        each line tells the file and line that it comes from\n"
				 "check   say what is wrong in FILE, or in the project's sbx.ini",
			 .opts = opts,
			 .min_args = 1,
			 .max_args = 2},
		.values_size = sizeof(struct values),
		.run = profile,
	};

	return &row;
}
