"""A small campaign that can be broken at every step: its folders as they are before each step, one trial after the other.

A trial copies the folder, does the step with a fault, looks at what is left, does the step again without one, and compares
with what the receiving server wrote down: nobody forgotten, nobody twice but those shown as `doubt`, nobody suppressed."""
import csv
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import harness  # noqa: E402
from names import Names  # noqa: E402
from sink import RecordingSink  # noqa: E402

PROGRAM = os.environ.get("POSTRIDER_FAULT") or os.path.join(harness.BUILD, "fault", "postrider")
harness.PROGRAM = PROGRAM

PEOPLE = 24
SUPPRESSED = ["r3@d3.x.example", "r7@d7.gone.example", "r11@d1.x.example"]  # by address, by domain, unsubscribed from the list
SEND = ["send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "20s"]
KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STATUSES = {0, 64, 65, 66, 69, 70, 73, 74, 75, 76, 77, 78}

BOUNCE = """Return-Path: <>
From: MAILER-DAEMON@x.example
To: {sender}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

The mail system: <{address}>: {diagnostic}
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; x.example

Final-Recipient: rfc822; {address}
Action: failed
Status: {status}
Diagnostic-Code: smtp; {diagnostic}
--b--
"""
RETURNED = [("r0@d0.x.example", "5.1.1", "550 5.1.1 user unknown"), ("r1@d1.x.example", "5.2.2", "552 5.2.2 mailbox full"),
	("r2@d2.x.example", "5.7.1", "550 5.7.1 message rejected by local policy")]


class Broken(AssertionError):
	"""A promise that was not kept."""


def need(good, text):
	if not good:
		raise Broken(text)


def address(i):
	return f"r{i}@d7.gone.example" if i == 7 else f"r{i}@d{i % 5}.x.example"


def people():
	return [address(i) for i in range(PEOPLE)]


def mailable():
	return [a for a in people() if a not in SUPPRESSED]


class Clock:
	"""The wall clock of commands whose FAULT_CLOCK is its file."""

	def __init__(self, path):
		self.path = path
		self.set(0)

	def set(self, ms):
		"""Both of them: the time that passes, seen from another process."""
		with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as f:
			f.write(2 * ms.to_bytes(8, "little", signed=True))


def is_stopped(pid):
	with open(f"/proc/{pid}/stat") as f:
		return f.read().rsplit(")", 1)[1].split()[0] == "T"


class Folder(harness.World):
	"""One folder with configuration and database, and the faults that its next command is to meet."""
	faults = {}

	def environment(self):
		return {**super().environment(), "MALLOC_PERTURB_": "165", **self.faults}

	def broken(self, *argv, timeout=300, **faults):
		"""A command with faults. Never ends by a signal of its own making; says why it failed."""
		self.faults = {k.upper(): str(v) for k, v in faults.items()}
		self.faults["FAULT_REPORT"] = self.path("report")
		try:
			result = self.run(*argv, expect=None, timeout=timeout)
		except subprocess.TimeoutExpired:
			raise Broken(f"{argv[0]} hangs") from None
		finally:
			self.faults = {}
		killed = -result.status in KILLS and any(f.upper() in ("FAULT_POINT", "FAULT_POWER") for f in faults)
		need(killed or result.status in STATUSES, f"it ended with {result.status}:\n{result}")
		if result.status > 0 and result.status not in (75, 76):
			need(re.search(r"^postrider: .+", result.err, re.M), f"exit {result.status} without a word:\n{result}")
		return result

	def report(self):
		"""{name: number} of the last command that had faults."""
		out = {}
		for line in open(self.path("report")):
			words = line.split()
			if len(words) >= 2 and words[-1].isdigit() and words[0] != "refused":
				out[" ".join(words[:-1])] = int(words[-1])
		return out

	def trace(self):
		return open(self.path("report")).read() if os.path.exists(self.path("report")) else ""

	def database(self):
		return sqlite3.connect(self.path("postrider.db"), timeout=10)

	def sound(self):
		"""SQLite itself finds nothing wrong."""
		db = self.database()
		try:
			found = [row[0] for row in db.execute("PRAGMA integrity_check")]
		finally:
			db.close()
		need(found == ["ok"], f"the database is damaged: {found[:3]}")

	def states(self):
		"""{address: (state, doubted)}; None: there is no such campaign (yet)."""
		done = self.run("report", "june", "--format", "csv", "-o", "june.csv", expect=(0, 66))
		if done.status == 66:
			return None
		with open(self.path("june.csv"), newline="", encoding="utf-8-sig") as f:
			return {row["address"]: (row["state"], row["doubted"] not in ("", "0", "no", "false")) for row in csv.DictReader(f)}

	def members(self):
		done = self.run("export", "news", expect=(0, 66))
		rows = list(csv.DictReader(done.out.lstrip("\ufeff").splitlines())) if done.status == 0 else []
		return {row["email"]: row for row in rows}


class Bench:
	"""A server, and the folder as it is before each step. kind: relay, direct."""

	def __init__(self, folder, kind="relay", ahead=8, options=("--chunking",)):
		self.folder, self.kind, self.ahead = folder, kind, ahead
		shutil.rmtree(folder, ignore_errors=True)
		os.makedirs(folder)
		self.sink = RecordingSink(folder, *(options if kind == "relay" else ()))

	def __enter__(self):
		self.sink.__enter__()
		self.names = None
		try:
			return self.prepare()
		except BaseException:
			self.__exit__(None, None, None)
			raise

	def prepare(self):
		w = Folder(os.path.join(self.folder, "base"))
		os.makedirs(w.folder)
		top = f"doubt = resend\nahead = {self.ahead}\nworkers = 1\n"
		if self.kind == "direct":
			self.names = Names(self.folder, {"x": "127.0.0.1", "gone": "127.0.0.1"}).__enter__()
			w.configure(self.sink.port, kind="direct", host=None, connections=2, resolver=f"127.0.0.1@{self.names.port}",
				private_addresses="allow", helo="out.books.example", top=top, extra="[domain books.example]\n")
		else:
			w.configure(self.sink.port, connections=2, top=top)
		self.before = {"init": None}
		self.snapshot("import", w)
		w.write("news.csv", "email,first_name,city\n" + "".join(f"{a},Zoë,Kyoto\n" for a in people()))
		w.write("later.csv", "email,first_name,city\n" + "".join(f"{a},Aiko,Zürich\n" for a in people()[4:]) + "new@x.example,Li,Ōsaka\n")
		w.message()
		self.snapshot("import", w)
		w.run("import", "news", "news.csv")
		self.snapshot("import-again", w)
		self.snapshot("suppress", w)
		self.suppress(w)
		self.snapshot("send", w)
		w.run(*SEND)
		self.sink.settle()
		need(set(self.sink.took) == set(mailable()), "the campaign without any fault")
		self.sizes = self.sink.sizes
		for i, (who, status, diagnostic) in enumerate(RETURNED):
			w.write(f"returned.{i}", BOUNCE.format(sender=self.sink.senders[who], address=who, status=status, diagnostic=diagnostic))
		self.snapshot("receive", w)
		shutil.rmtree(w.folder)  # beside its original a copy would refuse to send
		return self

	def __exit__(self, *exc):
		if self.names:
			self.names.__exit__(*exc)
		self.sink.__exit__(*exc)

	@staticmethod
	def suppress(w):
		w.run("suppressions", "add", SUPPRESSED[0])
		w.run("suppressions", "add", "@d7.gone.example")
		w.run("contact", "unsubscribe", SUPPRESSED[2], "--list", "news")

	def snapshot(self, step, w):
		self.before[step] = os.path.join(self.folder, "before-" + step)
		shutil.rmtree(self.before[step], ignore_errors=True)
		shutil.copytree(w.folder, self.before[step])

	def fresh(self, step, name="trial"):
		"""A folder as it is before that step; the server's log begins anew."""
		path = os.path.join(self.folder, name)
		shutil.rmtree(path, ignore_errors=True)
		shutil.copytree(self.before[step], path)
		if step == "send":
			self.sink.read()
			self.sink.took, self.sink.senders, self.sink.sizes = {}, {}, {}
		return Folder(path)

	# ---- what must be true ----

	def look(self, w):
		"""In the middle: the states add up and agree with what the server took. Returns the addresses in doubt."""
		took, states = self.sink.settle(0.05), w.states()
		leaked = [a for a in took if a in SUPPRESSED]
		need(not leaked, f"suppressed, and mailed: {leaked}")
		for a, sizes in self.sink.sizes.items():
			# The way the end is counted differs by a line with DATA and BDAT; a part that is missing by more.
			need(all(abs(n - m) <= 5 for n in sizes for m in self.sizes[a]), f"{a} got {sizes} bytes, not {self.sizes[a]}")
		if states is None:
			need(not took, "mail without a campaign")
			return set()
		status = w.status("june")
		counts = {s: n for s, n in status["counts"].items() if n}
		seen = {}
		for s, _ in states.values():
			seen[s] = seen.get(s, 0) + 1
		need(seen == counts, f"counts {counts}, rows {seen}")
		if status["state"] not in ("preparing", "scheduled") and states:
			need(sum(counts.values()) == status["audience"], f"counts {counts} do not add up to {status['audience']}")
		for a, (state, _) in states.items():
			need(state != "sent" or a in took, f"{a} is `sent`, and the server never took it")
		for a in took:
			need(states.get(a, ("nowhere",))[0] in ("sent", "doubt", "sending"), f"the server has {a}, which is {states.get(a)}")
		return {a for a, (s, d) in states.items() if d or s in ("doubt", "sending")}

	def end(self, w, doubted, odd=False):
		"""After the campaign went on without faults."""
		took, states = self.sink.settle(0.05), w.states()
		need(states is not None and set(states) == set(mailable()), f"the audience is {sorted(states or [])}")
		leaked = [a for a in took if a in SUPPRESSED]
		need(not leaked, f"suppressed, and mailed: {leaked}")
		# Who was in doubt twice stays so, and may have nothing.
		missing = [a for a in mailable() if a not in took and states[a][0] != "doubt"]
		need(not missing, f"never had it: {missing}")
		now = doubted | {a for a, (_, d) in states.items() if d}
		twice = [a for a, ids in took.items() if len(ids) > 1 and a not in now]
		need(not twice, f"twice without a doubt: {twice}")
		need(all(len(set(ids)) == 1 for ids in took.values()), "a repeat with another Message-ID")
		wrong = {a: s for a, (s, d) in states.items() if s != "sent" and not (s == "doubt" and a in now)}
		need(not wrong, f"at the end: {wrong}")
		status = w.status("june")
		need(status["state"] == "finished", f"the campaign is {status['state']} {status['why']}")
		w.run("doctor", "--database")
		return sum(len(ids) - 1 for ids in took.values())

	# ---- the steps, each with its own idea of what is right after a fault and after doing it again ----

	def try_send(self, w, **faults):
		first = w.broken(*SEND, **faults)
		return self.go_on(w, first)

	def go_on(self, w, first):
		w.sound()
		doubted = self.look(w)
		for attempt in range(3):
			again = w.run(*SEND, expect=None, timeout=300)
			if again.status != 75:
				break
		need(again.status == 0, f"it does not go on:\n{first}{again}")
		w.sound()
		return first, len(doubted), self.end(w, doubted)

	def try_import(self, w, **faults):
		first = w.broken("import", "news", "news.csv", **faults)
		w.sound()
		members = w.members()
		need(not members or set(members) == set(people()), f"a part of the import is seen: {len(members)}")
		need(first.status != 0 or members, "it said that it was done, and nothing is there")
		w.run("import", "news", "news.csv")
		w.sound()
		need(set(w.members()) == set(people()), "imported again, and not whole")
		counted = w.run("--json", "lists").out
		need(f'"members":{PEOPLE}' in counted.replace(" ", ""), f"the list counts wrong: {counted}")
		return first, 0, 0

	def try_import_again(self, w, **faults):
		command = ["import", "news", "later.csv", "--sync", "--yes"]
		first = w.broken(*command, **faults)
		w.sound()
		wanted = set(people()[4:]) | {"new@x.example"}
		if first.status == 0:
			need(set(w.members()) == wanted, "it said that it was done, and is not")
		w.run(*command)
		w.sound()
		rows = w.members()
		need(set(rows) == wanted, f"not the file's people: {sorted(set(rows) ^ wanted)}")
		need(all(r["city"] in ("Zürich", "Ōsaka") for r in rows.values()), "old values are left")
		return first, 0, 0

	def try_suppress(self, w, **faults):
		first = w.broken("suppressions", "add", SUPPRESSED[0], **faults)
		w.sound()
		if first.status == 0:
			need(SUPPRESSED[0] in w.run("suppressions", "export").out, "said to be suppressed, and is not")
		w.run("suppressions", "add", SUPPRESSED[0])
		w.sound()
		need(w.run("suppressions", "export").out.count(SUPPRESSED[0]) == 1, "not suppressed once")
		return first, 0, 0

	def try_receive(self, w, **faults):
		files = [f"returned.{i}" for i in range(len(RETURNED))]
		first = w.broken("receive", *files, **faults)
		w.sound()
		if first.status == 0:
			self.received(w)
		w.run("receive", *files)
		w.sound()
		self.received(w)
		return first, 0, 0

	@staticmethod
	def received(w):
		states = w.states()
		need([states[a][0] for a, _, _ in RETURNED] == ["bounced", "bounced", "blocked"], f"returned, and {[states[a] for a, _, _ in RETURNED]}")
		counts = {s: n for s, n in w.status("june")["counts"].items() if n}
		need(counts == {"sent": len(mailable()) - 3, "bounced": 2, "blocked": 1}, f"counts {counts}")
		out = w.run("suppressions", "export").out
		need("r0@d0.x.example" in out and "r1@d1.x.example" not in out and "r2@d2.x.example" not in out, f"suppressed:\n{out}")
		need(len(w.run("--json", "bounces").out.splitlines()) == len(RETURNED), "not three returned messages")

	def try_init(self, w, **faults):
		for name in os.listdir(w.folder):
			if name != "report":
				os.remove(w.path(name))
		first = w.broken("init", ".", **faults)
		if first.status == 0:
			w.sound()
		w.run("init", ".", expect=(0, 73))
		w.run("lists")
		return first, 0, 0

	def attempt(self, step, **faults):
		w = self.fresh("import" if step == "init" else step)
		try:
			return w, getattr(self, "try_" + step.replace("-", "_"))(w, **faults)
		except (AssertionError, subprocess.TimeoutExpired) as e:
			where = os.path.join(harness.BUILD, "fault", "failed", f"{step}-" + re.sub(r"[^A-Za-z0-9]+", "-", "-".join(map(str, faults.values()))))
			shutil.rmtree(where, ignore_errors=True)
			shutil.copytree(w.folder, where)
			raise Broken(f"{e}\n{w.trace()[-3000:]}kept in {where}") from None
