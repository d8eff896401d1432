/* x86_64: how a system call is made, the numbers of those that the sensor makes, and where it starts. */
#pragma once

#include "../types.h"

#define ARCH_NAME "x86_64"
enum {
    SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_mmap = 9, SYS_munmap = 11, SYS_rt_sigprocmask = 14, SYS_ioctl = 16,
    SYS_pread64 = 17, SYS_mremap = 25, SYS_nanosleep = 35, SYS_getpid = 39,
    SYS_socket = 41, SYS_connect = 42, SYS_sendmsg = 46, SYS_recvmsg = 47, SYS_shutdown = 48,
    SYS_socketpair = 53, SYS_clone = 56, SYS_execve = 59, SYS_wait4 = 61, SYS_kill = 62, SYS_uname = 63,
    SYS_fcntl = 72, SYS_ftruncate = 77, SYS_chdir = 80, SYS_fchdir = 81, SYS_fchown = 93, SYS_ptrace = 101,
    SYS_setuid = 105, SYS_setgid = 106, SYS_setsid = 112, SYS_getgroups = 115, SYS_setgroups = 116, SYS_capget = 125, SYS_capset = 126,
    SYS_prctl = 157, SYS_chroot = 161, SYS_mount = 165, SYS_lgetxattr = 192, SYS_llistxattr = 195, SYS_getdents64 = 217,
    SYS_clock_gettime = 228, SYS_exit_group = 231, SYS_openat = 257, SYS_mkdirat = 258, SYS_readlinkat = 267,
    SYS_faccessat = 269, SYS_ppoll = 271, SYS_prlimit64 = 302, SYS_process_vm_readv = 310, SYS_seccomp = 317,
    SYS_getrandom = 318, SYS_statx = 332
};
enum { O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };
#define AUDIT_NATIVE 0xC000003Eu
#define AUDIT_COMPAT 0x40000003u

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
