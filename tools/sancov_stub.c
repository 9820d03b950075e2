/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Empty coverage callbacks, linked into each instrumented target.
 *
 * An instrumented extension calls functions that only a fuzzing engine defines, so without one it
 * would not even import. These definitions serve then (replay, tests, any plain Python). When the
 * atheris core, or a preloaded sanitizer with libFuzzer, was loaded into the global scope first,
 * the dynamic linker finds its definitions before these: the first in the search order is taken,
 * and the extension's own symbols come last. One build therefore serves both uses.
 *
 * Two things would break this: linking with -Bsymbolic (or -Bsymbolic-functions), and hidden
 * visibility. This file itself is never instrumented.
 */
#include <stdint.h>

#define CALLBACK __attribute__((weak, visibility("default"))) void

CALLBACK __sanitizer_cov_8bit_counters_init(char *start, char *stop) { (void)start; (void)stop; }
CALLBACK __sanitizer_cov_pcs_init(const uintptr_t *start, const uintptr_t *stop)
{
    (void)start;
    (void)stop;
}

/* Only code compiled with more than our own coverage flags, by CFLAGS, calls the rest. */
CALLBACK __sanitizer_cov_trace_cmp1(uint8_t a, uint8_t b) { (void)a; (void)b; }
CALLBACK __sanitizer_cov_trace_cmp2(uint16_t a, uint16_t b) { (void)a; (void)b; }
CALLBACK __sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b) { (void)a; (void)b; }
CALLBACK __sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b) { (void)a; (void)b; }
CALLBACK __sanitizer_cov_trace_const_cmp1(uint8_t a, uint8_t b) { (void)a; (void)b; }
CALLBACK __sanitizer_cov_trace_const_cmp2(uint16_t a, uint16_t b) { (void)a; (void)b; }
CALLBACK __sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b) { (void)a; (void)b; }
CALLBACK __sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b) { (void)a; (void)b; }
CALLBACK __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases)
{
    (void)value;
    (void)cases;
}

CALLBACK __sanitizer_cov_trace_pc_indir(uintptr_t callee) { (void)callee; }
CALLBACK __sanitizer_cov_trace_div4(uint32_t value) { (void)value; }
CALLBACK __sanitizer_cov_trace_div8(uint64_t value) { (void)value; }
CALLBACK __sanitizer_cov_trace_gep(uintptr_t index) { (void)index; }
