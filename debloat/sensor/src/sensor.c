/*
 * sensor: records which paths the programs of a container use, and serves what else must be known from inside.
 *
 * One program without a C library, because it is put into images that have none. docs/sensor.md is the contract: command
 * line, event files, state files, the line protocol of `control` and the framed one of `serve`.
 *
 * All parts are included here, in order, and are one unit for the compiler.
 *
 *   machine, kernel   system call instruction and numbers of each machine; constants and structures of the kernel
 *   library           strings, buffers, files
 *   recording         which calls take a path, the seccomp filter, the supervisors, what one call names, event files
 *   identity          USER, capabilities, environment: what the runtime would have set up
 *   control           what is asked about a container at work
 *   verbs             record, control, relay, serve, doctor
 */

#include "types.h"
#include "machine.h"
#include "kernel.h"
#include "library/strings.h"
#include "library/errors.h"
#include "library/bytes.h"
#include "library/output.h"
#include "library/files.h"
#include "recording/calls.h"
#include "recording/state.h"
#include "recording/hash.h"
#include "recording/events.h"
#include "recording/tasks.h"
#include "recording/programs.h"
#include "recording/memory.h"
#include "recording/observe.h"
#include "recording/filter.h"
#include "recording/notify.h"
#include "recording/ptrace.h"
#include "recording/supervisor.h"
#include "identity/capabilities.h"
#include "identity/users.h"
#include "identity/identity.h"
#include "verbs/record.h"
#include "library/input.h"
#include "control/ports.h"
#include "verbs/control.h"
#include "verbs/relay.h"
#include "verbs/serve.h"
#include "verbs/doctor.h"

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
    else if (argc == 2 && equal(argv[1], "serve"))
        code = serve();
    else if (argc == 2 && equal(argv[1], "doctor"))
        code = doctor();
    else
        say(2, "usage: sensor record [OPTIONS] -- ARGV... | control --dir DIR | relay ADDRESSES PORT | serve | doctor", NULL);
    exit_process(code);
}
