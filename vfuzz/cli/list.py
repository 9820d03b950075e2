# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz list`"""

from __future__ import annotations

from typing import Any

import click

from vfuzz import api
from vfuzz.cli.common import JSON, print_json


@click.command("list")
@JSON
def command(as_json: bool) -> None:
    """List the targets.

    \b
    vfuzz list
    vfuzz list --json
    """
    rows: list[dict[str, Any]] = [
        {
            "name": target.name,
            "summary": target.summary,
            "eras": list(target.eras),
            "ops": len(target.schema.ops),
            "checks": len(target.checks),
            "quirks": len(target.quirks),
            "focuses": {focus.name: focus.doc for focus in target.schema.focuses},
            "built": target.built,
        }
        for target in api.targets()
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['name']}{'' if row['built'] else '   (not built)'}")
        click.echo(f"    {row['summary']}")
        click.echo(f"    eras    {', '.join(row['eras'])}")
        click.echo(f"    {row['ops']} kinds of op, {row['checks']} checks, {row['quirks']} quirks")
        for name, doc in row["focuses"].items():
            click.echo(f"    --focus {name:<9} {doc}")
