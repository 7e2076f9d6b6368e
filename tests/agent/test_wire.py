import json

import pytest
from hwnas_agent import wire
from hwnas_agent.subject import TYPICAL_KEPT
from hypothesis import given, settings
from hypothesis import strategies as st

ALIVE = {"type": "alive"}
MAGIC = wire.AGENT_MAGIC.encode() + b"\n"


def decoder(preamble: int = 0) -> wire.Decoder:
    return wire.Decoder(wire.AGENT_MAGIC, wire.FROM_AGENT, preamble)


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def test_messages_survive_the_way_however_they_are_cut():
    encoder = wire.Encoder(wire.AGENT_MAGIC, wire.FROM_AGENT)
    messages = [ALIVE, {"type": "failed", "id": "é\n", "reason": "x"}, ALIVE]
    data = encoder.opening() + b"".join(encoder.encode(m) for m in messages)
    for size in (1, 7, len(data)):
        receiver = decoder()
        got = [m for i in range(0, len(data), size) for m in receiver.feed(data[i : i + size])]
        assert [{k: v for k, v in m.items() if k != "seq"} for m in got] == messages
        assert [m["seq"] for m in got] == [0, 1, 2]


@given(st.lists(st.binary(max_size=300), max_size=8))
@settings(max_examples=300)
def test_garbage_is_refused_with_one_kind_of_error(parts):
    receiver = decoder(preamble=3)
    try:
        for part in (MAGIC, *parts):
            receiver.feed(part)
    except wire.WireError:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(wire.FROM_AGENT)), st.data())
@settings(max_examples=80)
def test_a_message_is_taken_only_with_all_its_fields_allowed(kind, data):
    schema = {name.rstrip("?"): check for name, check in wire.FROM_AGENT[kind].items()}
    later = {name.rstrip("?") for name in wire.FROM_AGENT[kind] if name.endswith("?")}
    fields = {name: data.draw(json_values) for name in schema if name not in later or data.draw(st.booleans())}
    try:
        (message,) = decoder().feed(MAGIC + line(seq=0, type=kind, **fields))
    except wire.WireError:
        assert any(not check(fields[name]) for name, check in schema.items() if name in fields)
    else:
        assert all(check(message[name]) for name, check in schema.items() if name in fields)


@pytest.mark.parametrize("changed", [{"peak_memory_bytes": 5}, {"peak_memory_bytes": None}, {}])
def test_fields_that_not_every_device_fills_may_be_left_out_and_others_not(changed):
    result = {
        "type": "result", "id": "a", "quiet_ms": [1.0], "typical_ms": [1.0], "rejected": 0, "load_ms": 1.0, "first_ms": 1.0,
        "runs_per_sample": 1, "quiet_level_us": 1.0, "chunk": 0,
        "execution": {"by": None, "fallbacks": None, "note": None},
    }  # fmt: skip
    assert wire.check({**result, **changed}, wire.FROM_AGENT)
    for name in result.keys() - {"type"}:
        with pytest.raises(wire.WireError, match="other fields"):
            wire.check({key: value for key, value in result.items() if key != name} | changed, wire.FROM_AGENT)
    for odd in ("peak_memory_bytes?", "other"):
        with pytest.raises(wire.WireError, match="other fields"):
            wire.check({**result, odd: 5}, wire.FROM_AGENT)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello\n", "did not begin"),
        (b"hwnas-agent/99\n", "hwnas-agent/99"),
        (MAGIC + b"{\n", "not JSON"),
        (MAGIC + b"[]\n", "not an object"),
        (MAGIC + b"\xff\xfe\n", "not JSON"),
        (MAGIC + b"[" * 5000 + b"\n", "not JSON"),
        (MAGIC + b"9" * 5000 + b"\n", "not"),
        (MAGIC + line(seq=0, type="nonsense"), "unknown message type"),
        (MAGIC + line(seq=0, type=["alive"]), "unknown message type"),
        (MAGIC + line(seq=0, type="alive", more=1), "other fields"),
        (MAGIC + line(type="alive"), "sequence number"),
        (MAGIC + line(seq=1, type="alive"), "sequence number"),
        (MAGIC + line(seq=False, type="alive"), "sequence number"),
        (MAGIC + line(seq=0, type="alive") * 2, "sequence number"),
        (MAGIC + b'{"seq":0,"type":"alive","seq":0}\n', "twice"),
        (MAGIC + b"x" * (wire.MAX_LINE_BYTES + 1), "longer than"),
        (MAGIC + b"x" * wire.MAX_LINE_BYTES + b"\n", "longer than"),
    ],
)
def test_what_is_not_of_the_protocol_is_named(data, words):
    with pytest.raises(wire.WireError, match=words):
        decoder().feed(data)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1", "true", '"1"', "null"])
def test_numbers_are_finite_and_not_negative(number):
    text = f'{{"seq":0,"type":"progress","finished":0,"accepted":0,"wanted":{number},"quiet_share":0}}\n'
    with pytest.raises(wire.WireError):
        decoder().feed(MAGIC + text.encode())


def test_a_greeting_may_come_before_the_magic_line_but_not_for_ever():
    assert decoder(preamble=2).feed(b"Welcome!\n\n" + MAGIC + line(seq=0, type="alive"))[0]["type"] == "alive"
    with pytest.raises(wire.WireError, match="did not begin"):
        decoder(preamble=2).feed(b"a\nb\nc\n")


def test_nothing_out_of_protocol_is_sent():
    encoder = wire.Encoder(wire.AGENT_MAGIC, wire.FROM_AGENT)
    with pytest.raises(wire.WireError, match="unknown message type"):
        encoder.encode({"type": "ping"})
    too_long = {"type": "hello", "agent": "", "python": "", "system": "", "arch": "", "libc": None, "runtimes": {}, "cores": []}
    with pytest.raises(wire.WireError, match="over the line cap"):
        encoder.encode({**too_long, "cores": [10**15] * 4096, "facts": {}})
    assert json.loads(encoder.encode(ALIVE))["seq"] == 0


def test_the_longest_result_fits_into_a_line():
    """Every sample that a session keeps at its most digits (nanoseconds of up to 100 s), and an id that JSON makes longer."""
    longest_ms = [99999.123456] * wire.MAX_SAMPLES
    result = {
        "type": "result", "id": "\U0001f600" * 512, "quiet_ms": longest_ms, "typical_ms": longest_ms, "rejected": 2**53 - 1,
        "load_ms": 99999.123456, "first_ms": 99999.123456, "runs_per_sample": 1000, "quiet_level_us": 1 / 3, "chunk": 2**53 - 1,
        "execution": {"by": "\U0001f600" * 100, "fallbacks": 2**53 - 1, "note": "\U0001f600" * 240},
    }  # fmt: skip
    encoder = wire.Encoder(wire.AGENT_MAGIC, wire.FROM_AGENT)
    assert len(decoder().feed(encoder.opening() + encoder.encode(result))) == 1
    assert TYPICAL_KEPT <= wire.MAX_SAMPLES


def test_text_for_a_terminal_has_no_control_characters():
    assert wire.printable("a\x1b[31mb\n\u202ec", 5) == "a [31"
