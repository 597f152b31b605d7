#include "cli/build_recipe.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "conf/profile.h"
#include "store/context.h"

/* What parts the words of a shell, and the name from the value of an option. */
#define BETWEEN " \t'\"=;|&()<>`,"

/* Each start of a sandbox looks at them: no large file is read for that. */
#define WHOLE_MAX ((size_t)1 << 20)

/* The path below the project; NULL: it is none. */
static const char *below(struct arena *a, const struct build_words *w, const char *word)
{
	const char *path = path_clean(a, word[0] == '/' ? word : path_join(a, w->cwd, word));

	if (!path || !path_is_under(path, w->project) || str_eq(path, w->project))
		return NULL;
	return path + strlen(w->project) + 1;
}

static void add_file(const struct build_words *w, const char *path, struct buf *ret)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_digest_ struct digest *d = NULL;
	char hex[DIGEST_HEX + 1];
	char piece[16384];
	struct stat st;
	ssize_t n;

	if (fs_open_beneath(w->project_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, NULL) <
		    0 ||
	    fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	buf_add(ret, path, strlen(path) + 1);
	if ((uintmax_t)st.st_size > w->whole) {
		buf_printf(ret, "%jd\n", (intmax_t)st.st_size);
		return;
	}
	d = digest_new();
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		digest_add(d, piece, (size_t)n);
	digest_end(TAKE_PTR(d), hex);
	buf_printf(ret, "%s\n", hex);
}

void build_recipe_files(struct arena *a, const struct build_words *w, const char *text,
			struct buf *ret)
{
	while (*text) {
		size_t n = strcspn(text, BETWEEN);
		const char *path;

		if (n > 0 && n < PATH_MAX && *text != '-') {
			path = below(a, w, arena_strndup(a, text, n));
			if (path)
				add_file(w, path, ret);
		}
		text += n;
		text += strspn(text, BETWEEN);
	}
}

/* What COPY names, patterns too; of folders their names alone. */
static void add_sources(struct arena *a, const struct build_words *w, const char *text,
			struct buf *ret)
{
	const struct context context = {.fd = w->project_fd};
	struct err why = {0};
	struct cf_step step;

	if (containerfile_step(a, CF_COPY, text, &step, &why) < 0 || cf_flag(&step, "from"))
		return;
	for (size_t i = 0; i + 1 < step.n_args; i++) {
		struct strv paths = {0};

		/* What is missing is the build's to say. */
		if (context_find(a, &context, step.args[i], &paths, &why) < 0)
			continue;
		for (size_t k = 0; k < paths.n; k++)
			add_file(w, paths.v[k], ret);
	}
}

void build_recipe(struct arena *a, const struct profile *p, const char *project,
		  char ret[DIGEST_HEX + 1])
{
	_cleanup_fd_ int fd = open(project, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct build_words w = {fd, project, project, WHOLE_MAX};
	_cleanup_buf_ struct buf text = {0};

	ret[0] = '\0';
	if (p->build.n == 0)
		return;
	buf_printf(&text, "sbx recipe 1\nbase %s\n", profile_base(a, p));
	for (size_t i = 0; i < p->build.n; i++) {
		const struct build_value *v = &p->build.v[i];

		buf_printf(&text, "%s ", build_step_name(v->kind));
		buf_add(&text, v->s, strlen(v->s) + 1);
		if (v->kind == CF_WORKDIR && !strchr(v->s, '$'))
			w.cwd = v->s[0] == '/' ? v->s : path_join(a, w.cwd, v->s);
		if (v->kind == CF_COPY)
			add_sources(a, &w, v->s, &text);
		else if (v->kind == CF_RUN)
			build_recipe_files(a, &w, v->s, &text);
	}
	digest_sha256(text.p, text.len, ret);
}
