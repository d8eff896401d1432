/* Which system calls take a path, and where. */
#pragma once

#include "../types.h"

#define OPERATIONS(X)                                                                                            \
    X(OPEN, "open") X(EXEC, "exec") X(STAT, "stat") X(ACCESS, "access") X(READLINK, "readlink") X(LIST, "list")   \
    X(CHDIR, "chdir") X(CHROOT, "chroot") X(MKDIR, "mkdir") X(MKNOD, "mknod") X(SYMLINK, "symlink")               \
    X(LINK, "link") X(RENAME, "rename") X(CREATE, "create") X(UNLINK, "unlink") X(RMDIR, "rmdir")                 \
    X(CHMOD, "chmod") X(CHOWN, "chown") X(UTIME, "utime") X(TRUNCATE, "truncate") X(STATFS, "statfs")             \
    X(GETXATTR, "getxattr") X(SETXATTR, "setxattr") X(WATCH, "watch") X(CONNECT, "connect") X(BIND, "bind")       \
    X(MOUNT, "mount") X(HANDLE, "handle") X(NOTHING, "")

#define X(name, text) OP_##name,
enum operation { OPERATIONS(X) };
#undef X
#define X(name, text) text,
static const char *const operation_name[] = {OPERATIONS(X)};
#undef X

/* How a row is read. An empty path is looked up by no call but those marked so: elsewhere it means ENOENT or the
 * descriptor itself (AT_EMPTY_PATH), whose path was recorded when it was opened. */
enum rule {
    PLAIN,       /* follows a last link */
    NOFOLLOW,    /* never follows it */
    AT,          /* flags: AT_SYMLINK_NOFOLLOW */
    AT_FOLLOW,   /* flags: follows only with AT_SYMLINK_FOLLOW */
    OPEN_FLAGS,  /* flags of open(2) */
    OPEN_HOW,    /* flags: pointer to struct open_how */
    OPEN_CREATE, /* creat(2) */
    UNLINK_AT,   /* flags: AT_REMOVEDIR makes it rmdir */
    EXEC_AT,     /* as AT; an empty path is the descriptor's */
    LINK_TEXT,   /* readlinkat(2): NOFOLLOW; an empty path is the descriptor's */
    DESCRIPTOR,  /* the path of descriptor `dir` */
    SOCKADDR,    /* path: address, flags: its length */
    SOCKETCALL,  /* i386: bind and connect behind one number */
    INOTIFY, FANOTIFY,
    MOUNT_SOURCE, /* a path only when it looks like one */
    UMOUNT,
    ROOT_MOVES    /* PLAIN, and from now on processes may have a root of their own */
};

enum { X86_64, I386, AARCH64, ARM, MACHINES };
enum { CWD = -1, NO = -1 };

struct call {
    short nr[MACHINES];
    u8 op, rule;
    signed char dir, path, flags; /* which argument; CWD: relative to the working directory */
};

/* Frequent calls first: the filter tests in this order. A call that names two paths has two adjacent rows. Two numbers
 * of one machine for one form need two rows as well. Numbers 520 and 545 of x86_64 are those of the x32 ABI. */
