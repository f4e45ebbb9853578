"""Servers with one fault each, for the first connections or for all of them."""
import asyncio
import time

from smtpd import Close, Sink

STEPS = ["greeting", "ehlo", "mail", "rcpt", "data", "end"]
EVER = 1 << 30


class Faulty(Sink):
	"""`act(sink, session)` takes the place of the reply to `step`, in the first `sessions` connections."""

	def __init__(self, step, act, sessions=3, keep=False, **kw):
		super().__init__(**kw)
		self.step, self.act, self.faulty_sessions, self.keeps = step, act, sessions, keep

	def due(self, s, step):
		return step == self.step and s.number < self.faulty_sessions

	async def end(self, s, data):
		if self.due(s, "end"):
			if self.keeps:
				self.keep(s, data)
			return await self.act(self, s)
		return await super().end(s, data)

	async def read_data(self, s):
		if self.due(s, "body"):
			await s.reader.read(60)
			return await self.act(self, s)
		return await super().read_data(s)


def _step(name):
	plain = getattr(Sink, name)

	async def step(self, s, *args):
		if self.due(s, name):
			return await self.act(self, s)
		return await plain(self, s, *args)
	return step


for _name in STEPS[:-1]:
	setattr(Faulty, _name, _step(_name))


# ---- what can happen ----

async def close(sink, s):
	raise Close


async def reset(sink, s):
	s.abort = True
	raise Close


async def silent(sink, s):
	await asyncio.sleep(300)
	raise Close


async def endless_line(sink, s):
	until = time.monotonic() + 20
	while time.monotonic() < until:
		s.writer.write(b"250-" + b"x" * 60000)
		await s.writer.drain()
	raise Close


async def endless_lines(sink, s):
	until = time.monotonic() + 20
	while time.monotonic() < until:
		s.writer.write(b"250-and on it goes\r\n" * 1000)
		await s.writer.drain()
	raise Close


def say(text):
	async def act(sink, s):
		return text
	act.__name__ = "say"
	return act


def say_and_close(text):
	async def act(sink, s):
		await s.send(text)
		raise Close
	return act


def raw(data, close_after=False):
	async def act(sink, s):
		s.writer.write(data)
		await s.writer.drain()
		if close_after:
			raise Close
	return act


class OneByte(Sink):
	"""Each reply arrives byte by byte."""
	async def serve_session(self, reader, writer):
		plain = writer.write

		def slowly(data):
			for i in range(len(data)):
				plain(data[i:i + 1])
		writer.write = slowly
		writer.transport.get_extra_info("socket").setsockopt(6, 1, 1)  # TCP_NODELAY
		await super().serve_session(reader, writer)


class DropsPipeline(Sink):
	"""Offers PIPELINING, and throws away what came behind the first command of a packet."""
	async def command(self, s, verb, arg):
		reply = await super().command(s, verb, arg)
		if verb in ("MAIL", "RCPT") and s.number < 2:
			s.reader._buffer.clear()
		return reply


class ExtraReply(Sink):
	"""Now and then answers twice."""
	async def rcpt(self, s, address):
		return "250 2.1.5 ok\r\n250 2.1.5 ok" if s.number < 2 and s.messages == 1 else "250 2.1.5 ok"


class NoChunking(Sink):
	"""Offers BDAT and does not know it."""
	extensions = Sink.extensions + ["CHUNKING"]

	async def read_chunk(self, s, arg):
		await s.reader.readexactly(int(arg.split()[0]))
		return "500 5.5.1 unknown command"


class TinySize(Sink):
	"""Says that nothing over 200 bytes is taken, and means it."""
	extensions = ["PIPELINING", "SIZE 200"]

	async def mail(self, s, arg):
		size = [w for w in arg.split() if w.upper().startswith("SIZE=")]
		return "552 5.3.4 too large" if size and int(size[0][5:]) > 200 else "250 ok"

	async def end(self, s, data):
		return "552 5.3.4 too large" if len(data) > 200 else "250 ok"


class NoEhlo(Sink):
	"""A server of 1982."""
	async def ehlo(self, s, arg):
		return "502 what?"


class FalseStartTls(Sink):
	"""Offers STARTTLS and then cannot."""
	extensions = Sink.extensions + ["STARTTLS"]

	async def command(self, s, verb, arg):
		return "454 4.7.0 TLS not available" if verb == "STARTTLS" else await super().command(s, verb, arg)


class GarbageTls(Sink):
	"""Answers the handshake with noise."""
	extensions = Sink.extensions + ["STARTTLS"]

	async def command(self, s, verb, arg):
		if verb == "STARTTLS":
			await s.send("220 go on")
			await s.reader.read(100)
			await s.send(b"\x16\x03\x01\x02\x00" + b"noise" * 100)
			raise Close
		return await super().command(s, verb, arg)


class ClosesAtStartTls(Sink):
	"""Offers STARTTLS, and hangs up when it is asked for."""
	extensions = Sink.extensions + ["STARTTLS"]

	async def command(self, s, verb, arg):
		if verb == "STARTTLS":
			raise Close
		return await super().command(s, verb, arg)


class RefusesSome(Sink):
	"""By the recipient's name: what a server may say to an envelope, and after the message."""
	async def rcpt(self, s, address):
		name = address.split("@")[0]
		return {"unknown": "550 5.1.1 no such user", "full": "452 4.2.2 mailbox full", "policy":
			"550 5.7.1 rejected by policy", "grey": "451 4.7.1 greylisted, come back"}.get(name.rstrip("0123456789"), "250 ok")

	async def end(self, s, data):
		name = s.recipients[0].split("@")[0].rstrip("0123456789")
		return {"spam": "554 5.7.1 looks like spam", "later": "451 4.3.0 try later", "big": "552 5.3.4 too big"}.get(name) \
			or await super().end(s, data)
