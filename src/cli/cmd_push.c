#include <string.h>

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
	struct where where;
	const char *compress;
	const char *authfile;
	const char *cert_dir;
	bool plain_http;
	bool json;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"compress", 0, "HOW", offsetof(struct values, compress),
	 "the layers: gzip, zstd or none [as they are; gzip]", "gzip|zstd|none"},
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

struct job {
	struct workplace w;
	struct pin pin;
	struct images_what what;
	struct image_ref ref;
	struct remote_options how;
};

/* A layer's form by its name; none: whatever it has. */
static int read_form(const char *name, struct images_what *what, struct err *err)
{
	what->any = !name;
	what->how = LAYER_GZIP;
	for (int i = LAYER_GZIP; name && i <= LAYER_PLAIN; i++) {
		if (strcmp(layer_form_name((enum layer_form)i), name) == 0) {
			what->how = (enum layer_form)i;
			return 0;
		}
	}
	return name ? err_kind(err, ERR_USAGE, "'%s' is no compression: gzip, zstd or none", name)
		    : 0;
}

static int push_pinned(struct arena *a, struct job *job, struct remote_result *ret, struct err *err)
{
	char manifest[DIGEST_HEX + 1];
	struct image_info info;
	struct image image;
	const char *name;

	/* Without WHAT, what was pulled or pushed by that name; else the environment. */
	if (!job->what.word && image_get(a, &job->w.store, job->ref.full, &image, NULL) == 0)
		job->what.word = job->ref.full;
	if (images_what(a, &job->what, manifest, &name, err) < 0 ||
	    image_info(a, &job->w.store, manifest, &info, err) < 0 ||
	    remote_push(a, manifest, job->ref.full, &job->how, ret, err) < 0)
		return -1;
	remote_remember(a, &job->w.store, job->ref.full, &info);
	return 0;
}

static int push(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	struct job job = {
		.w = WORKPLACE_EMPTY,
		.pin = PIN_NONE,
		.what = {.where = &v->where, .word = cli->args.n > 1 ? cli->args.v[1] : NULL},
		.how = {.plain_http = v->plain_http,
			.authfile = v->authfile,
			.cert_dir = v->cert_dir},
	};
	struct remote_result result = {0};
	const char *full = NULL;
	int r;

	job.what.w = &job.w;
	job.what.pin = &job.pin;
	if (image_ref_parse(cli->a, cli->args.v[0], &job.ref, err) < 0) {
		err->kind = ERR_USAGE;
		(void)err_prefix(err, "'%s'", cli->args.v[0]);
		if (images_name(cli->a, cli->args.v[0], true, &full, NULL) == 0)
			return err_hint(
				err,
				"sbx push REGISTRY/NAME[:TAG] [WHAT]; docker's name of that is %s",
				full);
		return err_hint(err, "sbx push REGISTRY/NAME[:TAG] [WHAT]");
	}
	if (read_form(v->compress, &job.what, err) < 0 || store_open(cli->a, &job.w.store, err) < 0)
		return -1;
	r = pin_make(&job.w.store, &job.pin, err);
	if (r == 0)
		r = push_pinned(cli->a, &job, &result, err);
	pin_done(&job.w.store, &job.pin);
	workplace_done(&job.w);
	return r < 0 ? -1 : show(&job.ref, &result, v->json, err);
}

const struct command *cmd_push(void)
{
	static const struct command row = {
		.table =
			{.name = "push",
			 .args = "REF [WHAT]",
			 .summary = "send an image to a registry",
			 .details =
				 "Send an image to REGISTRY/NAME[:TAG], and print the digest of its manifest.  WHAT is a\n"
				 "tag, a layer (with all below it) or the name of an image; without it, the image REF, or\n"
				 "the environment.  What the registry has already is not sent.  An image that came from\n"
				 "elsewhere keeps every digest.",
			 .opts = opts,
			 .min_args = 1,
			 .max_args = 2},
		.values_size = sizeof(struct values),
		.run = push,
	};

	return &row;
}
