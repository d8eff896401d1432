/* The machine that the sensor is built for ("native"), and the one whose 32-bit programs its kernel runs ("compat"). */
#pragma once

#if defined(__x86_64__)
#include "machine/i386.h"
#include "machine/x86_64.h"
#elif defined(__aarch64__)
#include "machine/aarch64.h"
#include "machine/arm.h"
#else
#error "the sensor knows x86_64 and aarch64"
#endif

#define ARG(x) ((long)(x))
#define sys0(n) syscall6(n, 0, 0, 0, 0, 0, 0)
#define sys1(n, a) syscall6(n, ARG(a), 0, 0, 0, 0, 0)
#define sys2(n, a, b) syscall6(n, ARG(a), ARG(b), 0, 0, 0, 0)
#define sys3(n, a, b, c) syscall6(n, ARG(a), ARG(b), ARG(c), 0, 0, 0)
#define sys4(n, a, b, c, d) syscall6(n, ARG(a), ARG(b), ARG(c), ARG(d), 0, 0)
#define sys5(n, a, b, c, d, e) syscall6(n, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), 0)
#define sys6(n, a, b, c, d, e, f) syscall6(n, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f))
