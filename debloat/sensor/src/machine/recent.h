/* System calls that are newer than the common numbering: from 424 on a call has the same number on every machine. */
#pragma once

enum { ABSENT = -1 }; /* the number of a call that a machine does not have */

enum {
    SYS_pidfd_send_signal = 424,
    SYS_io_uring_setup = 425,
    SYS_open_tree = 428,
    SYS_move_mount = 429,
    SYS_fspick = 433,
    SYS_pidfd_open = 434,
    SYS_clone3 = 435,
    SYS_openat2 = 437,
    SYS_faccessat2 = 439,
    SYS_mount_setattr = 442,
    SYS_fchmodat2 = 452,
    SYS_setxattrat = 463,
    SYS_getxattrat = 464,
    SYS_listxattrat = 465,
    SYS_removexattrat = 466,
    SYS_open_tree_attr = 467,
    SYS_file_getattr = 468,
    SYS_file_setattr = 469,
};
