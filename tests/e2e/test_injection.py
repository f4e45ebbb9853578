"""What comes from outside stays what it is: text. No field of a list, a template, a configuration or a server's reply becomes a
header, a command, a statement, a tag, a formula or a control sequence, and no path leaves the message's folder."""
import csv
import io
import json
import os
import re

from harness import MESSAGE
from smtpd import Sink

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\b\r\u202egnp.\u2066x\u200b"
# What a terminal acts upon: C0 but tab and newline, DEL, C1, and marks that turn the direction of a line.
ACTED_UPON = re.compile("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")
HEADERS = {"date", "from", "to", "subject", "message-id", "mime-version", "list-id", "list-unsubscribe", "list-unsubscribe-post",
	"feedback-id", "content-type", "content-transfer-encoding", "content-language", "x-greeting", "reply-to", "precedence"}


def rows(w, name, *people):
	"""A list of people given as dictionaries, quoted as CSV."""
	out = io.StringIO()
	writer = csv.DictWriter(out, people[0].keys())
	writer.writeheader()
	writer.writerows(people)
	with open(w.path(name + ".csv"), "w", newline="", encoding="utf-8") as f:
		f.write(out.getvalue())


def head(data):
	lines = data.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n")
	return [line.split(b":", 1) for line in lines]


def bodies_of_lines(data):
	assert not re.search(rb"(?<!\r)\n|\r(?!\n)", data), "a bare CR or LF is on the wire"
	assert b"\0" not in data


def test_headers_from_every_field(w):
	"""Whatever stands in a column, the name of a list or the sender's name: the headers are ours, each one once."""
	evil = ["x\r\nBcc: evil@x.example", "x\nSubject: two", "x\r\n\r\n<b>body</b>", "x\rTo: y", "=?utf-8?q?a=0D=0ABcc:_evil?=", "x\u2028Bcc: z",
		"x\x85Bcc: q", "\"; x=\"", "a, evil@x.example", "<evil@x.example>", "x\0y", "\x0b\x0cBcc: v"]
	with Sink() as sink:
		w.configure(sink.port)
		people = [{"email": f"r{i}@x.example", "first_name": text, "city": text[::-1]} for i, text in enumerate(evil)]
		rows(w, "news", *people)
		w.run("import", "news", "news.csv", "--max-rejects", "20%")
		w.run("list", "set", "news", "title=News\r\nBcc: list@x.example", expect=(0, 64, 65))
		w.message("From: {{ first_name }} <news@books.example>\nTo: {{ first_name }} <{{ email }}>\nReply-To: news@books.example\n"
			"Subject: {{ first_name }} {{ city }}\nHeader: X-Greeting: {{ first_name }}\n\n<p>{{ first_name }} {{ city }}</p>\n"
			"<p><a href=\"{{ unsubscribe_url }}\">Unsubscribe</a></p>\n")
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "0", expect=(0, 75, 76))
		assert len(sink.messages) >= len(evil) // 2, [w.deliveries("june")]
		for m in sink.messages:
			names = [n.decode().lower() for n, *_ in head(m.data)]
			assert len(m.recipients) == 1 and m.recipients[0] in [p["email"] for p in people]
			assert set(names) <= HEADERS and len(names) == len(set(names)), names
			assert all(len(h) == 2 for h in head(m.data)), m.data
			assert b"evil@x.example" not in dict(head(m.data))[b"To"].split(b"<")[-1], m.data
			bodies_of_lines(m.data)
		commands = [c.split(":")[0] for s in sink.sessions for c in s.commands]
		assert set(c.split(" ")[0] for c in commands) <= {"EHLO", "MAIL FROM", "MAIL", "RCPT TO", "RCPT", "DATA", "RSET", "QUIT"}, set(commands)


