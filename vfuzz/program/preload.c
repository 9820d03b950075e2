/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The symbols by which libFuzzer finds a custom mutator, in a library of their own.
 *
 * libFuzzer looks for them once, when its own library is loaded, so this one has to be in the
 * global scope before that: either because vfuzz.program.mutator.install() opened it first, or
 * because it is in LD_PRELOAD beside atheris' sanitizer_with_fuzzer.so. In the second case it is
 * loaded before there is an interpreter, and into every child process, so there is no Python in it
 * and nothing runs at load. The work is done behind two function pointers, which install() sets;
 * until then libFuzzer's own mutations are used.
 *
 * Build as a plain, uninstrumented shared object, linked with libdl where that is still a library.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

typedef size_t (*vfuzz_mutate_fn)(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
typedef size_t (*vfuzz_crossover_fn)(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                     size_t size2, uint8_t *out, size_t max_out_size,
                                     unsigned int seed);
typedef size_t (*engine_mutate_fn)(uint8_t *data, size_t size, size_t max_size);

static vfuzz_mutate_fn mutate_fn;
static vfuzz_crossover_fn crossover_fn;
static engine_mutate_fn engine_fn;
static int engine_sought;

/* Find LLVMFuzzerMutate, first in the global scope. Python opens extension modules with a scope of
 * their own, and then the symbol is only found through the library that called us. */
static void seek_engine(void *caller)
{
    Dl_info info;
    void *handle;

    engine_sought = 1;
    engine_fn = (engine_mutate_fn)dlsym(RTLD_DEFAULT, "LLVMFuzzerMutate");
    if (engine_fn || !dladdr(caller, &info) || !info.dli_fname)
        return;
    handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle)
        return;
    engine_fn = (engine_mutate_fn)dlsym(handle, "LLVMFuzzerMutate");
    dlclose(handle);    /* it gives back only the count that RTLD_NOLOAD took */
}

/* Set the mutator; NULL puts libFuzzer's own mutations back. */
EXPORT void vfuzz_set_mutator(vfuzz_mutate_fn mutate, vfuzz_crossover_fn crossover)
{
    mutate_fn = mutate;
    crossover_fn = crossover;
}

/* libFuzzer's own mutations, with its table of compared values; 0 when there is no engine. Only to
 * be called from within a mutation, since only then is the engine in a state for it. */
EXPORT size_t vfuzz_engine_mutate(uint8_t *data, size_t size, size_t max_size)
{
    return engine_fn ? engine_fn(data, size, max_size) : 0;
}

EXPORT size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                                      unsigned int seed)
{
    if (!engine_sought)
        seek_engine(__builtin_return_address(0));
    if (mutate_fn)
        return mutate_fn(data, size, max_size, seed);
    return vfuzz_engine_mutate(data, size, max_size);
}

EXPORT size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                        size_t size2, uint8_t *out, size_t max_out_size,
                                        unsigned int seed)
{
    if (!engine_sought)
        seek_engine(__builtin_return_address(0));
    /* 0 tells libFuzzer that nothing came of it, and it takes another mutation. */
    return crossover_fn ? crossover_fn(data1, size1, data2, size2, out, max_out_size, seed) : 0;
}
