#!/usr/bin/python3
"""Runs inside a sandbox: random changes of folders, beside plain copies in /tmp.

    inside_random.py FOLDER… < {"history": [[[op, …], …], …], "seed": S, "count": N, "mounted": BOOL}

The history, for each round a list of changes for each FOLDER, led to what the folders should be.  It is done
again in plain folders; the two must be the same.  Then N random changes are done to both of each, and both
must be the same again.  The changes are printed as JSON; a difference is printed and ends with status 1.

What an overlay does not promise is left out: one name of a hard linked file of a lower layer that is written
to or renamed parts from the others, and two names of one file have one inode number for sure only where the
sandbox has started since ("mounted").
"""

import errno
import json
import os
import random
import shutil
import stat
import subprocess
import sys

import inside

NAMES = [b"a", b"b", b"c", b"d", b".wh", b"e\xff", b"f g", b"..x", b"long" * 30]
MODES = (0o644, 0o600, 0o755, 0o4755, 0o2710, 0o444, 0o000)


def relative(top):
    """(folders, plain files that may be changed, whatever else), by path below `top`."""
    folders, files, others = [b""], [], []
    for at, below, names in os.walk(top):
        for name in sorted(below + names):
            path = os.path.join(at, name)
            st = os.lstat(path)
            short = os.path.relpath(path, top)
            if stat.S_ISDIR(st.st_mode):
                folders.append(short)
            elif stat.S_ISREG(st.st_mode) and st.st_nlink == 1:
                files.append(short)
            else:
                others.append(short)
    return sorted(folders), sorted(files), sorted(others)


def holds_links(path):
    """Whether a hard linked file lies at or below the path."""
    st = os.lstat(path)
    if not stat.S_ISDIR(st.st_mode):
        return st.st_nlink > 1
    return any(holds_links(os.path.join(path, name)) for name in os.listdir(path))


def fresh_name(rng, top, folders):
    for _ in range(20):
        path = os.path.join(rng.choice(folders), rng.choice(NAMES))
        if not os.path.lexists(os.path.join(top, path)):
            return path
    return None


def choose(rng, top):
    """One change that can be made to `top`, as a list of words and numbers; None: look again."""
    folders, files, others = relative(top)
    everything = sorted(folders[1:] + files + others)
    how = rng.choice(("create", "create", "create", "mkdir", "mkdir", "write", "append", "cut", "rename",
                      "over", "delete", "swap", "refill", "chmod", "chmod-dir", "link", "symlink",
                      "fifo", "touch", "attribute", "chown", "hole"))
    new = fresh_name(rng, top, folders)
    number = rng.randrange(1 << 20)
    if how in ("create", "mkdir", "symlink", "fifo", "hole"):
        return new and [how, new, number]
    if how in ("write", "append", "cut", "touch", "attribute", "chown"):
        return files and [how, rng.choice(files), number]
    if how in ("link", "chmod"):
        return files and (how == "chmod" or new) and [how, rng.choice(files), new if how == "link" else number]
    if how in ("chmod-dir", "refill"):
        return folders[1:] and [how, rng.choice(folders[1:]), number]
    if not everything:
        return None
    path = rng.choice(everything)
    if how in ("delete", "swap"):
        return [how, path, number]
    if holds_links(os.path.join(top, path)):
        return None
    if how == "over":
        return len(files) > 1 and path in files and [how, path, rng.choice(files)]
    return new and not new.startswith(path + b"/") and [how, path, new]


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def text(number):
    return b"%d\n" % number * (number % 300)


def settle(path, number):
    """A time that both sides have."""
    os.utime(path, (number, number), follow_symlinks=False)


def rename(path, other):
    """A folder of a lower layer cannot be renamed: mv copies it, with all that belongs to it."""
    try:
        os.rename(path, other)
    except OSError as e:
        if e.errno != errno.EXDEV:
            raise
        subprocess.run([b"mv", b"-T", b"--", path, other], check=True)


def do(top, op):
    how, path, more = op[0], os.path.join(top, op[1]), op[2]
    if how in ("create", "write"):
        with open(path, "wb") as f:
            f.write(text(more))
    elif how == "append":
        with open(path, "ab") as f:
            f.write(text(more))
    elif how == "cut":
        os.truncate(path, os.lstat(path).st_size // 2)
    elif how == "hole":
        with open(path, "wb") as f:
            f.truncate(200_000 + more)
            f.seek(100_000)
            f.write(b"island")
    elif how == "mkdir":
        os.mkdir(path)
    elif how == "symlink":
        os.symlink(b"to/%d" % more, path)
    elif how == "fifo":
        os.mkfifo(path)
    elif how in ("chmod", "chmod-dir"):
        os.chmod(path, MODES[more % len(MODES)] | (0o700 if how == "chmod-dir" else 0))
    elif how == "attribute":
        os.setxattr(path, "user.n", b"%d" % more)
    elif how == "chown":
        os.chown(path, more % 3, more % 5)
    elif how in ("link", "rename", "over"):
        other = os.path.join(top, more)
        if how == "link":
            os.link(path, other)
        else:
            rename(path, other)
        return
    elif how == "delete":
        remove(path)
        return
    elif how == "swap":
        folder = os.path.isdir(path) and not os.path.islink(path)
        remove(path)
        if folder:
            do(top, ["create", op[1], more])
        else:
            os.mkdir(path)
            do(top, ["create", os.path.join(op[1], b"in"), more])
        return
    elif how == "refill":
        shutil.rmtree(path)
        os.mkdir(path)
        do(top, ["create", os.path.join(op[1], b"again"), more])
        return
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        settle(path, more)


def difference(model, real, links):
    """The two as lists of lines, without the names of their tops and the times of folders."""
    sides = [[line.replace(os.fsdecode(top), "") for line in inside.snapshot([top], "files")]
             for top in (model, real)]
    if not links:
        sides = [[line.rsplit(" ", 1)[0] for line in side] for side in sides]
    if sides[0] == sides[1]:
        return ""
    return "\n".join(["-" + line for line in sides[0] if line not in sides[1]] +
                     ["+" + line for line in sides[1] if line not in sides[0]])


def encoded(op):
    return [word.decode("latin-1") if isinstance(word, bytes) else word for word in op]


def decoded(op):
    return [op[0]] + [word.encode("latin-1") if isinstance(word, str) else word for word in op[1:]]


def one(real, n, task):
    """The n-th folder: what was done to it, what is done now."""
    model = b"/tmp/m%d" % n
    shutil.rmtree(model, ignore_errors=True)
    os.mkdir(model)
    os.makedirs(real, exist_ok=True)
    for ops in task["history"]:
        for op in ops[n]:
            do(model, decoded(op))
    wrong = difference(model, real, task["mounted"])
    if wrong:
        sys.exit(f"what is there is not what the history made:\n{wrong}")
    rng = random.Random(f"{task['seed']} {n}")
    done = []
    while len(done) < task["count"]:
        op = choose(rng, model)
        if not op:
            continue
        do(model, op)
        do(real, op)
        done.append(encoded(op))
    wrong = difference(model, real, False)
    if wrong:
        sys.exit(f"after {done}:\n{wrong}")
    return done


def main():
    os.umask(0o022)
    task = json.load(sys.stdin)
    json.dump([one(os.fsencode(folder), n, task) for n, folder in enumerate(sys.argv[1:])], sys.stdout)


if __name__ == "__main__":
    main()
