"""Whether a result may be compared: NumPy in double, sharing no code with clout or with any peer.

Every check takes a Finding and gives {"figure": number, "is_right": figure <= limit, "limit": number, "what": words}.
"""

import dataclasses

import numpy as np

PIXELS, CLASSES, L2 = 784, 10, 0.01
# Half of the digits: another function (a forgotten regulariser, a factor) differs by far more, rounding by far less.
HALF_OF_DIGITS = {"single": float(np.sqrt(np.finfo(np.float32).eps)), "double": float(np.sqrt(np.finfo(np.float64).eps))}
SAMPLE = 64  # right-hand sides of a thousand whose residuals are recomputed


class Softmax:
    """Softmax regression on the folder's data at its minimum."""

    def __init__(self, folder):
        self.x = np.fromfile(folder / "x.uint8", np.uint8).reshape(-1, PIXELS) / 255.0
        self.y = np.fromfile(folder / "y.int32", np.int32)
        self.minimum = np.fromfile(folder / "minimum.float64")
        self.p = self.probabilities(self.minimum)

    def probabilities(self, theta):
        z = self.x @ theta.reshape(CLASSES, PIXELS).T
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def gradient(self, theta, without=None):
        """∇ of the mean over all examples but one, regulariser included."""
        r = self.probabilities(theta)
        r[np.arange(len(r)), self.y] -= 1
        left = len(r)
        if without is not None:
            r[without], left = 0, left - 1
        return (r.T @ self.x).reshape(-1) / left + L2 * theta

    def product(self, vectors):
        k = len(vectors)
        z = (self.x @ vectors.reshape(-1, PIXELS).T).reshape(-1, k, CLASSES)
        p = self.p[:, None, :]
        s = p * (z - (p * z).sum(2, keepdims=True))
        return (s.reshape(len(s), -1).T @ self.x).reshape(k, -1) / len(s) + L2 * vectors


@dataclasses.dataclass
class Finding:
    """A result on trial."""
    row: object        # work_list.Row
    name: str          # whose it is
    share: float       # of the work that was done
    result: np.ndarray
    reference: object  # array, or None where the check has none
    softmax: object
    folder: object

    def tolerance(self):
        return float(self.row.work.split("-", 1)[1])


def difference(result, reference, share=1.0):
    """‖a − b‖/‖b‖; what is a sample of the work is compared with its part."""
    a, b = np.ravel(result), np.ravel(reference)
    if len(a) > len(b) or len(a) < share * len(b) * (1 - 1e-9) or not np.isfinite(a).all():
        return float("inf")
    return float(np.linalg.norm(a - b[: len(a)]) / np.linalg.norm(b[: len(a)]))


def judged(figure, limit, what):
    return {"figure": figure, "is_right": figure <= limit, "limit": limit, "what": what}


def same_numbers(f):
    return judged(difference(f.result, f.reference, f.share), HALF_OF_DIGITS[f.row.precision], "difference from clout in double")


def same_up_to_means(f):
    """Scores [tests][n]: clout's hold the regulariser's part, the same for all training points."""
    width = len(f.softmax.y)
    if len(f.result) % width:
        return judged(float("inf"), 0, f"{len(f.result)} numbers; expected rows of {width}")
    result, reference = (a.reshape(-1, width) - a.reshape(-1, width).mean(1, keepdims=True) for a in (f.result, f.reference))
    # A residual of tau moves a solution by at most tau times the condition, some 230 here.
    return judged(difference(result, reference, f.share), 230 * f.tolerance(), "difference from clout to 1e-10")


def true_residuals(f):
    v = np.fromfile(f.folder / "tests.float64").reshape(-1, PIXELS * CLASSES)[: f.row.k]
    s = np.reshape(f.result, (-1, v.shape[1]))
    if len(s) < f.share * len(v):
        return judged(float("inf"), 0, f"{len(s)} solutions; expected {len(v)}")
    places = np.unique(np.linspace(0, len(s) - 1, min(SAMPLE, len(s))).astype(int))
    worst = 0.0
    for some in np.array_split(places, -(-len(places) // 32)):
        left = np.linalg.norm(f.softmax.product(s[some]) - v[some], axis=1) / np.linalg.norm(v[some], axis=1)
        worst = max(worst, float(left.max())) if np.isfinite(left).all() else float("inf")
    return judged(worst, f.tolerance(), "largest true relative residual")


# What a fit reaches is shown: a peer that stalls above the norm asked for is late, not wrong, up to here.
MOST_GRADIENT_NORM = 1e-3


def gradient_norm(f):
    return judged(float(np.linalg.norm(f.softmax.gradient(f.result))), MOST_GRADIENT_NORM, "gradient norm reached")


def removed_gradient_norms(f):
    if f.name == "program":  # gives no models away: the norms that it certifies itself
        return judged(float(f.result.max()), MOST_GRADIENT_NORM, "largest gradient norm reached, by its own word")
    removed = np.fromfile(f.folder / "removed.int64", np.int64)
    models = f.result.reshape(-1, PIXELS * CLASSES)
    norms = [np.linalg.norm(f.softmax.gradient(theta, int(i))) for theta, i in zip(models, removed)]
    return judged(float(max(norms)), MOST_GRADIENT_NORM, "largest gradient norm reached")
