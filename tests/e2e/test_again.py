"""The same command a second time, in every state the first can be in, mails nobody twice."""
import asyncio
import os
import signal

import harness
from harness import MESSAGE, wait_until
from smtpd import Sink

COUNT = 40
SEND = ["send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "20s"]


SLOW = "2/s"  # for what is to be met in the middle: there is time for it, however busy the machine; see configure()


def configure(w, sink, **route):
	w.configure(sink.port, connections=2, **{"extra": "[retry]\ndelays = 1s\nexpire = 1h\n", **route})


def begin(w, sink, **route):
	configure(w, sink, **route)
	w.addresses = w.audience(COUNT)
	w.message()


def done(w, sink, states=None):
	got = w.audit("june", sink, w.addresses)
	assert got == (states or {"sent": COUNT}), got


def test_finished(w):
	with Sink() as sink:
		begin(w, sink)
		w.run(*SEND)
		again = w.run(*SEND)
		assert str(COUNT) in again.out
		done(w, sink)


def test_running(w):
	with Sink() as sink:
		begin(w, sink, rate="20/s")
		first, second = w.start(*SEND), None
		wait_until(lambda: len(sink.messages) > 3)
		second = w.start(*SEND)
		w.finish(first)
		w.finish(second)
		done(w, sink)


def test_started_at_the_same_moment(w):
	with Sink() as sink:
		begin(w, sink, rate="100/s")
		several = [w.start(*SEND) for _ in range(4)]
		for child in several:
			w.finish(child)
		done(w, sink)


def test_paused(w):
	with Sink() as sink:
		begin(w, sink, rate=SLOW)
		first = w.start(*SEND)
		wait_until(lambda: sink.messages)
		w.run("pause", "june")
		w.finish(first, expect=(75, 76))
		held = len(sink.messages)
		assert held < COUNT
		configure(w, sink)
		w.run(*SEND, expect=(0, 76))
		w.run("resume", "june", expect=0)
		done(w, sink)


def test_interrupted(w):
	for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
		folder = w.path(sig.name)
		os.makedirs(folder)
		with harness.World(folder) as inner, Sink() as sink:
			begin(inner, sink, rate=SLOW)
			first = inner.start(*SEND)
			wait_until(lambda: sink.messages)
			first.send_signal(sig)
			ended = inner.finish(first, expect=75)
			assert "resume june" in ended.out + ended.err, ended
			assert inner.audit("june", sink, inner.addresses).get("doubt", 0) == 0, "a drain leaves no doubt"
			configure(inner, sink)
			inner.run(*SEND)
			done(inner, sink)


def test_killed(w):
	with Sink() as sink:
		begin(w, sink, rate=SLOW)
		first = w.start(*SEND)
		wait_until(lambda: sink.messages)
		first.kill()
		first.wait()
		doubt = [a for a, r in w.deliveries("june").items() if r["state"] in ("doubt", "sending")]
		assert w.status("june")["state"] == "interrupted"
		configure(w, sink)
		w.run(*SEND)
		w.audit("june", sink, w.addresses)
		twice = [a for a, n in sink.recipients().items() if n > 1]
		assert set(twice) <= set(doubt) and set(sink.recipients()) == set(w.addresses)


def test_who_is_in_doubt_after_a_kill_gets_what_resume_says(w):
	"""Also where resume is the first to find out that the last run died with messages on the wire."""
	class Silent(Sink):
		mute = True
		async def end(self, s, data):
			if self.mute:
				self.keep(s, data)
				await asyncio.sleep(60)
			return await super().end(s, data)
	for rule, word in ("resend", "skip"), ("skip", "resend"), ("hold", "resend"):
		folder = w.path(f"{rule}-{word}")
		os.makedirs(folder)
		with harness.World(folder) as inner, Silent() as sink:
			inner.configure(sink.port, connections=1, top=f"doubt = {rule}\nahead = 1\n")
			inner.audience(5)
			inner.message()
			first = inner.start(*SEND)
			wait_until(lambda: sink.messages)
			first.kill()
			first.wait()
			sink.mute = False
			inner.run("resume", "june", f"--doubt={word}")
			assert sorted(sink.recipients().values()) == [1, 1, 1, 1, 2 if word == "resend" else 1], (rule, sink.recipients())
			assert inner.status("june")["counts"].get("doubt") == (0 if word == "resend" else 1)


def test_cancelled_before_it_began(w):
	"""Nobody was chosen, so there is nobody to be sent to instead."""
	with Sink() as sink:
		begin(w, sink)
		w.run(*SEND, "--at", "2h", expect=75)
		assert "Who gets it is chosen when it starts" in w.run("pause", "june").out + w.run("status", "june").out
		said = w.run("cancel", "june")
		assert "--of june" not in said.out and "is cancelled" in said.out, said
		assert "nobody was chosen" in w.run("status", "june").out


def test_cancelled(w):
	with Sink() as sink:
		begin(w, sink, rate=SLOW)
		first = w.start(*SEND)
		wait_until(lambda: sink.messages)
		said = w.run("cancel", "june")
		assert "--of june" in said.out + said.err, said
		w.finish(first, expect=None)
		had = len(sink.messages)
		assert had < COUNT
		w.run(*SEND, expect=None)
		assert len(sink.messages) == had
		states = w.audit("june", sink, w.addresses)
		assert states["sent"] == had and states["cancelled"] == COUNT - had, states
		over = w.status("june")
		assert [over[k] for k in ("rate", "limit", "next_attempt", "eta", "holder")] == [None] * 5, over


def test_scheduled(w):
	with Sink() as sink:
		begin(w, sink)
		w.run(*SEND, "--at", "2h", expect=75)
		w.run(*SEND, "--at", "2h", expect=(65, 75))
		assert w.status("june")["state"] == "scheduled" and not sink.messages


def test_waiting_for_retries(w):
	class Busy(Sink):
		ready = False

		async def rcpt(self, s, address):
			return "250 ok" if self.ready or address < "r2" else "451 4.3.0 come back"
	with Busy() as sink:
		begin(w, sink, extra="[retry]\ndelays = 1h\n")
		first = SEND[:-1] + ["0"]
		w.run(*first, expect=75)
		had = len(sink.messages)
		assert 0 < had < COUNT and w.status("june")["state"] in ("waiting", "interrupted")
		w.run(*first, expect=75)
		assert len(sink.messages) == had
		sink.ready = True
		w.run("resume", "june", "--now")
		done(w, sink)


def test_canary(w):
	with Sink() as sink:
		begin(w, sink)
		w.run(*SEND, "--first", "5", expect=76)
		assert len(sink.messages) == 5 and w.status("june")["why"]["id"] == "canary"
		w.run(*SEND, "--first", "5", expect=(0, 76))
		w.run("resume", "june")
		done(w, sink)


def test_canary_of_people_who_left_meanwhile(w):
	"""However many in a row must not be mailed any more, those behind them are of the first ones still."""
	count, first = 4000, 3900
	with Sink() as sink:
		w.configure(sink.port, connections=2)
		addresses = w.audience(count)
		w.message()
		sender = w.start(*SEND, "--first", str(first), "--rate", "20/s")
		wait_until(lambda: len(sink.messages) > 3)
		w.run("pause", "june")
		w.finish(sender, expect=76)
		left = "".join(f"{a}\n" for a in addresses[:-20])
		w.write("left.csv", "email\n" + left)
		w.run("suppressions", "import", "left.csv")
		w.run("resume", "june", "--rate", "1000/s", expect=76)
		status = w.status("june")
		assert status["why"]["id"] == "canary", status
		assert status["counts"]["queued"] == count - first, status


def test_mended_for_the_rest(w):
	"""A message that fails for some: what status and cancel say reaches all who did not get it, and nobody else."""
	with Sink() as sink:
		w.configure(sink.port, connections=1)
		count = 200
		addresses = w.audience(count)
		w.message(MESSAGE.replace("{{ city }}", "{% if city == 'bad' %}{{ 1 | divided_by: 0 }}{% endif %}"))
		w.run(*SEND, "--first", "3", expect=76)
		w.write("bad.csv", "email,city\n" + "".join(f"{a},bad\n" for a in addresses))
		w.run("import", "news", "bad.csv")
		told = w.run("resume", "june", expect=76).out
		rest = "--of june:skipped,cancelled"
		assert w.status("june")["why"]["id"] == "template" and rest in told, told
		assert rest in w.run("cancel", "june").out
		w.message(MESSAGE.replace("June", "July"), "july.html")
		w.run("send", "july.html", "--list", "news", "--name", "july", *rest.split(), "--yes", "--again")
		assert sink.recipients() == {a: 1 for a in addresses}


def test_names_can_be_typed_again(w):
	w.configure(9)
	w.audience(1)
	w.message()
	for name in "a\nb", "-x", "x" * 201, "\x1b[31m":
		told = w.run("send", "june.html", "--list", "news", f"--name={name}", "--yes", expect=64)
		assert "cannot be called so" in told.err, told
	assert "2020-01-01 09:00:00 +00:00" in w.run("send", "june.html", "--list", "news", "--at", "2020-01-01T09:00", "--yes", expect=64).err
	assert w.run("campaigns").out == ""


def test_another_name_needs_again(w):
	with Sink() as sink:
		begin(w, sink)
		w.run(*SEND)
		other = ["july" if a == "june" else a for a in SEND]
		w.run(*other, expect=(64, 65, 76))
		assert len(sink.messages) == COUNT
		w.run(*other, "--again")
		assert len(sink.messages) == 2 * COUNT


def test_another_content_under_the_name(w):
	with Sink() as sink:
		begin(w, sink)
		w.run(*SEND)
		w.message(MESSAGE.replace("June", "July"))
		refused = w.run(*SEND, expect=65)
		assert "june" in refused.err
		assert len(sink.messages) == COUNT


def test_import_and_pause_again(w):
	with Sink() as sink:
		begin(w, sink)
		again = w.run("--json", "import", "news", "news.csv").json
		assert again["unchanged"] == COUNT and again["added"] == again["updated"] == 0, again
		w.run(*SEND)
		for command in ("pause", "cancel", "resume"):
			w.run(command, "june", expect=None)
		done(w, sink)
