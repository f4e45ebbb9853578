"""Servers that do what servers must not. Whatever they do: no crash, no hang past the state's timeout, and each
recipient is in one state that agrees with what the server took."""
import faults
from harness import free_port, wait_until
from nameserver import Nameserver
from smtpd import Sink

COUNT = 12
# A server that does not speak SMTP is left alone for minutes; not here.
RULES = "* * - * \"out of step|not smtp|nobody asked|refused a message\" -> soft site protocol-error retry delay=1s\n" \
	"* * - * \"garbled|garbage|protocol|unexpected\" -> soft site protocol-error retry delay=1s\n"
RETRY = "[retry]\ndelays = 1s\nexpire = 1h\n"


def campaign(w, sink, name, expect=0, **route):
	"""Sends a campaign of its own to the list."""
	w.write("soon.rules", RULES)
	w.configure(sink.port, connections=2, timeout="3s", top="rules = soon.rules\n", extra=RETRY, **route)
	if not hasattr(w, "addresses"):
		w.addresses = w.audience(COUNT)
	message = w.message(f"From: Kyoto Books <news@books.example>\nSubject: {name}\n\n<p>Hello {{{{ first_name }}}}, {name}."
		"</p>\n<p><a href=\"{{ unsubscribe_url }}\">Unsubscribe</a></p>\n", f"{name}.html")
	w.run("send", message, "--list", "news", "--name", name, "--yes", "--patience", "8s", expect=expect, timeout=100)


def go_on(w, name):
	"""Where a server was so strange that it is left alone for a while: `resume --now`, until all is done."""
	for _ in range(5):
		if w.status(name)["state"] == "finished":
			return
		w.run("resume", name, "--now", "--patience", "8s", expect=(0, 69, 75))


def recovers(w, cases):
	"""Each fault hits the first connections; retries then bring everyone home."""
	for name, step, act, keep in cases:
		with faults.Faulty(step, act, keep=keep) as sink:
			try:
				campaign(w, sink, name, expect=(0, 69, 75))
				go_on(w, name)
				states = w.audit(name, sink, w.addresses)
				assert set(states) <= {"sent", "doubt"} and states.get("sent", 0) >= 1, states
				assert step in ("end", "body") or states == {"sent": COUNT}, states
				if keep:
					assert set(sink.recipients()) == set(w.addresses)
			except BaseException as e:
				raise AssertionError(f"{name} ({step}): {e}") from e


def test_connection_closed_at_each_step(w):
	recovers(w, [(f"close-{step}", step, faults.close, False) for step in faults.STEPS + ["body"]]
		+ [("close-kept", "end", faults.close, True)])


def test_connection_reset_at_each_step(w):
	recovers(w, [(f"reset-{step}", step, faults.reset, False) for step in faults.STEPS + ["body"]]
		+ [("reset-kept", "end", faults.reset, True)])


def test_421_at_each_step(w):
	recovers(w, [(f"say-421-{step}", step, faults.say_and_close("421 4.3.2 shutting down"), False) for step in faults.STEPS])


def test_421_without_closing(w):
	recovers(w, [(f"only-421-{step}", step, faults.say("421 4.3.2 shutting down"), False) for step in faults.STEPS])


def test_noise_at_each_step(w):
	noise = bytes(range(256)) + b"\r\n"
	recovers(w, [(f"noise-{step}", step, faults.raw(noise, True), False) for step in faults.STEPS])


def test_words_without_a_code(w):
	recovers(w, [(f"words-{step}", step, faults.raw(b"hello there\r\n", True), False) for step in faults.STEPS])


def test_codes_that_do_not_exist(w):
	recovers(w, [(f"code-{step}", step, faults.raw(b"999 what\r\n", True), False) for step in faults.STEPS])


def test_endless_line_at_each_step(w):
	recovers(w, [(f"line-{step}", step, faults.endless_line, False) for step in faults.STEPS])


def test_endless_lines_at_each_step(w):
	recovers(w, [(f"lines-{step}", step, faults.endless_lines, False) for step in faults.STEPS])


def test_silence_at_each_step(w):
	recovers(w, [(f"silent-{step}", step, faults.silent, False) for step in faults.STEPS])


def test_reply_byte_by_byte(w):
	with faults.OneByte() as sink:
		campaign(w, sink, "bytes")
		assert w.audit("bytes", sink, w.addresses) == {"sent": COUNT}


