#!/usr/bin/env python3
"""Verifies the journal of a service from its segment files, with nothing but Python's standard library.

    yizhen journal export town --store bolt:///var/lib/yizhen --to town.segment
    python3 journal_verify.py town.segment [more.segment …] [--checkpoints town.checkpoints] [--bytes REVISION]

It says the same as `yizhen journal verify town --file town.segment`, and was written from docs/journal.md and not from that
program, so that who doubts the one can ask the other. Signatures it does not check: OpenSSL does (see docs/journal.md).
"""

import argparse
import datetime
import hashlib
import json
import struct
import sys
from base64 import b64decode


class Bad(Exception):
    """What is wrong, and where."""


# Segment files


def read_segment(path):
    """Yields what a file says of itself, and then its changes."""
    with open(path, "rb") as f:
        data = f.read()
    content, checksum = data[:-32], data[-32:]
    at = 0

    def take(n):
        nonlocal at
        if at + n > len(content):
            raise Bad(f"{path}: it is cut off")
        at += n
        return content[at - n : at]

    def counted():
        return take(struct.unpack(">I", take(4))[0])

    if take(14) != b"yizhen segment" or take(2) != b"\x00\x01":
        raise Bad(f"{path}: not a segment file of format 1")
    service, algorithm = counted().decode(), counted().decode()
    first, last = struct.unpack(">qq", take(16))
    previous, final = take(32), take(32)
    yield service, algorithm, first, last, previous, final
    for revision in range(first, last + 1):
        try:
            yield read_change(counted())
        except (IndexError, struct.error, UnicodeDecodeError) as e:
            raise Bad(f"revision {revision}: it cannot be read: {e}")
    if at != len(content) or hashlib.sha256(content).digest() != checksum:
        raise Bad(f"{path}: it does not have the checksum of its content")


# Protobuf. A message is a run of fields, each a number that says which field it is and how it is written, and then the field.


def fields(message):
    """Reads a message into a dict of field numbers; numbers are int, everything else is bytes."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                value &= (1 << 64) - 1
                return value - (1 << 64) if value >> 63 else value

    while at < len(message):
        tag = varint()
        number, how = tag >> 3, tag & 7
        if how == 0:
            found[number] = varint()
        elif how == 2:
            length = varint()
            if length < 0 or at + length > len(message):
                raise IndexError("a field is longer than what is there")
            found[number] = message[at : at + length]
            at += length
        else:
            raise IndexError(f"field {number} is of a kind that no change has")
    return found


def read_change(message):
    """Reads a yizhen.journal.v1.Change. The numbers of the fields are those of proto/yizhen/journal/v1/journal.proto."""
    f = fields(message)
    time, after = fields(f.get(4, b"")), fields(f.get(12, b""))
    return {
        "name": f.get(1, b""),
        "revision": f.get(2, 0),
        "commit_revision": f.get(3, 0),
        "seconds": time.get(1, 0),
        "nanoseconds": time.get(2, 0),
        "service": f.get(5, b""),
        "actor": f.get(6, b""),
        "method": f.get(7, b""),
        "request_id": f.get(8, b""),
        "resource": f.get(9, b""),
        "type": f.get(10, 0),
        "before_digest": f.get(11, b""),
        "after.type_url": after.get(1, b""),
        "after.value": after.get(2, b""),
        "previous_hash": f.get(13, b""),
        "hash": f.get(14, b""),
    }


# The chain


def hashed(change):
    """Returns the bytes of which a change has the hash."""
    out = change["previous_hash"]
    for key in ("revision", "commit_revision", "seconds", "nanoseconds", "type"):
        out += struct.pack(">q", change[key])
    for key in ("service", "actor", "method", "request_id", "resource", "before_digest", "after.type_url", "after.value"):
        out += struct.pack(">q", len(change[key])) + change[key]
    return out


class Chain:
    """Follows the hashes from change to change."""

    def __init__(self, service, algorithm, revision, hash):
        self.service, self.algorithm, self.revision, self.hash = service, algorithm, revision, hash

    def add(self, change):
        revision = self.revision + 1
        if change["revision"] != revision:
            raise Bad(f"revision {revision}: is missing")
        if change["name"] != f"journals/{self.service}/changes/{revision}".encode():
            raise Bad(f"revision {revision}: does not have the name of its revision")
        if change["previous_hash"] != self.hash:
            raise Bad(f"revision {revision}: does not follow the change before it")
        if change["hash"] != hashlib.new(self.algorithm, hashed(change)).digest():  # sm3 is there if OpenSSL has it
            raise Bad(f"revision {revision}: does not have the hash of its content")
        self.revision, self.hash = revision, change["hash"]


# Checkpoints


def read_checkpoints(path, service):
    """Returns checkpoints by their revision, from lines as `yizhen journal checkpoints` prints them."""
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            if not line.strip() or line.endswith(" #cut off\n"):
                continue
            try:
                c = json.loads(line)
            except ValueError:
                if line.endswith("\n"):
                    raise Bad(f"{path}: a line is no checkpoint: {line!r}")
                continue  # it is still being written
            if not c["name"].startswith(f"journals/{service}/checkpoints/"):
                raise Bad(f"{path}: {c['name']} is not of journals/{service}")
            found[int(c["revision"])] = c
    return found


def hold(checkpoint, change):
    """Holds a checkpoint against the change that it is of."""
    # The time is written with as many digits after the point as it needs.
    text, _, fraction = checkpoint["commitTime"].rstrip("Z").partition(".")
    time = datetime.datetime.fromisoformat(text + "+00:00")
    same_time = (int(time.timestamp()), int(fraction.ljust(9, "0"))) == (change["seconds"], change["nanoseconds"])
    if b64decode(checkpoint["hash"]) != change["hash"] or not same_time:
        raise Bad(f"revision {change['revision']}: is not what was signed")


def main():
    args = argparse.ArgumentParser(description="Verifies segment files of a journal.")
    args.add_argument("file", nargs="+", help="segment files, in order")
    args.add_argument("--checkpoints", help="hold the journal against these; whether they are signed is not looked at")
    args.add_argument("--bytes", type=int, metavar="REVISION", help="print the bytes of which this revision has the hash")
    args = args.parse_args()
    chain, begin, signed, held = None, 0, {}, 0
    for path in args.file:
        changes = read_segment(path)
        service, algorithm, first, last, previous, final = next(changes)
        if chain is None:
            chain, begin = Chain(service, algorithm, first - 1, previous), first
            if first == 1 and previous != bytes(32):
                raise Bad("revision 1: follows something")
            if args.checkpoints:
                signed = read_checkpoints(args.checkpoints, service)
        if (service, algorithm) != (chain.service, chain.algorithm):
            raise Bad(f"{path}: is of another journal")
        if (first, previous) != (chain.revision + 1, chain.hash):
            raise Bad(f"revision {chain.revision + 1}: {path} does not go on from there")
        for change in changes:
            chain.add(change)
            if change["revision"] in signed:
                hold(signed[change["revision"]], change)
                held += 1
            if change["revision"] == args.bytes:
                print(hashed(change).hex())
        if (last, final) != (chain.revision, chain.hash):
            raise Bad(f"revision {chain.revision}: is not the last that {path} announces")
    if signed and max(signed) > chain.revision:
        raise Bad(f"revision {chain.revision + 1}: is missing, and {max(signed)} was signed")
    print(f"journals/{chain.service} is whole from revision {begin} to {chain.revision}, hash {chain.hash.hex()}; "
          f"held against {held} checkpoints")


if __name__ == "__main__":
    try:
        main()
    except Bad as e:
        sys.exit(str(e))
