# SPDX-License-Identifier: GPL-2.0-or-later
"""The page "test my patch", as far as that goes without a kernel, and what runs it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

import vfuzz
from tools.run_page import commands, main
from vfuzz.cli import verbs

PAGE = Path(__file__).resolve().parent.parent / "docs/test-my-patch.md"


def test_commands_are_indented_lines_with_their_exit_code():
    page = "text\n    vfuzz list\n    sed -i s/a/b/ c  # exit code 1\n    output\nvfuzz not\n"
    assert commands(page) == [("vfuzz list", 0), ("sed -i s/a/b/ c", 1)]


def test_a_page_runs_in_its_folder_and_says_what_took_how_long(tmp_path, capfd):
    page = tmp_path / "page.md"
    lines = ("cp corpus/ring/seeds/*.vf .", "vfuzz list", "sed -n p none  # exit code 2")
    page.write_text("".join(f"    {line}\n" for line in lines))
    assert main([str(page), str(tmp_path / "here")]) == 0
    assert list((tmp_path / "here").glob("*.vf"))
    said = capfd.readouterr().out
    assert "exit code 0  vfuzz list\n" in said
    assert "s in all\n" in said
    page.write_text("    sed -n p none\n")
    assert main([str(page), str(tmp_path / "here")]) == 1
    assert "the page says 0" in capfd.readouterr().out


@pytest.mark.parametrize("command", commands(PAGE.read_text()), ids=lambda command: command.text)
def test_each_command_of_the_page_is_one(command):
    words = shlex.split(command.text)
    if words[0] != "vfuzz":
        return
    context, at = verbs.make_context("vfuzz", words[1:], resilient_parsing=False), verbs
    while isinstance(at, click.Group):
        name, at, rest = at.resolve_command(context, [*context._protected_args, *context.args])
        context = at.make_context(name, rest, parent=context)
    if quirks := context.params.get("quirks"):
        target = vfuzz.target(context.params["name"])
        assert target.quirk_ids(quirks, "linux-6.1") == quirks


def test_each_bug_is_shown_and_agreed_on():
    found = commands(PAGE.read_text())
    shown = [c.text for c in found if c.code == 1]
    agreed = [c.text for c in found if " --quirk " in c.text]
    assert len(shown) == 3
    assert [text.partition(" --quirk ")[0] for text in agreed] == shown
    assert {text.split()[2] for text in shown} == {"vdpa", "virtio-net-rx"}
