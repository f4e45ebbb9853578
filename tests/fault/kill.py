#!/usr/bin/env python3
"""The promise, tested: SIGKILL at random moments, then resume, and at the end nobody was forgotten and nobody had the
message twice but those that the ledger had shown as `doubt` before it went on.

usage: tests/fault/kill.py [--long] [--recipients N] [--kills K] [--ahead N] [--seed N] [--only relay|direct]
The short form (40,000 recipients, 3 kills) is part of `make test`; the long one (500,000, 10) is `make fault`. Direct delivery goes
to 150 sites. The server takes little more than the number at which a kill is due, so that no campaign is over before it, however
fast the machine and however late the kill."""
import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import harness  # noqa: E402
from names import Names  # noqa: E402
from sink import RecordingSink  # noqa: E402

CONNECTIONS = 10
SITES = 150
ESTABLISHED = "01"


class Audit:
	"""Checks are counted, and told when they fail; none ends the test."""
	passed = failed = 0

	def check(self, good, text):
		if good:
			self.passed += 1
		else:
			self.failed += 1
			print("FAILED:", text, flush=True)


class Trial(harness.World):
	def __init__(self, folder, sink, recipients, kills, ahead, seed, audit):
		super().__init__(folder)
		self.sink, self.n, self.kills, self.ahead, self.audit_log = sink, recipients, kills, ahead, audit
		self.random, self.doubted, self.open = random.Random(seed), set(), 0

	def check(self, good, text):
		self.audit_log.check(good, f"ahead {self.ahead}: {text}")

	def connections(self):
		"""The most that may hold claims at this moment."""
		return CONNECTIONS

	def prepare(self):
		self.configure(self.sink.port, connections=CONNECTIONS, top=f"doubt = resend\nahead = {self.ahead}\n")
		self.audience(self.n)
		self.message()

	def rows(self):
		"""address -> state, as the report says now."""
		self.run("report", "kill", "--format", "csv", "-o", "kill.csv", timeout=300)
		with open(self.path("kill.csv"), newline="", encoding="utf-8-sig") as f:
			states = {row["address"]: row["state"] for row in csv.DictReader(f)}
		os.remove(self.path("kill.csv"))
		return states

	def look(self, when):
		"""After a kill, with nothing running: the states add up and agree with what the server took."""
		took = self.sink.settle()
		states, status = self.rows(), self.status("kill")
		counts = status["counts"]
		self.check(len(states) == self.n == sum(counts.values()), f"{when}: {len(states)} rows, counts add up to "
			f"{sum(counts.values())}, audience {self.n}")
		self.check({s: n for s, n in counts.items() if n} == tally(states.values()), f"{when}: counts {counts} are not the "
			f"rows' {tally(states.values())}")
		doubt = {a for a, s in states.items() if s in ("doubt", "sending")}
		new = doubt - self.doubted
		self.check(len(new) <= self.ahead * self.open, f"{when}: {len(new)} in doubt, with {self.open} connections")
		lost = [a for a, s in states.items() if s == "sent" and a not in took]
		self.check(not lost, f"{when}: `sent`, but the server does not have them: {lost[:3]} ({len(lost)})")
		silent = [a for a in took if states.get(a) not in ("sent", "doubt", "sending")]
		self.check(not silent, f"{when}: the server has them, the ledger does not know: {silent[:3]} ({len(silent)})")
		self.doubted |= doubt
		print(f"  {when}: server {len(took)}, {len(new)} new in doubt, {self.open} connections, {tally(states.values())}", flush=True)

	def kill_at(self, child, threshold, full):
		"""SIGKILL once the server has that many recipients and something of this process, and a random moment later. full: when it takes
		no more, so that something is on the wire."""
		took = self.sink.count()
		threshold = max(threshold, took + 1)
		gate = self.sink.accepted() + threshold - took + self.margin
		self.sink.let(gate)
		harness.wait_until(lambda: child.poll() is not None or self.sink.count() >= threshold, 900, 0.002)
		if full:
			harness.wait_until(lambda: child.poll() is not None or self.sink.accepted() >= gate and self.status("kill")["counts"]["sending"], 900, 0.1)
		self.open = self.connections()
		time.sleep(self.random.random() * 0.05)
		self.check(child.poll() is None, f"at {threshold}: it ended by itself, with {child.returncode}")
		self.kill(child)

	def kill(self, child):
		"""It stands still while its connections are counted."""
		child.send_signal(signal.SIGSTOP)
		self.open = max(self.open, self.connections())
		child.kill()
		child.wait()

	def go(self):
		self.prepare()
		self.margin, start = self.n // 20, ["send", "june.html", "--list", "news", "--name", "kill", "--yes", "--patience", "60s"]
		# Once while the campaign is still being made, or has just begun: the same command goes on.
		child = self.start(*start)
		time.sleep(self.random.random() * 0.1)
		self.kill(child)
		if self.sink.settle():
			self.look("first kill")
		# Then spread over the sending.
		for i, share in enumerate(sorted(self.random.uniform(0.05, 0.9) for _ in range(self.kills))):
			self.kill_at(self.start(*start), int(share * self.n), i == 0)
			self.look(f"kill {i + 1}")
			start = ["resume", "kill", "--patience", "60s"]
		self.check(self.doubted, "no kill left anybody in doubt: nothing was on the wire")
		self.sink.let(2 * self.n)
		self.finish(self.start(*start), timeout=1800)
		self.final()

	def final(self):
		took, states = self.sink.settle(), self.rows()
		status = self.status("kill")
		self.check(sum(status["counts"].values()) == self.n == status["audience"], f"end: {status['counts']}")
		self.check(status["state"] == "finished", f"end: the campaign is {status['state']}")
		# Whose message was on the wire at two kills stays in doubt, and may never have been taken.
		missing = [a for a, s in states.items() if a not in took and not (s == "doubt" and a in self.doubted)]
		self.check(not missing and len(states) == self.n, f"end: {len(missing)} never had it: {missing[:3]}")
		repeated = {a: ids for a, ids in took.items() if len(ids) > 1}
		secret = [a for a in repeated if a not in self.doubted]
		self.check(not secret, f"end: {len(secret)} had it twice without a doubt: {secret[:3]}")
		changed = [a for a, ids in repeated.items() if len(set(ids)) != 1]
		self.check(not changed, f"end: repeats with another Message-ID: {changed[:3]}")
		odd = [a for a, s in states.items() if s != "sent" and not (s == "doubt" and a in self.doubted)]
		self.check(not odd, f"end: neither sent nor in doubt: {odd[:3]} ({len(odd)})")
		print(f"  end: {self.n} recipients, {len(self.doubted)} were in doubt, {len(repeated)} had it twice", flush=True)


