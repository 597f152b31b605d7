#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/base.h"
#include "cli/bootstrap.h"
#include "cli/command.h"
#include "cli/create.h"
#include "cli/detect.h"
#include "cli/images.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/shim.h"
#include "cli/trusted.h"
#include "cli/vscode.h"
#include "conf/profile.h"
#include "store/project.h"

struct values {
	struct where where; /* its env is not used: an environment is made when it is entered */
	const char *base;
	bool bootstrap;
	const char *name;
	bool vscode;
};

static const struct opt opts[] = {
	OPT_DIRECTORY(struct values),
	{"base", 0, "REF", offsetof(struct values, base), "the base image [the profile's]"},
	{"bootstrap", 0, NULL, offsetof(struct values, bootstrap),
	 "make the base, a release such as debian:bookworm, by mmdebstrap"},
	{"name", 0, "NAME", offsetof(struct values, name), "its name [the folder's]"},
	{"vscode", 0, NULL, offsetof(struct values, vscode),
	 "make launchers, and settings of VS Code that use them"},
	{0},
};

static void compose(const struct values *v, const char *base, const char *profile, struct buf *b)
{
	buf_adds(
		b,
		"; The environment of this project: sbx.ini(5).  `sbx enter` opens a shell in it.\n"
		"[profile]\n");
	if (v->name)
		buf_printf(b, "name = %s\n", v->name);
	buf_printf(b, "extends = %s\n", profile);
	if (base)
		buf_printf(b, "\n[base]\nimage = %s\n", base);
	buf_adds(
		b,
		"\n"
		"; What follows shows what there is; take away the first ; to use it.\n"
		"\n"
		";[env]\n"
		";pass = EDITOR                ; variables taken over from outside\n"
		";set.GREETING = hello         ; variables set inside\n"
		"\n"
		";[mounts]\n"
		";~/data = /data:ro            ; a folder outside = where it shows inside[:ro|rw]\n"
		"\n"
		";[network]\n"
		";mode = none                  ; slirp: a network of its own; none; host\n"
		"\n"
		";[sandbox]\n"
		";linger = 5m                  ; how long it stays warm after the last command\n");
}

/* The words of a command line go into a line of a file: none may be more than a value. */
static int check_word(const char *what, const char *word, struct err *err)
{
	for (const char *c = word; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == ';' || *c == '#')
			return err_kind(
				err, ERR_USAGE,
				"cannot use the %s '%s': it has a character that sbx.ini cannot hold",
				what, word);
	}
	if (word[0] == '\0' || word[0] == ' ' || word[strlen(word) - 1] == ' ')
		return err_kind(err, ERR_USAGE,
				"cannot use the %s '%s': it is empty, or has blanks around it",
				what, word);
	return 0;
}

/* What was composed must parse, so that a wrong name is found now and not by `sbx enter`. */
static int check_text(struct arena *a, const char *file, const struct buf *b, struct err *err)
{
	const struct profile_source source = {.file = file, .text = b->p, .len = b->len};
	const struct profile *p;

	if (profile_parse(a, &source, project_find_named, NULL, &p, err) == 0)
		return 0;
	err_prefix(err, "cannot make '%s'", file);
	err->kind = ERR_USAGE;
	return -1;
}

/* A project that holds the store would give what runs inside every environment there is. */
static int check_place(struct arena *a, const char *dir, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;

	if (store_open(a, &w.store, err) < 0)
		return -1;
	if (!path_is_under(w.store.dir, dir))
		return 0;
	err_set(err, "cannot make a project of '%s': it holds the store of sbx, '%s'", dir,
		w.store.dir);
	return err_hint(err, "make a folder for the project, and run sbx init in it");
}

/* What was named is fetched at once: a name that is wrong is found now.  The profile stays in any case. */
static int fetch(struct arena *a, const char *dir, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const struct where where = {.dir = dir};
	struct base base = {0};
	const struct plan *plan;

	if (open_project(a, &where, &w, err) < 0 || open_profile(a, &w, err) < 0)
		return -1;
	if (!profile_is_image(w.profile))
		return 0;
	/* The user has just named it himself. */
	if (images_plan(a, &w.store, &plan, err) < 0 ||
	    base_get(a, &(struct base_for){&w.store, w.project, plan, true}, w.profile, &base,
		     err) < 0)
		return -1;
	log_info("'%s' is there: %zu layer%s", base.ref, base.chain.n,
		 base.chain.n == 1 ? "" : "s");
	base_done(&w.store, &base);
	return 0;
}

/*
 * What the user has just named himself need not be asked for: that image, and nothing else.  Where PROFILE asks for
 * more, all of it is asked.
 */
