"""What each option does that no other test needs; run.py sees to it that none is left out."""
import csv
import email.header
import io
import json
import re
import signal
import smtplib
import ssl

from harness import MESSAGE, wait_until
from smtpd import Close, Sink
from test_sandbox import start, stop


def lines(result):
	return [json.loads(line) for line in result.out.splitlines()]


def addresses(result):
	return [row["address"] for row in lines(result)]


def test_import_as_told(w):
	w.run("init", ".")
	w.write("old.csv", 'A@x.example;1;{"pet":"cat"};\nb@x.example;2;{"pet":"dog"};bounced\nc@x.example;3;;unsubscribed\n')
	told = w.run("--json", "import", "news", "old.csv", "--columns", "mail,n,more,state", "--email", "mail", "--delimiter", ";", "--expand",
		"more", "--status", "state", "--map", "number=n", "--consent-at", "2026-01-02T03:04:05+00:00").json
	assert told["suppressed"] == 2 and told["added"] == 3, told
	people = lines(w.run("export", "news", "--format", "json"))
	assert [(p["email"], p["number"], p.get("pet"), p["pr_status"]) for p in people] == [("A@x.example", "1", "cat", "subscribed"),
		("b@x.example", "2", "dog", "bounced"), ("c@x.example", "3", None, "unsubscribed")], people
	assert all(p["pr_consent_at"] == "2026-01-02T03:04:05.000Z" for p in people), people
	with open(w.path("jis.csv"), "wb") as f:
		f.write("email,名前\r\nz@x.example,花子\r\n".encode("shift_jis"))
	assert w.run("--json", "import", "jis", "jis.csv", "--encoding", "Shift_JIS").json["encoding"] == "Shift_JIS"
	assert lines(w.run("export", "jis", "--format", "json"))[0]["名前"] == "花子"
	w.run("import", "utf", "jis.csv", "--encoding", "UTF-8", expect=65)


def test_import_of_an_address_that_is_there_twice(w):
	w.run("init", ".")
	w.write("twice.csv", "email,n\na@x.example,7\na@x.example,8\n")
	assert "twice.csv:3" in w.run("import", "news", "twice.csv", "--on-duplicate", "fail", expect=65).err
	for what, n in ("skip", "7"), ("update", "8"):
		assert w.run("--json", "import", "news", "twice.csv", "--on-duplicate", what).json["duplicates"] == 1
		assert lines(w.run("export", "news", "--format", "json"))[0]["n"] == n


def test_import_in_step_with_a_file(w):
	w.run("init", ".")
	w.audience(3)
	w.write("one.csv", "email\nr0@x.example\n")
	refused = w.run("import", "news", "one.csv", "--sync", expect=64)
	assert "2 of 3" in refused.err, refused
	assert len(lines(w.run("--json", "contacts", "--list", "news"))) == 3
	assert w.run("--json", "import", "news", "one.csv", "--sync", "--yes").json["left"] == 2
	assert addresses(w.run("--json", "contacts", "--list", "news")) == ["r0@x.example"]


def test_a_person_s_consent(w):
	w.run("init", ".")
	w.audience(1)
	w.run("contact", "subscribe", "q@x.example", "--list", "news", "--source", "phone", "--consent-at", "2026-03-04T05:06:07+00:00")
	on = w.run("--json", "contact", "show", "q@x.example").json["lists"]
	assert [(row["source"], row["consent_at"]) for row in on] == [("phone", "2026-03-04T05:06:07.000Z")], on


