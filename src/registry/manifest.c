#include "registry/manifest.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "store/oci.h"

static const char *const accepted[] = {
	"Accept: " OCI_MEDIA_MANIFEST ", " OCI_MEDIA_INDEX ", " OCI_MEDIA_DOCKER_MANIFEST
	", " OCI_MEDIA_DOCKER_LIST,
	NULL,
};

/* What the transport says it is; NULL where that is no word on it ("text/plain"). */
static const char *media_type(struct arena *a, const struct http_answer *answer)
{
	const char *type = answer->content_type;

	if (!type || !(str_starts(type, "application/vnd.oci.image.") ||
		       str_starts(type, "application/vnd.docker.distribution.manifest.")))
		return NULL;
	return arena_strndup(a, type, strcspn(type, "; \t"));
}

static int not_there(const struct client *c, const char *what, struct err *err)
{
	const struct session_options *o = &c->session->o;

	err_set(err, "the registry '%s' has no '%s' in '%s'", o->registry, what, o->repository);
	return err_hint(err, "look at its name and tag; what is not public needs a login, too: %s",
			c->session->way_in);
}

/* One document, by tag or digest. */
static int get(struct client *c, const char *what, struct buf *ret, enum oci_kind *ret_kind,
	       struct err *err)
{
	_cleanup_answer_ struct http_answer answer = {0};
	const struct http_call call = {
		.method = "GET",
		.url = client_url(c, "manifests/%s", what),
		.headers = accepted,
		.limit = OCI_MAX,
	};
	char found[DIGEST_HEX + 1];

	if (client_call(c, &call, &answer, err) < 0)
		return -1;
	if (answer.status == 404)
		return not_there(c, what, err);
	if (answer.status != 200)
		return client_refused(c, arena_printf(c->a, "cannot get '%s'", what), &answer, err);
	digest_sha256(answer.body.p ? answer.body.p : "", answer.body.len, found);
	if (str_starts(what, "sha256:") && !str_eq(what + strlen("sha256:"), found))
		return err_set(err, "the manifest that came for '%s' has the digest sha256:%s",
			       what, found);
	if (oci_kind(answer.body.p ? answer.body.p : "", answer.body.len, media_type(c->a, &answer),
		     ret_kind, err) < 0)
		return -1;
	buf_add(ret, answer.body.p, answer.body.len);
	return 0;
}

/* "linux/arm64/v8" */
static int read_platform(struct arena *a, const char *s, struct oci_platform *ret, struct err *err)
{
	const char *slash = strchr(s, '/');
	const char *second = slash ? strchr(slash + 1, '/') : NULL;

	if (!slash || slash == s || slash[1] == '\0' || slash[1] == '/' || (second && !second[1])) {
		err_kind(err, ERR_USAGE, "'%s' is not a platform", s);
		return err_hint(err, "such as linux/amd64 or linux/arm/v7");
	}
	*ret = (struct oci_platform){
		.os = arena_strndup(a, s, (size_t)(slash - s)),
		.architecture = arena_strndup(
			a, slash + 1, second ? (size_t)(second - slash - 1) : strlen(slash + 1)),
		.variant = second ? arena_strdup(a, second + 1) : NULL,
	};
	return 0;
}

static int through_index(struct client *c, const char *platform, const struct buf *text,
			 struct buf *ret, struct err *err)
{
	struct oci_platform want = oci_platform_here();
	const struct oci_descriptor *one = NULL;
	enum oci_kind kind = OCI_IS_INDEX;
	struct oci_index index;

	if ((platform && read_platform(c->a, platform, &want, err) < 0) ||
	    oci_read_index(c->a, text->p, text->len, &index, err) < 0 ||
	    oci_choose(&index, &want, &one, err) < 0 ||
	    get(c, arena_printf(c->a, "sha256:%s", one->digest), ret, &kind, err) < 0)
		return -1;
	if (kind != OCI_IS_MANIFEST)
		return err_set(err,
			       "the index names another index, sha256:%s, where it should name "
			       "a manifest",
			       one->digest);
	if (ret->len != one->size)
		return err_set(err,
			       "the manifest sha256:%s has %zu bytes, not the %" PRIu64
			       " that the index says",
			       one->digest, ret->len, one->size);
	return 0;
}

int manifest_get(struct client *c, const struct image_ref *ref, const char *platform,
		 struct buf *ret, char ret_digest[DIGEST_HEX + 1], struct err *err)
{
	const char *what = ref->digest ? arena_printf(c->a, "sha256:%s", ref->digest) : ref->tag;
	_cleanup_buf_ struct buf text = {0};
	_cleanup_buf_ struct buf chosen = {0};
	enum oci_kind kind = OCI_IS_MANIFEST;
	const struct buf *result = &text;

	if (get(c, what, &text, &kind, err) < 0)
		return -1;
	if (kind == OCI_IS_INDEX) {
		if (through_index(c, platform, &text, &chosen, err) < 0)
			return -1;
		result = &chosen;
	}
	digest_sha256(result->p, result->len, ret_digest);
	buf_add(ret, result->p, result->len);
	return 0;
}
