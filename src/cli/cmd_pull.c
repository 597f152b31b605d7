#include <jansson.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/images.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/remote.h"
#include "conf/image.h"
#include "store/image.h"
#include "store/pin.h"

struct values {
	const char *platform;
	const char *authfile;
	const char *cert_dir;
	bool plain_http;
	bool json;
};

static const struct opt opts[] = {
	{"platform", 0, "OS/ARCH", offsetof(struct values, platform),
	 "the image for that machine [this one's]"},
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
		json_object_set_new(o, "fetched", json_integer((json_int_t)r->moved));
		json_object_set_new(o, "reused", json_integer((json_int_t)r->reused));
		return out_json(o, err);
	}
	log_info("'%s': %llu layers fetched, %llu were there", ref->full,
		 (unsigned long long)r->moved, (unsigned long long)r->reused);
	buf_printf(&b, "sha256:%s\n", r->manifest);
	return out_write(&b, err);
}

/* Ready for use: what came is checked against what the image says of it, and known for later pushes. */
static int unpack(struct arena *a, const struct store *s, const struct image_ref *ref,
		  const char *manifest, struct err *err)
{
	struct pin pin = PIN_NONE;
	const struct plan *plan;
	struct image_info info;
	struct chain chain;
	int r;

	if (image_info(a, s, manifest, &info, err) < 0 || images_plan(a, s, &plan, err) < 0 ||
	    pin_make(s, &pin, err) < 0)
		return -1;
	r = images_pin(&pin, &info, err);
	if (r == 0)
		r = images_unpack(a, s, plan, &info, &chain, err);
	pin_done(s, &pin);
	if (r == 0)
		remote_remember(a, s, ref->full, &info);
	return r;
}

static int pull(const struct cli *cli, const void *values, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const struct values *v = values;
	const struct remote_options how = {
		.plain_http = v->plain_http,
		.authfile = v->authfile,
		.cert_dir = v->cert_dir,
		.platform = v->platform,
	};
	struct remote_result result;
	const char *full = NULL;
	struct image_ref ref;

	if (image_ref_parse(cli->a, cli->args.v[0], &ref, err) < 0) {
		err->kind = ERR_USAGE;
		(void)err_prefix(err, "'%s'", cli->args.v[0]);
		if (images_name(cli->a, cli->args.v[0], true, &full, NULL) == 0)
			return err_hint(err,
					"sbx pull REGISTRY/NAME[:TAG]; docker's name of that is %s",
					full);
		return err_hint(err, "sbx pull REGISTRY/NAME[:TAG]");
	}
	if (store_open(cli->a, &w.store, err) < 0 ||
	    remote_pull(cli->a, &w.store, ref.full, &how, &result, err) < 0 ||
	    unpack(cli->a, &w.store, &ref, result.manifest, err) < 0)
		return -1;
	return show(&ref, &result, v->json, err);
}

const struct command *cmd_pull(void)
{
	static const struct command row = {
		.table =
			{.name = "pull",
			 .args = "REF",
			 .summary = "fetch an image from a registry",
			 .details =
				 "Fetch what is not there of the image REF, REGISTRY/NAME[:TAG][@sha256:DIGEST], unpack it\n"
				 "for use, and print the digest of its manifest.  What came before a failure is not\n"
				 "fetched again.",
			 .opts = opts,
			 .min_args = 1,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = pull,
	};

	return &row;
}
