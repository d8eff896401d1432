/* Which events and programs are known already. */
#pragma once

#include "../library/bytes.h"

/* SipHash-2-4 with 128 bits of result: a collision would drop an event, and names come from an untrusted image. */
struct hash {
    u64 a, b;
};
static u64 hash_key[2];

#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define SIP_ROUND            \
    do {                     \
        v0 += v1;            \
        v1 = ROTATE(v1, 13); \
        v1 ^= v0;            \
        v0 = ROTATE(v0, 32); \
        v2 += v3;            \
        v3 = ROTATE(v3, 16); \
        v3 ^= v2;            \
        v0 += v3;            \
        v3 = ROTATE(v3, 21); \
        v3 ^= v0;            \
        v2 += v1;            \
        v1 = ROTATE(v1, 17); \
        v1 ^= v2;            \
        v2 = ROTATE(v2, 32); \
    } while (0)

static struct hash hash_of(u64 first, u64 second, const char *s, size_t n)
{
    u64 v0 = hash_key[0] ^ 0x736f6d6570736575u, v1 = hash_key[1] ^ 0x646f72616e646f6du ^ 0xee;
    u64 v2 = hash_key[0] ^ 0x6c7967656e657261u, v3 = hash_key[1] ^ 0x7465646279746573u;
    const u64 head[2] = {first, second};
    for (size_t i = 0; i < 2 + n / 8; i++) {
        u64 word;
        if (i < 2)
            word = head[i];
        else
            __builtin_memcpy(&word, s + 8 * (i - 2), 8);
        v3 ^= word;
        SIP_ROUND;
        SIP_ROUND;
        v0 ^= word;
    }
    u64 last = (u64)n << 56;
    for (size_t i = 0; i < n % 8; i++)
        last |= (u64)(u8)s[n - n % 8 + i] << 8 * i;
    v3 ^= last;
    SIP_ROUND;
    SIP_ROUND;
    v0 ^= last;
    v2 ^= 0xee;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    struct hash h;
    h.a = v0 ^ v1 ^ v2 ^ v3;
    v1 ^= 0xdd;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    h.b = v0 ^ v1 ^ v2 ^ v3;
    h.b += !(h.a | h.b); /* all zero marks a free slot */
    return h;
}

struct slot {
    struct hash key;
    u64 value;
};
struct hash_table {
    struct slot *slots;
    size_t used, capacity; /* a power of two */
};

static struct slot *find_slot(struct hash_table *t, struct hash key)
{
    size_t at = key.a & (t->capacity - 1);
    while ((t->slots[at].key.a | t->slots[at].key.b) && (t->slots[at].key.a != key.a || t->slots[at].key.b != key.b))
        at = (at + 1) & (t->capacity - 1);
    return &t->slots[at];
}

/* The slot of `key`, made with value 0 when it was not there; NULL when memory ran out, and then nothing is forgotten:
 * the caller goes on as if the key were new. */
static struct slot *find_or_add(struct hash_table *t, struct hash key)
{
    if (t->used * 4 >= t->capacity * 3) {
        struct hash_table bigger = {NULL, t->used, t->capacity ? t->capacity * 2 : 4096};
        long at = sys6(SYS_mmap, 0, bigger.capacity * sizeof(struct slot), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at < 0 && at > -PAGE) {
            if (!t->capacity || t->used + 1 >= t->capacity)
                return NULL;
        } else {
            bigger.slots = (struct slot *)at;
            for (size_t i = 0; i < t->capacity; i++)
                if (t->slots[i].key.a | t->slots[i].key.b)
                    *find_slot(&bigger, t->slots[i].key) = t->slots[i];
            if (t->capacity)
                sys2(SYS_munmap, t->slots, t->capacity * sizeof(struct slot));
            *t = bigger;
        }
    }
    struct slot *s = find_slot(t, key);
    if (!(s->key.a | s->key.b)) {
        s->key = key;
        t->used++;
    }
    return s;
}

static struct hash_table known_events, known_programs;
