"""Campaigns to the fast sink: who they go to, what they say, and the check that the work was done.

Contacts are imported once for each size and kept in build/bench/kept; every campaign starts from a copy. Contact n is
reader<n>@mail<n mod 997>.example, so that the sink can say of each whether it came, once."""
import email
import email.policy
import glob
import os
import shutil

import harness
from measure import CORES, FOLDER, Cost, Terminal, check
from sink import FastSink

CONNECTIONS = 50
COLUMNS = "email first_name city birthday plan points note".split()
WORDS = ["Kyoto", "Osaka", "Sapporo", "Nagoya", "Fukuoka", "Zürich", "Lisbon", "New York"]
LOREM = "Forty new titles came in this month; one of them, we think, is for you, {{ first_name }}, and we kept it in {{ city }}. "
# What a campaign to 10 million needs to be about contacts, not about bytes.
SHORT = "From: Kyoto Books <news@books.example>\nSubject: {{ first_name }}, the June list is here\n\n" \
	"Dear {{ first_name }} of {{ city }}, forty new titles.\n\nNo more letters? {{ unsubscribe_url }}\n"


def letter():
	"""About 10 KB as multipart/alternative, with 75 values."""
	body = "".join(f"<p>{LOREM}</p>\n" for _ in range(36))
	return "From: Kyoto Books <news@books.example>\nSubject: {{ first_name }}, the June list is here\n\n" \
		f"<p>Dear {{{{ first_name }}}},</p>\n{body}<p><a href=\"{{{{ unsubscribe_url }}}}\">Unsubscribe</a></p>\n"


def person(i):
	return [f"reader{i}@mail{i % 997}.example", f"Name{i % 5003}", WORDS[i % 8], f"19{i % 90 + 10}-0{i % 9 + 1}-1{i % 9}",
		("free", "plus", "gold")[i % 3], str(i * 7919 % 100000), f"likes {WORDS[i // 8 % 8]}; joined by {WORDS[i // 64 % 8]}"]


def write_csv(path, rows, first=0):
	if not os.path.exists(path):
		os.makedirs(os.path.dirname(path), exist_ok=True)
		with open(path + ".tmp", "w", encoding="utf-8") as f:
			f.write(",".join(COLUMNS) + "\n")
			for i in range(first, first + rows):
				f.write(",".join(person(i)) + "\n")
		os.rename(path + ".tmp", path)
	return path


def csv_file(rows, first=0):
	return write_csv(os.path.join(FOLDER, "kept", f"rows-{rows}-{first}.csv"), rows, first)


def fresh(name):
	folder = os.path.join(FOLDER, "work", name)
	shutil.rmtree(folder, ignore_errors=True)
	os.makedirs(folder)
	return folder


def contacts(count):
	"""The folder with a database of that many contacts, imported if there is none."""
	folder = os.path.join(FOLDER, "kept", f"contacts-{count}")
	if not os.path.exists(folder):
		work, source = fresh("contacts"), csv_file(count)
		with harness.World(work) as w:
			w.configure(2525)
			made = w.run("-q", "--json", "import", "news", source, timeout=3600).json
		check(made["added"] == count, f"not all rows were imported: {made}")
		if count > 1000000:
			os.remove(source)
		os.rename(work, folder)
	return folder


def copy(count, name, kind="contacts"):
	"""A fresh folder with a copy of that database."""
	source = contacts(count) if kind == "contacts" else os.path.join(FOLDER, "kept", f"{kind}-{count}")
	folder = fresh(name)
	for file in ("postrider.db", "postrider.key"):
		shutil.copy(os.path.join(source, file), folder)
	with harness.World(folder) as w:
		w.configure(2525)
		w.run("adopt", expect=(0, 65))  # 65: it is at home here, as nothing is left where its original was made
	return folder


# ---- was the work done? ----

def read_samples(folder, suffix=".eml"):
	"""{number of the contact: message}."""
	samples = {}
	for path in glob.glob(os.path.join(folder, "*" + suffix)):
		with open(path, "rb") as f:
			samples[int(os.path.basename(path)[6:].split("@")[0])] = f.read()
	return samples