class Direct(Trial):
	"""Straight to the recipients' hosts. A server that lets us wait takes nobody's place, so that more are open than `connections` says."""
	def connections(self):
		port = ":%04X" % self.sink.port
		with open("/proc/net/tcp", encoding="ascii") as f:
			peers = [line.split()[2:4] for line in f]
		return sum(peer.endswith(port) and state == ESTABLISHED for peer, state in peers)

	def prepare(self):
		self.names = Names(self.folder, {"good": "127.0.0.1"}).__enter__()
		self.configure(self.sink.port, kind="direct", host=None, connections=CONNECTIONS, resolver=f"127.0.0.1@{self.names.port}",
			private_addresses="allow", helo="out.books.example", top=f"doubt = resend\nahead = {self.ahead}\n",
			extra="[domain books.example]\n")
		self.audience(self.n)
		self.message()

	def audience(self, count, name="news", address=None):
		self.write(name + ".csv", "email\n" + "".join(f"r{i}@d{i % SITES}.good.example\n" for i in range(count)))
		self.run("import", name, name + ".csv")

	def __exit__(self, *exc):
		super().__exit__(*exc)
		if hasattr(self, "names"):
			self.names.__exit__()


def tally(states):
	out = {}
	for s in states:
		out[s] = out.get(s, 0) + 1
	return out


def main():
	parser = argparse.ArgumentParser(usage=__doc__)
	parser.add_argument("--long", action="store_true")
	parser.add_argument("--recipients", type=int)
	parser.add_argument("--kills", type=int)
	parser.add_argument("--ahead", type=int, action="append")
	parser.add_argument("--seed", type=int, default=int(time.time()))
	parser.add_argument("--only", choices=["relay", "direct"])
	args = parser.parse_args()
	recipients = args.recipients or (500000 if args.long else 40000)
	kills = args.kills or (10 if args.long else 3)
	harness.network_of_its_own()
	audit = Audit()
	trials = [(Trial, ahead) for ahead in args.ahead or [8, 1]] + [(Direct, (args.ahead or [8])[0])]
	for kind, ahead in trials:
		if args.only and args.only != ("direct" if kind is Direct else "relay"):
			continue
		folder = os.path.join(harness.BUILD, "fault", f"{kind.__name__.lower()}-{ahead}")
		shutil.rmtree(folder, ignore_errors=True)
		os.makedirs(folder)
		print(f"{recipients} recipients, {kills} kills, {'direct, ' if kind is Direct else ''}ahead {ahead}, seed {args.seed}", flush=True)
		start = time.monotonic()
		# Over the relay messages go whole, several under way; to the hosts one after the other.
		options = [] if kind is Direct else ["--chunking"]
		with RecordingSink(folder, *options, gate=recipients // 20) as sink, kind(folder, sink, recipients, kills, ahead, args.seed, audit) as trial:
			try:
				trial.go()
			except (AssertionError, subprocess.TimeoutExpired) as e:
				audit.check(False, f"ahead {ahead}: {e}")
				print(trial.transcript())
		print(f"  {time.monotonic() - start:.0f} s", flush=True)
	print(f"fault: {audit.passed} passed, {audit.failed} failed")
	return 1 if audit.failed else 0


if __name__ == "__main__":
	sys.exit(main())
