"""Small matrices are multiplied by one thread: on few cores NumPy's many wait for each other, here and in commands."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is first imported, which is below
