#include "cli/build_check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/build.h"
#include "cli/care.h"
#include "run/view.h"
#include "store/diff.h"
#include "store/layer.h"
#include "store/tree.h"

/* Of what differs, the first few names are told. */
#define NAMES_MAX 8
#define NAMES_SIZE 512

struct comparing {
	int fd[2];
	char *names; /* shared, NAMES_SIZE */
	size_t n;
};

static void tell(struct comparing *c, const char *path)
{
	size_t used = strlen(c->names);

	c->n++;
	if (c->n <= NAMES_MAX)
		(void)snprintf(c->names + used, NAMES_SIZE - used, "%s/%s", used ? ", " : "", path);
	else if (c->n == NAMES_MAX + 1)
		(void)snprintf(c->names + used, NAMES_SIZE - used, ", …");
}

static void digest_of(int tree, const struct entry *e, char ret[DIGEST_HEX + 1])
{
	_cleanup_fd_ int fd = -1;
	_cleanup_digest_ struct digest *d = digest_new();
	char piece[16384];
	ssize_t n;

	if (S_ISREG(e->st.st_mode))
		(void)fs_open_beneath(tree, e->path, O_RDONLY | O_NOFOLLOW, 0, &fd, NULL);
	while (fd >= 0 && (n = read(fd, piece, sizeof(piece))) > 0)
		digest_add(d, piece, (size_t)n);
	digest_end(TAKE_PTR(d), ret);
}

static bool same(const struct comparing *c, const struct entry *x, const struct entry *y)
{
	char first[DIGEST_HEX + 1];
	char second[DIGEST_HEX + 1];

	if (x->st.st_mode != y->st.st_mode || x->st.st_uid != y->st.st_uid ||
	    x->st.st_gid != y->st.st_gid || x->verdict != y->verdict || x->opaque != y->opaque)
		return false;
	/* The times of folders without a change of their own are none of a layer's tree alone. */
	if (S_ISREG(x->st.st_mode) &&
	    (x->st.st_mtim.tv_sec != y->st.st_mtim.tv_sec || x->st.st_size != y->st.st_size))
		return false;
	digest_of(c->fd[0], x, first);
	digest_of(c->fd[1], y, second);
	return strcmp(first, second) == 0;
}

static int compare_inside(void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct comparing *c = arg;
	struct entries x = {0};
	struct entries y = {0};
	size_t i = 0;
	size_t j = 0;

	if (tree_entries(a, c->fd[0], &x, err) < 0 || tree_entries(a, c->fd[1], &y, err) < 0)
		return -1;
	while (i < x.n || j < y.n) {
		int order = i == x.n ? 1 : j == y.n ? -1 : strcmp(x.v[i].path, y.v[j].path);

		if (order != 0)
			tell(c, order < 0 ? x.v[i].path : y.v[j].path);
		else if (!same(c, &x.v[i], &y.v[j]))
			tell(c, x.v[i].path);
		i += order <= 0;
		j += order >= 0;
	}
	return 0;
}

static int open_tree_of(struct build *b, const struct build_made *m, int *ret_fd, struct err *err)
{
	return layer_open_tree(b->a, b->store, m->digest, m->tree, ret_fd, err);
}

static int differs(struct build *b, const struct build_made *x, const struct build_made *y,
		   struct err *err)
{
	_cleanup_fd_ int first = -1;
	_cleanup_fd_ int second = -1;
	struct comparing c = {.names = care_shared(NAMES_SIZE)};

	if (x->digest[0] && y->digest[0]) {
		if (open_tree_of(b, x, &first, err) < 0 || open_tree_of(b, y, &second, err) < 0)
			return -1;
		c.fd[0] = first;
		c.fd[1] = second;
		if (userns_call(b->any, compare_inside, &c, err) < 0)
			return -1;
	}
	err_set(err, "%s: the layer is another one the second time: %s", x->text,
		c.names[0] ? c.names : "the times of folders, or there was no change at all");
	(void)build_failed_at(b, x->file, x->line, err);
	return err_hint(err,
			"what a command writes there depends on the time, on random numbers or on "
			"the network: make it write the same, or remove it in the same step");
}

int build_check(struct build *b, struct err *err)
{
	const struct build_made *made = b->made;
	const struct build_stage *stage;
	size_t n = b->n_made;

	log_info("once more, to compare");
	if (build_stages(b, &stage, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (strcmp(made[i].digest, b->made[i].digest) != 0)
			return differs(b, &made[i], &b->made[i], err);
	log_info("the same again: %zu layers", n);
	return 0;
}
