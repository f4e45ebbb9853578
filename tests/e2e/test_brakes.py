"""A campaign that does harm stops itself: by shares, for one provider, again after it was told to go on."""
import contextlib
import json
import re
import sqlite3

from harness import interrupt, wait_until
from nameserver import Nameserver
from smtpd import Sink
from test_direct import direct, domain
from test_sandbox import start, stop

BRAKE = "[brake]\nbounces = 5%\nblocks = 10%\nafter = 40\n[retry]\ndelays = 1s\nexpire = 1h\n"


def world(w, profile, people):
	w.write("profile", profile)
	child, port = start(w, "--profile", "profile")
	w.configure(port, connections=2, extra=BRAKE)
	bring(w, people)
	return child


def bring(w, people):
	w.write("news.csv", "email\n" + "\n".join(people) + "\n")
	w.run("import", "news", "news.csv")


def pause_docomo(w, sink, sender, after):
	"""When the server has so many, and before it has all; mail to docomo is then all that is left."""
	wait_until(lambda: len(sink.messages) > after)
	w.run("pause", "june", "--provider", "docomo")
	sink.hold = None
	w.finish(sender, expect=76)
	rows = w.deliveries("june").values()
	assert {r["provider"] for r in rows if r["state"] == "queued"} == {"docomo"}, w.status("june")
	assert all(r["state"] == "sent" for r in rows if r["provider"] != "docomo")


def send(w, *options, expect=0):
	return w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "20s", *options, expect=expect)


def test_bounces(w):
	people = [f"{'bad' if i % 4 == 0 else 'r'}{i}@x.example" for i in range(400)]
	child = world(w, "bad*@x.example unknown\n", people)
	send(w, expect=76)
	status = w.status("june")
	counts = status["counts"]
	assert status["state"] == "paused" and status["why"]["id"] == "brake-bounces", status
	assert "--past-brake" in status["why"]["remedy"] and "550" in status["why"]["text"], status
	answered = counts["sent"] + counts["bounced"]
	assert 40 <= answered <= 40 + 2 * 16 and counts["queued"] == 400 - answered, counts
	# Nothing goes on by accident.
	for again in (w.run("resume", "june", expect=76), send(w, expect=76)):
		assert "brake" in again.out + again.err
	assert w.status("june")["counts"] == counts
	# Armed anew it counts from there, and stops it again.
	w.run("resume", "june", "--past-brake", "--patience", "20s", expect=76)
	more = w.status("june")["counts"]
	answered = more["sent"] + more["bounced"] - answered
	assert 40 <= answered <= 40 + 2 * 16, (counts, more)
	report = w.run("report", "june").out
	assert "brake-bounces" in report and "--past-brake" in report, report
	stop(w, child)


def test_a_restart_counts_on(w):
	"""Two runs of 30 answers each: only together they are enough for the brake."""
	people = [f"{'bad' if i % 4 == 0 else 'r'}{i}@x.example" for i in range(200)]
	child = world(w, "bad*@x.example unknown\n", people)
	send(w, "--first", "30", expect=76)
	assert w.status("june")["why"]["id"] == "canary"
	w.run("resume", "june", "--rate", "10/s", "--patience", "20s", expect=76)
	status = w.status("june")
	counts = status["counts"]
	assert status["why"]["id"] == "brake-bounces", status
	assert counts["sent"] + counts["bounced"] < 60, counts
	stop(w, child)


def test_one_provider_refuses_all(w):
	people = [f"r{i}@{'docomo.ne.jp' if i % 2 else 'gmail.com'}" for i in range(200)]
	child = world(w, "*@docomo.ne.jp block\n", people)
	send(w, expect=76)
	status = w.status("june")
	counts = status["counts"]
	assert status["state"] == "paused" and status["why"]["id"] == "brake-blocks", status
	assert [p["provider"] for p in status["paused_providers"]] == ["docomo"], status
	assert counts["sent"] == 100 and 10 <= counts["blocked"] <= 10 + 2 * 16, counts
	assert counts["queued"] == 100 - counts["blocked"] and sum(counts.values()) == 200, counts
	assert "docomo refuses everything" in w.run("status", "june").out
	w.run("resume", "june", expect=76)
	stop(w, child)
	# The cause is gone.
	child, port = start(w)
	w.configure(port, connections=2, extra=BRAKE)
	w.run("resume", "june", "--past-brake", "--patience", "20s")
	after = w.status("june")
	assert after["counts"]["sent"] == 200 - counts["blocked"] and after["paused_providers"] == [], after
	stop(w, child)


