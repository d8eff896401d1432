/* Capabilities by name. */
#pragma once

#include "../kernel.h"
#include "../library/strings.h"

static const char *const capability_names[] = {
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
};
enum { CAPABILITIES = sizeof capability_names / sizeof *capability_names };
enum { CAP_SETGID = 6, CAP_SETUID = 7, CAP_SETPCAP = 8, CAP_SYS_CHROOT = 18, CAP_SYS_PTRACE = 19, CAP_SYS_ADMIN = 21 };

static int find_capability(const char *name)
{
    if (starts_with(name, "cap_") || starts_with(name, "CAP_"))
        name += 4;
    for (int i = 0; i < CAPABILITIES; i++) {
        const char *known = capability_names[i];
        size_t n = 0;
        while (known[n] && (name[n] | 0x20) == (known[n] | 0x20))
            n++;
        if (!known[n] && !name[n])
            return i;
    }
    return -1;
}

static u64 effective_capabilities(void)
{
    struct capability_header h = {CAPABILITY_VERSION_3, 0};
    struct capability_data d[2] = {{0, 0, 0}, {0, 0, 0}};
    sys2(SYS_capget, &h, d);
    return (u64)d[1].effective << 32 | d[0].effective;
}
