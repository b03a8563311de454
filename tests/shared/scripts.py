"""What the scripts of several test folders need: a built gateway, its addresses, and packages that are installed once."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
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


def address(process, log, message="serving on "):
    """Waits until the log of a gateway says that it listens: for clients, or with another message for the operator."""
    for _ in range(400):
        for line in log.read_text().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                if entry["message"].startswith(message):
                    return entry["server.address"]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    sys.exit(f"the gateway did not start:\n{log.read_text()}")
