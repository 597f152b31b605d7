/* What holds for all requests: certificates and times. */
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "registry/http.h"

#define CERTIFICATE_MAX ((size_t)1 << 20)
#define TIMEOUT_S 30

static int add_folder(const char *dir, bool must, struct buf *certificates, struct err *err)
{
	_cleanup_dir_ DIR *d = opendir(dir);
	const struct dirent *e;

	if (!d)
		return must ? err_errno(err, errno, "cannot open the folder of certificates '%s'",
					dir)
			    : 0;
	while ((e = readdir(d)) != NULL) {
		if (!str_ends(e->d_name, ".crt"))
			continue;
		if (fs_read_at(dirfd(d), e->d_name, CERTIFICATE_MAX, certificates, err) < 0)
			return err_prefix(err, "cannot use the certificates in '%s'", dir);
		buf_adds(certificates, "\n");
	}
	return 0;
}

/* Those of the system stay good: curl takes one list in place of the other. */
static int add_system(struct buf *certificates, struct err *err)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
	const char *bundle = info->cainfo;

	if (!bundle || access(bundle, R_OK) < 0)
		return 0;
	return fs_read_at(AT_FDCWD, bundle, CERTIFICATE_MAX * 16, certificates, err);
}

int http_settings_init(struct http_settings *ret, const char *const *dirs, bool named,
		       struct err *err)
{
	_cleanup_buf_ struct buf ca = {0};
	const char *said = getenv("SBX_REGISTRY_TIMEOUT");
	uint64_t seconds = TIMEOUT_S;

	if (said && num_u64(said, 1, 3600, &seconds, err) < 0)
		return err_prefix(err, "SBX_REGISTRY_TIMEOUT");
	for (size_t i = 0; dirs[i]; i++) {
		if (add_folder(dirs[i], named && i == 0, &ca, err) < 0)
			return -1;
	}
	if (ca.len > 0 && add_system(&ca, err) < 0)
		return -1;
	*ret = (struct http_settings){.timeout_s = (long)seconds};
	ret->ca = ca;
	ca = (struct buf){0};
	return 0;
}

void http_settings_done(struct http_settings *s)
{
	buf_done(&s->ca);
}
