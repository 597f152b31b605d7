#include "registry/crew.h"

#include <errno.h>
#include <pthread.h>

#include "base/err.h"

struct crew {
	struct session *session;
	crew_fn fn;
	void *ctx;
	size_t next, n;
	pthread_mutex_t lock;
	bool failed;
	struct err err; /* of the first that failed */
};

/* The next piece, or false: there is none, or somebody failed. */
static bool take(struct crew *crew, size_t *ret)
{
	bool is;

	(void)pthread_mutex_lock(&crew->lock);
	is = !crew->failed && crew->next < crew->n;
	if (is)
		*ret = crew->next++;
	(void)pthread_mutex_unlock(&crew->lock);
	return is;
}

static void fail(struct crew *crew, const struct err *why)
{
	(void)pthread_mutex_lock(&crew->lock);
	if (!crew->failed)
		crew->err = *why;
	crew->failed = true;
	/* Requests that are on their way end too. */
	atomic_store(&crew->session->http.stop, true);
	(void)pthread_mutex_unlock(&crew->lock);
}

static void work(struct crew *crew, struct client *c)
{
	struct err why = {0};
	size_t i = 0;

	while (take(crew, &i)) {
		if (crew->fn(c, crew->ctx, i, &why) < 0) {
			fail(crew, &why);
			return;
		}
	}
}

static void *thread(void *arg)
{
	_cleanup_client_ struct client c = {0};
	struct crew *crew = arg;

	client_init(&c, crew->session);
	work(crew, &c);
	return NULL;
}

int crew_work(struct client *own, crew_fn fn, void *ctx, size_t n, struct err *err)
{
	struct crew crew = {.session = own->session, .fn = fn, .ctx = ctx, .n = n};
	pthread_t others[CREW_SIZE - 1];
	size_t started = 0;

	(void)pthread_mutex_init(&crew.lock, NULL);
	/* Fewer where no more can be had: one does it all. */
	while (started + 1 < n && started < CREW_SIZE - 1 &&
	       pthread_create(&others[started], NULL, thread, &crew) == 0)
		started++;
	work(&crew, own);
	for (size_t i = 0; i < started; i++)
		(void)pthread_join(others[i], NULL);
	(void)pthread_mutex_destroy(&crew.lock);
	if (crew.failed)
		*err = crew.err;
	return crew.failed ? -1 : 0;
}
