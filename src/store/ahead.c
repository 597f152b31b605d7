#include "store/ahead.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/listing.h"

#define MAX_THREADS 3U
/* So many entries may wait for the walk: some megabytes. */
#define MAX_HELD 32768U
/* A folder is opened by its path, and one far down would take long. */
#define MAX_DEPTH 32U
/* One folder is sooner listed by who has found it. */
#define WORTH_IT 2U

enum state {
	WAITING, /* on the stack */
	TAKEN,   /* somebody lists it */
	READY,
	FAILED,
};

/* A folder that the walk may come to. */
struct ahead_job {
	enum state state;
	bool forgotten;                  /* of one that is taken: the walk will not come */
	struct ahead_job *above, *below; /* on the stack */
	struct listing list;
	char path[]; /* from the root */
};

struct ahead {
	int root; /* borrowed */
	pthread_mutex_t lock;
	pthread_cond_t work;        /* there is some, or it is the end */
	pthread_cond_t ready;       /* a folder is */
	struct ahead_job *top;      /* the next one that the walk comes to */
	struct ahead_job *root_job; /* ahead_begin's, until the walk is there */
	size_t held;                /* entries that wait for the walk */
	bool end;
	bool started;
	size_t wanted; /* threads */
	size_t n;
	pthread_t threads[MAX_THREADS];
};

static size_t processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
}

struct ahead *ahead_new(int root_fd)
{
	const size_t cpus = processors();
	struct ahead *h;

	if (cpus < 2)
		return NULL;
	h = xcalloc(1, sizeof(*h));
	h->root = root_fd;
	h->wanted = cpus - 1 < MAX_THREADS ? cpus - 1 : MAX_THREADS;
	(void)pthread_mutex_init(&h->lock, NULL);
	(void)pthread_cond_init(&h->work, NULL);
	(void)pthread_cond_init(&h->ready, NULL);
	return h;
}

/* ---- the stack; the lock is held ---- */

static void push(struct ahead *h, struct ahead_job *job)
{
	job->below = h->top;
	if (h->top)
		h->top->above = job;
	h->top = job;
}

static void take_off(struct ahead *h, struct ahead_job *job)
{
	if (job->above)
		job->above->below = job->below;
	else
		h->top = job->below;
	if (job->below)
		job->below->above = job->above;
	job->above = job->below = NULL;
}

/* ---- folders of a listing ---- */

static int by_path(const void *a, const void *b)
{
	const struct listed *const *x = a;
	const struct listed *const *y = b;

	return strcmp((*x)->job->path, (*y)->job->path);
}

static bool is_far_down(const char *path)
{
	size_t depth = 0;

	for (; *path && depth < MAX_DEPTH; path++)
		depth += *path == '/';
	return depth == MAX_DEPTH;
}

static struct ahead_job *job_new(const char *folder, const char *name)
{
	size_t len = strlen(folder);
	size_t more = strlen(name);
	struct ahead_job *job;

	if (len + 1 + more >= PATH_MAX)
		return NULL;
	job = xcalloc(1, sizeof(*job) + len + 1 + more + 1);
	memcpy(job->path, folder, len);
	if (len)
		job->path[len++] = '/';
	memcpy(job->path + len, name, more + 1);
	return job;
}

/* Those of them that are folders, in the order of the walk; the caller frees.  NULL: none. */
static struct listed **find_folders(const struct listing *l, const char *path, size_t *ret_n)
{
	const size_t end = is_far_down(path) ? 0 : l->n;
	struct listed **v = NULL;
	size_t n = 0;

	for (size_t i = 0; i < end; i++) {
		if (!S_ISDIR(l->v[i]->st.st_mode) || !(l->v[i]->job = job_new(path, l->v[i]->name)))
			continue;
		if (!v)
			v = xmalloc((l->n - i) * sizeof(struct listed *));
		v[n++] = l->v[i];
	}
	if (n > 1)
		qsort(v, n, sizeof(struct listed *), by_path);
	*ret_n = n;
	return v;
}

/* Put them on the stack, the first on top.  The lock is held. */
static void push_all(struct ahead *h, struct listed *const *folders, size_t n)
{
	for (size_t i = n; i-- > 0;)
		push(h, folders[i]->job);
	if (n >= WORTH_IT)
		(void)pthread_cond_broadcast(&h->work);
}

/* ---- listing ---- */

static int read_folder(const struct ahead *h, const char *path, struct listing *ret)
{
	_cleanup_fd_ int fd = -1;

	if (fs_open_beneath(h->root, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
			    &fd, NULL) < 0)
		return -1;
	return listing_read(fd, ret);
}

/* The walk will not come to it.  The lock is held. */
static void forget(struct ahead *h, struct ahead_job *job);

static void forget_all(struct ahead *h, const struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i]->job)
			forget(h, l->v[i]->job);
		l->v[i]->job = NULL;
	}
}