def test_nobody_takes_anything(w):
	child = world(w, "*@x.example block\n", [f"r{i}@x.example" for i in range(300)])
	send(w, expect=76)
	status = w.status("june")
	assert status["why"]["id"] == "brake-blocks" and "refuses everything" in status["why"]["text"], status
	assert status["counts"]["blocked"] < 50, status
	stop(w, child)


def test_pause_one_provider_by_hand(w):
	people = [f"r{i}@{'docomo.ne.jp' if i % 2 else 'gmail.com'}" for i in range(100)]
	with Sink() as sink:
		w.configure(sink.port, connections=2, extra=BRAKE)
		bring(w, people)
		assert "docomo" in w.run("pause", "--all", "--provider", "docomoo", expect=66).err
		sink.hold = 10
		sender = w.start("send", w.message(), "--list", "news", "--name", "june", "--yes", "--rate", "20/s", "--patience", "20s")
		pause_docomo(w, sink, sender, 4)
		status = w.status("june")
		assert status["why"]["id"] == "user", status
		told = w.run("pause", "june", "--provider", "google", expect=65)
		assert "paused as a whole" in told.err and "lifts both" in told.err, told
		w.run("resume", "june", "--patience", "20s", "--rate", "100/s")
		assert w.status("june")["counts"]["sent"] == 100


def test_what_is_over_is_not_paused(w):
	"""A small list, all bad: when the brake could act, nothing is left that it would spare."""
	child = world(w, "*@x.example unknown\n", [f"r{i}@x.example" for i in range(40)])
	send(w)
	assert w.status("june")["state"] == "finished"
	stop(w, child)


def test_pause_all_while_one_ends(w):
	with Sink() as sink:
		w.configure(sink.port)
		w.message()
		w.audience(2)
		for name in ["one", "two", "three"]:
			w.run("send", "june.html", "--list", "news", "--name", name, "--at", "2h", "--yes", "--again", expect=75)
		w.run("cancel", "one")
		with contextlib.closing(sqlite3.connect(w.path("postrider.db"))) as db:
			over = db.execute("SELECT state FROM campaign WHERE name = 'one'").fetchone()[0]
			db.execute("UPDATE campaign SET state = (SELECT state FROM campaign WHERE name = 'two') WHERE name = 'one'")
			db.execute("CREATE TRIGGER t AFTER UPDATE OF state ON campaign WHEN NEW.name <> 'two' "
				f"BEGIN UPDATE campaign SET state = {over} WHERE name = 'two'; END")
			db.commit()
		w.run("pause", "--all")
		assert [w.status(name)["state"] for name in ["one", "two", "three"]] == ["paused", "cancelled", "paused"]


def test_dialogue(w):
	"""`trace` shows what was said with an address that failed; `forget` erases it."""
	child = world(w, "bad@x.example unknown\n", ["bad@x.example", "good@x.example"])
	send(w)
	out = w.run("trace", "bad@x.example").out
	lines = [line.strip() for line in out.splitlines()]
	for part in ("* connected to", "< 220 ", "> EHLO ", "> MAIL FROM:<b-", "> RCPT TO:<bad@x.example>", "< 550 5.1.1 "):
		assert any(re.match(r"\d+\.\d{3} " + re.escape(part), line) for line in lines), (part, out)
	assert "June list" not in out
	tries = w.run("--json", "trace", "bad@x.example").json["deliveries"][0]["tries"]
	assert any("RCPT TO:<bad@x.example>" in line for line in tries[0]["dialogue"]), tries
	assert w.run("--json", "trace", "good@x.example").json["deliveries"][0]["tries"][0]["dialogue"] == []
	w.run("contact", "forget", "bad@x.example", "--yes", expect=(0, 64))
	w.run("contact", "forget", "bad@x.example", expect=None)
	path = re.search(r"MAIL FROM:<(b-[^>]+)>", out)[1]
	assert w.run("trace", path).out.startswith("somebody who was forgotten\n  campaign june"), "there is no address, and no date"
	import sqlite3
	db = sqlite3.connect(w.path("postrider.db"))
	assert db.execute("SELECT count(*) FROM dialogue WHERE text LIKE '%bad@x%'").fetchone() == (0,)
	stop(w, child)


