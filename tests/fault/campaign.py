#!/usr/bin/env python3
"""The promise of docs/DESIGN.md against everything that can be made to go wrong at a chosen place, in a small campaign
(tests/fault/small.py): an import, a suppression, sending, what comes back. docs/RELIABILITY.md says what is tried and found.

usage: tests/fault/campaign.py [--short] [--jobs N] [--seed N] [--every N] [--step STEP…] [KIND…]
KINDs: points    SIGKILL, SIGTERM, SIGINT at each named point, at each time it is passed
       stop      SIGSTOP at each named point; another process takes over when the lease has run out; then SIGCONT
       random    SIGKILL at random moments, four in a row
       memory    each allocation of the program refused, once, and all from there on; SQLite's own by sample
       disk      each call of SQLite to its files fails: I/O error, disk full, half written; once, and from there on
       power     a power cut at each sync: of what was not synced, nothing, all or random sectors stay
The short form takes some of each, chosen by the seed."""
import argparse
import collections
import concurrent.futures
import json
import os
import queue
import random
import shutil
import signal
import sys
import threading
import time

import power
import small
from small import Bench, Broken, SEND, need

STEPS = ["init", "import", "import-again", "suppress", "send", "receive"]
WAYS = {"relay": dict(), "strict": dict(ahead=1, options=()), "direct": dict(kind="direct")}


class Results:
	def __init__(self):
		self.lock, self.rows = threading.Lock(), collections.OrderedDict()

	def add(self, kind, way, step, faults, killed, doubts, repeats, failure):
		with self.lock:
			row = self.rows.setdefault((kind, way, step), dict(trials=0, met=0, killed=0, doubts=0, repeats=0, failed=0))
			row["trials"] += 1
			row["met"] += faults
			row["killed"] += killed
			row["doubts"] += doubts
			row["repeats"] += repeats
			row["failed"] += failure is not None
			if failure is not None:
				print(f"FAILED {kind} {way} {step}: {failure}", flush=True)


class Runner:
	"""Trials on several benches at a time: each belongs to one thread."""

	def __init__(self, args):
		self.args, self.results, self.random = args, Results(), random.Random(args.seed)
		self.benches, self.counts, self.trials = {}, {}, []

	def __enter__(self):
		return self

	def __exit__(self, *exc):
		for q in self.benches.values():
			while not q.empty():
				q.get().__exit__(None, None, None)

	def bench(self, way):
		"""As many as there are jobs."""
		if way not in self.benches:
			self.benches[way] = queue.Queue()
			for job in range(self.args.jobs):
				folder = os.path.join(small.harness.BUILD, "fault", f"{self.args.name}-{way}-{job}")
				self.benches[way].put(Bench(folder, **WAYS[way]).__enter__())
		return self.benches[way]

	def counted(self, way, step):
		"""What a step without faults passes and asks for."""
		if (way, step) not in self.counts:
			bench = self.bench(way).get()
			try:
				w, _ = bench.attempt(step)
				self.counts[way, step] = w.report()
			finally:
				self.benches[way].put(bench)
		return self.counts[way, step]

	def add(self, kind, way, step, what, trial):
		self.trials.append((kind, way, step, what, trial))

	def run_one(self, kind, way, step, what, trial):
		bench = self.benches[way].get()
		doubts = repeats = met = killed = 0
		failure = None
		try:
			met, killed, doubts, repeats = trial(bench)
		except Exception as e:
			failure = f"{what}: {e}"
		finally:
			self.benches[way].put(bench)
		self.results.add(kind, way, step, met, killed, doubts, repeats, failure)

	def run(self):
		trials = self.trials
		if self.args.every > 1:
			self.random.shuffle(trials)
			seen = collections.Counter()
			chosen = []
			for t in trials:
				group = (t[0], t[1], t[2], t[3].split()[0])
				if seen[group] % self.args.every == 0:
					chosen.append(t)
				seen[group] += 1
			trials = chosen
		print(f"{len(trials)} trials, seed {self.args.seed}", flush=True)
		done, start = 0, time.monotonic()
		with concurrent.futures.ThreadPoolExecutor(self.args.jobs) as pool:
			for f in concurrent.futures.as_completed([pool.submit(self.run_one, *t) for t in trials]):
				f.result()
				done += 1
				if done % 200 == 0:
					print(f"  {done} of {len(trials)}, {time.monotonic() - start:.0f} s", flush=True)
		return self.tell(time.monotonic() - start)

	def tell(self, seconds):
		rows = [dict(zip(("kind", "way", "step"), key), **row) for key, row in self.results.rows.items()]
		with open(os.path.join(small.harness.BUILD, "fault", f"{self.args.name}.json"), "w") as f:
			json.dump({"seed": self.args.seed, "seconds": round(seconds), "rows": rows}, f, indent=1)
		print(f"{'kind':8} {'way':7} {'step':13} {'trials':>7} {'met':>6} {'killed':>7} {'doubts':>7} {'repeats':>8} {'failed':>7}")
		for r in rows:
			print(f"{r['kind']:8} {r['way']:7} {r['step']:13} {r['trials']:7} {r['met']:6} {r['killed']:7} {r['doubts']:7} {r['repeats']:8} {r['failed']:7}")
		met = collections.Counter()
		for r in rows:
			met[r["kind"]] += r["met"]
		idle = [kind for kind, n in met.items() if n == 0]
		if idle:
			print(f"FAILED {' '.join(idle)}: no fault took effect in any trial", flush=True)
		failed = sum(r["failed"] for r in rows) + len(idle)
		print(f"{self.args.name}: {sum(r['trials'] - r['failed'] for r in rows)} passed, {failed} failed")
		return failed


