"""Which ONNX a target's files are written in: the newest that its device reads, asked once and kept with the timings.

The answer is in the journal before any model is written, and in the table after that: a run that resumes, a replay and an accepted table
go on with the files that were timed, without a device. What was timed before devices were asked is of the default level.
"""

from __future__ import annotations

from collections.abc import Mapping

from hwnas.core.device import Fact
from hwnas.core.errors import DeviceError
from hwnas.export.exporter import PAGE_RUNTIMES, RUNTIME_FORMATS
from hwnas.export.level import DEFAULT, OnnxLevel, newest_level
from hwnas.pipeline.context import Context
from hwnas.pipeline.goals import Target
from hwnas.pipeline.timings import Conditions, note_level, noted_level
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import read_hello
from hwnas.profiler.together import StoppableChannel
from hwnas.store.journal import Journal

_IR, _OPSET = "onnx_ir", "onnx_opset"


def reads_onnx(target: Target) -> bool:
    """Whether the target's files are ONNX, so that they have a level at all."""
    return RUNTIME_FORMATS.get(target.runtime) == "onnx"


def level_of(ctx: Context, target: Target, conditions: Conditions, journal: Journal) -> OnnxLevel:
    """The level of the files that are timed under ``conditions``: as noted, else asked of the device and noted.

    Raises `DeviceError` where the device cannot be asked or lacks the runtime, `ConfigError` where it reads nothing that can be written.
    """
    if not reads_onnx(target):
        return DEFAULT
    noted = noted_level(conditions, journal, ctx.replay)
    if noted is not None:
        return OnnxLevel(*noted)
    # a page is not asked, since somebody would have to open it once more
    askable = target.runtime not in PAGE_RUNTIMES and ctx.workspace.device(target.device).answers
    level = _asked(ctx, target) if ctx.replay is None and askable else DEFAULT
    note_level(conditions, journal, (level.ir_version, level.opset))
    return level


def level_in(facts: Mapping[str, Fact]) -> OnnxLevel:
    """The level that a table's facts name; the default where they name none."""
    ir_version, opset = facts.get(_IR), facts.get(_OPSET)
    return OnnxLevel(ir_version, opset) if isinstance(ir_version, int) and isinstance(opset, int) else DEFAULT


def level_facts(target: Target, level: OnnxLevel) -> dict[str, Fact]:
    """The facts that `level_in` reads; none of a target whose files are not ONNX."""
    return {_IR: level.ir_version, _OPSET: level.opset} if reads_onnx(target) else {}


def _asked(ctx: Context, target: Target) -> OnnxLevel:
    device = ctx.workspace.device(target.device)
    ctx.together.check()
    with StoppableChannel(LAUNCHERS.get(device.transport)(device).launch(), ctx.together) as channel:
        found = read_hello(channel, runtimes=(target.runtime,)).runtimes.get(target.runtime)
    if found is None or found.version is None:
        reason = found.reason if found else "the agent does not know it"
        raise DeviceError(f"runtime '{target.runtime}' is not usable on this device: {reason}")
    return newest_level(found.max_ir, found.max_opset)
