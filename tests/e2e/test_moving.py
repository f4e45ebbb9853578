"""A database that is carried elsewhere: copies are only read, backups come back whole, and nobody is mailed twice."""
import json
import os
import shutil
import signal

import harness
from harness import wait_until
from smtpd import Sink

COUNT = 40
SEND = ["send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "20s"]


def under_way(w, sink, **keys):
	"""A campaign that was stopped in its midst."""
	w.configure(sink.port, connections=2, rate="40/s", extra="[retry]\ndelays = 1s\nexpire = 1h\n", **keys)
	w.addresses = w.audience(COUNT)
	w.message()
	first = w.start(*SEND)
	wait_until(lambda: len(sink.messages) > 5)
	first.send_signal(signal.SIGINT)
	w.finish(first, expect=75)


def another_machine(w, name):
	"""From now on the same folder, as seen from a machine that the database knows by another name."""
	with open(w.path("postrider.conf"), encoding="utf-8") as f:
		text = f.read()
	w.write("postrider.conf", "machine = " + name + "\n" + text)


def test_on_another_machine_it_is_only_read_until_adopted(w):
	with Sink() as sink:
		under_way(w, sink)
		had = len(sink.messages)
		another_machine(w, "elsewhere")
		for command in (["resume", "june"], SEND, ["import", "news", "news.csv"], ["suppressions", "add", "a@x.example"], ["pause", "june"]):
			refused = w.run(*command, expect=76)
			assert "another machine" in refused.err and "postrider adopt" in refused.err, refused
		assert w.run("--json", "resume", "june", expect=76).json["error"]["exit"] == 76
		assert w.status("june")["state"] == "interrupted"
		assert len(w.deliveries("june")) == COUNT

		told = w.run("adopt", expect=76)
		assert "june is paused" in told.out and f"{COUNT - had} of {COUNT} recipients had not been mailed" in told.out, told
		w.run("adopt", expect=65)
		status = w.status("june")
		assert (status["state"], status["why"]["id"]) == ("paused", "restored")
		assert w.run(*SEND, expect=76).out
		refused = w.run("resume", "june", expect=76)
		assert "--past-restore" in refused.err and f"{COUNT - had} of {COUNT}" in refused.err, refused
		w.run("resume", "june", "--past-brake", expect=76)
		assert len(sink.messages) == had
		w.run("resume", "june", "--past-restore")
		assert w.audit("june", sink, w.addresses) == {"sent": COUNT}
		assert any(json.loads(line)["what"] == "adopt" for line in w.run("--json", "history").out.splitlines())


def test_a_copy_beside_the_original_is_only_read(w):
	with Sink() as sink:
		under_way(w, sink)
		copy = w.path("copy")
		os.mkdir(copy)
		for name in os.listdir(w.folder):
			if os.path.isfile(w.path(name)):
				shutil.copy(w.path(name), copy)
		there = harness.World(copy)
		assert "still there" in there.run("resume", "june", expect=76).err
		assert len(there.deliveries("june")) == COUNT
		# Moved, with the original gone, it is no copy.
		shutil.rmtree(copy)
		os.mkdir(copy)
		for name in os.listdir(w.folder):
			if os.path.isfile(w.path(name)) and not name.startswith("out."):
				os.rename(w.path(name), os.path.join(copy, name))
		there.run("resume", "june")
		assert there.audit("june", sink, w.addresses) == {"sent": COUNT}


def test_scheduled_and_paused_campaigns_do_not_start_by_themselves(w):
	with Sink() as sink:
		w.configure(sink.port)
		w.audience(3)
		w.message()
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--at", "2s", expect=75)
		another_machine(w, "elsewhere")
		told = w.run("--json", "adopt", expect=76).json
		assert [c["campaign"] for c in told["paused"]] == ["june"] and "had not begun" in told["paused"][0]["text"], told
		server = w.start("serve")
		w.run("status", "june", "--wait")
		server.send_signal(signal.SIGTERM)
		w.finish(server)
		assert not sink.messages
		warned = w.run("send", "june.html", "--list", "news", "--name", "july", "--yes", "--again")
		assert "was a copy" in warned.err, warned
		assert len(sink.messages) == 3
