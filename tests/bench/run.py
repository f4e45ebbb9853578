#!/usr/bin/env python3
"""Measures Postrider beside other programs in the same run and writes build/bench/report.md.
usage: tests/bench/run.py [import|send|busy|templates|distance|bounces|sites|shaping]... [--rows N] [--messages N] [--rounds N] [--full]

Figures of a shared machine drift; the ratios of one run are what counts. Each figure is the best of the rounds, which take turns
(of `templates`: the median)."""
import argparse
import csv
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import harness  # noqa: E402
import peers  # noqa: E402
from sink import FastSink  # noqa: E402
from smtpd import Sink  # noqa: E402
import bounces_bench  # noqa: E402
import faraway  # noqa: E402
import shaping  # noqa: E402
import sites  # noqa: E402
import templates  # noqa: E402

FOLDER = os.path.join(harness.BUILD, "bench")
CONNECTIONS = 50


class Measured:
	def __init__(self, argv, cwd, stdin=None, env=None):
		start = time.monotonic()
		with open(os.path.join(FOLDER, "last.out"), "wb") as out:
			child = subprocess.Popen(argv, cwd=cwd, stdout=out, stderr=subprocess.STDOUT, env=env,
				stdin=open(stdin, "rb") if stdin else subprocess.DEVNULL)
			_, status, usage = os.wait4(child.pid, 0)
		child.returncode = os.waitstatus_to_exitcode(status)
		self.seconds, self.cpu, self.rss = time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
		if child.returncode != 0:
			raise RuntimeError(f"{argv}: exit {child.returncode}\n" + open(out.name, errors="replace").read()[-3000:])


def best(runs):
	return min(runs, key=lambda r: r.seconds)


