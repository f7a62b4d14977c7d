"""Make `.tools/`, a small environment that holds only uv, with nothing but Python's standard library.

Run by the Makefile with whatever `python3` is there; every failure is one plain sentence.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

UV_VERSION = "0.13.9"
TOOLS = Path(__file__).resolve().parent.parent / ".tools"


def fail(sentence: str) -> None:
    sys.exit(f"homestretch: {sentence}")


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - the one file that an older Python may run
        fail(
            f"Python 3.11 or newer is needed, and {sys.executable} is {sys.version.split()[0]}; "
            "name another with `make PYTHON=/path/to/python3 ...`."
        )
    try:
        import ensurepip  # noqa: F401, PLC0415 - only to see whether it is there
        import venv  # noqa: PLC0415
    except ImportError:
        fail(
            f"This Python ({sys.executable}) comes without the `venv` module; on Debian or Ubuntu "
            "install it with `apt-get install python3-venv`, then try again."
        )
    shutil.rmtree(TOOLS, ignore_errors=True)
    venv.create(TOOLS, with_pip=True)
    scripts = Path(sysconfig.get_path("scripts", "venv", {"base": str(TOOLS), "platbase": str(TOOLS)}))
    python = scripts / "python"
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        f"uv=={UV_VERSION}",
    ]
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 - fixed arguments
        fail("uv could not be installed from the package index; is there a network connection?")
    (TOOLS / "python").write_text(sys.executable + "\n")
    (TOOLS / ".ready").touch()


main()
