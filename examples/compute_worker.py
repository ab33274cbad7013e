"""A worker in a pool that prefers the least loaded element: python compute_worker.py [REGISTRAR...].

A request is a number; the answer is the number of primes below it. It uses threads, not asyncio.
"""

import sys
import threading

from rserpool.blocking import PoolElement, ServiceSession, serve
from rserpool.client import Data
from rserpool.messages import Policy, PolicyType

THREADS = 4
LEAST_USED = Policy(policy_type=PolicyType.LEAST_USED)
worker = PoolElement("ComputePool", registrars=sys.argv[1:], policy=LEAST_USED, load=0.0)
lock = threading.Lock()
jobs = 0


def count_jobs(change: int) -> None:
    global jobs
    with lock:
        jobs += change
        worker.load = min(1.0, jobs / THREADS)


def work(session: ServiceSession) -> None:
    for item in session:
        if isinstance(item, Data):
            count_jobs(+1)
            try:
                primes = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, int(item)))
            finally:
                count_jobs(-1)
            session.send(str(primes).encode())


serve(worker, work, threads=THREADS)
