/* What an image's layers and its config tell the plan.  Nothing of the image is followed out of it, or run. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/base.h"
#include "plan/host.h"
#include "plan/plan.h"
#include "store/layer.h"

/* Of passwd(5) and group(5): far more than a system has. */
#define TEXT_MAX ((size_t)1 << 20)
/* What a command could be given at all is less. */
#define ENV_MAX 1000U

struct trees {
	int *fd;
	size_t n; /* the topmost first */
};

static void trees_done(struct trees *t)
{
	for (size_t i = 0; i < t->n; i++)
		cleanup_fd(&t->fd[i]);
}

static void open_trees(struct arena *a, const struct store *s, const struct env *e,
		       struct trees *ret)
{
	ret->fd = arena_alloc(a, (e->image.n + 1) * sizeof(*ret->fd));
	for (size_t i = e->image.n; i-- > 0;) {
		const struct commit *c = &e->chain.v[i];
		struct err why = {0};

		if (layer_open_tree(a, s, c->digest, c->tree, &ret->fd[ret->n], &why) == 0)
			ret->n++;
	}
}

/* The topmost that has it, opened as a file of its own layer: links lead nowhere else. */
static int open_file(const struct trees *t, const char *path, int *ret_fd, struct stat *ret)
{
	for (size_t i = 0; i < t->n; i++) {
		_cleanup_fd_ int fd = -1;
		struct err why = {0};

		if (fs_open_in_root(t->fd[i], path, O_PATH, 0, &fd, &why) < 0) {
			if (why.errnum == ENOENT || why.errnum == ENOTDIR)
				continue;
			return -1;
		}
		if (fstat(fd, ret) < 0 || !S_ISREG(ret->st_mode))
			return -1;
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	return -1;
}

/* NULL where there is none that can be used: a pipe there is not waited for. */
static const char *read_text(struct arena *a, const struct trees *t, const char *path)
{
	_cleanup_buf_ struct buf text = {0};
	_cleanup_fd_ int at = -1;
	_cleanup_fd_ int fd = -1;
	char link[64];
	struct stat st;
	char part[4096];
	ssize_t n;

	if (open_file(t, path, &at, &st) < 0 || st.st_size > (off_t)TEXT_MAX)
		return NULL;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
	fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, part, sizeof(part))) > 0 && text.len < TEXT_MAX)
		buf_add(&text, part, (size_t)n);
	if (fd < 0 || (text.p && memchr(text.p, '\0', text.len)))
		return NULL;
	return arena_strndup(a, text.p ? text.p : "", text.len);
}

static bool has_program(const struct trees *t, const char *path)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	return open_file(t, path, &fd, &st) == 0 && (st.st_mode & 0111);
}

/* The user's own, if the image has it. */
static const char *find_shell(struct arena *a, const struct trees *t, const char *own)
{
	const char *const shells[] = {own, "/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh"};

	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
		if (shells[i] && shells[i][0] == '/' && has_program(t, shells[i] + 1))
			return arena_strdup(a, shells[i]);
	return NULL;
}

static const char *const *env_of(struct arena *a, const struct oci_config *c)
{
	struct strv list = {0};

	for (size_t i = 0; i < c->env.n && i < ENV_MAX; i++)
		strv_push(a, &list, c->env.v[i]);
	if (c->env.n > ENV_MAX)
		log_warn("the image sets %zu variables: only the first %u count", c->env.n,
			 ENV_MAX);
	return (const char *const *)list.v;
}

void base_facts(struct arena *a, const struct store *s, const struct env *e, const char *shell,
		struct plan_image *ret)
{
	__attribute__((cleanup(trees_done))) struct trees trees = {0};
	struct image_info info;
	struct err why = {0};

	*ret = (struct plan_image){
		.ref = e->image.ref,
		.digest = e->image.manifest,
		.layers = e->image.n,
		.over_host = e->image.over_host,
	};
	if (image_info(a, s, e->image.manifest, &info, &why) == 0)
		ret->env = env_of(a, &info.config);
	else
		log_warn("nothing of the configuration of '%s' counts: %s", e->image.ref, why.msg);
	if (e->image.over_host)
		return;
	open_trees(a, s, e, &trees);
	ret->passwd = read_text(a, &trees, "etc/passwd");
	ret->group = read_text(a, &trees, "etc/group");
	ret->shell = find_shell(a, &trees, shell);
}
