"""What every end-to-end test uses: a folder with a configuration and a database, the program, and ways to wait."""
import contextlib
import csv
import ctypes
import fcntl
import io
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import tempfile
import time

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.path.join(TOP, os.environ.get("POSTRIDER_BUILD") or "build")
PROGRAM = os.environ.get("POSTRIDER") or os.path.join(BUILD, "postrider")
# A sanitizer's build makes calls of its own, and is looked into while it runs.
SANITIZED = os.path.basename(BUILD).startswith("build-") and not BUILD.endswith("-cov")

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

STATES = ["queued", "sending", "deferred", "sent", "bounced", "blocked", "expired", "skipped", "doubt", "cancelled"]
MESSAGE = """From: Kyoto Books <news@books.example>
Subject: {{ first_name | default: "Reader" }}, the June list is here

<p>Dear {{ first_name | default: "reader" }},</p>
<p>forty new titles, one of them for you in {{ city }}.</p>
<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>
"""
CITIES = ["Kyoto", "京都", "Zürich", "São Paulo"]
NAMES = ["Aiko", "花子", "Zoë", "O'Brien"]


def install(folder, goal="install", **variables):
	"""`make install` of what was built, below that folder; nothing is built anew, whatever the flags of this run are."""
	subprocess.run(["make", "-s", "-o", "all", goal, f"B={BUILD}", f"DESTDIR={folder}", *(f"{k}={v}" for k, v in variables.items())],
		cwd=TOP, check=True, capture_output=True)


def network_of_its_own():
	"""For this process and what it starts, if that is permitted: no port is anybody else's, and nothing of the real network answers,
	or is silent. Returns whether it is so."""
	if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
		return False
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
		loopback = b"lo".ljust(16, b"\0")
		flags = struct.unpack("16sh", fcntl.ioctl(s, SIOCGIFFLAGS, loopback + bytes(24))[:18])[1]
		fcntl.ioctl(s, SIOCSIFFLAGS, loopback + struct.pack("h22x", flags | IFF_UP))
	return True


def free_port(given=set()):
	"""A port for a server of this process, or for one that is to be missing. It is none of those that the system gives to whoever
	asks for any, so it stays free until it is used, and also while the server is down."""
	while True:
		with socket.socket() as s, contextlib.suppress(OSError):
			port = random.randrange(10000, 32768)
			s.bind(("127.0.0.1", port))
			if port not in given:
				given.add(port)
				return port


def zone_at_noon():
	"""A time zone where no day begins while a test runs."""
	return f"Etc/GMT{time.gmtime().tm_hour - 12:+d}"  # their signs are the other way round


class Result:
	def __init__(self, argv, status, out, err):
		self.argv, self.status, self.out, self.err = argv, status, out, err

	@property
	def json(self):
		return json.loads(self.out)

	def __str__(self):
		return f"$ postrider {' '.join(self.argv)}\n{self.out[-4000:]}{self.err[-4000:]}(exit {self.status})\n"


