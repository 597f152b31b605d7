#include <errno.h>

#include <jansson.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/remote.h"
#include "conf/image.h"
#include "store/image.h"

struct values {
	const char *authfile;
	const char *cert_dir;
	bool plain_http;
	bool json;
};

static const struct opt opts[] = {
	{"authfile", 0, "FILE", offsetof(struct values, authfile), "logins are in FILE"},
	{"cert-dir", 0, "DIR", offsetof(struct values, cert_dir),
	 "trust the authorities in DIR (*.crt), too"},
	{"plain-http", 0, NULL, offsetof(struct values, plain_http), "speak http, not https"},
	{"json", 0, NULL, offsetof(struct values, json), "print as JSON"},
	{0},
};

static int show(const struct image_ref *ref, const struct remote_result *r, bool json,
		struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (json) {
		json_t *o = json_object();

		json_object_set_new(o, "ref", out_json_string(ref->full));
		json_object_set_new(o, "manifest", out_json_string(r->manifest));
		json_object_set_new(o, "sent", json_integer((json_int_t)r->moved));
		json_object_set_new(o, "reused", json_integer((json_int_t)r->reused));
		return out_json(o, err);
	}
	log_info("'%s': %llu blobs sent, %llu were there", ref->full, (unsigned long long)r->moved,
		 (unsigned long long)r->reused);
	buf_printf(&b, "sha256:%s\n", r->manifest);
	return out_write(&b, err);
}

/* The image that is pushed. */
static int find(const struct cli *cli, const struct store *s, const struct image_ref *ref,
		struct image *ret, struct err *err)
{
	const char *what = cli->args.n > 1 ? cli->args.v[1] : ref->full;

	if (image_get(cli->a, s, what, ret, err) == 0)
		return 0;
	return err->errnum == ENOENT ? err_hint(err, "sbx images lists what there is") : -1;
}

static int push(const struct cli *cli, const void *values, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const struct values *v = values;
	const struct remote_options how = {
		.plain_http = v->plain_http,
		.authfile = v->authfile,
		.cert_dir = v->cert_dir,
	};
	struct remote_result result;
	struct image_info info;
	struct image_ref ref;
	struct image image;

	if (image_ref_parse(cli->a, cli->args.v[0], &ref, err) < 0) {
		err->kind = ERR_USAGE;
		return err_prefix(err, "'%s'", cli->args.v[0]);
	}
	if (store_open(cli->a, &w.store, err) < 0 || find(cli, &w.store, &ref, &image, err) < 0 ||
	    image_info(cli->a, &w.store, image.manifest, &info, err) < 0 ||
	    remote_push(cli->a, &w.store, image.manifest, ref.full, &how, &result, err) < 0)
		return -1;
	remote_remember(cli->a, &w.store, ref.full, &info);
	return show(&ref, &result, v->json, err);
}

const struct command *cmd_push(void)
{
	static const struct command row = {
		.table =
			{.name = "push",
			 .args = "REF [WHAT]",
			 .summary = "send an image to a registry",
			 .details =
				 "Send the image WHAT, or the one called REF, to REGISTRY/NAME[:TAG]; print the digest of\n"
				 "its manifest.  What the registry has already is not sent.",
			 .opts = opts,
			 .min_args = 1,
			 .max_args = 2},
		.values_size = sizeof(struct values),
		.run = push,
	};

	return &row;
}
