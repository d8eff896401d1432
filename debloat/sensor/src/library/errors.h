/* Errors by name, and the end of the process. */
#pragma once

#include "../kernel.h"

static const char *error_name(long error)
{
    switch (error < 0 ? -error : error) {
#define X(name, number) \
    case number: return #name;
        ERRORS(X)
#undef X
    }
    return "EUNKNOWN";
}

__attribute__((noreturn)) static void exit_process(int code)
{
    for (;;)
        sys1(SYS_exit_group, code);
}
