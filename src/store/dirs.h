/*
 * dirs — the user's own folders: XDG Base Directory Specification 0.8.
 */
#ifndef SBX_STORE_DIRS_H
#define SBX_STORE_DIRS_H

struct arena;
struct err;

/* $HOME, or the home of the password file where that is unset or empty. Absolute and clean. */
int dirs_home(struct arena *a, const char **ret, struct err *err);

/* $XDG_DATA_HOME or ~/.local/share; a relative one is ignored, as the specification says. */
int dirs_data(struct arena *a, const char **ret, struct err *err);

/* $XDG_CONFIG_HOME or ~/.config, likewise. */
int dirs_config(struct arena *a, const char **ret, struct err *err);

#endif