def plain(step, **faults):
	"""A trial with these faults. Returns how many faults were met, processes killed, deliveries in doubt, repeats."""
	def trial(bench):
		w, (first, doubts, repeats) = bench.attempt(step, **faults)
		killed = first.status < 0
		met = killed or "refused" in w.trace() or (first.status != 0 and "FAULT_POINT" in map(str.upper, faults))
		return int(met), int(killed), doubts, repeats
	return trial


# ---- kinds ----

def points(run):
	for way in run.args.way:
		for step in run.args.step:
			if step != "send" and way != "relay":
				continue
			for name, n in run.counted(way, step).items():
				if not name.startswith("point "):
					continue
				for k in range(1, n + 1):
					for action in ("kill", "term", "int") if step == "send" else ("kill", "term"):
						run.add("points", way, step, f"{action} {name[6:]} {k}", plain(step, fault_point=f"{name[6:]}:{k}:{action}"))


def stopped(bench, point, k):
	"""Stops there; a process whose clock is past the lease takes over as far as it can; then the first goes on. One that has not
	come there so often is followed by one that is stopped after half as many times."""
	w = bench.fresh("send")
	clock = small.Clock(w.path("clock"))
	w.faults = {"FAULT_POINT": f"{point}:{k}:stop"}
	first = w.start(*SEND)
	w.faults = {}
	until = time.monotonic() + 300
	while first.poll() is None and not small.is_stopped(first.pid) and time.monotonic() < until:
		time.sleep(0.01)
	met = first.poll() is None
	if not met and k > 1:
		return stopped(bench, point, k // 2)
	clock.set(65000)
	w.faults = {"FAULT_CLOCK": clock.path}
	second = w.start(*SEND)
	try:
		# In a transaction the first one keeps SQLite's lock: the second one waits for it until it goes on.
		second.wait(1.5)
	except Exception:
		pass
	if met:
		first.send_signal(signal.SIGCONT)
	statuses = [first.wait(300), second.wait(300)]
	need(all(s in small.STATUSES for s in statuses), f"they ended with {statuses}\n" + "".join(open(c.out + ".err").read() for c in (first, second)))
	w.faults = {}
	_, doubts, repeats = bench.go_on(w, "stopped")
	return int(met), 0, doubts, repeats


def stop(run):
	for way in run.args.way:
		for name, n in run.counted(way, "send").items():
			if name.startswith("point "):
				for k in sorted({1, (n + 1) // 2, n}):
					run.add("stop", way, "send", f"stop {name[6:]} {k}", lambda bench, p=name[6:], k=k: stopped(bench, p, k))


def random_kills(bench, moments, step):
	"""One after the other into the same folder. Where all was done before the first, again with moments half as long."""
	argv = {"send": SEND, "import": ["import", "news", "news.csv"]}[step]
	killed, doubted, share = 0, set(), 1
	while True:
		w = bench.fresh(step)
		child = w.start(*argv)
		time.sleep(moments[0] * share)
		if child.poll() is None:
			break
		share /= 2
	for i, moment in enumerate(moments):
		if i > 0:
			child = w.start(*argv)
			time.sleep(moment * share)
		if child.poll() is None:
			killed += 1
			child.kill()
		child.wait()
		w.sound()
		if step == "send":
			doubted |= bench.look(w)
	if step != "send":
		bench.try_import(w)
		return killed, killed, 0, 0
	_, doubts, repeats = bench.go_on(w, "killed at random moments")
	return killed, killed, max(doubts, len(doubted)), repeats


def random_kind(run):
	for way in run.args.way:
		for step, longest, many in (("send", 0.7, 60), ("import", 0.03, 20)):
			if step in run.args.step and (step == "send" or way == "relay"):
				for i in range(many):
					moments = [run.random.uniform(0.005, longest) for _ in range(4)]
					run.add("random", way, step, f"random {i}", lambda bench, m=moments, s=step: random_kills(bench, m, s))


def memory(run):
	for step in run.args.step:
		counts = run.counted("relay", step)
		for n in range(1, counts["memory"] + counts["memory"] // 20 + 1):
			for on in ("", "+"):
				run.add("memory", "relay", step, f"memory{on} {n}", plain(step, fault_memory=f"{n}{on}"))
		most = counts["sqlite-memory"]
		for n in sorted({run.random.randint(1, most) for _ in range(150)}):
			run.add("memory", "relay", step, f"sqlite {n}", plain(step, fault_sqlite_memory=f"{n}{'+' if n % 4 == 0 else ''}"))


def disk(run):
	for step in run.args.step:
		counts = run.counted("relay", step)
		for n in range(1, counts["disk"] + 1):
			run.add("disk", "relay", step, f"io {n}", plain(step, fault_disk=f"any:{n}:io"))
			run.add("disk", "relay", step, f"io+ {n}", plain(step, fault_disk=f"any:{n}:io+"))
		for n in range(1, counts["disk-write"] + 1):
			run.add("disk", "relay", step, f"full+ {n}", plain(step, fault_disk=f"write:{n}:full+"))
			run.add("disk", "relay", step, f"short {n}", plain(step, fault_disk=f"write:{n}:short"))
		for n in range(1, counts["disk-read"] + 1):
			run.add("disk", "relay", step, f"half {n}", plain(step, fault_disk=f"read:{n}:short"))


def cut(bench, step, n, keep, seed):
	"""Power off at the n-th sync of a step, and once more while it goes on."""
	w = bench.fresh(step)
	argv = {"send": SEND, "import": ["import", "news", "news.csv"], "receive": ["receive", *(f"returned.{i}" for i in range(3))],
		"suppress": ["suppressions", "add", small.SUPPRESSED[0]]}[step]
	doubted, cuts = set(), 0
	for k in (n, 1 + seed % 9):
		first = w.broken(*argv, fault_power=k)
		if first.status == -signal.SIGKILL:
			cuts += 1
			power.lose(w.folder, keep, random.Random(seed))
		else:
			power.forget(w.folder)
		w.sound()
		if step == "send":
			doubted |= bench.look(w)
		elif first.status == 0 and step == "suppress":
			need(small.SUPPRESSED[0] in w.run("suppressions", "export").out, "lost by a power cut")
		elif first.status == 0 and step == "receive":
			bench.received(w)
	if step == "send":
		_, doubts, repeats = bench.go_on(w, first)
		return cuts, cuts, max(doubts, len(doubted)), repeats
	getattr(bench, "try_" + step)(w)
	return cuts, cuts, 0, 0


def power_kind(run):
	for step in run.args.step:
		if step not in ("send", "import", "receive", "suppress"):
			continue
		for n in range(1, run.counted("relay", step)["disk-sync"] + 1):
			for keep in power.KEEPS:
				for again in range(4 if keep == "some" else 1):
					run.add("power", "relay", step, f"{keep} {n}", lambda bench, a=(step, n, keep, run.random.randint(0, 1 << 30)): cut(bench, *a))


KINDS = {"points": points, "stop": stop, "random": random_kind, "memory": memory, "disk": disk, "power": power_kind}


def main():
	parser = argparse.ArgumentParser(usage=__doc__)
	parser.add_argument("--short", action="store_true")
	parser.add_argument("--jobs", type=int, default=4)
	parser.add_argument("--every", type=int, default=1, help="only each N-th trial of a group")
	parser.add_argument("--seed", type=int, default=int(time.time()))
	parser.add_argument("--step", action="append", choices=STEPS)
	parser.add_argument("--way", action="append", choices=list(WAYS))
	parser.add_argument("--name", default="campaign", help="of folders and of the result in build/fault")
	parser.add_argument("kinds", nargs="*", metavar="KIND")
	args = parser.parse_args()
	args.step = args.step or STEPS
	args.way = args.way or list(WAYS)
	if args.short:
		args.every = 60
	for kind in args.kinds:
		if kind not in KINDS:
			parser.error(f"no such kind: {kind}")
	small.harness.network_of_its_own()
	with Runner(args) as run:
		for way in args.way:
			run.bench(way)
		for kind in args.kinds or KINDS:
			KINDS[kind](run)
		return 1 if run.run() else 0


if __name__ == "__main__":
	sys.exit(main())