def test_addresses_are_no_commands(w):
	with Sink() as sink:
		w.configure(sink.port)
		bad = ["a@x.example>\r\nRCPT TO:<evil@x.example", "a@x.example\nDATA", "a@x.example> NOTIFY=NEVER", "<a@x.example>,<b@x.example>", "a b@x.example",
			"a@x.example\0", "a@[127.0.0.1]\r\n", "\"a\r\n\"@x.example", "a@x.example ORCPT=rfc822;b", "@x.example", "a@x.example\u2028RSET"]
		rows(w, "news", {"email": "good@x.example"}, *({"email": b} for b in bad))
		w.run("import", "news", "news.csv", "--max-rejects", "100%")
		w.run("send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "0", expect=(0, 75))
		assert set(sink.recipients()) <= {"good@x.example", "a@x.example", "a@[127.0.0.1]"}, sink.recipients()
		assert not any("evil" in c or "NOTIFY" in c for s in sink.sessions for c in s.commands)


def test_configuration_is_no_command(w):
	"""A variable of the environment may hold a line end; a host name, a user or an address with one is refused."""
	w.configure(2525)
	good = open(w.path("postrider.conf")).read()
	w.environment = lambda: {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "EVIL": "x.example\r\nMAIL FROM:<evil@x.example>"}
	for key, section in (("helo", "[route main]\n"), ("user", "[route main]\n"), ("envelope-from", "[route main]\n"), ("host", "[route main]\n"),
			("domain", "[return-path]\n"), ("url", "[unsubscribe]\n"), ("contact", "[sender]\n")):
		text = re.sub(rf"(?m)^{key} = .*\n", "", good) if key != "user" else good
		w.write("postrider.conf", text.replace(section, section + f"{key} = ${{EVIL}}\n", 1))
		done = w.run("status", expect=None)
		assert done.status == 78 and "postrider.conf:" in done.err, (key, str(done))
		assert not ACTED_UPON.search(done.err), done.err
	# Names are text: they are encoded wherever they go.
	w.write("postrider.conf", good.replace("name = Kyoto Books", "name = ${EVIL}"))
	assert w.run("campaigns", expect=(0, 78)).status in (0, 78)


def test_smuggling_outwards(w):
	"""Line ends and dots in what people are called end no message, by DATA or by BDAT, in HTML, Markdown or plain text."""
	evil = ["x\r\n.\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@x.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nhello\r\n.\r\n", "x\n.\nMAIL FROM:<evil@x.example>",
		"x\r.\rMAIL", "\n.", ".", "..", "\r\n..\r\n", "\n.\r\n", "\r\n.\n"]
	for flow, more in (("data", []), ("bdat", ["CHUNKING"])):
		with Sink() as sink:
			sink.extensions = Sink.extensions + more
			w.configure(sink.port, chunking="yes" if more else "no")
			rows(w, flow, *({"email": f"r{i}@x.example", "first_name": text} for i, text in enumerate(evil)))
			w.run("import", flow, flow + ".csv")
			for name, body in (("a.html", "<pre>{{ first_name }}</pre>\n<p><a href=\"{{ unsubscribe_url }}\">x</a></p>"), ("b.txt", "{{ first_name }}\n.\n..\n\n{{ unsubscribe_url }}\n."),
					("c.md", "{{ first_name }}\n\n    .\n\n[x]({{ unsubscribe_url }})\n\n.\n")):
				w.message(f"From: news@books.example\nSubject: {flow} {name}\n\n{body}\n", name)
				w.run("send", name, "--list", flow, "--name", flow + name, "--yes")
			assert sink.recipients() == {f"r{i}@x.example": 3 for i in range(len(evil))}, sink.recipients()
			assert {m.sender.split("@")[1] for m in sink.messages} == {"bounces.books.example"}
			for m in sink.messages:
				bodies_of_lines(m.data)
				# A server that takes other ends of lines for an end, or undoes the dots twice, finds nothing either.
				assert not re.search(rb"(?m)^\.", m.data), m.data


def test_statements_in_names_and_expressions(w):
	"""SQL in every name and literal is a name and a literal."""
	evil = "x'; DROP TABLE contact; --"
	w.configure(2525)
	rows(w, "news", {"email": "a@x.example", "city": evil, evil: "1"}, {"email": "b@x.example", "city": "Kyoto", evil: "2"})
	w.run("import", evil, "news.csv")
	w.run("import", "news", "news.csv", "--source", evil)
	for where, expected in ((f"city = \"{evil}\"", 1), (f"[{evil}] = 2", 1), ("city like \"%';%\"", 1), ("city like \"%\"", 2), ("city = \"Kyoto\" or city = \"' or 1=1 --\"", 1)):
		out = w.run("contacts", "--list", evil, "--where", where, "--json", expect=(0, 66)).out
		assert len(out.splitlines()) == expected, (where, out)
	for where in ["1=1; DROP TABLE contact", "city = 'x' UNION SELECT 1", "city = \"x\" --", "(select 1) = 1", "city = \"x", "sqlite_version() = 3"]:
		w.run("contacts", "--list", "news", "--where", where, expect=64)
	for command in (["contact", "show", evil], ["contacts", "--list", evil + "'"], ["suppressions", "why", evil], ["status", evil], ["report", evil], ["trace", evil],
			["contacts", "--list", "news", "--of", evil], ["list", "rename", evil, "a'; --"], ["suppressions", "add", "c@x.example", "--note", evil], ["bounces", "--reason", evil]):
		assert w.run(*command, expect=None).status in (0, 64, 65, 66), command
	assert len(w.run("contacts", "--list", "news", "--json").out.splitlines()) == 2


class Rude(Sink):
	"""Replies with everything that a terminal acts upon."""
	async def rcpt(self, s, address):
		return ("550 5.1.1 unknown " if "gone" in address else "451 4.2.0 later " if "later" in address else "250 ok ") + ESCAPES.replace("\r", "\x0b")

	async def greeting(self, s):
		return "220 x.example " + ESCAPES.replace("\r", "")


def test_nothing_steers_a_terminal(w):
	"""Every command that shows text from outside, in every form for people."""
	with Rude() as sink:
		w.configure(sink.port, extra="[retry]\ndelays = 1h\n")
		rows(w, "news", *({"email": f"{n}@x.example", "first_name": ESCAPES + n, "city": "Kyoto" + ESCAPES} for n in ("good", "gone1", "gone2", "later")))
		shown = [w.run("import", "news", "news.csv", "--source", "web" + ESCAPES)]
		with open(w.path("bad.csv"), "w", encoding="utf-8", newline="") as f:
			f.write("email,na" + ESCAPES.replace("\r", "") + "me\nno at" + ESCAPES.replace("\r", "") + ",x\ngood@x.example,\"" + ESCAPES + "\"\n")
		shown.append(w.run("import", "bad", "bad.csv", "--dry-run", "--max-rejects", "100%", expect=None))
		shown.append(w.run("import", "bad", "bad.csv", expect=None))
		shown.append(w.run("import", "bad" + ESCAPES, "news.csv", expect=None))
		shown.append(w.run("list", "set", "news", "title=News" + ESCAPES, expect=None))
		w.message(MESSAGE.replace("<p>Dear", "<p>" + ESCAPES.replace("\r", "") + "Dear"))
		shown.append(w.run("check", "june.html", "--list", "news", expect=None))
		w.message(MESSAGE.replace("{{ city }}", "{{ ci" + ESCAPES.replace("\r", "") + "ty }} {% bad" + ESCAPES.replace("\r", "") + " %}"), "bad.html")
		shown += [w.run("check", "bad.html", "--list", "news", expect=None), w.run("render", "bad.html", expect=None)]
		w.message()
		shown.append(w.run("test", "june.html", "--to", "gone3@x.example", "--as", "good@x.example", expect=None))
		shown.append(w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "0", "-v", expect=75))
		with open(w.path("back.eml"), "wb") as f:
			f.write(("From: MAILER-DAEMON@x.example\nTo: news@books.example\nSubject: Undelivered " + ESCAPES.replace("\r", "") + "\nContent-Type: multipart/report; "
				"report-type=delivery-status; boundary=B\n\n--B\n\nfailed " + ESCAPES + "\n--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; "
				"x" + ESCAPES.replace("\r", "") + ".example\n\nFinal-Recipient: rfc822; good" + ESCAPES.replace("\r", "") + "@x.example\nAction: failed\nStatus: 5.1.1\n"
				"Diagnostic-Code: smtp; 550 no such user " + ESCAPES.replace("\r", "") + "\n\n--B--\n").encode())
		shown += [w.run("receive", *o, "back.eml", expect=None) for o in (["--dry-run"], ["--dry-run", "--explain"], ["--vouched"])]
		shown.append(w.run("check", "--source", "back.eml", expect=None))
		for command in (["status", "june"], ["status"], ["campaigns"], ["report", "june"], ["lists"], ["contacts", "--list", "news"], ["contact", "show", "good@x.example"],
				["contact", "show", "good@x.example", "--everything"], ["trace", "gone1@x.example"], ["trace", "good@x.example"], ["bounces"], ["bounces", "--nobodys"],
				["suppressions", "list"], ["suppressions", "why", "gone1@x.example"], ["hygiene"], ["history"], ["reclassify"], ["doctor"], ["doctor", "--database"], ["trace", "x" + ESCAPES],
				["status", "x" + ESCAPES], ["x" + ESCAPES], ["contacts", "--list", "x" + ESCAPES], ["contacts", "--list", "news", "--where", "x" + ESCAPES],
				["resume", "june", "--now", "--patience", "0"]):
			shown.append(w.run(*command, expect=None))
		for line in w.run("--json", "bounces", "--nobodys", expect=None).out.splitlines() + w.run("--json", "bounces", expect=None).out.splitlines():
			shown.append(w.run("bounces", "--explain", json.loads(line)["id"], expect=None))
		for done in shown:
			assert done.status not in (70, -6, -11), done
			for text in (done.out, done.err):
				found = ACTED_UPON.search(text)
				assert not found, f"{found.group()!r} in {' '.join(done.argv)!r}: {text[max(0, found.start() - 80):found.end() + 20]!r}"
		assert sum("owned" in d.out + d.err for d in shown) > 10, "the text was shown at all"
		# Colours are our own, and nothing else is in them.
		for command in (["report", "june"], ["trace", "gone1@x.example"], ["status", "june"]):
			out = re.sub("\x1b\\[[0-9;]*m", "", w.run("--color=always", *command).out)
			assert not ACTED_UPON.search(out), out


