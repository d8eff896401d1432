/* x86_64: numbers of system calls, how one is made, where the program starts, and how registers are laid out. */
#pragma once

#include "../types.h"
#include "recent.h"

#define ARCH_NAME "x86_64"
#define AUDIT_NATIVE 0xC000003Eu
#define AUDIT_COMPAT 0x40000003u
#define SECOND_ABI_BIT 0x40000000u /* set in the number of a call of the x32 ABI, which shares the table */
#define ADDRESS_MASK (~(u64)0)

enum { O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };

/* Which words of NT_PRSTATUS hold the number of a system call and its arguments: of a 64-bit program, of one that makes
 * calls of the 32-bit ABI all the same (int 0x80), and of a 32-bit program. */
static const u8 registers_native[] = {15, 14, 13, 12, 7, 9, 8};   /* orig_rax rdi rsi rdx r10 r8 r9 */
static const u8 registers_crossed[] = {15, 5, 11, 12, 13, 14, 4}; /* orig_rax rbx rcx rdx rsi rdi rbp */
static const u8 registers_compat[] = {11, 0, 1, 2, 3, 4, 5};      /* orig_eax ebx ecx edx esi edi ebp */

static long syscall6(long n, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

__asm__(".text\n.globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall start\n\thlt\n");

enum {
    SYS_read = 0,
    SYS_write = 1,
    SYS_open = 2,
    SYS_close = 3,
    SYS_stat = 4,
    SYS_lstat = 6,
    SYS_mmap = 9,
    SYS_munmap = 11,
    SYS_rt_sigprocmask = 14,
    SYS_ioctl = 16,
    SYS_pread64 = 17,
    SYS_access = 21,
    SYS_mremap = 25,
    SYS_nanosleep = 35,
    SYS_getpid = 39,
    SYS_socket = 41,
    SYS_connect = 42,
    SYS_sendmsg = 46,
    SYS_recvmsg = 47,
    SYS_shutdown = 48,
    SYS_bind = 49,
    SYS_socketpair = 53,
    SYS_clone = 56,
    SYS_execve = 59,
    SYS_wait4 = 61,
    SYS_kill = 62,
    SYS_uname = 63,
    SYS_fcntl = 72,
    SYS_truncate = 76,
    SYS_ftruncate = 77,
    SYS_getdents = 78,
    SYS_chdir = 80,
    SYS_fchdir = 81,
    SYS_rename = 82,
    SYS_mkdir = 83,
    SYS_rmdir = 84,
    SYS_creat = 85,
    SYS_link = 86,
    SYS_unlink = 87,
    SYS_symlink = 88,
    SYS_readlink = 89,
    SYS_chmod = 90,
    SYS_chown = 92,
    SYS_fchown = 93,
    SYS_lchown = 94,
    SYS_ptrace = 101,
    SYS_setuid = 105,
    SYS_setgid = 106,
    SYS_geteuid = 107,
    SYS_setsid = 112,
    SYS_getgroups = 115,
    SYS_setgroups = 116,
    SYS_capget = 125,
    SYS_capset = 126,
    SYS_rt_sigtimedwait = 128,
    SYS_utime = 132,
    SYS_mknod = 133,
    SYS_uselib = 134,
    SYS_statfs = 137,
    SYS_pivot_root = 155,
    SYS_prctl = 157,
    SYS_chroot = 161,
    SYS_mount = 165,
    SYS_umount2 = 166,
    SYS_setxattr = 188,
    SYS_lsetxattr = 189,
    SYS_getxattr = 191,
    SYS_lgetxattr = 192,
    SYS_listxattr = 194,
    SYS_llistxattr = 195,
    SYS_removexattr = 197,
    SYS_lremovexattr = 198,
    SYS_tkill = 200,
    SYS_getdents64 = 217,
    SYS_clock_gettime = 228,
    SYS_exit_group = 231,
    SYS_tgkill = 234,
    SYS_utimes = 235,
    SYS_inotify_add_watch = 254,
    SYS_openat = 257,
    SYS_mkdirat = 258,
    SYS_mknodat = 259,
    SYS_fchownat = 260,
    SYS_futimesat = 261,
    SYS_newfstatat = 262,
    SYS_unlinkat = 263,
    SYS_renameat = 264,
    SYS_linkat = 265,
    SYS_symlinkat = 266,
    SYS_readlinkat = 267,
    SYS_fchmodat = 268,
    SYS_faccessat = 269,
    SYS_ppoll = 271,
    SYS_unshare = 272,
    SYS_utimensat = 280,
    SYS_fanotify_mark = 301,
    SYS_prlimit64 = 302,
    SYS_name_to_handle_at = 303,
    SYS_setns = 308,
    SYS_process_vm_readv = 310,
    SYS_renameat2 = 316,
    SYS_seccomp = 317,
    SYS_getrandom = 318,
    SYS_execveat = 322,
    SYS_statx = 332,
    SYS_x32_execve = 520,
    SYS_x32_execveat = 545,
};
