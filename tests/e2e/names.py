"""The name server of made-up domains (tests/tools/names.c) in a process of its own: d17.KIND.example has one MX at KIND's address."""
import os
import subprocess

import harness


class Names:
	def __init__(self, folder, kinds):
		self.file = os.path.join(folder, "names.port")
		self.argv = [os.path.join(harness.BUILD, "tools", "names"), "--port-file", self.file, *(f"{k}={v}" for k, v in kinds.items())]

	def __enter__(self):
		self.child = subprocess.Popen(self.argv)
		harness.wait_until(lambda: os.path.exists(self.file) and open(self.file).read().strip())
		self.port = int(open(self.file).read())
		return self

	def __exit__(self, *exc):
		self.child.kill()
		self.child.wait()
