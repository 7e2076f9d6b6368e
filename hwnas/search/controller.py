"""An LSTM that writes architectures, one choice after the other (Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735).

It is small and runs on numpy, so that a search needs no torch; its gradients are those of backpropagation through time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.core.arch import Codes, SearchSpace
from hwnas.core.predict import Floats

_SCALE = 0.1


@dataclass(frozen=True, slots=True)
class _Step:
    """What one step needs to go back: its input's token and state, the gates, the new cell, and the options' probabilities."""

    token: Codes
    joined: Floats
    gates: tuple[Floats, Floats, Floats, Floats]
    before: Floats
    cell: Floats
    hidden: Floats
    chances: Floats


class Controller:
    """``weights`` by name; the token of an option is its column among all options, and the last token says that nothing was written yet."""

    def __init__(self, space: SearchSpace, rng: np.random.Generator, *, hidden: int) -> None:
        self._space = space
        self._hidden = hidden
        self._first = np.concatenate(([0], np.cumsum(space.n_options.astype(np.int64))))
        tokens = int(self._first[-1])
        self.weights: dict[str, Floats] = {
            "embedding": rng.normal(0, _SCALE, (tokens + 1, hidden)),
            "gates": rng.normal(0, _SCALE, (2 * hidden, 4 * hidden)),
            "gates_bias": np.zeros(4 * hidden),
            "heads": rng.normal(0, _SCALE, (hidden, tokens)),
            "heads_bias": np.zeros(tokens),
        }

    def sample(self, n: int, rng: np.random.Generator, *, temperature: float = 1.0) -> Codes:
        """``n`` architectures, ``(n, n_choices) int16``, canonical; above a temperature of 1 likely options are less so."""
        codes = np.zeros((n, len(self._space.choices)), dtype=np.int16)
        state = (np.zeros((n, self._hidden)), np.zeros((n, self._hidden)))
        for position in range(codes.shape[1]):
            step = self._step(codes, position, *state)
            heated = step.chances ** (1 / temperature)
            drawn = (rng.random((n, 1)) > np.cumsum(heated, axis=1) / heated.sum(axis=1, keepdims=True)).sum(axis=1)
            # a sum of chances that rounding leaves below 1 must not write an option that is none
            codes[:, position] = np.minimum(drawn, step.chances.shape[1] - 1)
            codes[:, position] *= self._space.active(codes)[:, position]
            state = (step.hidden, step.cell)
        return codes

    def log_chances(self, codes: Codes) -> Floats:
        """The logarithm of the chance with which each of ``codes: (n, n_choices)`` is written, ``(n,)``."""
        steps, active = self._run(codes), self._space.active(codes)
        rows = np.arange(len(codes))
        each = [np.log(step.chances[rows, codes[:, p]]) * active[:, p] for p, step in enumerate(steps)]
        total: Floats = np.sum(each, axis=0)
        return total

    def gradients(self, codes: Codes, advantage: Floats, *, entropy: float) -> dict[str, Floats]:
        """Of ``-mean(advantage * log chance) - entropy * mean(entropy of all written choices)``, by the name of the weights."""
        steps, active = self._run(codes), self._space.active(codes)
        gradients = {name: np.zeros_like(values) for name, values in self.weights.items()}
        rows = np.arange(len(codes))
        d_hidden, d_cell = np.zeros((len(codes), self._hidden)), np.zeros((len(codes), self._hidden))
        for position in reversed(range(len(steps))):
            step = steps[position]
            columns = slice(int(self._first[position]), int(self._first[position + 1]))
            logs = np.log(step.chances)
            d_logits = step.chances * (logs - (step.chances * logs).sum(axis=1, keepdims=True)) * entropy
            d_logits += step.chances * advantage[:, None]
            d_logits[rows, codes[:, position]] -= advantage
            d_logits *= active[:, [position]] / len(codes)
            gradients["heads"][:, columns] = step.hidden.T @ d_logits
            gradients["heads_bias"][columns] = d_logits.sum(axis=0)
            d_hidden = d_hidden + d_logits @ self.weights["heads"][:, columns].T
            d_hidden, d_cell = self._back(step, d_hidden, d_cell, gradients)
        return gradients

    def _run(self, codes: Codes) -> list[_Step]:
        state = (np.zeros((len(codes), self._hidden)), np.zeros((len(codes), self._hidden)))
        steps = []
        for position in range(codes.shape[1]):
            steps.append(self._step(codes, position, *state))
            state = (steps[-1].hidden, steps[-1].cell)
        return steps

    def _step(self, codes: Codes, position: int, hidden: Floats, cell: Floats) -> _Step:
        """The state after the choices before ``position`` of ``codes``, and the chances of its options."""
        last, before = self._first[-1], self._first[position - 1]
        token = before + codes[:, position - 1] if position else np.full(len(codes), last)
        joined = np.concatenate([self.weights["embedding"][token], hidden], axis=1)
        into, forget, out, fresh = np.split(joined @ self.weights["gates"] + self.weights["gates_bias"], 4, axis=1)
        into, forget, out, fresh = _sigmoid(into), _sigmoid(forget), _sigmoid(out), np.tanh(fresh)
        after = forget * cell + into * fresh
        shown = out * np.tanh(after)
        columns = slice(int(self._first[position]), int(self._first[position + 1]))
        logits = shown @ self.weights["heads"][:, columns] + self.weights["heads_bias"][columns]
        grown = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances = np.maximum(grown / grown.sum(axis=1, keepdims=True), 1e-12)
        return _Step(token, joined, (into, forget, out, fresh), cell, after, shown, chances)

    def _back(self, step: _Step, d_hidden: Floats, d_cell: Floats, gradients: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Through one step: what its state before is blamed for; its own weights' share is added to ``gradients``."""
        into, forget, out, fresh = step.gates
        squashed = np.tanh(step.cell)
        d_cell = d_cell + d_hidden * out * (1 - squashed**2)
        slopes = (
            d_cell * fresh * into * (1 - into),
            d_cell * step.before * forget * (1 - forget),
            d_hidden * squashed * out * (1 - out),
            d_cell * into * (1 - fresh**2),
        )
        d_gates = np.concatenate(slopes, axis=1)
        gradients["gates"] += step.joined.T @ d_gates
        gradients["gates_bias"] += d_gates.sum(axis=0)
        d_joined = d_gates @ self.weights["gates"].T
        np.add.at(gradients["embedding"], step.token, d_joined[:, : self._hidden])
        return d_joined[:, self._hidden :], d_cell * forget


def _sigmoid(x: Floats) -> Floats:
    value: Floats = 0.5 * (1 + np.tanh(0.5 * x))
    return value
