"""Measures start-up and idle memory of `teamsim up`; see benches/startup."""
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

binary, runs = sys.argv[1], int(sys.argv[2])
ports = {"workbench": 28787, "connect": 23939, "pkgmgr": 24242, "upstream": 24241}
probes = {
    "workbench": "/health-check",
    "connect": "/__ping__",
    "pkgmgr": "/pypi/latest/simple/flask/",
    "upstream": "/__sim__/v1/health",
}


def answers(name):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", ports[name], timeout=5)
        connection.request("GET", probes[name])
        return connection.getresponse().status == 200
    except OSError:
        return False


def start(folder):
    arguments = [binary, "up", "--json", "--data-dir", folder]
    for name, port in ports.items():
        arguments += [f"--{name}-port", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    waiting = list(ports)
    while waiting:
        waiting = [name for name in waiting if not answers(name)]
        if process.poll() is not None:
            sys.exit("teamsim up ended")
        if time.perf_counter() - began > 600:
            process.kill()
            sys.exit(f"no answer from {waiting}")
    took = time.perf_counter() - began
    json.loads(process.stdout.readline())
    return process, took, time.perf_counter() - began


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def resident(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


with tempfile.TemporaryDirectory() as folder:
    process, first, _ = start(folder)
    stop(process)
    times, printed, memory = [], [], []
    for _ in range(runs):
        process, took, until_printed = start(folder)
        time.sleep(1)
        times.append(took * 1000)
        printed.append(until_printed * 1000)
        memory.append(resident(process))
        stop(process)

print(f"first start, with the sync of the default catalogue: {first:.2f} s")
print(f"synced start, {runs} runs: median {statistics.median(times):.0f} ms to all four answering "
      f"(max {max(times):.0f}), {statistics.median(printed):.0f} ms to the printed table")
print(f"resident memory idle: median {statistics.median(memory):.1f} MiB (max {max(memory):.1f})")