static int allow_base(struct arena *a, const char *dir, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const struct where where = {.dir = dir};
	struct trusted t;

	if (open_project(a, &where, &w, err) < 0 || open_profile(a, &w, err) < 0 ||
	    trusted_look(a, &w, &t, err) < 0)
		return -1;
	for (size_t i = 0; i < t.n; i++)
		if (!str_eq(t.v[i].at.file, w.profile->base.at.file) ||
		    t.v[i].at.line != w.profile->base.at.line)
			return 0;
	return t.n > 0 ? trusted_allow(&w, &t, err) : 0;
}

/* Without a name: what the files in the folder speak for, if the user agrees where he can be asked. */
static const char *propose(struct arena *a, const char *dir)
{
	struct detected d = detect_profile(a, dir);

	if (!d.profile)
		return "default";
	if (out_can_ask()) {
		const char *question = arena_printf(
			a, "sbx: there is '%s': begin with the profile '%s'?", d.file, d.profile);

		return out_ask_yes(question) ? d.profile : "default";
	}
	log_info("there is '%s': the profile is '%s' ('sbx init default' would take the plain one; "
		 "'sbx profile list' shows all)",
		 d.file, d.profile);
	return d.profile;
}

/* Launchers of what the profile is about, and the editor's settings.  sbx.ini is there. */
static int set_up_vscode(struct arena *a, const char *dir, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const struct where where = {.dir = dir};
	struct strv tools = {0};

	if (open_project(a, &where, &w, err) < 0 || open_profile(a, &w, err) < 0)
		return -1;
	vscode_tools(a, w.profile, &tools);
	if (tools.n == 0) {
		(void)err_set(err, "cannot tell which programs VS Code should use for '%s'",
			      w.project);
		return err_hint(err,
				"extends = python, c, rust, go, node … in sbx.ini tells; or make "
				"launchers by sbx shim CMD");
	}
	if (shim_make(a, &w.store, w.project, (const char *const *)tools.v, err) < 0)
		return -1;
	return vscode_write(a, w.project, &tools, err);
}

static int check_words(const struct values *v, const char *profile, struct err *err)
{
	if (profile && check_word("profile", profile, err) < 0)
		return -1;
	if (v->base && check_word("base", v->base, err) < 0)
		return -1;
	return v->name ? check_word("name", v->name, err) : 0;
}

static int init(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	const char *profile = cli->args.v[0];
	_cleanup_buf_ struct buf b = {0};
	const char *base = v->base;
	const char *dir;

	if (v->bootstrap && !v->base)
		return err_kind(err, ERR_USAGE,
				"sbx init --bootstrap needs --base: a release such as "
				"debian:bookworm");
	if (v->bootstrap && bootstrap_name(cli->a, v->base, &base, err) < 0)
		return -1;
	if (check_words(v, profile, err) < 0 || open_cwd(cli->a, v->where.dir, &dir, err) < 0 ||
	    check_place(cli->a, dir, err) < 0)
		return -1;

	const char *file = path_join(cli->a, dir, PROJECT_FILE);

	/* In a project that is there already, only the editor is to be set up. */
	if (v->vscode && !profile && access(file, F_OK) == 0)
		return set_up_vscode(cli->a, dir, err);
	if (!profile)
		profile = propose(cli->a, dir);

	compose(v, base, profile, &b);
	if (check_text(cli->a, file, &b, err) < 0)
		return -1;
	if (create_file(dir, PROJECT_FILE, &b, err) < 0) {
		if (err->errnum == EEXIST)
			err_hint(err, "edit it, or remove it first; sbx enter uses it");
		return -1;
	}
	log_info("wrote '%s'; next: sbx enter", file);
	if (v->base && allow_base(cli->a, dir, err) < 0)
		return -1;
	if (v->bootstrap && bootstrap_make(cli->a, dir, v->base, err) < 0)
		return -1;
	if (v->base && fetch(cli->a, dir, err) < 0)
		return -1;
	return v->vscode ? set_up_vscode(cli->a, dir, err) : 0;
}

const struct command *cmd_init(void)
{
	static const struct command row = {
		.table =
			{.name = "init",
			 .args = "[PROFILE]",
			 .summary = "make the folder a project: write its sbx.ini",
			 .details =
				 "Make the current folder a project: write an sbx.ini that extends PROFILE\n"
				 "(`sbx profile list` shows them; without it, what the files in the folder\n"
				 "speak for, else default).  One that is there is kept.",
			 .opts = opts,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = init,
	};

	return &row;
}
