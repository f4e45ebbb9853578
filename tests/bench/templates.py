"""`templates`: the newsletter rendered and composed for 1,000 recipients, by ours and by others, in turns.

All get the same recipients and give the same text, which is checked before anything is measured. The rows of the newsletter's
loop are objects to the peers. Contacts have text only: in mail ours splits the rows from a column, in every render; it is
measured that way, and with objects as the peers have them."""
import hashlib
import os
import re
import shutil
import statistics
import subprocess

import harness
from campaigns import fresh
from measure import HERE

EXAMPLE = os.path.join(HERE, "..", "..", "examples", "japanese", "newsletter.md")
RECIPIENTS = 1000

HEAD = """From: The Corner Bookshop <letters@books.example>
Subject: {{ first_name | default: "Reader" }}, ten books are on the table for you
Language: en

"""
# The header that HEAD and the recipients of templates.c lead to, for the floor.
HEADER = """Date: Mon, 1 Dec 2025 08:00:00 +0000
Message-ID: <{{MESSAGE_ID}}>
MIME-Version: 1.0
From: The Corner Bookshop <letters@books.example>
To: {{EMAIL}}
Subject: {{SUBJECT_NAME}}, ten books are on the table for you
List-Id: Readers <readers.books.example>
List-Unsubscribe: <{{UNSUBSCRIBE_URL}}>,
 <mailto:leave@books.example?subject=unsubscribe>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Feedback-ID: 12-december:booksexample
Precedence: bulk
Content-Language: en
Content-Type: multipart/alternative;
 boundary="=_{{UNIQUE}}_0"

"""

# ---- recipients ----

FIRST = ["Anna", "Jonas", "Mairead", "Pavel", "Ines", "", "Tomas", "Hedda", "Bruno", "Clara", "Nils", "Rosa", "Piet"]
LAST = ["O'Hara", "Lindqvist", "Novák", "Brandt", "Ferreira", "Keller", "Dubois", "Marsh", "Ek", "Günther", "Sato"]
CITIES = ["Lübeck", "Cork", "", "Porto", "Brno", "Aarhus", "Delft", "Graz", "Évora"]
TITLES = ["The Ferryman's Almanac", "Salt & Paper", "A Winter of Maps", "On Mending", "Eleven Lighthouses", "Brot und Regen",
	"The Quiet Orchard", "Letters to a Cartographer", "Small Machines", "An Atlas of Weather", "The Clockmaker's Niece",
	"North of the Mill", "What the Tide Keeps", "Stone, Moss & Lichen", "Under the Plane Trees", "The Glass Harmonica"]
AUTHORS = ["Ida Falk", "R. Moreno", "Tess Quill", "Janos Weiss", "M. & L. Perrin", "Olive Tran", "Sven Aalto", "Cara D'Este"]


def recipients():
	for i in range(RECIPIENTS):
		rows = []
		for k in range(10):
			n = (i * 7 + k * 11) % len(TITLES)
			rows.append("|".join([TITLES[n], AUTHORS[(i * 3 + k) % len(AUTHORS)], f"{9 + (i + k * 5) % 30}.{(i + k) % 10}0",
				f"https://books.example/b/{1000 + (i * 13 + k * 101) % 9000}"]))
		yield {"email": f"reader{i}@mail{i % 97}.example", "first_name": FIRST[i % len(FIRST)], "last_name": LAST[i % len(LAST)],
			"city": CITIES[i % len(CITIES)], "plan": ("free", "gold", "plus")[i % 3], "points": str(i * 7919 % 1400),
			"member": f"CB-{100000 + i * 17}", "order": f"2025-{4000 + i}", "total": f"{20 + i % 90}.{i % 10}5",
			"joined": f"{2004 + i % 20}-{i % 12 + 1:02}-{i % 28 + 1:02}", "delivery": f"2025-12-{i % 9 + 3:02}",
			"month": "December", "shop": "The Corner Bookshop & Bindery", "street": "Mill Lane 4, 2300 Harbour Town",
			"editor": "Greta", "view_url": f"https://books.example/letters/december/{i * 7 + 12345}",
			"unsubscribe_url": f"https://books.example/leave/k{i * 104729 % 99999989:08}x4tq", "items": ";".join(rows)}


def japanese():
	names = ["田中 花子", "鈴木 一郎", "佐藤 めぐみ", "", "山本 健太", "中村 さくら", "小林 ゆうじ"]
	places = ["京都府", "東京都", "大阪府", "北海道", "福岡県"]
	for i in range(RECIPIENTS):
		yield {"email": f"dokusha{i}@mail{i % 97}.example", "氏名": names[i % 7], "都道府県": places[i % 5],
			"ポイント": str(i * 7919 % 1400), "unsubscribe_url": f"https://yamabuki.example/leave/k{i:08}x4tq",
			"view_url": f"https://yamabuki.example/letters/{i}"}


