"""What a table says of repeated times. A ratio is always the peer's time over clout's: above 1, clout is faster."""

import math


def quantile(values, share):
    """Linear between the order statistics, as numpy.quantile is by default."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def summary(seconds):
    """Of at least one time."""
    if not seconds:
        raise ValueError("no times: expected at least one")
    return {"median": quantile(seconds, 0.5), "lower_quartile": quantile(seconds, 0.25),
            "upper_quartile": quantile(seconds, 0.75), "least": min(seconds), "count": len(seconds)}


def scaled(seconds, share):
    """Times of the whole work from those of a part of it."""
    if not 0 < share <= 1:
        raise ValueError(f"share {share}: expected a part of the work, above 0 and at most 1")
    return [value / share for value in seconds]


def ratio(peer, ours):
    """Of two summaries."""
    return peer["median"] / ours["median"]


def rounds_for(seconds_a_round, is_quick):
    """How often both sides take turns: more often where that is cheap."""
    for limit, usual, quick in ((5, 9, 3), (30, 5, 2), (120, 3, 1)):
        if seconds_a_round < limit:
            return quick if is_quick else usual
    return 1
