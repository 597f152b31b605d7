/*
 * save_layer — the tar of one layer, for `sbx save --layer`.
 */
#ifndef SBX_CLI_SAVE_LAYER_H
#define SBX_CLI_SAVE_LAYER_H

struct arena;
struct commit;
struct err;
struct plan;
struct store;

/* Into `output`, whole or not at all; NULL: to standard output.  `plan` is for the ids of its tree. */
struct save_layer {
	const struct store *store;
	const struct commit *layer;
	const struct plan *plan;
	const char *output;
};
int save_layer(struct arena *a, const struct save_layer *in, struct err *err);

#endif
