"""How long a piece of work takes, whatever ran before it in the same process."""

import gc
import time


def seconds_of(work):
    """Processor time, the shortest of three, other tests' objects out of the collector's sight."""
    gc.collect()
    gc.freeze()
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    gc.unfreeze()
    return min(times)
