# writer.py DIRECTORY SEED: changes files and makes the changes durable until it is killed or the
# directory is. Before each change it says what may be there from then on, after it what has to be:
#
#   may NAME NUMBER LENGTH    it is as it was, or the content of that number and length
#   may NAME                  it is as it was, or not there
#   grows NAME NUMBER LENGTH  it is as it was, or has grown to the content of that number and length
#   open NAME                 anything may be there
#   is NAME NUMBER LENGTH
#   is NAME                   it is not there

import os
import random
import sys

directory, seed = sys.argv[1:]
choose = random.Random(int(seed))
NAMES = [f"file-{n}" for n in range(8)]
# In the inode, in the journal, in a file of its own, in chunks.
LENGTHS = [10, 3_000] * 3 + [20_000, 300_000] * 2 + [1_500_000]

os.makedirs(directory, exist_ok=True)
os.chdir(directory)
folder = os.open(".", os.O_RDONLY)
written = {}


def content(number, length):
    piece = b"%d " % number
    return (piece * (length // len(piece) + 1))[:length]


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def put(name, flags, data):
    file = os.open(name, os.O_WRONLY | flags, 0o644)
    while data:
        data = data[os.write(file, data):]
    choose.choice([os.fsync, os.fdatasync])(file)
    os.close(file)


def save(name, number, length):
    """As editors do: a temporary file that takes the name."""
    say("may", name, number, length)
    put("temporary", os.O_CREAT | os.O_TRUNC, content(number, length))
    os.rename("temporary", name)
    os.fsync(folder)
    say("is", name, number, length)
    written[name] = number, length


def write(name, number, length):
    say("open", name)
    put(name, os.O_CREAT | os.O_TRUNC, content(number, length))
    say("is", name, number, length)
    written[name] = number, length


def append(name, *_):
    if name not in written:
        return
    number, length = written[name]
    longer = length + choose.randint(1, 4_000)
    say("grows", name, number, longer)
    put(name, os.O_APPEND, content(number, longer)[length:])
    say("is", name, number, longer)
    written[name] = number, longer


def remove(name, *_):
    if written.pop(name, None):
        say("may", name)
        os.unlink(name)
        os.fsync(folder)
        say("is", name)


while True:
    change = choose.choice([save, save, write, append, append, remove])
    change(choose.choice(NAMES), choose.randrange(10**9), choose.choice(LENGTHS))
