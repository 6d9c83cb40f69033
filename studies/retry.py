"""What becomes of trials that fail: how often one is tried again, and when a run is given up."""

RETRIES = 2  # times that a trial is tried again after an exception or a lost worker
HOPELESS = 3  # failed trials before any other has ended: what is wrong is not the config
