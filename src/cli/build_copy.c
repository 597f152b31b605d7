/*
 * COPY and ADD: files of the context, of another stage or image, and here-documents.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/build_config.h"
#include "cli/build_steps.h"
#include "plan/plan.h"
#include "store/accounts.h"
#include "store/build_env.h"
#include "store/context.h"
#include "store/links.h"
#include "store/place.h"
#include "store/unpack_into.h"

#define MODE_MAX 07777

struct copying {
	struct build *b;
	const struct cf_step *step;
	const struct build_stage *from; /* NULL: the context */
	struct strv sources;            /* expanded patterns */
	struct cf_heredoc *docs;        /* expanded */
	const char *dest;               /* absolute and clean */
	bool into;                      /* it was written as a folder, or holds several */
	const char *chown;              /* or NULL */
	bool set_mode;
	mode_t mode;
	bool unpack;
	char digest[DIGEST_HEX + 1]; /* of what the context gave when the key was made */

	/* In the child. */
	struct place place;
	struct digest *seen;
	const char *target; /* of the source at hand */
	const char *source;
};

/* ---- what is to be copied ---- */

static int expand_mode(struct copying *c, struct build_stage *stage, struct err *err)
{
	const char *text = cf_flag(c->step, "chmod");
	mode_t mode = 0;

	if (!text)
		return 0;
	if (build_expand(c->b, stage, text, &text, err) < 0)
		return -1;
	for (const char *d = text; *d; d++) {
		if (*d < '0' || *d > '7' || mode > MODE_MAX)
			return err_set(err, "'%s' is not a mode in octal", text);
		mode = (mode << 3) | (mode_t)(*d - '0');
	}
	if (!*text || mode > MODE_MAX)
		return err_set(err, "'%s' is not a mode in octal", text);
	c->set_mode = true;
	c->mode = mode;
	return 0;
}

static bool is_remote(const char *s)
{
	return strstr(s, "://") || str_starts(s, "git@");
}

static int expand_docs(struct copying *c, struct build_stage *stage, struct err *err)
{
	const struct cf_step *step = c->step;

	c->docs = arena_alloc(c->b->a, (step->n_heredocs + 1) * sizeof(*c->docs));
	for (size_t i = 0; i < step->n_heredocs; i++) {
		const struct cf_expand how = {.escape = c->b->file->escape,
					      .lookup = build_lookup,
					      .ctx = stage,
					      .keep_quotes = true};

		c->docs[i] = step->heredocs[i];
		if (strchr(c->docs[i].name, '/') || str_eq(c->docs[i].name, ".") ||
		    str_eq(c->docs[i].name, ".."))
			return err_set(err, "'%s' cannot be the name of a file", c->docs[i].name);
		if (c->docs[i].expand &&
		    containerfile_expand(c->b->a, &how, c->docs[i].text, &c->docs[i].text, err) < 0)
			return -1;
	}
	return 0;
}

static int expand(struct copying *c, struct build_stage *stage, struct err *err)
{
	const struct cf_step *step = c->step;
	const char *word;

	for (size_t i = 0; i + 1 < step->n_args; i++) {
		if (build_expand(c->b, stage, step->args[i], &word, err) < 0)
			return -1;
		if (c->unpack && is_remote(word)) {
			err_set(err, "it cannot fetch '%s'", word);
			return err_hint(err,
					"fetch it in a RUN, where its digest can be checked: RUN "
					"curl -fLo … && sha256sum -c …");
		}
		strv_push(c->b->a, &c->sources, word);
	}
	if (build_expand(c->b, stage, step->args[step->n_args - 1], &word, err) < 0)
		return -1;
	if (!*word) {
		(void)err_set(err, "where to copy to is empty");
		return -1;
	}
	c->dest = build_path(c->b, stage, word);
	if (c->b->of_profile && path_is_under(c->dest, c->b->context)) {
		(void)err_set(err, "'%s' lies in the project, which shows there as it is", c->dest);
		(void)err_hint(err, "copy to an absolute path outside of it, such as /opt/, or put "
				    "`workdir = /opt` before");
		return -1;
	}
	c->into = str_ends(word, "/") || str_ends(word, "/.") || str_eq(word, ".");
	if (step->n_args - 1 + step->n_heredocs > 1 && !c->into) {
		(void)err_set(err, "with more than one source, '%s' must end with a slash", word);
		return -1;
	}
	c->chown = cf_flag(step, "chown");
	if (c->chown && build_expand(c->b, stage, c->chown, &c->chown, err) < 0)
		return -1;
	return expand_mode(c, stage, err) < 0 || expand_docs(c, stage, err) < 0 ? -1 : 0;
}

