import pytest

from hwnas.core.errors import UnknownNameError
from hwnas.core.registry import Registry, suggest


def colours() -> Registry[int]:
    registry: Registry[int] = Registry("colour")
    registry.register("red", 1)
    registry.register("blue", 2)
    return registry


def test_names_lead_to_values_and_are_sorted() -> None:
    registry = colours()
    assert registry.get("red") == 1
    assert registry.names() == ("blue", "red") == tuple(registry)
    assert "red" in registry
    assert "green" not in registry
    assert registry.register("green", 3) == 3


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(ValueError, match="colour 'red' is registered twice"):
        colours().register("red", 3)
    assert colours().get("red") == 1


def test_an_unknown_name_gets_the_closest_or_all() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown colour 'bleu'; did you mean 'blue'\?"):
        colours().get("bleu")
    with pytest.raises(UnknownNameError, match="unknown colour 'x'; known: blue, red"):
        colours().get("x")


def test_suggestions_of_nothing() -> None:
    assert suggest("x", []) == "there are none"