def table(title, rows, note):
	head = ["program", "seconds", "per second", "CPU s", "peak MiB"]
	lines = [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
	lines += ["| " + " | ".join(r) + " |" for r in rows]
	return "\n".join(lines + ["", note, ""])


def row(name, m, count):
	return [name, f"{m.seconds:.2f}", f"{count / m.seconds:,.0f}", f"{m.cpu:.2f}", f"{m.rss:.0f}"]


# ---- import ----

def write_csv(path, rows):
	if os.path.exists(path):
		return
	words = ["Kyoto", "Osaka", "Sapporo", "Nagoya", "Fukuoka", "Zürich", "Lisbon", "New York"]
	with open(path, "w", newline="", encoding="utf-8") as f:
		out = csv.writer(f)
		out.writerow("email first_name city birthday plan points note".split())
		for i in range(rows):
			out.writerow([f"reader{i}@mail{i % 997}.example", f"Name{i % 5003}", words[i % 8], f"19{i % 90 + 10}-0{i % 9 + 1}-1{i % 9}",
				("free", "plus", "gold")[i % 3], i * 7919 % 100000, f"likes {words[i // 8 % 8]}, joined by {words[i // 64 % 8]}"])


def bench_import(args):
	source = os.path.join(FOLDER, f"rows-{args.rows}.csv")
	write_csv(source, args.rows)
	ours, theirs = [], []
	for i in range(args.rounds):
		folder = fresh("import")
		with harness.World(folder) as w:
			w.configure(2525)
			ours.append(Measured([harness.PROGRAM, "-q", "import", "news", source], folder))
		folder = fresh("sqlite")
		script = os.path.join(folder, "script")
		with open(script, "w") as f:
			f.write(f".mode csv\n.import {source} contacts\nCREATE UNIQUE INDEX by_email ON contacts(email);\n")
		theirs.append(Measured(["sqlite3", "plain.db"], folder, stdin=script))
	a, b = best(ours), best(theirs)
	size = os.path.getsize(source) / 1e6
	more = ""
	if args.full:
		big = os.path.join(FOLDER, f"rows-{args.rows * 10}.csv")
		write_csv(big, args.rows * 10)
		folder = fresh("import")
		with harness.World(folder) as w:
			w.configure(2525)
			m = Measured([harness.PROGRAM, "-q", "import", "news", big], folder)
		more = f" With {args.rows * 10:,} rows {m.rss:.0f} MiB, {m.seconds:.0f} s."
	return table(f"Import of {args.rows:,} rows ({size:.0f} MB)", [row("postrider import", a, args.rows),
		row("sqlite3 .import and a unique index", b, args.rows)],
		f"Time ratio {a.seconds / b.seconds:.2f} (at most 1.7); peak memory {a.rss:.0f} MiB (below 96)." + more)


# ---- send ----

LOREM = "Forty new titles came in this month; one of them, we think, is for you, {{ first_name }}, and we kept it in {{ city }}. "


def message():
	body = "".join(f"<p>{LOREM}</p>\n" for _ in range(36))
	return "From: Kyoto Books <news@books.example>\nSubject: {{ first_name }}, the June list is here\n\n" \
		f"<p>Dear {{{{ first_name }}}},</p>\n{body}<p><a href=\"{{{{ unsubscribe_url }}}}\">Unsubscribe</a></p>\n"


def bench_send(args):
	ours, phases, theirs, sizes = [], [], [], []
	for _ in range(args.rounds):
		folder = fresh("send")
		with FastSink(folder) as sink, harness.World(folder) as w:
			w.configure(sink.port, connections=CONNECTIONS)
			w.audience(args.messages)
			w.write("june.txt", message()) if args.plain else w.write("june.html", message())
			ours.append(Measured([harness.PROGRAM, "-q", "send", "june.txt" if args.plain else "june.html", "--list", "news",
				"--name", "june", "--yes"], folder))
			status = w.status("june")
			assert status["counts"]["sent"] == args.messages, status
			phases.append(status["seconds"])
			sizes.append(sink.stop()["bytes"] / args.messages)
	try:
		for _ in range(args.rounds):
			folder = fresh("source")
			with FastSink(folder) as sink:
				peer = peers.Postfix(folder, sink.port)
				theirs.append(Measured(peer.command("/usr/sbin/smtp-source", "-d", "-s", str(CONNECTIONS), "-m", str(args.messages),
					"-l", str(int(sizes[0])), "-f", "a@books.example", "-t", "b@x.example", f"127.0.0.1:{sink.port}"), folder))
	except peers.Unavailable as e:
		print("without smtp-source:", e)
	a = best(ours)
	rows = [row("postrider send (whole command)", a, args.messages)]
	seconds = min(phases)
	note = f"Messages of {sizes[0] / 1000:.1f} KB. From first to last message {seconds:.2f} s: {args.messages / max(seconds, 1e-3):,.0f} " \
		f"messages/s (at least 15,000 on 2 cores). Peak memory {a.rss:.0f} MiB (below 128)."
	if theirs:
		b = best(theirs)
		rows.append(row(f"smtp-source -d -s {CONNECTIONS} (one body for all, no ledger)", b, args.messages))
		note += f" Rate ratio to smtp-source {b.seconds / seconds:.2f} (at least 0.65)."
	return table(f"Campaign of {args.messages:,} messages to a fast sink, {CONNECTIONS} connections", rows, note)


# ---- an import while a campaign runs ----

def bench_busy(args):
	"""The longest silence at the server, and how soon a pause is obeyed, while a long import goes on."""
	rows = args.rows * (10 if args.full else 1)
	source = os.path.join(FOLDER, f"rows-{rows}.csv")
	write_csv(source, rows)
	folder = fresh("busy")
	with Sink() as sink, harness.World(folder) as w:
		w.configure(sink.port, connections=8, rate="200/s")
		w.audience(50000)
		w.message()
		w.start("-q", "send", "june.html", "--list", "news", "--name", "june", "--yes")
		sink.wait(200)
		start = time.time()
		w.run("-q", "import", "other", source, timeout=1800)
		end = time.time()
		import_seconds = end - start
		second = w.start("-q", "import", "third", source)
		time.sleep(2)
		asked = time.time()
		w.run("pause", "june")
		answered = time.time()
		time.sleep(1.5)
		last = sink.messages[-1].time
		second.kill()
	times = [m.time for m in sink.messages if start <= m.time <= end]
	gap = max((b - a for a, b in zip(times, times[1:])), default=0)
	return "\n".join([f"## An import of {rows:,} rows while a campaign runs at 200/s", "", "| what | seconds |", "|---|---|",
		f"| the import | {import_seconds:.1f} |", f"| longest gap between two messages (at most 0.5) | {gap:.3f} |",
		f"| `pause` answered | {answered - asked:.2f} |", f"| last message after `pause` began (at most 1) | {max(0, last - asked):.2f} |", "",
		f"{len(times):,} messages in that time, {len(times) / max(import_seconds, 1e-3):.0f}/s.", ""])


def bench_templates(args):
	return templates.bench(fresh("templates"), os.path.join(harness.BUILD, "bench", "driver", "templates"), max(args.rounds, 7), 0.3)


def bench_distance(args):
	return faraway.bench(message(), fresh, args.scale)


def bench_bounces(args):
	return bounces_bench.bench(args.bounces, max(args.rounds, 3))


def bench_sites(args):
	"""Does healthy mail suffer from sites that are dead, silent, slow, or unknown to DNS?"""
	good, bad, each = (14000, 6000, 5) if args.full else (1400, 600, 20)
	alone, beside = (sites.Run(fresh("sites"), good, n, each) for n in (0, bad))
	ratio = beside.healthy / alone.healthy
	lines = [f"| {name} | {r.healthy:.1f} | {r.took / r.healthy:,.0f} | {r.cpu:.1f} | {r.rss:.0f} |"
		for name, r in ((f"{good:,} sites", alone), (f"and {bad:,} bad ones", beside))]
	return "\n".join([f"## Direct delivery to {good * each:,} people at {good:,} sites, alone and beside {bad:,} bad sites", "",
		"| healthy mail | seconds | per second | CPU s | peak MiB |", "|---|---|---|---|---|", *lines, "",
		f"Ratio {ratio:.2f} (at most 1.2). All healthy mail arrived: {alone.took == alone.want and beside.took == beside.want}.", ""])


def bench_shaping(args):
	return shaping.report(fresh("shaping"), args.full)


def fresh(name):
	folder = os.path.join(FOLDER, name)
	shutil.rmtree(folder, ignore_errors=True)
	os.makedirs(folder)
	return folder


def main():
	parser = argparse.ArgumentParser(usage=__doc__)
	parser.add_argument("what", nargs="*", default=[])
	parser.add_argument("--rows", type=int, default=1000000)
	parser.add_argument("--messages", type=int, default=100000)
	parser.add_argument("--rounds", type=int, default=2)
	parser.add_argument("--scale", type=float, default=1, help="of the messages of `distance`")
	parser.add_argument("--bounces", default=os.path.join(harness.TOP, "..", "shared", "data", "bounces"), help="folder with messages/")
	parser.add_argument("--full", action="store_true", help="also with ten times the rows and messages, for memory")
	parser.add_argument("--plain", action="store_true", help="text/plain instead of HTML with its text part")
	args = parser.parse_args()
	os.makedirs(FOLDER, exist_ok=True)
	parts = ["# Measured beside others", ""]
	for name, bench in (("import", bench_import), ("send", bench_send), ("busy", bench_busy), ("templates", bench_templates),
			("distance", bench_distance), ("bounces", bench_bounces), ("sites", bench_sites), ("shaping", bench_shaping)):
		if not args.what or name in args.what:
			parts.append(bench(args))
	text = "\n".join(parts)
	with open(os.path.join(FOLDER, "report.md"), "w") as f:
		f.write(text)
	print(text + f"\nwritten to {os.path.relpath(f.name)}")


if __name__ == "__main__":
	sys.exit(main())
