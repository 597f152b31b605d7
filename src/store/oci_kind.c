#include "store/oci_kind.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/str.h"
#include "store/oci_json.h"

#define SCHEMA_1 "application/vnd.docker.distribution.manifest.v1+"

static const char *const names[] = {[OCI_IS_INDEX] = "an index", [OCI_IS_MANIFEST] = "a manifest"};

bool oci_media_kind(const char *media_type, enum oci_kind *ret)
{
	if (str_eq(media_type, OCI_MEDIA_MANIFEST) ||
	    str_eq(media_type, OCI_MEDIA_DOCKER_MANIFEST)) {
		*ret = OCI_IS_MANIFEST;
		return true;
	}
	if (str_eq(media_type, OCI_MEDIA_INDEX) || str_eq(media_type, OCI_MEDIA_DOCKER_LIST)) {
		*ret = OCI_IS_INDEX;
		return true;
	}
	return false;
}

static int refuse_old(struct err *err)
{
	oci_bad(err, "it is of docker's schema 1, which nobody should use any more");
	return err_hint(err, "'skopeo copy' makes a newer image of it");
}

/* By its fields. */
static int by_fields(const json_t *root, enum oci_kind *ret, struct err *err)
{
	const json_t *schema = json_object_get(root, "schemaVersion");
	bool layers = json_object_get(root, "layers") || json_object_get(root, "config");
	bool manifests = json_object_get(root, "manifests") != NULL;

	if (json_integer_value(schema) == 1 || json_object_get(root, "fsLayers"))
		return refuse_old(err);
	if (!json_is_integer(schema) || json_integer_value(schema) != 2)
		return oci_bad(err, "its 'schemaVersion' is not 2");
	if (layers && manifests)
		return oci_bad(err, "it has both 'manifests' and 'layers' or 'config': "
				    "it could be taken for two images");
	if (!layers && !manifests)
		return oci_bad(err, "it has neither 'layers' nor 'manifests'");
	*ret = manifests ? OCI_IS_INDEX : OCI_IS_MANIFEST;
	return 0;
}

static int check_said(const char *who, const char *said, enum oci_kind is, struct err *err)
{
	enum oci_kind kind = is;

	if (str_starts(said, SCHEMA_1))
		return refuse_old(err);
	if (!oci_media_kind(said, &kind))
		return oci_bad(err, "%s '%.100s', which is no image", who, said);
	if (kind != is)
		return oci_bad(err, "%s '%.100s', but it is %s", who, said, names[is]);
	return 0;
}

int oci_kind_of(const json_t *root, const char *media_type, enum oci_kind *ret, struct err *err)
{
	const json_t *own = json_object_get(root, "mediaType");
	const char *type = json_string_value(own);
	enum oci_kind is = OCI_IS_MANIFEST;

	if (own && !json_is_null(own) && !type)
		return oci_bad(err, "'mediaType' is no string");
	if (media_type && str_starts(media_type, SCHEMA_1))
		return refuse_old(err);
	if (by_fields(root, &is, err) < 0 ||
	    (type && check_said("its media type is", type, is, err) < 0) ||
	    (media_type && check_said("it was given as", media_type, is, err) < 0))
		return -1;
	if (type && media_type && strcmp(type, media_type) != 0)
		return oci_bad(err, "it was given as '%.100s', but its media type is '%.100s'",
			       media_type, type);
	*ret = is;
	return 0;
}
