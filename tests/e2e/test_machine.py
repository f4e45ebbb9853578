"""What the machine does to it: disks that are full or damaged, a database that others hold, descriptors used up, a clock that
jumps, several processes at everything at once."""
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import harness
import peers
from harness import MESSAGE, wait_until
from smtpd import Sink

FAULT = os.path.join(harness.BUILD, "fault", "postrider")  # the same objects, with a wall clock that can be moved
SEND = ["send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "20s"]
HOUR = 3600 * 1000


def begin(w, sink, count=150, **route):
	w.configure(sink.port, connections=4, **route)
	w.message()
	return w.audience(count)


class Clock:
	"""The wall clock of all commands of a world, from now on; that since boot stays."""

	def __init__(self, w):
		self.path = w.path("clock")
		self.ms = 0
		with open(self.path, "wb") as f:
			f.write(bytes(16))
		plain = w.environment
		w.environment = lambda: {**plain(), "FAULT_CLOCK": self.path}
		harness.PROGRAM = FAULT

	def jump(self, ms):
		self.ms += ms
		with open(self.path, "r+b") as f:
			f.write(self.ms.to_bytes(8, "little", signed=True))


# ---- the disk ----

class SmallDisk:
	def __init__(self, path, size):
		self.path, self.size = path, size
		os.makedirs(path)

	def __enter__(self):
		if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.path], capture_output=True).returncode:
			raise peers.Unavailable("no small disk can be mounted here")
		return self

	def __exit__(self, *exc):
		subprocess.run(["umount", "-l", self.path])

	def fill(self, most=1 << 40):
		"""Takes all that is left, or so much."""
		with open(os.path.join(self.path, "ballast"), "wb", buffering=0) as f:
			try:
				while most > 0:
					most -= f.write(bytes(4096))
			except OSError:
				pass

	def free(self):
		os.remove(os.path.join(self.path, "ballast"))


def on_small_disk(w, disk, sink, count, **route):
	"""Configuration and files here, the database there."""
	w.configure(sink.port, connections=2, **route)
	text = open(w.path("postrider.conf")).read()
	w.write("postrider.conf", text.replace("database = postrider.db", "database = small/postrider.db"))
	shutil.move(w.path("postrider.db"), w.path("small/postrider.db"))
	w.message()
	return w.audience(count)


def test_disk_full_while_importing(w):
	with Sink() as sink, SmallDisk(w.path("small"), "12m") as disk:
		on_small_disk(w, disk, sink, 50)
		disk.fill(9 << 20)
		w.write("many.csv", "email,city\n" + "".join(f"m{i}@x.example,{'Kyoto' * 20}\n" for i in range(30000)))
		full = w.run("import", "many", "many.csv", expect=74)
		assert "disk full" in full.err and "make room" in full.err, full
		assert "many" not in w.run("lists").out
		disk.free()
		w.run("import", "few", "news.csv")
		w.run("doctor", "--database")


def test_disk_full_while_sending(w):
	with Sink() as sink, SmallDisk(w.path("small"), "3m") as disk:
		addresses = on_small_disk(w, disk, sink, 300, rate="100/s")
		sink.hold = 60
		child = w.start(*SEND)
		wait_until(lambda: len(sink.messages) > 20)
		disk.fill()
		sink.hold = None
		ended = w.finish(child, expect=74)
		assert "disk full" in ended.err, ended
		had = set(sink.recipients())
		disk.free()
		doubt = {a for a, r in w.deliveries("june").items() if r["state"] in ("doubt", "sending")}
		w.run(*SEND)
		w.audit("june", sink, addresses)
		twice = {a for a, n in sink.recipients().items() if n > 1}
		assert twice <= doubt <= had | doubt and set(sink.recipients()) == set(addresses)


