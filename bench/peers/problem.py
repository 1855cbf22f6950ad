"""The problem that both sides are timed on, as scripts/bench laid it down in a folder of raw arrays (numpy.tofile).

x.uint8 [n][784], y.int32 [n], params.float64 [p] (nine tenths of the minimum, so that no gradient vanishes),
minimum.float64 [p], vectors.float64 [32][p], tests.float64 [t][p] (gradients of test losses at the minimum),
test-x.uint8 [t][784], test-y.int32 [t].
"""

import pathlib

import numpy as np

PIXELS, CLASSES = 784, 10
L2 = {"logistic": 0.01, "convnet": 0.001}

# The network of section 4.2: output channels, kernel, stride of every convolution; tanh follows each. Then the mean over
# the pixels and a linear layer.
CONVOLUTIONS = ((8, 3, 1), (8, 3, 2), (8, 3, 1), (8, 3, 2), (8, 3, 1), (10, 1, 1))


def blocks(model):
    """Shape and place of every parameter block, in PyTorch's order: (shape, start, end, is regularised)."""
    shapes = [((CLASSES, PIXELS), True)]
    if model == "convnet":
        shapes, channels = [], 1
        for out, kernel, _ in CONVOLUTIONS:
            shapes += [((out, channels, kernel, kernel), True), ((out,), False)]
            channels = out
        shapes += [((CLASSES, channels), True), ((CLASSES,), False)]
    found, start = [], 0
    for shape, regularised in shapes:
        end = start + int(np.prod(shape))
        found.append((shape, start, end, regularised))
        start = end
    return found


class Problem:
    """Arrays in the precision asked for; x as the model sees it, bytes over 255."""

    def __init__(self, model, precision, threads, folder):
        self.model, self.threads, self.folder = model, threads, pathlib.Path(folder)
        self.dtype = np.dtype({"single": np.float32, "double": np.float64}[precision])
        self.x = self.images("x")
        self.y = self.labels("y")
        self.n, self.l2 = len(self.y), L2[model]
        self.blocks = blocks(model)
        self.p = self.blocks[-1][2]
        self.penalties = np.zeros(self.p, self.dtype)  # λ where the regulariser acts
        for _, start, end, regularised in self.blocks:
            self.penalties[start:end] = self.l2 if regularised else 0

    def images(self, name):
        bytes_ = np.fromfile(self.folder / f"{name}.uint8", np.uint8).reshape(-1, PIXELS)
        return (bytes_.astype(np.float64) / 255).astype(self.dtype)

    def labels(self, name):
        return np.fromfile(self.folder / f"{name}.int32", np.int32).astype(np.int64)

    def rows(self, name, count=None):
        """[count][p] of a file of such rows."""
        return np.fromfile(self.folder / f"{name}.float64").reshape(-1, self.p)[:count].astype(self.dtype)

    def point(self, name="params"):
        return self.rows(name)[0]
