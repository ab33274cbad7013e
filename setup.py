"""Lists the extension modules; everything else is in pyproject.toml.

Every ``.pyx`` file under ``rserpool/_fast`` is one extension. If the header of a C library is missing, the modules that
need it are skipped with a message, and the package works without that transport.

RSERPOOL_DEBUG=1 builds with assertions and without optimisation; RSERPOOL_SANITIZE=1 adds ASan and UBSan.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

FAST = Path("rserpool/_fast")
USRSCTP = FAST / "io/usrsctp"
WITHOUT_LIBRARY = {"outbox", "peers"}
"""Modules in ``io/usrsctp`` that do not need libusrsctp."""
DIRECTIVES = {"language_level": 3, "embedsignature": False, "freethreading_compatible": True}
PROCESSORS = len(os.sched_getaffinity(0))


def has_header(name: str) -> bool:
    roots = ["/usr/include", "/usr/local/include", *os.environ.get("CPATH", "").split(":")]
    return any(root and Path(root, name).exists() for root in roots)


def compile_flags() -> list[str]:
    if os.environ.get("RSERPOOL_SANITIZE"):
        return ["-g", "-O1", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    return ["-O0", "-g"] if os.environ.get("RSERPOOL_DEBUG") else ["-O2", "-g0"]


def link_flags() -> list[str]:
    return ["-fsanitize=address,undefined"] if os.environ.get("RSERPOOL_SANITIZE") else []


def extensions() -> list[Extension]:
    found = []
    for source in sorted(FAST.rglob("*.pyx")):
        libraries = []
        if source.parent == USRSCTP and source.stem not in WITHOUT_LIBRARY:
            if not has_header("usrsctp.h"):
                print(f"rserpool: {source} is skipped: usrsctp.h not found; install libusrsctp-dev", file=sys.stderr)
                continue
            libraries = ["usrsctp"]
        found.append(
            Extension(
                ".".join(source.with_suffix("").parts),
                [str(source)],
                libraries=libraries,
                extra_compile_args=compile_flags(),
                extra_link_args=link_flags(),
            )
        )
    return found


setup(
    ext_modules=cythonize(extensions(), compiler_directives=DIRECTIVES, build_dir="build/cython", nthreads=PROCESSORS),
    options={"build_ext": {"parallel": PROCESSORS}},
)
