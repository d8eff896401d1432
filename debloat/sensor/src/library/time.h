/* The clock, and waiting. */
#pragma once

#include "../kernel.h"

static i64 now_ms(void)
{
    struct timespec t = {0, 0};
    sys2(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return t.sec * 1000 + t.nsec / 1000000;
}

static void sleep_ms(i64 ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    sys2(SYS_nanosleep, &t, 0);
}