/* ---- the digest ---- */

static int digest_item(void *arg, const struct context_item *item, struct err *err)
{
	return context_digest(arg, item, false, err);
}

static int digest_source(struct copying *c, const struct context *context, const char *pattern,
			 struct digest *d, struct err *err)
{
	struct strv paths = {0};

	if (context_find(c->b->a, context, pattern, &paths, err) < 0)
		return -1;
	for (size_t i = 0; i < paths.n; i++) {
		digest_add(d, paths.v[i], strlen(paths.v[i]) + 1);
		if (context_walk(context, paths.v[i], digest_item, d, err) < 0)
			return -1;
	}
	return 0;
}

static int digest_context(struct copying *c, struct err *err)
{
	const struct context context = {.fd = c->b->context_fd, .ignore = &c->b->ignore};
	_cleanup_digest_ struct digest *d = digest_new();

	if (c->sources.n > 0 && c->b->context_fd < 0)
		return err_set(err, "there is no context to copy from");
	for (size_t i = 0; i < c->sources.n; i++)
		if (digest_source(c, &context, c->sources.v[i], d, err) < 0)
			return -1;
	digest_end(TAKE_PTR(d), c->digest);
	return 0;
}

static void add_key(struct copying *c, struct buf *key)
{
	buf_printf(key, "copy %d %d %d %o\n", c->unpack, c->into, c->set_mode, (unsigned)c->mode);
	buf_add(key, c->dest, strlen(c->dest) + 1);
	buf_add(key, c->chown ? c->chown : "-", strlen(c->chown ? c->chown : "-") + 1);
	for (size_t i = 0; i < c->sources.n; i++)
		buf_add(key, c->sources.v[i], strlen(c->sources.v[i]) + 1);
	for (size_t i = 0; i < c->step->n_heredocs; i++) {
		buf_add(key, c->docs[i].name, strlen(c->docs[i].name) + 1);
		buf_add(key, c->docs[i].text, strlen(c->docs[i].text) + 1);
	}
	if (!c->from) {
		buf_printf(key, "context %s\n", c->digest);
		return;
	}
	buf_printf(key, "from %d ", c->from->over_host);
	build_key_chain(c->from, key);
}

/* ---- in the child ---- */

static int put_item(void *arg, const struct context_item *item, struct err *err)
{
	struct copying *c = arg;
	_cleanup_arena_ struct arena *a = arena_new();
	bool folder = S_ISDIR(item->st.st_mode);

	if (!c->from && context_digest(c->seen, item, false, err) < 0)
		return -1;
	if (*item->to)
		return place_item(&c->place, path_join(a, c->target, item->to), item, err);
	if (folder) {
		c->target = c->dest;
		return place_is_folder(&c->place, c->dest) ? 0
							   : place_folder(&c->place, c->dest, err);
	}
	c->target = c->into || place_is_folder(&c->place, c->dest)
			    ? path_join(c->place.a, c->dest, path_base(c->source))
			    : c->dest;
	if (c->unpack && unpack_into_is_archive(item->fd))
		return unpack_into(&c->place, item->fd, c->dest, err);
	return place_item(&c->place, c->target, item, err);
}

static int put_source(struct copying *c, const struct context *context, const char *pattern,
		      struct err *err)
{
	struct strv paths = {0};

	if (context_find(c->place.a, context, pattern, &paths, err) < 0)
		return -1;
	if (paths.n > 1 && !c->into && !place_is_folder(&c->place, c->dest))
		return err_set(err, "'%s' stands for %zu files: '%s' must end with a slash",
			       pattern, paths.n, c->dest);
	for (size_t i = 0; i < paths.n; i++) {
		c->source = paths.v[i];
		if (!c->from)
			digest_add(c->seen, paths.v[i], strlen(paths.v[i]) + 1);
		if (context_walk(context, paths.v[i], put_item, c, err) < 0)
			return -1;
	}
	return 0;
}

