"""Straight to the recipients' hosts: sites, hosts in order, failures of DNS and of hosts, one slow site beside others."""
import asyncio

from harness import MESSAGE, wait_until
from nameserver import Nameserver
from receivers import check_rate
from smtpd import Sink

HEALTHY = {"mx1.good.example": {"A": ["127.0.0.1"]}}


def direct(w, dns, port, **route):
	extra = route.pop("extra", "")
	w.configure(port, kind="direct", host=None, resolver=f"127.0.0.1@{dns.port}", private_addresses="allow", helo="out.books.example",
		extra="[domain books.example]\n" + extra, **route)


def domain(*mx, **more):
	return {"MX": list(mx), **more}


def send(w, people, *argv, expect=0):
	w.write("news.csv", "email\n" + "".join(f"{p}\n" for p in people))
	w.run("import", "news", "news.csv")
	return w.run("--json", "send", w.message(), "--list", "news", "--yes", *argv, expect=expect)


def test_to_several_sites(w):
	records = {**HEALTHY, "mx2.good.example": {"A": ["127.0.0.1"]},
		"a.example": domain((10, "mx1.good.example")), "b.example": domain((10, "mx1.good.example")),
		"c.example": domain((10, "mx2.good.example")), "mx.d.example": {"A": ["127.0.0.1"]},
		"d.example": domain((20, "mx2.good.example"), (10, "mx.d.example"))}
	people = [f"p{i}@{'abcd'[i % 4]}.example" for i in range(200)]
	with Nameserver(records) as dns, Sink() as sink:
		direct(w, dns, sink.port)
		send(w, people)
		assert w.audit("june", sink, people) == {"sent": 200}
		rows = w.deliveries("june")
	assert rows["p0@a.example"]["site"] == "mx1.good.example" and rows["p3@d.example"]["site"] == "mx.d.example", rows["p3@d.example"]


def test_what_dns_says(w):
	records = {**HEALTHY, "good.example": domain((10, "mx1.good.example")),
		"null.example": domain((0, "")), "broken.example": "fail",
		"dead.example": domain((10, "mx.dead.example")), "mx.dead.example": {"A": ["127.0.0.9"]},
		"alive.example": domain((10, "mx.dead.example"), (20, "mx1.good.example")),
		"plain.example": {"A": ["127.0.0.1"]}}
	people = [f"{p}@{d}.example" for d in ["good", "null", "nowhere", "broken", "dead", "alive", "plain"] for p in "ab"]
	with Nameserver(records) as dns, Sink() as sink:
		direct(w, dns, sink.port)
		send(w, people, "--patience", "0", expect=75)
		assert w.audit("june", sink, people) == {"sent": 6, "bounced": 4, "deferred": 4}
		rows = w.deliveries("june")
	found = {p: (rows[p]["state"], rows[p]["reason"]) for p in people if p.startswith("a")}
	assert found == {"a@good.example": ("sent", ""), "a@null.example": ("bounced", "domain-refuses-mail"),
		"a@nowhere.example": ("bounced", "domain-unknown"), "a@broken.example": ("deferred", "dns-failed"),
		"a@dead.example": ("deferred", "connection-refused"), "a@alive.example": ("sent", ""), "a@plain.example": ("sent", "")}, found
	assert rows["a@alive.example"]["site"] == "mx1.good.example"
	dialogue = w.run("--json", "trace", "a@dead.example").json["deliveries"][0]["tries"][0]["dialogue"]
	assert dialogue[0] == "mx.dead.example:" and "127.0.0.9 port" in dialogue[1] and "refused" in dialogue[1], dialogue
	assert not w.run("suppressions", "list").out.strip(), "who cannot be found in DNS today may come back"


def test_addresses_inside_are_refused(w):
	with Nameserver({**HEALTHY, "good.example": domain((10, "mx1.good.example"))}) as dns, Sink() as sink:
		direct(w, dns, sink.port)
		w.write("postrider.conf", open(w.path("postrider.conf")).read().replace("private-addresses = allow\n", ""))
		send(w, ["a@good.example"])
		rows = w.deliveries("june")
		assert rows["a@good.example"]["reason"] == "private-address" and not sink.messages, rows


class Busy(Sink):
	async def greeting(self, s):
		return "421 4.3.2 all lines are busy"


class Slow(Sink):
	address = "127.0.0.7"
	awake = False

	async def rcpt(self, s, address):
		while not self.awake:
			await asyncio.sleep(0.05)
		await asyncio.sleep(3)
		return "250 2.1.5 ok"


