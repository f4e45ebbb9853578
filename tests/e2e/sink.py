"""The fast sink (tests/tools/sink.c) in a process of its own; with a log it can be audited."""
import json
import os
import signal
import subprocess
import sys
import time

from distance import Here
from harness import BUILD


class FastSink:
	def __init__(self, folder, *options, way=Here):
		self.folder, self.options, self.report = folder, options, None
		self.way, self.address = way, way.host

	def __enter__(self):
		port_file = os.path.join(self.folder, "sink.port")
		self.child = subprocess.Popen([*self.way.prefix, os.path.join(BUILD, "tools", "sink"), "--address", self.address, "--port-file", port_file,
			*self.options],
			stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
		end = time.monotonic() + 100
		while not (os.path.exists(port_file) and open(port_file).read().strip()):
			if time.monotonic() > end or self.child.poll() is not None:
				raise RuntimeError("the sink does not start")
			time.sleep(0.01)
		self.port = int(open(port_file).read())
		return self

	def counts(self):
		"""What it has counted so far."""
		self.child.send_signal(signal.SIGUSR1)
		return json.loads(self.child.stdout.readline())

	def stop(self):
		"""Ends it; returns what it counted."""
		if self.report is None:
			self.child.send_signal(signal.SIGTERM)
			self.report = json.loads(self.child.communicate(timeout=100)[0])
		return self.report

	def __exit__(self, *exc):
		self.stop()


class RecordingSink(FastSink):
	"""Writes down all that it accepts. gate: takes so many messages (about: what is on the wire then comes in addition) until let() says more."""

	def __init__(self, folder, *options, way=Here, gate=None):
		self.log, self.gate = os.path.join(folder, "sink.log"), os.path.join(folder, "sink.gate")
		if gate is not None:
			self.let(gate)
			options = (*options, "--gate", self.gate)
		super().__init__(folder, "--log", self.log, *options, way=way)
		self.at, self.part, self.took, self.senders, self.sizes = 0, b"", {}, {}, {}

	def let(self, messages):
		with open(self.gate, "r+b" if os.path.exists(self.gate) else "wb") as f:
			f.write(messages.to_bytes(8, sys.byteorder))

	def read(self):
		"""Reads on in the log; {recipient: [a Message-ID for each time it was accepted]}."""
		if os.path.exists(self.log):
			with open(self.log, "rb") as f:
				f.seek(self.at)
				text = f.read()
				self.at = f.tell()
			*lines, self.part = (self.part + text).split(b"\n")
			for line in lines:
				recipient, message_id, size, sender = line.decode().split("\t")
				self.senders[recipient] = sender
				self.sizes.setdefault(recipient, set()).add(int(size))
				self.took.setdefault(recipient, []).append(message_id)
		return self.took

	def count(self):
		return len(self.read())

	def accepted(self):
		"""Messages, repeats too."""
		return sum(map(len, self.read().values()))

	def settle(self, wait=0.2):
		"""When nothing came for a while."""
		size = -1
		while size != self.at:
			size = self.at
			time.sleep(wait)
			self.read()
		return self.took
