"""The list of extension modules; everything else is in pyproject.toml.

Every ``rserpool/_fast/*.pyx`` is one extension. A module that needs a C library is left out, aloud, where the
library's header is missing: the package then works without that transport.

RSERPOOL_DEBUG=1 builds with assertions and without optimisation; RSERPOOL_SANITIZE=1 adds ASan and UBSan.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

FAST = Path("rserpool/_fast")
USRSCTP = "usrsctp.h", "usrsctp", "libusrsctp-dev"
NEEDS = {"usrsctp": USRSCTP, "events": USRSCTP, "options": USRSCTP, "packets": USRSCTP, "stack": USRSCTP}
DIRECTIVES = {"language_level": 3, "embedsignature": False, "freethreading_compatible": True}


def has_header(name: str) -> bool:
    roots = ["/usr/include", "/usr/local/include", *os.environ.get("CPATH", "").split(":")]
    return any(root and Path(root, name).exists() for root in roots)


def compile_flags() -> list[str]:
    flags = ["-O0", "-g"] if os.environ.get("RSERPOOL_DEBUG") else ["-O2"]
    if os.environ.get("RSERPOOL_SANITIZE"):
        flags += ["-g", "-O1", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    return flags


def link_flags() -> list[str]:
    return ["-fsanitize=address,undefined"] if os.environ.get("RSERPOOL_SANITIZE") else []


def extensions() -> list[Extension]:
    found = []
    for source in sorted(FAST.glob("*.pyx")):
        libraries = []
        if source.stem in NEEDS:
            header, library, package = NEEDS[source.stem]
            if not has_header(header):
                print(f"rserpool: {source} is left out: {header} not found (install {package})", file=sys.stderr)
                continue
            libraries = [library]
        found.append(
            Extension(
                f"rserpool._fast.{source.stem}",
                [str(source)],
                libraries=libraries,
                extra_compile_args=compile_flags(),
                extra_link_args=link_flags(),
            )
        )
    return found


setup(ext_modules=cythonize(extensions(), compiler_directives=DIRECTIVES, build_dir="build/cython"))
