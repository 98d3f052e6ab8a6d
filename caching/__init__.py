import os

# Before anything imports numpy: a pool of BLAS threads costs memory, and its busy waiting the time of the event loop.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
