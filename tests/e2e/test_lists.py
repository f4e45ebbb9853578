"""Lists from the command line: import, export, contacts, contact, suppressions."""
import csv
import io
import json
import os
import re
import signal
import subprocess

import harness
from harness import wait_until
from smtpd import Sink

DATA = '''email,First Name,氏名,phone,note
ann@example.com,Ann,山田,+81 90 1234,"two
lines, ""quoted"""
bob@docomo.ne.jp,,,,=SUM(A1)
"""c..d.""@docomo.ne.jp",C,,-5,"  x"
'''


def begin(w):
	w.run("init", ".")


def rows(text):
	return list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))))


def lines(result):
	return [json.loads(line) for line in result.out.splitlines()]


def fill(w):
	begin(w)
	w.write("list.csv", DATA)
	doc = w.run("--json", "import", "news", "list.csv", "--source", "fair").json
	assert (doc["read"], doc["added"], doc["rejected"], doc["list_created"]) == (3, 3, 0, True), doc
	assert doc["columns"] == ["email", "First Name", "氏名", "phone", "note"], doc
	assert doc["encoding"] == "UTF-8" and doc["delimiter"] == ",", doc
	return doc


def test_import_export_round_trip(w):
	fill(w)
	w.run("contact", "unsubscribe", "ann@example.com", "--list", "news")
	w.run("suppressions", "add", "bob@docomo.ne.jp")
	for extra in ([], ["--excel"]):
		w.run("export", "news", "-o", "out.csv", *extra)
		with open(w.path("out.csv"), encoding="utf-8", newline="") as f:
			text = f.read()
		assert text.startswith("\ufeff") == bool(extra)
		got = rows(text)
		assert [r["pr_status"] for r in got] == ["unsubscribed", "suppressed", "subscribed"], got
		assert got[2]["email"] == '"c..d."@docomo.ne.jp' and got[2]["note"] == "  x", got
		assert got[0]["pr_source"] == "fair" and got[0]["note"] == 'two\nlines, "quoted"', got
		assert got[1]["note"] == ("'" if extra else "") + "=SUM(A1)", got
		before = w.run("suppressions", "export").out, w.run("export", "news").out
		doc = w.run("--json", "import", "news", "out.csv").json
		assert (doc["unchanged"], doc["suppressed"], doc["updated"]) == (3, 2, 0), doc
		assert before == (w.run("suppressions", "export").out, w.run("export", "news").out)
	people = lines(w.run("export", "news", "--format", "json", "--where", '[氏名] = "山田"'))
	assert len(people) == 1 and people[0]["first_name"] == "Ann" and people[0]["email"] == "ann@example.com", people


def test_suppressions_round_trip(w):
	"""Also by way of Excel, which must not take @domain for a formula."""
	begin(w)
	w.run("suppressions", "add", "@bad.example", "--note", "=asked")
	w.run("suppressions", "add", "ann@x.example", "--note", "＝asked")  # a full-width sign is one, too
	before = w.run("suppressions", "export").out
	for extra in [], ["--excel"]:
		w.run("suppressions", "export", "-o", "out.csv", *extra)
		for who in "@bad.example", "ann@x.example":
			w.run("suppressions", "remove", who, "--note", "to be read again")
		assert w.run("--json", "suppressions", "import", "out.csv").json["added"] == 2
		assert sorted(rows(w.run("suppressions", "export").out), key=str) == sorted(rows(before), key=str), extra
		assert "@bad.example" in w.run("suppressions", "why", "who@bad.example").out


def test_export_into_a_new_database(w):
	w.write("old.csv", "email,n,pr_joined,pr_added,pr_source,pr_consent_at\n"
		"a@x.example,1,2024-01-02T03:04:05.000Z,2023-01-02T03:04:05.000Z,fair,2023-01-01T00:00:00.000Z\n"
		"b@x.example,2,2024-02-02T03:04:05.000Z,2024-02-02T03:04:05.000Z,,\n")
	begin(w)
	w.run("import", "news", "old.csv")
	got = rows(w.run("export", "news").out)
	assert [r["pr_joined"][:10] for r in got] == ["2024-01-02", "2024-02-02"], got
	assert [r["pr_added"][:10] for r in got] == ["2023-01-02", "2024-02-02"], got
	assert len(lines(w.run("export", "news", "--format", "json", "--where", '$added < date "2024-01-01"'))) == 1


