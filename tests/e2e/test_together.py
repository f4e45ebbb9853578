"""Several processes at one database: one delivers, the others hand over and watch; control from outside."""
import signal
import sqlite3
import time

from harness import MESSAGE, wait_until
from receivers import check_rate
from smtpd import Sink

RATE = 100


def begin(w, sink, count=150, **route):
	w.configure(sink.port, connections=4, **route)
	w.message()
	return w.audience(count)


def test_two_campaigns_share_the_rate(w):
	with Sink() as sink:
		first = begin(w, sink, rate=f"{RATE}/s")
		second = w.audience(150, "other", "o{}@x.example")
		w.message(MESSAGE.replace("June", "July"), "july.html")
		children = [w.start("send", "june.html", "--list", "news", "--name", "june", "--yes"),
			w.start("send", "july.html", "--list", "other", "--name", "july", "--yes")]
		holders = set()
		while any(c.poll() is None for c in children):
			status = w.run("--json", "status", "june", expect=None)
			if status.status == 0 and status.json["holder"]:
				holders.add(str(status.json["holder"]))
			time.sleep(0.2)
		for child in children:
			w.finish(child)
		assert sink.recipients() == {a: 1 for a in first + second}
		check_rate(sink, [m.time for m in sink.messages], RATE, spare=4)
		assert len(sink.messages) == 300
		assert len(holders) <= 2, holders


def test_a_small_one_is_not_behind_a_big_one(w):
	with Sink() as sink:
		begin(w, sink, 6000, rate="100/s")
		w.audience(10, "few", "f{}@x.example")
		w.message(MESSAGE.replace("June", "July"), "july.html")
		big = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes")
		wait_until(lambda: len(sink.messages) > 20)
		w.run("send", "july.html", "--list", "few", "--name", "july", "--yes")
		assert big.poll() is None, "ten letters waited for six thousand"
		w.run("cancel", "june")
		w.finish(big, expect=76)
		order = [m.recipients[0][0] for m in sink.messages]
		between = order[order.index("f"):][::-1]
		assert order.count("f") == 10 and between[between.index("f"):].count("r") < 100, "they do not go by turns"


def test_pause_takes_effect_within_a_second(w):
	with Sink() as sink:
		addresses = begin(w, sink, 400, rate=f"{RATE}/s")
		child = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes")
		wait_until(lambda: len(sink.messages) > 20)
		w.run("pause", "june")
		paused = len(sink.messages)
		w.finish(child, expect=(75, 76))
		assert len(sink.messages) - paused <= RATE, "more than a second's"
		status = w.status("june")
		assert status["state"] == "paused" and status["why"]["id"] == "user", status
		assert w.audit("june", sink, addresses).get("doubt", 0) == 0
		w.run("resume", "june", "--rate", "1000/s")
		assert w.audit("june", sink, addresses) == {"sent": 400}


def stop_outside_of_a_transaction(w, child):
	"""Who is stopped in the middle of a commit keeps SQLite's lock; nobody could replace them, whatever the lease says."""
	db = sqlite3.connect(w.path("postrider.db"), timeout=0.1, isolation_level=None)
	while True:
		child.send_signal(signal.SIGSTOP)
		time.sleep(0.02)
		try:
			db.execute("BEGIN IMMEDIATE")
			db.execute("ROLLBACK")
			db.close()
			return
		except sqlite3.OperationalError:
			child.send_signal(signal.SIGCONT)
			time.sleep(0.05)


def test_holder_stopped_past_its_lease(w):
	"""SIGSTOP past the lease, another takes over, SIGCONT: no repeat outside of doubt."""
	with Sink() as sink:
		addresses = begin(w, sink, 300, rate="40/s")
		first = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes")
		wait_until(lambda: len(sink.messages) > 30)
		stop_outside_of_a_transaction(w, first)
		had = len(sink.messages)
		second = w.start("resume", "june", "--patience", "60s")
		wait_until(lambda: len(sink.messages) > had + 20, 100)
		doubt = {a for a, r in w.deliveries("june").items() if r["state"] == "doubt" or r["doubted"] not in ("", "0")}
		first.send_signal(signal.SIGCONT)
		w.finish(second)
		w.finish(first, expect=(0, 75, 76))
		w.audit("june", sink, addresses)
		twice = {a for a, n in sink.recipients().items() if n > 1}
		assert twice <= doubt | {a for a, r in w.deliveries("june").items() if r["doubted"] not in ("", "0")}, twice
		assert set(sink.recipients()) == set(addresses)


def test_serve_takes_over_what_is_detached(w):
	with Sink() as sink:
		addresses = begin(w, sink, 60, rate="60/s")
		daemon = w.serve()
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--detach")
		wait_until(lambda: w.status("june")["state"] == "finished")
		assert w.audit("june", sink, addresses) == {"sent": 60}
		w.message(MESSAGE.replace("June", "July"), "july.html")
		w.run("send", "july.html", "--list", "news", "--name", "july", "--yes", "--at", "2s", "--detach")
		wait_until(lambda: w.status("july")["state"] == "finished")
		assert len(sink.messages) == 120
		daemon.send_signal(signal.SIGTERM)
		w.finish(daemon, expect=(0, 75))


def test_serve_says_whom_it_waits_for(w):
	with Sink() as sink:
		begin(w, sink, 3)
		first = w.serve()
		second = w.start("serve")
		said = lambda: open(second.out + ".err").read()
		wait_until(lambda: f"waits: process {first.pid} on " in said())
		first.send_signal(signal.SIGTERM)
		w.finish(first, expect=(0, 75))
		wait_until(lambda: "delivers from here on" in said())
		second.send_signal(signal.SIGTERM)
		assert w.finish(second, expect=(0, 75)).err.count("waits: ") == 1


def test_who_unsubscribes_while_it_runs_gets_nothing(w):
	with Sink() as sink:
		addresses = begin(w, sink, 200, rate="50/s")
		sink.hold = 30
		child = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes")
		wait_until(lambda: len(sink.messages) > 5)
		late = addresses[-20:]
		for address in late[:10]:
			w.run("suppressions", "add", address)
		for address in late[10:]:
			w.run("contact", "unsubscribe", address, "--list", "news")
		sink.hold = None
		w.finish(child)
		assert w.audit("june", sink, addresses) == {"sent": 180, "skipped": 20}
		assert not set(late) & set(sink.recipients())


def test_serve_outlives_a_campaign_whose_time_is_up(w):
	with Sink() as sink:
		addresses = begin(w, sink, 20, rate="50/s")
		serve = w.serve()
		w.run("send", "june.html", "--list", "news", "--name", "june", "--rate", "2/s", "--until", "4s", "--yes", expect=76)
		wait_until(lambda: w.status("june")["counts"]["sending"] == 0)
		states = w.audit("june", sink, addresses)
		assert states["cancelled"] > 5, states
		w.run("send", "june.html", "--list", "news", "--name", "again", "--again", "--yes")
		assert serve.poll() is None, "one campaign's end was the daemon's"


def test_the_limit_shown_is_the_campaign_s_own(w):
	with Sink() as sink:
		begin(w, sink, 40)
		child = w.start("send", "june.html", "--list", "news", "--name", "june", "--rate", "10/s", "--yes")
		assert wait_until(lambda: sink.messages and w.status("june")["limit"]) == "--rate 10/s"
		w.finish(child)
