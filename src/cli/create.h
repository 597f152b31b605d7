/*
 * create — a new file, whole or not at all, never over one that is there.
 */
#ifndef SBX_CLI_CREATE_H
#define SBX_CLI_CREATE_H

struct buf;
struct err;

/* Write `text` as `name` (mode 0666 less the umask) in the folder `dir`.  There already: errnum EEXIST. */
int create_file(const char *dir, const char *name, const struct buf *text, struct err *err);

#endif
