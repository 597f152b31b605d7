/* whiteout_internal — names that the files of whiteout share. */
#ifndef SBX_STORE_WHITEOUT_INTERNAL_H
#define SBX_STORE_WHITEOUT_INTERNAL_H

#define WHITEOUT_OPAQUE "user.overlay.opaque"
#define WHITEOUT_FUSE_OPAQUE "user.fuseoverlayfs.opaque"
#define WHITEOUT_FUSE_ORIGIN "user.fuseoverlayfs.origin"
#define WHITEOUT_ROOT_OPAQUE "trusted.overlay.opaque"
#define WHITEOUT_FUSE_MARK ".wh..wh..opq"

#endif
