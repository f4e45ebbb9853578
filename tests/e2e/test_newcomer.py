"""The first hours: what an empty installation says, what init, import and rehearsals say, and the examples as their texts have them."""
import datetime
import glob
import json
import os
import re
import shutil
import subprocess
import time

import harness
from harness import PROGRAM, TOP
from smtpd import Sink

MISTYPED = """From: Kyoto Books <news@books.example>
Subject: For {{ frst_name }}

Dear {{ frst_name }}, {{ nobody_has_that }} [unsubscribe]({{ unsubscribe_url }})
"""


def test_an_empty_installation_says_that_it_is_empty(w):
	w.run("init", ".")
	for argv, text in ((["lists"], "there is no list yet"), (["campaigns"], "there is no campaign yet"), (["contacts"], "there is nobody"),
			(["history"], "nothing was changed yet"), (["suppressions", "list"], "there is no such suppression"),
			(["bounces"], "there is no such refusal"), (["campaigns", "--open"], "all campaigns are over")):
		told = w.run(*argv)
		assert told.out == "" and told.err.startswith("postrider: " + text) and told.err.count("\n") == 1, told
		assert w.run("--quiet", *argv).err == "" and w.run("--json", *argv).err == "", argv
	assert "there is no campaign yet" in w.run("report", expect=66).err
	assert "in that time" in w.run("report", "--since", "1d", expect=66).err


def test_a_folder_without_configuration_is_likely_the_wrong_one(w):
	for argv in (["lists"], ["import", "news", "news.csv"], ["send", "june.html", "--list", "news"], ["serve"],
			["preview", "june.html", "--list", "news"]):
		told = w.run(*argv, expect=66)
		assert "there is no postrider.conf in this folder" in told.err and "postrider init" in told.err, told
	w.run("init", ".")
	os.remove(w.path("postrider.db"))
	assert "there is none" in w.run("lists", expect=66).err


def test_mail_that_is_about_nothing_sent_is_called_so(w):
	w.run("init", ".")
	w.write("letter.eml", "From: a@x.example\nSubject: hello\n\nHow are you?\n")
	assert w.run("receive", "letter.eml").out == "letter.eml: no returned mail, complaint or unsubscribing\n"
	assert w.run("--json", "receive", "letter.eml").json["kind"] == "none"


def test_what_cannot_be_read_is_not_called_empty(w):
	w.run("init", ".")
	subprocess.run(["sqlite3", "postrider.db", "DROP TABLE name; DROP TABLE list; DROP TABLE campaign; DROP TABLE history; DROP TABLE failure"],
		cwd=w.folder, check=True)
	for argv in (["lists"], ["campaigns"], ["contacts"], ["history"], ["suppressions", "list"], ["bounces"]):
		told = w.run(*argv, expect=70).err
		assert "no such table" in told and told.count("\n") == 1, told


def test_init_says_how_to_go_on_where_its_example_is(w):
	assert "cd" not in w.run("init", ".").out.split("Next:")[1]
	assert "cd there\n" in w.run("init", "there").out
	os.remove(w.path("postrider.db"))
	os.remove(w.path("postrider.key"))
	again = w.run("init", ".").out
	assert "wrote ./postrider.db" in again and "Next" not in again, again


def test_an_import_that_fails_announces_no_list(w):
	w.run("init", ".")
	told = w.run("import", "news", "nothere.csv", expect=66)
	assert "new list" not in told.err, told
	w.write("news.csv", "email\na@x.example\n")
	assert w.run("import", "news", "news.csv", "--dry-run").out.splitlines()[3:] == [
		"news: new list; dry run, nothing was imported", "  read                   1   UTF-8, comma", "  rejected               0"]
	assert w.run("import", "news", "news.csv").out.startswith("news: new list\n")
	assert w.run("import", "news", "news.csv", "--dry-run").out.splitlines()[3] == "news: dry run, nothing was imported"
	assert "there is news already" in w.run("import", "newss", "news.csv").err
	# No source was given: null, as in every other document.
	assert {m["source"] for m in w.run("--json", "contact", "show", "a@x.example").json["lists"]} == {None}


def test_a_long_row_that_cannot_be_used_is_shown_in_whole_characters(w):
	w.run("init", ".")
	w.write("news.csv", "email,bio\nno address," + "あ" * 5000 + "\n")
	told = w.run("import", "news", "news.csv", expect=65).err
	shown = [line for line in told.splitlines() if "あ" in line]
	assert len(shown) == 1 and shown[0].endswith("あ…") and "\\x" not in told and len(shown[0]) < 120, told


