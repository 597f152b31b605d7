#include "registry/token.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/challenge.h"
#include "conf/image.h"
#include "registry/http.h"
#include "registry/url.h"
#include "store/authfile.h"
#include "store/oci_json.h"

#define ANSWER_MAX ((size_t)1 << 20)

const char *token_basic(struct arena *a, const char *user, const char *password)
{
	_cleanup_buf_ struct buf plain = {0};
	_cleanup_buf_ struct buf coded = {0};

	buf_printf(&plain, "%s:%s", user, password);
	base64_encode(&coded, plain.p, plain.len);
	explicit_bzero(plain.p, plain.len);
	return arena_printf(a, "Basic %s", coded.p);
}

int token_may_ask(struct arena *a, const struct token_want *want, struct url *ret_realm,
		  bool *ret_secrets, struct err *err)
{
	const struct url *registry = want->registry;
	struct url realm = {0};

	if (url_read(a, NULL, want->challenge->realm, &realm, err) < 0)
		return err_prefix(err, "where to get a token");
	if (registry->https && !realm.https)
		return err_set(err,
			       "it wants the login sent to '%.200s', which is plain http: refused",
			       realm.text);
	if (!want->loopback && image_is_loopback(realm.host))
		return err_set(err, "it names '%.200s', which is this machine, for tokens: refused",
			       realm.text);
	*ret_secrets = (registry->https && realm.https) || url_same_origin(registry, &realm);
	*ret_realm = realm;
	return 0;
}

static void add_form(struct buf *form, const char *name, const char *value)
{
	char *coded = curl_easy_escape(NULL, value, 0);

	buf_printf(form, "%s%s=%s", form->len > 0 ? "&" : "", name, coded ? coded : "");
	curl_free(coded);
}

/* With a refresh token: the OAuth2 form. */
static void oauth_form(struct arena *a, const struct token_want *want, struct buf *form)
{
	_cleanup_buf_ struct buf scopes = {0};

	(void)a;
	for (size_t i = 0; i < want->scopes->n; i++)
		buf_printf(&scopes, "%s%s", i > 0 ? " " : "", want->scopes->v[i]);
	add_form(form, "grant_type", "refresh_token");
	add_form(form, "client_id", "sbx");
	add_form(form, "service", want->challenge->service);
	add_form(form, "scope", scopes.p ? scopes.p : "");
	add_form(form, "refresh_token", want->auth->token);
}

static const char *plain_address(struct arena *a, const struct token_want *want,
				 const struct url *realm)
{
	const char *url = realm->text;

	if (want->challenge->service[0] != '\0')
		url = url_with(a, url, "service", want->challenge->service);
	for (size_t i = 0; i < want->scopes->n; i++)
		url = url_with(a, url, "scope", want->scopes->v[i]);
	if (want->auth->user)
		url = url_with(a, url, "account", want->auth->user);
	return url;
}

/* It becomes a line of a request's head. */
static bool is_fit(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return s[0] != '\0';
}

static int read_token(struct arena *a, const struct buf *text, const char **ret, struct err *err)
{
	const char *token = NULL;
	json_auto_t *root = NULL;

	if (oci_json(text->p ? text->p : "", text->len, &root, err) < 0 ||
	    oci_json_text(a, root, "token", &token, err) < 0 ||
	    (!token && oci_json_text(a, root, "access_token", &token, err) < 0))
		return err_prefix(err, "the answer of who gives tokens");
	if (!token || !is_fit(token))
		return err_set(err, "the answer of who gives tokens has none that can be used");
	*ret = arena_printf(a, "Bearer %s", token);
	return 0;
}

static int judge(const struct http_answer *answer, const struct url *realm, struct err *err)
{
	if (answer->status == 200)
		return 0;
	err_set(err, "'%.200s' gives no token: status %ld", realm->text, answer->status);
	if (answer->status == 401 || answer->status == 403)
		err->errnum = EACCES;
	else if (answer->status == 429 || answer->status >= 500)
		err->errnum = HTTP_AGAIN;
	return -1;
}

int token_get(struct arena *a, struct http *h, const struct token_want *want, const char **ret,
	      struct err *err)
{
	_cleanup_answer_ struct http_answer answer = {0};
	_cleanup_buf_ struct buf form = {0};
	struct http_call call = {.method = "GET", .limit = ANSWER_MAX};
	bool secrets = false;
	struct url realm = {0};

	if (token_may_ask(a, want, &realm, &secrets, err) < 0)
		return -1;
	if (!secrets && (want->auth->user || want->auth->token))
		return err_set(err,
			       "it wants the login sent to '%.200s', which is not the registry and "
			       "was not named by https: refused",
			       realm.text);
	if (want->auth->token) {
		oauth_form(a, want, &form);
		call.method = "POST";
		call.url = realm.text;
		call.body = form.p;
		call.body_size = form.len;
	} else {
		call.url = plain_address(a, want, &realm);
		if (want->auth->user)
			call.authorization = token_basic(a, want->auth->user, want->auth->password);
	}
	if (http_call(h, a, &call, &answer, err) < 0 || judge(&answer, &realm, err) < 0)
		return -1;
	return read_token(a, &answer.body, ret, err);
}
