#include "cli/kernelspec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "store/dirs.h"

#define FILE_NAME "kernel.json"
#define FILE_MAX 65536
#define NAME_MAX_LEN 100
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

int kernelspec_check_name(const char *name, struct err *err)
{
	if (name[0] && name[0] != '.' && strlen(name) <= NAME_MAX_LEN &&
	    strspn(name, NAME_CHARS) == strlen(name))
		return 0;
	err_kind(err, ERR_USAGE, "'%s' cannot be the name of a kernel", name);
	return err_hint(err, "letters, digits, '.', '_' and '-', and no '.' in front");
}

const char *kernelspec_name_of(struct arena *a, const char *text)
{
	char *name = arena_strndup(a, text, strnlen(text, NAME_MAX_LEN));

	for (char *c = name; *c; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
		else if (!strchr(NAME_CHARS, *c))
			*c = '-';
	}
	while (*name == '.' || *name == '-')
		name++;
	return *name ? name : "sbx";
}

int kernelspec_dir(struct arena *a, const char **ret, struct err *err)
{
	const char *jupyter = getenv("JUPYTER_DATA_DIR");
	const char *data;

	if (jupyter && jupyter[0] == '/') {
		*ret = path_join(a, path_clean(a, jupyter), "kernels");
		return 0;
	}
	if (dirs_data(a, &data, err) < 0)
		return -1;
	*ret = path_join(a, data, "jupyter/kernels");
	return 0;
}

static const char *string_of(struct arena *a, const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? arena_strdup(a, s) : NULL;
}

/* *ret_ours: it is there and of sbx. */
static int read_one(struct arena *a, int dir_fd, const char *name, struct kernelspec *ret,
		    bool *ret_ours, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	json_auto_t *root = NULL;
	const json_t *own;

	if (fs_read_at(dir_fd, path_join(a, name, FILE_NAME), FILE_MAX, &text, err) < 0)
		return -1;
	root = json_loadb(text.p ? text.p : "", text.len, 0, NULL);
	own = json_object_get(json_object_get(root, "metadata"), "sbx");
	*ret_ours = json_is_object(own);
	if (!*ret_ours)
		return 0;
	*ret = (struct kernelspec){
		.name = arena_strdup(a, name),
		.display_name = string_of(a, root, "display_name"),
		.language = string_of(a, root, "language"),
		.project = string_of(a, own, "project"),
		.env = string_of(a, own, "environment"),
	};
	return 0;
}

static json_t *make_json(const struct kernelspec *spec)
{
	json_t *argv = json_array();

	for (size_t i = 0; spec->argv[i]; i++)
		json_array_append_new(argv, json_string(spec->argv[i]));
	/* `signal`: it interrupts by SIGINT, which sbx passes on. */
	return json_pack("{s:o, s:s, s:s, s:s, s:{s:{s:s, s:s}}}", "argv", argv, "display_name",
			 spec->display_name, "language", spec->language, "interrupt_mode", "signal",
			 "metadata", "sbx", "project", spec->project, "environment", spec->env);
}

/* A kernel of that name, of somebody else, stays. */
static int check_taken(struct arena *a, int dir_fd, const struct kernelspec *spec, struct err *err)
{
	struct kernelspec other = {0};
	struct err why = {0};
	bool ours = false;

	if (read_one(a, dir_fd, spec->name, &other, &ours, &why) < 0) {
		if (why.errnum == ENOENT)
			return 0;
		*err = why;
		return -1;
	}
	if (ours && str_eq(other.project, spec->project) && str_eq(other.env, spec->env))
		return 0;
	if (ours)
		err_set(err, "there is a kernel '%s' already, of '%s'", spec->name,
			other.project ? other.project : "?");
	else
		err_set(err, "there is a kernel '%s' already, which sbx did not make", spec->name);
	return err_hint(err, "choose another name: sbx kernel install --name NAME");
}

