/*
 * out — results to standard output, and the one question that a user is asked.
 * Everything else that is said goes through base/log.
 */
#ifndef SBX_CLI_OUT_H
#define SBX_CLI_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct buf;
struct err;

/* Write it all to standard output.  What cannot be written is an error (/dev/full, a closed descriptor). */
int out_write(const struct buf *text, struct err *err);

/* Write `root` indented, in ASCII alone, and drop the reference; NULL (no memory) is an error. */
int out_json(json_t *root, struct err *err);

/* A JSON string of any bytes: what is not UTF-8 is written as \xNN (str_escape). NULL gives null. */
json_t *out_json_string(const char *s);

/* Add `s` escaped (str_escape), and spaces up to `width` columns. */
void out_cell(struct buf *b, const char *s, size_t width);

/* "3h 12m", "4m 5s", "0.4s". */
void out_duration(struct buf *b, uint64_t ms);

/* "512 B", "4.1 MB": powers of 1000, as ls --si and df -H have them. */
void out_size(struct buf *b, uint64_t bytes);

/* Is there a terminal to ask on? */
bool out_can_ask(void);

/* Ask `question` on the terminal; true for y or yes. */
bool out_ask(const char *question);

/* The same with yes as the answer of an empty line. */
bool out_ask_yes(const char *question);

#endif