def write_recipients(path, rows):
	rows = list(rows)
	with open(path, "w", encoding="utf-8") as f:
		for row in [rows[0].keys(), *(r.values() for r in rows)]:
			f.write("\t".join(row) + "\n")


# ---- the template in four languages ----

CONDITIONS = {'plan == "gold"': ("GOLD", "NOT_GOLD", '$plan == "gold"'), "points >= 500": ("MANY_POINTS", "", "$points >= 500"),
	"city": ("HAS_CITY", "", "$city")}
NAMES = {'first_name | default: "reader"': "GREETING", 'first_name | default: "our reader"': "READER",
	'delivery | date: "%d.%m.%Y"': "DELIVERY", 'joined | date: "%-d %B %Y"': "JOINED"}


def tags(source, value, tag):
	return re.sub(r"{{ (.*?) }}|{% (.*?) %}", lambda m: value(m[1]) if m[1] else tag(m[2]), source)


def split_rows(source):
	"""Without objects: rows end in ";", fields in "|"."""
	source = source.replace("{% for item in items %}",
		'{% assign rows = items | split: ";" %}{% for row in rows %}{% assign item = row | split: "|" %}')
	for i, name in enumerate(["title", "author", "price", "link"]):
		source = source.replace("{{ item." + name + " }}", "{{ item[" + str(i) + "] }}")
	return source


def to_ctemplate(source, escape=":h"):
	open_sections = []

	def value(what):
		return "{{" + NAMES.get(what, what.removeprefix("item.").upper()) + escape + "}}"

	def tag(what):
		if what.startswith("if "):
			open_sections.append(CONDITIONS[what[3:]])
		elif what == "else":
			then, otherwise, _ = open_sections.pop()
			open_sections.append((otherwise, "", ""))
			return "{{/" + then + "}}{{#" + otherwise + "}}"
		elif what.startswith("for "):
			open_sections.append(("ITEM", "", ""))
		else:
			return "{{/" + open_sections.pop()[0] + "}}"
		return "{{#" + open_sections[-1][0] + "}}"
	return tags(source, value, tag)


def to_xslate(source):
	def value(what):
		what = re.sub(r"(\w+) \| default: ", r"\1 || ", what)
		what = re.sub(r'(\w+) \| date: "%d.*', r"short_date($\1)", what)
		what = re.sub(r'(\w+) \| date: "%-d.*', r"long_date($\1)", what)
		return "<: " + (what if "(" in what else "$" + what) + " :>"

	def tag(what):
		if what.startswith("if "):
			return "<: if " + CONDITIONS[what[3:]][2] + " { :>"
		if what.startswith("for "):
			return "<: for $items -> $item { :>"
		return "<: } else { :>" if what == "else" else "<: } :>"
	return tags(source, value, tag)


def write_templates(folder):
	def write(name, text, newline=None):
		with open(os.path.join(folder, name), "w", encoding="utf-8", newline=newline) as f:
			f.write(text)

	def read(name):
		with open(name, encoding="utf-8") as f:
			return f.read()
	html, text, example = read(os.path.join(HERE, "newsletter.html")), read(os.path.join(HERE, "newsletter.txt")), read(EXAMPLE)
	write("objects.liquid", html)
	write("rows.liquid", split_rows(html))
	write("page.ctemplate", to_ctemplate(html))
	write("page.tx", to_xslate(html))
	write("letter.html", HEAD + split_rows(html))
	write("letter.txt", text)
	write("header.ctemplate", HEADER, newline="\r\n")
	write("html.ctemplate", to_ctemplate(html))
	write("text.ctemplate", to_ctemplate(text, escape=""))
	assert example.count("Charset: iso-2022-jp\n") == 1
	write("jis.md", example)
	write("utf8.md", example.replace("Charset: iso-2022-jp\n", ""))
	write_recipients(os.path.join(folder, "readers.tsv"), recipients())
	write_recipients(os.path.join(folder, "dokusha.tsv"), japanese())
	return len(html.encode())


# ---- measuring ----

