/* Capabilities by name. */
#pragma once

#include "../library/errors.h"

static const char *const capability_names[] = {"chown",
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
                                               "checkpoint_restore"};
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

static void drop_from_bounds(u64 caps)
{
    for (int i = 0; i < CAPABILITIES; i++) {
        if (!(caps >> i & 1))
            continue;
        long r = sys2(SYS_prctl, PR_CAPBSET_READ, i) == 1 ? sys2(SYS_prctl, PR_CAPBSET_DROP, i) : 0;
        if (r < 0)
            die("cannot drop capability ", capability_names[i], " from the bounding set: ", error_name(r));
        sys5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, i, 0, 0);
    }
}

static void drop_from_sets(u64 caps)
{
    struct capability_header h = {CAPABILITY_VERSION_3, 0};
    struct capability_data d[2];
    long r = sys2(SYS_capget, &h, d);
    for (int i = 0; i < 2; i++) {
        u32 keep = ~(u32)(caps >> 32 * i);
        d[i].effective &= keep;
        d[i].permitted &= keep;
        d[i].inheritable &= keep;
    }
    if (r >= 0)
        r = sys2(SYS_capset, &h, d);
    if (r < 0)
        die("cannot drop capabilities: ", error_name(r));
}
