"""A way of some milliseconds between this host and a server (tests/tools/distance.c)."""
import os
import subprocess

from harness import BUILD

near_number = 0


class Here:
	"""No way at all: the server is on loopback."""
	host, prefix = "127.0.0.1", []


class FarAway:
	"""What is started with `prefix` before its command runs in a network namespace of its own, and is reached as `host`."""
	def __init__(self, rtt):
		global near_number
		near_number += 1
		# 198.18.0.0/15 is set aside for measurements (RFC 2544); runs beside each other must not meet.
		net = os.getpid() * 8 + near_number & 0x7fff
		self.near, self.host = (f"198.{18 + (net >> 14)}.{net >> 6 & 255}.{(net & 63) * 4 + n}" for n in (1, 2))
		self.prefix = [os.path.join(BUILD, "tools", "distance"), "--rtt", str(rtt), "--near", self.near, "--far", self.host]


def over_there(child, argv):
	"""argv, as a command that runs where the command of that distance process runs."""
	with open(f"/proc/{child.pid}/task/{child.pid}/children") as f:
		return ["nsenter", "--net", "-t", f.read().split()[0], *argv]


def permitted():
	"""Whether such a way can be made here."""
	way = FarAway(0)
	return subprocess.run([*way.prefix, "true"], capture_output=True).returncode == 0
