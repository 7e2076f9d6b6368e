"""Which architectures were proposed before: strategies do not pay twice for one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwnas.core.arch import Codes


class Seen:
    """A set of architectures."""

    def __init__(self) -> None:
        self._rows: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def new_rows(self, codes: Codes) -> list[int]:
        """Positions of the rows of ``codes: (n, n_choices)`` that are new, in order and once each; they are remembered."""
        keep, rows = [], self._rows
        for position, key in enumerate(_keys(codes)):
            if key not in rows:
                rows.add(key)
                keep.append(position)
        return keep

    def unknown(self, codes: Codes) -> list[int]:
        """Positions of the rows of ``codes`` that are new; they are not remembered."""
        return [position for position, key in enumerate(_keys(codes)) if key not in self._rows]

    def fresh(self, codes: Codes) -> Codes:
        """The new rows themselves."""
        return codes[self.new_rows(codes)]

    def gather(self, n: int, propose: Callable[[int], Codes], *, tries: int) -> Codes:
        """Up to ``n`` new rows from at most ``tries`` calls of ``propose(k) -> (k, n_choices)``; fewer when proposals repeat."""
        parts = [propose(0)]
        missing = n
        for _ in range(tries):
            if not missing:
                break
            parts.append(self.fresh(propose(missing)))
            missing -= len(parts[-1])
        return np.concatenate(parts)


def _keys(codes: Codes) -> list[bytes]:
    """Each row as bytes: ``tolist`` makes them all at once, many times faster than one after the other."""
    rows = np.ascontiguousarray(codes, dtype=np.int16)
    keys: list[bytes] = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel().tolist()  # type: ignore[assignment]
    return keys
