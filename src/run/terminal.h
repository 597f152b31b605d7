/*
 * terminal — between the caller's terminal and the pty of a command inside.
 *
 *     struct terminal t;
 *     terminal_open(&t);              // what of 0, 1, 2 is a terminal
 *     terminal_attach(&t, master);    // the command runs
 *     terminal_look(&t);              // in the foreground: raw mode
 *     loop: terminal_poll, poll(2), terminal_pump, terminal_look
 *     terminal_done(&t);              // the terminal is as before
 *
 * Nothing of it waits: a terminal that takes nothing, or a command that reads nothing, never
 * keeps the caller from its signals.  Nothing of it fails: a terminal that went away is hung up
 * inside too.  SIGTTIN and SIGTTOU are to be ignored meanwhile (run/client_run.c).
 */
#ifndef SBX_RUN_TERMINAL_H
#define SBX_RUN_TERMINAL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

/* Bytes on their way; what is left of them starts at `at`. */
struct terminal_flow {
	char bytes[8192];
	size_t at, n;
};

struct terminal {
	bool opened;
	uint32_t bits;  /* bit N: fd N (0, 1, 2) is a terminal */
	int first;      /* the first of them, borrowed; -1: there is none */
	int in;         /* what is typed; -1: stdin is no terminal */
	int out;        /* what is shown; -1: nowhere, it is dropped */
	int master;     /* the pty's; -1 before terminal_attach and after a hang-up */
	bool out_waits; /* writing to `out` may block */
	/*
	 * stdout is a pipe, and what reads it may want the terminal (`sbx run x | less`): modes and
	 * keys are left to it until a line is typed or the inside changes its own modes.
	 */
	bool lazy;
	bool foreground;
	bool raw;   /* raw mode is set, and `saved` is what to go back to */
	bool quiet; /* nobody has the inside open: look again later */
	bool ending;
	size_t ending_left; /* the most that is still taken of the master */
	struct termios saved, set;
	struct terminal_flow typed, shown;
};

/* Look at 0, 1 and 2.  No mode is changed yet. */
void terminal_open(struct terminal *t);

/* Back to the modes of before, and close everything.  A zeroed one is fine. */
void terminal_done(struct terminal *t);
#define _cleanup_terminal_ __attribute__((cleanup(terminal_done)))

/* The window's size; 0 x 0 without a terminal. */
void terminal_size(const struct terminal *t, uint16_t *ret_rows, uint16_t *ret_cols);

/* Take over the master of the command's pty. */
void terminal_attach(struct terminal *t, int master);

/*
 * See whether this process is in the foreground now; there, and only there, raw mode is set and what is
 * typed is read.  True: it has just come there.
 */
bool terminal_look(struct terminal *t);

/* The modes of before, as long as it takes until terminal_look is called: for a stop. */
void terminal_restore(struct terminal *t);

/* The terminal's modes are no longer known, for somebody else had it: terminal_look sets them anew. */
void terminal_forget(struct terminal *t);

/* What to wait for, for how long (ms; -1: for ever), and then what to do. */
#define TERMINAL_FDS 3
void terminal_poll(const struct terminal *t, struct pollfd ret[TERMINAL_FDS]);
int terminal_timeout(const struct terminal *t);
void terminal_pump(struct terminal *t, const struct pollfd polled[TERMINAL_FDS]);

/* Show what is there and what the terminal takes now. */
void terminal_flush(struct terminal *t);

/*
 * The command has ended: nothing is read from the terminal any more, and terminal_pump shows
 * what the command left in its pty, until terminal_ended.  What it left running may
 * go on writing; of that no end is waited for.
 */
void terminal_end(struct terminal *t);
bool terminal_ended(const struct terminal *t);

#endif
