/*
 * kernelspec — the files by which Jupyter finds a kernel: kernels/NAME/kernel.json in its data folder ("Kernel
 * specs" in the manual of jupyter_client).  Those of sbx have the project in their metadata.
 */
#ifndef SBX_CLI_KERNELSPEC_H
#define SBX_CLI_KERNELSPEC_H

#include <stddef.h>

struct arena;
struct err;

struct kernelspec {
	const char *name;
	const char *display_name;
	const char *language;
	const char *const *argv; /* what starts it; not of one that was listed */
	const char *project;
	const char *env;
};

/* Letters, digits, '.', '_' and '-', as Jupyter asks. */
int kernelspec_check_name(const char *name, struct err *err);

/* A name of that kind out of any other: of a project's folder, say. */
const char *kernelspec_name_of(struct arena *a, const char *text);

/* The folder that holds them: $JUPYTER_DATA_DIR/kernels, else the user's data folder's jupyter/kernels. */
int kernelspec_dir(struct arena *a, const char **ret, struct err *err);

/* Write one; it takes the place of one of the same project and environment, and of no other.  *ret_file: where. */
int kernelspec_write(struct arena *a, const struct kernelspec *spec, const char **ret_file,
		     struct err *err);

/* Those that sbx wrote, by name. */
int kernelspec_list(struct arena *a, struct kernelspec **ret, size_t *ret_n, struct err *err);

/* Remove one that sbx wrote. */
int kernelspec_remove(struct arena *a, const char *name, struct err *err);

#endif
