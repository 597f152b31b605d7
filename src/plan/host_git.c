#include "plan/host_git.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "conf/profile.h"
#include "plan/host.h"

#define CONFIG_MAX 65536
/* Files may include each other in a circle, and more than once. */
#define FILES_MAX 64

enum section { OTHER, USER, INCLUDE };

struct reading {
	struct arena *a;
	struct host_facts *f;
	const char *home;
	const char *repo; /* where the project's repository is, for the conditions */
	const char *file;
	int *files_left;
	enum section section;
};

static void read_file(const struct reading *from, const char *file);

static const char *folder_of(struct arena *a, const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash && slash > file ? arena_strndup(a, file, (size_t)(slash - file)) : "/";
}

/* The value behind '=', without quotes and comment; NULL where it has what a name has not. */
static const char *value_of(struct arena *a, const char *text)
{
	char *out = arena_alloc(a, strlen(text) + 1);
	size_t n = 0;
	bool quoted = false;

	for (const char *c = text; *c && (quoted || (*c != '#' && *c != ';')); c++) {
		if (*c == '"') {
			quoted = !quoted;
			continue;
		}
		if (*c == '\\' && c[1])
			c++;
		if ((unsigned char)*c < ' ' || *c == '"' || *c == '\\')
			return NULL;
		out[n++] = *c;
	}
	out[n] = '\0';
	out = str_trim(out);
	return *out ? out : NULL;
}

/* "~/x", or relative to the file that says it. */
static const char *whole_path(const struct reading *r, const char *path)
{
	if (str_starts(path, "~/"))
		return path_join(r->a, r->home, path + 2);
	return path[0] == '/' ? path : path_join(r->a, folder_of(r->a, r->file), path);
}

/* `gitdir:PATTERN`: without a folder at its start it holds anywhere, with '/' at its end for all below. */
static bool holds(const struct reading *r, const char *condition)
{
	const bool fold = str_starts(condition, "gitdir/i:");
	const char *pattern = condition + strlen(fold ? "gitdir/i:" : "gitdir:");

	if (!fold && !str_starts(condition, "gitdir:"))
		return false;
	if (str_starts(pattern, "~/") || pattern[0] == '/')
		pattern = whole_path(r, pattern);
	else if (str_starts(pattern, "./"))
		pattern = whole_path(r, pattern + 2);
	else
		pattern = arena_printf(r->a, "*/%s", pattern);
	if (str_ends(pattern, "/"))
		pattern = arena_printf(r->a, "%s*", pattern);
	return fnmatch(pattern, r->repo, fold ? FNM_CASEFOLD : 0) == 0;
}

/* [user], [include], [includeIf "CONDITION"] */
static enum section section_of(const struct reading *r, const char *line)
{
	static const char conditional[] = "[includeIf \"";
	const char *rest = line + sizeof(conditional) - 1;
	const char *end;

	if (strncasecmp(line, "[user]", 6) == 0)
		return USER;
	if (strncasecmp(line, "[include]", 9) == 0)
		return INCLUDE;
	if (strncasecmp(line, conditional, sizeof(conditional) - 1) != 0)
		return OTHER;
	end = strchr(rest, '"');
	return end && holds(r, arena_strndup(r->a, rest, (size_t)(end - rest))) ? INCLUDE : OTHER;
}

static void read_line(struct reading *r, char *line)
{
	const char *key;
	char *value;

	line = str_trim(line);
	if (*line == '[') {
		r->section = section_of(r, line);
		return;
	}
	value = strchr(line, '=');
	if (r->section == OTHER || !value)
		return;
	*value++ = '\0';
	key = str_trim(line);
	value = str_trim(value);
	if (r->section == USER && strcasecmp(key, "name") == 0)
		r->f->git_name = value_of(r->a, value);
	else if (r->section == USER && strcasecmp(key, "email") == 0)
		r->f->git_mail = value_of(r->a, value);
	else if (r->section == INCLUDE && strcasecmp(key, "path") == 0 && value_of(r->a, value))
		read_file(r, whole_path(r, value_of(r->a, value)));
}

static void read_file(const struct reading *from, const char *file)
{
	_cleanup_buf_ struct buf b = {0};
	struct reading r = *from;
	char *rest;

	r.file = file;
	r.section = OTHER;
	if ((*r.files_left)-- <= 0 || fs_read_at(AT_FDCWD, file, CONFIG_MAX, &b, NULL) < 0 || !b.p)
		return;
	rest = arena_strndup(r.a, b.p, b.len);
	while (rest) {
		char *line = strsep(&rest, "\n");

		read_line(&r, line);
	}
}

/* git reads both, and the second one wins. */
void host_git(struct arena *a, const struct profile *p, struct host_facts *f)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	const char *project = p->files.n ? folder_of(a, p->files.v[0].s) : "/";
	int files_left = FILES_MAX;
	struct reading r = {
		.a = a, .f = f, .repo = path_join(a, project, ".git"), .files_left = &files_left};

	r.home = home && home[0] == '/' ? home : f->home;
	config = config && config[0] == '/' ? config : path_join(a, r.home, ".config");
	read_file(&r, path_join(a, config, "git/config"));
	read_file(&r, path_join(a, r.home, ".gitconfig"));
}
