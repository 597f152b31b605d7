#include "cli/vscode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/shim.h"
#include "conf/profile.h"

#define SETTINGS "settings.json"
#define SETTINGS_LIMIT (1U << 20)

/* Which command a profile is about. */
static const struct {
	const char *profile, *tool;
} about[] = {
	/* clang-format off */
	{"c", "clangd"},
	{"c", "cmake"},
	{"data", "python3"},
	{"go", "dlv"},
	{"go", "go"},
	{"go", "gopls"},
	{"jupyter", "python3"},
	{"node", "node"},
	{"python", "python3"},
	{"rust", "rust-analyzer"},
	/* clang-format on */
};

/* Where its path goes; some have one key for all of theirs, with an object behind it. */
static const struct {
	const char *tool, *key, *member;
} settings[] = {
	{"clangd", "clangd.path"},
	{"cmake", "cmake.cmakePath"},
	{"dlv", "go.alternateTools", "dlv"},
	{"go", "go.alternateTools", "go"},
	{"gopls", "go.alternateTools", "gopls"},
	{"node", "eslint.runtime"},
	{"python3", "python.defaultInterpreterPath"},
	{"rust-analyzer", "rust-analyzer.server.path"},
};

#define N_ABOUT (sizeof(about) / sizeof(about[0]))
#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))

static bool is_of(const struct profile *p, const char *name)
{
	for (size_t i = 0; i < p->files.n; i++) {
		const char *base = path_base(p->files.v[i].s);

		if (str_starts(base, name) && str_eq(base + strlen(name), ".ini"))
			return true;
	}
	return false;
}

void vscode_tools(struct arena *a, const struct profile *p, struct strv *ret)
{
	for (size_t i = 0; i < N_ABOUT; i++)
		if (is_of(p, about[i].profile) && !strv_contains(ret, about[i].tool))
			strv_push(a, ret, about[i].tool);
}

static const char *path_of(struct arena *a, const char *tool)
{
	return arena_printf(a, "${workspaceFolder}/" SHIM_FOLDER "/%s", tool);
}

/* `"KEY": "PATH"` of each, for somebody who has to write it himself. */
static int refuse(struct arena *a, const char *project, const struct strv *tools, const char *why,
		  struct err *err)
{
	_cleanup_buf_ struct buf lines = {0};

	buf_adds(&lines, "");
	for (size_t i = 0; i < N_SETTINGS; i++) {
		const char *key = settings[i].key;
		const char *member = settings[i].member;
		const char *path = path_of(a, settings[i].tool);
		bool again = i > 0 && str_eq(settings[i - 1].key, key);

		if (!strv_contains(tools, settings[i].tool))
			continue;
		if (!member)
			buf_printf(&lines, "\n\"%s\": \"%s\",", key, path);
		else if (again)
			buf_printf(&lines, " \"%s\": \"%s\"", member, path);
		else
			buf_printf(&lines, "\n\"%s\": { \"%s\": \"%s\"", key, member, path);
		/* The tools of one key are all of one profile: they come together. */
		if (member)
			buf_adds(&lines, i + 1 < N_SETTINGS && str_eq(settings[i + 1].key, key)
						 ? ","
						 : " },");
	}
	(void)err_set(err, "cannot change '%s/.vscode/" SETTINGS "': %s", project, why);
	return err_hint(err, "comments and commas at an end are not understood; write yourself:%s",
			lines.p);
}

/* True where it was missing, and is set. */
static bool set_one(json_t *root, const char *key, const char *member, const char *value)
{
	json_t *in = root;
	const json_t *old = json_object_get(root, key);
	bool there = old != NULL;

	if (member) {
		if (!old)
			json_object_set_new(root, key, json_object());
		in = json_object_get(root, key);
		old = json_object_get(in, member);
		there = old || !json_is_object(in);
	}
	if (!there) {
		json_object_set_new(in, member ? member : key, json_string(value));
		return true;
	}
	if (!str_eq(json_string_value(old), value))
		log_warn("'%s'%s%s in .vscode/" SETTINGS
			 " stays as it is; sbx would set it to '%s'",
			 key, member ? " of " : "", member ? member : "", value);
	return false;
}

static int save(int dir, const char *project, const json_t *root, struct err *err)
{
	_cleanup_free_ char *text = json_dumps(root, JSON_INDENT(4) | JSON_PRESERVE_ORDER);
	_cleanup_buf_ struct buf b = {0};

	if (!text)
		return err_set(err, "cannot write the settings: no memory");
	buf_printf(&b, "%s\n", text);
	if (fs_write_atomic(dir, SETTINGS, b.p, b.len, 0644, err) < 0)
		return err_prefix(err, "%s/.vscode", project);
	log_info("wrote '%s/.vscode/" SETTINGS "'", project);
	return 0;
}

static int open_folder(const char *project, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int top = open(project, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int dir = -1;

	if (top < 0 || (mkdirat(top, ".vscode", 0777) < 0 && errno != EEXIST))
		return err_errno(err, errno, "cannot make '%s/.vscode'", project);
	dir = openat(top, ".vscode", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_errno(err, errno, "cannot open '%s/.vscode'", project);
	*ret_fd = TAKE_FD(dir);
	return 0;
}

int vscode_write(struct arena *a, const char *project, const struct strv *tools, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	_cleanup_fd_ int dir = -1;
	json_error_t why = {0};
	struct err e = {0};
	bool changed = false;
	json_t *root;
	int r = 0;

	if (open_folder(project, &dir, err) < 0)
		return -1;
	if (fs_read_at(dir, SETTINGS, SETTINGS_LIMIT, &text, &e) < 0 && e.errnum != ENOENT) {
		*err = e;
		return -1;
	}
	root = text.len ? json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, &why)
			: json_object();
	if (!json_is_object(root)) {
		const char *what =
			root ? "it is no JSON object"
			     : arena_printf(a, "line %d is no plain JSON (%s)", why.line, why.text);

		json_decref(root);
		return refuse(a, project, tools, what, err);
	}
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (strv_contains(tools, settings[i].tool) &&
		    set_one(root, settings[i].key, settings[i].member,
			    path_of(a, settings[i].tool)))
			changed = true;
	if (changed)
		r = save(dir, project, root, err);
	json_decref(root);
	return r;
}