def test_suppressions_chosen(w):
	with Sink() as sink:
		w.configure(sink.port)
		w.write("news.csv", "email\n" + "".join(f"{n}@docomo.ne.jp\n" for n in "abc") + "d@gmail.com\n")
		for name in "news", "shop":
			w.run("import", name, "news.csv")
		w.run("suppressions", "add", "a@docomo.ne.jp", "--list", "shop", "--note", "asked")
		w.run("contact", "unsubscribe", "b@docomo.ne.jp", "--list", "news")
		w.write("old.csv", "who;x\nd@gmail.com;1\n")
		w.run("suppressions", "import", "old.csv", "--list", "shop", "--email", "who", "--encoding", "UTF-8", "--note", "the old system's")

		class Refuses(Sink):
			async def rcpt(self, s, address):
				return "550 5.1.1 no such user" if address.startswith("c") else "250 ok"
		with Refuses() as other:
			w.configure(other.port)
			w.run("send", w.message(), "--list", "news", "--name", "june", "--yes")
			assert set(other.recipients()) == {"a@docomo.ne.jp", "d@gmail.com"}
	everybody = {"a@docomo.ne.jp", "b@docomo.ne.jp", "c@docomo.ne.jp", "d@gmail.com"}
	for options, wanted in {("--list", "shop"): {"a@docomo.ne.jp", "d@gmail.com"}, ("--reason", "unsubscribe"): {"b@docomo.ne.jp"},
			("--campaign", "june"): {"c@docomo.ne.jp"}, ("--provider", "google"): {"d@gmail.com"}, ("--since", "1h"): everybody,
			("--since", "2999-01-01"): set(), ("--held",): set(), ("--list", "shop", "--provider", "docomo"): {"a@docomo.ne.jp"}}.items():
		assert set(addresses(w.run("--json", "suppressions", "list", *options))) == wanted, options
		for more in [], ["--excel"]:
			out = w.run("suppressions", "export", *options, *more).out
			assert out.startswith("\ufeff") == bool(more)
			assert {row["address"] for row in csv.DictReader(io.StringIO(out.lstrip("\ufeff")))} == wanted, options
	assert "asked" in w.run("suppressions", "why", "a@docomo.ne.jp", "--list", "shop").out
	assert "is not suppressed" in w.run("suppressions", "why", "a@docomo.ne.jp", "--list", "news").out
	assert "the old system's" in w.run("suppressions", "why", "d@gmail.com", "--list", "shop").out
	assert w.run("--json", "suppressions", "remove", "--list", "shop", "--note", "a mistake", "--dry-run").json["removed"] == 2
	assert w.run("--json", "suppressions", "remove", "--campaign", "june", "--note", "a mistake").json["removed"] == 1
	assert set(addresses(w.run("--json", "suppressions", "list"))) == everybody - {"c@docomo.ne.jp"}


def test_audience(w):
	"""The same words choose the same people for every command that takes them."""
	with Sink() as sink:
		w.configure(sink.port)
		everybody = w.audience(40)
		w.write("some.csv", "email\n" + "".join(a + "\n" for a in everybody[:10]))
		w.run("import", "some", "some.csv")
		w.message()
		w.run("send", "june.html", "--list", "some", "--name", "may", "--yes")
		kyoto = {a for i, a in enumerate(everybody) if i % 4 == 0}
		for options, wanted in {("--exclude", "some"): set(everybody[10:]), ("--where", 'city = "Kyoto"'): kyoto,
				("--of", "may:sent"): set(everybody[:10]), ("--not-of", "may"): set(everybody[10:]), ("--of", "may:bounced"): set()}.items():
			audience = ["--list", "news", *options]
			assert set(addresses(w.run("--json", "contacts", *audience))) == wanted, options
			checked = w.run("--json", "check", "june.html", *audience, "--route", "main", expect=0 if wanted else 66)
			shown = w.run("preview", "june.html", *audience, "--part", "headers", expect=0 if wanted else 66).out
			tried = w.run("test", "june.html", "--to", "me@x.example", *audience, expect=0 if wanted else 66)
			if wanted:
				assert re.search(r"^To: .*?([a-z0-9]+@x\.example)", shown, re.M)[1] in wanted, (options, shown)
				assert tried.status == checked.status == 0
			asked = w.run("--json", "send", "june.html", "--name", "june", "--again", *audience, "--dry-run", expect=0 if wanted else 66)
			assert not wanted or asked.json["audience"] == len(wanted), (options, asked)
		for command in (["contacts"], ["check", "june.html"], ["test", "june.html", "--to", "me@x.example"]):
			w.run(*command, "--list", "news", "--sample", "5")
		told = w.run("contacts", "--of", "may:sentt,bounced", expect=66).err
		assert 'campaign "may" is there, but "sentt,bounced" is not a list of states' in told, told
		quarter = [addresses(w.run("--json", "contacts", "--list", "news", "--sample", "25%")) for _ in range(2)]
		assert quarter[0] == quarter[1] and 0 < len(quarter[0]) < 40, quarter
		before = len(sink.messages)
		assert w.run("--json", "send", "june.html", "--list", "news", "--sample", "7", "--name", "june", "--again", "--yes").json["audience"] == 7
		assert len(sink.messages) == before + 7 and set(sink.recipients()) <= {*everybody, "me@x.example"}