def test_wrong_commands(w):
	fill(w)
	assert "did you mean \"news\"" in w.run("export", "nesw", expect=66).err
	assert "^" in w.run("export", "news", "--where", 'frist_name = "x"', expect=64).err
	assert "did you mean first_name" in w.run("contacts", "--where", "frist_name = 1", expect=64).err
	w.run("contacts", "--list", "nobody", expect=66)
	w.run("contacts", "--of", "nothing", expect=66)
	w.run("contacts", "--sample", "0", expect=64)
	w.run("contacts", "stray", expect=64)
	w.run("contact", "show", "nonsense", expect=64)
	w.run("contact", "show", "nobody@example.com", expect=66)
	w.run("contact", "set", "nobody@example.com", "a=1", expect=66)
	w.run("contact", "subscribe", "x@example.com", "--list", "news", expect=64)
	w.run("contact", "forget", "ann@example.com", expect=64)
	w.run("list", "delete", "news", expect=64)
	w.run("list", "set", "news", "colour=red", expect=64)
	w.run("list", "set", "news", "id=a b", expect=64)
	w.run("suppressions", "remove", "--note", "x", expect=64)
	w.run("suppressions", "remove", "--reason", "unsubscribe", "--note", "x", expect=64)
	w.run("suppressions", "add", "x@", expect=64)
	w.run("import", "news", "nosuch.csv", expect=66)
	w.run("import", "-bad", "list.csv", expect=64)
	w.write("bad.csv", "email\nann@example.com\nbad\n")
	result = w.run("--json", "import", "other", "bad.csv", "--rejects", "r.csv", expect=65)
	assert result.json["error"]["line"] == 3 and result.json["error"]["file"] == "bad.csv", result
	with open(w.path("r.csv"), encoding="utf-8", newline="") as f:
		assert f.read() == 'pr_line,pr_reason,email\r\n3,"no @",bad\r\n'
	assert [l["list"] for l in lines(w.run("--json", "lists"))] == ["news"]


def test_names_that_nobody_has(w):
	w.configure(9)
	for argv in (("bounces", "--provider", "gogle"), ("suppressions", "list", "--provider", "gogle")):
		done = w.run(*argv, expect=66)
		assert "no provider is called" in done.err and "google" in done.err and not done.out, done
	done = w.run("bounces", "--reason", "nosuch")
	assert "no such refusal" in done.err and not done.out, done
	assert w.run("--json", "bounces", "--reason", "nosuch").err == ""
	w.configure(9, extra="[provider gogle]\nrate = 1/s\n")
	done = w.run("lists", expect=78)
	assert "postrider.conf:" in done.err and "did you mean \"google\"" in done.err, done


def test_dry_run(w):
	begin(w)
	with open(w.path("sjis.csv"), "wb") as f:
		f.write("メール;氏名\r\na@example.com;髙橋①\r\nb@example.com;山田㈱\r\n".encode("cp932"))
	doc = w.run("--json", "import", "news", "sjis.csv", "--dry-run").json
	assert doc["encoding"] == "Shift_JIS" and doc["delimiter"] == ";" and doc["read"] == 2, doc
	assert doc["sample"][0] == {"メール": "a@example.com", "氏名": "髙橋①"}, doc
	text = w.run("import", "news", "sjis.csv", "--dry-run").out
	assert "the address" in text and "髙橋①" in text and "nothing was imported" in text, text
	assert w.run("--json", "lists").out == ""


