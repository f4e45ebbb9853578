"""A database that is carried elsewhere: copies are only read, backups come back whole, and nobody is mailed twice."""
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time

import harness
from harness import wait_until
from smtpd import Sink

COUNT = 40
SEND = ["send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "20s"]


def under_way(w, sink, **keys):
	"""A campaign that was stopped in its midst: it goes so slowly that there is time for it, and faster afterwards."""
	keys.update(connections=2, extra="[retry]\ndelays = 1s\nexpire = 1h\n")
	w.configure(sink.port, rate="2/s", **keys)
	w.addresses = w.audience(COUNT)
	w.message()
	first = w.start(*SEND)
	wait_until(lambda: len(sink.messages) > 1)
	first.send_signal(signal.SIGINT)
	w.finish(first, expect=75)
	w.configure(sink.port, **keys)


def another_machine(w, name):
	"""From now on the same folder, as seen from a machine that the database knows by another name."""
	with open(w.path("postrider.conf"), encoding="utf-8") as f:
		text = f.read()
	w.write("postrider.conf", "machine = " + name + "\n" + text)


def test_on_another_machine_it_is_only_read_until_adopted(w):
	with Sink() as sink:
		under_way(w, sink)
		had = len(sink.messages)
		another_machine(w, "elsewhere")
		for command in (["resume", "june"], SEND, ["import", "news", "news.csv"], ["suppressions", "add", "a@x.example"], ["pause", "june"]):
			refused = w.run(*command, expect=76)
			assert "another machine" in refused.err and "postrider adopt" in refused.err, refused
		assert w.run("--json", "resume", "june", expect=76).json["error"]["exit"] == 76
		assert w.status("june")["state"] == "interrupted"
		assert len(w.deliveries("june")) == COUNT

		told = w.run("adopt", expect=76)
		assert "june is paused" in told.out and f"{COUNT - had} of {COUNT} recipients had not been mailed" in told.out, told
		w.run("adopt", expect=65)
		status = w.status("june")
		assert (status["state"], status["why"]["id"]) == ("paused", "restored")
		assert w.run(*SEND, expect=76).out
		refused = w.run("resume", "june", expect=76)
		assert "--past-restore" in refused.err and f"{COUNT - had} of {COUNT}" in refused.err, refused
		w.run("resume", "june", "--past-brake", expect=76)
		assert len(sink.messages) == had
		w.run("resume", "june", "--past-restore")
		assert w.audit("june", sink, w.addresses) == {"sent": COUNT}
		assert any(json.loads(line)["what"] == "adopt" for line in w.run("--json", "history").out.splitlines())


def test_a_copy_beside_the_original_is_only_read(w):
	with Sink() as sink:
		under_way(w, sink)
		copy = w.path("copy")
		os.mkdir(copy)
		for name in os.listdir(w.folder):
			if os.path.isfile(w.path(name)):
				shutil.copy(w.path(name), copy)
		there = harness.World(copy)
		assert "still there" in there.run("resume", "june", expect=76).err
		assert len(there.deliveries("june")) == COUNT
		# Moved, with the original gone, it is no copy.
		shutil.rmtree(copy)
		os.mkdir(copy)
		for name in os.listdir(w.folder):
			if os.path.isfile(w.path(name)) and not name.startswith("out."):
				os.rename(w.path(name), os.path.join(copy, name))
		there.run("resume", "june")
		assert there.audit("june", sink, w.addresses) == {"sent": COUNT}


def test_scheduled_and_paused_campaigns_do_not_start_by_themselves(w):
	with Sink() as sink:
		w.configure(sink.port)
		w.audience(3)
		w.message()
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--at", "2s", expect=75)
		another_machine(w, "elsewhere")
		told = w.run("--json", "adopt", expect=76).json
		assert [c["campaign"] for c in told["paused"]] == ["june"] and "had not begun" in told["paused"][0]["text"], told
		server = w.serve()
		time.sleep(2.5)
		server.send_signal(signal.SIGTERM)
		w.finish(server)
		assert not sink.messages
		warned = w.run("send", "june.html", "--list", "news", "--name", "july", "--yes", "--again")
		assert "was a copy" in warned.err, warned
		assert len(sink.messages) == 3


# ---- backup and restore ----

def with_everything(w, sink, **keys):
	"""An installation with an include, a DKIM key in a folder of its own, reply rules, and a password."""
	w.run("init", ".")
	w.write("more.conf", "[retry]\ndelays = 1s\nexpire = 1h\n")
	w.write("my.rules", "")
	w.write("secret.txt", "hunter2\n")
	os.chmod(w.path("secret.txt"), 0o600)
	w.run("dkim", "keygen", "books.example", "--selector", "pr1", "--type", "ed25519")
	w.configure(sink.port, connections=2, top="rules = my.rules\ninclude = more.conf\n",
		extra="[dkim pr1]\ndomain = books.example\nkey = dkim/pr1.key\n"
		"[mailbox old]\nurl = imaps://mail.example/\nuser = me\npassword-file = secret.txt\n", **keys)


def mode(path):
	return os.stat(path).st_mode & 0o777


def elsewhere(w, name="there"):
	return harness.World(w.path(name))


def test_backup_while_sending_and_restore_elsewhere(w):
	count = 300
	with Sink() as sink:
		with_everything(w, sink, rate="60/s")
		addresses = w.audience(count)
		w.message()
		w.audience(2, "later", "late{}@x.example")
		w.run("send", "june.html", "--list", "later", "--name", "july", "--yes", "--again", "--at", "24h", expect=75)
		w.run("send", "june.html", "--list", "later", "--name", "may", "--yes", "--again")
		sink.hold = 250  # so that it is not over too soon
		sending = w.start(*SEND)
		wait_until(lambda: len(sink.messages) > 60)
		made = w.run("--json", "backup", "b.tar").json
		had = len(sink.messages)
		sink.hold = None
		w.finish(sending)
		assert mode(w.path("b.tar")) == 0o600
		with tarfile.open(w.path("b.tar")) as tar:
			names = tar.getnames()
		assert sorted(names) == sorted(["backup.json", "postrider.conf", "more.conf", "my.rules", "postrider.key", "dkim/pr1.key",
			"postrider.db", "SHA256SUMS"]), names
		assert names[0] == "backup.json" and names[-1] == "SHA256SUMS"
		assert [f["where"].split("/")[-1] for f in made["not_copied"]] == ["secret.txt"]
		# Without Postrider.
		os.mkdir(w.path("plain"))
		subprocess.run(["tar", "xf", "../b.tar"], cwd=w.path("plain"), check=True)
		subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=w.path("plain"), check=True)
		assert subprocess.run(["sqlite3", "plain/postrider.db", "PRAGMA integrity_check"], cwd=w.folder, capture_output=True, text=True).stdout == "ok\n"
		assert "hunter2" not in open(w.path("b.tar"), "rb").read().decode("latin-1")

		told = w.run("restore", "b.tar", "there", expect=76)
		assert "june is paused" in told.out and "july is paused" in told.out and "may is paused" not in told.out, told
		assert "secret.txt" in told.out and "who unsubscribed" in told.out, told
		there = elsewhere(w)
		assert sorted(n for n in os.listdir(there.folder) if not n.endswith(("-wal", "-shm"))) == [
			"dkim", "more.conf", "my.rules", "postrider.conf", "postrider.db", "postrider.key"]
		for name in ("postrider.db", "postrider.key", "dkim/pr1.key"):
			assert mode(there.path(name)) == 0o600, name
		assert open(there.path("postrider.key")).read() == open(w.path("postrider.key")).read()
		# It misses what no backup holds.
		lost = findings(there.run("--json", "doctor", expect=1))["files"]
		assert lost["where"].endswith("secret.txt"), lost
		shutil.copy(w.path("secret.txt"), there.path("secret.txt"))
		found = {f["id"]: f["severity"] for f in map(json.loads, there.run("--json", "doctor", "--database").out.splitlines())}
		assert found.pop("campaign") == "warn", "what is paused by the restore waits for somebody"
		assert set(found.values()) <= {"pass", "info"} and found["ledger"] == found["file"] == "pass", found
		status = there.status("june")
		sent, waits = status["counts"]["sent"], status["counts"]["queued"]
		assert (status["state"], status["why"]["id"]) == ("paused", "restored") and 0 < sent <= had and waits > 0, status
		refused = there.run("resume", "june", expect=76)
		assert f"of {count} recipients had not been mailed" in refused.err and "as of 20" in refused.err, refused
		# `serve` starts none of them either.
		server = there.serve()
		time.sleep(1.5)
		server.send_signal(signal.SIGTERM)
		there.finish(server)
		before = len(sink.messages)
		assert before == count + 2 and there.status("july")["why"]["id"] == "restored"
		there.run("resume", "june", "--past-restore")
		assert there.status("june")["counts"]["sent"] == count
		assert before < len(sink.messages) <= before + count - sent


