/*
 * containerfile_parts — the pieces that containerfile_parse puts together; private to conf/.
 */
#ifndef SBX_CONF_CONTAINERFILE_PARTS_H
#define SBX_CONF_CONTAINERFILE_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "conf/containerfile.h"

struct err;

/* The text, read line by line. */
struct cf_text {
	struct arena *a;
	const char *file;
	const char *p, *end;
	int line; /* of what comes next */
	char escape;
};

/* An instruction: its word, and what stands behind it, with continued lines joined. */
struct cf_line {
	int line;
	const char *word;
	const char *rest;
};

/* Begin: a byte order mark and the parser directives (# escape=`) are taken. */
int cf_text_begin(struct cf_text *t, struct err *err);

/* The next instruction; *ret_end at the end. */
int cf_text_next(struct cf_text *t, struct cf_line *ret, bool *ret_end, struct err *err);

/* The lines up to `name` alone on one; with `tabs`, those before each line are cut off. */
int cf_text_heredoc(struct cf_text *t, const char *name, bool tabs, const char **ret,
		    struct err *err);

/* Words between blanks.  With `quotes`, a blank in quotes or behind the escape is part of its word; they stay. */
void cf_words(struct arena *a, const char *s, char escape, bool quotes, struct strv *ret);

/* A JSON array of strings; false: it is none. */
bool cf_json(struct arena *a, const char *s, struct strv *ret);

/* Is the word one that begins a here-document (<<NAME, <<-"NAME", 3<<NAME)? */
bool cf_is_heredoc(struct arena *a, const char *word, struct cf_heredoc *ret, bool *ret_tabs);

#endif
