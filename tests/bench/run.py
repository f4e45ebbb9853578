#!/usr/bin/env python3
"""Measures Postrider beside other programs and writes report.md and report.json into build/bench.
usage: tests/bench/run.py [--quick] [--rounds N] [--list | --prepare | --report | --page] [NAME...]

Without names: all but the long ones. Each benchmark keeps its result in a file of its own, and the report is made of all that
are there, each with its date and commit: so they can be run one by one, and again.
  --list     their names            --quick    small counts, the same checks, a report of its own in build/bench/quick
  --prepare  makes what they need (databases, peers), measures nothing
  --report   only makes the report again         --page     puts the figures into docs/PERFORMANCE.md"""
import argparse
import fcntl
import os
import signal
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import measure  # noqa: E402  (first: it adds tests/e2e to the path)
import bounces_bench  # noqa: E402
import busy  # noqa: E402
import dkim_referees  # noqa: E402
import faraway  # noqa: E402
import growth  # noqa: E402
import others  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import sending  # noqa: E402
import shaping  # noqa: E402
import sites  # noqa: E402
import storing  # noqa: E402
import templates  # noqa: E402

MODULES = (sending, others, storing, templates, bounces_bench, busy, sites, faraway, growth, shaping)
BENCHES = {name: bench for m in MODULES for name, bench in m.BENCHES.items()}
LONG = {"shaping", *growth.BENCHES}  # only when named
NOT_QUICK = {"distance", "sites"}
GROUPS = {"growth": list(growth.BENCHES)}
# What takes long to make: databases that are kept.
PREPARE = {name: make for m in MODULES for name, make in getattr(m, "PREPARE", {}).items()}


def wanted(names, quick):
	if not names:
		return [n for n in BENCHES if n not in LONG and not (quick and n in NOT_QUICK)]
	found = []
	for name in names:
		for n in GROUPS.get(name, [name]):
			if n not in BENCHES:
				sys.exit(f"there is no benchmark {n}; there are: {' '.join([*BENCHES, *GROUPS])}")
			found.append(n)
	return found


def prepare(names, quick):
	"""What the benchmarks would make or fetch by themselves."""
	for what in (peers.need, dkim_referees.program, others.node_modules):
		try:
			what()
		except peers.Unavailable as e:
			print("not to be had:", e)
	for name in names:
		PREPARE.get(name, lambda quick: None)(quick)


def describe():
	for name, bench in BENCHES.items():
		print(f"{name:14} {bench.__doc__.strip()}{'  (only when named)' if name in LONG else ''}")
	for name, members in GROUPS.items():
		print(f"{name:14} {' '.join(members)}")


def run(name, args):
	print(f"== {name}: {BENCHES[name].__doc__ or ''}", flush=True)
	b = measure.Bench(name, args.quick, args.rounds)
	error = None
	try:
		BENCHES[name](b)
	except Exception as e:  # the others go on
		traceback.print_exc()
		error = f"{type(e).__name__}: {e}"
	result = b.save(error)
	for t in measure.TARGETS:
		if t.key in b.targets:
			value = b.targets[t.key]["value"]
			print(f"   {'met   ' if t.met(value) else 'MISSED'} {t.what}: {t.show(value)} ({t.sign} {t.show(t.bound)})", flush=True)
	print(f"   {result['seconds']:.0f} s; other programs used {result['others_percent']:.0f} % of the machine", flush=True)
	return error is None


def main():
	parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
	parser.add_argument("names", nargs="*")
	parser.add_argument("--quick", action="store_true")
	parser.add_argument("--rounds", type=int)
	parser.add_argument("--prepare", action="store_true")
	parser.add_argument("--report", action="store_true")
	parser.add_argument("--page", action="store_true")
	parser.add_argument("--list", action="store_true")
	args = parser.parse_args()
	os.makedirs(measure.FOLDER, exist_ok=True)
	signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that peers and sinks are ended too
	if args.list:
		return describe()
	good = True
	if not (args.report or args.page):
		lock = open(os.path.join(measure.FOLDER, "lock"), "w")
		fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would share folders, and each other's time
		names = wanted(args.names, args.quick)
		if args.prepare:
			return prepare(names, args.quick)
		good = all([run(name, args) for name in names])
	print(report.write(args.quick, list(BENCHES)))
	if args.page:
		report.write_page()
	return 0 if good else 1


if __name__ == "__main__":
	sys.exit(main())
