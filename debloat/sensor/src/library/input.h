/* Standard input by lines, or up to another byte. */
#pragma once

#include "bytes.h"

/* Standard input by lines. */
struct input {
    struct buffer buffer;
    size_t at;
    bool ended;
};

static bool more_input(struct input *in)
{
    if (in->at) {
        memmove(in->buffer.data, in->buffer.data + in->at, in->buffer.len - in->at);
        in->buffer.len -= in->at;
        in->at = 0;
    }
    if (in->ended || !reserve(&in->buffer, 16 * PAGE))
        return false;
    long n;
    do
        n = sys3(SYS_read, 0, in->buffer.data + in->buffer.len, 16 * PAGE);
    while (n == -EINTR);
    if (n <= 0)
        in->ended = true;
    else
        in->buffer.len += (size_t)n;
    return n > 0;
}

/* The next text up to `end`, terminated in place and valid until the next call; NULL at the end of the input. */
static char *next_text(struct input *in, char end)
{
    size_t seen = 0;
    for (;;) {
        for (size_t i = in->at + seen; i < in->buffer.len; i++)
            if (in->buffer.data[i] == end) {
                char *text = in->buffer.data + in->at;
                in->buffer.data[i] = 0;
                in->at = i + 1;
                return text;
            }
        seen = in->buffer.len - in->at;
        if (!more_input(in))
            return NULL;
    }
}