def test_send_says_which_names_nobody_has(w):
	w.configure(9)
	w.audience(3)
	w.message(MISTYPED, "june.md")
	told = w.run("send", "june.md", "--list", "news", "--dry-run").err
	assert "nobody has an attribute frst_name: did you mean first_name?" in told and "nobody has an attribute nobody_has_that\n" in told, told
	w.message()
	assert "nobody has" not in w.run("send", "june.html", "--list", "news", "--dry-run").err


def test_what_is_scheduled_is_left_to_serve_until_its_time(w):
	with Sink() as sink:
		w.configure(sink.port)
		addresses = w.audience(3)
		w.message()
		send = ("send", "june.html", "--list", "news", "--yes", "--again")
		told = w.run(*send, "--name", "later", "--at", "24h", expect=75)
		assert "no `postrider serve` is running" in told.err and "postrider resume" not in told.err, told
		assert "is chosen when it starts" in w.run("status", "later").out
		for argv in (("resume", "later"), ("resume", "later", "--detach")):
			told = w.run(*argv, expect=75)
			assert "is scheduled" in told.err and "none is running" in told.err, told
		w.run("pause", "later")
		assert "is scheduled" in w.run("resume", "later", expect=75).err
		serving = w.serve()
		assert "none is running" not in w.run("resume", "later").err
		serving.terminate()
		w.finish(serving)
		assert not sink.messages
		w.run(*send, "--name", "june", "--at", "1s", expect=75)
		harness.wait_until(lambda: time.time() > sent_at(w, "june"))
		w.run("resume", "june")
		assert w.audit("june", sink, addresses) == {"sent": 3}


def sent_at(w, name):
	return datetime.datetime.fromisoformat(w.status(name)["start_at"].replace("Z", "+00:00")).timestamp()


def test_what_a_rehearsal_leaves_waits(w):
	"""Full mailboxes are tried again after hours, for which no rehearsal waits."""
	w.configure(9)
	w.audience(200)
	w.message()
	done = w.run("send", "june.html", "--list", "news", "--rehearse")
	assert "deferred" in done.out and "rehearsal of june: waiting" in done.out and "start it again" not in done.out, done
	assert "would be tried again" in done.err, done


def test_the_lines_of_the_plot_are_where_their_numbers_say(w):
	with Sink() as sink:
		w.configure(sink.port)
		w.audience(5)
		w.message()
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
		page = w.run("report", "june", "--format", "html").out
	marks = [(float(y), int(n)) for y, n in re.findall(r'<text x="48" y="([0-9.]+)" text-anchor="end">(\d+)</text>', page)]
	(foot, zero), (top, most) = marks[0], marks[-1]
	assert len(marks) == 5 and zero == 0 and most >= 5, marks
	for y, n in marks:
		assert abs((foot - y) / (foot - top) - n / most) < 0.001, marks


def test_findings_stand_before_what_sums_them_up(w):
	w.configure(9)
	w.audience(3)
	w.message(MISTYPED, "june.md")
	done = subprocess.run([PROGRAM, "check", "june.md", "--list", "news"], cwd=w.folder, env=w.environment(), stdout=subprocess.PIPE,
		stderr=subprocess.STDOUT, text=True, check=False)
	last = done.stdout.splitlines()[-1]
	assert done.returncode == 1 and re.match(r"postrider: checked 3 messages: 2 failing, ", last), done.stdout
	w.write("one.csv", "email,first_name,city\na@y.example,,Kyoto\n")
	w.run("import", "one", "one.csv")
	one = w.run("check", w.message(), "--list", "one", expect=None)
	assert "checked 1 message:" in one.err and "composed for 1 recipient in" in one.out, one
	assert "has only 1 person" in w.run("preview", "june.html", "--list", "one", "--nth", "2", expect=66).err
	assert "is empty" in w.run("preview", "june.html", "--list", "one", "--where", 'city = "Nara"', expect=66).err


def finding(result, name):
	return {f["id"]: f for f in map(json.loads, result.out.splitlines())}[name]


