"""An SMTP server that records what it is given and misbehaves when told to.

`Sink` behaves: it accepts everything, offers what real servers offer, and keeps every message. Tests that need a
server with a fault subclass it and override the step that is to go wrong; each step returns the reply line(s), or None
after having written, closed or slept itself. It runs in a thread of its own; `with Sink() as s:` gives `s.port`."""
import asyncio
import base64
import ssl
import threading
import time

CRLF = b"\r\n"


class Message:
	def __init__(self, sender, recipients, data, session):
		self.sender, self.recipients, self.data = sender, recipients, data
		self.tls, self.user, self.time, self.session = session.tls, session.user, time.monotonic(), session.number

	def header(self, name):
		head = self.data.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
		for line in head.split(b"\r\n"):
			if line.lower().startswith(name.lower().encode() + b":"):
				return line.split(b":", 1)[1].strip().decode()
		return None


class Close(Exception):
	"""Raised by a step: the connection ends here, without a word."""


class Session:
	def __init__(self, number, reader, writer):
		self.number, self.reader, self.writer = number, reader, writer
		self.tls, self.user = False, None
		self.sender, self.recipients, self.messages, self.commands = None, [], 0, []

	async def send(self, data):
		if isinstance(data, str):
			data = data.encode()
		if not data.endswith(b"\n"):
			data += CRLF
		self.writer.write(data)
		await self.writer.drain()

	async def line(self):
		line = await self.reader.readline()
		if not line:
			raise Close
		return line.rstrip(b"\r\n")

	def reset(self):
		self.sender, self.recipients = None, []


class InThread:
	"""Servers of asyncio in a thread of their own: `listen` starts them and returns them. `late`: the longest that the machine has kept
	the thread waiting, in seconds; so much closer together may things seem than they were. `lost`: all those times together. Who says
	how much must at least get through in a time takes twice that off: what waited for the machine says nothing of the program."""
	late = lost = 0.0

	async def pulse(self):
		while True:
			due = time.monotonic() + 0.01
			await asyncio.sleep(0.01)
			late = time.monotonic() - due
			self.late = max(self.late, late)
			self.lost += late if late > 0.02 else 0

	def __enter__(self):
		ready = threading.Event()

		async def main():
			self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
			self.loop.set_exception_handler(lambda loop, context: None)
			servers = await self.listen()
			pulse = asyncio.create_task(self.pulse())  # kept: a task that nobody holds may be collected
			ready.set()
			await self.stop.wait()
			pulse.cancel()
			for server in servers:
				server.close()
			for task in asyncio.all_tasks():
				if task is not asyncio.current_task():
					task.cancel()

		self.thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
		self.thread.start()
		if not ready.wait(60):
			raise RuntimeError("the server does not start")
		return self

	def __exit__(self, *exc):
		self.loop.call_soon_threadsafe(self.stop.set)
		self.thread.join(100)

	# ---- what a test asks ----

	def recipients(self):
		"""How often each recipient was accepted."""
		count = {}
		for m in list(self.messages):
			for r in m.recipients:
				count[r] = count.get(r, 0) + 1
		return count


