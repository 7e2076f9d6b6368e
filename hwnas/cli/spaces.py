"""``hwnas spaces``: what can be searched."""

from __future__ import annotations

from typing import Annotated

import typer

from hwnas.cli.console import show_facts, show_json, show_table
from hwnas.space.family import FAMILIES, Blockwise, family_of, find_space

app = typer.Typer(help="Search spaces: list them, show one.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_spaces(json: Json = False) -> None:
    """List the named spaces of every family."""
    rows = [(preset.name, family, preset.summary) for family in FAMILIES for preset in FAMILIES.get(family).presets()]
    if json:
        show_json([{"name": name, "family": family, "summary": summary} for name, family, summary in rows])
    else:
        show_table(("space", "family", "what"), rows)


@app.command("show")
def show(name: str, json: Json = False) -> None:
    """Show the choices of a space, its exact number of architectures, and the blocks that a device measures."""
    space = find_space(name)
    family = family_of(space)
    blocks = family.vocabulary(space) if isinstance(family, Blockwise) else ()
    smallest, largest = family.extremes(space)
    if json:
        choices = [{"name": c.name, "options": c.options, "active_if": c.active_if} for c in space.choices]
        keys = [block.key for block in blocks]
        show_json(
            {"name": space.name, "family": space.family, "id": space.id, "architectures": space.size, "choices": choices, "blocks": keys}
        )
        return
    show_facts(
        {
            "space": f"{space.name} ({space.family}), id {space.id}",
            "architectures": f"{space.size:,} ({space.size:.3g})",
            "blocks to measure": len(blocks) or "none: its networks are measured whole",
            "largest input": "x".join(map(str, space.input_shape)) + " (channels, height, width)",
            "smallest, largest": f"{smallest.id}, {largest.id}",
        }
    )
    rows = [(c.name, " ".join(map(str, c.options)), _condition(c.active_if)) for c in space.choices]
    show_table(("choice", "options", "active if"), rows)


def _condition(condition: object) -> str:
    if condition is None:
        return ""
    name, options = getattr(condition, "choice", ""), getattr(condition, "options", ())
    return f"{name} is {' or '.join(map(str, options))}"
