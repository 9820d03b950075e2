# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of the checks of page pools, as check_cases.py has them; all in linux-7.2."""

from __future__ import annotations

from tests.targets.cases import NOTHING, Case, program, script

POOL = "linux-7.2"
TWO = "boot(features=MRG_RXBUF|VERSION_1|MQ, pairs=2, cpus=1)\nopen()\n"


def _program(*what: str, quirk: str) -> Case:
    return program(*what, era=POOL, quirk=quirk)


CASES = [
    _program("S19", "buffers of a ring put as if by NAPI", "boot(features=VERSION_1)\nopen()\n",
             "open()\n", "", quirk="G17"),
    _program("S20", "second skb of a packet without its mark",
             "boot(profile=HOSTILE, features=MRG_RXBUF|VERSION_1, ring_order=5)\nopen()\n"
             "use(len=1600, num_buffers=19)\ncont(len=1600, count=18)\npoll()\n",
             "num_buffers=19)\ncont(len=1600, count=18)",
             "num_buffers=18)\ncont(len=1600, count=17)", quirk="G01"),
    _program("S21", "pool destroyed after its queue", "boot(features=VERSION_1)\n", "VERSION_1",
             "VERSION_1|GUEST_TSO4", quirk="G16"),
    _program("S21", "pool destroyed under posted buffers",
             TWO + "close()\nchannels(pairs=2)\nopen() fail(alloc, 1)\n", "fail(alloc, 1)", "",
             quirk="G08"),
    script("S21", "pool that nobody destroys", ("pool_create", 0), ("pools_check",),
           spare=(0, *NOTHING), era=POOL),
    _program("S22", "page_frag put into a late pool",
             TWO + "channels(pairs=2)\npoll(queue=1)\nclose()\nopen() \nrx(queue=1)\n"
             "poll(queue=1)\n", "close()\nopen() \n", "", quirk="G07"),
    _program("S23", "users of a page taken for the next one",
             "boot(features=MRG_RXBUF|VERSION_1)\nopen()\nrx(size=129)\npoll()\n", "129", "128",
             quirk="G12"),
    _program("S42", "rx info without the pool that the buffers have",
             "boot(features=MRG_RXBUF|VERSION_1|MQ, pairs=2, cpus=1)\nopen()\nchannels(pairs=2)\n"
             "xdp()\nrx(queue=1)\npoll(queue=1)\n", "open()\nchannels(pairs=2)\n",
             "channels(pairs=2)\nopen()\n", quirk="G09"),
]
