# SPDX-License-Identifier: GPL-2.0-or-later
"""Counters stand where a statement begins, once for each."""

from __future__ import annotations

import subprocess

import pytest

from tools import compiler
from vfuzz.coverage.instrument import SYMBOL, instrument

#: As Cython writes it: 3: if a: / 4: x = 1 / 5: elif b: / 6: x = 2 / 7: else: x = 3 / 8: return x
C = """
/* "t.pyx":2
 * a header            # <<<<<<<<<<<<<<
*/

static int __pyx_f_1t_f(int __pyx_v_a, int __pyx_v_b) {
  int __pyx_v_x;
  int __pyx_r;

  /* "t.pyx":3
 *     if a:             # <<<<<<<<<<<<<<
 *         x = 1  /[inserted by cython to avoid comment start]*
*/
  if (__pyx_v_a) {

    /* "t.pyx":4
 *         x = 1             # <<<<<<<<<<<<<<
*/
    __pyx_v_x = 1;

    /* "t.pyx":3
 *     if a:             # <<<<<<<<<<<<<<
*/
    goto __pyx_L3;
  }

  /* "t.pyx":5
 *     elif b:             # <<<<<<<<<<<<<<
*/
  if (__pyx_v_b) {

    /* "t.pyx":6
 *         x = 2             # <<<<<<<<<<<<<<
*/
    __pyx_v_x = 2;

    /* "t.pyx":5
 *     elif b:             # <<<<<<<<<<<<<<
*/
    goto __pyx_L3;
  }

  /* "t.pyx":7
 *     else: x = 3             # <<<<<<<<<<<<<<
*/
  /*else*/ {
    __pyx_v_x = 3;
  }
  __pyx_L3:;

  /* "t.pyx":8
 *     return x             # <<<<<<<<<<<<<<
*/
  __pyx_r = __pyx_v_x;
  goto __pyx_L0;

  /* "t.pyx":2
 * a header            # <<<<<<<<<<<<<<
*/

  /* function exit code */
  __pyx_L0:;
  return __pyx_r;
}

static PyObject *__pyx_pf_1t_g(PyObject *__pyx_self) {

  /* "t.pyx":11
 *     return 1             # <<<<<<<<<<<<<<
*/
  return 0;
}
"""


def test_each_statement_of_a_c_function_has_one_counter():
    text, places = instrument(C)
    assert places == [("t.pyx", line) for line in (3, 4, 5, 6, 7, 8)]
    assert text.splitlines()[0].endswith(f" {SYMBOL}[6];")
    assert text.count(f"{SYMBOL}[") == 7
    lines = text.splitlines()
    assert lines[lines.index("    __pyx_v_x = 2;") - 1] == f"{SYMBOL}[3]++;"
    assert [line for line in lines if not line.startswith((SYMBOL, "__attribute__"))] == (
        C.splitlines()
    )


def test_a_source_without_functions_still_compiles():
    text, places = instrument("int x;\n")
    assert places == []
    assert text.splitlines()[0].endswith(f" {SYMBOL}[1];")


@pytest.mark.parametrize(
    ("a", "b", "counts"),
    [(1, 0, [1, 1, 0, 0, 0, 1]), (0, 1, [1, 0, 1, 1, 0, 1]), (0, 0, [1, 0, 1, 0, 1, 1])],
)
def test_the_counters_count_what_ran(tmp_path, a, b, counts):
    text, places = instrument(C)
    main = f"""
#include <stdio.h>
typedef void PyObject;
{text}
int main(void) {{
  __pyx_f_1t_f({a}, {b});
  for (int i = 0; i < {len(places)}; i++) printf("%llu ", {SYMBOL}[i]);
}}
"""
    (tmp_path / "t.c").write_text(main)
    command = [*compiler.choose("plain").command, "-w", "t.c", "-o", "t"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "t"], capture_output=True, text=True, check=True)
    assert [int(word) for word in done.stdout.split()] == counts
