/* What people mean by the WHAT of save and push. */
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/history.h"
#include "cli/images.h"
#include "store/image.h"

/* An image's name has a slash or a colon; neither a tag nor digits of a layer do. */
static bool is_image(struct arena *a, const struct images_what *in)
{
	struct image image;
	struct err why = {0};
	const char *full;

	if (strpbrk(in->word, "/:"))
		return true;
	return images_name(a, in->word, false, &full, &why) == 0 &&
	       image_get(a, &in->w->store, full, &image, &why) == 0;
}

static int of_image(struct arena *a, const struct images_what *in,
		    char ret_manifest[DIGEST_HEX + 1], const char **ret_ref, struct err *err)
{
	struct images_whole whole = {
		.store = &in->w->store, .how = in->how, .any = in->any, .pin = in->pin};
	const char *full = in->word;
	struct image image;

	/* What is no reference may be the name of a folder or a file that was used as a base. */
	if (!str_starts(full, "oci:") && !str_starts(full, "tar:") &&
	    images_name(a, in->word, false, &full, err) < 0)
		return -1;
	if (image_get(a, &in->w->store, full, &image, err) < 0)
		return -1;
	whole.manifest = image.manifest;
	if (images_whole(a, &whole, ret_manifest, err) < 0)
		return -1;
	if (!str_eq(ret_manifest, image.manifest))
		log_info("its layers were packed anew, so its manifest is another one now");
	*ret_ref = full != in->word ? full : NULL;
	return 0;
}

static int of_env(struct arena *a, const struct images_what *in, char ret_manifest[DIGEST_HEX + 1],
		  const char **ret_ref, struct err *err)
{
	struct workplace *w = in->w;
	struct images_env env = {.w = w, .how = in->how, .pin = in->pin};
	struct chain chain;

	workplace_done(w);
	if (history_open(a, in->where, false, w, err) < 0 || history_settle(a, w, err) < 0)
		return -1;
	chain = w->env.chain;
	if (in->word && history_chain(a, w, in->word, &chain, err) < 0)
		return -1;
	if (chain.n == 0) {
		err_kind(err, ERR_USAGE, "'%s' has no layer that could be saved",
			 in->word ? in->word : w->env_name);
		return err_hint(err, "sbx commit makes one");
	}
	env.chain = &chain;
	*ret_ref = images_name_for(a, in->word ? in->word : path_base(w->project), "latest");
	return images_of_env(a, &env, ret_manifest, err);
}

int images_what(struct arena *a, const struct images_what *in, char ret_manifest[DIGEST_HEX + 1],
		const char **ret_ref, struct err *err)
{
	if (in->word && is_image(a, in))
		return of_image(a, in, ret_manifest, ret_ref, err);
	return of_env(a, in, ret_manifest, ret_ref, err);
}
