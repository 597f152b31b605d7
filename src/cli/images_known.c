/* What the store knows of images by name, and whose they are. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/images.h"
#include "conf/image.h"
#include "store/image.h"

static bool same_repository(struct arena *a, const char *name, const struct image_ref *ref)
{
	struct image_ref other;

	return image_ref_parse(a, name, &other, NULL) == 0 &&
	       str_eq(other.registry, ref->registry) && str_eq(other.repository, ref->repository);
}

int images_of_registry(struct arena *a, const struct store *s, const struct image_ref *ref,
		       struct image *ret, struct err *err)
{
	struct image *v = NULL;
	struct err why = {0};
	size_t damaged = 0;
	bool found = false;
	size_t n = 0;

	if (image_get(a, s, ref->full, ret, &why) == 0)
		return 0;
	if (!ref->digest || why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	if (image_list(a, s, &v, &n, &damaged, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].manifest, ref->digest) != 0 || !same_repository(a, v[i].ref, ref) ||
		    (found && !str_eq(v[i].source, IMAGE_PUBLIC)))
			continue;
		*ret = v[i];
		found = true;
	}
	if (found)
		return 0;
	*err = why;
	return -1;
}

const char *images_built_by(struct arena *a, const char *project)
{
	return arena_printf(a, "build %s", project);
}

enum trust_image images_of_manifest(struct arena *a, const struct store *s, const char *manifest,
				    const char *project, struct image *ret)
{
	enum trust_image state = TRUST_IMAGE_ABSENT;
	const char *built = images_built_by(a, project);
	struct image *v = NULL;
	struct err why = {0};
	size_t damaged = 0;
	size_t n = 0;

	if (image_list(a, s, &v, &n, &damaged, &why) < 0)
		return state;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].manifest, manifest) != 0)
			continue;
		*ret = v[i];
		if (str_eq(v[i].source, IMAGE_PUBLIC) || str_eq(v[i].source, built))
			return TRUST_IMAGE_PUBLIC;
		state = TRUST_IMAGE_OWN;
	}
	return state;
}