static void drop(struct ahead *h, struct ahead_job *job)
{
	forget_all(h, &job->list);
	listing_done(&job->list);
	free(job);
}

static void forget(struct ahead *h, struct ahead_job *job)
{
	if (job->state == TAKEN) {
		job->forgotten = true;
		return;
	}
	if (job->state == WAITING)
		take_off(h, job);
	if (job->state == READY)
		h->held -= job->list.n;
	drop(h, job);
}

/* List the folder that comes next; false: there is none, or too much waits already.  The lock is held. */
static bool step(struct ahead *h)
{
	struct ahead_job *job = h->top;
	_cleanup_free_ struct listed **folders = NULL;
	size_t n = 0;
	int r;

	if (!job || h->held >= MAX_HELD)
		return false;
	take_off(h, job);
	job->state = TAKEN;
	(void)pthread_mutex_unlock(&h->lock);
	r = read_folder(h, job->path, &job->list);
	if (r == 0)
		folders = find_folders(&job->list, job->path, &n);
	(void)pthread_mutex_lock(&h->lock);
	job->state = r < 0 ? FAILED : READY;
	if (r == 0)
		h->held += job->list.n;
	push_all(h, folders, n);
	if (job->forgotten)
		forget(h, job);
	(void)pthread_cond_broadcast(&h->ready);
	return true;
}

static void *work(void *arg)
{
	struct ahead *h = arg;

	(void)pthread_mutex_lock(&h->lock);
	while (!h->end) {
		if (!step(h))
			(void)pthread_cond_wait(&h->work, &h->lock);
	}
	(void)pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* As many as can be had: none will do. */
static void start(struct ahead *h)
{
	sigset_t all;
	sigset_t before;

	h->started = true;
	/* Signals interrupt who waits for them. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	while (h->n < h->wanted && pthread_create(&h->threads[h->n], NULL, work, h) == 0)
		h->n++;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- the walk ---- */

void ahead_begin(struct ahead *h)
{
	if (!h || h->started)
		return;
	h->root_job = job_new("", "");
	push(h, h->root_job);
	start(h);
}

/* True where the folder had been listed.  The job is gone in any case. */
static bool collect(struct ahead *h, struct ahead_job *job, struct listing *ret)
{
	bool ready;

	(void)pthread_mutex_lock(&h->lock);
	/* While another one is at it, there is something else to do. */
	while (job->state == TAKEN) {
		if (!step(h))
			(void)pthread_cond_wait(&h->ready, &h->lock);
	}
	ready = job->state == READY;
	if (ready) {
		h->held -= job->list.n;
		(void)pthread_cond_signal(&h->work);
		*ret = job->list;
		job->list = (struct listing){0};
	} else if (job->state == WAITING) {
		take_off(h, job);
	}
	(void)pthread_mutex_unlock(&h->lock);
	free(job);
	return ready;
}

static bool is_that_folder(int fd, const struct listing *l)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino;
}

static void announce(struct ahead *h, const struct listing *l, const char *path)
{
	size_t n = 0;
	_cleanup_free_ struct listed **folders = find_folders(l, path, &n);

	if (n == 0)
		return;
	if (n >= WORTH_IT && !h->started)
		start(h);
	(void)pthread_mutex_lock(&h->lock);
	push_all(h, folders, n);
	(void)pthread_mutex_unlock(&h->lock);
}

int ahead_list(struct ahead *h, struct listed *at, int fd, const char *path, struct listing *ret)
{
	_cleanup_fd_ int own = -1;
	struct ahead_job **job = at ? &at->job : NULL;

	if (h && !at)
		job = &h->root_job;
	if (h && *job && collect(h, TAKE_PTR(*job), ret)) {
		if (is_that_folder(fd, ret))
			return 0;
		/* Another one came to its place. */
		ahead_leave(h, ret);
	}
	own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (own < 0 || listing_read(own, ret) < 0)
		return -1;
	if (h)
		announce(h, ret, path);
	return 0;
}

void ahead_leave(struct ahead *h, struct listing *l)
{
	if (h && l->n > 0) {
		(void)pthread_mutex_lock(&h->lock);
		forget_all(h, l);
		(void)pthread_cond_signal(&h->work);
		(void)pthread_mutex_unlock(&h->lock);
	}
	listing_done(l);
}

void ahead_free(struct ahead *h)
{
	if (!h)
		return;
	(void)pthread_mutex_lock(&h->lock);
	h->end = true;
	if (h->root_job)
		forget(h, h->root_job);
	(void)pthread_cond_broadcast(&h->work);
	(void)pthread_mutex_unlock(&h->lock);
	for (size_t i = 0; i < h->n; i++)
		(void)pthread_join(h->threads[i], NULL);
	(void)pthread_cond_destroy(&h->ready);
	(void)pthread_cond_destroy(&h->work);
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}
