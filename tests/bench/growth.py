"""`growth`: the same campaign to 10 thousand, 1 million and 10 million, over 1 to 20,000 sites, 1 to 1,000 connections, 1 to 4
workers; what is looked at afterwards; and the plots."""
import csv
import os
import statistics

import harness
from campaigns import CONNECTIONS, SHORT, campaign, contacts, copy, fresh, keep, person
from measure import Cost, Series
from names import Names
from storing import import_more, look, look_table, median_ms, moment
from svg import plot

SIZES = {"10k": 10000, "1m": 1000000, "10m": 10000000}
FEW, SMALL = 100, 10000


def size(b, name):
	return min(SIZES[name], b.count(SIZES[name], 100000))


# ---- one campaign, however large ----

def dry_run(series, count):
	"""All that comes before the launch, with the check."""
	folder = copy(count, "dry")
	with harness.World(folder) as w:
		w.configure(2525, connections=CONNECTIONS)
		w.write("june.txt", SHORT)
		cost = Cost([harness.PROGRAM, "send", "june.txt", "--list", "news", "--name", "june", "--dry-run"], folder, env=w.environment())
	series.add(count, cost.seconds, cost.cpu, cost.rss)


def grow(b, name):
	"""The campaign between small ones; what a start costs is measured with 100 people and taken off."""
	count = size(b, name)
	b.title = f"A campaign to {count:,}, short messages, {CONNECTIONS} connections"
	few, before, small, large = Series("few"), Series("before"), b.add(f"{SMALL:,} contacts, before and after"), b.add(f"{count:,} contacts")
	contacts(count)
	launched = []

	def little():
		for _ in range(5):
			campaign(few, FEW, SHORT, parts=1)
			campaign(small, SMALL, SHORT, parts=1)
			dry_run(before, SMALL)

	def send():
		_, _, status, folder = campaign(large, count, SHORT, parts=1, name=f"growth-{name}")
		fixing = moment(status["started"]) - moment(status["start_at"])
		launched.append({"first_message": large.samples[-1]["first_message"], "audience_seconds": fixing})
		keep(folder, "sent", count)

	little()
	for _ in range(1 if count > 1000000 else 3):
		send()
	little()

	def each(series, number):
		"""Of one more message, in µs."""
		start = few.median("cpu_us") * FEW
		return (series.median("cpu_us") * number - start) / number
	cost = each(large, count)
	share = cost / each(small, SMALL)
	memory = large.median("rss") / small.median("rss")
	point = {"cpu_us": cost, "rss": large.median("rss"), "rate": large.median(), "whole_us": large.median("cpu_us"),
		**{k: statistics.median(x[k] for x in launched) for k in launched[0]}}
	b.data["campaign"] = {str(count): point}
	unchecked = cost / (small.median("cpu_us") - before.median("cpu_us"))
	b.note(f"CPU of one message, without the start (which takes {few.median('cpu_us') * FEW / 1000:.0f} ms): {cost:.1f} µs, {share:.2f} of that at "
		f"{SMALL:,}, or {unchecked:.2f} if what comes before the launch is not counted there (below 100,000 the check composes every message once "
		f"more). Peak memory {memory:.2f} of that at {SMALL:,}. The audience was fixed in {point['audience_seconds']:.2f} s; the first message was "
		f"there {point['first_message']:.2f} s after the command began.")
	return share, memory


def ten_thousand(b):
	"""A campaign to 10 thousand."""
	grow(b, "10k")


def one_million(b):
	"""A campaign to 1 million."""
	grow(b, "1m")


def ten_million(b):
	"""A campaign to 10 million; keeps about 4 GB in build/bench/kept."""
	share, memory = grow(b, "10m")
	if not b.quick:
		b.target("growth-cpu", share)
		b.target("growth-memory", memory)


# ---- what is looked at afterwards ----

def looks(b, name):
	count, more = size(b, name), b.count(100000, 10000)
	b.title = f"Looking at a campaign of {count:,}; `import` of {more:,} more people"
	series = b.add("postrider report --format csv")
	found = look(b, series, count, (1 if count > 1000000 else 3, 1))
	found["import"] = import_more(count, more)
	b.texts.append(look_table(found))
	b.data["look"] = {str(count): {k: median_ms(found, k) for k in found}}
	return found


def look_10k(b):
	"""Status, report, trace and an import beside 10 thousand deliveries."""
	looks(b, "10k")


