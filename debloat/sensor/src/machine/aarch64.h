/* aarch64: numbers of system calls, how one is made, where the program starts, and how registers are laid out. */
#pragma once

#include "../types.h"
#include "recent.h"

#define ARCH_NAME "aarch64"
#define AUDIT_NATIVE 0xC00000B7u
#define AUDIT_COMPAT 0x40000028u
#define SECOND_ABI_BIT 0u                 /* there is one ABI of 64-bit programs */
#define ADDRESS_MASK (((u64)1 << 56) - 1) /* the kernel ignores the top byte of a pointer in a system call */

enum { O_DIRECTORY = 040000, O_NOFOLLOW = 0100000 };

/* Which words of NT_PRSTATUS hold the number of a system call and its arguments: of a 64-bit program (which cannot make
 * calls of the 32-bit ABI), and of a 32-bit program. */
static const u8 registers_native[] = {8, 0, 1, 2, 3, 4, 5};
static const u8 registers_crossed[] = {8, 0, 1, 2, 3, 4, 5};
static const u8 registers_compat[] = {7, 0, 1, 2, 3, 4, 5};

static long syscall6(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

__asm__(".text\n.globl _start\n_start:\n\tmov x29,#0\n\tmov x30,#0\n\tmov x0,sp\n\tbl start\n\tbrk #1\n");

enum {
    SYS_setxattr = 5,
    SYS_lsetxattr = 6,
    SYS_getxattr = 8,
    SYS_lgetxattr = 9,
    SYS_listxattr = 11,
    SYS_llistxattr = 12,
    SYS_removexattr = 14,
    SYS_lremovexattr = 15,
    SYS_fcntl = 25,
    SYS_inotify_add_watch = 27,
    SYS_ioctl = 29,
    SYS_mknodat = 33,
    SYS_mkdirat = 34,
    SYS_unlinkat = 35,
    SYS_symlinkat = 36,
    SYS_linkat = 37,
    SYS_renameat = 38,
    SYS_umount2 = 39,
    SYS_mount = 40,
    SYS_pivot_root = 41,
    SYS_statfs = 43,
    SYS_truncate = 45,
    SYS_ftruncate = 46,
    SYS_faccessat = 48,
    SYS_chdir = 49,
    SYS_fchdir = 50,
    SYS_chroot = 51,
    SYS_fchmodat = 53,
    SYS_fchownat = 54,
    SYS_fchown = 55,
    SYS_openat = 56,
    SYS_close = 57,
    SYS_getdents64 = 61,
    SYS_read = 63,
    SYS_write = 64,
    SYS_pread64 = 67,
    SYS_ppoll = 73,
    SYS_readlinkat = 78,
    SYS_newfstatat = 79,
    SYS_utimensat = 88,
    SYS_capget = 90,
    SYS_capset = 91,
    SYS_exit_group = 94,
    SYS_unshare = 97,
    SYS_nanosleep = 101,
    SYS_clock_gettime = 113,
    SYS_ptrace = 117,
    SYS_kill = 129,
    SYS_tkill = 130,
    SYS_tgkill = 131,
    SYS_rt_sigprocmask = 135,
    SYS_rt_sigtimedwait = 137,
    SYS_setgid = 144,
    SYS_setuid = 146,
    SYS_setsid = 157,
    SYS_getgroups = 158,
    SYS_setgroups = 159,
    SYS_uname = 160,
    SYS_prctl = 167,
    SYS_getpid = 172,
    SYS_geteuid = 175,
    SYS_socket = 198,
    SYS_socketpair = 199,
    SYS_bind = 200,
    SYS_connect = 203,
    SYS_shutdown = 210,
    SYS_sendmsg = 211,
    SYS_recvmsg = 212,
    SYS_munmap = 215,
    SYS_mremap = 216,
    SYS_clone = 220,
    SYS_execve = 221,
    SYS_mmap = 222,
    SYS_wait4 = 260,
    SYS_prlimit64 = 261,
    SYS_fanotify_mark = 263,
    SYS_name_to_handle_at = 264,
    SYS_setns = 268,
    SYS_process_vm_readv = 270,
    SYS_renameat2 = 276,
    SYS_seccomp = 277,
    SYS_getrandom = 278,
    SYS_execveat = 281,
    SYS_statx = 291,
    SYS_access = ABSENT,
    SYS_chmod = ABSENT,
    SYS_chown = ABSENT,
    SYS_creat = ABSENT,
    SYS_futimesat = ABSENT,
    SYS_getdents = ABSENT,
    SYS_lchown = ABSENT,
    SYS_link = ABSENT,
    SYS_lstat = ABSENT,
    SYS_mkdir = ABSENT,
    SYS_mknod = ABSENT,
    SYS_open = ABSENT,
    SYS_readlink = ABSENT,
    SYS_rename = ABSENT,
    SYS_rmdir = ABSENT,
    SYS_stat = ABSENT,
    SYS_symlink = ABSENT,
    SYS_unlink = ABSENT,
    SYS_uselib = ABSENT,
    SYS_utime = ABSENT,
    SYS_utimes = ABSENT,
    SYS_x32_execve = ABSENT,
    SYS_x32_execveat = ABSENT,
};
