"""How receivers are treated: limits that are configured, and those that they show by what they answer."""
import re
import time

from harness import interrupt, wait_until
from names import Names
from receivers import Receiver, check_rate

RETRY = "[retry]\ndelays = 2s\n"


def direct(w, names, port, extra="", **route):
	w.configure(port, database=w.in_memory(), kind="direct", host=None, resolver=f"127.0.0.1@{names.port}", private_addresses="allow", helo="out.books.example",
		extra="[domain books.example]\n" + RETRY + extra, **route)
	w.message()


def check_found(sink, phases, after):
	"""Of each phase, but for its first seconds: the most of its rate was taken, and little refused; little in all, too."""
	at, off = 0, 2 * sink.lost
	for rate, seconds in phases:
		taken, refused = sink.between(at + after, at + seconds)
		assert taken > rate * (0.6 * (seconds - after) - off), (rate, taken, refused, sink.lost)
		assert refused < 0.05 * (taken + refused) + rate * off, (rate, taken, refused, sink.lost)
		at += seconds
	taken, refused = len(sink.accepted), len(sink.throttled)
	assert refused < 0.04 * (taken + refused) + max(rate for rate, _ in phases) * off, (taken, refused, sink.lost)


def test_the_rate_that_a_receiver_takes_is_found(w):
	phases = [(60, 13), (20, 13)]
	with Receiver(rates=phases) as sink, Names(w.folder, {"big": "127.0.0.1"}) as names:
		direct(w, names, sink.port)
		people = w.audience(1000, address="r{0}@d0.big.example")
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "forever")
		assert w.audit("june", sink, people) == {"sent": 1000}
		check_found(sink, phases, 7)


def test_the_rate_that_a_relay_takes_is_found(w):
	phases = [(50, 16), (100, 1)]
	with Receiver(rates=phases, code=421) as sink:
		w.configure(sink.port, database=w.in_memory(), connections=8, extra=RETRY)
		w.message()
		people = w.audience(900)
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "forever")
		assert w.audit("june", sink, people) == {"sent": 900}
		check_found(sink, phases[:1], 8)


def test_many_domains_of_one_operator_share_its_limits(w):
	with Receiver(delay=0.02) as sink, Names(w.folder, {"big": "127.0.0.1", "other": "127.0.0.1"}) as names:
		# Each domain has a host of its own; what they have in common is the end of its name.
		direct(w, names, sink.port, "[provider big.example]\nconnections = 3\nconnection-rate = 200/s\nrate = 80/s\n", connections=50)
		people = w.audience(600, address="r{0}@d{0}.big.example")
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
		assert w.audit("june", sink, people) == {"sent": 600}
		assert sink.most_open <= 3, sink.most_open
		check_rate(sink, sink.accepted, 80)
		seconds = sink.accepted[-1] - sink.accepted[0]
		assert seconds < 600 / 80 * 1.5 + 2 * sink.lost, (seconds, sink.lost)


def test_rates_hold_over_workers_and_restarts(w):
	with Receiver() as sink, Names(w.folder, {"a": "127.0.0.1", "b": "127.0.0.1"}) as names:
		direct(w, names, sink.port, "[provider a.example]\nrate = 30/s\n[provider b.example]\nrate = 20/s\n", connections=30)
		with open(w.path("postrider.conf")) as f:
			text = f.read()
		w.write("postrider.conf", "workers = 4\n" + text)
		people = w.audience(150, address="a{0}@d{0}.a.example") + w.audience(100, "more", "b{0}@d{0}.b.example")
		for turn in range(4):
			argv = ("send", "june.html", "--list", "news", "--list", "more", "--name", "june", "--yes") if turn == 0 else ("resume", "june")
			child = w.start(*argv)
			if turn < 3:
				wait_until(lambda: len(sink.messages) > 60 * turn + 30)
				interrupt(child)
			w.finish(child, expect=(0, 75))
		assert w.audit("june", sink, people) == {"sent": 250}
		for kind, rate in ("a", 30), ("b", 20):
			check_rate(sink, [m.time for m in sink.messages if m.recipients[0].startswith(kind)], rate)


