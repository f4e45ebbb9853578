"""Logins with access tokens that a command prints."""
import base64

from smtpd import Sink

COMMAND = "password-command"


class Tokens(Sink):
	"""Offers XOAUTH2 and OAUTHBEARER; takes the tokens in `good`."""
	good, asked = set(), []

	async def ehlo(self, s, arg):
		return f"250-{self.domain}\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 AUTH XOAUTH2 OAUTHBEARER"

	async def login(self, s, arg):
		mechanism, _, initial = arg.partition(" ")
		if not initial:
			await s.send("334 ")
			initial = (await s.line()).decode()
		token = [p for p in base64.b64decode(initial).decode().split("\1") if p.startswith("auth=Bearer ")][0][12:]
		self.asked.append((mechanism, token))
		if token in self.good:
			s.user = token
			return "235 2.7.0 welcome"
		await s.send("334 " + base64.b64encode(b'{"status":"401"}').decode())
		await s.line()
		return "535 5.7.8 the token is not accepted"

	async def mail(self, s, arg):
		if s.user not in self.good:
			return "530 5.7.0 authentication required"
		return "250 2.1.0 ok"


def begin(w, sink, auth="xoauth2", count=20, command="echo x >> tokens; printf 'token-%d\\\\n' $(wc -l < tokens)", **keys):
	sink.users = {"me": ""}
	w.configure(sink.port, auth=auth, user="me@books.example", password_command='"' + command.replace('"', '\\"') + '"', **keys)
	w.message()
	return w.audience(count)


def test_a_refused_token_is_renewed(w):
	with Tokens() as sink:
		sink.good, sink.asked = {"token-3"}, []
		addresses = begin(w, sink)
		# send looks once whether there is one; the first of the run is refused.
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes")
		assert w.audit("june", sink, addresses) == {"sent": 20}
		assert sink.asked[0] == ("XOAUTH2", "token-2") and ("XOAUTH2", "token-3") in sink.asked, sink.asked
		assert len([t for _, t in sink.asked if t == "token-2"]) == 1


def test_an_account_that_is_refused_pauses(w):
	with Tokens() as sink:
		sink.good, sink.asked = set(), []
		begin(w, sink, auth="oauthbearer")
		done = w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", expect=77)
		assert w.status("june")["why"]["id"] == "login" and "token-" not in done.err + done.out, done
		assert 2 <= len(sink.asked) <= 5, sink.asked
		sink.good = {f"token-{i}" for i in range(99)}
		w.run("resume", "june")
		assert len(sink.messages) == 20


def test_a_command_that_fails(w):
	with Tokens() as sink:
		begin(w, sink, command="exit 1")
		done = w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", expect=78)
		assert "the command failed" in done.err and "postrider.conf:" in done.err, done
		w.run("status", "june", expect=66)
		# It worked when the campaign began, and no more.
		begin(w, sink, command="test ! -e gone && touch gone && echo token", count=20)
		w.run("send", "june.html", "--list", "news", "--name", "june", "--yes", expect=77)
		assert w.status("june")["why"]["id"] == "login"