def test_one_of_the_audience(w):
	with Sink() as sink:
		w.configure(sink.port)
		everybody = w.audience(8)
		w.write("made-up.json", json.dumps({"first_name": "Nobody", "city": "Nowhere"}))
		w.message()
		shown = [w.run("preview", "june.html", *options).out for options in (["--list", "news", "--to", "r5@x.example"], ["--list", "news", "--nth", 6],
			["--sample", "made-up.json"])]
		assert all("r5@x.example" in text and "京都" in text for text in shown[:2]) and "Nobody" in shown[2] and "Nowhere" in shown[2], shown
		w.write("none.md", MESSAGE.replace("\n\n", "\n\n{% abort_message('二人だけ') %}"))
		assert w.run("preview", "none.md", "--list", "news", "--nth", 6, "--json").json == {"to": "r5@x.example", "skipped": "二人だけ"}
		at_random = w.run("preview", "june.html", "--list", "news", "--random", 3, "--part", "headers").out
		assert len(set(re.findall(r"r\d@x\.example", at_random)) & set(everybody)) == 3, at_random
		assert at_random.count("\n\n====") == 2, "one message looks like the end of another"
		assert "one of" in w.run("preview", "june.html", "--list", "news", "--nth", 1, "--random", 3, expect=64).err
		for options in (["preview", "june.html"], ["test", "june.html", "--to", "me@x.example"]):
			assert "nobody has the address who@x.example" in w.run(*options, "--to" if options[0] == "preview" else "--as", "who@x.example",
				expect=66).err
		w.run("test", "june.html", "--to", "me@x.example", "--list", "news", "--nth", 6)
		w.run("test", "june.html", "--to", "me@x.example", "--data", "made-up.json")
		subjects = [str(email.header.make_header(email.header.decode_header(m.header("Subject")))) for m in sink.messages]
		assert subjects == ["[TEST] 花子, the June list is here", "[TEST] Nobody, the June list is here"], subjects


def test_send_expects(w):
	with Sink() as sink:
		w.configure(sink.port)
		w.audience(20)
		w.message()
		send = ["send", "june.html", "--list", "news", "--name", "june", "--yes"]
		assert "20" in w.run(*send, "--expect", "1..19", expect=65).err
		assert w.run("campaigns").out.count("june") == 0 and not sink.messages
		w.run(*send, "--expect", "20..30")
		assert len(sink.messages) == 20
		w.message(MESSAGE.replace("June", "July"), "july.html")
		late = w.run("--json", "send", "july.html", "--list", "news", "--name", "july", "--yes", "--rate", "1/s", "--until", "4s", expect=76).json
		assert late["counts"]["cancelled"] > 10, late


class Drops(Sink):
	"""Hangs up behind the first message, having taken it."""
	async def end(self, s, data):
		if len(self.sessions) == 1:
			self.keep(s, data)
			raise Close
		return await super().end(s, data)


def test_what_becomes_of_the_doubtful(w):
	for rule, had in ("resend", 2), ("skip", 1):
		with Drops() as sink:
			w.configure(sink.port, connections=1, top="doubt = hold\nahead = 1\n")
			w.audience(5, f"list-{rule}")
			w.message()
			w.run("send", "june.html", "--list", f"list-{rule}", "--name", rule, "--again", "--yes", expect=76)
			assert w.status(rule)["why"]["id"] == "doubt" and w.status(rule)["counts"]["doubt"] == 1
			assert campaigns(w, "--open") == {rule}
			w.run("resume", rule, f"--doubt={rule}")
			assert sorted(sink.recipients().values()) == [1, 1, 1, 1, had], (rule, sink.recipients())
			assert campaigns(w, "--open") == set() and rule in campaigns(w)


def campaigns(w, *options):
	return {row["campaign"] for row in lines(w.run("--json", "campaigns", *options))}


def test_resume_leaves_it_to_the_daemon(w):
	with Sink() as sink:
		w.configure(sink.port)
		w.audience(30)
		w.message()
		w.run("send", "june.html", "--list", "news", "--name", "june", "--first", "3", "--yes", expect=76)
		daemon = w.serve()
		w.run("resume", "june", "--detach")
		assert w.run("--json", "status", "june", "--wait").json["counts"]["sent"] == 30
		daemon.send_signal(signal.SIGTERM)
		w.finish(daemon, expect=(0, 75))


def test_doctor_names_what_stands_still(w):
	def found():
		return {f["where"]: (f["text"], f["remedy"]) for f in map(json.loads, w.run("--json", "doctor").out.splitlines()) if f["id"] == "campaign"}

	class Closed(Sink):
		async def mail(self, s, arg):
			return "550 5.7.1 this sender may not"
	with Closed() as sink:
		w.configure(sink.port)
		w.audience(3)
		w.message()
		assert found() == {}
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--detach", expect=75)
		assert found() == {"june": ("it is not over, and nobody delivers", "start `postrider serve`, or `postrider resume june`")}
		w.run("resume", "june", expect=77)
		assert found()["june"][0].startswith("it is paused (sender-refused): "), found()
	with Sink() as sink:
		w.configure(sink.port)
		w.run("resume", "june")
	assert found() == {}


def test_a_daemon_goes_by_what_it_read(w):
	"""Who changes the configuration and forgets to restart serve hears of it."""
	with Sink() as sink:
		w.configure(sink.port)
		w.audience(3)
		w.message()
		daemon = w.serve()
		changed = lambda: [f for f in map(json.loads, w.run("--json", "doctor").out.splitlines()) if f["id"] == "configuration"]
		assert changed() == []
		with open(w.path("postrider.conf"), "a") as f:
			f.write("# changed\n")
		wait_until(lambda: changed())
		assert changed()[0]["severity"] == "warn" and "start it again" in changed()[0]["remedy"]
		assert "was changed since `serve`" in w.run("send", "june.html", "--list", "news", "--name", "june", "--yes").err
		daemon.send_signal(signal.SIGTERM)
		w.finish(daemon, expect=(0, 75))
	assert changed() == []