def test_one_person(w):
	fill(w)
	w.run("contact", "set", "ANN@example.com", "First Name=Anna", "氏名=", "city=Kyoto")
	doc = w.run("--json", "contact", "show", "ann@example.com").json
	assert doc["attributes"]["first_name"] == "Anna" and doc["attributes"]["city"] == "Kyoto", doc
	assert "氏名" not in doc["attributes"] and doc["lists"][0]["source"] == "fair", doc
	w.run("contact", "unsubscribe", "ann@example.com", "--note", "by phone")
	doc = w.run("--json", "contact", "show", "ann@example.com", "--everything").json
	assert [s["reason"] for s in doc["suppressions"]] == ["unsubscribe"], doc
	assert doc["suppressions"][0]["scope"] == "all" and doc["deliveries"] == [], doc
	assert any(h["what"] == "contact set" for h in doc["history"]), doc
	assert w.run("--json", "contacts", "--list", "news", "--count").json["audience"] == 2
	# Neither importing nor adding brings back who left; subscribing does.
	w.run("import", "news", "list.csv")
	assert w.run("--json", "contacts", "--list", "news", "--count").json["audience"] == 2
	w.run("contact", "subscribe", "ann@example.com", "--list", "news", "--source", "asked by phone")
	assert w.run("--json", "contacts", "--list", "news", "--count").json["audience"] == 3
	w.run("contact", "remove", "bob@docomo.ne.jp", "--list", "news")
	assert w.run("--json", "contacts", "--list", "news", "--count").json["audience"] == 2
	w.run("contact", "forget", "ann@example.com", "--yes")
	w.run("contact", "show", "ann@example.com", expect=66)
	doc = w.run("--json", "import", "news", "list.csv", "--max-rejects", "1").json
	assert doc["rejected"] == 1, doc
	w.run("contact", "subscribe", "ann@example.com", "--list", "news", "--source", "x", expect=65)
	assert "ann@example.com" not in w.run("history").out


def test_mistyped(w):
	"""Who mistypes an address or an attribute hears of it: a done thing that nobody did is the worst answer."""
	fill(w)
	for words in (("contact", "unsubscribe", "anne@example.com"), ("suppressions", "add", "anne@example.com"), ("contact", "forget", "anne@example.com", "--yes")):
		assert "nobody has the address anne@example.com" in w.run(*words).err, words
	assert "nobody has" not in w.run("contact", "unsubscribe", "ann@example.com").err
	assert "did you mean phone?" in w.run("contact", "set", "ann@example.com", "phon=1", expect=64).err
	assert "phon" not in w.run("--json", "contact", "show", "ann@example.com").json["attributes"]
	w.run("contacts", "--where", "phon = 1", expect=64)
	w.run("contact", "set", "ann@example.com", "phon=1", "--new")
	assert "did you mean phone?" in w.run("contact", "subscribe", "new@example.com", "phones=1", "--list", "news", "--source", "asked", expect=64).err
	w.run("contact", "show", "new@example.com", expect=66)
	w.run("contact", "subscribe", "new@example.com", "phones=1", "--list", "news", "--source", "asked", "--new")
	# The history of one person or campaign, and when somebody was forgotten.
	got = lines(w.run("--json", "history", "Ann@Example.com"))
	assert [(h["what"], h["note"]) for h in got] == [("suppress", "unsubscribe"), ("contact set", "phon")], got
	assert lines(w.run("--json", "history", "news", "--until", "1h")) == []
	assert "forgotten, all mail, since 20" in w.run("suppressions", "why", "anne@example.com").out


def test_the_page_behind_the_link(w):
	"""The token of a link unsubscribes its person, through the example's page too; one that is not ours, nobody."""
	with Sink() as sink:
		w.configure(sink.port)
		w.audience(3)
		w.run("send", w.message(), "--list", "news", "--name", "june", "--yes")
		bodies = {m.recipients[0]: m.data.decode() for m in sink.messages}
	token = {who: re.search(r"List-Unsubscribe: <https://books.example/u\?t=([a-z0-9]+)>", text)[1] for who, text in bodies.items()}
	assert w.run("contact", "unsubscribe", "--token", token["r0@x.example"]).out == "r0@x.example: unsubscribed\n"
	changed = token["r1@x.example"][:-2] + ("aa" if token["r1@x.example"][-2:] != "aa" else "bb")
	w.run("contact", "unsubscribe", "--token", changed, expect=65)
	w.run("contact", "unsubscribe", "r1@x.example", "--token", token["r1@x.example"], expect=64)
	made = re.search(r"\?t=([a-z0-9]+)>", w.run("preview", "june.html", "--to", "r1@x.example").out)[1]
	assert "names nobody" in w.run("contact", "unsubscribe", "--token", made).err

	def page(method, query):
		environment = {**w.environment(), "POSTRIDER": harness.PROGRAM, "REQUEST_METHOD": method, "QUERY_STRING": query}
		top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
		return subprocess.run([os.path.join(top, "examples", "unsubscribe", "unsubscribe.cgi")], cwd=w.folder, env=environment, capture_output=True, text=True).stdout
	assert "<button>" in page("GET", "t=" + token["r1@x.example"])
	assert w.run("--json", "contacts", "--list", "news", "--count").json["audience"] == 2, "filters follow links: a GET only asks"
	assert page("POST", "t=" + token["r1@x.example"]).startswith("Status: 200 ")
	for bad in ("", "t=", "t=a';id", "t=" + changed):
		assert page("POST", bad).startswith("Status: 400 "), bad
	assert w.run("--json", "contacts", "--list", "news", "--count").json["audience"] == 1
	assert w.status("june")["unsubscribed"] == 2