def test_held(w):
	"""A receiver that suddenly calls a third of its people unknown is not believed at once."""
	people = [f"{'bad' if i % 3 == 0 else 'r'}{i}@docomo.ne.jp" for i in range(400)] + [f"bad{i}@gmail.com" for i in range(5)]
	w.write("profile", "bad*@docomo.ne.jp unknown\nbad*@gmail.com unknown\n")
	child, port = start(w, "--profile", "profile")
	w.configure(port, connections=2)
	bring(w, people)
	send(w)
	rows = [json.loads(line) for line in w.run("--json", "suppressions", "list", "--provider", "docomo").out.splitlines()]
	assert len(rows) == 134 and all(r["held_until"] for r in rows), rows[:3]
	firm = [json.loads(line) for line in w.run("--json", "suppressions", "list", "--provider", "google").out.splitlines()]
	assert len(firm) == 5 and not any(r["held_until"] for r in firm), firm
	assert "suppressions add" in w.run("suppressions", "why", "bad0@docomo.ne.jp").out
	w.run("suppressions", "add", "bad0@docomo.ne.jp")
	assert w.run("--json", "suppressions", "why", "bad0@docomo.ne.jp").json["held_until"] is None
	out = w.run("suppressions", "remove", "--held", "--provider", "docomo", "--note", "their directory was down").out
	assert "133 removed" in out, out
	left = w.run("suppressions", "list").out
	assert "bad0@docomo.ne.jp" in left and "bad3@docomo.ne.jp" not in left and "bad0@gmail.com" in left
	stop(w, child)


def test_held_across_the_brake(w):
	"""The brake stops the campaign in the middle of such a burst, and once more: all of it is held."""
	w.write("profile", "bad*@docomo.ne.jp unknown\n")
	child, port = start(w, "--profile", "profile")
	w.configure(port, connections=2, extra="[brake]\nbounces = 5%\ncomplaints = 0%\nafter = 200\n")
	people = [f"{'bad' if i % 5 == 0 else 'r'}{i}@docomo.ne.jp" for i in range(400)]
	bring(w, people)
	send(w, "--first", "150", expect=76)
	out = w.run("resume", "june", "--patience", "20s", expect=76)
	assert "campaign june paused (brake-bounces)" in out.err, out.err
	w.run("resume", "june", "--past-brake", "--patience", "20s", expect=(0, 76))
	rows = [json.loads(line) for line in w.run("--json", "suppressions", "list", "--provider", "docomo").out.splitlines()]
	counts = w.status("june")["counts"]
	assert len(rows) == counts["bounced"] > 60, (len(rows), counts)
	assert all(r["held_until"] for r in rows), [r for r in rows if not r["held_until"]]
	assert re.search(r"limit +from 200 +5 % .* off\n", w.run("report", "june").out)
	stop(w, child)


def test_one_provider_refuses_first(w):
	"""Its mail comes first in the list: it alone waits, the others get theirs."""
	people = [f"r{i}@docomo.ne.jp" for i in range(60)] + [f"r{i}@d{i}.example" for i in range(100)]
	child = world(w, "*@docomo.ne.jp block\n", people)
	send(w, expect=76)
	status = w.status("june")
	assert [p["provider"] for p in status["paused_providers"]] == ["docomo"], status
	assert status["counts"]["sent"] == 100, status
	stop(w, child)


FAST = "[provider docomo]\nrate = 200/s\nconnections = 4\n"


def test_direct(w):
	"""Straight to the hosts: one provider refuses all, and its domains wait; the others get theirs."""
	records = {"mx.docomo.example": {"A": ["127.0.0.1"]}, "mx1.good.example": {"A": ["127.0.0.1"]},
		"docomo.ne.jp": domain((10, "mx.docomo.example")), "good.example": domain((10, "mx1.good.example")),
		"fine.example": domain((10, "mx1.good.example"))}
	w.write("profile", "*@docomo.ne.jp block\n")
	child, port = start(w, "--profile", "profile")
	people = [f"r{i}@{('docomo.ne.jp', 'good.example', 'fine.example')[i % 3]}" for i in range(180)]
	with Nameserver(records) as dns:
		direct(w, dns, port, extra=BRAKE + FAST)
		bring(w, people)
		send(w, expect=76)
		status = w.status("june")
		counts = status["counts"]
		assert status["why"]["id"] == "brake-blocks" and [p["provider"] for p in status["paused_providers"]] == ["docomo"], status
		assert counts["sent"] == 120 and 10 <= counts["blocked"] < 60 and counts["queued"] == 60 - counts["blocked"], counts
		stop(w, child)
		child, port = start(w)
		direct(w, dns, port, extra=BRAKE + FAST)
		w.run("resume", "june", "--past-brake", "--patience", "20s")
		assert w.status("june")["counts"]["sent"] == 180 - counts["blocked"]
	stop(w, child)


