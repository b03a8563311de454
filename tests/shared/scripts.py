"""What the scripts of several test folders need: a built gateway, and packages that are installed once."""

import hashlib
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def gateway_binary():
    """The path of a built gateway: that of PASSERELLE_BIN, or else one that cargo builds now."""
    # The gateway would read this variable as one of its settings.
    path = os.environ.pop("PASSERELLE_BIN", None)
    if path:
        return Path(path).resolve()
    subprocess.run(["cargo", "build", "--quiet", "--locked"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "passerelle"


def installed(folder, locks, install):
    """Installs into a folder, unless it already has the packages of these lock files."""
    state, stamp = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest(), folder / "installed"
    if stamp.is_file() and stamp.read_text() == state:
        return
    print(f"installing {', '.join(lock.name for lock in locks)}", flush=True)
    install()
    stamp.write_text(state)
