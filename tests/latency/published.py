"""Published tables for tests: rows of a small MobileNetV3-like and a ProxylessNAS table with drawn times, as CSV and as YAML."""

from __future__ import annotations

from pathlib import Path

from hwnas.core.arch import Block, SearchSpace
from hwnas.space.family import SpaceOptions, blockwise, find_space
from hwnas.space.mobilenet_v3 import halved

HEADER = ("resolution", "mean_ms", "std_ms", "count", "op", "input", "output", "expand", "kernel", "stride", "idskip", "se", "hs")


def proxyless() -> SearchSpace:
    return find_space("proxyless")


def ofa(*resolutions: int) -> SearchSpace:
    return find_space("ofa-w1.2", SpaceOptions(resolutions=resolutions))


def operations(space: SearchSpace) -> list[dict[str, str]]:
    """The rows of a table of ``space``, which has one resolution, without their times."""
    resolution = str(space.choices[0].options[0])
    v3 = space.family == "mobilenet_v3"
    rows: list[dict[str, str]] = []
    for block in blockwise(space).vocabulary(space):
        rows += [{"resolution": resolution, **row} for row in _rows(block, v3=v3)]
    return rows


def _rows(block: Block, *, v3: bool) -> list[dict[str, str]]:
    channels, size, _ = block.in_shape
    params = dict(block.params)
    given = f"{size}x{size}x{channels}"
    if block.op == "head" and v3:
        mix = params["mix"]
        return [
            {"op": "AvgPool2D", "input": given, "output": f"1x1x{channels}"},
            {"op": "Conv_2", "input": f"1x1x{channels}", "output": f"1x1x{mix}"},
            {"op": "Logits", "input": f"1x1x{mix}", "output": "1000"},
        ]
    if block.op == "head":
        return [{"op": "Logits", "input": given, "output": "1000"}]
    out = halved(size, int(params.get("s", 1)))
    shapes = {"input": given, "output": f"{out}x{out}x{params['out']}"}
    if block.op in ("stem", "final_expand"):
        return [{"op": {"stem": "Conv", "final_expand": "Conv_1"}[block.op], **shapes}]
    mid, flags = int(params["mid"]), {"idskip": str(int("res" in params))}
    if v3:
        flags |= {"se": str(int("se" in params)), "hs": str(int(params["act"] == "hswish"))}
    expand = mid if v3 else mid // channels
    return [{"op": "expanded_conv", **shapes, "expand": str(expand), "kernel": str(params["k"]), "stride": str(params["s"]), **flags}]


def timed(rows: list[dict[str, str]], *, first_ms: float = 0.5) -> list[dict[str, str]]:
    """The rows with a mean each, all different, and a spread of 2 % over 100 runs."""
    means = [first_ms + 0.125 * i for i in range(len(rows))]
    return [{**row, "mean_ms": repr(mean), "std_ms": repr(0.02 * mean), "count": "100"} for row, mean in zip(rows, means, strict=True)]


def write_csv(path: Path, rows: list[dict[str, str]], header: tuple[str, ...] = HEADER) -> Path:
    lines = [",".join(header), *(",".join(row.get(name, "") for name in header) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def yaml_key(row: dict[str, str]) -> str:
    """An operation as OFA and ProxylessNAS write it."""
    names = [name for name in ("input", "output", "expand", "kernel", "stride", "idskip", "se", "hs") if row.get(name)]
    return "-".join([row["op"], *(f"{name}:{row[name]}" for name in names)])


def write_yaml(path: Path, rows: list[dict[str, str]], *, factor: float = 1.0) -> Path:
    entries = [
        f"{yaml_key(row)}: {{mean: {factor * float(row['mean_ms'])!r}, std: {factor * float(row['std_ms'])!r}, count: {row['count']}}}"
        for row in rows
    ]
    path.write_text("\n".join(entries) + "\n")
    return path
