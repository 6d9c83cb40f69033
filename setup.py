"""Compiles trainables/encoder.c for this machine's processor where there is a compiler; goes on where there is none."""

import hashlib
import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCE = Path("trainables/encoder.c")
FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math"]  # not -ffast-math: a diverged run is found by its NaN
# ways to name the own processor, of which a compiler knows one; SIAMESE_MARCH=x86-64-v3 builds for others (an image)
march = os.environ.get("SIAMESE_MARCH")
PROCESSOR = [[f"-march={march}"]] if march else [["-march=native"], ["-mcpu=native"], []]


class BuildEncoder(build_ext):
    """Tries each way of naming the processor; an `optional` extension that fails in all of them is left out."""

    def build_extension(self, extension: Extension) -> None:
        """Compile with the first flags that work."""
        for processor in PROCESSOR:
            extension.extra_compile_args = FLAGS + processor
            try:
                return super().build_extension(extension)
            except CompileError:
                if processor == PROCESSOR[-1]:
                    raise
        return None


digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]  # trainables/encoder_path.py asks for it
encoder = Extension(
    "trainables._encoder", [str(SOURCE)], define_macros=[("ENCODER_SOURCE", f'"{digest}"')], optional=True
)
setup(ext_modules=[encoder], cmdclass={"build_ext": BuildEncoder})
