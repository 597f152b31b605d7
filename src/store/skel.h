/*
 * skel — what a new home has in it: the files of /etc/skel, as adduser(8) gives them.
 */
#ifndef SBX_STORE_SKEL_H
#define SBX_STORE_SKEL_H

/* Copy the small plain files of the folder `from` into home_fd; what cannot be read is left out. */
void skel_copy(const char *from, int home_fd);

#endif
