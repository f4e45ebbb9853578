"""Composed messages, for awkward contacts, read by other people's parsers (Python, GMime, MIME-tools): no complaint, and what was meant comes out."""
import csv
import email
import email.policy
import glob
import json
import os
import subprocess

import harness
import referees

TOOL = os.path.join(harness.BUILD, "tools", "compose_message")

AWKWARD = [
	"", "Anna", "x" * 10000, "word " * 2000, "日本語" * 3000, "👩‍👩‍👧‍👦 😀" * 40, "שלום עולם \u202e abc", "مرحبا بالعالم",
	"a\r\nBcc: victim@example.com\r\n\r\nbody", "a\nb", "a\rb", "\r", "\n.\n.\r\n..", ".", "From me", "\nFrom me\n",
	"=?utf-8?B?WA==?=", "=?", "=", "=3D", "a\0b", "\x1b[31m\x07\x7f", "--=_test00000000_0", "\n--=_test00000000_0--\n",
	"<b>&amp;\"'", "</body></html>", "{{ x }}{% if %}", "\t \t", " leading and trailing ", "a" * 75 + " \nb", "\ufeff\u200b",
	"\ud7ff\ue000", "髙﨑①㈱ｱ~‾¥€", "e\u0301" * 200, "\U000f0000\U0010fffd", "Ünï" * 400, "%s%n", "“quotes” – and … dots",
]

HEADER = """From: {{ sender | default: "Kyoto Books" }} <news@books.example>
Reply-To: {{ v }} <reply@books.example>
Subject: {{ v }}
Header: X-Value: before {{ v }} after
Preheader: {{ v }}
"""
BODY_MD = """
# Dear {{ v }},

{{ v }} at the start, {{ v }} in the middle of a line that is long enough to be wrapped and broken, at the end {{ v }}

- [{{ v }}](https://books.example/?q={{ v | url_encode }})

.{{ v }}
From {{ v }}
"""
BODY_TEXT = "\n{{ v }}\n.{{ v }}.\nFrom{{ v }} me\nFrom {{ v }}=\n{{ v }} \n\t{{ v }}"
BODY_HTML = "\n<html lang=en><head><title>{{ v }}</title><style>p { color: red }</style></head><body class=\"{{ v }}\"><p title='{{ v }}'>{{ v }}</p>\n"
BODY_JA = "\n{{ v }}様\n\n" + "いつも京都書店をご利用いただき、ありがとうございます。今月の新刊をお知らせします。" * 8 + "\n{{ v }}\n"


def canonical(text):
	"""What a reader may see of a text: line ends and control characters are the composer's."""
	text = text.replace("\r\n", "\n").replace("\r", "\n")
	return "".join(c for c in text if c in "\t\n" or (c >= " " and c != "\x7f")).rstrip("\n")


def compose(w, name, text, contacts):
	return compose_file(w, w.write(name, text), name + ".out", contacts)


def compose_file(w, path, name, contacts):
	folder = w.path(name)
	os.makedirs(folder)
	with open(w.path("contacts.json"), "w") as f:
		json.dump(contacts, f)
	done = subprocess.run([TOOL, path, w.path("contacts.json"), folder], capture_output=True, text=True)
	assert done.returncode == 0, done.stderr
	composed = []
	for i in range(len(contacts)):
		with open(f"{folder}/{i}.eml", "rb") as f, open(f"{folder}/{i}.json") as meant:
			composed.append((f.read(), json.load(meant)))
	check_mime_tools(folder, [meant for _, meant in composed])
	check_lint(w, [f"{folder}/{i}.eml" for i in range(len(contacts))])
	return composed


def check_lint(w, paths):
	"""Our own lint finds nothing but what an awkward value says: no subject, too much HTML, and of an image that is not there."""
	done = w.run("check", "--source", "--json", *paths, expect=(0, 1))
	found = [json.loads(line) for line in done.out.splitlines()]
	found = [f for f in found if f["severity"] == "fail" and f["id"] not in ("subject-empty", "html-clipped", "image-not-there")]
	assert not found, found[:5]


def mime_tools(paths):
	"""What MIME-tools reads in each file; None where it is not installed."""
	tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mime_tools.pl")
	if subprocess.run(["perl", "-MMIME::Parser", "-e1"], capture_output=True).returncode:
		return None
	done = subprocess.run(["perl", tool, *paths], capture_output=True)
	assert done.returncode == 0, done.stderr
	return [json.loads(line) for line in done.stdout.splitlines()]


def check_mime_tools(folder, meant):
	for said, want in zip(mime_tools([f"{folder}/{i}.eml" for i in range(len(meant))]) or [], meant):
		assert not said["complaints"], said
		assert " ".join(said["subject"].split()) == " ".join(want["subject"].split()), (said["subject"], want["subject"])
		for kind in ("text", "html"):
			assert canonical(said.get(kind, "")) == canonical(want[kind]), (kind, said.get(kind), want[kind])


