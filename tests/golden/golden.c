/*
 * golden — each x.ini here, with the facts of default.facts and x.facts, gives x.plan, or x.err
 * where it is refused.
 *
 *     golden [FOLDER]          compare; TAP on stdout
 *     UPDATE_GOLDEN=1 golden   rewrite what differs: read the diff before committing it
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/profile.h"
#include "facts.h"
#include "plan/plan.h"

#define FILE_LIMIT 65536

/* A missing file leaves `ret` empty and returns 1. */
static int read_text(int dir_fd, const char *name, struct buf *ret, struct err *err)
{
	if (faccessat(dir_fd, name, F_OK, 0) < 0 && errno == ENOENT)
		return 1;
	return fs_read_at(dir_fd, name, FILE_LIMIT, ret, err);
}

struct finding {
	int dir_fd;
};

/* `extends = NAME` finds NAME.profile: the installed ones, which are trusted. */
static int find_profile(void *ctx, struct arena *a, const char *name, struct profile_source *ret,
			struct err *err)
{
	const struct finding *f = ctx;
	_cleanup_buf_ struct buf text = {0};
	int missing = read_text(f->dir_fd, arena_printf(a, "%s.profile", name), &text, err);

	if (missing < 0)
		return -1;
	if (missing > 0)
		return err_set(err, "there is no profile '%s'", name);
	ret->file = arena_printf(a, "/profiles/%s.ini", name);
	ret->text = arena_strndup(a, text.p ? text.p : "", text.len);
	ret->len = text.len;
	ret->trusted = true;
	return 0;
}

static int load_facts(struct arena *a, int dir_fd, const char *name, struct case_facts *facts,
		      struct err *err)
{
	const char *const files[] = {"default.facts", arena_printf(a, "%s.facts", name)};

	facts->env.kept_rung = -1;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_buf_ struct buf text = {0};

		if (read_text(dir_fd, files[i], &text, err) < 0)
			return -1;
		if (facts_read(a, files[i], text.p ? text.p : "", facts, err) < 0)
			return -1;
	}
	return 0;
}

static int make(struct arena *a, int dir_fd, const char *name, struct buf *ret, struct err *err)
{
	struct case_facts facts = {0};
	_cleanup_buf_ struct buf text = {0};
	struct finding finding = {.dir_fd = dir_fd};
	struct profile_source source = {.file = "sbx.ini"};
	const struct profile *profile;
	const struct plan *plan;

	if (load_facts(a, dir_fd, name, &facts, err) < 0)
		return -1;
	if (read_text(dir_fd, arena_printf(a, "%s.ini", name), &text, err) < 0)
		return -1;
	source.text = text.p ? text.p : "";
	source.len = text.len;
	if (profile_parse(a, &source, find_profile, &finding, &profile, err) < 0)
		return -1;
	if (plan_make(a, profile, &facts.facts, &facts.env, &plan, err) < 0)
		return -1;
	plan_show(plan, ret);
	return 0;
}

static void put_line(struct buf *b, const char *prefix, const char *s)
{
	buf_adds(b, prefix);
	str_escape(b, s, strlen(s));
	buf_adds(b, "\n");
}

/* Where the first difference is, as TAP comments. */
static void explain(const char *want, const char *got)
{
	int line = 1;

	while (*want != '\0' && *got != '\0') {
		size_t w = strcspn(want, "\n");
		size_t g = strcspn(got, "\n");

		if (w != g || memcmp(want, got, w) != 0)
			break;
		want += w + (want[w] == '\n');
		got += g + (got[g] == '\n');
		line++;
	}
	printf("# line %d\n#  want: %.*s\n#   got: %.*s\n", line, (int)strcspn(want, "\n"), want,
	       (int)strcspn(got, "\n"), got);
}

static bool check(int dir_fd, const char *name, bool update)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf got = {0};
	_cleanup_buf_ struct buf want = {0};
	struct err err = {0};
	bool refused = make(a, dir_fd, name, &got, &err) < 0;
	const char *file = arena_printf(a, "%s.%s", name, refused ? "err" : "plan");
	const char *other = arena_printf(a, "%s.%s", name, refused ? "plan" : "err");
	struct err io = {0};

	if (refused) {
		put_line(&got, "", err.msg);
		if (err.hint[0] != '\0')
			put_line(&got, "hint: ", err.hint);
	}
	if (read_text(dir_fd, file, &want, &io) == 0 && want.len == got.len &&
	    memcmp(want.p, got.p, got.len) == 0 && faccessat(dir_fd, other, F_OK, 0) < 0)
		return true;
	explain(want.p ? want.p : "", got.p);
	if (!update)
		return false;
	(void)unlinkat(dir_fd, other, 0);
	return fs_write_atomic(dir_fd, file, got.p, got.len, 0644, &io) == 0;
}

static int is_case(const struct dirent *entry)
{
	return str_ends(entry->d_name, ".ini") ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : ".";
	const char *update = getenv("UPDATE_GOLDEN");
	_cleanup_fd_ int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **cases = NULL;
	int n = dir_fd < 0 ? -1 : scandirat(dir_fd, ".", &cases, is_case, alphasort);
	int failed = 0;

	if (n <= 0) {
		printf("Bail out! no cases in '%s'\n", dir);
		return 1;
	}
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		char *name = cases[i]->d_name;

		name[strlen(name) - strlen(".ini")] = '\0';
		if (check(dir_fd, name, update && update[0] == '1')) {
			printf("ok %d - %s\n", i + 1, name);
		} else {
			printf("not ok %d - %s\n", i + 1, name);
			failed++;
		}
		free(cases[i]);
	}
	free(cases);
	return failed > 0 ? 1 : 0;
}
