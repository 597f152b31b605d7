/*
 * build_recipe — what a profile's [build] says, as a digest: has it changed since an environment was built?
 *
 * A command or a copy says as much as the files of the project that it names: requirements.txt in `run = pip install -r
 * requirements.txt`.  Folders and patterns are not looked into here; a build itself does (context_digest).
 */
#ifndef SBX_CLI_BUILD_RECIPE_H
#define SBX_CLI_BUILD_RECIPE_H

#include <stddef.h>

#include "base/digest.h"

struct arena;
struct buf;
struct profile;

/* "" where there are no steps. */
void build_recipe(struct arena *a, const struct profile *p, const char *project,
		  char ret[DIGEST_HEX + 1]);

/* Where the words of a step are looked up. */
struct build_words {
	int project_fd;
	const char *project; /* absolute, clean */
	const char *cwd;     /* of relative words: absolute */
	size_t whole;        /* of a larger file the size alone counts */
};

/* Add the name and the digest of each file of the project that a word of `text` names. */
void build_recipe_files(struct arena *a, const struct build_words *w, const char *text,
			struct buf *ret);

#endif
