#include "registry/session.h"

#include <errno.h>

#include "base/err.h"
#include "base/str.h"
#include "conf/challenge.h"
#include "conf/image.h"
#include "registry/token.h"
#include "store/dirs.h"

/* The Docker Hub's registry is not where its name is. */
static const char *address_of(const char *registry)
{
	return str_eq(registry, "docker.io") ? "registry-1.docker.io" : registry;
}

static int set_base(struct session *s, bool https, struct err *err)
{
	return url_read(
		s->a, NULL,
		arena_printf(s->a, "%s://%s/", https ? "https" : "http", address_of(s->o.registry)),
		&s->base, err);
}

/* Where certificates of a registry's own authority are: containers-certs.d(5). */
static int certificate_folders(struct session *s, struct strv *ret, struct err *err)
{
	const char *config;

	if (dirs_config(s->a, &config, err) < 0)
		return -1;
	if (s->o.cert_dir)
		strv_push(s->a, ret, s->o.cert_dir);
	strv_pushf(s->a, ret, "%s/containers/certs.d/%s", config, s->o.registry);
	strv_pushf(s->a, ret, "/etc/containers/certs.d/%s", s->o.registry);
	strv_pushf(s->a, ret, "/etc/docker/certs.d/%s", s->o.registry);
	return 0;
}

void session_add_scope(struct session *s, const char *repository)
{
	(void)pthread_mutex_lock(&s->lock);

	const char *scope = arena_printf(s->a, "repository:%s:pull", repository);

	if (!strv_contains(&s->scopes, scope)) {
		strv_push(s->a, &s->scopes, scope);
		/* The token that there is is not good for it. */
		if (s->authorization && str_starts(s->authorization, "Bearer "))
			s->authorization = NULL;
	}
	(void)pthread_mutex_unlock(&s->lock);
}

int session_init(struct session *ret, const struct session_options *o, const struct auth *auth,
		 struct events *events, struct err *err)
{
	struct strv folders = {0};

	*ret = (struct session){.o = *o, .auth = *auth, .events = events, .a = arena_new()};
	(void)pthread_mutex_init(&ret->lock, NULL);
	if (set_base(ret, !o->plain_http, err) < 0 || certificate_folders(ret, &folders, err) < 0 ||
	    http_settings_init(&ret->http, (const char *const *)folders.v, o->cert_dir != NULL,
			       err) < 0) {
		session_done(ret);
		return -1;
	}
	ret->loopback = image_is_loopback(ret->base.host);
	ret->http.direct = ret->loopback;
	ret->http.outside_only = o->anonymous;
	ret->way_in =
		o->anonymous ? "yours is not used for a profile that was not allowed: if you trust "
			       "it, run: sbx allow"
			     : arena_printf(ret->a, "sbx login %s", o->registry);
	if (o->repository)
		strv_pushf(ret->a, &ret->scopes, "repository:%s:%s", o->repository,
			   o->push ? "pull,push" : "pull");
	return 0;
}

void session_done(struct session *s)
{
	if (!s->a)
		return;
	http_settings_done(&s->http);
	arena_free(s->a);
	(void)pthread_mutex_destroy(&s->lock);
	*s = (struct session){0};
}

void session_use_plain(struct session *s)
{
	struct err none;

	(void)set_base(s, false, &none);
}

const char *session_authorization(struct session *s, struct arena *a)
{
	const char *copy;

	(void)pthread_mutex_lock(&s->lock);
	copy = arena_strdup(a, s->authorization);
	(void)pthread_mutex_unlock(&s->lock);
	return copy;
}

static int refused(const struct session *s, const char *why, struct err *err)
{
	err_set(err, "the registry '%s' %s", s->o.registry, why);
	return err_hint(err, "%s", s->way_in);
}

/* The challenge that we can answer; Bearer before Basic. */
static int choose(struct session *s, const struct strv *challenges, struct challenge *ret,
		  struct err *err)
{
	struct challenge best = {.scheme = CHALLENGE_OTHER};

	for (size_t i = 0; i < challenges->n; i++) {
		struct challenge c = {0};

		if (challenge_parse(s->a, challenges->v[i], &c, err) == 0 && c.scheme > best.scheme)
			best = c;
	}
	if (best.scheme == CHALLENGE_OTHER)
		return err_set(
			err,
			"the registry '%s' wants a login of a kind that sbx does not know%s%.200s",
			s->o.registry, challenges->n > 0 ? ": " : "",
			challenges->n > 0 ? challenges->v[0] : "");
	*ret = best;
	return 0;
}

static int authenticate(struct session *s, struct http *h, const struct challenge *c,
			const char *tried, struct err *err)
{
	const char *now;

	if (c->scheme == CHALLENGE_BASIC) {
		if (!s->auth.user)
			return refused(s, "wants a login", err);
		now = token_basic(s->a, s->auth.user, s->auth.password);
		if (str_eq(now, tried))
			return refused(s, "does not accept this user and password", err);
	} else {
		const struct token_want want = {.auth = &s->auth,
						.registry = &s->base,
						.loopback = s->loopback,
						.challenge = c,
						.scopes = &s->scopes};

		if (token_get(s->a, h, &want, &now, err) < 0) {
			(void)err_prefix(err, "cannot log in to '%s'", s->o.registry);
			return err->errnum == EACCES ? err_hint(err, "%s", s->way_in) : -1;
		}
	}
	s->authorization = now;
	return 0;
}

int session_authenticate(struct session *s, struct http *h, const struct strv *challenges,
			 const char *tried, struct err *err)
{
	struct challenge c = {0};
	int r = 0;

	(void)pthread_mutex_lock(&s->lock);
	/* Another thread may have been refused before and have what is good by now. */
	if (!s->authorization || str_eq(s->authorization, tried)) {
		r = choose(s, challenges, &c, err);
		if (r == 0)
			r = authenticate(s, h, &c, tried, err);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}
