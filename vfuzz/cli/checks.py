# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz checks`"""

from __future__ import annotations

import click

from vfuzz import api
from vfuzz.cli.common import JSON, print_json


@click.command("checks")
@click.argument("name", metavar="[TARGET]", required=False)
@JSON
def command(name: str | None, as_json: bool) -> None:
    """List the checks: id, class of bug, rule, and where the rule comes from.

    \b
    vfuzz checks
    vfuzz checks virtio-net-rx --json
    """
    chosen = (api.target(name),) if name else api.targets()
    if as_json:
        print_json(
            [
                {
                    "target": target.name,
                    "id": check.id,
                    "title": check.title,
                    "rule": check.rule,
                    "source": check.source,
                }
                for target in chosen
                for check in target.checks
            ]
        )
        return
    for target in chosen:
        click.echo(f"{target.name}: {len(target.checks)} checks")
        for check in target.checks:
            click.echo(f"  {check.id:<5} {check.title}")
            click.echo(f"        {check.rule}")
            click.echo(f"        from {check.source}")
