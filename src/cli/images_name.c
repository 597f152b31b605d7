#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/images.h"
#include "conf/image.h"

#define HERE "localhost/"
#define DOCKER "docker.io/"
#define DOCKER_ONES DOCKER "library/"

/* As all of them see it: the first part is a registry if it has a dot or a port, or is localhost. */
static bool has_registry(const char *name)
{
	const char *slash = strchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : 0;

	return slash && (memchr(name, '.', n) || memchr(name, ':', n) ||
			 (n == strlen("localhost") && str_starts(name, HERE)));
}

int images_name(struct arena *a, const char *name, bool docker, const char **ret, struct err *err)
{
	const char *prefix = "";
	struct image_ref ref;

	if (!has_registry(name))
		prefix = !docker ? HERE : strchr(name, '/') ? DOCKER : DOCKER_ONES;
	if (image_ref_parse(a, arena_printf(a, "%s%s", prefix, name), &ref, err) < 0)
		return err_prefix(err, "cannot use '%.200s' as an image's name", name);
	*ret = ref.full;
	return 0;
}

/* Lower-case letters, digits, and single '-' for all else, at most so many. */
static char *harmless(struct arena *a, const char *word)
{
	char *s = arena_alloc(a, 65);
	size_t n = 0;

	for (; *word && n < 64; word++) {
		char c = *word;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			s[n++] = c;
		else if (n > 0 && s[n - 1] != '-')
			s[n++] = '-';
	}
	while (n > 0 && s[n - 1] == '-')
		s[--n] = '\0';
	s[n] = '\0';
	return s;
}

const char *images_name_for(struct arena *a, const char *word, const char *tag)
{
	const char *name = harmless(a, word);
	const char *full = arena_printf(a, HERE "%s:%s", *name ? name : "image", tag);

	/* A tag that is none is left out. */
	if (image_check_reference(full, NULL) == 0)
		return full;
	return arena_printf(a, HERE "%s:latest", *name ? name : "image");
}
