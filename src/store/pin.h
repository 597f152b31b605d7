/*
 * pin — blobs and layers that no record names yet, kept from gc while a command is at work on them.
 *
 * A staging folder tmp/pin-…/ (stage.h) with an empty file for each digest.  It ends with the process
 * that holds it, however that ends.
 */
#ifndef SBX_STORE_PIN_H
#define SBX_STORE_PIN_H

#include <stdbool.h>

#include "store/stage.h"

struct err;
struct store;

struct pin {
	const struct store *store; /* borrowed */
	int fd;                    /* the folder; holds the lock */
	char name[STAGE_NAME];
};
#define PIN_NONE         \
	{                \
		.fd = -1 \
	}

#define PIN_PREFIX "pin-"

int pin_make(const struct store *s, struct pin *ret, struct err *err);
/*
 * Before it is looked for: gc has then either seen the pin or is over with its sweep, for which this
 * waits.  Not for who holds the lock of the store (layer_lock) alone.
 */
int pin_add(const struct pin *p, const char *hex, struct err *err);
/* Does the process that made this one (a name in tmp/) still hold it? */
bool pin_is_held(const struct store *s, const char *name);
/* Remove the folder: what counts is named by a record now. */
void pin_done(const struct store *s, struct pin *p);

#endif