def test_reports_hold_no_markup(w):
	class Markup(Sink):
		async def rcpt(self, s, address):
			return "550 5.1.1 <script>alert(1)</script> \"'><img src=x onerror=alert(1)>"
	with Markup() as sink:
		w.configure(sink.port)
		rows(w, "news", {"email": "r@x.example", "first_name": "</title><script>alert(2)</script>"})
		w.run("import", "news", "news.csv")
		w.message(MESSAGE.replace("Subject: ", "Subject: <script>alert(3)</script> "))
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
		html = w.run("report", "june", "--format", "html").out
		assert "alert(1)" in html and "alert(3)" in html, "the texts are there"
		assert not re.search(r"<script>alert|<img src=x|onerror=alert\(1\)>(?!&)", html.replace("&gt;", "")), html[:2000]
		assert "Content-Security-Policy" in html or "<script" not in html, "no script at all"
		# The message itself: values are escaped in HTML.
		w.message("From: news@books.example\nSubject: x\n\n<p>{{ first_name }}</p><p title=\"{{ first_name }}\"><a href=\"{{ unsubscribe_url }}\">x</a></p>")
		rows(w, "more", {"email": "more@x.example", "first_name": "</title><script>alert(2)</script>\" onclick=\"alert(4)"})
		w.run("import", "more", "more.csv")
		out = w.run("preview", "june.html", "--list", "more", "--part", "html").out
		assert "alert(2)" in out and "<script>" not in out and "onclick=\"" not in out, out