def test_a_days_share_of_a_provider(w):
	with Receiver() as sink, Names(w.folder, {"big": "127.0.0.1", "other": "127.0.0.1"}) as names:
		direct(w, names, sink.port, "[provider big.example]\nrate = 40/d\n")
		w.audience(60, address="r{0}@d{0}.big.example")
		w.audience(30, "more", "s{0}@d{0}.other.example")
		w.run("send", "june.html", "--list", "news", "--list", "more", "--name", "june", "--yes", "--patience", "0", expect=75)
		took = [m.recipients[0][0] for m in sink.messages]
		assert (took.count("r"), took.count("s")) == (40, 30), took
		# A restart opens nothing; and another campaign over the same route finds it used up.
		w.run("resume", "june", "--patience", "0", expect=75)
		w.run("send", "june.html", "--list", "news", "--name", "july", "--yes", "--again", "--patience", "0", expect=75)
		assert len(sink.messages) == 70
		assert w.status("june")["counts"]["queued"] == 20


def test_a_receiver_that_takes_two_connections(w):
	with Receiver(most=2, delay=0.05) as sink, Names(w.folder, {"big": "127.0.0.1"}) as names:
		direct(w, names, sink.port, connections=50)
		people = w.audience(300, address="r{0}@d0.big.example")
		start = time.monotonic()
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
		seconds = time.monotonic() - start
		assert w.audit("june", sink, people) == {"sent": 300}
		# 40 a second is the most that two of them take.
		assert seconds < 300 / 40 * 1.35 + 1 + 2 * sink.lost, (seconds, sink.lost)
		assert len(sink.turned_away) < 5 + sink.lost, (len(sink.turned_away), sink.lost)


def test_a_receiver_that_takes_many(w):
	with Receiver(most=40, delay=0.2) as sink, Names(w.folder, {"big": "127.0.0.1"}) as names:
		direct(w, names, sink.port, connections=100)
		people = w.audience(2000, address="r{0}@d0.big.example")
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
		assert w.audit("june", sink, people) == {"sent": 2000}
		late = [t for t in sink.accepted if t > sink.accepted[-1] - 3]
		assert len(late) > 0.7 * 40 / 0.2 * (3 - 2 * sink.lost), (len(late), sink.lost)


def test_the_messages_that_a_connection_takes_are_learned(w):
	with Receiver(per_connection=5) as sink, Names(w.folder, {"big": "127.0.0.1"}) as names:
		direct(w, names, sink.port, "[provider big.example]\nrate = 40/s\nconnections = 2\n")
		people = w.audience(240, address="r{0}@d0.big.example")
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "forever")
		assert w.audit("june", sink, people) == {"sent": 240}
		# Who knows it says QUIT in time.
		last = [s.commands[-1] for s in sink.sessions if s.messages == 5]
		assert last[-8:].count("QUIT") >= 6 and len([c for c in last if c != "QUIT"]) < 25, last


def test_a_site_that_wants_rest_gets_it_and_says_so(w):
	with Receiver(rates=[(30, 1), (0, 1)], code=421, text="4.7.28 Our system \x1b[2Jhas detected an unusual rate of mail") as sink, \
			Names(w.folder, {"big": "127.0.0.1", "other": "127.0.0.1"}) as names:
		direct(w, names, sink.port)
		w.audience(200, address="r{0}@d0.big.example")
		child = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "forever")
		wait_until(lambda: sink.throttled)
		limit = wait_until(lambda: re.search("suspended until.*unusual rate", " ".join(w.run("status", "june").out.split())))
		assert "\x1b" not in limit.group() and "\\x1b[2J" in limit.group(), "a server draws on our terminal"
		wait_until(lambda: sink.open_now == 0)  # who was under way has his answer
		asked = len(sink.throttled)
		assert asked < 12, asked
		time.sleep(3)
		assert len(sink.throttled) == asked and limit
		interrupt(child)
		w.finish(child, expect=75)