def test_times_chosen(w):
	"""--since and --until, of everything that has them."""
	class Refuses(Sink):
		async def rcpt(self, s, address):
			return {"r0": "550 5.1.1 no such user", "r1": "554 5.7.1 rejected by policy"}.get(address.split("@")[0], "250 ok")
	with Refuses() as sink:
		w.configure(sink.port)
		w.write("news.csv", "email,note\n" + "".join(f"r{i}@x.example,=1+1\n" for i in range(5)))
		w.run("import", "news", "news.csv")
		w.run("send", w.message(), "--list", "news", "--name", "june", "--yes")
	found = {("--since", "1h"): 2, ("--since", "2999-01-01"): 0, ("--until", "2999-01-01"): 2, ("--until", "2020-01-01"): 0,
		("--class", "hard"): 1, ("--class", "soft"): 0, ("--class", "block"): 1}
	for options, n in found.items():
		assert len(lines(w.run("--json", "bounces", *options))) == n, options
	assert any(row["what"] == "import" for row in lines(w.run("--json", "history", "--since", "1h")))
	assert lines(w.run("--json", "history", "--since", "2999-01-01")) == []
	assert "june" in w.run("report", "--since", "1h").out and "june" in w.run("report", "--since", "2020-01-01", "--until", "2999-01-01").out
	assert "june" not in w.run("report", "--until", "2020-01-01", expect=(0, 66)).out
	assert w.run("report", "june", "--format", "csv", "--excel").out.startswith("\ufeff")
	assert lines(w.run("--json", "hygiene", "--since", "1h")) == []
	assert "0" in w.run("reclassify", "--since", "1h").out


def test_sandbox_as_told(w):
	child, port = start(w, "--tls-implicit", "--ca-out", w.path("certificate"), "--messages", 2, "--no-words", "--profile", "clean")
	with smtplib.SMTP_SSL("localhost", port, context=ssl.create_default_context(cafile=w.path("certificate"))) as s:
		for n in range(2):
			s.sendmail("news@books.example", ["bounce@example.com"], "Subject: no word decides\r\n\r\n")
		try:
			s.sendmail("news@books.example", ["ann@example.com"], "Subject: one more\r\n\r\n")
			raise AssertionError("a third message on one connection")
		except (smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected) as e:
			assert getattr(e, "smtp_code", 421) == 421, e
	assert stop(w, child)["accepted"] == 2
	fates = {}
	for seed in 1, 1, 2:
		child, port = start(w, "--rates", "unknown=50%", "--seed", seed, "--max-connections", 1)
		with smtplib.SMTP("127.0.0.1", port) as s:
			s.ehlo()
			s.mail("news@books.example")
			got = [s.rcpt(f"r{i}@example.com")[0] for i in range(30)]
			try:
				with smtplib.SMTP("127.0.0.1", port) as more:
					assert more.noop()[0] == 421
			except (smtplib.SMTPConnectError, smtplib.SMTPServerDisconnected, ConnectionError) as e:
				assert getattr(e, "smtp_code", 421) == 421, e
		assert fates.setdefault(seed, got) == got
		stop(w, child)
	assert fates[1] != fates[2] and set(fates[1]) == {250, 550}, fates


def test_everywhere(w):
	with Sink() as sink:
		w.configure(sink.port)
		w.write("elsewhere.conf", open(w.path("postrider.conf")).read().replace("postrider.db", "other.db"))
		w.audience(3)
		assert "news" in w.run("lists").out
		assert "other.db" in w.run("--config", "elsewhere.conf", "lists", expect=66).err
		assert "nowhere.conf" in w.run("--config", "nowhere.conf", "lists", expect=66).err
		w.message()
		w.write("other.csv", "email\no@x.example\n")
		assert "new list" in w.run("import", "newz", "other.csv").err and not w.run("--quiet", "import", "news2", "other.csv").err
		assert "\x1b[" in w.run("--color=always", "check", "june.html", "--list", "news").out
		assert "\x1b[" not in w.run("--color", "never", "check", "june.html", "--list", "news").out
		assert len(w.run("--verbose", "send", "june.html", "--list", "news", "--name", "june", "--yes").err.splitlines()) > 1
		assert "Usage: postrider lists" in w.run("lists", "--help").out == w.run("help", "lists").out
		assert "Usage: postrider" in w.run("help").out and re.fullmatch(r"postrider \d+\.\d+\.\d+\n", w.run("version").out)
