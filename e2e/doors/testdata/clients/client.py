# Pushes with Python's prometheus_client: client.py URL JOB, and lines on standard input, a word, a tab and an instance. What comes of
# each is a line on standard output.
import sys

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client import delete_from_gateway, push_to_gateway, pushadd_to_gateway

url, job = sys.argv[1:]

backup = CollectorRegistry()
Counter("backup_rows_total", "Rows.", registry=backup).inc(42)
Gauge("backup_size_bytes", "Size.", registry=backup).set(1.5)
seconds = Histogram("backup_seconds", "Time.", buckets=(1, 10), registry=backup)
seconds.observe(0.5)
seconds.observe(5)
wait = Summary("backup_wait_seconds", "Waiting.", registry=backup)
wait.observe(2)
wait.observe(4)

more = CollectorRegistry()
Gauge("backup_verified", "Whether it was read again.", registry=more).set(7)

for line in sys.stdin:
    word, instance = line.rstrip("\n").split("\t")
    group = {"instance": instance}
    try:
        if word == "push":
            push_to_gateway(url, job, backup, group)
        elif word == "add":
            pushadd_to_gateway(url, job, more, group)
        elif word == "delete":
            delete_from_gateway(url, job, group)
        print("ok", flush=True)
    except Exception as error:
        print("failed:", repr(error), flush=True)
