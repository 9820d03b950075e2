# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets of real protocols are what scapy makes of the same words, checksums and all."""

from __future__ import annotations

import struct
import zlib

import pytest

scapy = pytest.importorskip("scapy.all")
sctp = pytest.importorskip("scapy.layers.sctp")

from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop, PadN  # noqa: E402
from scapy.layers.vxlan import VXLAN  # noqa: E402

ETHER = {"dst": "02:00:00:00:00:01", "src": "02:00:81:00:00:07"}
SMALL = "boot(features=VERSION_1|GUEST_CSUM)\nopen()\n"
PROGRAM = "boot(features=VERSION_1|GUEST_CSUM|XDP_CSUM)\nxdp()\nopen()\n"
FIRST_ORIGIN = 2
NEEDS_CSUM, DATA_VALID = 1, 2
NOT_READY, IS_VALID = 1 << 3, 1 << 7


def ipv4(**more):
    return scapy.IP(src="10.0.0.1", dst="10.0.8.0", id=1, flags="DF", ttl=64, **more)


def tcp():
    return scapy.TCP(sport=1024, dport=80, seq=1, flags="A", window=8192)


def headers(kind):
    """Behind Ethernet."""
    six = IPv6(src="fd00::1", dst="fd00::2", hlim=64)
    udp = scapy.UDP(sport=1024, dport=53)
    made = {
        "TCP4": ipv4() / tcp(),
        "UDP4": ipv4() / udp,
        "TCP6": six / tcp(),
        "UDP6": six / udp,
        "OPTIONS6": six / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]) / tcp(),
        "IPIP": ipv4() / ipv4() / tcp(),
        "VXLAN": ipv4() / scapy.UDP(sport=1024, dport=4789) / VXLAN(flags=8, vni=1, NextProtocol=0)
        / scapy.Ether(**ETHER) / ipv4() / tcp(),
        "SCTP": ipv4() / sctp.SCTP(sport=1024, dport=5001, tag=1),
    }  # fmt: skip
    return made[kind]


def packet(kind, vlans=0, payload=32):
    """The bytes that `inet` says, all checksums right."""
    front = scapy.Ether(**ETHER)
    for left in range(vlans, 0, -1):
        front = front / scapy.Dot1Q(vlan=left)
    front = front / headers(kind)
    if kind == "SCTP":
        chunk = struct.pack(">BBHIHHI", 0, 3, 16 + payload, 0, 0, 0, 0)
        at = len(front) + len(chunk)
        return bytes(front / scapy.Raw(chunk + pattern(at, payload)))
    return bytes(front / scapy.Raw(pattern(len(front), payload)))


def pattern(at, size):
    return bytes((FIRST_ORIGIN * 31 + (at + i) * 7 + 1) & 0xFF for i in range(size))


def seen(target, text, era):
    result = target.execute(text + "poll()\nconsume()\n", era, trace=True)
    assert result.violation is None, result.report()
    obs = dict(result.steps[-2].obs)  # the last one is what is left at the end
    return {name: obs.get(name, 0) & 0xFFFFFFFF for name in ("pkts", "pkt_bytes", "pkt_meta")}


def meta(size, flags=0, status=0, start=0, offset=0):
    """As observe.pxi sums it up."""
    return zlib.crc32(struct.pack("<BBHHHHIHH", flags, 0, 0, 0, start, offset, status, size, 0))


KINDS = ("TCP4", "UDP4", "TCP6", "UDP6", "OPTIONS6", "IPIP", "VXLAN", "SCTP")
every_kind = pytest.mark.parametrize("kind", KINDS)
every_size = pytest.mark.parametrize("payload", [0, 1, 32, 255, 600, 1301])


@every_kind
@every_size
@pytest.mark.parametrize("vlans", [0, 1, 2])
def test_bytes(target, kind, payload, vlans):
    expected = packet(kind, vlans, payload)
    for era in target.eras:
        text = f"{SMALL}inet(kind={kind}, payload={payload}, vlans={vlans}, checksum=VALID)\n"
        got = seen(target, text, era)
        assert got == {"pkts": 1, "pkt_bytes": zlib.crc32(expected),
                       "pkt_meta": meta(len(expected), DATA_VALID, IS_VALID)}  # fmt: skip