def test_what_a_campaign_sent(w):
	"""The message file is changed and gone; the campaign keeps what it sent."""
	with Sink() as sink:
		w.configure(sink.port)
		w.audience(3)
		w.message("From: News <news@books.example>\nSubject: For {{ email }}\n\n<p>The old text, {{ email }}. {{ unsubscribe_url }}</p>\n")
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
	os.unlink(w.path("june.html"))
	doc = w.run("--json", "preview", "--campaign", "june", "--to", "r1@x.example").json
	assert doc["subject"] == "For r1@x.example" and "The old text, r1@x.example" in doc["text"], doc
	assert "The old text, r0@x.example" in w.run("preview", "--campaign", "june").out
	w.run("preview", "--campaign", "june", "june.html", expect=64)
	w.run("preview", expect=64)
	w.run("preview", "--campaign", "july", expect=66)


def test_suppressions_of_the_past(w):
	"""A date that a file brings along is the suppression's: who recorded it, and when, is the history's."""
	fill(w)
	w.write("unsubscribed.csv", "Email Address,UNSUB_TIME\nann@example.com,2023-01-02 03:04:05\n")
	assert "UNSUB_TIME" in w.run("import", "news", "unsubscribed.csv", expect=65).err
	w.run("suppressions", "import", "unsubscribed.csv")
	got = lines(w.run("--json", "suppressions", "list"))
	assert [(s["reason"], s["created"][:4]) for s in got] == [("unsubscribe", "2023")], got
	assert not lines(w.run("--json", "history", "ann@example.com"))[0]["at"].startswith("2023")
	w.write("left.csv", "email\nbob@docomo.ne.jp\n")
	w.run("suppressions", "import", "left.csv", "--reason", "complaint")
	assert lines(w.run("--json", "suppressions", "list", "--reason", "complaint"))[0]["address"] == "bob@docomo.ne.jp"
	w.run("suppressions", "import", "left.csv", "--reason", "forgotten", expect=64)


def test_lists(w):
	fill(w)
	w.run("list", "set", "news", "title=The News", "id=news.books.example")
	w.run("list", "rename", "news", "letter")
	got = lines(w.run("--json", "lists"))
	assert len(got) == 1 and got[0]["list"] == "letter" and got[0]["title"] == "The News" and got[0]["members"] == 3, got
	w.run("list", "delete", "letter", "--yes")
	assert w.run("--json", "lists").out == ""
	assert len(lines(w.run("--json", "contacts"))) == 0


def test_suppressions(w):
	fill(w)
	text = "email,reason\nx1@example.com,hard-bounce\nx2@example.com,spam report\n@evil.example,\nnot one,\nx3@example.com,unsubscribed\n"
	doc = w.run("--json", "suppressions", "import", "-", stdin=text.encode()).json
	assert (doc["read"], doc["added"], doc["present"], doc["rejected"]) == (5, 4, 0, 1), doc
	got = {s["address"]: s["reason"] for s in lines(w.run("--json", "suppressions", "list"))}
	assert got == {"x1@example.com": "hard-bounce", "x2@example.com": "complaint", "@evil.example": "import", "x3@example.com": "unsubscribe"}, got
	assert "the whole domain" in w.run("suppressions", "why", "someone@evil.example").out
	assert "is not suppressed" in w.run("suppressions", "why", "ann@example.com").out
	w.run("suppressions", "export", "-o", "sup.csv")
	doc = w.run("--json", "suppressions", "import", "sup.csv").json
	assert (doc["added"], doc["present"]) == (0, 4), doc
	assert w.run("--json", "suppressions", "remove", "--since", "1h", "--dry-run").json["removed"] == 2
	assert w.run("--json", "suppressions", "remove", "--since", "1h", "--note", "a mistake of theirs").json["removed"] == 2
	got = [s["reason"] for s in lines(w.run("--json", "suppressions", "list"))]
	assert sorted(got) == ["complaint", "unsubscribe"], got


