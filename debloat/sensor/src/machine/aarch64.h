/* aarch64: how a system call is made, the numbers of those that the sensor makes, and where it starts. */
#pragma once

#include "../types.h"

#define ARCH_NAME "aarch64"
enum {
    SYS_lgetxattr = 9, SYS_llistxattr = 12, SYS_fcntl = 25, SYS_ioctl = 29, SYS_mkdirat = 34, SYS_mount = 40, SYS_ftruncate = 46,
    SYS_faccessat = 48, SYS_chdir = 49, SYS_fchdir = 50, SYS_chroot = 51, SYS_fchown = 55, SYS_openat = 56,
    SYS_close = 57, SYS_getdents64 = 61, SYS_read = 63, SYS_write = 64, SYS_pread64 = 67, SYS_ppoll = 73,
    SYS_readlinkat = 78, SYS_capget = 90, SYS_capset = 91, SYS_exit_group = 94, SYS_nanosleep = 101,
    SYS_clock_gettime = 113, SYS_ptrace = 117, SYS_kill = 129, SYS_rt_sigprocmask = 135, SYS_setgid = 144,
    SYS_setuid = 146, SYS_setsid = 157, SYS_getgroups = 158, SYS_setgroups = 159, SYS_uname = 160, SYS_prctl = 167,
    SYS_getpid = 172, SYS_socket = 198, SYS_socketpair = 199, SYS_connect = 203, SYS_shutdown = 210, SYS_sendmsg = 211, SYS_recvmsg = 212, SYS_munmap = 215, SYS_mremap = 216,
    SYS_clone = 220, SYS_execve = 221, SYS_mmap = 222, SYS_wait4 = 260, SYS_prlimit64 = 261,
    SYS_process_vm_readv = 270, SYS_seccomp = 277, SYS_getrandom = 278, SYS_statx = 291
};
enum { O_DIRECTORY = 040000, O_NOFOLLOW = 0100000 };
#define AUDIT_NATIVE 0xC00000B7u
#define AUDIT_COMPAT 0x40000028u

static long syscall6(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

__asm__(".text\n.globl _start\n_start:\n\tmov x29,#0\n\tmov x30,#0\n\tmov x0,sp\n\tbl start\n\tbrk #1\n");