class World:
	def __init__(self, folder):
		self.folder, self.results, self.children, self.memory = folder, [], [], None

	def __enter__(self):
		return self

	def __exit__(self, *exc):
		for child in self.children:
			if child.poll() is None:
				child.kill()
				child.wait()
		if self.memory:
			shutil.rmtree(self.memory)

	def path(self, name):
		return os.path.join(self.folder, name)

	def write(self, name, text):
		with open(self.path(name), "w", encoding="utf-8") as f:
			f.write(text)
		return self.path(name)

	# ---- the program ----

	def environment(self):
		keep = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")}
		return {**keep, "LC_ALL": "C.UTF-8", "TZ": "UTC"}

	def note(self, argv):
		"""For untried.py."""
		argv = [str(a) for a in argv]
		with open(self.path("argv.jsonl"), "a") as f:
			f.write(json.dumps(argv) + "\n")
		return argv

	def run(self, *argv, expect=0, timeout=300, stdin=None):
		"""Runs a command in the folder; `expect` is an exit status, a tuple of them, or None for any. The
		limit is for what hangs: a machine with much else to do takes its time."""
		argv = self.note(argv)
		done = subprocess.run([PROGRAM, *argv], cwd=self.folder, capture_output=True, timeout=timeout, env=self.environment(),
			**({"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}))
		result = Result(argv, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
		self.results.append(result)
		if expect is not None:
			wanted = expect if isinstance(expect, tuple) else (expect,)
			assert result.status in wanted, f"exit {result.status}, wanted {expect}:\n{result}"
		return result

	def start(self, *argv, **kw):
		"""Starts a command in the background; its output goes to files, see finish()."""
		argv = self.note(argv)
		out = open(self.path(f"out.{len(self.children)}"), "w+b")
		child = subprocess.Popen([PROGRAM, *argv], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out,
			stderr=subprocess.PIPE if kw.get("pipe") else open(out.name + ".err", "wb"), env={**self.environment(), **kw.get("env", {})})
		child.argv, child.out = argv, out.name
		self.children.append(child)
		return child

	def serve(self):
		"""Starts the daemon; returns when it delivers."""
		child = self.start("serve")

		def delivers():
			with contextlib.closing(sqlite3.connect(self.path("postrider.db"), timeout=30)) as db:
				return child.poll() is not None or db.execute("SELECT 1 FROM lease WHERE pid = ?", (child.pid,)).fetchone()
		wait_until(delivers)
		return child

	def finish(self, child, expect=0, timeout=300):
		status = child.wait(timeout)
		result = Result(child.argv, status, open(child.out, errors="replace").read(), open(child.out + ".err", errors="replace").read())
		self.results.append(result)
		if expect is not None:
			wanted = expect if isinstance(expect, tuple) else (expect,)
			assert status in wanted, f"exit {status}, wanted {expect}:\n{result}"
		return result

	def transcript(self):
		return "".join(map(str, self.results[-8:]))

	# ---- what most tests begin with ----

	def in_memory(self):
		"""A database for configure() whose commits wait for no disk, for who says how fast things go; an ordinary one where there is
		no such place."""
		if not os.access("/dev/shm", os.W_OK):
			return "postrider.db"
		self.memory = self.memory or tempfile.mkdtemp(dir="/dev/shm")
		return os.path.join(self.memory, "postrider.db")

	def configure(self, port, **route):
		"""init, and a configuration with one relay. Keys of the route by keyword (ca_file= …); `extra`: more sections;
		`top`: keys before them; `zone`: the time zone; `database`: where it lies."""
		if not os.path.exists(self.path("postrider.key")):
			self.run("init", ".")
		extra, top, zone = route.pop("extra", ""), route.pop("top", ""), route.pop("zone", "UTC")
		database = route.pop("database", "postrider.db")
		if not os.path.exists(self.path(database)):
			shutil.move(self.path("postrider.db"), database)
		keys = {"kind": "relay", "host": "127.0.0.1", "port": port, **{k.replace("_", "-"): v for k, v in route.items()}}
		self.write("postrider.conf", f"database = {database}\nsecret = postrider.key\ntimezone = {zone}\n" + top
			+ "[sender]\nname = Kyoto Books\npostal-address = 1 Teramachi, Kyoto\ncontact = news@books.example\n"
			+ "[route main]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items() if v is not None)
			+ "[return-path]\ndomain = bounces.books.example\n[unsubscribe]\nurl = https://books.example/u?t={token}\n"
			+ ("" if "[brake]" in extra else "[brake]\nbounces = 100%\nblocks = 100%\n") + extra)

	def audience(self, count, name="news", address="r{}@x.example"):
		"""A list of that many contacts, imported; returns their addresses."""
		addresses = [address.format(i) for i in range(count)]
		with open(self.path(name + ".csv"), "w", newline="", encoding="utf-8") as f:
			rows = csv.writer(f)
			rows.writerow(["email", "first_name", "city"])
			rows.writerows([a, NAMES[i % 4], CITIES[i % 4]] for i, a in enumerate(addresses))
		self.run("import", name, name + ".csv")
		return addresses

	def message(self, text=MESSAGE, name="june.html"):
		self.write(name, text)
		return name

	def status(self, campaign):
		return self.run("--json", "status", campaign).json

	def deliveries(self, campaign):
		"""{address: row} of the report's CSV."""
		out = self.run("report", campaign, "--format", "csv").out
		return {row["address"]: row for row in csv.DictReader(io.StringIO(out.lstrip("\ufeff")))}

	def audit(self, campaign, sink, addresses):
		"""The promise: the states add up, every delivery has one, and `sent` is exactly what the sink took. Returns states."""
		status, rows, got = self.status(campaign), self.deliveries(campaign), sink.recipients()
		assert set(rows) == set(addresses), f"report and audience differ: {sorted(set(rows) ^ set(addresses))[:5]}"
		assert sum(status["counts"].values()) == status["audience"] == len(addresses), status
		states = {s: 0 for s in STATES}
		for address, row in rows.items():
			states[row["state"]] += 1
			taken = got.get(address, 0)
			doubted = int(row["doubted"] or 0) if row["doubted"].isdigit() else row["doubted"] in ("yes", "true")
			if row["state"] == "sent":
				assert taken >= 1, f"{address} is `sent`, and the server never took it"
			elif row["state"] != "doubt":
				assert taken == 0, f"{address} is `{row['state']}`, and the server took it"
			assert taken <= 1 or doubted, f"{address} was sent {taken} times without a doubt"
		shown = {s: status["counts"].get(s, 0) for s in STATES}
		assert states == shown, f"counts {shown} and rows {states} differ"
		skipped = self.run("--json", "report", campaign).json["skipped"]
		assert sum(s["deliveries"] for s in skipped) == states["skipped"], (skipped, states)
		ids = {}
		for m in sink.messages:
			for r in m.recipients:
				ids.setdefault(r, set()).add(m.header("Message-ID"))
		assert all(len(i) == 1 for i in ids.values()), "a repeat has another Message-ID"
		return {s: n for s, n in states.items() if n}


def wait_until(what, seconds=100, every=0.05):
	"""Waits until what() is true, and returns it. The limit is for a machine with much else to do: it says nothing of how long it may take."""
	end = time.monotonic() + seconds
	while True:
		value = what()
		if value or time.monotonic() > end:
			assert value, f"not within {seconds} s"
			return value
		time.sleep(every)


def interrupt(child, sig=signal.SIGINT):
	child.send_signal(sig)
