#!/usr/bin/env python3
"""Everything at once, for a long time: `serve` delivers campaigns over two servers that die and come back, while people are
imported, suppressed and unsubscribed, mail comes back, and processes are killed at random. What memory, descriptors and waiting
times do meanwhile is sampled; at the end the ledger is compared with what the servers wrote down, to the last message.

usage: tests/fault/soak.py [--short] [--minutes N] [--people N] [--rate N] [--seed N] [--folder NAME]     (make soak M=minutes)
Into build/FOLDER/report.md. Kills come in turns with calm spells, in which growth would show."""
import argparse
import collections
import csv
import os
import random
import shutil
import signal
import smtplib
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import harness  # noqa: E402
from harness import MESSAGE, free_port  # noqa: E402

LISTS, DOMAINS = 4, 40
BUSY, CALM = 180, 120  # seconds with kills, and without
SETTLED = 5.0          # a claim that was made may still go out for so long
REPORT = """From: MAILER-DAEMON@mx.example
To: {sender}
Subject: Undelivered Mail Returned to Sender
Message-ID: <{id}@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind}; boundary=B

--B

It could not be delivered.
--B
Content-Type: message/{part}

{fields}
--B--
"""


class Server:
	"""A receiving server that can be killed; what it took is in its log, whatever became of its word for it."""

	def __init__(self, folder, name, *options):
		self.port, self.log, self.options = free_port(), os.path.join(folder, name + ".log"), options
		self.child, self.at, self.part, self.deaths = None, 0, b"", 0
		self.start()

	def start(self):
		self.child = subprocess.Popen([os.path.join(harness.BUILD, "tools", "sink"), "--port", str(self.port), "--log", self.log, *self.options],
			stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

	def die(self, pause):
		self.child.kill()
		self.child.wait()
		self.deaths += 1
		time.sleep(pause)
		self.start()

	def read(self):
		"""What came since: (address, Message-ID, sender)."""
		if not os.path.exists(self.log):
			return []
		with open(self.log, "rb") as f:
			f.seek(self.at)
			text = f.read()
			self.at = f.tell()
		*lines, self.part = (self.part + text).split(b"\n")
		return [(r, m, s) for r, m, _, s in (line.decode().split("\t") for line in lines)]


class Soak:
	def __init__(self, args):
		self.args, self.random = args, random.Random(args.seed)
		self.folder = os.path.join(harness.BUILD, args.folder)
		shutil.rmtree(self.folder, ignore_errors=True)
		os.makedirs(self.folder)
		self.w = harness.World(self.folder)
		self.lock, self.over, self.launching_over = threading.Lock(), threading.Event(), threading.Event()
		self.took = {}                      # (address, Message-ID) -> times accepted
		self.newest = collections.deque(maxlen=5000)
		self.gone = {}                      # address -> when the command that stopped mail to it had ended
		self.late = []                      # accepted after that
		self.campaigns = {}                 # name -> when its launch began
		self.done = collections.Counter()
		self.waits = collections.defaultdict(list)
		self.samples, self.failures = [], []
		self.serve, self.serve_born, self.version, self.ending = None, 0, 0, False
		self.began = self.read_at = time.monotonic()

	# ---- setting up ----

	def prepare(self):
		w, a = self.w, self.args
		self.servers = [Server(self.folder, "one", "--chunking", "--drop-end", "0.02", "--reject", "1", "--seed", "5"),
			Server(self.folder, "two", "--drop-end", "0.02", "--messages", "200", "--defer", "0.5", "--seed", "6")]
		self.listen = free_port()
		w.configure(self.servers[0].port, connections=8, rate=f"{a.rate}/s", chunking="yes",
			top="doubt = resend\n", extra=f"[route second]\nkind = relay\nhost = 127.0.0.1\nport = {self.servers[1].port}\n"
			f"connections = 8\nrate = {a.rate}/s\n[retry]\ndelays = 2s, 5s, 10s\nexpire = 1m\n[log]\ndeliveries = deliveries.log\nsize = 20M\n"
			"[brake]\nbounces = 100%\nblocks = 100%\ncomplaints = 100%\n")
		conf = open(w.path("postrider.conf")).read().replace("[return-path]\n", f"[return-path]\nlisten = 127.0.0.1:{self.listen}\n")
		w.write("postrider.conf", conf)
		for k in range(LISTS):
			self.bring(k)

	def person(self, k, i):
		return f"p{k}.{i}@d{i % DOMAINS}.x.example"

	def bring(self, k):
		"""The list's file grows, and everybody's city changes."""
		self.version += 1
		n = self.args.people + self.version * 10
		name = f"list{k}.{self.version}.csv"
		self.w.write(name, "email,first_name,city\n" + "".join(f"{self.person(k, i)},Zoë,City {self.version}\n" for i in range(n)))
		status = self.command("import", f"list{k}", name, expect=(0, 75, -signal.SIGKILL))
		os.remove(self.w.path(name))
		self.done["imported"] += n if status == 0 else 0

	def command(self, *argv, expect=(0,), name=None, stdin=None):
		"""Runs it, keeps how long it took; an unexpected status is a failure of the soak."""
		start = time.monotonic()
		child = subprocess.Popen([harness.PROGRAM, *argv], cwd=self.folder, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL, stdout=subprocess.PIPE,
			stderr=subprocess.PIPE, env=self.w.environment())
		self.victim = child
		out, err = child.communicate(stdin, timeout=300)
		with self.lock:
			self.waits[name or argv[0]].append(time.monotonic() - start)
		if child.returncode not in expect:
			self.fail(f"{' '.join(argv)}: exit {child.returncode}: {err.decode()[-400:]}")
		return child.returncode

	def fail(self, text):
		with self.lock:
			self.failures.append(text)
		print("FAILED:", text, flush=True)

	# ---- what goes on ----

	def calm(self):
		return self.ending or (time.monotonic() - self.began) % (BUSY + CALM) >= BUSY

	def serve_start(self):
		out = open(os.path.join(self.folder, "serve.log"), "ab")
		self.serve = subprocess.Popen([harness.PROGRAM, "serve"], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
			env=self.w.environment())
		self.serve_born = time.monotonic()

	def keep_serving(self, r):
		"""Kills it now and then; whatever else ends it is a failure."""
		next_kill = time.monotonic() + r.uniform(5, 15)
		while not self.over.wait(0.2):
			if self.serve.poll() is not None:
				self.fail(f"serve ended by itself with {self.serve.returncode}")
				self.serve_start()
			if self.calm() or time.monotonic() < next_kill:
				continue
			next_kill = time.monotonic() + r.uniform(5, 30)
			gently = r.random() < 0.25
			self.serve.send_signal(signal.SIGTERM if gently else signal.SIGKILL)
			try:
				status = self.serve.wait(40)
				if gently and status not in (0, 75):
					self.fail(f"serve ended with {status} after SIGTERM")
			except subprocess.TimeoutExpired:
				self.fail("serve does not end by SIGTERM")
				self.serve.kill()
				self.serve.wait()
			self.done["serve stopped" if gently else "serve killed"] += 1
			time.sleep(r.choice([0, 0, 1, 3]))
			self.serve_start()

	def launch(self, r):
		while not self.launching_over.wait(r.uniform(5, 12)):
			name = f"c{len(self.campaigns)}"
			self.w.write("letter.html", MESSAGE.replace("June", name))
			with self.lock:
				self.campaigns[name] = time.monotonic()
			lists = r.sample(range(LISTS), r.choice([1, 1, 2]))
			argv = ["send", "letter.html", *(x for k in lists for x in ("--list", f"list{k}")), "--name", name, "--yes", "--again", "--detach"]
			if self.command(*argv, expect=(0, 75, -signal.SIGKILL), name="launch") == -signal.SIGKILL:
				self.command(*argv, expect=(0, 75), name="launch")
			# No more than a minute's work waits.
			while not self.launching_over.is_set() and self.left() > 120 * self.args.rate:
				time.sleep(1)

	def left(self):
		"""Deliveries that wait, about; read as anybody may read the database."""
		import sqlite3
		db = sqlite3.connect(os.path.join(self.folder, "postrider.db"), timeout=10)
		try:
			return db.execute("SELECT coalesce(sum(rows - cursor), 0) FROM campaign WHERE state NOT IN (6, 7)").fetchone()[0]
		except sqlite3.Error:
			return 0
		finally:
			db.close()

	def import_again(self, r):
		while not self.launching_over.wait(r.uniform(4, 10)):
			self.bring(r.randrange(LISTS))

	def stop_mail(self, r):
		"""People who want no more, by every way."""
		while not self.launching_over.wait(r.uniform(0.5, 2)):
			k, i = r.randrange(LISTS), r.randrange(self.args.people)
			who = self.person(k, i)
			if who in self.gone:
				continue
			argv = r.choice([("suppressions", "add", who), ("contact", "unsubscribe", who)])
			if self.command(*argv, expect=(0, 75, -signal.SIGKILL), name="suppress") == 0:
				with self.lock:
					self.gone[who] = time.monotonic()
				self.done["suppressed"] += 1

	def give_back(self, r):
		"""Bounces, complaints for what was just accepted, by SMTP to the listener."""
		while not self.launching_over.wait(r.uniform(0.2, 1)):
			with self.lock:
				if not self.newest:
					continue
				who, _, sender = self.newest[r.randrange(len(self.newest))]
			code, words = r.choice([("5.1.1", "550 5.1.1 user unknown"), ("4.2.2", "452 4.2.2 mailbox full"), ("5.7.1", "550 5.7.1 rejected by policy")])
			text = REPORT.format(sender=sender, id=r.getrandbits(64), kind="delivery-status", part="delivery-status",
				fields=f"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; {who}\nAction: failed\nStatus: {code}\nDiagnostic-Code: smtp; {words}\n")
			start = time.monotonic()
			try:
				with smtplib.SMTP("127.0.0.1", self.listen, timeout=20) as s:
					s.sendmail("", [sender], text)
			except (OSError, smtplib.SMTPException):
				self.done["returned, not taken"] += 1  # it is being killed; a mail server would come again
				continue
			with self.lock:
				self.waits["listener"].append(time.monotonic() - start)
			self.done["returned"] += 1

	def break_servers(self, r):
		while not self.launching_over.wait(r.uniform(10, 40)):
			if not self.calm():
				r.choice(self.servers).die(r.choice([0, 0.5, 3]))

	def kill_commands(self, r):
		while not self.launching_over.wait(r.uniform(3, 15)):
			child = getattr(self, "victim", None)
			if not self.calm() and child is not None and child.poll() is None:
				child.kill()
				self.done["commands killed"] += 1

	def read_servers(self, r):
		while not self.over.wait(0.2):
			self.read()

	def read(self):
		"""What is read now was written after the last time, however late this comes."""
		written, self.read_at = self.read_at, time.monotonic()
		for server in self.servers:
			for who, message, sender in server.read():
				with self.lock:
					self.took[who, message] = self.took.get((who, message), 0) + 1
					self.newest.append((who, message, sender))
					if who in self.gone and written > self.gone[who] + SETTLED:
						self.late.append((who, written - self.gone[who]))

	def sample(self, r):
		while not self.over.wait(5):
			pid, row = self.serve.pid, {"t": time.monotonic() - self.began, "age": time.monotonic() - self.serve_born, "calm": self.calm()}
			try:
				status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
				row["rss"] = int(status["VmRSS"].split()[0]) / 1024
				row["threads"] = int(status["Threads"])
				row["fds"] = len(os.listdir(f"/proc/{pid}/fd"))
			except (OSError, KeyError):
				continue  # between two lives
			row["wal"] = os.path.getsize(os.path.join(self.folder, "postrider.db-wal")) / 1e6 if os.path.exists(
				os.path.join(self.folder, "postrider.db-wal")) else 0
			row["took"] = len(self.took)
			if self.campaigns:
				self.command("--json", "status", r.choice(list(self.campaigns)), expect=(0, 66, -signal.SIGKILL), name="status")
			with self.lock:
				self.samples.append(row)

	def thread(self, run):
		def main():
			try:
				run(random.Random(f"{self.args.seed} {run.__name__}"))
			except Exception:
				self.fail(f"{run.__name__}: {traceback.format_exc()}")
		t = threading.Thread(target=main, name=run.__name__, daemon=True)
		t.start()
		return t

	def go(self):
		self.prepare()
		self.serve_start()
		time.sleep(1)
		self.began = time.monotonic()
		work = [self.thread(f) for f in (self.launch, self.import_again, self.stop_mail, self.give_back, self.break_servers, self.kill_commands)]
		beside = [self.thread(f) for f in (self.keep_serving, self.read_servers, self.sample)]
		end = self.began + self.args.minutes * 60
		while time.monotonic() < end:
			time.sleep(min(30, max(0.1, end - time.monotonic())))
			print(f"  {(time.monotonic() - self.began) / 60:.1f} min: {len(self.campaigns)} campaigns, {len(self.took)} messages, {dict(self.done)}", flush=True)
		while self.missing() and time.monotonic() < end + 100:
			time.sleep(0.1)
		self.launching_over.set()
		for t in work:
			t.join(60)
		self.ending = True  # in calm: what is left is delivered
		self.wait_for_the_rest()
		self.over.set()
		for t in beside:
			t.join(30)
		time.sleep(2)  # it may have been started just now
		self.serve.send_signal(signal.SIGTERM)
		if self.serve.wait(40) not in (0, 75):
			self.fail(f"at the end serve ended with {self.serve.returncode}")
		self.read()
		self.audit()

	def missing(self):
		"""What has not happened yet, and without which the soak says nothing."""
		return [what for what, n in {"suppressed": self.done["suppressed"], "returned": self.done["returned"], "ends of serve":
			self.done["serve killed"] + self.done["serve stopped"], "messages": len(self.took)}.items() if n == 0]

	def wait_for_the_rest(self):
		import json
		end = time.monotonic() + 600
		while time.monotonic() < end:
			done = subprocess.run([harness.PROGRAM, "--json", "campaigns"], cwd=self.folder, capture_output=True, text=True, env=self.w.environment())
			states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
			if states and all(s in ("finished", "cancelled") for s in states):
				return
			time.sleep(1)
		self.fail(f"not finished after ten minutes: {collections.Counter(states)}")

	# ---- the end ----

	def audit(self):
		"""Each delivery of each campaign beside what the servers took."""
		known, self.sums, self.repeats, self.doubted = {}, collections.Counter(), 0, 0
		for name, launched in self.campaigns.items():
			status = self.w.status(name)
			out = self.w.path("audit.csv")
			self.w.run("report", name, "--format", "csv", "-o", out, timeout=300)
			seen = collections.Counter()
			with open(out, newline="", encoding="utf-8-sig") as f:
				for row in csv.DictReader(f):
					who, state, doubted = row["address"], row["state"], row["doubted"] not in ("", "0", "no", "false")
					times = self.took.get((who, f"<{row['message_id']}>"), 0)
					known[who, f"<{row['message_id']}>"] = True
					seen[state] += 1
					self.doubted += doubted
					self.repeats += max(0, times - 1)
					if state == "sent" and times == 0:
						self.fail(f"{name}: {who} is `sent`, and no server took it")
					if times > 1 and not doubted:
						self.fail(f"{name}: {who} had it {times} times without a doubt")
					if times > 0 and state not in ("sent", "doubt", "bounced", "blocked"):
						# In doubt, sent again, and that time refused or too late: it stays what the ledger shows, with the doubt.
						if not doubted:
							self.fail(f"{name}: {who} is `{state}`, and a server took it")
					if self.gone.get(who, launched) < launched - SETTLED and times > 0:
						self.fail(f"{name}: {who} had it, suppressed {launched - self.gone[who]:.0f} s before the launch")
			shown = {s: n for s, n in status["counts"].items() if n}
			if shown != dict(seen) or sum(seen.values()) != status["audience"]:
				self.fail(f"{name}: counts {shown}, rows {dict(seen)}, audience {status['audience']}")
			self.sums.update(seen)
		self.w.run("doctor", "--database", timeout=300)
		nobodys = [k for k in self.took if k not in known]
		if nobodys:
			self.fail(f"{len(nobodys)} messages of no delivery: {nobodys[:3]}")
		if self.missing():
			self.fail(f"it proved nothing: no {', no '.join(self.missing())}")
		if self.late:
			self.fail(f"{len(self.late)} accepted over {SETTLED:.0f} s after they were suppressed: {self.late[:3]}")

	def tell(self):
		def spread(v):
			v = sorted(v)
			return f"{v[len(v) // 2] * 1000:.0f} | {v[len(v) * 99 // 100] * 1000:.0f} | {v[-1] * 1000:.0f}"
		text = [f"# Soak: {self.args.minutes:g} minutes, seed {self.args.seed}", "",
			f"{len(self.campaigns)} campaigns, {sum(self.sums.values())} deliveries, {sum(self.took.values())} messages taken by the servers.",
			f"{self.doubted} were in doubt, {self.repeats} arrived twice, {len(self.late)} reached somebody after being suppressed. {len(self.failures)} failures.", "",
			"States: " + ", ".join(f"{s} {n}" for s, n in sorted(self.sums.items())) + ".",
			"Done: " + ", ".join(f"{k} {n}" for k, n in sorted(self.done.items())) + f", servers killed {sum(s.deaths for s in self.servers)}.", "",
			"| waiting for | times | median ms | 99 % ms | longest ms |", "|---|---|---|---|---|"]
		text += [f"| {k} | {len(v)} | {spread(v)} |" for k, v in sorted(self.waits.items())]
		text += ["", "`serve`, one row for each minute: the last sample of it.", "",
			"| minute | its age s | memory MB | descriptors | threads | log of the database MB | messages | |", "|---|---|---|---|---|---|---|---|"]
		minutes = {}
		for row in self.samples:
			minutes[int(row["t"] // 60)] = row
		text += [f"| {m} | {r['age']:.0f} | {r['rss']:.1f} | {r['fds']} | {r['threads']} | {r['wal']:.1f} | {r['took']} | {'calm' if r['calm'] else 'kills'} |"
			for m, r in sorted(minutes.items())]
		if self.failures:
			text += ["", "## Failures", ""] + [f"- {f}" for f in self.failures[:50]]
		with open(os.path.join(self.folder, "report.md"), "w") as f:
			f.write("\n".join(text) + "\n")
		print("\n".join(text[:16]))


def main():
	parser = argparse.ArgumentParser(usage=__doc__)
	parser.add_argument("--minutes", type=float, default=45)
	parser.add_argument("--people", type=int, default=1500, help="on each of the lists, at first")
	parser.add_argument("--rate", type=int, default=100, help="of each route, messages a second")
	parser.add_argument("--seed", type=int, default=int(time.time()))
	parser.add_argument("--folder", default="soak")
	parser.add_argument("--short", action="store_true", help="twenty seconds of it")
	args = parser.parse_args()
	if args.short:
		args.minutes, args.people, args.folder = 0.33, 300, "soak-short"
	harness.network_of_its_own()
	soak = Soak(args)
	try:
		soak.go()
	finally:
		for s in getattr(soak, "servers", []):
			s.child.kill()
		if soak.serve is not None and soak.serve.poll() is None:
			soak.serve.kill()
	soak.tell()
	print(f"soak: {sum(soak.sums.values())} passed, {len(soak.failures)} failed")
	return 1 if soak.failures else 0


if __name__ == "__main__":
	sys.exit(main())