def test_doctor_glances_at_the_database(w):
	w.run("init", ".")
	found = w.run("--json", "doctor")
	assert [finding(found, i)["severity"] for i in ("schema", "home", "lease", "database")] == ["pass", "pass", "pass", "info"], found
	assert "doctor --database" in finding(found, "database")["text"], found
	assert "ledger" not in found.out

	shutil.copytree(w.folder, w.folder + "-copy")
	with harness.World(w.folder + "-copy") as copy:
		assert finding(copy.run("--json", "doctor"), "home")["severity"] == "warn"
	shutil.rmtree(w.folder + "-copy")

	# Between an upgrade of the program and the first command that writes.
	subprocess.run(["sqlite3", "postrider.db", "PRAGMA user_version = 1"], cwd=w.folder, check=True)
	for options, severity in ([], "info"), (["--database"], "skip"):
		older = w.run("--json", "doctor", *options)
		assert finding(older, "schema")["severity"] == severity and "older version" in finding(older, "schema")["text"], older
		assert "fail" not in older.out and "warn" not in older.out, older
	subprocess.run(["sqlite3", "postrider.db", "PRAGMA user_version = 2"], cwd=w.folder, check=True)

	subprocess.run(["sqlite3", "postrider.db", "DROP TABLE attempt"], cwd=w.folder, check=True)
	assert finding(w.run("--json", "doctor", expect=1), "schema")["where"] == "attempt"
	subprocess.run(["sqlite3", "postrider.db", "PRAGMA user_version = 99"], cwd=w.folder, check=True)
	newer = finding(w.run("--json", "doctor", expect=1), "database")
	assert newer["severity"] == "fail" and "newer version" in newer["text"] and "newer postrider" in newer["remedy"], newer
	os.remove(w.path("postrider.db"))
	gone = w.run("--json", "doctor", expect=1)
	assert "postrider init" in finding(gone, "files")["remedy"] and '"database"' not in gone.out, gone
	os.symlink("postrider.db", w.path("postrider.db"))
	assert "run it as the user" in finding(w.run("--json", "doctor", expect=1), "files")["remedy"]


def test_a_port_that_there_is_not_is_a_mistake(w):
	w.run("init", ".")
	with open(w.path("postrider.conf"), "a", encoding="utf-8") as f:
		f.write("[return-path]\nlisten = 127.0.0.1:99999\n")
	line = len(open(w.path("postrider.conf"), encoding="utf-8").readlines())
	for command in "doctor", "serve", "status":
		said = w.run(command, expect=78).err
		assert f"postrider.conf:{line}: listen = 127.0.0.1:99999: expected an IP address and a port" in said, said
	said = w.run("sandbox", "--port", "0", "--return-to", "127.0.0.1:65536", expect=64)
	assert said.err.count("\n") == 1 and "--return-to" in said.err and not said.out, said


def test_every_example_does_what_its_text_says(w):
	texts = glob.glob(os.path.join(TOP, "examples", "*", "README.md"))
	assert len(texts) >= 4
	for text in texts:
		name = os.path.basename(os.path.dirname(text))
		shutil.copytree(os.path.dirname(text), w.path(name))
		with open(text, encoding="utf-8") as f:
			lines = re.findall(r"^    postrider (.*)$", f.read(), re.M)
		assert len(lines) >= 3, text
		for line in lines:
			done = subprocess.run(f"'{PROGRAM}' {line}", shell=True, cwd=w.path(name), env=w.environment(), stdin=subprocess.DEVNULL,
				capture_output=True, text=True, timeout=300, check=False)
			assert done.returncode == 0, (name, line, done)


def test_the_first_steps_of_the_unit(w):
	"""They leave a configuration whose database and secret are where the unit lets the daemon write."""
	with open(os.path.join(TOP, "examples", "systemd", "postrider.service"), encoding="utf-8") as f:
		steps = [line[4:].strip() for line in f.read().split("[Unit]")[0].splitlines() if re.match(r"#   (postrider|mv|sed) ", line)]
	assert len(steps) == 3, steps
	for folder in ("etc", "var"):
		os.mkdir(w.path(folder))
	for step in steps:
		step = step.replace("/etc/postrider", "etc/postrider").replace("/var/lib/postrider", w.path("var")).replace("postrider init", f"'{PROGRAM}' init")
		subprocess.run(step, shell=True, cwd=w.folder, env=w.environment(), check=True, capture_output=True)
	w.run("--config", "etc/postrider/postrider.conf", "doctor")
	assert sorted(os.listdir(w.path("var")))[:2] == ["postrider.db", "postrider.key"]
