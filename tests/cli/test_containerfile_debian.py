#!/usr/bin/python3
"""sbx build on a real Debian root: a Containerfile of two stages gives the files that buildah's build of it gives."""

import os
import shutil

import harness
from harness import check, equal, need_program
from test_containerfile import build, flat, project, saved

# No network: what Debian's own tools do to a root, with many owners, set-id bits, links and deletions.
WHOLE = """# syntax=docker/dockerfile:1
ARG WHERE=/opt
FROM scratch AS debian
ADD debian.tar /
ENV DEBIAN_FRONTEND=noninteractive PERL_HASH_SEED=0
FROM debian AS tools
ARG WHERE
WORKDIR $WHERE/tools
SHELL ["/bin/bash", "-euc"]
RUN dpkg-query -W -f '${Package} ${Status}\\n' | sort > packages && wc -l < packages > count
RUN groupadd -g 4242 team && useradd -u 4242 -g team -m -s /bin/bash worker \\
    && rm -f /etc/*- /var/log/lastlog /var/log/faillog
COPY --chown=worker:team --chmod=640 data sub/
RUN dpkg-divert --local --rename --divert /usr/bin/true.real --add /usr/bin/true \\
    && ln -s true.real /usr/bin/true && dpkg-statoverride --update --add worker team 2755 /usr/games
RUN rm -r /usr/share/doc /usr/share/man && mkdir /usr/share/doc && echo few > /usr/share/doc/README
RUN cp -a /bin/bash here && chmod 4755 here && ln here again \\
    && perl -e 'print join(",", map { $_ * $_ } 1 .. 9), "\\n"' > perl \\
    && update-alternatives --quiet --install /usr/local/bin/shown shown /usr/bin/dash 10 \\
    && rm -f /var/log/alternatives.log /var/log/dpkg.log
USER worker
RUN id > /home/worker/id && umask 077 && echo mine > ~/mine
USER root
FROM debian
LABEL org.example.what="two stages"
COPY --from=tools /opt/tools /copied
COPY --from=tools --chown=7:8 /home/worker /owned
COPY --from=tools /etc/passwd /etc/group /from/
RUN rm -rf /var/lib/apt /var/cache/apt && chown -R 33:33 /srv && touch /srv/x \\
    && find /etc -name '*.conf' | LC_ALL=C sort > /confs
WORKDIR /copied
CMD ["/bin/bash"]
"""
# What a builder lays into the root while a command runs.
LAID = ("etc/hosts", "etc/resolv.conf", "etc/hostname", "etc/mtab", "run/.containerenv", "run", "dev", "proc", "sys")


@harness.limit(600)
def test_the_tree_on_a_debian_is_buildahs():
    """Entry by entry: type, mode, owner, link, contents."""
    need_program("buildah")
    if not harness.has_subids():
        return  # buildah needs them, as other users' files do.
    tar = os.environ.get("SBX_TEST_DEBIAN_TAR")
    if not tar:
        raise harness.Skip("no Debian root: SBX_TEST_DEBIAN_TAR names none")
    with project() as p:
        shutil.copy(tar, p.path("debian.tar"))
        os.makedirs(p.path("data/deep"))
        p.write("data/f", "f\n", 0o600)
        p.write("data/deep/g", "g\n")
        p.write("Containerfile", WHOLE)
        check(len([line for line in WHOLE.splitlines() if line]) >= 15, "lines")
        build(p, "-t", "mine:1", limit=300).ok()
        config, tree = saved(p, "mine:1", "mine")
        storage = ["--root", p.path("cs"), "--runroot", p.path("cr"), "--storage-driver", "vfs"]
        p.env["XDG_RUNTIME_DIR"] = p.path("xdg")
        os.makedirs(p.path("xdg"), 0o700)
        try:
            for args in (["bud", "--isolation", "chroot", "--layers=false", "-t", "theirs", "."],
                         ["push", "theirs", "oci:" + p.path("theirs")]):
                harness.command(["buildah", *storage, *args], cwd=p.dir, env=dict(p.env, TMPDIR=p.parent), limit=300).ok()
            theirs, wanted = flat(p.path("theirs"))
        finally:
            harness.command(["buildah", "unshare", "rm", "-rf", p.path("cs"), p.path("cr")], env=p.env)
        for name in LAID:
            tree.pop(name, None)
            wanted.pop(name, None)
        other = [f"{path}: {tree.get(path)} instead of {wanted.get(path)}"
                 for path in sorted(set(tree) | set(wanted)) if tree.get(path) != wanted.get(path)]
        equal(other, [], "what differs")
        check(len(tree) > 3000 and "copied/here" in tree, f"{len(tree)} entries")
        # buildah writes down the PATH that is the usual one anyway.
        theirs["config"]["Env"] = [word for word in theirs["config"]["Env"] if not word.startswith("PATH=")]
        for key in ("Cmd", "WorkingDir", "Env"):
            equal(config["config"].get(key), theirs["config"].get(key), key)


harness.main(__name__)
