/*
 * sensor: records which paths the programs of a container use, and serves what else must be known from inside.
 *
 * One program without a C library, because it is put into images that have none. docs/sensor.md is the contract:
 * command line, event files, state files, the line protocol of `control` and the framed one of `serve`.
 *
 * Everything is included here and is one unit for the compiler. Each file includes what it needs itself; those further
 * down stand on those above them.
 *
 *   types, machine, kernel   integers; numbers and instructions of each machine; constants and structures of the kernel
 *   library                  strings, buffers, files, messages
 *   recording                calls that take a path, the seccomp filter, supervisors, what a call names, event files
 *   identity                 USER, capabilities, environment: what the runtime would have set up
 *   control                  what is asked about a container at work
 *   verbs                    record, control, relay, serve, doctor, canary
 */
#include "verbs/canary.h"
#include "verbs/control.h"
#include "verbs/doctor.h"
#include "verbs/record.h"
#include "verbs/relay.h"
#include "verbs/serve.h"

/* Called by the first instructions (machine/): argc, argv and the environment are on the stack. */
__attribute__((noreturn)) void start(long *stack);

__attribute__((noreturn, used)) void start(long *stack)
{
    int argc = (int)stack[0];
    char **argv = (char **)(void *)(stack + 1), **env = argv + argc + 1;
    int code = EXIT_USAGE;
    if (argc >= 2 && equal(argv[1], "record"))
        code = record(argc - 2, argv + 2, env);
    else if (argc >= 2 && equal(argv[1], "control"))
        code = control(argc - 2, argv + 2);
    else if (argc == 4 && equal(argv[1], "relay"))
        code = relay(argv[2], argv[3]);
    else if (argc >= 2 && equal(argv[1], "serve"))
        code = serve(argv[2], argc > 3 ? argv + 3 : argv + argc); /* argv ends in NULL */
    else if (argc == 2 && equal(argv[1], "doctor"))
        code = doctor();
    else if (argc >= 2 && equal(argv[1], "canary"))
        code = canary(argc - 2, argv + 2, env);
    else
        say(2,
            "usage: sensor record [OPTIONS] -- ARGV... | control --dir DIR | relay ADDRESSES PORT[/udp] | "
            "serve [ROOT [LAYER...]] | doctor | canary LIST NOTES -- ARGV...",
            NULL);
    exit_process(code);
}
