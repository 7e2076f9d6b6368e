"""Stand-ins for benchmark programs that no package brings: they run models for real, and print what the programs are documented to.

Each is one executable file, as a user would name it in ``[native]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

BENCHMARK_MODEL = """\
#!{python}
import sys, time
sys.path[:0] = {path!r}
from ai_edge_litert.interpreter import Interpreter

given = dict(word.split("=", 1) for word in sys.argv[1:])
begin = time.perf_counter()
interpreter = Interpreter(model_path=given["--graph"], num_threads=int(given["--num_threads"]))
interpreter.allocate_tensors()
init_us = round(1e6 * (time.perf_counter() - begin))
print("INFO: STARTING!")
print("INFO: Loaded model " + given["--graph"])


def phase(runs):
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        interpreter.invoke()
        times.append(round(1e6 * (time.perf_counter() - begin)) or 1)
    ordered, mean = sorted(times), sum(times) / len(times)
    if len(set(times)) == 1:
        print(f"INFO: count={{len(times)}} curr={{times[-1]}}" + ("(all same)" if len(times) > 1 else "") + "\\n")
    else:
        told = f"first={{times[0]}} curr={{times[-1]}} min={{ordered[0]}} max={{ordered[-1]}} avg={{mean:g}} std=1"
        at = [ordered[int(share * (len(times) - 1))] for share in (0.05, 0.5, 0.95)]
        print(f"INFO: count={{len(times)}} {{told}} p5={{at[0]}} median={{at[1]}} p95={{at[2]}}\\n")
    return times[0], mean


first, warm = phase(int(given["--warmup_runs"]))
_, mean = phase(int(given["--num_runs"]))
told = f"Init: {{init_us}}, First inference: {{first}}, Warmup (avg): {{warm:g}}, Inference (avg): {{mean:g}}"
print("INFO: Inference timings in us: " + told)
"""
PERF_TEST = """\
#!{python}
import resource, sys, time
sys.path[:0] = {path!r}
import numpy as np
import onnxruntime as ort

runs, threads = (int(sys.argv[sys.argv.index(name) + 1]) for name in ("-r", "-x"))
model, result = sys.argv[-2:]
options = ort.SessionOptions()
options.intra_op_num_threads = threads
begin = time.perf_counter()
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
print(f"Session creation time cost: {{time.perf_counter() - begin:g}} s")
feeds = {{i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape], np.float32) for i in session.get_inputs()}}


def run():
    begin = time.perf_counter()
    session.run(None, feeds)
    return time.perf_counter() - begin


print(f"First inference time cost: {{1e3 * run():.0f}} ms")
with open(result, "a") as file:
    for number in range(runs):
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        file.write(f"model,{{run():g}},{{peak}},11,{{number}}\\n")
print("Total inference requests: %d" % runs)
"""
SCRIPTS = {"benchmark_model": BENCHMARK_MODEL, "onnxruntime_perf_test": PERF_TEST}


def write_tool(path: Path, name: str) -> Path:
    """A program that does what ``name`` does, at ``path``."""
    return write_program(path, SCRIPTS[name].format(python=sys.executable, path=[p for p in sys.path if "site-packages" in p]))


def write_program(path: Path, text: str) -> Path:
    """An executable file."""
    path.write_text(text)
    path.chmod(0o755)
    return path
