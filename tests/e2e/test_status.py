"""`status` while a campaign runs: routes, providers and sites, with the limit that binds each."""
import re

from harness import interrupt, wait_until
from nameserver import Nameserver
from smtpd import Sink
from test_direct import direct, domain
from test_sandbox import start, stop


def test_a_relay(w):
	child, port = start(w)
	w.configure(port, connections=2, rate="20/s")
	w.audience(400)
	sender = w.start("send", w.message(), "--list", "news", "--name", "june", "--yes")
	wait_until(lambda: "june" in w.run("campaigns", expect=None).out and w.status("june").get("routes"))
	route = wait_until(lambda: next((r for r in w.status("june")["routes"] if 10 < r["rate"] < 30 and r["limit"]), None))
	assert route["route"] == "main" and route["state"] == "ok" and route["limit"] == "route main: 20/s", route
	assert route["waiting"] > 0 and 1 <= route["connections"] <= 2, route
	wait_until(lambda: re.search("^ *route +main +ok .* 20/s$", w.run("status", "june").out, re.M))
	interrupt(sender)
	w.finish(sender, expect=75)
	assert w.status("june")["routes"] == [], "nobody delivers, so nothing is said of now"
	stop(w, child)


def test_direct(w):
	records = {"mta5.am0.yahoodns.net": {"A": ["127.0.0.1"]}, "mx1.good.example": {"A": ["127.0.0.1"]},
		"yahoo.com": domain((10, "mta5.am0.yahoodns.net")), "hosted.example": domain((10, "mta5.am0.yahoodns.net")),
		"good.example": domain((10, "mx1.good.example")), "dead.example": domain((10, "mx.dead.example")),
		"mx.dead.example": {"A": ["127.0.0.9"]}}
	people = [f"p{i}@{d}" for i in range(100) for d in ("yahoo.com", "hosted.example")] + ["a@good.example", "b@dead.example"]
	with Nameserver(records) as dns, Sink() as sink:
		direct(w, dns, sink.port, extra="[provider yahoo]\nrate = 10/s\nconnections = 2\n")
		w.write("news.csv", "email\n" + "".join(f"{p}\n" for p in people))
		w.run("import", "news", "news.csv")
		sender = w.start("send", w.message(), "--list", "news", "--name", "june", "--yes")
		wait_until(lambda: "june" in w.run("campaigns", expect=None).out and w.status("june").get("providers"))
		seen = wait_until(lambda: next((p for p in w.status("june")["providers"] if 5 < p["rate"] < 15 and p["limit"]), None))
		assert (seen["provider"], seen["state"], seen["limit"]) == ("yahoo", "ok", "provider yahoo: 10/s"), seen
		assert seen["waiting"] > 0 and 1 <= seen["connections"] <= 2 and seen["source"] is None, seen
		assert wait_until(lambda: w.status("june")["limit"]) == "provider yahoo: 10/s"
		wait_until(lambda: "provider yahoo" in w.run("status", "june").out)
		interrupt(sender)
		w.finish(sender, expect=75)


def test_a_relay_that_dies(w):
	"""It is down, not suspended, and the log says it once, not for each connection."""
	with Sink() as sink:
		w.configure(sink.port, connections=8, rate="100/s")
		w.audience(2000)
		sender = w.start("send", w.message(), "--list", "news", "--name", "june", "--yes")
		assert sink.wait(100)
		wait_until(lambda: sum(r["connections"] for r in w.status("june")["routes"]) == 8)
	route = wait_until(lambda: next((r for r in w.status("june")["routes"] if r["state"] != "ok" and r["connections"] == 0), None))
	assert route["state"] == "down" and " down until 20" in route["limit"] and "T" not in route["limit"].split("until ")[1][:26], route
	interrupt(sender)
	log = w.finish(sender, expect=75).err
	said = [line.split("route main", 1)[1] for line in log.splitlines() if "route main" in line]
	assert len(said) == len(set(said)), log
