/*
 * oci_json — strangers' JSON, with limits: what the readers of OCI's documents (oci.h) are made of.
 *
 * Failures have errnum EBADMSG and give the cause alone; the readers say of which document.
 */
#ifndef SBX_STORE_OCI_JSON_H
#define SBX_STORE_OCI_JSON_H

#include <stddef.h>

#include <jansson.h>

struct arena;
struct err;
struct oci_pairs;
struct oci_strings;

#define OCI_DEPTH_MAX 32U
#define OCI_VALUES_MAX 100000U

/*
 * One JSON object of at most OCI_MAX bytes.  Refused beyond RFC 8259: keys given twice, of which readers pick
 * different ones; NUL in a string, which would end it for C; depth and number of values beyond the
 * limits, before anything is built of them.
 */
int oci_json(const void *p, size_t n, json_t **ret, struct err *err);

/* errnum EBADMSG and the cause; returns -1. */
int oci_bad(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A string of the object, in `a`; NULL where there is none, or null. */
int oci_json_text(struct arena *a, const json_t *obj, const char *key, const char **ret,
		  struct err *err);

/* The same as a list, of an array of strings, or of the keys of an object (sorted). */
int oci_json_list(struct arena *a, const json_t *obj, const char *key, struct oci_strings *ret,
		  struct err *err);

/* The same of an object whose values are strings. */
int oci_json_pairs(struct arena *a, const json_t *obj, const char *key, struct oci_pairs *ret,
		   struct err *err);

/* An array of objects of at most `limit`; none at all is refused. */
int oci_json_array(const json_t *obj, const char *key, size_t limit, json_t **ret_borrowed,
		   struct err *err);

#endif
