"""Python environments for the peers, kept in the build folder."""

import subprocess
import sys

from common import ROOT, TARGET, say


def python(name):
    """The interpreter of an environment with the packages of benches/peers/NAME.txt. The next run reuses the
    environment."""
    wanted = ROOT / f"benches/peers/{name}.txt"
    home = TARGET / f"bench-{name}"
    installed = home / "installed.txt"
    if not installed.exists() or installed.read_bytes() != wanted.read_bytes():
        say(f"installing {wanted.name}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip = [home / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted]
        subprocess.run(pip, check=True)
        installed.write_bytes(wanted.read_bytes())
    return home / "bin/python"
