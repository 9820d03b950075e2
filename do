#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# One word for each thing people do with this tree. Sets up .venv first, if need be; needs nothing
# but Python 3.11 or later. `make WORD` does the same.
set -eu

usage() {
    cat <<'END'
usage: ./do WORD [ARGUMENTS]

    fuzz          set up, then run a 60 second campaign on virtio-net-rx
    test          set up, then run the tests (without the slow and quality tests)
    test-slow     the slow tests: archives, set-up from nothing, packed targets
    test-kernel   programs on the real kernels that `vfuzz kernel build` made
    test-quality  is every catalogued bug found again, from nothing, five times? Hours
    asan          the corpus and 200,000 executions under AddressSanitizer and UBSan (needs clang)
    smoke         a short campaign on every target
    smoke-kernel  500 programs of each target on two real kernels, which are built first, one of
                  them with kmemleak, and the tests that need them
    lint          ruff and cython-lint
    bench         speed, as ratios to an empty target
    build         set up, then build KIND ...: fuzz (the default), plain, asan, annotate
    dist          the source archive and a wheel, in dist/
    clean         remove everything that was made, .venv too

ARGUMENTS go to the command behind the word. Environment: PYTHON (which Python), VFUZZ_VENV (instead
of .venv), CC, CFLAGS, LDFLAGS.
END
}

find_python() {
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "vfuzz set-up: no Python 3.11 or later found (tried: ${PYTHON:-python3 and python3.11 to" \
        "python3.14}). Install one, for example: apt-get install python3" >&2
    exit 3
}

set_up() {
    python=$(find_python)
    "$python" tools/environment.py "$@"
}

cd "$(dirname "$0")"
case ${VFUZZ_VENV:-.venv} in
/*) bin=$VFUZZ_VENV/bin ;;
*) bin=$PWD/${VFUZZ_VENV:-.venv}/bin ;;
esac
word=${1:-help}
[ $# -eq 0 ] || shift

case $word in
fuzz)
    set_up fuzz
    exec "$bin/vfuzz" run virtio-net-rx --time 60 "$@"
    ;;
test)
    set_up --group test fuzz
    exec "$bin/python" -m pytest -m "not slow and not quality and not asan and not kernel" "$@"
    ;;
test-slow)
    set_up --group test --group pack fuzz
    exec "$bin/python" -m pytest -m "slow and not quality and not asan" "$@"
    ;;
test-kernel)
    set_up --group test fuzz
    exec "$bin/python" -m pytest -m kernel "$@"
    ;;
test-quality)
    set_up --group test fuzz
    exec "$bin/python" -m pytest -m quality "$@"
    ;;
asan)
    set_up --group test fuzz asan
    # `-p vfuzz` imports it from build/asan before pytest puts this folder, and with it the fuzz
    # build, in front of the search path; `python -m pytest` would do that at once.
    library=$("$bin/python" -c 'import atheris; print(atheris.path())')/asan_with_fuzzer.so
    PYTHONPATH="$PWD/build/asan" LD_PRELOAD=$library \
        ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
        exec "$bin/pytest" -p vfuzz -m asan tests/asan "$@"
    ;;
smoke)
    set_up fuzz
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    for target in $("$bin/python" -c 'import vfuzz; print(*(t.name for t in vfuzz.targets()))'); do
        "$bin/vfuzz" run "$target" "$work/$target" --runs 200000 --seed 1 "$@"
    done
    ;;
smoke-kernel)
    set_up --group test fuzz
    kernel=$("$bin/vfuzz" kernel build 6.1)
    # The other series, and with it the search for what a kernel loses.
    leaks=$("$bin/vfuzz" kernel build 6.12 --kmemleak)
    for target in $("$bin/python" -c 'import vfuzz; from importlib.util import find_spec; print(
        *(t.name for t in vfuzz.targets() if find_spec(t.package.__name__ + ".real")))'); do
        for each in "$kernel" "$leaks"; do
            "$bin/vfuzz" conform "$target" --kernel "$each" --generate 500 "$@"
        done
    done
    VFUZZ_TEST_KERNELS=$kernel,$leaks exec "$bin/python" -m pytest -m kernel
    ;;
lint)
    set_up --group dev
    "$bin/ruff" check "$@" .
    # It runs pycodestyle from PATH. Files that a build makes are not the project's.
    PATH="$bin:$PATH" \
        find vfuzz tests \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' \) \
        ! -name _gen.pxi -exec cython-lint {} +
    ;;
bench)
    set_up --group test fuzz
    exec "$bin/python" -m bench "$@"
    ;;
build)
    set_up "${@:-fuzz}"
    ;;
dist)
    set_up --group dev
    "$bin/python" -m pip install --quiet build
    exec "$bin/python" -m build "$@"
    ;;
clean)
    rm -rf "${VFUZZ_VENV:-.venv}" build dist ./*.egg-info .pytest_cache .ruff_cache .hypothesis
    find vfuzz \( -name '*.so' -o -name _gen.pxi \) -delete
    find . -name __pycache__ -prune -exec rm -rf {} +
    ;;
help | -h | --help)
    usage
    ;;
*)
    echo "./do: no such word: $word" >&2
    usage >&2
    exit 2
    ;;
esac
