#include "registry/url.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

static void handle_cleanup(CURLU **h)
{
	curl_url_cleanup(*h);
}
#define _cleanup_handle_ __attribute__((cleanup(handle_cleanup)))

static const char *part(struct arena *a, CURLU *h, CURLUPart what, unsigned flags)
{
	char *found = NULL;
	char *copy;

	if (curl_url_get(h, what, &found, flags) != CURLUE_OK || !found)
		return NULL;
	copy = arena_strdup(a, found);
	curl_free(found);
	return copy;
}

static const char *lower(struct arena *a, const char *s)
{
	char *copy = arena_strdup(a, s);

	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

int url_read(struct arena *a, const char *base, const char *text, struct url *ret, struct err *err)
{
	_cleanup_handle_ CURLU *h = curl_url();
	const char *scheme, *host;

	if ((base && curl_url_set(h, CURLUPART_URL, base, 0) != CURLUE_OK) ||
	    curl_url_set(h, CURLUPART_URL, text, 0) != CURLUE_OK)
		return err_set(err, "'%.200s' is not an address", text);
	scheme = part(a, h, CURLUPART_SCHEME, 0);
	host = part(a, h, CURLUPART_HOST, 0);
	if (!scheme || !host || (!str_eq(scheme, "https") && !str_eq(scheme, "http")))
		return err_set(err, "'%.200s' is neither https nor http", text);
	if (part(a, h, CURLUPART_USER, 0) || part(a, h, CURLUPART_PASSWORD, 0))
		return err_set(err, "the address '%.200s' has a user or password in it", text);
	/* What follows a # is nobody's but ours. */
	(void)curl_url_set(h, CURLUPART_FRAGMENT, NULL, 0);
	*ret = (struct url){
		.text = part(a, h, CURLUPART_URL, 0),
		.https = str_eq(scheme, "https"),
		.host = lower(a, host),
		.port = part(a, h, CURLUPART_PORT, CURLU_DEFAULT_PORT),
	};
	return ret->text && ret->port ? 0 : err_set(err, "'%.200s' is not an address", text);
}

bool url_same_origin(const struct url *x, const struct url *y)
{
	return x->https == y->https && str_eq(x->host, y->host) && str_eq(x->port, y->port);
}

const char *url_with(struct arena *a, const char *text, const char *name, const char *value)
{
	_cleanup_handle_ CURLU *h = curl_url();
	const char *whole = NULL;

	if (curl_url_set(h, CURLUPART_URL, text, 0) == CURLUE_OK &&
	    curl_url_set(h, CURLUPART_QUERY, arena_printf(a, "%s=%s", name, value),
			 CURLU_APPENDQUERY | CURLU_URLENCODE) == CURLUE_OK)
		whole = part(a, h, CURLUPART_URL, 0);
	return whole ? whole : text;
}
