"""Source addresses: who calls from where and by which name, shares, and the volume of those that are warming up."""
from harness import interrupt, wait_until, zone_at_noon
from nameserver import Nameserver
from smtpd import Sink
from test_direct import direct, domain, send

MX = {"mx.good.example": {"A": ["127.0.0.1"]}, "good.example": domain((10, "mx.good.example")),
	"other.example": domain((10, "mx2.good.example")), "mx2.good.example": {"A": ["127.0.0.1"]}}


class Seeing(Sink):
	"""Knows from where each session came."""
	async def greeting(self, s):
		s.peer = s.writer.get_extra_info("peername")[0]
		return await super().greeting(s)

	def callers(self):
		return {(s.peer, next((c.split()[1] for c in s.commands if c.startswith("EHLO")), None)) for s in self.sessions}

	def carried(self):
		count = {}
		for m in self.messages:
			peer = self.sessions[m.session].peer
			count[peer] = count.get(peer, 0) + 1
		return count


def source(address, **keys):
	return f"[source {address}]\n" + "".join(f"{k.replace('_', '-')} = {v}\n" for k, v in keys.items())


def test_a_relay_is_called_from_them(w):
	with Seeing() as sink:
		w.configure(sink.port, connections=8, extra=source("127.0.0.2", route="main", helo="a.books.example", weight=3)
			+ source("127.0.0.3", route="main"))
		w.message()
		addresses = w.audience(400)
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
		assert w.audit("june", sink, addresses) == {"sent": 400}
		callers = sink.callers()
		assert {p for p, _ in callers} == {"127.0.0.2", "127.0.0.3"} and ("127.0.0.2", "a.books.example") in callers, callers
		first = sum(1 for s in sink.sessions if s.peer == "127.0.0.2")
		assert 2 * first > len(sink.sessions), [s.peer for s in sink.sessions]


def test_an_address_that_is_not_ours(w):
	with Seeing() as sink:
		w.configure(sink.port, extra=source("192.0.2.77", route="main"))
		w.message()
		w.audience(2)
		done = w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", expect=78)
		assert "192.0.2.77" in done.err and "ip addr" in done.err and "postrider.conf:" in done.err, done


def test_shares_of_direct_mail(w):
	people = [f"p{i}@good.example" for i in range(1500)]
	with Nameserver(MX) as dns, Seeing() as sink:
		direct(w, dns, sink.port, extra=source("127.0.0.2", weight=3, helo="two.books.example") + source("127.0.0.3", weight=1))
		send(w, people)
		assert w.audit("june", sink, people) == {"sent": 1500}
		carried = sink.carried()
		assert 250 <= carried.get("127.0.0.3", 0) <= 500, carried
		assert sink.callers() == {("127.0.0.2", "two.books.example"), ("127.0.0.3", "out.books.example")}, sink.callers()


def test_the_days_volume(w):
	zone = zone_at_noon()
	people = [f"p{i}@good.example" for i in range(90)] + [f"q{i}@docomo.ne.jp" for i in range(30)]
	records = {**MX, "docomo.ne.jp": domain((10, "mx.docomo.example")), "mx.docomo.example": {"A": ["127.0.0.1"]}}
	with Nameserver(records) as dns, Seeing() as sink:
		direct(w, dns, sink.port, zone=zone, extra=source("127.0.0.2", warm_up="20, 40, 80"))
		send(w, people, "--patience", "0", expect=75)
		# Each provider has a volume of its own; those that are not known share one.
		assert len([m for m in sink.messages if "docomo" in m.recipients[0]]) == 20, sorted(m.recipients[0] for m in sink.messages)
		assert sink.carried() == {"127.0.0.2": 40}
		# A restart opens nothing, and status says what is waited for.
		child = w.start("resume", "june", "--patience", "forever")

		def waits(status):  # at first it runs, until everything is found to be closed
			return status["state"] == "waiting" and "warming up" in (status["limit"] or "") and status["next_attempt"]
		wait_until(lambda: waits(w.status("june")))
		assert len(sink.messages) == 40
		interrupt(child)
		w.finish(child, expect=75)
		# A warm one takes the rest.
		direct(w, dns, sink.port, zone=zone, extra=source("127.0.0.2", warm_up="20, 40, 80") + source("127.0.0.3"))
		w.run("resume", "june")
		assert w.audit("june", sink, people) == {"sent": 120}
		assert sink.carried() == {"127.0.0.2": 40, "127.0.0.3": 80}


def test_overflow_waits(w):
	people = [f"p{i}@good.example" for i in range(200)]
	with Nameserver(MX) as dns, Seeing() as sink:
		direct(w, dns, sink.port, zone=zone_at_noon(), extra=source("127.0.0.2", warm_up="20, 40", overflow="wait") + source("127.0.0.3"))
		send(w, people, "--patience", "0", expect=75)
		carried = sink.carried()
		assert carried["127.0.0.2"] == 20 and 15 <= carried["127.0.0.3"] <= 60, carried