def test_disk_full_of_other_files(w):
	"""The delivery log stops and says so, sending does not; files that were asked for are an error, and none is left half."""
	with Sink() as sink, SmallDisk(w.path("small"), "64k") as disk:
		w.configure(sink.port, connections=2, extra="[log]\ndeliveries = small/deliveries.log\n")
		w.message()
		addresses = w.audience(200)
		disk.fill()
		w.run(*SEND)
		assert w.audit("june", sink, addresses) == {"sent": 200}
		for argv in (["report", "june", "--format", "html", "-o", "small/june.html"], ["export", "news", "-o", "small/news.csv"],
				["backup", "small/backup"]):
			failed = w.run(*argv, expect=None)
			if failed.status != 64:  # such an option may be missing
				assert failed.status in (73, 74) and "space" in failed.err.lower() + failed.err.replace("disk full", "space"), failed
		bad = w.write("bad.csv", "email\n" + "nobody\n" * 3000 + "good@x.example\n")
		failed = w.run("import", "bad", bad, "--rejects", "small/rejects.csv", "--max-rejects", "100%", expect=(73, 74))
		assert "postrider:" in failed.err
		assert os.listdir(w.path("small")) in (["ballast", "deliveries.log"], ["deliveries.log", "ballast"]), os.listdir(w.path("small"))
		w.run("report", "june", expect=0)
		assert w.run("export", "news").out.count("\n") == 201


