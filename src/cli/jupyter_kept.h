/*
 * jupyter_kept — what an environment's folder keeps of Jupyter: its token, and the port of the one that runs.  No
 * sandbox sees that folder, and it is the user's alone.
 */
#ifndef SBX_CLI_JUPYTER_KEPT_H
#define SBX_CLI_JUPYTER_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define JUPYTER_TOKEN_BYTES ((size_t)24)
#define JUPYTER_TOKEN_LEN (2 * JUPYTER_TOKEN_BYTES)

/* Two digits a byte, and the NUL; at most JUPYTER_TOKEN_BYTES. */
int jupyter_random(size_t bytes, char *ret, struct err *err);

/* The one of the last time, so that a browser's tab goes on; or a new one, where there is none, or `anew`. */
int jupyter_token(int env_fd, bool anew, char ret[JUPYTER_TOKEN_LEN + 1], struct err *err);

/*
 * One Jupyter an environment.  0: it is this process's to run until *ret_fd is closed, or it ends; 1: another process has
 * it, and listens at *ret_port (0: not yet).  jupyter_claim_port says where this one does.
 */
int jupyter_claim(int env_fd, int *ret_fd, uint16_t *ret_port, struct err *err);
int jupyter_claim_port(int fd, uint16_t port, struct err *err);

#endif
