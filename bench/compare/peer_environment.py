"""The peers' own Python: virtual environments outside git, made from the package index by pip.

A package that cannot be installed is no error: its rows say so.
"""

import json
import subprocess

# In this order: what needs less comes first. pyDVL asks for an older NumPy than JAX does, so it has an environment of its
# own that finds everything else in the first one.
PACKAGES = {"torch_peer": ("torch",), "torch_by_hand": ("torch",), "jax_peer": ("jax",), "scikit_peer": ("scikit-learn",), "captum_peer": ("captum",),
            "curvlinops_peer": ("curvlinops-for-pytorch",), "dattri_peer": ("dattri",), "torch_influence_peer": ("torch-influence",),
            "pydvl_peer": ("pydvl[influence]", "distributed")}
APART = ("pydvl_peer",)


def run(command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


def last_line(text):
    """The line of pip's that says why."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no word of why"])[-1].removeprefix("ERROR: ")


def make(python, folder):
    """{peer: {"python": path} or {"failure": why}}. What is there already is taken as it is."""
    done = folder / "peers.json"
    if done.exists():
        return json.loads(done.read_text())
    main, apart = folder / "peers", folder / "peers-apart"
    for place in (main, apart):
        made = run([python, "-m", "venv", place])
        if made.returncode != 0:
            return {peer: {"failure": last_line(made.stdout + made.stderr)} for peer in PACKAGES}
    for library in apart.glob("lib/python*/site-packages"):
        packages = main / library.relative_to(apart)
        (library / "peers.pth").write_text(f"{packages}\n")
    found = {}
    for peer, names in PACKAGES.items():
        place = apart if peer in APART else main
        print(f"installing {' '.join(names)}", flush=True)
        installed = run([place / "bin/pip", "install", "--no-input", "--quiet", *names])
        found[peer] = ({"python": str(place / "bin/python")} if installed.returncode == 0 else
                       {"failure": f"not installed: {last_line(installed.stderr)}"})
    done.write_text(json.dumps(found, indent=2))
    return found