def test_suppressions_from_another_service(w):
	"""Those who left are in files of their own there: `import` does not take one for a list."""
	w.configure(9)
	w.write("cleaned.csv", "Email Address,CLEAN_TIME\nc@x.example,2023-02-01 10:00:00\n")
	w.write("unsubscribed.csv", "Email Address,LEAVE_TIME\nu@x.example,2023-02-01 10:00:00\n")
	assert "suppressions import" in w.run("import", "news", "cleaned.csv", expect=65).err
	w.run("suppressions", "import", "cleaned.csv")
	w.run("suppressions", "import", "unsubscribed.csv", "--reason", "unsubscribe")
	assert "forget" in w.run("suppressions", "import", "unsubscribed.csv", "--reason", "forgotten", expect=64).err
	got = {s["address"]: s["reason"] for s in lines(w.run("--json", "suppressions", "list"))}
	assert got == {"c@x.example": "hard-bounce", "u@x.example": "unsubscribe"}, got


def test_suppressions_that_cannot_be_used(w):
	"""None is lost: put right, they are read from where they were written."""
	w.configure(9)
	for header, extra in ("who,address,reason\n", ["--email", "address"]), ("", []):
		w.write("sup.csv", header + "one,one@x.example,\ntwo,two@@x.example,complaint\n\"three, of us\",three x.example,\n")
		out = w.run("suppressions", "import", "sup.csv", *extra).out
		assert "1 added" in out and "2 cannot be used" in out and "--rejects FILE" in out, out
		w.run("suppressions", "import", "sup.csv", "--rejects", "bad.csv", *extra)
		text = open(w.path("bad.csv")).read()
		assert text.startswith("pr_line,pr_reason," + (header.strip() or ",email")) and '"three, of us",three x.example' in text, text
		w.write("bad.csv", text.replace("two@@", "two@").replace("three x", "three@x"))
		assert w.run("--json", "suppressions", "import", "bad.csv", *extra).json["added"] == 2
		got = {s["address"]: s["reason"] for s in lines(w.run("--json", "suppressions", "list"))}
		assert got == {"one@x.example": "import", "two@x.example": "complaint" if header else "import", "three@x.example": "import"}, got
		for n in "one", "two", "three":
			w.run("suppressions", "remove", n + "@x.example", "--note", "once more")
	w.run("suppressions", "import", "sup.csv", "--rejects", "missing/bad.csv", expect=73)


def start_import(w):
	"""An import from a pipe that has had 30,000 rows and goes on."""
	child = subprocess.Popen([harness.PROGRAM, "import", "news", "-"], cwd=w.folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
		stderr=subprocess.DEVNULL, env=w.environment())
	w.children.append(child)
	child.stdin.write(b"email\n" + b"".join(b"u%d@example.com\n" % i for i in range(30000)))
	child.stdin.flush()
	return child


def written(w):
	return os.path.getsize(w.path("postrider.db-wal")) > 500000 if os.path.exists(w.path("postrider.db-wal")) else False


def test_interrupted_import(w):
	begin(w)
	child = start_import(w)
	wait_until(lambda: written(w))
	child.send_signal(signal.SIGINT)
	assert child.wait(timeout=300) == 75
	assert w.run("--json", "lists").out == "" and w.run("--json", "contacts").out == ""


def test_killed_import(w):
	begin(w)
	child = start_import(w)
	wait_until(lambda: written(w))
	child.kill()
	child.wait()
	assert w.run("--json", "lists").out == "" and w.run("--json", "contacts").out == ""
	w.write("list.csv", "email\na@example.com\n")
	assert w.run("--json", "import", "news", "list.csv").json["added"] == 1
	assert [p["address"] for p in lines(w.run("--json", "contacts"))] == ["a@example.com"]
