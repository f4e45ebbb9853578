#!/usr/bin/env python3
"""Runs the end-to-end tests: the real program against real servers.
usage: tests/e2e/run.py [-j JOBS] [NAME...]   NAME: part of "file:function", as `postfix` or `auth:wrong_password`

Each test is a function test_*(w) in a file test_*.py, run in a process, a folder (build/e2e/…) and, where that is permitted, a
network of its own; `w` is a harness.World. It fails by an exception; it is skipped by peers.Unavailable. All tests together must have tried every command and
option there is (untried.py)."""
import argparse
import concurrent.futures
import glob
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import dkim_referees  # noqa: E402
import harness  # noqa: E402
import peers  # noqa: E402
import untried  # noqa: E402

SKIP, LIMIT = 77, 600  # exit status of a skipped test; seconds
WAITING = ("misbehaving", "liars")  # files whose tests wait for back-offs and timeouts more than they work


def collect(wanted):
	tests = []
	for name in sorted(os.listdir(HERE)):
		if name.startswith("test_") and name.endswith(".py"):
			with open(os.path.join(HERE, name)) as f:
				functions = [line[4:line.index("(")] for line in f if line.startswith("def test_")]
			tests += [f"{name[5:-3]}:{function[5:]}" for function in functions]
	return [t for t in tests if not wanted or any(w in t for w in wanted)]


def run_one(test):
	"""In the child: the test itself."""
	module, function = test.split(":")
	folder = os.path.join(harness.BUILD, "e2e", module, function)
	shutil.rmtree(folder, ignore_errors=True)
	os.makedirs(folder)
	for sanitizer in ("ASAN", "UBSAN", "TSAN"):  # what they find counts whatever the test makes of the exit status
		os.environ[sanitizer + "_OPTIONS"] = f"log_path={folder}/sanitizer:print_stacktrace=1:" + os.environ.get(sanitizer + "_OPTIONS", "")
	harness.network_of_its_own()
	with harness.World(folder) as w:
		try:
			getattr(importlib.import_module("test_" + module), "test_" + function)(w)
		except peers.Unavailable as e:
			print("SKIPPED", test + ":", e)
			return SKIP
		except Exception:
			traceback.print_exc()
			print(w.transcript())
			return 1
	reports = glob.glob(folder + "/sanitizer.*")
	for report in reports:
		print(open(report, errors="replace").read()[:8000])
	return 1 if reports else 0


def run_child(test):
	start = time.monotonic()
	child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--one", test], stdout=subprocess.PIPE,
		stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True, stdin=subprocess.DEVNULL)
	try:
		out, _ = child.communicate(timeout=LIMIT)
		status = child.returncode
	except subprocess.TimeoutExpired:
		out, status = f"not done after {LIMIT} s\n", 1
	try:
		os.killpg(child.pid, signal.SIGKILL)
	except ProcessLookupError:
		pass
	return test, status, out, time.monotonic() - start


def main():
	parser = argparse.ArgumentParser(usage=__doc__)
	parser.add_argument("-j", type=int, default=2)
	parser.add_argument("--one")
	parser.add_argument("names", nargs="*")
	args = parser.parse_args()
	if args.one:
		return run_one(args.one)
	tests = collect(args.names)
	if not args.names:
		shutil.rmtree(os.path.join(harness.BUILD, "e2e"), ignore_errors=True)
	try:
		peers.need()  # once, before tests do it side by side, and without a network
		if any(t.startswith("dkim:") for t in tests):
			dkim_referees.fetch_opendkim()
	except peers.Unavailable:
		pass
	passed = failed = skipped = 0
	failures = []  # shown last, where they are looked for
	# What mostly waits goes beside the others, so that the processors have something to do meanwhile.
	with concurrent.futures.ThreadPoolExecutor(args.j) as pool, concurrent.futures.ThreadPoolExecutor(args.j) as beside:
		running = [(beside if t.split(":")[0] in WAITING else pool).submit(run_child, t) for t in tests]
		for done in concurrent.futures.as_completed(running):
			test, status, out, seconds = done.result()
			word = {0: "ok", SKIP: "skipped"}.get(status, "FAILED")
			passed, failed, skipped = passed + (status == 0), failed + (status not in (0, SKIP)), skipped + (status == SKIP)
			print(f"{word:8} {test} ({seconds:.1f} s)", flush=True)
			if word == "FAILED":
				failures.append(f"---- {test}\n{out.rstrip()}")
			elif status != 0:
				print(out.rstrip(), flush=True)
	if not args.names and not skipped:
		missing = untried.untried(os.path.join(harness.BUILD, "e2e"))
		failed, passed = failed + bool(missing), passed + (not missing)
		print("FAILED   no test has tried: " + ", ".join(missing) if missing else "ok       every command and option was tried")
	print(*failures, sep="\n", end="\n" if failures else "")
	print(f"e2e: {passed} passed, {failed} failed, {skipped} skipped")
	return 1 if failed or not tests else 0


if __name__ == "__main__":
	sys.exit(main())