def test_extensions_that_are_lies(w):
	for kind, states in ((faults.DropsPipeline, {"sent"}), (faults.ExtraReply, {"sent", "doubt"}), (faults.NoChunking, {"sent"}),
			(faults.NoEhlo, {"sent"})):
		with kind() as sink:
			try:
				campaign(w, sink, kind.__name__.lower(), expect=(0, 75))
				go_on(w, kind.__name__.lower())
				got = w.audit(kind.__name__.lower(), sink, w.addresses)
				assert set(got) <= states, got
			except BaseException as e:
				raise AssertionError(f"{kind.__name__}: {e}") from e


def test_size_too_small_for_the_message(w):
	with faults.TinySize() as sink:
		campaign(w, sink, "tiny", expect=(0, 76))
		states = w.audit("tiny", sink, w.addresses)
		assert "sent" not in states, states
		assert w.run("suppressions", "list").out.count("x.example") == 0, "a message that is too large is no one's fault"


def test_starttls_that_fails_opportunistic(w):
	for kind in (faults.FalseStartTls, faults.GarbageTls, faults.ClosesAtStartTls):
		with kind() as sink:
			campaign(w, sink, kind.__name__.lower(), tls="opportunistic")
			assert w.audit(kind.__name__.lower(), sink, w.addresses) == {"sent": COUNT}, kind


def test_refusals_say_what_they_mean(w):
	"""Who is unknown is suppressed; a full mailbox, policy, spam and size cost no one their subscription."""
	names = ["good", "unknown", "full", "policy", "grey", "spam", "later", "big"]
	with faults.RefusesSome() as sink:
		w.configure(sink.port, connections=2, timeout="3s", extra="[retry]\ndelays = 1h\n")
		addresses = [f"{n}{i}@x.example" for n in names for i in range(3)]
		w.write("mixed.csv", "email\n" + "\n".join(addresses) + "\n")
		w.run("import", "mixed", "mixed.csv")
		w.run("send", w.message(), "--list", "mixed", "--name", "mixed", "--yes", "--patience", "0", expect=75)
		w.audit("mixed", sink, addresses)
		rows = w.deliveries("mixed")
		assert all(rows[f"good{i}@x.example"]["state"] == "sent" for i in range(3))
		assert all(rows[f"unknown{i}@x.example"]["state"] == "bounced" for i in range(3)), rows
		assert all(rows[f"{n}{i}@x.example"]["state"] == "deferred" for n in ("full", "grey", "later") for i in range(3)), rows
		assert all(rows[f"{n}{i}@x.example"]["state"] == "blocked" for n in ("policy", "spam") for i in range(3)), rows
		listed = w.run("suppressions", "list").out
		assert [n for n in names if f"{n}0@x.example" in listed] == ["unknown"], listed


def test_nobody_listens(w):
	class Gone:
		port = free_port()
	campaign(w, Gone, "gone", expect=(69, 75, 76))
	with Sink(port=Gone.port) as sink:
		w.run("resume", "gone", "--now", "--patience", "30s")
		assert w.audit("gone", sink, w.addresses) == {"sent": COUNT}


class Refusing(dict):
	"""Answers nobody until it is told to."""
	refuses = True

	def get(self, name, default=None):
		return "refuse" if self.refuses else super().get(name, default)


def test_a_resolver_that_refuses(w):
	"""Nobody's mail fails for it: it is tried again, and goes out when the resolver answers."""
	records = Refusing({"x.example": {"MX": [(10, "mx.example")]}, "mx.example": {"A": ["127.0.0.1"]}})
	with Nameserver(records) as dns, Sink() as sink:
		w.configure(sink.port, kind="direct", host=None, resolver=f"127.0.0.1@{dns.port}", private_addresses="allow",
			helo="mail.books.example", extra="[domain books.example]\n" + RETRY)
		people = w.audience(3)
		child = w.start("send", w.message(), "--list", "news", "--name", "june", "--yes", "--patience", "forever")

		def deferred():
			status = w.run("--json", "status", "june", expect=(0, 66))  # 66: not launched yet
			return status.status == 0 and status.json["counts"]["deferred"] == 3
		wait_until(deferred)
		reasons = {(row["code"], row["enhanced"]) for row in w.deliveries("june").values()}
		records.refuses = False
		done = w.finish(child)
		assert "does not answer" in done.err, done
		assert reasons == {("450", "4.4.3")}, reasons
		w.audit("june", sink, people)
		assert w.status("june")["counts"]["sent"] == 3