int kernelspec_write(struct arena *a, const struct kernelspec *spec, const char **ret_file,
		     struct err *err)
{
	_cleanup_fd_ int dir_fd = -1;
	_cleanup_fd_ int own_fd = -1;
	_cleanup_free_ char *text = NULL;
	_cleanup_buf_ struct buf b = {0};
	json_auto_t *root = NULL;
	const char *dir;
	const char *own;

	if (kernelspec_check_name(spec->name, err) < 0 || kernelspec_dir(a, &dir, err) < 0)
		return -1;
	own = path_join(a, dir, spec->name);
	root = make_json(spec);
	text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	/* jansson takes UTF-8 alone, as Jupyter does. */
	if (!text)
		return err_set(err, "cannot write the kernel '%s': a path in it is not UTF-8",
			       spec->name);
	if (fs_mkdirs(dir, 0755, err) < 0)
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_errno(err, errno, "cannot open the folder '%s'", dir);
	if (check_taken(a, dir_fd, spec, err) < 0 || fs_mkdirs(own, 0755, err) < 0)
		return -1;
	own_fd = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (own_fd < 0)
		return err_errno(err, errno, "cannot open the folder '%s'", own);
	buf_printf(&b, "%s\n", text);
	if (fs_write_atomic(own_fd, FILE_NAME, b.p, b.len, 0644, err) < 0)
		return -1;
	*ret_file = path_join(a, own, FILE_NAME);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct kernelspec *x = a;
	const struct kernelspec *y = b;

	return strcmp(x->name, y->name);
}

int kernelspec_list(struct arena *a, struct kernelspec **ret, size_t *ret_n, struct err *err)
{
	_cleanup_dir_ DIR *d = NULL;
	struct kernelspec *v = NULL;
	const struct dirent *entry;
	const char *dir;
	size_t n = 0;
	size_t cap = 0;

	if (kernelspec_dir(a, &dir, err) < 0)
		return -1;
	d = opendir(dir);
	if (!d && errno != ENOENT)
		return err_errno(err, errno, "cannot open the folder '%s'", dir);
	while (d && (entry = readdir(d)) != NULL) {
		struct kernelspec one;
		bool ours = false;

		/* What is damaged or foreign is Jupyter's to complain of. */
		if (entry->d_name[0] == '.' ||
		    read_one(a, dirfd(d), entry->d_name, &one, &ours, NULL) < 0 || !ours)
			continue;
		if (n == cap) {
			struct kernelspec *grown =
				arena_alloc(a, (cap = cap ? 2 * cap : 16) * sizeof(*grown));

			if (n)
				memcpy(grown, v, n * sizeof(*grown));
			v = grown;
		}
		v[n++] = one;
	}
	if (n)
		qsort(v, n, sizeof(*v), by_name);
	*ret = v;
	*ret_n = n;
	return 0;
}

int kernelspec_remove(struct arena *a, const char *name, struct err *err)
{
	_cleanup_fd_ int dir_fd = -1;
	struct kernelspec one;
	struct err why = {0};
	const char *dir;
	bool ours = false;

	if (kernelspec_check_name(name, err) < 0 || kernelspec_dir(a, &dir, err) < 0)
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || read_one(a, dir_fd, name, &one, &ours, &why) < 0) {
		err_set(err, "there is no kernel '%s' in '%s'", name, dir);
		return err_hint(err, "sbx kernel list shows those that are there");
	}
	if (!ours) {
		err_set(err, "the kernel '%s' was not made by sbx", name);
		return err_hint(err, "jupyter kernelspec remove %s", name);
	}
	if (unlinkat(dir_fd, path_join(a, name, FILE_NAME), 0) < 0)
		return err_errno(err, errno, "cannot remove '%s/%s'", dir, name);
	/* What else the user put there (a logo) stays. */
	(void)unlinkat(dir_fd, name, AT_REMOVEDIR);
	return 0;
}