def test_damaged_database(w):
	with Sink() as sink:
		begin(w, sink, 2000)
		w.run("lists")
		db = sqlite3.connect(w.path("postrider.db"))
		db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
		page, root = db.execute("PRAGMA page_size").fetchone()[0], db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'contact'").fetchone()[0]
		db.close()
		good = open(w.path("postrider.db"), "rb").read()

		def broken(data):
			for end in ("-wal", "-shm"):
				if os.path.exists(w.path("postrider.db" + end)):
					os.remove(w.path("postrider.db" + end))
			with open(w.path("postrider.db"), "wb") as f:
				f.write(data)
		noise = random.Random(1).randbytes(page)
		kinds = {"no database": b"hello\n" * 1000, "empty": b"", "cut off": good[:len(good) // 3],
			"a page": good[:(root - 1) * page] + noise + good[root * page:], "zeros": good[:page] + bytes(len(good) - page)}
		for kind, data in kinds.items():
			for argv in (["lists"], ["export", "news"], SEND, ["import", "news", "news.csv"], ["doctor", "--database"]):
				broken(data)
				done = w.run(*argv, expect=None)
				assert done.status in (0, 1, 65, 66), f"{kind}: {done}"
				assert argv[0] in ("lists", "doctor") or done.status == 65, f"{kind}: {done}"
				assert done.status in (0, 1) or "postrider: " in done.err, f"{kind}: {done}"
				if done.status == 65:
					assert open(w.path("postrider.db"), "rb").read() == data, f"{kind}: {argv[0]} wrote into it"
		broken(good)
		w.run(*SEND)
		assert len(sink.messages) == 2000


def test_database_of_a_newer_program(w):
	with Sink() as sink:
		begin(w, sink, 5)
		db = sqlite3.connect(w.path("postrider.db"))
		db.execute("PRAGMA user_version = 99")
		db.close()
		before = open(w.path("postrider.db"), "rb").read()
		for argv in (["lists"], SEND, ["import", "news", "news.csv"], ["suppressions", "add", "a@x.example"]):
			refused = w.run(*argv, expect=65)
			assert "newer" in refused.err, refused
		assert open(w.path("postrider.db"), "rb").read() == before and not sink.messages


# ---- others ----

class Lock:
	"""Somebody holds the database for writing."""

	def __init__(self, w):
		self.db = sqlite3.connect(w.path("postrider.db"), timeout=60, isolation_level=None, check_same_thread=False)

	def __enter__(self):
		self.db.execute("BEGIN IMMEDIATE")
		return self

	def __exit__(self, *exc):
		self.db.execute("ROLLBACK")
		self.db.close()


def test_database_held_by_another_process(w):
	with Sink() as sink:
		addresses = begin(w, sink, 150, rate="50/s")
		sink.hold = 60
		child = w.start(*SEND)
		wait_until(lambda: len(sink.messages) > 20)
		with Lock(w):
			sink.hold = None
			others = [w.start("import", "other", "news.csv"), w.start("suppressions", "add", "nobody@x.example")]
			time.sleep(4)
			assert all(c.poll() is None for c in (child, *others)), "they do not wait"
			assert w.run("status", "june").status == 0, "who reads waits for nobody"
		for c in (child, *others):
			w.finish(c)
		assert w.audit("june", sink, addresses) == {"sent": 150}
		with Lock(w):
			start = time.monotonic()
			busy = w.run("suppressions", "add", "nobody2@x.example", expect=75)
			assert "another process" in busy.err and 8 < time.monotonic() - start < 60, busy


def test_everything_at_once(w):
	"""Two daemons, of which the one that delivers is killed again and again, while people are imported, unsubscribed and
	campaigns launched, and copies made."""
	with Sink() as sink:
		sink.hold = 350  # the last ones are taken when the kills are done
		addresses = begin(w, sink, 400, rate="60/s")
		daemons = [w.start("serve"), w.start("serve")]
		w.run(*SEND, "--detach", expect=(0, 75))
		stop, faults = threading.Event(), []

		def beside(*commands):
			n = 0
			while not stop.is_set():
				for argv in commands:
					done = subprocess.run([harness.PROGRAM, *(str(a).format(n=n) for a in argv)], cwd=w.folder, capture_output=True, env=w.environment())
					if done.returncode not in (0, 75):
						faults.append((argv, done.returncode, done.stderr))
					n += 1
		threads = [threading.Thread(target=beside, args=c, daemon=True) for c in (
			[["import", "other", "news.csv", "--source", "{n}"]], [["suppressions", "add", "s{n}@y.example"], ["export", "news"]],
			[["backup", "copy.{n}"], ["--json", "status", "june"]])]
		for t in threads:
			t.start()
		kills = 0
		while kills < 3:
			time.sleep(1.2)
			holder = w.run("--json", "status", "june", expect=None).json.get("holder") or {}
			for i, d in enumerate(daemons):
				if d.poll() is None and d.pid == holder.get("pid"):
					d.kill()
					d.wait()
					kills += 1
					daemons[i] = w.start("serve")
		sink.hold = None
		wait_until(lambda: w.status("june")["state"] == "finished")
		stop.set()
		for t in threads:
			t.join(30)
		for d in daemons:
			d.send_signal(signal.SIGTERM)
			w.finish(d, expect=(0, 75))
		assert not faults, faults[:3]
		w.audit("june", sink, addresses)
		# Who was in doubt twice stays so, and may have nothing.
		doubt = {a for a, r in w.deliveries("june").items() if r["state"] == "doubt"}
		assert set(addresses) - set(sink.recipients()) <= doubt
		w.run("doctor", "--database")


def test_interrupted_while_names_are_looked_up(w):
	"""Whoever looks up a server's name for long tells it to workers that are still there."""
	with Sink() as sink:
		addresses = begin(w, sink, 20, rate="5/s")
		plain, harness.PROGRAM = w.environment, FAULT
		w.environment = lambda: {**plain(), "FAULT_POINT": "resolved:1:2000", "FAULT_REPORT": w.path("report")}
		child = w.start(*SEND)
		wait_until(lambda: os.path.exists(w.path("report")) and "sleeps at resolved" in open(w.path("report")).read())
		child.send_signal(signal.SIGINT)
		w.finish(child, expect=75)
		w.environment = plain
		w.run(*SEND)
		assert w.audit("june", sink, addresses) == {"sent": 20}


# ---- descriptors ----

def test_few_descriptors(w):
	"""With however few: it works, or it says what is missing, and goes on when there are more."""
	with Sink() as sink:
		addresses, done, refused = begin(w, sink, 30), False, 0
		for most in range(4, 40, 3):
			child = subprocess.run([harness.PROGRAM, *SEND[:-1], "3s"], cwd=w.folder, capture_output=True, text=True, env=w.environment(), timeout=300,
				preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))
			assert child.returncode >= 0, f"{most} descriptors: {child.returncode} {child.stderr}"
			if child.returncode == 0:
				done = True
				break
			refused += 1
			assert child.returncode == 127 or "postrider:" in child.stderr, f"{most} descriptors: {child.returncode} {child.stderr}"
		assert refused > 0
		if not done:
			w.run(*SEND)
		w.audit("june", sink, addresses)
		assert set(sink.recipients()) == set(addresses)


