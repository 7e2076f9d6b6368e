"""Which files are made of a subnet, as a recipe asks for them."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.export.exporter import EIGHT_BITS, EXPORTERS, parse_format
from hwnas.export.level import DEFAULT, OnnxLevel
from hwnas.recipe import Int8Limits, Recipe


@dataclass(frozen=True, slots=True)
class FileSpec:
    """Which files are made of a subnet: the runtime that reads them, their precision and ONNX level, and perhaps an 8-bit companion.

    ``int8`` is what files of 8 bits are held to; where the precision is none of those, one is made beside.
    """

    runtime: str
    precision: str = "fp32"
    int8: Int8Limits | None = None
    level: OnnxLevel = DEFAULT
    dynamic_batch: bool = False

    @classmethod
    def of(cls, recipe: Recipe, level: OnnxLevel) -> FileSpec:
        """What a recipe asks for, in the ONNX that its device reads."""
        return cls(recipe.runtime, recipe.precision, recipe.int8, level)

    @classmethod
    def beside(cls, recipe: Recipe, level: OnnxLevel) -> tuple[FileSpec, ...]:
        """The other formats that a recipe asks for, in its order."""
        specs = []
        for form, precision in map(parse_format, recipe.formats):
            limits = recipe.int8 if precision in EIGHT_BITS else None
            specs.append(cls(EXPORTERS.get(form).runtime, precision, limits, level))
        return tuple(specs)

    @property
    def limits(self) -> Int8Limits | None:
        """What an 8-bit file may cost; the defaults for a main file of 8 bits without limits of its own, None where none is made."""
        return Int8Limits() if self.int8 is None and self.precision in EIGHT_BITS else self.int8
