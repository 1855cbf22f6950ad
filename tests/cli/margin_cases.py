"""Margin models written anew from the formulas, in NumPy's long double, and problems for them on disk.

Shares no line with the product.
"""

import os

import numpy as np

LONG = np.longdouble


class Margin:
    """R(theta) = sum_i w_i/W l(y_i z_i) + l2/2 |w|^2 in long double; y is -1 or 1."""

    def __init__(self, x, y, loss, t=1.0, bias=False, l2=0.0, weights=None):
        x = np.asarray(x, LONG)
        self.u = np.concatenate([x, np.ones((len(x), 1), LONG)], 1) if bias else x
        self.d, self.y, self.loss, self.t, self.l2 = x.shape[1], np.asarray(y, LONG), loss, LONG(t), LONG(l2)
        w = np.ones(len(x), LONG) if weights is None else np.asarray(weights, LONG)
        self.w = w / w.sum()
        self.mask = np.arange(self.u.shape[1]) < self.d

    def derivatives(self, z):
        """Loss, dl/dz and d2l/dz2 of every output."""
        m = self.y * z
        if self.loss == "hinge":
            return np.maximum(0, 1 - m), np.where(m < 1, -self.y, 0), 0 * m
        shift, t = (LONG(1), self.t) if self.loss == "smooth-hinge" else (LONG(0), LONG(1))
        a = (shift - m) / t
        small = np.exp(-np.abs(a))
        share = np.where(a < 0, small, 1) / (1 + small)
        return t * (np.maximum(a, 0) + np.log1p(small)), -self.y * share, small / (1 + small) ** 2 / t

    def losses(self, theta):
        return self.derivatives(self.u @ theta)[0]

    def example_gradients(self, theta):
        return self.derivatives(self.u @ theta)[1][:, None] * self.u

    def objective(self, theta):
        return self.w @ self.losses(theta) + self.l2 / 2 * np.sum((theta * self.mask) ** 2)

    def gradient(self, theta):
        return self.w @ self.example_gradients(theta) + self.l2 * theta * self.mask

    def hessian(self, theta):
        c = self.derivatives(self.u @ theta)[2]
        return (self.u * (self.w * c)[:, None]).T @ self.u + np.diag(self.l2 * self.mask)

    def perturb(self, theta, v):
        """grad_x (v . grad_theta l_i): [n][d]"""
        _, slope, curvature = self.derivatives(self.u @ theta)
        return slope[:, None] * v[: self.d] + (curvature * (self.u @ v))[:, None] * theta[: self.d]

    def without(self, row):
        other = Margin.__new__(Margin)
        other.__dict__ = dict(self.__dict__)
        other.w = self.w.copy()
        other.w[row] = 0
        other.w = other.w / other.w.sum()
        return other

    def minimum(self):
        """Newton's method with halved steps."""
        theta = np.zeros(self.u.shape[1], LONG)
        for _ in range(400):
            g = self.gradient(theta)
            if np.sqrt(g @ g) < 1e-17:
                break
            step = np.linalg.solve(self.hessian(theta).astype(float), g.astype(float)).astype(LONG)
            length = LONG(1)
            while length > 1e-9 and self.objective(theta - length * step) > self.objective(theta) * (1 + LONG(1e-18)):
                length /= 2
            theta = theta - length * step
        return theta


class Case:
    """Files of one problem, and what names them on the command line."""

    def __init__(self, program, folder, name, loss, t=None, bias=False, l2=0.05, n=40, d=5, seed=0, weighted=False, scale=1.0):
        rng = np.random.default_rng(seed)
        self.program, self.folder, self.name = program, os.path.join(folder, name.replace(" ", "-")), name
        os.makedirs(self.folder)
        self.x = rng.standard_normal((n, d)) * scale
        self.x[rng.random((n, d)) < 0.5] = 0
        self.y = np.where(rng.random(n) < 0.5, -1, 1)
        self.tx, self.ty = rng.standard_normal((6, d)) * scale, np.where(rng.random(6) < 0.5, -1, 1)
        self.p = d + bias
        self.theta, self.vectors = rng.standard_normal(self.p) * 0.4, rng.standard_normal((3, self.p))
        self.weights = rng.uniform(0.2, 3, n) if weighted else None
        self.how = dict(loss=loss, t=t or 1.0, bias=bias)
        self.l2 = l2
        self.options = ["--model", "margin", "--loss", loss, "--l2", l2, *(["--temperature", t] if t else []),
                        *(["--bias"] if bias else []), "--device", program.device]
        for array in ("x", "tx", "theta", "vectors", "weights"):
            if getattr(self, array) is not None:
                np.save(self.path(array + ".npy"), getattr(self, array))
        np.save(self.path("y.npy"), self.y)
        np.save(self.path("ty.npy"), self.ty)
        np.save(self.path("y01.npy"), (self.y + 1) // 2)
        self.model = Margin(self.x, self.y, l2=l2, weights=self.weights, **self.how)
        self.tests = Margin(self.tx, self.ty, **self.how)

    def path(self, name):
        return os.path.join(self.folder, name)

    def data(self, params="theta.npy", y="y.npy"):
        return ["--x", self.path("x.npy"), "--y", self.path(y), *(["--params", self.path(params)] if params else []),
                *(["--weights", self.path("weights.npy")] if self.weights is not None else [])]

    def run(self, verb, *more, params="theta.npy", y="y.npy", out="out.npy"):
        done = self.program.run(verb, *self.options, *self.data(params, y), *more, "--out", self.path(out))
        return self.program.expect(done.returncode == 0, f"{self.name}: {verb}", done.stderr)

    def array(self, name="out.npy"):
        return np.load(self.path(name))

    def same(self, what, got, expected, tolerance):
        expected = np.asarray(expected, LONG)
        error = np.abs(got - expected).max() / max(np.abs(expected).max(), LONG(1e-300))
        self.program.expect(got.shape == expected.shape and error <= tolerance, f"{self.name}: {what}", f"error {error:.2e}")