class Sink(InThread):
	extensions = ["PIPELINING", "SIZE 52428800", "8BITMIME", "ENHANCEDSTATUSCODES"]
	domain = "sink.example"

	address = "127.0.0.1"
	hold = None  # with so many messages it waits before it takes another, until it is told otherwise

	def __init__(self, tls=None, users=None, implicit=False, port=0):
		"""tls: (certificate, key) files. users: {name: password}, then AUTH is offered and demanded."""
		self.users, self.implicit, self.port = users, implicit, port
		self.messages, self.sessions, self.refused = [], [], []
		self.context = None
		if tls:
			self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
			self.context.load_cert_chain(*tls)
		self.open_now = self.most_open = 0
		self.lock = threading.Lock()

	# ---- what a test overrides ----

	async def greeting(self, s):
		return f"220 {self.domain} ESMTP"

	async def ehlo(self, s, arg):
		offers = list(self.extensions)
		if self.context and not s.tls and not self.implicit:
			offers.append("STARTTLS")
		if self.users and (s.tls or not self.context):
			offers.append("AUTH PLAIN LOGIN")
		lines = [self.domain] + offers
		return "\r\n".join(f"250{' ' if i == len(lines) - 1 else '-'}{line}" for i, line in enumerate(lines))

	async def helo(self, s, arg):
		return f"250 {self.domain}"

	async def auth(self, s, user, password):
		if self.users.get(user) == password:
			s.user = user
			return "235 2.7.0 welcome"
		return "535 5.7.8 authentication failed"

	async def mail(self, s, arg):
		if self.users and not s.user:
			return "530 5.7.0 authentication required"
		return "250 2.1.0 ok"

	async def rcpt(self, s, address):
		return "250 2.1.5 ok"

	async def data(self, s):
		return "354 go on"

	async def end(self, s, data):
		"""The message is complete. A reply that begins with 2 records it."""
		return f"250 2.0.0 queued as {len(self.messages) + 1:X}"

	# ---- the machine ----

	async def step_end(self, s, data):
		while self.hold is not None and len(self.messages) >= self.hold:
			await asyncio.sleep(0.02)
		reply = await self.end(s, data)
		if reply is not None and reply.startswith("2"):
			self.keep(s, data)
		s.messages += 1
		s.reset()
		return reply

	def keep(self, s, data):
		with self.lock:
			self.messages.append(Message(s.sender, list(s.recipients), data, s))

	async def read_data(self, s):
		lines = []
		while True:
			line = await s.reader.readline()
			if not line.endswith(b"\n"):
				raise Close
			if line == b".\r\n":
				return b"".join(lines)
			lines.append(line[1:] if line.startswith(b".") else line)

	async def read_chunk(self, s, arg):
		words = arg.split()
		s.chunks = getattr(s, "chunks", b"") + await s.reader.readexactly(int(words[0]))
		if len(words) < 2:
			return "250 2.0.0 chunk"
		data, s.chunks = s.chunks, b""
		return await self.step_end(s, data)

	async def login(self, s, arg):
		mechanism, _, initial = arg.partition(" ")
		if mechanism.upper() == "PLAIN":
			if not initial:
				await s.send("334 ")
				initial = (await s.line()).decode()
			_, user, password = base64.b64decode(initial).decode().split("\0")
		else:
			if not initial:
				await s.send("334 VXNlcm5hbWU6")
				initial = (await s.line()).decode()
			user = base64.b64decode(initial).decode()
			await s.send("334 UGFzc3dvcmQ6")
			password = base64.b64decode(await s.line()).decode()
		return await self.auth(s, user, password)

	async def start_tls(self, s):
		await s.send("220 2.0.0 go on")
		transport = s.writer.transport
		protocol = transport.get_protocol()
		loop = asyncio.get_running_loop()
		new = await loop.start_tls(transport, protocol, self.context, server_side=True)
		s.reader._transport = new
		s.writer = asyncio.StreamWriter(new, protocol, s.reader, loop)
		protocol._over_ssl = True
		s.tls = True
		s.reset()

	async def command(self, s, verb, arg):
		if verb == "EHLO":
			s.reset()
			return await self.ehlo(s, arg)
		if verb == "HELO":
			return await self.helo(s, arg)
		if verb == "STARTTLS" and self.context and not s.tls:
			return await self.start_tls(s)
		if verb == "AUTH" and self.users:
			return await self.login(s, arg)
		if verb == "MAIL":
			reply = await self.mail(s, arg)
			if reply is not None and reply.startswith("2"):
				s.sender, s.recipients = arg[arg.find("<") + 1:arg.find(">")], []
			return reply
		if verb == "RCPT":
			if s.sender is None:
				return "503 5.5.1 MAIL first"
			address = arg[arg.find("<") + 1:arg.rfind(">")]
			reply = await self.rcpt(s, address)
			if reply is not None and reply.startswith("2"):
				s.recipients.append(address)
			else:
				with self.lock:
					self.refused.append(address)
			return reply
		if verb == "DATA":
			if not s.recipients:
				return "554 5.5.1 no valid recipients"
			reply = await self.data(s)
			if reply is None or not reply.startswith("3"):
				return reply
			await s.send(reply)
			return await self.step_end(s, await self.read_data(s))
		if verb == "BDAT":
			return await self.read_chunk(s, arg)
		if verb == "RSET":
			s.reset()
			return "250 2.0.0 ok"
		if verb == "NOOP":
			return "250 2.0.0 ok"
		if verb == "QUIT":
			await s.send("221 2.0.0 bye")
			raise Close
		return "500 5.5.2 what?"

	async def serve_session(self, reader, writer):
		s = Session(len(self.sessions), reader, writer)
		s.tls = self.implicit
		with self.lock:
			self.sessions.append(s)
			self.open_now += 1
			self.most_open = max(self.most_open, self.open_now)
		try:
			reply = await self.greeting(s)
			if reply is not None:
				await s.send(reply)
			while True:
				line = (await s.line()).decode("utf-8", "replace")
				s.commands.append(line)
				verb, _, arg = line.partition(" ")
				reply = await self.command(s, verb.upper(), arg)
				if reply is not None:
					await s.send(reply)
		except (Close, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, TimeoutError, asyncio.CancelledError):
			pass
		finally:
			with self.lock:
				self.open_now -= 1
			writer.transport.abort() if getattr(s, "abort", False) else s.writer.close()

	async def listen(self):
		server = await asyncio.start_server(self.serve_session, self.address, self.port, limit=1 << 20, backlog=500,
			ssl=self.context if self.implicit else None)
		self.port = server.sockets[0].getsockname()[1]
		return [server]

	# ---- what a test asks ----

	def wait(self, count, seconds=100):
		"""Waits until that many messages are there; returns whether they are."""
		end = time.monotonic() + seconds
		while len(self.messages) < count and time.monotonic() < end:
			time.sleep(0.02)
		return len(self.messages) >= count