def test_direct_pause_one_provider(w):
	records = {"mx1.good.example": {"A": ["127.0.0.1"]}, "docomo.ne.jp": domain((10, "mx1.good.example")),
		"good.example": domain((10, "mx1.good.example"))}
	people = [f"r{i}@{('docomo.ne.jp', 'good.example')[i % 2]}" for i in range(100)]
	with Nameserver(records) as dns, Sink() as sink:
		direct(w, dns, sink.port, extra=FAST)
		bring(w, people)
		sink.hold = 10
		sender = w.start("send", w.message(), "--list", "news", "--name", "june", "--yes", "--rate", "20/s", "--patience", "20s")
		pause_docomo(w, sink, sender, 4)
		w.run("resume", "june", "--patience", "20s", "--rate", "100/s")
		assert w.status("june")["counts"]["sent"] == 100


def test_the_canary_is_over_once(w):
	"""What waits for one provider after the first ones were looked at is not the first ones again."""
	records = {"mx1.good.example": {"A": ["127.0.0.1"]}, "docomo.ne.jp": domain((10, "mx1.good.example")),
		"good.example": domain((10, "mx1.good.example"))}
	people = [f"r{i}@{('docomo.ne.jp', 'good.example')[i % 2]}" for i in range(100)]
	with Nameserver(records) as dns, Sink() as sink:
		direct(w, dns, sink.port, extra=FAST)
		bring(w, people)
		send(w, "--first", "10", expect=76)
		assert w.status("june")["why"]["id"] == "canary"
		sink.hold = 20
		sender = w.start("resume", "june", "--rate", "20/s", "--patience", "20s")
		pause_docomo(w, sink, sender, 12)
		assert w.status("june")["why"]["id"] == "user", w.status("june")


def report(sender, address, text):
	return (f"From: MAILER-DAEMON@mx.example\nTo: {sender}\nDelivered-To: {sender}\nSubject: failure notice\n\n"
		"Hi. This is the qmail-send program at mx.example.\n"
		f"I'm afraid I wasn't able to deliver your message to the following addresses.\n\n<{address}>:\n{text}\n\n"
		f"--- Below this line is a copy of the message.\n\nReturn-Path: <{sender}>\nSubject: The June list is here\n\nForty.\n")


def complaint(sender, message_id):
	return (f"From: fbl@provider.example\nTo: {sender}\nDelivered-To: {sender}\nSubject: complaint\nMIME-Version: 1.0\n"
		'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\n\n'
		"--b\nContent-Type: text/plain\n\nA reader complained.\n"
		"--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\n\n"
		f"--b\nContent-Type: message/rfc822\n\nMessage-ID: {message_id}\nFrom: news@books.example\nSubject: June\n\nForty.\n--b--\n")


def run_and_return(w, sink, make, why):
	"""A relay that accepts everything; what comes back while the campaign runs is recorded by other processes."""
	w.configure(sink.port, connections=2, extra=BRAKE + "[suppress]\nhard = 1\n")
	w.audience(3000)
	sender = w.start("send", w.message(), "--list", "news", "--name", "june", "--yes", "--rate", "60/s", "--patience", "20s")
	wait_until(lambda: len(sink.messages) >= 120)
	box = "".join(f"From MAILER-DAEMON Sun Nov 22 09:00:00 2026\n{make(m)}\n" for m in sink.messages[:40])
	w.write("box", box)
	w.run("receive", "box")
	w.finish(sender, expect=76)
	status = w.status("june")
	assert status["why"]["id"] == why and "--past-brake" in status["why"]["remedy"], status
	assert status["counts"]["queued"] > 1000, status["counts"]
	return status


def test_returned_messages(w):
	unknown = "192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 User unknown\nGiving up on 192.0.2.1."
	with Sink() as sink:
		status = run_and_return(w, sink, lambda m: report(m.sender, m.recipients[0], unknown), "brake-bounces")
	assert status["counts"]["bounced"] == 40, status["counts"]


def test_complaints(w):
	with Sink() as sink:
		status = run_and_return(w, sink, lambda m: complaint(m.sender, m.header("Message-ID")), "brake-complaints")
	assert status["complaints"] == 40, status