static const struct call calls[] = {
    /* x86_64 i386 aarch64 arm */
    {{257, 295, 56, 322}, OP_OPEN, OPEN_FLAGS, 0, 1, 2},          /* openat */
    {{262, 300, 79, 327}, OP_STAT, AT, 0, 1, 3},                  /* newfstatat, fstatat64 */
    {{4, 106, NO, 106}, OP_STAT, PLAIN, CWD, 0, NO},              /* stat */
    {{6, 107, NO, 107}, OP_STAT, NOFOLLOW, CWD, 0, NO},           /* lstat */
    {{332, 383, 291, 397}, OP_STAT, AT, 0, 1, 2},                 /* statx */
    {{2, 5, NO, 5}, OP_OPEN, OPEN_FLAGS, CWD, 0, 1},              /* open */
    {{89, 85, NO, 85}, OP_READLINK, NOFOLLOW, CWD, 0, NO},        /* readlink */
    {{21, 33, NO, 33}, OP_ACCESS, PLAIN, CWD, 0, NO},             /* access */
    {{217, 220, 61, 217}, OP_LIST, DESCRIPTOR, 0, NO, NO},        /* getdents64 */
    {{59, 11, 221, 11}, OP_EXEC, PLAIN, CWD, 0, NO},              /* execve */
    {{269, 307, 48, 334}, OP_ACCESS, PLAIN, 0, 1, NO},            /* faccessat */
    {{439, 439, 439, 439}, OP_ACCESS, AT, 0, 1, 3},               /* faccessat2 */
    {{267, 305, 78, 332}, OP_READLINK, LINK_TEXT, 0, 1, NO},      /* readlinkat */
    {{437, 437, 437, 437}, OP_OPEN, OPEN_HOW, 0, 1, 2},           /* openat2 */
    {{80, 12, 49, 12}, OP_CHDIR, PLAIN, CWD, 0, NO},              /* chdir */
    {{81, 133, 50, 133}, OP_CHDIR, DESCRIPTOR, 0, NO, NO},        /* fchdir */
    {{42, 362, 203, 283}, OP_CONNECT, SOCKADDR, CWD, 1, 2},       /* connect */
    {{49, 361, 200, 282}, OP_BIND, SOCKADDR, CWD, 1, 2},          /* bind */
    {{NO, 102, NO, NO}, OP_NOTHING, SOCKETCALL, CWD, 1, NO},      /* socketcall */
    {{NO, 195, NO, 195}, OP_STAT, PLAIN, CWD, 0, NO},             /* stat64 */
    {{NO, 196, NO, 196}, OP_STAT, NOFOLLOW, CWD, 0, NO},          /* lstat64 */
    {{NO, 18, NO, NO}, OP_STAT, PLAIN, CWD, 0, NO},               /* oldstat */
    {{NO, 84, NO, NO}, OP_STAT, NOFOLLOW, CWD, 0, NO},            /* oldlstat */
    {{78, 141, NO, 141}, OP_LIST, DESCRIPTOR, 0, NO, NO},         /* getdents */
    {{NO, 89, NO, NO}, OP_LIST, DESCRIPTOR, 0, NO, NO},           /* readdir */
    {{322, 358, 281, 387}, OP_EXEC, EXEC_AT, 0, 1, 4},            /* execveat */
    {{520, NO, NO, NO}, OP_EXEC, PLAIN, CWD, 0, NO},              /* execve of x32 */
    {{545, NO, NO, NO}, OP_EXEC, EXEC_AT, 0, 1, 4},               /* execveat of x32 */
    {{134, 86, NO, 86}, OP_EXEC, PLAIN, CWD, 0, NO},              /* uselib */
    {{85, 8, NO, 8}, OP_OPEN, OPEN_CREATE, CWD, 0, NO},           /* creat */
    {{161, 61, 51, 61}, OP_CHROOT, ROOT_MOVES, CWD, 0, NO},       /* chroot */
    {{155, 217, 41, 218}, OP_CHROOT, ROOT_MOVES, CWD, 0, NO},     /* pivot_root, new root */
    {{155, 217, 41, 218}, OP_CHROOT, ROOT_MOVES, CWD, 1, NO},     /* pivot_root, place of the old one */
    {{308, 346, 268, 375}, OP_NOTHING, ROOT_MOVES, CWD, NO, NO},  /* setns */
    {{83, 39, NO, 39}, OP_MKDIR, NOFOLLOW, CWD, 0, NO},           /* mkdir */
    {{258, 296, 34, 323}, OP_MKDIR, NOFOLLOW, 0, 1, NO},          /* mkdirat */
    {{133, 14, NO, 14}, OP_MKNOD, NOFOLLOW, CWD, 0, NO},          /* mknod */
    {{259, 297, 33, 324}, OP_MKNOD, NOFOLLOW, 0, 1, NO},          /* mknodat */
    {{88, 83, NO, 83}, OP_SYMLINK, NOFOLLOW, CWD, 1, NO},         /* symlink */
    {{266, 304, 36, 331}, OP_SYMLINK, NOFOLLOW, 1, 2, NO},        /* symlinkat */
    {{86, 9, NO, 9}, OP_LINK, NOFOLLOW, CWD, 0, NO},              /* link */
    {{86, 9, NO, 9}, OP_CREATE, NOFOLLOW, CWD, 1, NO},
    {{265, 303, 37, 330}, OP_LINK, AT_FOLLOW, 0, 1, 4},           /* linkat */
    {{265, 303, 37, 330}, OP_CREATE, NOFOLLOW, 2, 3, NO},
    {{82, 38, NO, 38}, OP_RENAME, NOFOLLOW, CWD, 0, NO},          /* rename */
    {{82, 38, NO, 38}, OP_CREATE, NOFOLLOW, CWD, 1, NO},
    {{264, 302, 38, 329}, OP_RENAME, NOFOLLOW, 0, 1, NO},         /* renameat */
    {{264, 302, 38, 329}, OP_CREATE, NOFOLLOW, 2, 3, NO},
    {{316, 353, 276, 382}, OP_RENAME, NOFOLLOW, 0, 1, NO},        /* renameat2 */
    {{316, 353, 276, 382}, OP_CREATE, NOFOLLOW, 2, 3, NO},
    {{87, 10, NO, 10}, OP_UNLINK, NOFOLLOW, CWD, 0, NO},          /* unlink */
    {{263, 301, 35, 328}, OP_UNLINK, UNLINK_AT, 0, 1, 2},         /* unlinkat */
    {{84, 40, NO, 40}, OP_RMDIR, NOFOLLOW, CWD, 0, NO},           /* rmdir */
    {{90, 15, NO, 15}, OP_CHMOD, PLAIN, CWD, 0, NO},              /* chmod */
    {{268, 306, 53, 333}, OP_CHMOD, PLAIN, 0, 1, NO},             /* fchmodat */
    {{452, 452, 452, 452}, OP_CHMOD, AT, 0, 1, 3},                /* fchmodat2 */
    {{92, 182, NO, 182}, OP_CHOWN, PLAIN, CWD, 0, NO},            /* chown */
    {{NO, 212, NO, 212}, OP_CHOWN, PLAIN, CWD, 0, NO},            /* chown32 */
    {{94, 16, NO, 16}, OP_CHOWN, NOFOLLOW, CWD, 0, NO},           /* lchown */
    {{NO, 198, NO, 198}, OP_CHOWN, NOFOLLOW, CWD, 0, NO},         /* lchown32 */
    {{260, 298, 54, 325}, OP_CHOWN, AT, 0, 1, 4},                 /* fchownat */
    {{132, 30, NO, NO}, OP_UTIME, PLAIN, CWD, 0, NO},             /* utime */
    {{235, 271, NO, 269}, OP_UTIME, PLAIN, CWD, 0, NO},           /* utimes */
    {{261, 299, NO, 326}, OP_UTIME, PLAIN, 0, 1, NO},             /* futimesat */
    {{280, 320, 88, 348}, OP_UTIME, AT, 0, 1, 3},                 /* utimensat */
    {{NO, 412, NO, 412}, OP_UTIME, AT, 0, 1, 3},                  /* utimensat_time64 */
    {{76, 92, 45, 92}, OP_TRUNCATE, PLAIN, CWD, 0, NO},           /* truncate */
    {{NO, 193, NO, 193}, OP_TRUNCATE, PLAIN, CWD, 0, NO},         /* truncate64 */
    {{137, 99, 43, 99}, OP_STATFS, PLAIN, CWD, 0, NO},            /* statfs */
    {{NO, 268, NO, 266}, OP_STATFS, PLAIN, CWD, 0, NO},           /* statfs64 */
    {{191, 229, 8, 229}, OP_GETXATTR, PLAIN, CWD, 0, NO},         /* getxattr */
    {{192, 230, 9, 230}, OP_GETXATTR, NOFOLLOW, CWD, 0, NO},      /* lgetxattr */
    {{194, 232, 11, 232}, OP_GETXATTR, PLAIN, CWD, 0, NO},        /* listxattr */
    {{195, 233, 12, 233}, OP_GETXATTR, NOFOLLOW, CWD, 0, NO},     /* llistxattr */
    {{464, 464, 464, 464}, OP_GETXATTR, AT, 0, 1, 2},             /* getxattrat */
    {{465, 465, 465, 465}, OP_GETXATTR, AT, 0, 1, 2},             /* listxattrat */
    {{468, 468, 468, 468}, OP_GETXATTR, AT, 0, 1, 4},             /* file_getattr */
    {{188, 226, 5, 226}, OP_SETXATTR, PLAIN, CWD, 0, NO},         /* setxattr */
    {{189, 227, 6, 227}, OP_SETXATTR, NOFOLLOW, CWD, 0, NO},      /* lsetxattr */
    {{197, 235, 14, 235}, OP_SETXATTR, PLAIN, CWD, 0, NO},        /* removexattr */
    {{198, 236, 15, 236}, OP_SETXATTR, NOFOLLOW, CWD, 0, NO},     /* lremovexattr */
    {{463, 463, 463, 463}, OP_SETXATTR, AT, 0, 1, 2},             /* setxattrat */
    {{466, 466, 466, 466}, OP_SETXATTR, AT, 0, 1, 2},             /* removexattrat */
    {{469, 469, 469, 469}, OP_SETXATTR, AT, 0, 1, 4},             /* file_setattr */
    {{254, 292, 27, 317}, OP_WATCH, INOTIFY, CWD, 1, 2},          /* inotify_add_watch */
    {{301, NO, 263, NO}, OP_WATCH, FANOTIFY, 3, 4, 1},            /* fanotify_mark */
    {{NO, 339, NO, 368}, OP_WATCH, FANOTIFY, 4, 5, 1},            /* fanotify_mark, its 64-bit mask in two registers */
    {{165, 21, 40, 21}, OP_MOUNT, MOUNT_SOURCE, CWD, 0, 3},       /* mount */
    {{165, 21, 40, 21}, OP_MOUNT, PLAIN, CWD, 1, NO},
    {{NO, 22, NO, NO}, OP_MOUNT, PLAIN, CWD, 0, NO},              /* umount */
    {{166, 52, 39, 52}, OP_MOUNT, UMOUNT, CWD, 0, 1},             /* umount2 */
    {{428, 428, 428, 428}, OP_MOUNT, AT, 0, 1, 2},                /* open_tree */
    {{467, 467, 467, 467}, OP_MOUNT, AT, 0, 1, 2},                /* open_tree_attr */
    {{429, 429, 429, 429}, OP_MOUNT, PLAIN, 0, 1, NO},            /* move_mount */
    {{429, 429, 429, 429}, OP_MOUNT, PLAIN, 2, 3, NO},
    {{433, 433, 433, 433}, OP_MOUNT, PLAIN, 0, 1, NO},            /* fspick */
    {{442, 442, 442, 442}, OP_MOUNT, AT, 0, 1, 2},                /* mount_setattr */
    {{303, 341, 264, 370}, OP_HANDLE, AT_FOLLOW, 0, 1, 4},        /* name_to_handle_at */
};

enum { CALLS = sizeof calls / sizeof *calls, NUMBERS = 640 };
enum abi { NATIVE, COMPAT, ABIS };
#if defined(__x86_64__)
static const int machine_of[ABIS] = {X86_64, I386};
#else
static const int machine_of[ABIS] = {AARCH64, ARM};
#endif
#define X32_BIT 0x40000000u

/* Row of the table + 1 for each number; 0: none. */
static u8 row_of[ABIS][NUMBERS];

static void index_calls(void)
{
    for (int abi = 0; abi < ABIS; abi++)
        for (int i = CALLS - 1; i >= 0; i--)
            if (calls[i].nr[machine_of[abi]] >= 0)
                row_of[abi][calls[i].nr[machine_of[abi]]] = (u8)(i + 1);
}
