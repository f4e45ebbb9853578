"""A name server on loopback that answers TXT questions from a dictionary, over UDP (truncated where it must be) and TCP."""
import socket
import socketserver
import struct
import threading


def answer(question, records):
	name, at = [], 12
	while question[at]:
		name.append(question[at + 1:at + 1 + question[at]].decode())
		at += question[at] + 1
	kind = struct.unpack("!H", question[at + 1:at + 3])[0]
	known = records.get(".".join(name).lower())
	found = known if known and kind == 16 else []
	out = question[:2] + struct.pack("!HHHHH", 0x8580 | (0 if known is not None else 3), 1, len(found), 0, 0) + question[12:at + 5]
	for text in found:
		pieces = [text[i:i + 255].encode() for i in range(0, len(text), 255)]
		rdata = b"".join(bytes([len(p)]) + p for p in pieces)
		out += struct.pack("!HHHIH", 0xc00c, 16, 1, 60, len(rdata)) + rdata
	return out


class Nameserver:
	"""records: {name: [text, …]}; an empty list is a name without TXT records."""

	def __init__(self, records):
		self.records, outer = records, self

		class Udp(socketserver.BaseRequestHandler):
			def handle(self):
				data, sock = self.request
				out = answer(data, outer.records)
				if len(out) > 512:
					out = out[:2] + struct.pack("!H", struct.unpack("!H", out[2:4])[0] | 0x200) + out[4:6] + bytes(6) + out[12:data.index(b"\0", 12) + 5]
				sock.sendto(out, self.client_address)

		class Tcp(socketserver.BaseRequestHandler):
			def handle(self):
				self.request.settimeout(5)
				head = self.request.recv(2, socket.MSG_WAITALL)
				if len(head) == 2:
					out = answer(self.request.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL), outer.records)
					self.request.sendall(struct.pack("!H", len(out)) + out)

		self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp)
		self.port = self.tcp.server_address[1]
		self.udp = socketserver.ThreadingUDPServer(("127.0.0.1", self.port), Udp)

	def __enter__(self):
		for server in self.tcp, self.udp:
			threading.Thread(target=server.serve_forever, daemon=True).start()
		return self

	def __exit__(self, *exc):
		for server in self.tcp, self.udp:
			server.shutdown()
			server.server_close()