class Program:
	def __init__(self, name, *argv):
		self.name, self.argv, self.rates = name, list(argv), []

	def output(self):
		return subprocess.run([*self.argv, "print"], check=True, stdout=subprocess.PIPE).stdout

	def measure(self, seconds):
		n, cpu = subprocess.run([*self.argv, str(seconds)], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
		self.rates.append(int(n) / float(cpu))

	@property
	def median(self):
		return statistics.median(self.rates)


def ctemplate(folder):
	"""Its program, built; None where its package is missing."""
	program = os.path.join(folder, "ctemplate")
	if not shutil.which("g++") or not os.path.exists("/usr/include/ctemplate/template.h"):
		return None
	subprocess.run(["g++", "-O2", "-o", program, os.path.join(HERE, "ctemplate.cc"), "-lctemplate_nothreads"], check=True)
	return program


def has_xslate():
	return bool(shutil.which("perl")) and subprocess.run(["perl", "-MText::Xslate", "-e1"], stderr=subprocess.DEVNULL).returncode == 0


def check_same(programs):
	first, *others = [(p.name, hashlib.sha256(p.output()).digest()) for p in programs]
	for name, digest in others:
		if digest != first[1]:
			raise RuntimeError(f"{name} does not give the same text as {first[0]}")


def ratio(ours, *others):
	"""The median over the rounds, each against the fastest of the others in that round."""
	return statistics.median(a / max(b) for a, b in zip(ours.rates, zip(*(o.rates for o in others))))


def table(what, programs, base, ratio_name):
	lines = [f"| {what} | per second of CPU time | µs | {ratio_name} |", "|---|---|---|---|"]
	return lines + [f"| {p.name} | {p.median:,.0f} | {1e6 / p.median:.1f} | {ratio(p, base):.2f} |" for p in programs]


def templates(b):
	"""The newsletter rendered and composed for 1,000 recipients, beside ctemplate and Text::Xslate."""
	folder, tool, rounds, seconds = fresh("templates"), os.path.join(harness.BUILD, "bench", "driver", "templates"), b.asked_rounds or 7, b.count(0.3, 0.05)
	b.title = f"The newsletter for {RECIPIENTS:,} recipients, on one core"
	source_bytes = write_templates(folder)
	readers, dokusha = os.path.join(folder, "readers.tsv"), os.path.join(folder, "dokusha.tsv")

	def ours(name, mode, file, data=readers):
		return Program(name, tool, mode, os.path.join(folder, file), data)
	rows = ours("postrider, rows split from a column", "liquid", "rows.liquid")
	objects = ours("postrider, rows as objects", "objects", "objects.liquid")
	floor = ours("floor: values in numbered slots", "floor", "page.ctemplate")
	letter = ours("postrider: rendered, quoted-printable, composed", "message", "letter.html")
	letter_floor = ours("floor: the same bytes", "message-floor", "")
	base64 = ours("postrider: base64 (UTF-8)", "message", "utf8.md", dokusha)
	jis = ours("postrider: ISO-2022-JP", "message", "jis.md", dokusha)
	addresses = ours("postrider: an address", "addresses", "-")
	peers = []
	built = ctemplate(folder)
	if built:
		peers.append(Program("ctemplate", built, os.path.join(folder, "page.ctemplate"), readers))
	else:
		b.without("ctemplate", "libctemplate-dev or g++ is not installed; `make deps-bench` installs it")
	if has_xslate():
		peers.append(Program("Text::Xslate", "perl", os.path.join(HERE, "xslate.pl"), os.path.join(folder, "page.tx"), readers))
	else:
		b.without("Text::Xslate", "libtext-xslate-perl is not installed; `make deps-bench` installs it")
	pages, letters, japan = [rows, objects, *peers, floor], [letter, letter_floor], [base64, jis]
	check_same(pages)
	check_same(letters)
	page_bytes, letter_bytes = (len(p.output()) / RECIPIENTS - 1 for p in (rows, letter))
	sizes = [len(p.output()) / RECIPIENTS - 1 for p in japan]
	for _ in range(rounds):
		for p in [*pages, *letters, *japan, addresses]:
			p.measure(seconds)
	lines = [f"{source_bytes:,} bytes of template: a greeting with a default, a loop over 10 rows of 4 fields, 3 ifs, 2 dates, 15 values, all "
		f"escaped; {page_bytes / 1000:.1f} KB of HTML. The same text from all (checked). Medians of {rounds} rounds in which all take turns; "
		"ratios are medians of the ratios within a round.", ""]
	lines += table("HTML", pages, floor, "to the floor")
	if peers:
		lines += ["", f"Against the faster of {' and '.join(p.name for p in peers)}: {ratio(rows, *peers):.2f} as mail does it, with the rows "
			f"split in each render; {ratio(objects, *peers):.2f} with objects, as `render --data` has them."]
	lines += ["", f"The whole message, {letter_bytes / 1000:.1f} KB: text and HTML, rows split from a column.", ""]
	lines += table("message", letters, letter_floor, "to the floor")
	lines += ["", f"The Japanese newsletter of `examples/`, text and HTML: {sizes[0] / 1000:.1f} KB in base64, {sizes[1] / 1000:.1f} KB in ISO-2022-JP.", ""]
	lines += table("message", japan, base64, "to base64")
	lines += ["", f"One address, read as an import reads it: {1e6 / addresses.median:.2f} µs."]
	b.texts.append("\n".join(lines))
	if peers:
		b.target("templates", [x / max(others) for x, others in zip(rows.rates, zip(*(p.rates for p in peers)))])
	b.target("compose", letter.rates)
	b.target("address", [1e6 / rate for rate in addresses.rates])


BENCHES = {"templates": templates}
