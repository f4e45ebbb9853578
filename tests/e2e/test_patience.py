"""How long a `send` in the foreground waits, and for what."""
import asyncio
import time

from harness import free_port, interrupt, wait_until
from nameserver import SystemNameserver
from smtpd import Sink


class SlowToGreet(Sink):
	async def greeting(self, s):
		await asyncio.sleep(0.7)
		return await super().greeting(s)


def begin(w, port, count=12, **keys):
	w.configure(port, **keys)
	w.message()
	return w.audience(count)


def test_none_is_for_retries_not_for_the_first_attempts(w):
	with SlowToGreet() as sink:
		addresses = begin(w, sink.port)
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "0")
		assert w.audit("june", sink, addresses) == {"sent": 12}


def test_none_where_nobody_listens(w):
	begin(w, free_port())
	done = w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "0", expect=69)
	assert "refused" in done.err, done


def test_a_host_that_does_not_exist_is_told_once_a_minute(w):
	begin(w, 25, host="no-such-host.example")
	with SystemNameserver(w.folder, {}):
		done = w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "5s", expect=69)
		assert done.err.count("warning: route main: no-such-host.example cannot be found") == 1, done
		assert "no server could be reached: route main: no-such-host.example cannot be found: " in done.err, done
		assert "resume june" in done.err, done
		assert "postrider: route main: " in w.run("test", "june.html", "--to", "a@x.example", expect=69).err


def test_a_name_server_that_is_silent(w):
	"""What waits for it is told, and who is stopped meanwhile does not wait for it; when it answers, mail goes out."""
	with SystemNameserver(w.folder, {"mx.books.example": "silence"}) as dns, Sink() as sink:
		w.write("resolv.conf", open(w.path("resolv.conf")).read().replace("timeout:1 attempts:1", "timeout:30 attempts:5"))
		addresses = begin(w, sink.port, host="mx.books.example", tls="none")
		argv = ("send", "june.html", "--list", "news", "--name", "june", "--yes")
		child = w.start(*argv)
		wait_until(lambda: route_shown(w, "mx.books.example is being looked up"))
		interrupt(child)
		w.finish(child, expect=75, timeout=100)
		w.write("resolv.conf", open(w.path("resolv.conf")).read().replace("timeout:30 attempts:5", "timeout:1 attempts:1"))
		child = w.start(*argv)
		assert wait_until(lambda: route_shown(w, "mx.books.example cannot be found"))["state"] == "down"
		dns.records["mx.books.example"] = {"A": ["127.0.0.1"]}
		w.finish(child)
		assert w.audit("june", sink, addresses) == {"sent": 12}


def route_shown(w, limit):
	"""The route in `status`, when its limit begins so."""
	done = w.run("--json", "status", expect=None)
	return next((g for g in (done.json["routes"] if done.status == 0 else []) if (g["limit"] or "").startswith("route main: " + limit)), None)


def test_quiet_hours_are_not_an_unreachable_server(w):
	with Sink() as sink:
		hour = time.gmtime().tm_hour
		begin(w, sink.port, top=f"quiet = {hour:02}:00-{(hour + 2) % 24:02}:00\n")
		child = w.start("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "1s")
		wait_until(lambda: "quiet hours until" in (w.run("--json", "status", expect=None).json.get("limit") or ""))
		time.sleep(2)
		assert child.poll() is None and not sink.messages
		interrupt(child)
		done = w.finish(child, expect=75)
		assert "Quiet hours" in done.err and "resume june" in done.err, done


class Later(Sink):
	async def rcpt(self, s, address):
		return "451 4.3.0 later"


def test_it_counts_while_another_process_delivers(w):
	with Later() as sink:
		begin(w, sink.port)
		daemon = w.serve()
		done = w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", "--patience", "1s", expect=75)
		assert "the other process goes on" in done.err, done
		assert daemon.poll() is None
		interrupt(daemon)
		w.finish(daemon, expect=(0, 75))