def transport(kind):
    """Length of the headers in front of the transport's, without tags; place of its checksum."""
    front = {"TCP4": 34, "UDP4": 34, "TCP6": 54, "UDP6": 54, "OPTIONS6": 62, "IPIP": 54,
             "VXLAN": 34}[kind]  # fmt: skip
    return front, 6 if kind in ("UDP4", "UDP6", "VXLAN") else 16


def partial(whole, start, offset):
    """The packet before its checksum is completed: what is there then completes to `whole`."""
    at = start + offset
    body = whole[start:at] + b"\0\0" + whole[at + 2 :]
    body += bytes(len(body) % 2)
    total = sum(struct.unpack(f">{len(body) // 2}H", body))
    field = (~struct.unpack(">H", whole[at : at + 2])[0] & 0xFFFF) - total
    field %= 0xFFFF
    return whole[:at] + struct.pack(">H", field or 0xFFFF) + whole[at + 2 :]


@pytest.mark.parametrize("kind", KINDS[:-1])
@every_size
def test_partial_checksums(target, kind, payload):
    """What the stack would complete is what scapy has."""
    start, offset = transport(kind)
    expected = partial(packet(kind, 0, payload), start, offset)
    for era in target.eras:
        text = f"{SMALL}inet(kind={kind}, payload={payload}, checksum=PARTIAL)\n"
        got = seen(target, text, era)
        assert got["pkt_bytes"] == zlib.crc32(expected)
        assert got["pkt_meta"] == meta(len(expected), NEEDS_CSUM, NOT_READY, start, offset)


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_partial_checksums_follow_a_program(target, kind):
    """XDP_CSUM: a tag is taken off, and the place of the checksum is the one it has then."""
    start, offset = transport(kind)
    whole = packet(kind, 1)
    text = f"{PROGRAM}verdict(pull=4)\ninet(kind={kind}, vlans=1, checksum=PARTIAL)\n"
    got = seen(target, text, "linux-6.12")
    left = partial(whole, start + 4, offset)[4:]
    assert got["pkt_bytes"] == zlib.crc32(left)
    assert got["pkt_meta"] == meta(len(left), NEEDS_CSUM, NOT_READY, start, offset)


def test_another_address_gets_another_pseudo_header(target):
    """XDP_CSUM: four bytes of the program in the source address; completed, scapy agrees."""
    text = f"{PROGRAM}verdict(write=27)\ninet(checksum=PARTIAL)\n"
    got = seen(target, text, "linux-6.12")
    written = bytes(i * 7 + 1 for i in range(4))
    left = packet("TCP4")
    left = left[:26] + written + left[30:]
    made = scapy.Ether(left)
    del made[scapy.TCP].chksum
    assert got["pkt_bytes"] == zlib.crc32(partial(bytes(made), 34, 16))


@pytest.mark.parametrize("action", ["TX", "REDIRECT"])
def test_partial_checksums_are_not_sent(target, action):
    text = f"{PROGRAM}verdict(action={action})\ninet(checksum=PARTIAL)\npoll()\n"
    for era, drops in ("linux-6.12", 1), ("linux-6.1", 0):
        result = target.execute(text, era, trace=True)
        assert result.violation is None
        assert dict(result.steps[-2].obs)["rx0_drops"] == drops


@pytest.mark.parametrize("features", ["GUEST_CSUM", "GUEST_CSUM|XDP_CSUM", "GUEST_TSO4|XDP_CSUM"])
def test_which_offloads_refuse_a_program(target, features):
    """Without control of offloads none may be there, but with XDP_CSUM this one."""
    text = f"boot(features=VERSION_1|MRG_RXBUF|{features})\nxdp()\n"
    granted = {era: dict(target.execute(text, era, trace=True).steps[-2].obs)["ret"] == 0
               for era in target.eras}  # fmt: skip
    proposed = features == "GUEST_CSUM|XDP_CSUM"
    assert granted == {"linux-6.1": False, "linux-6.12": proposed, "linux-7.2": proposed}