def look_1m(b):
	"""The same beside 1 million."""
	looks(b, "1m")


def look_10m(b):
	"""The same beside 10 million."""
	found = looks(b, "10m")
	if not b.quick:
		b.target("status", median_ms(found, "status"))
		b.target("trace", median_ms(found, "trace"))


# ---- shapes other than the number of people ----

def at_sites(sites):
	return lambda i: [f"reader{i}@d{i % sites}.good.example", *person(i)[1:]]


def to_sites(series, sites, count):
	folder, who = fresh("wide"), at_sites(sites)
	with Names(folder, {"good": "127.0.0.1"}) as names, harness.World(folder) as w:
		w.configure(2525)
		with open(w.path("people.csv"), "w", newline="") as f:
			rows = csv.writer(f)
			rows.writerow(["email", "first_name", "city"])
			rows.writerows(who(i)[:3] for i in range(count))
		w.run("-q", "import", "news", "people.csv")
		campaign(series, count, SHORT, parts=1, folder=folder, who=who, kind="direct", host=None, resolver=f"127.0.0.1@{names.port}",
			private_addresses="allow", helo="out.books.example", extra="[domain books.example]\n")


def wide(b):
	"""1 to 20,000 destination sites, 1 to 1,000 connections, 1 to 4 workers."""
	count = b.count(40000, 5000)
	b.title = "Sites, connections, workers"
	for name, key, values, run in (
			("sites, direct", "sites", (1, 100, b.count(20000, 1000)), lambda s, n: to_sites(s, n, count)),
			("connections to one relay", "connections", (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
				lambda s, n: campaign(s, count, name="wide", connections=n)),
			("workers", "workers", (1, 2, 3, 4), lambda s, n: campaign(s, count, name="wide", top=f"workers = {n}\n"))):
		series = {n: b.add(f"{n:,} {name}") for n in values}
		b.rounds(2, 1, *[lambda s=s, n=n, run=run: run(s, n) for n, s in series.items()])
		b.data[key] = {str(n): {"rate": s.median(), "cpu_us": s.median("cpu_us"), "rss": s.median("rss")} for n, s in series.items()}
	b.note("Direct delivery sends short messages, the others 10 KB. A single site that nothing is known of is sent 1,000 a second at most: ten new "
		"connections of a hundred messages each; at 20,000 sites it is a connection for every two messages.")


# ---- plots ----

def points(found, group, key, factor=1):
	"""[(size, value)] of all results that have it."""
	return sorted({int(n): p[key] * factor for r in found.values() for n, p in r["data"].get(group, {}).items() if key in p}.items())


def plots(found, folder):
	"""Draws what the results that are there allow; the files' names."""
	os.makedirs(folder, exist_ok=True)
	people = "contacts"
	for file, title, x, y, lines in (
			("growth-cost", "CPU of one message", people, "µs", {"": points(found, "campaign", "cpu_us")}),
			("growth-memory", "Peak memory of a campaign", people, "MiB", {"": points(found, "campaign", "rss")}),
			("growth-first", "From the command to its first message", people, "s",
				{"first message": points(found, "campaign", "first_message"), "audience fixed": points(found, "campaign", "audience_seconds")}),
			("growth-looks", "Looking at a finished campaign", people, "ms",
				{k: points(found, "look", k) for k in ("status", "report", "trace", "suppressions why")}),
			("growth-import", "Importing 100,000 more", people, "s", {"": points(found, "look", "import", 0.001)}),
			("sites", "Direct delivery, short messages", "destination sites", "messages/s", {"": points(found, "sites", "rate")}),
			("connections", "One relay, 10 KB messages", "connections", "messages/s", {"": points(found, "connections", "rate")}),
			("workers", "One relay, 10 KB messages", "workers", "messages/s", {"": points(found, "workers", "rate")})):
		if max(map(len, lines.values())) > 1 and plot(os.path.join(folder, file + ".svg"), title, x, y, {k: v for k, v in lines.items() if v},
				log=file != "workers"):
			yield file + ".svg"


BENCHES = {"growth-10k": ten_thousand, "growth-1m": one_million, "growth-10m": ten_million, "look-10k": look_10k, "look-1m": look_1m,
	"look-10m": look_10m, "growth-wide": wide}
PREPARE = {"growth-10m": lambda quick: contacts(100000 if quick else SIZES["10m"])}
