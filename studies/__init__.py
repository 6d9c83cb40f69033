"""How a study is carried out: search, retrain, evaluate, report, on the machines that there are; and going on."""

import os

# here, since Ray and its Tune read these when they are first imported, whichever module of this package does that
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # under `uv run` workers would be built anew, elsewhere
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# workers keep the memory of a step for the next one; given back, its pages are cleared anew every time (glibc, mallopt)
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**32))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**32))
os.environ.setdefault("MALLOC_TOP_PAD_", str(2**28))
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # see studies/stop.py
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "inf")  # at the end alone: nobody restores from it
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # our own record is the only one
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a diverged trial reports no metric