def test_a_busy_site_is_waited_for(w):
	"""Nothing is counted against anybody, and nobody waits in front of the screen."""
	with Nameserver({**HEALTHY, "good.example": domain((10, "mx1.good.example"))}) as dns, Busy() as sink:
		direct(w, dns, sink.port)
		send(w, [f"p{i}@good.example" for i in range(20)], "--patience", "0", expect=69)
		counts = w.status("june")["counts"]
		assert counts["queued"] == 20 and len(sink.sessions) <= 3, (counts, len(sink.sessions))


def test_a_slow_site_beside_others(w):
	records = {"mx.good.example": {"A": ["127.0.0.1"]}, "good.example": domain((10, "mx.good.example")),
		"mx.slow.example": {"A": ["127.0.0.7"]}, "slow.example": domain((10, "mx.slow.example"))}
	people = [f"p{i}@{d}.example" for i in range(100) for d in ("good", "slow")]
	with Nameserver(records) as dns, Sink() as sink, Slow(port=sink.port) as slow:
		direct(w, dns, sink.port)
		w.write("news.csv", "email\n" + "".join(f"{p}\n" for p in people))
		w.run("import", "news", "news.csv")
		child = w.start("send", w.message(), "--list", "news", "--yes")
		wait_until(lambda: len(sink.messages) == 100)
		slow.awake = True  # nobody has waited for it
		wait_until(lambda: slow.messages)
		w.run("pause", "june")
		w.finish(child, expect=76)
		# What was on the wire when the pause came is still answered; nothing new goes out.
		assert len(slow.messages) < 50, len(slow.messages)
		counts = w.status("june")["counts"]
		assert counts["queued"] + counts["sent"] == 200 and counts["sent"] == 100 + len(slow.messages), counts
		w.run("cancel", "june")


def test_two_campaigns_share_connections(w):
	records = {"mx.good.example": {"A": ["127.0.0.1"]}, "good.example": domain((10, "mx.good.example")),
		"other.example": domain((10, "mx.good.example"))}
	people = [f"p{i}@{d}.example" for i in range(40) for d in ("good", "other")]
	with Nameserver(records) as dns, Sink() as sink:
		direct(w, dns, sink.port, extra="[provider default]\nconnections = 1\nrate = 40/s\n")
		w.write("news.csv", "email\n" + "".join(f"{p}\n" for p in people))
		w.run("import", "news", "news.csv")
		first = w.start("send", w.message(), "--list", "news", "--yes", "--name", "one")
		second = w.start("send", w.message(MESSAGE.replace("June", "other"), "other.html"), "--list", "news", "--yes", "--name", "two")
		w.finish(first)
		w.finish(second)
		assert len(sink.messages) == 160 and len(sink.sessions) <= 3, (len(sink.messages), len(sink.sessions))
		check_rate(sink, [m.time for m in sink.messages], 40)


def test_a_test_message(w):
	records = {"mx1.good.example": {"A": ["127.0.0.1"]}, "mx.dead.example": {"A": ["127.0.0.9"]},
		"good.example": domain((10, "mx.dead.example"), (20, "mx1.good.example")), "null.example": domain((0, ""))}
	with Nameserver(records) as dns, Sink() as sink:
		direct(w, dns, sink.port)
		out = w.run("test", w.message(), "--to", "ann@good.example").out
		assert "accepted by mx1.good.example" in out and len(sink.messages) == 1, out
		out = w.run("--json", "test", "june.html", "--to", "ann@null.example", expect=69).json
		assert out["stage"] == "dns" and out["code"] == 556, out
		w.run("test", "june.html", "--to", "ann@good.example", "--to", "ann@null.example", expect=69)


def test_a_receivers_hour(w):
	"""An hourly limit of one receiver holds over a restart, and everybody else's mail goes on."""
	records = {"mx.good.example": {"A": ["127.0.0.1"]}, "good.example": domain((10, "mx.good.example")),
		"mx.other.example": {"A": ["127.0.0.1"]}, "other.example": domain((10, "mx.other.example"))}
	people = [f"p{i}@{d}.example" for i in range(20) for d in ("good", "other")]
	with Nameserver(records) as dns, Sink() as sink:
		direct(w, dns, sink.port, extra="[provider good.example]\nrate = 7/h\n")
		send(w, people, "--patience", "0", expect=75)
		w.run("--json", "resume", "june", "--patience", "0", expect=75)
		took = [r for m in sink.messages for r in m.recipients]
		assert sorted(r.split("@")[1] for r in took) == ["good.example"] * 7 + ["other.example"] * 20, took
		assert w.status("june")["counts"]["queued"] == 13