static int put_doc(struct copying *c, const struct cf_heredoc *doc, struct err *err)
{
	_cleanup_fd_ int fd = memfd_create("sbx-here", MFD_CLOEXEC);
	struct context_item item = {.path = doc->name, .to = ""};

	if (fd < 0 || fs_write_all(fd, doc->text, strlen(doc->text)) < 0 || fstat(fd, &item.st) < 0)
		return err_errno(err, errno, "cannot write '%s'", doc->name);
	item.fd = fd;
	item.st.st_mode = S_IFREG | 0644;
	item.st.st_nlink = 1;
	return place_item(&c->place,
			  c->into || place_is_folder(&c->place, c->dest)
				  ? path_join(c->place.a, c->dest, doc->name)
				  : c->dest,
			  &item, err);
}

static int set_owner(struct copying *c, int root, struct err *err)
{
	struct account found;

	if (!c->chown)
		return 0;
	if (accounts_find(c->place.a, root, c->chown, &found, err) < 0)
		return -1;
	c->place.set_owner = true;
	c->place.uid = found.uid;
	/* Of a number alone the group is the same. */
	c->place.gid =
		isdigit((unsigned char)*c->chown) && !strchr(c->chown, ':') ? found.uid : found.gid;
	return 0;
}

/* What was taken is what the key says. */
static int check_digest(struct copying *c, struct err *err)
{
	char hex[DIGEST_HEX + 1];

	digest_end(TAKE_PTR(c->seen), hex);
	if (c->from || strcmp(hex, c->digest) == 0)
		return 0;
	err_set(err, "the context was changed while it was copied");
	return err_hint(err, "run sbx build again when nothing writes to it");
}

static int copy_inside(const struct view_roots *v, void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_links_ struct links *links = links_new();
	struct copying *c = arg;
	const struct context context = {
		.fd = c->from ? v->from : c->b->context_fd,
		.root = c->from != NULL,
		.ignore = c->from ? NULL : &c->b->ignore,
	};

	c->seen = digest_new();
	c->place = (struct place){
		.a = a,
		.root = v->root,
		.one_id = c->b->any->rung == RUNG_SINGLE,
		.keep_owners = c->from != NULL,
		.set_mode = c->set_mode,
		.mode = c->mode,
		.links = links,
	};
	if (set_owner(c, v->root, err) < 0)
		return -1;
	for (size_t i = 0; i < c->sources.n; i++)
		if (put_source(c, &context, c->sources.v[i], err) < 0)
			return -1;
	for (size_t i = 0; i < c->step->n_heredocs; i++)
		if (put_doc(c, &c->docs[i], err) < 0)
			return -1;
	return place_finish(&c->place, err) < 0 ? -1 : check_digest(c, err);
}

static int copy(struct build *b, struct build_stage *stage, struct env *env,
		const struct plan *plan, void *arg, struct err *err)
{
	struct copying *c = arg;
	struct env from = {.fd = -1};
	const struct plan *from_plan = NULL;
	int r;

	(void)stage;
	(void)env;
	if (c->from && build_look(b, c->from, &from, &from_plan, err) < 0)
		return -1;
	r = view_call_roots(plan, from_plan, copy_inside, c, err);
	if (c->from)
		build_env_remove(b->store, &from);
	return r;
}

/* --from: a stage by its name or number, else an image. */
static int find_from(struct build *b, struct build_stage *stage, struct copying *c, struct err *err)
{
	const char *name = cf_flag(c->step, "from");
	struct build_stage *image;

	if (!name)
		return 0;
	if (build_expand(b, stage, name, &name, err) < 0)
		return -1;
	c->from = build_find_stage(b, name);
	if (c->from == stage)
		return err_set(err, "a stage cannot copy from itself");
	if (c->from)
		return 0;
	image = ARENA_NEW(b->a, struct build_stage);
	c->from = image;
	return build_base(b, name, image, err);
}

int build_step_copy(struct build *b, struct build_stage *stage, const struct cf_step *step,
		    struct err *err)
{
	_cleanup_buf_ struct buf key = {0};
	struct copying c = {.b = b, .step = step, .unpack = step->kind == CF_ADD};
	const struct build_work work = {
		.step = step, .text = step->text, .key = &key, .fn = copy, .arg = &c};

	if (find_from(b, stage, &c, err) < 0 || expand(&c, stage, err) < 0 ||
	    (!c.from && digest_context(&c, err) < 0))
		return -1;
	add_key(&c, &key);
	return build_layer(b, stage, &work, err);
}
