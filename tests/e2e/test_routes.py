"""Several routes for one campaign: shares, one that is down, one that refuses, quotas."""
import json
import os
import re
import time

from harness import free_port, interrupt, wait_until
from nameserver import Nameserver
from smtpd import Sink
from test_direct import direct, domain


def relay(name, port, **keys):
	return f"[route {name}]\nhost = 127.0.0.1\nport = {port}\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())


class Both:
	"""Several sinks as one, for World.audit."""
	def __init__(self, *sinks):
		self.sinks = sinks

	@property
	def messages(self):
		return [m for s in self.sinks for m in s.messages]

	def recipients(self):
		count = {}
		for s in self.sinks:
			for address, n in s.recipients().items():
				count[address] = count.get(address, 0) + n
		return count


def send(w, *options, **kw):
	return w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", *options, **kw)


def test_weights_share_the_mail(w):
	with Sink() as a, Sink() as b:
		w.configure(a.port, weight=3, extra=relay("b", b.port, weight=1))
		w.message()
		addresses = w.audience(1200)
		shown = send(w, "--dry-run").out
		assert "main (127.0.0.1, weight 3), b (127.0.0.1, weight 1)" in shown, shown
		send(w)
		assert w.audit("june", Both(a, b), addresses) == {"sent": 1200}
		assert 240 <= len(b.messages) <= 360, (len(a.messages), len(b.messages))
		routes = {row["route"] for row in w.deliveries("june").values()}
		assert routes == {"main", "b"}, routes


def test_without_weights_the_fast_one_takes_more(w):
	with Sink() as a, Sink() as b:
		w.configure(a.port, rate="5/s", extra=relay("b", b.port, rate="100/s"))  # long enough for both to take part
		w.message()
		addresses = w.audience(400)
		send(w)
		assert w.audit("june", Both(a, b), addresses) == {"sent": 400}
		assert a.messages and len(b.messages) > 250, (len(a.messages), len(b.messages))


class Sandbox:
	"""A sandbox on a port that stays the same when it is killed and started again."""
	def __init__(self, w, name):
		self.w, self.log, self.port = w, w.path(name + ".log"), free_port()
		self.start()

	def start(self):
		self.child = self.w.start("sandbox", "--port", self.port, "--profile", "clean", "--log", self.log)
		wait_until(lambda: f"127.0.0.1:{self.port}" in open(self.child.out).read())

	def kill(self):
		self.child.kill()
		self.child.wait()

	def __enter__(self):
		return self

	def __exit__(self, *exc):
		self.kill()

	def took(self):
		lines = [json.loads(line) for line in open(self.log)] if os.path.exists(self.log) else []
		return [line for line in lines if line["taken"]]


def test_one_killed_and_started_again(w):
	a, b = Sandbox(w, "a"), Sandbox(w, "b")
	w.configure(a.port, rate="300/s", extra=relay("b", b.port, rate="300/s") + "[retry]\ndelays = 1s\n")
	w.message()
	addresses = w.audience(4000)
	child = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "60s")
	wait_until(lambda: len(a.took()) > 200)
	a.kill()
	before, other = len(a.took()), len(b.took())
	wait_until(lambda: len(b.took()) > other + 200)
	assert child.poll() is None
	a.start()
	wait_until(lambda: len(a.took()) > before + 100)
	w.finish(child)
	rows, got = w.deliveries("june"), {}
	for line in a.took() + b.took():
		got[line["rcpt"]] = got.get(line["rcpt"], 0) + 1
	assert set(rows) == set(addresses) and all(row["state"] == "sent" for row in rows.values())
	assert set(got) == set(addresses)
	twice = [address for address, n in got.items() if n > 1]
	assert all(rows[address]["doubted"] in ("1", "yes", "true") for address in twice), twice


def test_a_reserve_is_used_only_while_the_other_is_down(w):
	a, b = Sandbox(w, "a"), Sandbox(w, "b")
	w.configure(a.port, rate="150/s", extra=relay("b", b.port, rate="150/s", weight=0) + "[retry]\ndelays = 1s\n")
	w.message()
	w.audience(1500)
	child = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "60s")
	wait_until(lambda: len(a.took()) > 100)
	assert not b.took()
	a.kill()
	before = len(a.took())
	wait_until(lambda: len(b.took()) > 100)
	a.start()
	wait_until(lambda: len(a.took()) > before + 20)
	late = len(b.took())
	w.finish(child)
	assert len(b.took()) - late < 60, (late, len(b.took()))
	assert w.status("june")["counts"]["sent"] == 1500


