"""What all benchmarks share: what a program costs, rounds in which all take turns, figures with their spread, and one JSON
file a benchmark."""
import glob
import json
import os
import pty
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import harness  # noqa: E402
from targets import TARGETS  # noqa: E402

FOLDER = os.path.join(harness.BUILD, "bench")
CORES = os.cpu_count()


class Wrong(Exception):
	"""A run did less, or something else, than what is measured."""


def check(condition, what):
	if not condition:
		raise Wrong(what)


# ---- what a program costs ----

class Terminal:
	"""What a program may draw its progress on; nobody looks at it."""

	def __enter__(self):
		master, self.fd = pty.openpty()
		self.reader = threading.Thread(target=self.drain, args=(master,), daemon=True)
		self.reader.start()
		return self.fd

	@staticmethod
	def drain(fd):
		try:
			while os.read(fd, 65536):
				pass
		except OSError:
			pass  # its other side is closed
		os.close(fd)

	def __exit__(self, *exc):
		os.close(self.fd)


# A process that Python starts counts Python's memory before its own program as its peak: this one, in between, is small.
PEAK_FILE = os.path.join(FOLDER, "peak")
PEAK = ["/usr/bin/time", "-f", "%M", "-o", PEAK_FILE]


def peak():
	"""MiB, of the program that was started by PEAK and is over."""
	with open(PEAK_FILE) as f:
		return int(f.read().split()[-1]) / 1024


class Cost:
	"""Of a process and those it waited for: seconds of wall time, CPU seconds, peak MiB. errors: where its standard error goes."""

	def __init__(self, argv, cwd, stdin=None, env=None, errors=subprocess.STDOUT, out=None, limit=1800):
		out = out or os.path.join(FOLDER, "last.out")
		self.began = time.time()
		start = time.monotonic()
		with open(out, "wb") as f, open(stdin or os.devnull, "rb") as take:
			child = subprocess.Popen(PEAK + argv, cwd=cwd, stdout=f, stderr=errors, env=env, stdin=take)
		killer = threading.Timer(limit, lambda: [os.kill(p, signal.SIGKILL) for p in tree(child.pid)])
		killer.start()
		_, status, usage = os.wait4(child.pid, 0)
		self.seconds, self.cpu, self.rss = time.monotonic() - start, usage.ru_utime + usage.ru_stime, peak()
		killer.cancel()
		child.returncode = os.waitstatus_to_exitcode(status)
		if child.returncode != 0:
			raise RuntimeError(f"{' '.join(argv)}: exit {child.returncode}\n" + open(out, errors="replace").read()[-3000:])


def tree(pid):
	"""That process and all below it."""
	found, left = [], [pid]
	while left:
		at = left.pop()
		found.append(at)
		try:
			with open(f"/proc/{at}/task/{at}/children") as f:
				left += map(int, f.read().split())
		except OSError:
			pass
	return found


def tree_cpu(pid):
	"""CPU seconds of a process, those below it, and those they waited for."""
	total = 0
	for at in tree(pid):
		try:
			with open(f"/proc/{at}/stat") as f:
				own, own_system, waited, waited_system = (int(n) / os.sysconf("SC_CLK_TCK") for n in f.read().rsplit(")", 1)[1].split()[11:15])
			exact = 0  # of threads that live: many processes that did little round down to nothing
			for thread in glob.glob(f"/proc/{at}/task/*/schedstat"):
				with open(thread) as f:
					exact += int(f.read().split()[0]) / 1e9
			total += max(own + own_system, exact) + waited + waited_system
		except OSError:
			pass
	return total


def tree_pss(pid):
	"""MiB that a process and those below it take, what they share counted once."""
	kb = 0
	for at in tree(pid):
		try:
			with open(f"/proc/{at}/smaps_rollup") as f:
				kb += next((int(line.split()[1]) for line in f if line.startswith("Pss:")), 0)
		except OSError:
			pass
	return kb / 1024


