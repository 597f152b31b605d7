/*
 * num — numbers out of text; the only place where strtol's family is called.
 * The whole string must be the number: no white space, no sign but where said.
 */
#ifndef SBX_BASE_NUM_H
#define SBX_BASE_NUM_H

#include <stdint.h>

struct err;

/* Decimal, lo..hi inclusive. */
int num_u64(const char *s, uint64_t lo, uint64_t hi, uint64_t *ret_n, struct err *err);

/* Bytes: digits and an optional K M G T (powers of 1024, either case, an optional "B"/"iB"). */
int num_size(const char *s, uint64_t *ret_bytes, struct err *err);

/* A time: digits and ms, s, m, h or d (no unit: seconds).  Result in milliseconds. */
int num_duration(const char *s, uint64_t *ret_ms, struct err *err);

/* CPUs as a decimal fraction ("2", "0.5"): thousandths of a CPU, 1 at the least. */
int num_cpus(const char *s, uint64_t *ret_millicpus, struct err *err);

#endif
