"""`import`, `audience`, `check`, `report`: what is done with many rows, beside sqlite3's `.import` where that can do it."""
import os
import shutil
import signal
import statistics
import subprocess
import time
from datetime import datetime

import harness
from campaigns import CONNECTIONS, SHORT, campaign, contacts, copy, csv_file, fresh, keep, letter
from measure import FOLDER, Cost, Series, Terminal, check, ratios
from sink import FastSink


def rows(quick):
	return 100000 if quick else 1000000


def prepare(quick):
	contacts(rows(quick))
	csv_file(rows(quick), rows(quick))


def sent(count):
	"""The folder with the database of a finished campaign to that many, sent if there is none."""
	place = os.path.join(FOLDER, "kept", f"sent-{count}")
	if not os.path.exists(place):
		keep(campaign(Series("kept"), count, SHORT, parts=1)[3], "sent", count)
	return place


# ---- import ----

def import_rows(series, folder, source, added, rows):
	with harness.World(folder) as w:
		w.configure(2525)
		out = w.path("import.json")
		cost = Cost([harness.PROGRAM, "-q", "--json", "import", "more", source], folder, env=w.environment(), out=out)
		with open(out) as f:
			said = f.read()
		check(f'"added":{added},' in said.replace(" ", ""), f"not {added} rows were added: {said}")
	series.add(rows, cost.seconds, cost.cpu, cost.rss)


def sqlite3(series, folder, source, total, rows, index_first):
	script = os.path.join(folder, "script")
	index = "CREATE UNIQUE INDEX by_email ON contacts(email);\n"
	with open(script, "w") as f:
		f.write(f".mode csv\n.import {'--skip 1 ' if index_first else ''}{source} contacts\n{'' if index_first else index}")
	cost = Cost(["sqlite3", "plain.db"], folder, stdin=script)
	count = subprocess.run(["sqlite3", "plain.db", "SELECT count(*) FROM contacts"], cwd=folder, capture_output=True, text=True).stdout
	check(int(count) == total, f"sqlite3 has {count} rows of {total}")
	series.add(rows, cost.seconds, cost.cpu, cost.rss)


def import_(b):
	"""Rows with six attributes into an empty database and into one that has as many, beside sqlite3's .import."""
	number = rows(b.quick)
	source, other = csv_file(number, number), csv_file(number)
	contacts(number)
	b.title = f"Import of {number:,} rows with six attributes ({os.path.getsize(source) / 1e6:.0f} MB)"
	empty, full, again = b.add("postrider import, empty database"), b.add(f"postrider import, {number:,} others are there"), \
		b.add("postrider import, the same people on another list")
	plain, plain_full = b.add("sqlite3 .import and a unique index"), b.add(f"sqlite3 .import, {number:,} others and the index are there")

	def peers():
		folder = fresh("sqlite")
		sqlite3(plain, folder, other, number, number, False)
		sqlite3(plain_full, folder, source, 2 * number, number, True)
	b.rounds(3, 1, lambda: import_rows(empty, fresh("import"), source, number, number), peers,
		lambda: import_rows(full, copy(number, "import"), source, number, number), lambda: import_rows(again, copy(number, "import"), other, 0, number))
	b.target("import-empty", ratios(empty, plain, "seconds"))
	b.target("import-full", ratios(full, plain, "seconds"))
	b.note("sqlite3 checks and normalises nothing; it keeps the columns as they stand. A full database costs it more as well "
		f"({statistics.median(ratios(plain_full, plain, 'seconds')):.2f} times its own empty one).")


# ---- a campaign's audience ----

def moment(text):
	return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def fix_audience(b, fixing, first, count):
	"""Launches a campaign with progress drawn, and stops it when its first message has come."""
	folder = copy(count, "audience")
	with FastSink(folder) as sink, harness.World(folder) as w, Terminal() as terminal:
		w.configure(sink.port, connections=CONNECTIONS)
		w.write("june.txt", SHORT)
		child = subprocess.Popen([harness.PROGRAM, "send", "june.txt", "--list", "news", "--name", "june", "--yes"], cwd=folder, stderr=terminal,
			stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=w.environment())
		w.children.append(child)
		harness.wait_until(lambda: sink.counts()["messages"] > 0 or child.poll() is not None, 600)
		child.send_signal(signal.SIGTERM)
		check(child.wait(60) in (0, 75), f"send ended with {child.returncode}")
		status, counts = w.status("june"), sink.stop()
	check(status["audience"] == count and counts["messages"] == status["counts"]["sent"], f"{counts} {status}")
	fixing.add(count, max(moment(status["started"]) - moment(status["start_at"]), 1e-3))
	first.append(counts["first"] - moment(status["started"]))


