/*
 * containerfile — a Containerfile (Dockerfile) as data: its instructions, each with its line.
 *
 * What the reference says (docs.docker.com/reference/dockerfile), as far as sbx builds it; what it does not
 * do is refused with FILE:LINE.  Variables are not expanded here, for their values come from the base image
 * and from what went before: containerfile_expand does that to one word.
 */
#ifndef SBX_CONF_CONTAINERFILE_H
#define SBX_CONF_CONTAINERFILE_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct err;

#define CONTAINERFILE_MAX ((size_t)1 << 20) /* bytes of text */
#define CONTAINERFILE_STEPS 4096U

enum cf_kind {
	CF_FROM,
	CF_ARG,
	CF_RUN,
	CF_COPY,
	CF_ADD,
	CF_ENV,
	CF_LABEL,
	CF_WORKDIR,
	CF_USER,
	CF_EXPOSE,
	CF_VOLUME,
	CF_CMD,
	CF_ENTRYPOINT,
	CF_SHELL,
	CF_HEALTHCHECK,
	CF_STOPSIGNAL,
	CF_MAINTAINER,
};

/* ENV, LABEL and ARG; quotes and variables as written.  ARG without a default: value NULL. */
struct cf_pair {
	const char *name, *value;
};

/* <<NAME of RUN, COPY and ADD. */
struct cf_heredoc {
	const char *name;
	const char *text; /* without the line that ends it; tabs cut off where it was <<- */
	bool expand;      /* the name was not quoted */
};

/* --name=value before the arguments. */
struct cf_flag {
	const char *name, *value; /* value "" where there is no '=' */
};

struct cf_step {
	enum cf_kind kind;
	const char *file; /* NULL: the Containerfile's own */
	int line;
	const char *text; /* the instruction in one line, for messages and the history */
	bool exec;        /* the arguments are a JSON array */
	/*
	 * The arguments, NULL-terminated.  RUN, CMD, ENTRYPOINT, HEALTHCHECK in shell form: one, the command, with
	 * its here-documents behind it.  COPY, ADD: the sources, then where to.  FROM: the image.
	 */
	const char *const *args;
	size_t n_args;
	const struct cf_pair *pairs;
	size_t n_pairs;
	const struct cf_flag *flags;
	size_t n_flags;
	const struct cf_heredoc *heredocs;
	size_t n_heredocs;
	const char *as; /* FROM … AS, in lower case; or NULL */
};

struct containerfile {
	const char *file;
	const struct cf_step *v; /* ARG before the first FROM, then stages, each begun by FROM */
	size_t n;
	char escape; /* '\\' or '`' */
};

/* `file` is for messages.  Fails with "FILE:LINE: …". */
int containerfile_parse(struct arena *a, const char *file, const char *text, size_t len,
			struct containerfile *ret, struct err *err);

/*
 * One instruction of a single line, its word taken off: `text` is what stands behind COPY, ENV or WORKDIR.  That of RUN
 * is the shell's, whatever it looks like.  Here-documents have no place in it.  Fails with the cause alone.
 */
int containerfile_step(struct arena *a, enum cf_kind kind, const char *text, struct cf_step *ret,
		       struct err *err);

/* The value of a flag, or NULL. */
const char *cf_flag(const struct cf_step *step, const char *name);

/* The word of an instruction: "RUN". */
const char *cf_kind_name(enum cf_kind kind);

/* Looks a variable up; NULL: not set. */
typedef const char *(*cf_lookup_fn)(void *ctx, const char *name);

struct cf_expand {
	char escape;
	cf_lookup_fn lookup;
	void *ctx;
	bool keep_quotes; /* as in a here-document: quotes are text */
};

/* Put in the values of $x, ${x}, ${x:-y}, ${x:+y}, ${x:?y} (and without ':'), and take quotes and escapes away. */
int containerfile_expand(struct arena *a, const struct cf_expand *how, const char *word,
			 const char **ret, struct err *err);

#endif
