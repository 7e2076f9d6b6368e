"""Fuzzing what an agent says: decoder, channel and session together, 22,000 examples in the slow suite and some hundred in the fast one.

Whatever comes, a session ends as documented (`tests.rig.heldsession.DOCUMENTED`), with at most `PEAK_BYTES` of memory, and before its
deadline.
"""

import itertools

import pytest
from hwnas_agent import wire
from hypothesis import strategies as st

from hwnas.profiler.session import MOST_RESULTS
from tests.rig.garbled import (
    CONVERSATION,
    DONE,
    HELLO,
    KEYS,
    PROGRESS,
    READY,
    both,
    garbled_bytes,
    garbled_messages,
    result,
    scraps,
    spoken,
)
from tests.rig.heldsession import DEADLINE_S, held, pieces_of

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
MESSAGES = (80, 12_000)
BYTES = (60, 7_000)
ARBITRARY = (40, 3_000)
"""Examples in the fast and in the slow suite: 22,000 in all."""
PEAK_BYTES = 8 * 1024 * 1024
"""64 KiB a line become at most a few MiB of Python; the input of an example, up to 1 MiB, is not counted."""

sizes = st.sampled_from([1_000, 65_536]) | st.integers(200, 4_000)


def check(pieces, **options):
    end, peak, seconds = held(pieces, **options)
    assert peak < PEAK_BYTES
    assert seconds <= DEADLINE_S
    return end


def garbled_in_content(example):
    messages, size = example
    check(pieces_of(b"".join(spoken(messages)), size))


def garbled_on_the_way(example):
    data, size, ends = example
    check(pieces_of(data, size), ends=ends)


def arbitrary(example):
    opening, parts = example
    check([opening, *(p for p in parts if p)])


in_content = st.tuples(garbled_messages(CONVERSATION), sizes)
on_the_way = st.tuples(garbled_bytes(spoken(CONVERSATION)), sizes, st.booleans())
anything = st.tuples(
    st.sampled_from([b"Last login: today\n", wire.AGENT_MAGIC.encode() + b"\n", b"".join(spoken(CONVERSATION[:3])), b"\0"]),
    st.lists(scraps | st.binary(max_size=400) | st.sampled_from(spoken(CONVERSATION)), max_size=8),
)

test_garbled_in_content, test_garbled_in_content_at_length = both(MESSAGES, in_content, garbled_in_content)
test_garbled_on_the_way, test_garbled_on_the_way_at_length = both(BYTES, on_the_way, garbled_on_the_way)
test_arbitrary_bytes, test_arbitrary_bytes_at_length = both(ARBITRARY, anything, arbitrary)


def test_an_ungarbled_conversation_is_done():
    data = b"".join(spoken(CONVERSATION))
    for size in (1, 7, len(data)):
        assert check(pieces_of(data, size)) == "done"


def test_ten_megabytes_without_a_line_break_are_refused_early():
    lines = spoken([HELLO, READY])
    flood = itertools.chain(lines, itertools.repeat(b"x" * 65_536, 160))
    assert check(flood) == "ProtocolError"
    assert next(flood), "it was read to its end"


def test_endless_chatter_ends_with_the_deadline():
    for what in (PROGRESS, {"type": "alive"}):
        chatter = (spoken([what])[1].replace(b'"seq": 0', b'"seq": %d' % n) for n in itertools.count(2))
        assert check(itertools.chain(spoken([HELLO, READY]), chatter), pace_s=0.2) == "AgentTimeout"


def test_bytes_that_trickle_in_end_with_the_deadline():
    lines = b"".join(spoken([HELLO, READY])) + b"{"
    assert check(itertools.chain([lines], itertools.repeat(b" ")), pace_s=1.0) in {"AgentTimeout", "ProtocolError"}


@pytest.mark.parametrize(
    ("told", "end"),
    [
        ([HELLO, result(KEYS[0])], "ProtocolError"),
        ([HELLO, READY, result("never asked for")], "ProtocolError"),
        ([HELLO, READY, {"type": "failed", "id": "never asked for", "reason": "x"}], "ProtocolError"),
        ([HELLO, READY, *[result(KEYS[0])] * (MOST_RESULTS + 1)], "ProtocolError"),
        ([HELLO, DONE], "ProtocolError"),
        ([HELLO, READY, DONE], "ProtocolError"),
        ([HELLO, READY, READY], "ProtocolError"),
        ([HELLO, READY, {**PROGRESS, "quiet_share": 10**400}], "ProtocolError"),
        ([HELLO, READY, {**PROGRESS, "quiet_share": float("nan")}], "ProtocolError"),
        ([HELLO, {**READY, "provider": "\ud800"}], "ProtocolError"),
        ([HELLO, READY, {**DONE, "short": 3}], "TooNoisy"),
        ([HELLO, READY, {"type": "failed", "id": KEYS[0], "reason": "no"}, DONE], "DeviceError"),
        ([HELLO, {"type": "refused", "reason": "busy"}], "DeviceError"),
        ([HELLO, READY], "DeviceLost"),
    ],
)
def test_how_a_conversation_ends(told, end):
    assert check([b"".join(spoken(told))]) == end
