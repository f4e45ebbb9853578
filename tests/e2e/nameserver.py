"""A name server on loopback that answers from a dictionary, over UDP (truncated where it must be) and TCP."""
import ctypes
import ipaddress
import socket
import socketserver
import struct
import subprocess
import threading

import harness
import peers

CLONE_NEWNS = 0x20000

KINDS = {1: "A", 15: "MX", 16: "TXT", 28: "AAAA", 5: "CNAME"}


def encode(name):
	return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def rdata(kind, value):
	if kind == "MX":
		return struct.pack("!H", value[0]) + encode(value[1])
	if kind == "CNAME":
		return encode(value)
	if kind in ("A", "AAAA"):
		return ipaddress.ip_address(value).packed
	pieces = [value[i:i + 255].encode() for i in range(0, len(value), 255)]
	return b"".join(bytes([len(p)]) + p for p in pieces)


def answer(question, records):
	name, at = [], 12
	while question[at]:
		name.append(question[at + 1:at + 1 + question[at]].decode())
		at += question[at] + 1
	kind = KINDS.get(struct.unpack("!H", question[at + 1:at + 3])[0], "?")
	known = records.get(".".join(name).lower())
	if known == "silence":
		return None
	failed = {"fail": 2, "refuse": 5}.get(known) if isinstance(known, str) else None
	if isinstance(known, list):
		known = {"TXT": known}
	found = [] if failed is not None or known is None else known.get(kind, [])
	state = failed if failed is not None else 3 if known is None else 0
	out = question[:2] + struct.pack("!HHHHH", 0x8580 | state, 1, len(found), 0, 0) + question[12:at + 5]
	number = next((n for n, k in KINDS.items() if k == kind), 0)
	for value in found:
		data = rdata(kind, value)
		out += struct.pack("!HHHIH", 0xc00c, number, 1, 60, len(data)) + data
	return out


class Nameserver:
	"""records: {name: {kind: [value, …]}}, or [text, …] for TXT; {} is a name without records, "fail" SERVFAIL, "refuse"
	REFUSED and "silence" no answer. Anything with get() does."""

	def __init__(self, records, port=0):
		self.records, outer = records, self

		class Udp(socketserver.BaseRequestHandler):
			def handle(self):
				data, sock = self.request
				out = answer(data, outer.records)
				if out is None:
					return
				if len(out) > 512:
					out = out[:2] + struct.pack("!H", struct.unpack("!H", out[2:4])[0] | 0x200) + out[4:6] + bytes(6) + out[12:data.index(b"\0", 12) + 5]
				sock.sendto(out, self.client_address)

		class Tcp(socketserver.BaseRequestHandler):
			def handle(self):
				self.request.settimeout(5)
				head = self.request.recv(2, socket.MSG_WAITALL)
				if len(head) == 2:
					out = answer(self.request.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL), outer.records)
					if out is not None:
						self.request.sendall(struct.pack("!H", len(out)) + out)

		self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", port), Tcp)
		self.port = self.tcp.server_address[1]
		self.udp = socketserver.UDPServer(("127.0.0.1", self.port), Udp)
		self.udp.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

	def __enter__(self):
		for server in self.tcp, self.udp:
			threading.Thread(target=server.serve_forever, daemon=True).start()
		return self

	def __exit__(self, *exc):
		for server in self.tcp, self.udp:
			server.shutdown()
			server.server_close()


class SystemNameserver(Nameserver):
	"""The one that the C library asks, for the process of the test and what it starts: in namespaces of its own, so that
	no answer depends on where the test runs. A question is asked once, for a second."""

	def __init__(self, folder, records):
		if not harness.network_of_its_own() or ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0:
			raise peers.Unavailable("namespaces are not permitted here")
		with open(folder + "/resolv.conf", "w") as f:
			f.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
		for command in ["--make-rprivate", "/"], ["--bind", f.name, "/etc/resolv.conf"]:
			subprocess.run(["mount", *command], check=True)
		super().__init__(records, 53)