def audience(b):
	"""From the launch of a campaign to its first message on the wire."""
	count = rows(b.quick)
	b.title = f"Fixing an audience of {count:,}"
	fixing, first = b.add("contacts into the campaign, recorded slice by slice"), []
	contacts(count)
	b.rounds(5, 2, lambda: fix_audience(b, fixing, first, count))
	b.target("audience", fixing.of("rate"))
	b.target("first-message", first)
	b.note("From the campaign's launch to its start, with progress drawn on a terminal; then to the first message complete at the sink: "
		+ ", ".join(f"{s:.2f} s" for s in first) + ".")


def check_(b):
	"""A message composed and read for every contact."""
	count = rows(b.quick)
	b.title = f"`check` of a message for {count:,} contacts"
	ours = b.add("postrider check")

	def step():
		folder = copy(count, "check")
		with harness.World(folder) as w:
			w.configure(2525)
			w.write("june.html", letter())
			out = w.path("check.json")
			cost = Cost([harness.PROGRAM, "--json", "check", "june.html", "--list", "news"], folder, env=w.environment(), errors=subprocess.DEVNULL,
				out=out)
			with open(out) as f:
				check(f"composed for {count:,} recipients" in f.read(), "not all messages were composed")
		ours.add(count, cost.seconds, cost.cpu, cost.rss)
	b.rounds(3, 1, step)
	b.target("check", ours.of("rate"))


# ---- looking at what was sent ----

def times(w, number, argv, expect):
	"""[(milliseconds, CPU milliseconds)] of a command run so often; argv(i)."""
	took = []
	for i in range(number):
		out = w.path("look.out")
		cost = Cost([harness.PROGRAM, *argv(i)], w.folder, env=w.environment(), out=out)
		with open(out) as f:
			check(expect(i) in f.read(), f"{argv(i)} does not say {expect(i)}")
		took.append((1000 * cost.seconds, 1000 * cost.cpu))
	return took


def look(b, series, count, rounds):
	"""Everything that is looked at after a campaign; {command: what times() gave}."""
	found = {}
	address = lambda i: f"reader{i * 7919 * 613 % count}@mail{i * 7919 * 613 % count % 997}.example"
	with harness.World(sent(count)) as w:
		def csv():
			out = w.path("june.csv")
			cost = Cost([harness.PROGRAM, "report", "june", "--format", "csv", "-o", out], w.folder, env=w.environment())
			lines = int(subprocess.run(["wc", "-l", out], capture_output=True, text=True).stdout.split()[0])
			check(lines == count + 1, f"the report has {lines} lines for {count} deliveries")
			series.add(count, cost.seconds, cost.cpu, cost.rss)
			os.remove(out)

		def looks():
			for name, argv, expect in (("status", lambda i: ["--json", "status", "june"], lambda i: f'"sent":{count},'),
					("report", lambda i: ["--json", "report", "june"], lambda i: f'"sent":{count},'),
					("trace", lambda i: ["trace", address(i)], address),
					("suppressions why", lambda i: ["suppressions", "why", address(i)], address)):
				found.setdefault(name, []).extend(times(w, 10, argv, expect))
		b.rounds(*rounds, csv, looks)
	return found


def look_table(found):
	lines = ["| command | ms, median | least to most | CPU ms |", "|---|---|---|---|"]
	for name, times in found.items():
		wall, cpu = zip(*times)
		lines.append(f"| `{name}` | {statistics.median(wall):.0f} | {min(wall):.0f} – {max(wall):.0f} | {statistics.median(cpu):.0f} |")
	return "\n".join(lines)


def median_ms(found, name):
	return statistics.median(ms for ms, _ in found[name])


def import_more(count, rows):
	"""As times(), to import that many new people into a database with a finished campaign."""
	place, number = sent(count), 0
	while os.path.exists(os.path.join(place, f"more-{number}")):
		number += 1
	source = csv_file(rows, count + number * rows)
	series = Series("more")
	import_rows(series, place, source, rows, rows)
	shutil.move(source, os.path.join(place, f"more-{number}"))
	open(os.path.join(place, f"more-{number}"), "w").close()
	return [(1000 * series.samples[0]["seconds"], series.samples[0]["cpu_us"] * rows / 1000)]


def report(b):
	"""Looking at a finished campaign: every recipient as CSV, status, trace."""
	count = rows(b.quick)
	b.title = f"Looking at a campaign of {count:,}"
	series = b.add("postrider report --format csv")
	found = look(b, series, count, (3, 1))
	b.target("report", series.of("rate"))
	b.texts.append(look_table(found))
	b.data["look"] = {str(count): {k: median_ms(found, k) for k in found}}


BENCHES = {"import": import_, "audience": audience, "check": check_, "report": report}
PREPARE = {**dict.fromkeys(BENCHES, prepare), "report": lambda quick: sent(rows(quick))}