def check_samples(folder, least, parts=2, signatures=0, who=person):
	"""Messages in the sink's folder are each their recipient's: header and every part."""
	samples = read_samples(folder)
	check(len(samples) >= least, f"the sink kept {len(samples)} messages to look at, {least} were wanted")
	for i, data in samples.items():
		address, name, city = who(i)[:3]
		m = email.message_from_bytes(data, policy=email.policy.default)
		check(address in str(m["To"]) and name in str(m["Subject"]), f"a message to {address} says To: {m['To']}, Subject: {m['Subject']}")
		texts = [p.get_content() for p in m.walk() if p.get_content_maintype() == "text"]
		check(len(texts) == parts, f"a message to {address} has {len(texts)} parts, {parts} were wanted")
		check(all(name in t and city in t for t in texts), f"a message to {address} is not personal")
		found = len(m.get_all("DKIM-Signature", []))
		check(found == signatures, f"a message to {address} has {found} signatures, {signatures} were wanted")
	return samples


def check_sink(counts, messages):
	check(counts["messages"] == messages, f"the sink got {counts['messages']} of {messages} messages")
	check(counts["distinct"] == messages and counts["repeated"] == 0 and counts["strange"] == 0,
		f"not every recipient got one message: {counts}")


def check_ledger(status, messages):
	check(status["state"] == "finished" and status["counts"]["sent"] == messages == status["audience"] and status["attempts"] == messages,
		f"the ledger does not say that all {messages} were sent: {status}")


# ---- a campaign ----

class Measuring:
	"""The sink, told to count every recipient and to keep about a hundred messages."""

	def __init__(self, folder, count, *options, threads=1):
		self.samples = os.path.join(folder, "samples")
		os.makedirs(self.samples)
		self.sink = FastSink(folder, "--threads", str(threads), "--numbered", str(count), "--sample", self.samples, "--every", str(max(count // 100, 1)),
			*options)

	def __enter__(self):
		self.sink.__enter__()
		self.port, self.stop = self.sink.port, self.sink.stop
		return self

	def __exit__(self, *exc):
		self.sink.__exit__(*exc)


def span(counts):
	"""From the first to the last message at the sink."""
	return max(counts["last"] - counts["first"], 1e-6)


def sink_figures(counts):
	return {"sink_us": counts["cpu_us_per_message"], "sink_busy": 100 * counts["cpu_seconds"] / span(counts)}


def campaign(series, count, message=None, parts=2, signatures=0, sink_options=(), setup=None, check_with=None, name="send",
		threads=1, folder=None, who=person, **route):
	"""Sends to all of that many contacts; adds to the series and returns (sample, sink's counts, status, folder). The rate is
	from the first to the last message at the sink; CPU and `whole` are the whole command's. setup(w): keys of the route and
	sections. folder, who: with another list `news`, of these people. Progress is drawn, as for a person who waits."""
	folder = folder or copy(count, name)
	with Measuring(folder, count, *sink_options, threads=threads) as sink, harness.World(folder) as w:
		w.configure(sink.port)
		w.configure(sink.port, **{"connections": CONNECTIONS, **route, **(setup(w) if setup else {})})
		file = w.write("june.html" if parts == 2 else "june.txt", message or letter())
		with Terminal() as terminal:
			cost = Cost([harness.PROGRAM, "send", file, "--list", "news", "--name", "june", "--yes", "--patience", "0"], folder,
				env=w.environment(), errors=terminal)
		counts, status = sink.stop(), w.status("june")
		check_sink(counts, count)
		check_ledger(status, count)
		samples = check_samples(sink.samples, min(count, 50), parts, signatures, who)
		if check_with:
			check_with(w, samples)
		shutil.rmtree(sink.samples)
	sample = series.add(count, span(counts), cost.cpu, cost.rss, whole=cost.seconds, bytes=counts["bytes"] / count,
		by_cpu=CORES / (cost.cpu + counts["cpu_seconds"]) * count, first_message=counts["first"] - cost.began, **sink_figures(counts))
	return sample, counts, status, folder


def keep(folder, kind, count):
	"""Keeps a folder with a database for copy(count, name, kind)."""
	place = os.path.join(FOLDER, "kept", f"{kind}-{count}")
	shutil.rmtree(place, ignore_errors=True)
	os.rename(folder, place)
	return place
