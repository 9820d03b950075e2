# SPDX-License-Identifier: GPL-2.0-or-later
"""The quirks of the ledger."""

from vfuzz.sanitizer.registry import Quirk


def _quirk(
    ident: str, name: str, summary: str, check: str, eras: tuple[str, ...] = ("old", "new")
) -> Quirk:
    return Quirk(
        id=ident,
        name=name,
        summary=summary,
        fix="unverified",
        cve="",
        eras=eras,
        checks=(check,),
        verified="",
        canary=ident == "Q01",
    )


QUIRKS = (
    _quirk("Q01", "blind-put", "put does not look whether the reference is held", "C1"),
    _quirk("Q02", "lost-put", "put of reference 3 is forgotten", "C2", ("new",)),
    _quirk("Q03", "native-crash", "the op crash really does it", "C1"),
    _quirk("Q04", "deep-read", "a read of 77 while references 1 and 2 are held", "C3"),
)
