/*
 * beside — programs of ours that lie beside this one: installed in libexec/sbx, or in the build folder.
 */
#ifndef SBX_CLI_BESIDE_H
#define SBX_CLI_BESIDE_H

struct arena;

/* The path of `name`, built in src/<folder>; NULL: it is not there. */
const char *beside_find(struct arena *a, const char *folder, const char *name);

#endif