def test_a_refused_login_leaves_out_only_that_route(w):
	with Sink(users={"me": "right"}) as a, Sink() as b:
		w.write("wrong", "wrong\n")
		os.chmod(w.path("wrong"), 0o600)
		w.configure(a.port, user="me", password_file="wrong", extra=relay("b", b.port, rate="100/s"))
		w.message()
		addresses = w.audience(300)
		done = send(w)
		assert "goes on without route main (login)" in done.err, done
		assert w.audit("june", b, addresses) == {"sent": 300}
		assert len([s for s in a.sessions if any(c.startswith("AUTH") for c in s.commands)]) <= 2
	# Alone it still pauses the campaign.
	with Sink(users={"me": "right"}) as a:
		w.configure(a.port, user="me", password_file="wrong")
		done = w.run("send", "june.html", "--list", "news", "--name", "july", "--yes", "--again", expect=77)
		assert w.status("july")["why"]["id"] == "login"


def test_a_route_that_cannot_be_used_does_not_hold_up_the_others(w):
	with Sink(users={"me": "right"}) as a, Sink() as b:
		w.configure(a.port, user="me", password_file="password", extra=relay("b", b.port))
		w.message()
		addresses = w.audience(40)
		done = send(w, expect=78)
		assert "password" in done.err and "postrider.conf:" in done.err, done
		w.write("password", "right\n")
		os.chmod(w.path("password"), 0o600)
		send(w, "--detach", expect=75)
		os.remove(w.path("password"))
		done = w.run("resume", "june")
		assert w.audit("june", b, addresses) == {"sent": 40}
		assert "cannot read the password" in done.err, done


def test_a_quota_is_told_before_and_waited_for(w):
	with Sink() as sink:
		w.configure(sink.port, rate="100/d")
		w.message()
		w.audience(150)
		dry = w.run("--json", "send", "june.html", "--list", "news", "--dry-run").json
		assert dry["forecast"]["quota"] == [{"route": "main", "limit": 100, "per": "day", "used": 0}], dry
		assert dry["forecast"]["end"] is not None
		done = send(w, "--patience", "0", expect=75)
		assert "route main: 100 a day, 0 of them used" in done.err and "resume june" in done.err, done
		status = w.status("june")
		assert len(sink.messages) == 100 and status["counts"]["sent"] == 100 and status["counts"]["queued"] == 50, status
		child = w.start("resume", "june", "--patience", "forever")
		def waits(status):
			return status["state"] == "waiting" and re.match(r"route main: 100 a day.*until 20", status["limit"] or "") and status["next_attempt"]
		wait_until(lambda: waits(w.status("june")))
		interrupt(child)
		w.finish(child, expect=75)
		# A restart opens nothing.
		w.run("resume", "june", "--patience", "0", expect=75)
		assert len(sink.messages) == 100
	# One in reserve takes what is above.
	with Sink() as other:
		w.configure(sink.port, rate="100/d", extra=relay("b", other.port, weight=0))
		w.run("send", "june.html", "--list", "news", "--name", "july", "--yes", "--again")
		assert len(other.messages) == 150


class Throttled(Sink):
	async def end(self, s, data):
		if len(self.messages) >= 20:
			return "454 4.7.0 Throttling failure: Daily message quota exceeded."
		return await super().end(s, data)


def test_a_relays_own_quota_closes_the_route_for_a_while(w):
	with Throttled() as sink:
		w.configure(sink.port, connections=1)
		w.message()
		w.audience(60)
		child = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "forever")

		def waits(status):
			return status.get("state") == "waiting" and "quota" in (status["limit"] or "").lower() and status["next_attempt"] and status
		status = wait_until(lambda: waits(w.run("--json", "status", "june", expect=None).json))
		assert status["counts"]["sent"] == 20 and status["counts"]["queued"] == 40, status
		interrupt(child)
		w.finish(child, expect=75)
	# With another route it goes on there.
	with Throttled() as sink, Sink() as other:
		w.configure(sink.port, connections=1, extra=relay("b", other.port, rate="50/s"))
		w.run("send", "june.html", "--list", "news", "--name", "july", "--yes", "--again", "--patience", "0", expect=(0, 75))
		assert len(sink.messages) <= 20 and len(other.messages) >= 30, (len(sink.messages), len(other.messages))


