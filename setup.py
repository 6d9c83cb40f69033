"""Compiles trainables/encoder.c for this machine's processor where there is a compiler; goes on where there is none."""

import hashlib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCE = Path("trainables/encoder.c")
# no -ffast-math: a diverged run is found by its NaN. The first way to name the own processor that the compiler knows.
FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math"]
OWN_PROCESSOR = (["-march=native"], ["-mcpu=native"], [])


class BuildEncoder(build_ext):
    """Tries each way of naming the processor; an `optional` extension that fails in all of them is left out."""

    def build_extension(self, extension: Extension) -> None:
        """Compile with the first flags that work."""
        for own in OWN_PROCESSOR:
            extension.extra_compile_args = FLAGS + own
            try:
                return super().build_extension(extension)
            except CompileError:
                if own == OWN_PROCESSOR[-1]:
                    raise
        return None


digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]  # trainables/compiled.py asks for it
encoder = Extension(
    "trainables._encoder", [str(SOURCE)], define_macros=[("ENCODER_SOURCE", f'"{digest}"')], optional=True
)
setup(ext_modules=[encoder], cmdclass={"build_ext": BuildEncoder})
