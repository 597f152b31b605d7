/*
 * prefault — take now the page faults that a forked process would take later, one by one, when
 * somebody waits for it.
 */
#ifndef SBX_RUN_PREFAULT_H
#define SBX_RUN_PREFAULT_H

/*
 * Read in the code, and copy the pages of data, heap and stack that are still shared with the parent
 * (MADV_POPULATE_READ and _WRITE, Linux 5.14).  `proc`: a /proc, by fd.  Where it cannot be done
 * the faults just come later.
 */
void prefault(int proc);

#endif