def test_the_senders_domain_chooses(w):
	with Sink() as a, Sink() as b:
		w.configure(a.port, extra=relay("b", b.port, **{"for": "books.example"}))
		w.message()
		addresses = w.audience(20)
		send(w)
		assert w.audit("june", b, addresses) == {"sent": 20} and not a.messages
		w.run("send", "june.html", "--list", "news", "--name", "july", "--yes", "--again", "--route", "main")
		assert len(a.messages) == 20 and len(b.messages) == 20
		w.run("send", "june.html", "--list", "news", "--name", "may", "--yes", "--again", "--route", "main,x", expect=66)


def test_a_provider_has_a_route_of_its_own(w):
	with Sink() as a, Sink() as b:
		w.configure(a.port, rate="200/s", extra=relay("d", b.port, **{"for": "docomo"}) + "[retry]\ndelays = 1s\n")
		w.message()
		people = [f"p{i}@{'docomo.ne.jp' if i % 3 == 0 else f'x{i % 20}.example'}" for i in range(300)]
		w.write("news.csv", "email\n" + "\n".join(people) + "\n")
		w.run("import", "news", "news.csv")
		send(w)
		assert w.audit("june", Both(a, b), people) == {"sent": 300}
		assert {m.recipients[0].split("@")[1] for m in b.messages} == {"docomo.ne.jp"} and len(b.messages) == 100
		assert not any("docomo" in m.recipients[0] for m in a.messages)


def test_a_direct_route_and_a_relay(w):
	records = {"mx.good.example": {"A": ["127.0.0.1"]}, **{f"x{i}.example": domain((10, "mx.good.example")) for i in range(20)}}
	people = [f"p{i}@{'docomo.ne.jp' if i % 3 == 0 else f'x{i % 20}.example'}" for i in range(300)]
	with Nameserver(records) as dns, Sink() as a, Sandbox(w, "b") as b:
		direct(w, dns, a.port, extra=relay("d", b.port, rate="50/s", **{"for": "docomo"}) + "[retry]\ndelays = 1s\n")
		w.message()
		w.write("news.csv", "email\n" + "\n".join(people) + "\n")
		w.run("import", "news", "news.csv")
		child = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "60s")
		wait_until(lambda: len(b.took()) > 20)
		b.kill()
		time.sleep(0.5)
		b.start()
		w.finish(child)
		assert w.status("june")["counts"]["sent"] == 300
		assert len(a.messages) == 200 and {line["rcpt"].split("@")[1] for line in b.took()} == {"docomo.ne.jp"}
		routes = {row["route"] for row in w.deliveries("june").values()}
		assert routes == {"main", "d"}, routes


def test_direct_and_relay_share_by_weight(w):
	records = {"mx.good.example": {"A": ["127.0.0.1"]}, "big.example": domain((10, "mx.good.example"))}
	people = [f"p{i}@big.example" for i in range(1200)]
	with Nameserver(records) as dns, Sink() as a, Sink() as b:
		direct(w, dns, a.port, weight=3, extra=relay("b", b.port, weight=1))
		w.message()
		w.write("news.csv", "email\n" + "\n".join(people) + "\n")
		w.run("import", "news", "news.csv")
		send(w)
		assert w.audit("june", Both(a, b), people) == {"sent": 1200}
		assert 200 <= len(b.messages) <= 450, (len(a.messages), len(b.messages))


def test_a_route_that_vanished(w):
	with Sink() as a, Sink() as b:
		w.configure(a.port, rate="40/s", extra=relay("b", b.port, rate="40/s"))
		w.message()
		addresses = w.audience(400)
		child = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes")
		wait_until(lambda: len(a.messages) + len(b.messages) > 30)
		interrupt(child)
		w.finish(child, expect=75)
		# One of two: the other carries on.
		w.configure(a.port, rate="40/s")
		child = w.start("resume", "june")
		had = len(a.messages)
		wait_until(lambda: len(a.messages) > had + 20)
		interrupt(child)
		w.finish(child, expect=75)
		# Both: a person must decide.
		text = open(w.path("postrider.conf")).read()
		w.write("postrider.conf", text.replace("[route main]", "[route other]"))
		w.run("resume", "june", expect=76)
		why = w.status("june")["why"]
		assert why["id"] == "route" and "main,b" in why["text"], why
		w.write("postrider.conf", text.replace("40/s", "400/s"))
		w.run("resume", "june")
		assert w.audit("june", Both(a, b), addresses) == {"sent": 400}


def test_a_large_rate_is_readable(w):
	w.configure(9, rate="1500/s")
	w.audience(3)
	done = w.run("send", w.message(), "--list", "news", "--name", "june", "--dry-run")
	assert ", 1500/s\n" in done.out + done.err, done
