/* A buffer that grows. */
#pragma once

#include "../kernel.h"
#include "strings.h"

/* Text and bytes of unknown length: grows by whole pages; `failed` instead of a pointer to check at each call. */
struct buffer {
    char *data;
    size_t len, capacity;
    bool failed;
};

static bool reserve(struct buffer *b, size_t more)
{
    if (b->failed)
        return false;
    if (b->len + more <= b->capacity)
        return true;
    size_t capacity = b->capacity ? b->capacity : 16 * PAGE;
    while (capacity < b->len + more)
        capacity *= 2;
    long at = b->data ? sys4(SYS_mremap, b->data, b->capacity, capacity, MREMAP_MAYMOVE)
                      : sys6(SYS_mmap, 0, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 && at > -PAGE) {
        b->failed = true;
        return false;
    }
    b->data = (char *)at;
    b->capacity = capacity;
    return true;
}

static void release(struct buffer *b)
{
    if (b->data)
        sys2(SYS_munmap, b->data, b->capacity);
    *b = (struct buffer){0};
}

static void put(struct buffer *b, const void *data, size_t n)
{
    if (reserve(b, n)) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
    }
}

static void put_byte(struct buffer *b, char c)
{
    if (reserve(b, 1))
        b->data[b->len++] = c;
}

static void put_text(struct buffer *b, const char *s) { put(b, s, length(s)); }

static void put_number(struct buffer *b, u64 n, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits;
    do
        digits[--at] = "0123456789abcdef"[n % base];
    while (n /= base);
    put(b, digits + at, sizeof digits - at);
}

static void put_signed(struct buffer *b, i64 n)
{
    if (n < 0)
        put_byte(b, '-');
    put_number(b, n < 0 ? 0 - (u64)n : (u64)n, 10);
}

/* Names are data of an untrusted image: nothing in them may end a field or a record. */
static void put_escaped(struct buffer *b, const char *s, size_t n)
{
    if (!reserve(b, 4 * n))
        return;
    char *to = b->data + b->len;
    for (size_t i = 0; i < n; i++) {
        u8 c = (u8)s[i];
        if (c < 0x21 || c == 0x7f || c == '\\') {
            *to++ = '\\';
            *to++ = 'x';
            *to++ = "0123456789abcdef"[c >> 4];
            *to++ = "0123456789abcdef"[c & 15];
        } else {
            *to++ = (char)c;
        }
    }
    b->len = (size_t)(to - b->data);
}

static const char *as_string(struct buffer *b)
{
    put_byte(b, 0);
    if (b->failed)
        return "";
    b->len--;
    return b->data;
}
