"""Does the conclusion hold: which system is first, by how much, and whether a single topic decides it."""

from dataclasses import dataclass

from core.evaluation.measures import mean
from core.evaluation.significance import Values, same_topics

SAME = 1e-9
"""Means that differ by less are equal: what is left is the order of the additions."""


@dataclass(frozen=True)
class Winner:
    """The system with the highest mean (several where they are equal) and its lead over the next one."""

    systems: tuple[str, ...]
    lead: float
    second: str
    """"" where there is no other."""


def winner(values: Values) -> Winner:
    """Return the system with the highest mean over topics.

    Raises:
        UserError: the systems were not evaluated on the same topics, or on fewer than two.
    """
    same_topics(values)
    means = {system: mean(dict(by_topic)) for system, by_topic in values.items()}
    highest = max(means.values())
    first = tuple(system for system, value in means.items() if value > highest - SAME)
    others = {system: value for system, value in means.items() if system not in first}
    if len(first) > 1 or not others:
        return Winner(first, 0.0, "")
    second = max(others, key=others.__getitem__)
    return Winner(first, highest - others[second], second)


def leave_one_out(values: Values) -> dict[str, Winner]:
    """Return, for every topic, the winner over all other topics.

    Raises:
        UserError: the systems were not evaluated on the same topics, or on fewer than three.
    """
    return {
        topic: winner({system: {t: v for t, v in by.items() if t != topic} for system, by in values.items()})
        for topic in same_topics(values)
    }
