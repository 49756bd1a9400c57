"""Takes turns with other programs, as Clock does in Java."""
import statistics
import sys
import time


def timed(work, seconds, fewest):
    times, begin = [], time.perf_counter()
    while len(times) < fewest or (time.perf_counter() - begin < seconds and len(times) < 5000):
        t = time.perf_counter()
        work()
        times.append((time.perf_counter() - t) * 1e3)
    return times


def of_turn(work):
    work()
    return statistics.median(timed(work, 0.5, 1))


def take(*works, facts=list):
    """Warms up; after that, for each line of input, prints the median milliseconds of each work in half a second, and facts."""
    for work in works:
        timed(work, 6.0, 5)
    print("RESULT ", flush=True)
    for _ in sys.stdin:
        print("RESULT", *[of_turn(work) for work in works], *facts(), flush=True)
