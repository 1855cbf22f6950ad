"""The Python side of numpy_test.cpp: writes arrays with NumPy, or checks those that clout wrote.

    numpy_interop.py write DIR    every type, version and shape, archives, and arrays that clout must refuse
    numpy_interop.py check DIR    the arrays that clout wrote: same names, with the prefix ours_
    numpy_interop.py sha256 FILE  hashlib's hash
"""
import hashlib
import pathlib
import sys

SHAPES = [(), (0,), (7,), (3, 4), (2, 1, 3, 5)]
TYPES = ["float64", "float32", "uint8", "int32", "int64"]


def element(np, dtype, shape):
    """Element i, row by row, is i * 37 mod 251, less 100 for signed types, plus 1/4 for floats."""
    i = np.arange(int(np.prod(shape, dtype=np.int64)))
    values = (i * 37 % 251).astype(np.float64)
    if dtype != "uint8":
        values -= 100
    if dtype.startswith("float"):
        values += 0.25
    return values.astype(dtype).reshape(shape)


def name(dtype, shape):
    return "_".join([dtype] + [str(n) for n in shape])


def write(np, folder):
    arrays = {name(t, s): element(np, t, s) for t in TYPES for s in SHAPES}
    for key, array in arrays.items():
        for version in [(1, 0), (2, 0), (3, 0)]:
            with open(folder / f"{key}.v{version[0]}.npy", "wb") as file:
                np.lib.format.write_array(file, array, version=version)
    np.savez(folder / "stored.npz", **arrays)
    np.savez_compressed(folder / "deflated.npz", **arrays)
    np.savez(folder / "one.npz", x=arrays["float64_3_4"])
    square = np.arange(12.0).reshape(3, 4)
    refused = {
        "fortran": np.asfortranarray(square),
        "big_endian": square.astype(">f8"),
        "bool": square > 5,
        "half": square.astype(np.float16),
        "complex": square.astype(np.complex128),
        "text": np.array(["a", "bc"]),
        "structured": np.zeros(3, dtype=[("a", "<f8"), ("b", "<i4")]),
    }
    for key, array in refused.items():
        np.save(folder / f"{key}.npy", array)
    np.save(folder / "object.npy", np.array([1, "a", None], dtype=object), allow_pickle=True)
    np.savez(folder / "object.npz", x=np.array([1, "a"], dtype=object))


def check(np, folder):
    for dtype in TYPES:
        for shape in SHAPES:
            found = np.load(folder / f"ours_{name(dtype, shape)}.npy", allow_pickle=False)
            wanted = element(np, dtype, shape)
            assert found.dtype == wanted.dtype and found.shape == wanted.shape, (found.dtype, found.shape, wanted.shape)
            assert found.tobytes() == wanted.tobytes(), (dtype, shape)
            assert found.flags.c_contiguous


def main():
    command, path = sys.argv[1], pathlib.Path(sys.argv[2])
    if command == "sha256":
        print(hashlib.sha256(path.read_bytes()).hexdigest())
        return
    import numpy
    {"write": write, "check": check}[command](numpy, path)


if __name__ == "__main__":
    main()
