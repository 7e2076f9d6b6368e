"""torch on a GPU: an exported program, captured once as a CUDA graph, replayed, and timed by events of the GPU.

A replay returns before the GPU is done. What is timed is the stretch between two events on the GPU's stream: the runtime brings a clock of
its own, which records an event and waits for it. Calls that follow one another between two readings of that clock run back to back, as they
do in a busy server; a sample of a single call holds the launch, too. Convolutions are chosen by trying (``cudnn.benchmark``), and TF32 is
used where torch uses it by default.
"""

from __future__ import annotations

import importlib
import json
import time
import zipfile
from typing import Any, Callable

from hwnas_agent.runtime import Execution, Loaded, ModelUnusable, Run, Runtime, RuntimeUnusable, random_input

CUDA = "cuda"
WARM_UP = 3
MAX_JSON_BYTES = 64 << 20


def torch_on(device: str = CUDA) -> Runtime:
    """The runtime on ``device``: CUDA for what is measured, the CPU for the way there without a GPU."""
    torch = importlib.import_module("torch")
    if device == CUDA and not torch.cuda.is_available():
        raise RuntimeUnusable(f"torch-cuda: torch {torch.__version__} sees no CUDA device")

    def load(path: str, threads: int, seed: int) -> Loaded:
        if device == CUDA:
            torch.backends.cudnn.benchmark = True
        else:
            torch.set_num_threads(threads)
        call = _network(torch, path, device, seed)
        if device != CUDA:
            return Loaded(call, lambda: Execution("torch", 0))
        name = torch.cuda.get_device_name()
        return Loaded(captured(torch, call), lambda: Execution(f"CUDA graph on {name}"[:100], 0))

    clock = EventClock(torch) if device == CUDA else None
    return Runtime(str(torch.__version__), f"torch {device}", load, clock)


def _network(torch: Any, path: str, device: str, seed: int) -> Run:
    require_plain(path)
    program = torch.export.load(path)
    wanted = [n.meta["val"] for n in program.graph.nodes if n.op == "placeholder" and n.name in program.graph_signature.user_inputs]
    if device != "cpu":
        moved = importlib.import_module("torch.export.passes").move_to_device_pass
        program = moved(program, device)
    network = program.module()
    taken = [_input(torch, value, device, seed + offset) for offset, value in enumerate(wanted)]

    def call() -> object:
        with torch.no_grad():
            return network(*taken)

    return call


def _input(torch: Any, value: Any, device: str, seed: int) -> Any:
    """A fixed input like the example ``value``, in whose memory format it is; of floats, whatever their width."""
    filled = torch.from_numpy(random_input(list(value.shape), "float32", seed)).to(device=device, dtype=value.dtype)
    return filled.contiguous(memory_format=torch.channels_last) if filled.dim() == 4 else filled


def require_plain(path: str) -> None:
    """Raise `ModelUnusable` for an archive that holds anything pickled, which torch would run as it loads it."""
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if "/data/sample_inputs/" in entry.filename and entry.file_size:
                    raise ModelUnusable("the program holds pickled example inputs")
                if entry.filename.endswith("_config.json"):
                    if entry.file_size > MAX_JSON_BYTES:
                        raise ModelUnusable("the program's list of weights is too long")
                    told = json.loads(archive.read(entry).decode("utf-8"))
                    if any(one.get("use_pickle", True) for one in told["config"].values()):
                        raise ModelUnusable("the program holds pickled weights")
    except (zipfile.BadZipFile, ValueError, KeyError, AttributeError, OSError) as problem:
        raise ModelUnusable(f"not an exported program: {problem}") from None


def captured(torch: Any, call: Run) -> Run:
    """``call`` as a CUDA graph: the same kernels on the same memory, launched at once."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay(*, _kept: object = result) -> object:
        return graph.replay()

    return replay


class EventClock:
    """Nanoseconds as the GPU's stream sees them: a reading waits until the stream has come to it.

    Times are summed event by event: what lies between two events is a float of milliseconds, exact only where it is short.
    """

    def __init__(self, torch: Any, start: Callable[[], int] = time.perf_counter_ns) -> None:
        self._event = torch.cuda.Event
        self._now_ns = float(start())
        self._last = self._recorded()

    def _recorded(self) -> Any:
        event = self._event(enable_timing=True)
        event.record()
        event.synchronize()
        return event

    def __call__(self) -> int:
        """The time now."""
        event = self._recorded()
        self._now_ns += 1e6 * float(self._last.elapsed_time(event))
        self._last = event
        return int(self._now_ns)
