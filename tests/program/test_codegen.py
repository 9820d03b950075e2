# SPDX-License-Identifier: GPL-2.0-or-later
import re
import textwrap

import pytest

from tests.needs import need
from tests.program.sample import SCHEMA
from vfuzz.program import codegen
from vfuzz.program.schema import Arg, Op, Schema
from vfuzz.sanitizer.registry import Check, Quirk

CHECKS = (Check("S1", "leak", "A rule.", "source"), Check("S7", "overrun", "A rule.", "source"))
QUIRKS = (Quirk("A04", "off-by-one", "It is.", "abc123", "", ("linux-6.1",), ("S7",), ""),)
ERAS = ("linux-6.1", "linux-6.12")


def constants(text: str) -> dict[str, int]:
    pairs = re.findall(r"^    (\w+) = (\w+)$", text, re.M)
    assert len(pairs) == len(dict(pairs))
    return {name: int(value, 0) for name, value in pairs}


def render(schema=SCHEMA, checks=CHECKS, quirks=QUIRKS, eras=ERAS) -> str:
    return codegen.render("some.target", schema, checks, quirks, eras)


def test_every_name_has_its_number():
    found = constants(render())
    assert [found[f"OP_{n}"] for n in ("OPEN", "RX", "POLL", "WRITE", "WORK_RUN")] == [*range(5)]
    assert found["N_OPS"] == 5
    assert (found["BOOT_PROFILE"], found["BOOT_QUIET"]) == (0, 4)
    assert (found["BOOT_PROFILE_PLAIN"], found["BOOT_PROFILE_BROKEN"]) == (0, 2)
    assert (found["BOOT_FEATURES_MRG_RXBUF"], found["BOOT_FEATURES_VERSION_1"]) == (1, 4)
    assert (found["RX_QUEUE"], found["RX_GSO"], found["RX_GSO_ECN"]) == (0, 3, 4)
    assert found["WRITE_BITS_B31"] == 1 << 31
    assert (found["WORK_RUN_WHICH"], found["WORK_RUN_WHICH_RX_MODE"]) == (0, 1)
    assert (found["CHECK_S1"], found["CHECK_S7"], found["N_CHECKS"]) == (0, 1, 2)
    assert (found["QUIRK_A04"], found["N_QUIRKS"]) == (0, 1)
    assert (found["ERA_LINUX_6_1"], found["ERA_LINUX_6_12"], found["N_ERAS"]) == (0, 1, 2)


def test_nothing_but_the_schema_is_in_it():
    found = constants(render(quirks=()))
    arguments = sum(len(op.args) for op in SCHEMA.ops) + len(SCHEMA.boot)
    owners = [arg for op in SCHEMA.ops for arg in op.args] + [*SCHEMA.boot]
    values = sum(1 for arg in owners for name in arg.names if name is not None)
    assert len(found) == len(SCHEMA.ops) + arguments + values + len(CHECKS) + len(ERAS) + 4


def test_cython_takes_it(tmp_path):
    compiler = need("Cython.Compiler.Main")
    (tmp_path / "_gen.pxi").write_text(render())
    source = tmp_path / "probe.pyx"
    source.write_text(
        "# cython: language_level=3\n"
        'include "_gen.pxi"\n'
        "cdef unsigned int total() noexcept nogil:\n"
        "    return OP_RX + WRITE_BITS_B31 + QUIRK_A04 + ERA_LINUX_6_12\n"
    )
    assert compiler.compile(str(source)).num_errors == 0


def test_two_constants_of_one_name_are_refused():
    twice = Schema("t", (), (Op("rx", (Arg("a", "enum", names=("b",)), Arg("a-b", "int", hi=1))),))
    with pytest.raises(ValueError, match="rx: a and rx both give the constant RX_A_B"):
        render(twice)


@pytest.mark.parametrize(
    ("quirk", "message"),
    [
        (("S9",), "quirk A04 names the check 'S9'"),
        (("S7",), "quirk A04 names the era 'linux-9'"),
    ],
)
def test_a_quirk_that_names_what_is_not_there_is_refused(quirk, message):
    eras = ("linux-6.1",) if quirk == ("S9",) else ("linux-9",)
    with pytest.raises(ValueError, match=message):
        render(quirks=(Quirk("A04", "x", "It is.", "abc", "", eras, quirk, ""),))


def test_an_id_declared_twice_is_refused():
    with pytest.raises(ValueError, match="check 'S1' is declared twice"):
        render(checks=(CHECKS[0], *CHECKS))


# -- a whole package


@pytest.fixture
def package(tmp_path, request):
    """A target package with a name of its own, since imports are remembered."""
    name = "codegen_" + re.sub(r"\W", "_", request.node.name)
    directory = tmp_path / name / "inner"
    directory.mkdir(parents=True)
    (directory.parent / "__init__.py").write_text("")
    (directory / "__init__.py").write_text("ERAS = ('v1',)\n")
    (directory / "ops.py").write_text(
        textwrap.dedent("""\
            from vfuzz.program.schema import Op, Schema
            SCHEMA = Schema("tiny", (), (Op("step"),))
        """)
    )
    (directory / "checks.py").write_text("CHECKS = ()\n")
    (directory / "quirks.py").write_text("QUIRKS = ()\n")
    return directory


def test_write_pxi_imports_the_package_by_its_full_name(package):
    path = codegen.write_pxi(package)
    assert path == package / "_gen.pxi"
    assert f"from {package.parent.name}.inner:" in path.read_text()
    assert constants(path.read_text())["OP_STEP"] == 0


def test_write_pxi_leaves_an_unchanged_file_alone(package):
    path = codegen.write_pxi(package)
    before = path.stat().st_mtime_ns
    codegen.write_pxi(str(package))
    assert path.stat().st_mtime_ns == before
    path.write_text("stale\n")
    codegen.write_pxi(package)
    assert "OP_STEP = 0" in path.read_text()


def test_write_pxi_refuses_a_folder_that_is_no_package(tmp_path):
    with pytest.raises(ValueError, match=r"is not a package: it has no __init__\.py"):
        codegen.write_pxi(tmp_path)