def machine_cpu():
	with open("/proc/stat") as f:
		fields = list(map(int, f.readline().split()[1:8]))  # up to softirq: what is stolen is no program's
	return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def own_cpu():
	usage = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
	return sum(u.ru_utime + u.ru_stime for u in usage)


# ---- one benchmark ----

def ratios(a, b, key="rate"):
	"""One for each round."""
	return [x[key] / y[key] for x, y in zip(a.samples, b.samples)]


class Series:
	"""What one program did in each round: dicts of `rate` (a second), `cpu_us` (for each), `rss` (peak MiB), `sink_us` …"""

	def __init__(self, name):
		self.name, self.samples = name, []

	def add(self, count, seconds, cpu=None, rss=None, **more):
		self.samples.append({"rate": count / seconds, "seconds": seconds, "cpu_us": None if cpu is None else cpu * 1e6 / count, "rss": rss, **more})
		return self.samples[-1]

	def of(self, key):
		return [s[key] for s in self.samples if s.get(key) is not None]

	def median(self, key="rate"):
		return statistics.median(self.of(key))


class Bench:
	"""Given to each benchmark's function. `quick`: smaller counts, the same checks."""

	def __init__(self, name, quick, rounds=None):
		self.name, self.quick, self.title, self.asked_rounds = name, quick, name, rounds
		self.series, self.targets, self.notes, self.texts, self.data, self.missing = [], {}, [], [], {}, []
		self.others_cpu, self.begun, self.at = -machine_cpu() + own_cpu(), time.monotonic(), time.time()

	def count(self, full, quick):
		return quick if self.quick else full

	def add(self, name):
		self.series.append(Series(name))
		return self.series[-1]

	def rounds(self, full, quick, *steps):
		"""All take turns; every other round backwards, so that none is always the one after a certain other."""
		for i in range(self.asked_rounds or self.count(full, quick)):
			for step in steps if i % 2 == 0 else reversed(steps):
				step()

	def target(self, key, values):
		values = values if isinstance(values, list) else [values]
		assert any(t.key == key for t in TARGETS), key
		self.targets[key] = {"value": statistics.median(values), "least": min(values), "most": max(values)}

	def note(self, text):
		self.notes.append(text)

	def without(self, what, why):
		if what in self.missing:
			return
		self.missing.append(what)
		self.notes.append(f"**Without {what}**: {why}.")
		print(f"WITHOUT {what}: {why}", flush=True)

	def not_ours(self, seconds):
		"""CPU of peers that nobody waits for (they end with their namespace)."""
		self.others_cpu -= seconds

	def save(self, error=None):
		seconds = time.monotonic() - self.begun
		others = max(0, self.others_cpu + machine_cpu() - own_cpu())
		result = {"bench": self.name, "title": self.title, "quick": self.quick, "seconds": round(seconds, 1), "error": error,
			"date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.at)), "commit": commit(), "machine": machine(),
			"others_percent": round(100 * others / seconds / CORES, 1), "targets": self.targets,
			"series": [{"name": s.name, "samples": s.samples, "median": {k: s.median(k) for k in numbers(s)}} for s in self.series if s.samples],
			"notes": self.notes, "texts": self.texts, "data": self.data}
		path = os.path.join(results(self.quick), self.name + ".json")
		os.makedirs(os.path.dirname(path), exist_ok=True)
		with open(path + ".tmp", "w") as f:
			json.dump(result, f, indent=1)
		os.rename(path + ".tmp", path)
		return result


def numbers(series):
	return sorted({k for s in series.samples for k, v in s.items() if isinstance(v, (int, float))})


def results(quick):
	return os.path.join(FOLDER, "quick" if quick else "", "results")


def commit():
	run = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=harness.TOP, capture_output=True, text=True)
	return run.stdout.strip() or "unknown"


def machine():
	with open("/proc/cpuinfo") as f:
		model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), os.uname().machine)
	openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout.split()[:2]
	return f"{CORES} × {model}, Linux {os.uname().release}, {' '.join(openssl)}"