def test_tables_run_no_formula(w):
	"""With --excel nothing begins as a formula; without, everything comes back as it was."""
	evil = ["=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "-12.5", "+81 3 1234", "=", "＝1+1", "＋1", "－1+1", "＠SUM"]
	w.configure(2525)
	rows(w, "news", *({"email": f"r{i}@x.example", "note": text} for i, text in enumerate(evil)))
	w.run("import", "news", "news.csv")
	plain = list(csv.DictReader(io.StringIO(w.run("export", "news").out.lstrip("\ufeff"), newline="")))
	assert sorted(r["note"] for r in plain) == sorted(t.strip(" \t") for t in evil)
	safe = list(csv.DictReader(io.StringIO(w.run("export", "news", "--excel").out.lstrip("\ufeff"), newline="")))
	assert len(safe) == len(evil)
	for row in safe:
		for value in row.values():
			assert not value or value[0] not in "=+@\t\r＝＋－＠" and (value[0] != "-" or re.fullmatch(r"-[0-9][0-9.]*", value)), value


def test_paths_stay_in_the_message_s_folder(w):
	w.configure(2525)
	w.audience(1)
	os.mkdir(w.path("letters"))
	w.write("secret.txt", "the secret")
	os.symlink("../secret.txt", w.path("letters/link.txt"))
	os.symlink("..", w.path("letters/up"))
	os.mkfifo(w.path("letters/pipe.txt"))
	tail = "\n\n<p>x <a href=\"{{ unsubscribe_url }}\">x</a></p>\n"
	top = "From: news@books.example\nSubject: x\n"
	outside = ["../secret.txt", w.path("secret.txt"), "link.txt", "up/secret.txt", "letters/../../secret.txt", "/etc/passwd", "pipe.txt", "."]
	for i, path in enumerate(outside):
		for kind, text in (("attach", top + f"Attach: {path}" + tail), ("layout", top + f"Layout: {path}" + tail), ("partial", top + tail + f"{{% render '{path}' %}}"),
				("image", top + tail + f"<img src=\"{path}\" alt=\"x\">")):
			w.write(f"letters/{kind}{i}.html", text)
			done = w.run("preview", f"letters/{kind}{i}.html", "--list", "news", expect=None)
			assert "the secret" not in done.out + done.err and "root:" not in done.out, (kind, path)
			assert done.status in (0, 65, 66, 1, 78), (kind, path, str(done))
			assert kind == "image" or done.status != 0, (kind, path, str(done))
	w.write("letters/a.txt", "{% render '../secret.txt' %}{% render '/etc/passwd' %}")
	done = w.run("render", "letters/a.txt", expect=None)
	assert "the secret" not in done.out + done.err and "root:" not in done.out, done
