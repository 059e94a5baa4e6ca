"""Random numbers without a state: each is drawn from the seed of the study, the trial and the name of the choice.

A run that was killed at any moment so draws what it would have drawn, and a choice that is stored already shifts the
random numbers of no other.
"""

from __future__ import annotations

import hashlib

__all__ = ["seed_for"]


def seed_for(seed: int, number: int, name: str) -> int:
    """The seed of one draw.

    Args:
        seed: The seed of the study.
        number: The trial.
        name: What is drawn.

    Returns:
        A number from 1 to 2**31 - 1; some libraries take 0 for no seed.
    """
    digest = hashlib.sha256(f"{seed}\0{number}\0{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % (2**31 - 1) + 1