def test_returned_mail_of_what_the_copy_does_not_know_changes_nobody(w):
	with Sink() as sink:
		with_everything(w, sink)
		w.audience(3)
		w.message()
		w.run("backup", "b.tar")
		w.audience(3, "news", "new{}@x.example")
		w.run(*SEND)
		links = {r: m.header("List-Unsubscribe") for m in sink.messages for r in m.recipients}
		senders = [m.sender for m in sink.messages]
		assert len(senders) == 6 and w.run("restore", "b.tar", "there").status == 0
		there = elsewhere(w)
		there.audience(9, "news", "other{}@x.example")
		there.message()
		there.run("send", "june.html", "--list", "news", "--name", "again", "--yes", "--again")
		for sender in senders:
			report = ("From: MAILER-DAEMON@x.example\nTo: <%s>\nSubject: failed\nMIME-Version: 1.0\nContent-Type: multipart/report; "
				"report-type=delivery-status; boundary=b\n\n--b\n\nfailed\n--b\nContent-Type: message/delivery-status\n\n"
				"Reporting-MTA: dns; x.example\n\nFinal-Recipient: rfc822; a@x.example\nAction: failed\nStatus: 5.1.1\n"
				"Diagnostic-Code: smtp; 550 5.1.1 unknown\n\n--b--\n") % sender
			there.run("receive", "--recipient", sender, stdin=report.encode())
		assert there.status("again")["counts"]["sent"] == 12 and len(links) == 6
		assert there.run("suppressions", "list").out.count("@") == 0


