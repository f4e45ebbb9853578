"""What a disk holds after a power cut: the files as SQLite had synced them, and of what it wrote since, some of it
(tests/fault/inject/disk.c keeps both)."""
import os
import struct

KEEPS = ("nothing", "all", "some")
SECTOR = 512
RECORD = struct.Struct("<qq")


def companions(folder):
	for name in os.listdir(folder):
		if name.endswith(".durable"):
			yield os.path.join(folder, name[:-len(".durable")])


def forget(folder):
	"""The process ended by itself, and the power stayed."""
	for path in list(companions(folder)):
		os.remove(path + ".durable")
		os.remove(path + ".pending")


def records(path):
	with open(path + ".pending", "rb") as f:
		while True:
			head = f.read(RECORD.size)
			if len(head) < RECORD.size:
				return
			at, n = RECORD.unpack(head)
			yield at, None if n < 0 else f.read(n)


def lose(folder, keep, random):
	"""keep: of what was not synced. Sectors are written whole or not at all, in any order; a longer file has zeros where nothing
	was written."""
	for path in list(companions(folder)):
		with open(path + ".durable", "r+b") as f:
			for at, data in records(path) if keep != "nothing" else ():
				if data is None:
					if keep == "all" or random.random() < 0.5:
						f.truncate(at)
					continue
				edges = [at, *range((at // SECTOR + 1) * SECTOR, at + len(data), SECTOR), at + len(data)]
				for start, end in zip(edges, edges[1:]):
					if keep == "all" or random.random() < 0.5:
						f.seek(start)
						f.write(data[start - at:end - at])
		os.replace(path + ".durable", path)
		os.remove(path + ".pending")
	for name in os.listdir(folder):
		if name.endswith("-shm"):
			os.remove(os.path.join(folder, name))
