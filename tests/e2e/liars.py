"""Hundreds of servers that lie, each at an address of its own in 127.1.0.0/16, all on one port and in one thread."""
import asyncio
import logging

import faults
from harness import free_port
from smtpd import Close, InThread, Sink

FLOWS = {"one": ["SIZE 52428800", "ENHANCEDSTATUSCODES"], "pipelined": ["PIPELINING", "ENHANCEDSTATUSCODES"],
	"chunked": ["PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"]}
RIGHT = {"greeting": "220 x.example", "ehlo": "250 x.example", "mail": "250 2.1.0 ok", "rcpt": "250 2.1.5 ok", "data": "354 go on",
	"end": "250 2.0.0 taken"}

logging.getLogger("asyncio").setLevel(logging.CRITICAL)


class Liar(faults.Faulty):
	"""A fault (see faults.py) also in front of BDAT's answer; keeps what it said yes to."""
	async def read_chunk(self, s, arg):
		if self.due(s, "body"):
			await s.reader.read(60)
			return await self.act(self, s)
		return await super().read_chunk(s, arg)

	async def step_end(self, s, data):
		if not self.due(s, "end"):
			return await super().step_end(s, data)
		reply = await self.act(self, s)
		if self.keeps or (reply or "").startswith("2"):
			self.keep(s, data)
		s.messages += 1
		s.reset()
		return reply


def right(sink):
	"""What the step should have said."""
	return RIGHT.get(sink.step, "250 ok")


def behind(text=None):
	"""The right reply, and more in the same packet."""
	async def act(sink, s):
		return right(sink) + "\r\n" + (text or right(sink))
	return act


async def by_the_byte(sink, s):
	for c in right(sink)[:3] + "-slowly\r\n":
		s.writer.write(c.encode())
		await asyncio.sleep(0.02)
	return right(sink)


async def too_slow(sink, s):
	for c in right(sink) * 100:
		s.writer.write(c.encode())
		await asyncio.sleep(0.5)


async def huge(sink, s):
	s.writer.write(b"250-" + b"y" * 9000 + b"\r\n250 ok\r\n")
	await s.writer.drain()


async def for_ever(sink, s):
	try:
		while True:
			s.writer.write(b"250-and on it goes\r\n" * 200)
			await s.writer.drain()
	except ConnectionError:
		raise Close from None


# What no one can take as an answer, or that has none: the mail goes another time.
PASSING = {
	"close": faults.close, "reset": faults.reset, "silent": faults.silent, "too-slow": too_slow, "bytes": by_the_byte,
	"421": faults.say("421 4.3.2 going down"), "421-closes": faults.say_and_close("421 4.3.2 going down"),
	"450": faults.say("450 4.2.0 not now"), "451": faults.say("451 4.3.0 not now"), "452": faults.say("452 4.3.1 full"),
	"noise": faults.raw(bytes(range(256)) + b"\r\n", True), "words": faults.raw(b"hello there\r\n", True),
	"nul": faults.raw(b"\0" * 200 + b"\r\n"), "nul-in-code": faults.raw(b"25\0 ok\r\n"), "two-digits": faults.raw(b"25 ok\r\n"),
	"999": faults.raw(b"999 what\r\n"), "empty": faults.raw(b"\r\n"), "http": faults.raw(b"HTTP/1.1 400 no\r\n\r\n", True),
	"long-line": huge, "endless": for_ever, "half": faults.raw(b"25", True), "half-of-several": faults.raw(b"250-ok\r\n", True),
	"odd-lines": faults.raw(b"250-ok\r\nhello\r\n250 ok\r\n"), "354-250": faults.raw(b"354 go on\r\n250 ok\r\n"),
	"twice": behind(), "250-behind": behind("250 ok"), "550-behind": behind("550 5.1.1 no"), "354-behind": behind("354 go on"),
	"421-behind": behind("421 bye"), "words-behind": behind("hello"),
}
LASTING = {code: faults.say(f"{code} no") for code in ("500", "521", "530", "535", "550", "552", "554", "571")}


class StartTls(Sink):
	"""Offers STARTTLS, and does not mean it."""
	extensions = Sink.extensions + ["STARTTLS"]
	acts = {
		"refuses": faults.say("454 4.7.0 no TLS now"), "500": faults.say("500 what?"), "clear": faults.say("220 go on"),
		"closes": faults.say_and_close("220 go on"), "silent": faults.silent, "close": faults.close,
		"injects": faults.raw(b"220 go on\r\n250 injected\r\n250-x\r\n250 AUTH PLAIN\r\n"),
		"noise": faults.raw(b"220 go on\r\n\x16\x03\x01\x02\x00noise", True), "words": faults.raw(b"hello\r\n", True),
	}

	def __init__(self, act):
		super().__init__()
		self.act = act

	async def command(self, s, verb, arg):
		return await self.act(self, s) if verb == "STARTTLS" else await super().command(s, verb, arg)


def liars():
	"""[(name, server)]: every step and fault, in every flow; in the first connection, or for good where a refusal is."""
	made = []
	for flow, extensions in FLOWS.items():
		for step in faults.STEPS + ["body"]:
			if flow == "chunked" and step == "data":
				continue
			for name, act in {**PASSING, **LASTING}.items():
				if step == "body" and name not in ("close", "reset", "silent", "noise"):
					continue
				# Here the message is whole on the wire, and a reply too many reads as the answer to it; that such a server is
				# left at the next reply, tests/flow/test_hostile_server.c shows.
				if flow == "chunked" and step in ("mail", "rcpt") and (name == "twice" or "behind" in name):
					continue
				server = Liar(step, act, sessions=faults.EVER if name in LASTING else 1)
				server.extensions = extensions
				made.append((f"{flow}-{step}-{name}", server))
	made += [(f"tls-{name}", StartTls(act)) for name, act in StartTls.acts.items()]
	made += [("keeps-close", Liar("end", faults.close, sessions=1, keep=True)), ("keeps-reset", Liar("end", faults.reset, sessions=1, keep=True)),
		("keeps-silent", Liar("end", faults.silent, sessions=1, keep=True))]
	return made


class Together(InThread):
	"""Runs them all; d.NAME.example has the MX mx.NAME.example at the server's address (`records`, for Nameserver)."""

	def __init__(self, made):
		self.servers, self.records = dict(made), {}
		for i, (name, server) in enumerate(made):
			server.address = f"127.1.{i // 250}.{1 + i % 250}"
			self.records[f"d.{name}.example"] = {"MX": [(10, f"mx.{name}.example")]}
			self.records[f"mx.{name}.example"] = {"A": [server.address]}
		self.port = free_port()

	async def listen(self):
		return [await asyncio.start_server(s.serve_session, s.address, self.port, limit=1 << 20, backlog=20) for s in self.servers.values()]

	@property
	def messages(self):
		return [m for s in self.servers.values() for m in s.messages]
