/* Memory, strings and numbers in texts. */
#pragma once

#include "../types.h"

/* The compiler may call these four whatever it is told. The empty asm keeps it from turning a loop into a call of
 * itself; words, because short strings are what is copied, and repeated string instructions start slowly. */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);
void *memmove(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    u8 *t = to;
    const u8 *f = from;
    for (; n >= 8; n -= 8, t += 8, f += 8) {
        __builtin_memcpy(t, f, 8);
        __asm__ volatile("" ::: "memory");
    }
    for (; n; n--, t++, f++) {
        *t = *f;
        __asm__ volatile("" ::: "memory");
    }
    return to;
}

void *memset(void *to, int value, size_t n)
{
    u8 *t = to;
    const u64 word = (u8)value * 0x0101010101010101u;
    for (; n >= 8; n -= 8, t += 8) {
        __builtin_memcpy(t, &word, 8);
        __asm__ volatile("" ::: "memory");
    }
    for (; n; n--, t++) {
        *t = (u8)value;
        __asm__ volatile("" ::: "memory");
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    u8 *t = to;
    const u8 *f = from;
    if (t <= f || t >= f + n)
        return memcpy(to, from, n);
    while (n--) {
        t[n] = f[n];
        __asm__ volatile("" ::: "memory");
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;
    for (; n; n--, x++, y++) {
        __asm__ volatile("" ::: "memory");
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}

static size_t length(const char *s)
{
    size_t n = 0;
    while (s[n]) {
        n++;
        __asm__ volatile("" ::: "memory");
    }
    return n;
}

static bool equal(const char *a, const char *b)
{
    size_t n = length(a);
    return n == length(b) && !memcmp(a, b, n);
}

static bool starts_with(const char *s, const char *with)
{
    size_t n = length(with);
    return length(s) >= n && !memcmp(s, with, n);
}

static const char *find_char(const char *s, char c)
{
    for (; *s; s++)
        if (*s == c)
            return s;
    return NULL;
}

static bool ends_with(const char *s, const char *with)
{
    size_t n = length(s), m = length(with);
    return n >= m && !memcmp(s + n - m, with, m);
}

/* The part of `s` up to `stop` or its end, cut off in place; what follows, or NULL. */
static char *split_at(char *s, char stop)
{
    for (; *s; s++)
        if (*s == stop) {
            *s = 0;
            return s + 1;
        }
    return NULL;
}

/* A decimal number that fills all of `s`; -1 when it is none. */
static i64 parse_number(const char *s)
{
    i64 n = 0;
    if (!*s)
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || n > (i64)1 << 40)
            return -1;
        n = n * 10 + (*s - '0');
    }
    return n;
}

static u64 parse_hex(const char *s, int digits)
{
    u64 n = 0;
    for (int i = 0; i < digits && s[i]; i++) {
        unsigned c = (u8)s[i];
        n = n << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return n;
}
