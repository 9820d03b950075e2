# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: `vfuzz VERB ...`, one file for each verb.

Exit codes: 0 clean, 1 findings, 2 usage, 3 vfuzz itself failed. A command returns its code; an
Error carries its own.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

import vfuzz
from vfuzz.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Error, did_you_mean

__all__ = ["main"]

COMMANDS = ("list", "run", "replay", "fmt", "tmin", "cmin", "coverage", "repro", "checks", "quirks",
            "kernel", "conform")

EXIT_PIPE = 141  # what shells make of SIGPIPE


class _Verbs(click.Group):
    """Imports a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]  # once its module is imported, `list` here is the verb

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"vfuzz.cli.{name}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"no such verb {args[0]!r}: {did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(vfuzz.__version__, prog_name="vfuzz")
def verbs() -> None:
    """Find memory, accounting and protocol bugs in virtualization I/O code.

    \b
    vfuzz list                                   what can be fuzzed
    vfuzz run virtio-net-rx --time 60            a campaign of a minute, on all cores
    vfuzz replay vfuzz-virtio-net-rx             the reports of what it found

    Exit codes: 0 clean, 1 findings, 2 usage, 3 vfuzz itself failed.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = verbs.main(args=argv, prog_name="vfuzz", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else EXIT_CLEAN
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except Error as error:
        print(f"vfuzz: {error}", file=sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("vfuzz: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # The reader has seen enough (`vfuzz replay ... | head`): click makes a SystemExit of it.
        # Python must not complain at exit, and the code must not claim a result.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except OSError as error:
        print(f"vfuzz: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        return EXIT_FAILED
    except Exception:
        # Python's own exit code would be 1, and that means findings.
        traceback.print_exc()
        print("vfuzz: this is a bug in vfuzz, please report it", file=sys.stderr)
        return EXIT_FAILED
