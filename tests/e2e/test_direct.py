"""Straight to the recipients' hosts: sites, hosts in order, failures of DNS and of hosts, one slow site beside others."""
from nameserver import Nameserver
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
	assert not w.run("suppressions", "list").out.strip(), "who cannot be found in DNS today may come back"


def test_addresses_inside_are_refused(w):
	with Nameserver({**HEALTHY, "good.example": domain((10, "mx1.good.example"))}) as dns, Sink() as sink:
		direct(w, dns, sink.port)
		w.write("postrider.conf", open(w.path("postrider.conf")).read().replace("private-addresses = allow\n", ""))
		send(w, ["a@good.example"])
		rows = w.deliveries("june")
		assert rows["a@good.example"]["reason"] == "private-address" and not sink.messages, rows
