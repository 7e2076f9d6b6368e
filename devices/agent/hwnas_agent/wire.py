"""The protocol between host and agent: JSON lines with a magic first line, sequence numbers, strict schemas and hard caps.

Both sides speak first with their magic line. After it every line is one JSON object with ``seq`` (0, 1, 2 … per direction), ``type``, and
exactly the fields that the schema of that type names; those whose names end with ``?`` there may be left out. Numbers are not negative
and at most 1e15, text is whole Unicode; a line is at most 64 KiB. A session ends with an explicit ``done``: no transport tells a finished
agent from a dead one.

Host and agent share this file, so it is standard library only and runs on Python 3.8.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Mapping

from hwnas_agent.fields import (
    Check,
    flag,
    integer,
    integer_within,
    many,
    matching,
    number,
    number_upto,
    optional,
    record,
    scalar,
    table,
    text_upto,
)
from hwnas_agent.precision import QUANTILES

VERSION = 1
AGENT_MAGIC = f"hwnas-agent/{VERSION}"
HOST_MAGIC = f"hwnas-host/{VERSION}"
MAX_LINE_BYTES = 64 * 1024
HEARTBEAT_S = 2.0
SILENCE_S = 30.0
MAX_PREAMBLE_LINES = 64
MAX_SAMPLES = 2000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MAGIC = re.compile(r"^hwnas-(agent|host)/([0-9]{1,6})$")

Message = Dict[str, Any]
Schema = Mapping[str, Mapping[str, Check]]


class WireError(ValueError):
    """What was received, or is about to be sent, is not of the protocol."""


def printable(text: str, limit: int = 300) -> str:
    """``text`` without control and direction characters and halves of pairs, cut to ``limit``: fit for a terminal."""
    return _CONTROL.sub(" ", text)[:limit]


_NAME, _ID, _PATH, _REASON = text_upto(64), text_upto(512), text_upto(4096), text_upto(600)
_CORES = many(integer, 4096)
_FACT = record(value=optional(scalar), reason=optional(_REASON))
_RUNTIME = record(version=optional(_NAME), reason=optional(_REASON), max_ir=optional(integer), max_opset=optional(integer))
_EXECUTION = record(by=optional(text_upto(100)), fallbacks=optional(integer), note=optional(text_upto(240)))
_PLAN = record(
    {
        "statistic": matching("|".join(QUANTILES)),
        "max_rel_ci": number,
        "heat_s": number,
    },
    warmup=integer,
    min_repeats=integer_within(1, MAX_SAMPLES),
    least_repeats=integer_within(1, MAX_SAMPLES),
    min_total_ms=number,
    min_sample_us=number_upto(1e6),
    max_seconds=number,
    cooldown_s=number,
    affinity=_CORES,
    seed=integer,
)

TO_AGENT: Schema = {
    "ping": {},
    "hello": {"runtimes": many(_NAME, 16)},
    "begin": {
        "runtime": _NAME,
        "threads": integer,
        "plan": _PLAN,
        "probe": _PATH,
        "reference": _PATH,
        "quiet_level_us": optional(number),
    },
    "file": {"name": matching(r"[0-9a-f]{64}(\.[a-z0-9]{1,16})?"), "sha256": matching(r"[0-9a-f]{64}")},
    "job": {"id": _ID, "path": _PATH, "only_busy?": flag},
    "start": {"jobs": integer},
}

FROM_AGENT: Schema = {
    "alive": {},
    "hello": {
        "agent": _NAME,
        "python": _NAME,
        "system": _NAME,
        "arch": _NAME,
        "libc": optional(_NAME),
        "cores": _CORES,
        "runtimes": table(_RUNTIME, 16),
        "facts": table(_FACT, 64),
    },
    "ready": {"runtime_version": _NAME, "provider": _NAME, "cores": _CORES, "run_queue_seen": flag, "rails?": many(_NAME, 16)},
    "progress": {"finished": integer, "accepted": integer, "wanted": integer, "quiet_share": optional(number)},
    "result": {
        "id": _ID,
        "quiet_ms": many(number, MAX_SAMPLES),
        "typical_ms": many(number, MAX_SAMPLES),
        "rejected": integer,
        "load_ms": number,
        "first_ms": number,
        "runs_per_sample": integer,
        "quiet_level_us": number,
        "chunk": integer,
        "execution": _EXECUTION,
        "peak_memory_bytes?": optional(integer),
        "energy_mj?": optional(number),
    },
    "busy": {
        "id": _ID,
        "busy_ms": many(number, MAX_SAMPLES),
        "at_s": many(number, MAX_SAMPLES),
        "rejected": integer,
        "load_ms": number,
        "first_ms": number,
        "runs_per_sample": integer,
        "execution": _EXECUTION,
        "peak_memory_bytes?": optional(integer),
        "energy_mj?": optional(number),
    },
    "failed": {"id": _ID, "reason": _REASON},
    "refused": {"reason": _REASON},
    "done": {
        "results": integer,
        "short": integer,
        "fewest": integer,
        "visits": integer,
        "probes": integer,
        "quiet_level_us": optional(number),
        "quiet_share": optional(number),
        "reference_us": many(number, 4096),
        "seconds": number,
        "hottest_c?": optional(number),
        "throttled?": many(_NAME, 16),
        "cooled_s?": number,
        "heated_s?": number,
    },
}


def check(message: Any, schema: Schema) -> Message:
    """``message`` if it is one of ``schema``; anything else raises `WireError`."""
    if not isinstance(message, dict):
        raise WireError("a message is not an object")
    kind = message.get("type")
    fields = schema.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise WireError(f"unknown message type {printable(repr(kind), 60)}")
    possible = {name.rstrip("?"): allowed for name, allowed in fields.items()}
    if not fields.keys() & possible.keys() <= message.keys() - {"seq", "type"} <= possible.keys():
        raise WireError(f"message '{kind}' has other fields than it should")
    for name, allowed in possible.items():
        if name in message and not allowed(message[name]):
            raise WireError(f"message '{kind}': field '{name}' is not allowed as {printable(repr(message[name])[:60], 60)}")
    return message


class Encoder:
    """Turns messages of one direction into bytes; the first call is preceded by the magic line."""

    def __init__(self, magic: str, schema: Schema) -> None:
        self._schema = schema
        self._magic = magic
        self._seq = 0

    def encode(self, message: Message) -> bytes:
        """One line; a message outside the schema or over the cap raises `WireError`."""
        kind = check(message, self._schema)["type"]
        line = json.dumps(dict(message, seq=self._seq), allow_nan=False, separators=(",", ":")).encode() + b"\n"
        if len(line) > MAX_LINE_BYTES:
            raise WireError(f"message '{kind}' of {len(line)} bytes is over the line cap")
        self._seq += 1
        return line

    def opening(self) -> bytes:
        """The magic line."""
        return self._magic.encode() + b"\n"


class Decoder:
    """Turns received bytes, however they were cut, into checked messages.

    ``preamble`` lines at most may come before the magic line: remote shells print greetings.
    """

    def __init__(self, magic: str, schema: Schema, preamble: int = 0) -> None:
        self._magic = magic
        self._schema = schema
        self._preamble = preamble
        self._open = False
        self._seq = 0
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes; anything out of protocol raises `WireError`."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE_BYTES:
            raise WireError(f"a line is longer than {MAX_LINE_BYTES} bytes")
        messages = []
        for line in lines:
            if len(line) >= MAX_LINE_BYTES:
                raise WireError(f"a line is longer than {MAX_LINE_BYTES} bytes")
            if self._open:
                messages.append(self._message(line))
            else:
                self._first(line)
        return messages

    def _first(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        if text == self._magic:
            self._open = True
            return
        other = _MAGIC.match(text)
        if other is not None:
            raise WireError(f"the other side speaks {text}, this side understands {self._magic}")
        if self._preamble == 0:
            raise WireError(f"the other side did not begin with {self._magic} but with {printable(text, 60)!r}")
        self._preamble -= 1

    def _message(self, line: bytes) -> Message:
        try:
            value = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_no_duplicates)
        except (ValueError, RecursionError) as problem:
            raise WireError(f"a line is not JSON: {printable(str(problem), 120)}") from None
        message = check(value, self._schema)
        seq = message.get("seq")
        if not integer(seq) or seq != self._seq:
            raise WireError(f"a message has sequence number {printable(repr(seq), 40)}, not {self._seq}")
        self._seq += 1
        return message


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Message:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key comes twice")
    return value
