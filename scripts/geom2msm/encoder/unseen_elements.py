"""Elements that an encoder never saw: refused by name, or, where the config says so, skipped or replaced."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int
from mdtraj.core import element as periodic_table

SKIP = "skip"
LEFT_OUT = 0


def encoded_numbers(
    atomic_numbers: Int[np.ndarray, " atom"],
    names: Sequence[str],
    *,
    known: Sequence[int],
    overrides: Mapping[str, str],
    encoder: str,
) -> Int[np.ndarray, " atom"]:
    """The atomic number under which the encoder gets each atom; 0 for atoms that are left out.

    `known` are the elements that the encoder was trained on; `overrides` is tokens.unseen_elements, from the
    symbol of an element to 'skip' or to the symbol of a known one. Elements that it knows are never changed.
    """
    number_of = {_number(symbol): _replacement(symbol, target, known, encoder) for symbol, target in overrides.items()}
    unseen = ~np.isin(atomic_numbers, list(known))
    refused = np.flatnonzero(unseen & ~np.isin(atomic_numbers, list(number_of)))
    if len(refused):
        symbols = sorted({periodic_table.Element.getByAtomicNumber(int(n)).symbol for n in atomic_numbers[refused]})
        some = ", ".join(names[atom] for atom in refused[:5]) + (", …" if len(refused) > 5 else "")
        raise ValueError(
            f"encoder {encoder} was not trained on {', '.join(symbols)}, the elements of {len(refused)} atoms "
            f"({some}); leave them out by trajectories.selection, set tokens.unseen_elements to skip them or to treat "
            "them as another element, or choose another encoder"
        )
    changed = [number_of.get(number, number) for number in atomic_numbers.tolist()]
    return np.where(unseen, np.array(changed, dtype=np.int64), atomic_numbers)


def check_tokens_keep_atoms(
    encoded: Int[np.ndarray, " atom"], token_of_atom: Int[np.ndarray, " atom"], token_names: Sequence[str]
) -> None:
    """Refuse tokens all of whose atoms are skipped; they would be zero in every frame."""
    kept = np.unique(token_of_atom[encoded != LEFT_OUT])
    empty = [name for token, name in enumerate(token_names) if token not in set(kept.tolist())]
    if empty:
        raise ValueError(
            f"tokens.unseen_elements skips all atoms of {len(empty)} token(s) ({', '.join(empty[:5])}); "
            "exclude them from trajectories.selection, or treat their element as another one"
        )


def _number(symbol: str) -> int:
    try:
        return periodic_table.get_by_symbol(symbol).atomic_number
    except KeyError:
        raise ValueError(f"tokens.unseen_elements: {symbol!r} is no element's symbol") from None


def _replacement(symbol: str, target: str, known: Sequence[int], encoder: str) -> int:
    if target == SKIP:
        return LEFT_OUT
    if _number(target) not in known:
        raise ValueError(
            f"tokens.unseen_elements: {symbol} is to be treated as {target}, which encoder {encoder} never saw either"
        )
    return _number(target)