def test_restore_never_overwrites(w):
	with Sink() as sink:
		with_everything(w, sink)
		w.run("backup", "b.tar")
		assert "exists already" in w.run("backup", "b.tar", expect=73).err
		before = open(w.path("postrider.db"), "rb").read()
		assert "there already" in w.run("restore", "b.tar", expect=73).err
		assert open(w.path("postrider.db"), "rb").read() == before
		os.mkdir(w.path("there"))
		w.write("there/my.rules", "# other\n")
		assert "my.rules" in w.run("restore", "b.tar", "there", expect=73).err
		assert os.listdir(w.path("there")) in (["my.rules"], ["my.rules", "dkim"], ["dkim", "my.rules"])
		shutil.copy(w.path("my.rules"), w.path("there/my.rules"))
		w.run("restore", "b.tar", "there")
		# In its own place, when what was there is lost.
		for name in ("postrider.db", "postrider.conf", "postrider.key"):
			os.unlink(w.path(name))
		w.run("restore", "b.tar")
		assert w.run("import", "news", "-", stdin=b"email\na@x.example\n").status == 0


def test_a_backup_that_was_cut_or_altered_is_refused(w):
	with Sink() as sink:
		with_everything(w, sink)
		w.audience(50)
		w.run("backup", "b.tar")
		data = open(w.path("b.tar"), "rb").read()
		with tarfile.open(w.path("b.tar")) as tar:
			members = [(m.name, m.offset, m.offset_data, m.size) for m in tar]

		def refused(text, dir="there"):
			with open(w.path("bad.tar"), "wb") as f:
				f.write(text)
			os.chmod(w.path("bad.tar"), 0o600)
			result = w.run("restore", "bad.tar", dir, expect=65)
			assert "bad.tar" in result.err, result
			left = [n for _, _, files in os.walk(w.path(dir)) for n in files]
			assert left == [], (left, result)

		end = members[-1][2] + (members[-1][3] + 511) // 512 * 512
		for cut in [0, 1, 511, 512, 700, end, end + 512, end + 1023, *(m[1] for m in members), *(m[2] + m[3] // 2 for m in members)]:
			refused(data[:cut])
		for name, head, at, size in members:
			for place in (head, head + 100, head + 124, head + 156, at, at + size // 2, at + size - 1):
				refused(data[:place] + bytes([data[place] ^ 1]) + data[place + 1:])
		# A file more, a file twice.
		last = members[-2]
		twice = data[last[1]:last[2] + (last[3] + 511) // 512 * 512]
		refused(data[:members[-1][1]] + twice + data[members[-1][1]:])
		with open(w.path("bad.tar"), "wb") as f:
			f.write(b"not an archive at all\n" * 100)
		w.run("restore", "bad.tar", "there", expect=65)
		w.run("restore", "b.tar", "there")


def test_a_hostile_archive_writes_nowhere(w):
	"""Rightly summed up, but with names that lead elsewhere, links and devices."""
	w.run("init", ".")
	w.run("backup", "b.tar")
	with tarfile.open(w.path("b.tar")) as tar:
		files = {m.name: tar.extractfile(m).read() for m in tar}
	for evil in ("../evil", w.path("elsewhere"), "a/../../evil", "./evil", "a//evil", "link", "device"):
		manifest = json.loads(files["backup.json"])
		manifest["files"].append({"name": evil, "path": evil, "kind": "rules", "mode": "4777", "owner": "root"})
		members = {**files, "backup.json": json.dumps(manifest).encode(), evil: b"evil"}
		members.pop("SHA256SUMS")
		members["SHA256SUMS"] = "".join(f"{hashlib.sha256(t).hexdigest()}  {n}\n" for n, t in members.items()).encode()
		with tarfile.open(w.path("bad.tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
			for name, text in members.items():
				m = tarfile.TarInfo(name)
				m.size = len(text)
				if name == "link":
					m.type, m.linkname, m.size, text = tarfile.SYMTYPE, "/etc/passwd", 0, b""
				if name == "device":
					m.type, m.size, text = tarfile.FIFOTYPE, 0, b""
				tar.addfile(m, io.BytesIO(text))
		w.run("restore", "bad.tar", "there", expect=65)
		assert not os.path.exists(w.path("evil")) and not os.path.exists(w.path("elsewhere"))
		assert [n for _, _, f in os.walk(w.path("there")) for n in f] == []
	# Modes are ours to choose for what is secret.
	members = {**files}
	manifest = json.loads(files["backup.json"])
	for f in manifest["files"]:
		f["mode"] = "0666"
	members["backup.json"] = json.dumps(manifest).encode()
	members.pop("SHA256SUMS")
	members["SHA256SUMS"] = "".join(f"{hashlib.sha256(t).hexdigest()}  {n}\n" for n, t in members.items()).encode()
	with tarfile.open(w.path("open.tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
		for name, text in members.items():
			m = tarfile.TarInfo(name)
			m.size = len(text)
			tar.addfile(m, io.BytesIO(text))
	assert "read by others" in w.run("restore", "open.tar", "there").err
	assert mode(w.path("there/postrider.key")) == mode(w.path("there/postrider.db")) == 0o600


def test_disk_full_leaves_nothing(w):
	with Sink() as sink:
		with_everything(w, sink)
		w.audience(2000)
		w.run("backup", "b.tar")
		whole = os.path.getsize(w.path("b.tar"))
		def names():
			return sorted(n for n in os.listdir(w.folder) if not n.endswith(("-wal", "-shm")) and n != "there")

		before = names()
		for limit in (1000, 100000, whole // 2, whole - 2000):
			# No file may grow beyond it: as where a disk or a quota is full.
			run = subprocess.run(["prlimit", f"--fsize={limit}", harness.PROGRAM, "backup", "c.tar"], cwd=w.folder,
				capture_output=True, text=True, env=w.environment())
			assert run.returncode in (73, 74) and run.stderr.startswith("postrider: "), (limit, run)
			assert names() == before
			run = subprocess.run(["prlimit", f"--fsize={limit}", harness.PROGRAM, "restore", "b.tar", "there"], cwd=w.folder,
				capture_output=True, text=True, env=w.environment())
			assert run.returncode in (73, 74) or limit > os.path.getsize(w.path("postrider.db")), (limit, run)
			assert run.returncode == 0 or [n for _, _, f in os.walk(w.path("there")) for n in f] == [], (limit, run)


# ---- doctor ----

def findings(result):
	return {f["id"]: f for f in map(json.loads, result.out.splitlines())}


def test_doctor_while_sending(w):
	count = 400
	with Sink() as sink:
		w.configure(sink.port, connections=4)
		addresses = w.audience(count)
		w.message()
		sink.hold = 300  # so that it is not over too soon
		sending = w.start(*SEND, "--rate", "100/s")
		wait_until(lambda: len(sink.messages) > 20)
		looks = 0
		while sending.poll() is None:
			found = findings(w.run("--json", "doctor", "--database", expect=0))
			looks += sending.poll() is None
			sink.hold = None if looks >= 3 else sink.hold
			assert not [f for f in found.values() if f["severity"] in ("fail", "warn")], found
			if looks == 1:
				assert found["file"]["severity"] == "skip" and found["ledger"]["severity"] == "pass", found
		assert looks >= 3
		w.finish(sending)
		assert w.audit("june", sink, addresses) == {"sent": count}
		assert findings(w.run("--json", "doctor", "--database"))["file"]["severity"] == "pass"


def test_doctor_after_a_kill_and_on_a_copy(w):
	with Sink() as sink:
		w.configure(sink.port, connections=2, rate="2/s")
		w.audience(COUNT)
		w.message()
		sending = w.start(*SEND)
		wait_until(lambda: len(sink.messages) > 1)
		sending.kill()
		sending.wait()
		found = findings(w.run("--json", "doctor", "--database"))
		assert found["lease"]["severity"] == "info" and "ended without saying so" in found["lease"]["text"], found
		another_machine(w, "elsewhere")
		assert findings(w.run("--json", "doctor", "--database"))["home"]["severity"] == "warn"
		w.run("adopt", expect=76)
		home = [f for f in map(json.loads, w.run("--json", "doctor", "--database").out.splitlines()) if f["id"] == "home"]
		assert [f["severity"] for f in home] == ["info", "pass"] and "hour" not in home[0]["text"], "seconds ago it was a copy"


def test_doctor_finds_wrong_modes_and_damage(w):
	with Sink() as sink:
		with_everything(w, sink, user="me", password_file="secret.txt")
		assert "pass" in w.run("doctor").out
		for name in ("postrider.key", "postrider.db", "dkim/pr1.key", "secret.txt"):
			was = mode(w.path(name))
			os.chmod(w.path(name), 0o644)
			result = w.run("--json", "doctor", expect=1)
			found = findings(result)["files"]
			assert found["severity"] == "fail" and "chmod 600" in found["remedy"] and found["where"].endswith(name), result
			os.chmod(w.path(name), was)
		os.chmod(w.path("more.conf"), 0o666)
		assert findings(w.run("--json", "doctor", expect=1))["files"]["remedy"].startswith("chmod go-w")
		os.chmod(w.path("more.conf"), 0o644)
		w.run("doctor")
		w.audience(20)
		subprocess.run(["sqlite3", "postrider.db", "UPDATE list SET members = 7; DELETE FROM address WHERE contact = 3"],
			cwd=w.folder, check=True)
		result = w.run("doctor", "--database", expect=1)
		assert "it counts 7 members and has 20" in result.out and "cannot be found by their address" in result.out, result


# ---- what it creates ----

def test_what_it_creates_is_for_its_user_alone(w):
	"""Whatever the umask is when it starts."""
	with Sink() as sink:
		old = os.umask(0)
		try:
			w.run("init", "new")
			assert mode(w.path("new")) == 0o700
			w.configure(sink.port, extra="[log]\ndeliveries = deliveries.jsonl\nfile = serve.log\n")
			w.run("dkim", "keygen", "books.example")
			w.audience(3)
			w.message()
			w.run(*SEND)
			w.run("report", "june", "--format", "csv", "-o", "june.csv")
			w.run("import", "bad", "-", "--rejects", "rejects.csv", "--max-rejects", "5", stdin=b"email\na@x.example\nnothing\n")
			server = w.serve()
			wait_until(lambda: all(os.path.exists(w.path(name)) for name in ("serve.log", "postrider.db-wal")))
			for name in ("postrider.db", "postrider.db-wal", "postrider.db-shm", "postrider.key", "dkim", "dkim/pr1.key", "deliveries.jsonl",
				"serve.log", "june.csv", "rejects.csv"):
				assert mode(w.path(name)) & 0o077 == 0, f"{name} has mode {mode(w.path(name)):o}"
			# One that a person has opened to others stays so when it is written anew.
			os.chmod(w.path("june.csv"), 0o640)
			w.run("report", "june", "--format", "csv", "-o", "june.csv")
			assert mode(w.path("june.csv")) == 0o640
			server.send_signal(signal.SIGTERM)
			w.finish(server)
		finally:
			os.umask(old)