def check(data, meant):
	found = referees.complaints(data)
	assert not found, (found, data[:3000])
	assert not any(line.startswith(b".") for line in data.split(b"\r\n"))
	message = email.message_from_bytes(data, policy=email.policy.default)
	assert " ".join(str(message["Subject"]).split()) == " ".join(meant["subject"].split()), (message["Subject"], meant)
	assert "Bcc" not in message and len(message.get_all("From")) == 1 and len(message["To"].addresses) == 1
	assert message["From"].addresses[0].addr_spec == meant["from"]
	for kind in ("text", "html"):
		part = message.get_body(("plain",) if kind == "text" else ("html",))
		if part is None:
			assert meant[kind] == ""
			continue
		got, want = canonical(part.get_content()), canonical(meant[kind])
		assert got == want, (kind, got[:2000], want[:2000])
	return message


def contacts(**more):
	return [{"v": v, "to_name": v, "list_title": v, **more} for v in AWKWARD]


def test_markdown(w):
	for data, meant in compose(w, "letter.md", HEADER + BODY_MD, contacts()):
		check(data, meant)


def test_html(w):
	for data, meant in compose(w, "letter.html", HEADER + BODY_HTML, contacts()):
		check(data, meant)


def test_text(w):
	for data, meant in compose(w, "letter.txt", HEADER.replace("Preheader: {{ v }}\n", "") + BODY_TEXT, contacts()):
		check(data, meant)


def test_japanese(w):
	for name, more in ("utf8.md", ""), ("jis.md", "Charset: iso-2022-jp\n"), ("jis.txt", "Charset: iso-2022-jp\n"):
		for data, meant in compose(w, name, HEADER + more + BODY_JA, contacts(sender="京都書店")):
			message = check(data, meant)
			if more and meant["to_name"] == "Anna":
				assert b"utf-8" not in data.lower(), data[:3000]
				assert message.get_body(("plain",)).get_content_charset() == "iso-2022-jp"


def test_attachments_and_images(w):
	names = ["june.pdf", "六月のお知らせ.pdf", "a b.csv", "x" * 120 + ".zip", "quo\"te.txt", "ünï.xlsx"]
	for name in names + ["logo.png", "img/päge 1.gif"]:
		os.makedirs(os.path.dirname(w.path(name)), exist_ok=True)
		with open(w.path(name), "wb") as f:
			f.write(name.encode() * 50)
	text = HEADER + "".join(f"Attach: {n}\n" for n in names) + (
		"\n<p>{{ v }} <img src='logo.png' alt=Logo><img src=\"img/p%C3%A4ge%201.gif\"><img src=missing.png>"
		"<img src=logo.png></p>")
	for data, meant in compose(w, "all.html", text, [{"v": "Anna"}, {"v": "日本"}]):
		message = check(data, meant)
		assert message.get_content_type() == "multipart/mixed"
		got = {p.get_filename(): p.get_content() for p in message.iter_attachments()}
		for name in names:
			content = got[name] if isinstance(got[name], bytes) else got[name].encode()
			assert content == name.encode() * 50, name
		related = [p for p in message.walk() if p.get_content_type() == "multipart/related"][0]
		images = {p["Content-ID"][1:-1]: p for p in related.iter_parts() if p["Content-ID"]}
		assert len(images) == 2
		html = message.get_body(("html",)).get_content()
		assert html.count("cid:") == 3 and "missing.png" in html
		for cid in images:
			assert "cid:" + cid in html


def test_same_input_gives_same_bytes(w):
	first = [d for d, _ in compose(w, "a.md", HEADER + BODY_MD, contacts())]
	assert first == [d for d, _ in compose(w, "b.md", HEADER + BODY_MD, contacts())]


def test_examples(w):
	root = os.path.join(os.path.dirname(harness.BUILD), "examples")
	for path in glob.glob(os.path.join(root, "*", "*.md")) + glob.glob(os.path.join(root, "*", "*.html")):
		if os.path.basename(path) == "README.md":
			continue
		with open(os.path.join(os.path.dirname(path), "readers.csv"), newline="", encoding="utf-8-sig") as f:
			readers = list(csv.DictReader(f))
		assert readers
		awkward = [{"to_name": v, **{name: v for name in ("first_name", "city", "氏名", "boat", "copy")}} for v in AWKWARD]
		for data, meant in compose_file(w, path, os.path.relpath(path, root) + ".out", readers + awkward):
			message = check(data, meant)
			assert "{{" not in meant["text"].replace("{{ x }}", "") and "unsubscribe" in str(message["List-Unsubscribe"])
			assert "https://example.org/u?t=0123456789&l=1" in meant["text"], path
