"""`postrider sandbox`: each fate is met, seen for what it is by the sender, and the same in the sandbox's own log."""
import glob
import json
import os
import re
import smtplib
import ssl

from harness import interrupt, wait_until

FATES = {  # address: (state, class, reason, attempts; None: any)
	"ann@example.com": ("sent", "", "", 1),
	"bounce@gmail.com": ("bounced", "hard", "user-unknown", 1),
	"bounce@docomo.ne.jp": ("bounced", "hard", "user-unknown", 1),
	"x-full@icloud.com": ("bounced", "soft", "mailbox-full", 1),
	"disabled@example.org": ("bounced", "soft", "user-disabled", 1),
	"block@hotmail.com": ("blocked", "block", "blocklist", 1),
	"a+spam@example.com": ("blocked", "message", "content-spam", 1),
	"big@example.com": ("blocked", "message", "message-too-large", 1),
	"greylist@example.com": ("sent", None, None, 2),
	"defer-2@example.net": ("sent", None, None, 3),
	"anyone@slow.example": ("sent", "", "", 1),
	"drop@example.com": ("sent", None, None, None),
	"drop-data@example.com": ("sent", None, None, 2),
	"drop-end@example.com": ("sent", None, None, 2),
}


def start(w, *options):
	child = w.start("sandbox", "--port", 0, *options)
	port = wait_until(lambda: re.search(r"127\.0\.0\.1:(\d+)", open(child.out).read()))
	return child, int(port.group(1))


def stop(w, child):
	interrupt(child)
	lines = w.finish(child).out.splitlines()[1:]
	return {name: int(n.replace(",", "")) for name, n in (line.split() for line in lines)}


def test_fates(w):
	fates(w, "no")


def test_fates_with_several_under_way(w):
	"""What a lost connection takes along costs attempts, never the truth."""
	fates(w, "yes")


def fates(w, chunking):
	child, port = start(w, "--log", w.path("sandbox.log"))
	w.configure(port, connections=2, chunking=chunking, extra="[retry]\ndelays = 1s\nexpire = 1h\n")
	w.write("news.csv", "email\n" + "\n".join(FATES) + "\n")
	w.run("import", "news", "news.csv")
	w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "60s")
	rows = w.deliveries("june")
	for address, (state, kind, reason, attempts) in FATES.items():
		row = rows[address]
		# What hung up with another message and then with this one is in doubt for good.
		lost_twice = chunking == "yes" and address.startswith("drop") and row["state"] == "doubt"
		assert row["state"] == state or lost_twice, (address, row)
		assert lost_twice or kind is None or (row["class"], row["reason"]) == (kind, reason), (address, row)
		assert attempts is None or chunking == "yes" or int(row["attempts"]) == attempts, (address, row)
	suppressed = w.run("suppressions", "list").out
	for address, (_, kind, _, _) in FATES.items():
		assert (address in suppressed) == (kind == "hard"), address
	counts = stop(w, child)
	log = [json.loads(line) for line in open(w.path("sandbox.log"))]
	taken = {}
	for line in log:
		if line["taken"]:
			taken.setdefault(line["rcpt"], set()).add(line["message_id"])
	assert {a for a in FATES if rows[a]["state"] == "sent"} <= set(taken) <= {a for a, f in FATES.items() if f[0] == "sent"}
	assert all(len(ids) == 1 for ids in taken.values()), "a repeat has another Message-ID"
	assert counts["accepted"] + counts["refused"] + counts["deferred"] + counts["dropped"] == len(log)


def test_sender_refused(w):
	child, port = start(w)
	w.configure(port)
	text = open(w.path("postrider.conf")).read().replace("domain = bounces.books.example", "address = news.refused@books.example")
	w.write("postrider.conf", text)
	addresses = w.audience(3)
	w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", expect=77)
	status = w.status("june")
	assert status["why"]["id"] == "sender-refused" and status["counts"]["queued"] == len(addresses), status
	assert stop(w, child)["messages"] == 0


def test_quota(w):
	child, port = start(w)
	w.configure(port, connections=1)
	w.audience(3, address="quota{}@quota.example")
	w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "0", expect=75)
	status = w.status("june")
	assert status["why"] is None and status["counts"]["queued"] == 3, status
	stop(w, child)


def test_tls_login_and_keep(w):
	child, port = start(w, "--tls", "--ca-out", w.path("ca.pem"), "--auth", "ann:pass", "--keep", w.path("mail"))
	with smtplib.SMTP("localhost", port) as s:
		s.starttls(context=ssl.create_default_context(cafile=w.path("ca.pem")))
		s.login("ann", "pass")
		s.sendmail("news@books.example", ["ann@example.com"], "Subject: hello\r\n\r\n.dot\r\n")
	kept = os.listdir(w.path("mail/new"))
	assert len(kept) == 1
	text = open(os.path.join(w.path("mail/new"), kept[0]), newline="").read()
	assert text == "X-Envelope-From: <news@books.example>\r\nX-Envelope-To: <ann@example.com>\r\nSubject: hello\r\n\r\n.dot\r\n"
	assert stop(w, child)["accepted"] == 1


def test_mistakes(w):
	w.run("sandbox", "--rates", "unknown=200%", expect=64)
	w.run("sandbox", "--rtt", "soon", expect=64)
	w.run("sandbox", "--ca-out", "ca.pem", expect=64)
	w.run("sandbox", "--profile", "no-such", expect=66)
	w.run("sandbox", "--port", 0, "--log", "missing/log", expect=73)


def test_a_rehearsal(w):
	"""The whole campaign to a sandbox of its own; the real database and the real server learn nothing of it."""
	w.configure(9)
	w.audience(300)
	w.message()
	done = w.run("--json", "send", "june.html", "--list", "news", "--name", "june", "--rehearse", expect=(0, 75))
	counts = done.json["counts"]
	assert sum(counts.values()) == done.json["audience"] == 300 and counts["sent"] > 270, done
	assert counts.get("queued", 0) == 0 and counts.get("bounced", 0) > 0
	w.run("status", "june", expect=66)


def test_a_rehearsal_leaves_no_copy_behind(w):
	"""Wherever it is interrupted: everybody's addresses are in it."""
	w.configure(9)
	w.message()
	w.audience(150000)
	os.makedirs(w.path("tmp"))
	for wait, size in ("rehearsal.db", 0), ("rehearsal.db-wal", 0), ("rehearsal.db-wal", 2 << 20):  # copies; begins; has its audience
		child = w.start("send", "june.html", "--list", "news", "--name", "june", "--rehearse", env={"TMPDIR": w.path("tmp")})
		wait_until(lambda: any(grown(p, size) for p in glob.glob(w.path("tmp/*/" + wait))) or child.poll() is not None, every=0.001)
		interrupt(child)
		done = w.finish(child, expect=75)
		assert "rehearsal: interrupted; nothing was recorded" in done.err and os.listdir(w.path("tmp")) == [], (wait, size)


def grown(path, size):
	try:
		return os.path.getsize(path) >= size
	except FileNotFoundError:
		return False


def test_a_rehearsal_is_not_resumed(w):
	"""Its first ten went, and it pauses: its database is gone with it."""
	w.configure(9)
	w.audience(100)
	w.message()
	argv = ("send", "june.html", "--list", "news", "--name", "june", "--rehearse", "--first", "10")
	done = w.run(*argv, expect=(0, 75, 79))
	assert "postrider resume" not in done.out + done.err and "start it again" in done.out, done
	why = w.run("--json", *argv, expect=(0, 75, 79)).json["why"]
	assert why["id"] == "canary" and "start it again" in why["remedy"], why