def test_descriptors_used_up_while_sending(w):
	with Sink() as sink:
		addresses = begin(w, sink, 200, rate="40/s", messages_per_connection=5)
		child = w.start(*SEND)
		wait_until(lambda: len(sink.messages) > 20)
		was = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
		resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (3, was[1]))
		time.sleep(3)
		assert child.poll() is None, "too few descriptors for a moment are the end of a campaign"
		resource.prlimit(child.pid, resource.RLIMIT_NOFILE, was)
		w.finish(child)
		assert w.audit("june", sink, addresses) == {"sent": 200}


# ---- the clock ----

def test_clock_jumps_while_sending(w):
	"""Another process watches: a clock that is set is no reason to take over from somebody who is alive."""
	with Sink() as sink:
		clock = Clock(w)
		addresses = begin(w, sink, 240, rate="20/s")
		sink.hold = 200
		first = w.start(*SEND)
		wait_until(lambda: len(sink.messages) > 10)
		second = w.start("resume", "june", "--patience", "20s")
		holders = set()
		for ms in (2 * HOUR, -4 * HOUR, 50 * HOUR, -48 * HOUR, 90 * 1000):
			clock.jump(ms)
			time.sleep(0.8)
			holders.add((w.status("june")["holder"] or {}).get("pid"))
		sink.hold = None
		w.finish(first)
		w.finish(second)
		assert w.audit("june", sink, addresses) == {"sent": 240}
		assert holders == {first.pid}, holders
		assert len(sink.messages) == 240


def test_clock_jumps_over_schedule_and_retries(w):
	class Busy(Sink):
		ready = False

		async def rcpt(self, s, address):
			return "250 ok" if self.ready else "451 4.3.0 come back"
	with Busy() as sink:
		clock = Clock(w)
		addresses = begin(w, sink, 20, extra="[retry]\ndelays = 1h\nexpire = 1d\n")
		daemon = w.serve()
		w.run(*SEND, "--at", "30m", "--detach")
		time.sleep(1)
		assert w.status("june")["state"] == "scheduled"
		clock.jump(HOUR)
		wait_until(lambda: w.status("june")["counts"]["deferred"] == 20)
		clock.jump(-3 * HOUR)  # what is due stays due at its time; nothing is lost, nothing is early
		time.sleep(1)
		assert w.status("june")["counts"]["deferred"] == 20
		sink.ready = True
		clock.jump(5 * HOUR)
		wait_until(lambda: w.status("june")["state"] == "finished")
		assert w.audit("june", sink, addresses) == {"sent": 20}
		w.message(MESSAGE.replace("June", "July"), "july.html")
		w.run("send", "july.html", "--list", "news", "--name", "july", "--yes", "--at", "10m", "--detach")
		clock.jump(3 * HOUR)  # over its start by more than an hour: a person decides
		wait_until(lambda: w.status("july")["state"] == "paused")
		assert w.status("july")["why"]["id"] == "missed"
		daemon.send_signal(signal.SIGTERM)
		w.finish(daemon, expect=(0, 75))


def test_clock_jumps_and_quotas(w):
	"""Set back, the clock opens no window anew; a holder that has died is replaced whatever the clock says."""
	with Sink() as sink:
		clock = Clock(w)
		addresses = begin(w, sink, 30, rate="12/h")
		child = w.start(*SEND[:-1], "forever")
		wait_until(lambda: len(sink.messages) == 12 and w.status("june")["counts"]["sent"] == 12)
		child.kill()
		child.wait()
		clock.jump(-2 * HOUR)
		child = w.start("resume", "june", "--patience", "forever")
		time.sleep(2)
		assert len(sink.messages) == 12, "the hour's quota was used again"
		clock.jump(4 * HOUR)
		wait_until(lambda: len(sink.messages) == 24)
		child.send_signal(signal.SIGTERM)
		w.finish(child, expect=75)
		assert w.audit("june", sink, addresses)["sent"] == 24
