/* Which system calls are made, whatever they name: each is noted once, by its number. */
#pragma once

#include "calls.h"
#include "state.h"

/* Calls that are let through unseen: those that programs make all the time, and that need no noting. Among them are
 * always those by which the listener gets to the supervisor, which could not be answered before. */
enum { UNSEEN = 192 };
static const short sensors_own[] = {SYS_sendmsg, SYS_read, SYS_write};
static struct {
    bool on;
    short unseen[UNSEEN];
    int unseen_count;
    bool noted[ABIS][NUMBERS];
} noting;

static bool add_unseen(i64 number)
{
    if (number < 0 || number >= NUMBERS || noting.unseen_count == UNSEEN)
        return false;
    noting.unseen[noting.unseen_count++] = (short)number;
    return true;
}

/* NUMBER[,NUMBER...] of the native ABI, or nothing; of the 32-bit one all calls are noted. False: it is none. */
static bool parse_unseen(char *list)
{
    noting.on = true;
    for (size_t i = 0; i < sizeof sensors_own / sizeof *sensors_own; i++)
        add_unseen(sensors_own[i]);
    for (char *one = list, *rest; one && *one; one = rest) {
        rest = split_at(one, ',');
        if (!add_unseen(parse_number(one)))
            return false;
    }
    return true;
}
