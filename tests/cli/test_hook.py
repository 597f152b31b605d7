#!/usr/bin/python3
"""sbx hook, in real shells: the prompt, the notice, entering and leaving with cd, and that it disturbs nothing."""

import os
import re

import harness
from harness import NO_NET, Project, absent, check, diagnose, equal, limit, match
from shells import PROMPT, SHELLS, ask, shell_on_pty
from terminal import Pty, sbx_pty

FAILED, USAGE = 125, 2
BUDGET_MS = 5


def test_notice():
    """What is said of a project that is new, made, running, asks for more, or is broken; and the word for the script."""
    with Project(name="thesis") as p:
        r = p.sbx("hook", "--notice").ok()
        equal((r.out, r.err), ("new thesis\n", "sbx: thesis on host, no environment yet: sbx enter makes it\n"), "new")
        p.run("true").ok()
        equal(p.sbx("hook", "--notice").ok().err, "sbx: thesis on host, running\n", "running")
        p.sbx("stop").ok()
        r = p.sbx("hook", "--notice").ok()
        equal((r.out, r.err), ("ready thesis\n", "sbx: thesis on host, stopped\n"), "stopped")
        p.write("sbx.ini", "[profile]\nname = other\n[network]\nmode = host\n")
        r = p.sbx("hook", "--notice").ok()
        equal(r.out, "ask other\n", "asks")
        match(r"other asks for more than its own folder \(.*network.*\): sbx allow", r.err, "asks")
        p.allow()
        equal(p.sbx("hook", "--notice").ok().out, "ready other\n", "allowed")
        p.write("sbx.ini", "[nonsense]\n")
        r = p.sbx("hook", "--notice").ok()
        equal(r.out, "broken thesis\n", "broken")
        match("sbx.ini:1: ", r.err, "broken")
        equal(p.sbx("hook", "--notice", cwd=p.parent).ok(FAILED).out, "", "outside")


def test_refused():
    """No shell, or one that there is no script for."""
    with Project() as p:
        equal(p.sbx("hook").ok(USAGE).err,
              "sbx: error: 'sbx hook' needs the name of a shell\nhint: sbx hook bash, zsh or fish\n", "none")
        equal(p.sbx("hook", "csh").ok(USAGE).err,
              "sbx: error: cannot make a hook for the shell 'csh'\nhint: there is one for bash, zsh and fish\n", "csh")


def test_left():
    """What a shell inside wrote of where it went is taken once, and only if it is a folder's path outside of the project."""
    with Project() as p:
        p.run("true").ok()
        for text, told in (("/tmp", "/tmp\n"), ("/usr/../tmp", "/tmp\n"), (p.path("x"), ""), ("relative", ""), ("/a\nb", ""),
                           ("/a\x1b[2J", ""), ("", "")):
            p.sbx("run", "--", "sh", "-c", 'printf %s "$1" >~/.sbx-left', "sh", text).ok()
            equal(p.sbx("hook", "--left").ok().out, told, f"for {text!r}")
            equal(p.sbx("hook", "--left").ok().out, "", f"for {text!r}, again")
        p.sh("ln -s /etc/hostname ~/.sbx-left").ok()
        equal(p.sbx("hook", "--left").ok().out, "", "for a link that leads out")
        p.sh("rm -f ~/.sbx-left; mkfifo ~/.sbx-left").ok()
        equal(p.sbx("hook", "--left").ok().out, "", "for a pipe")


def segment_and_notice(kind):
    with Project(name="thesis") as p, Project(name="other") as q:
        os.mkdir(p.path("sub"))
        with shell_on_pty(kind, p.parent, "hook") as shell:
            shell.line(f"cd {p.dir}")
            shell.expect("thesis on host, no environment yet")
            shell.expect(r"\(sbx:thesis\) " + PROMPT)
            at = shell.at
            shell.line("cd sub")
            shell.expect(r"\(sbx:thesis\) " + PROMPT)
            absent("on host", shell.seen[at:].decode(), "in a folder of the same project")
            at = shell.at
            shell.line(f"cd {q.dir}")
            shell.expect("other on host")
            absent("thesis on host", shell.seen[at:].decode(), "on the way through")
            shell.expect(r"\(sbx:other\) " + PROMPT)
            shell.line("cd /")
            shell.expect(r"[^ ]" + PROMPT)
            shell.line("set -x SBX_NOTICE 0; set -x SBX_PROMPT 0" if kind == "fish" else "SBX_NOTICE=0 SBX_PROMPT=0")
            shell.expect(PROMPT)
            at = shell.at
            ask(shell, f"cd {q.dir}; echo q''uiet", "quiet")
            ask(shell, "echo a''gain", "again")
            absent(r"sbx:other|on host", shell.seen[at:].decode(), "where it was told to be quiet")


def test_segment_bash():
    """bash: the prompt and the notice."""
    segment_and_notice("bash")


def test_segment_zsh():
    """zsh"""
    segment_and_notice("zsh")


def test_segment_fish():
    """fish"""
    segment_and_notice("fish")


BEFORE = {
    "bash": "seen() { last=$?; }; PROMPT_COMMAND='seen;'; set -u",
    "zsh": "precmd() { last=$?; }; set -u",
    "fish": "function seen --on-event fish_prompt; set -g last $status; end",
}
HOSTILE = "$(touch hit)`touch hit`%F{red}\\w\\[x"


def disturbs_nothing(kind):
    with Project(name=HOSTILE) as p:
        status = "$status" if kind == "fish" else "$?"
        with shell_on_pty(kind, p.parent, "hook", before=BEFORE[kind]) as shell:
            shell.line("cd ./*touch*")
            shell.expect(r"\(sbx:[\w?]+\) " + PROMPT)
            ask(shell, f"false; echo is {status} x", "is 1 x")
            shell.line("sh -c 'exit 7'")
            shell.expect(PROMPT)
            ask(shell, f"echo is {status} x", "is 7 x")
            shell.line("sh -c 'exit 9'")
            shell.expect(PROMPT)
            ask(shell, "echo seen $last x", "seen 9 x")
            if kind != "fish":
                # Twice is as once; then with `set -e`, in which a failing hook would end the shell.
                ask(shell, f'eval "$(sbx hook {kind})"; set -e; cd ..; echo ag''ain; ! true', "again")
                ask(shell, "echo al''ive $-", "alive [a-zA-Z0-9]*e")
                ask(shell, "cd ./*touch*; true", r"\(sbx:")
                ask(shell, "cd /; echo al''ive", "alive")
        check(not os.path.exists(p.path("hit")) and not os.path.exists(os.path.join(p.parent, "hit")), "nothing was evaluated")
        absent(r"\x1b\[31m", shell.seen.decode(), "what the terminal got")


def test_undisturbed_bash():
    """bash: set -u, set -e, $?, PROMPT_COMMAND, and a folder whose name is a trap."""
    disturbs_nothing("bash")


def test_undisturbed_zsh():
    """zsh: set -u, set -e, $?, precmd"""
    disturbs_nothing("zsh")


def test_undisturbed_fish():
    """fish: $status, other handlers"""
    disturbs_nothing("fish")


def test_prompt_commands_of_bash():
    """What PROMPT_COMMAND was before, an array or a string with any end, is still called, in front."""
    with Project() as p:
        for before in ("PROMPT_COMMAND=(first second)", "PROMPT_COMMAND='first; second;'", "PROMPT_COMMAND=$'first\\nsecond # x'"):
            script = f"""first() {{ n=$((n + 1)); }}; second() {{ m=$?; PS1="new $n "; }}
                n=0; {before}; eval "$({harness.SBX} hook bash)"; eval "$({harness.SBX} hook bash)"
                run() {{ local c; for c in "${{PROMPT_COMMAND[@]}}"; do eval "$c"; done; }}
                run; run; echo "$n $m ${{PS1@Q}}" """
            r = harness.command(["/bin/bash", "--norc", "-c", script], cwd=p.dir).ok()
            equal(r.out, "2 0 '${__sbx_segment-}new 2 '\n", before)


def test_status_behind_it():
    """What stands behind the hook in PROMPT_COMMAND finds $? as it was; with `set -e` the shell goes on."""
    with Project() as p:
        script = f"""eval "$({harness.SBX} hook bash)"; PROMPT_COMMAND+=$'\\nlast=$?'
            fail() {{ return 5; }}; fail; eval "$PROMPT_COMMAND"; echo "last $last"
            set -eu; cd /; ! true; eval "$PROMPT_COMMAND"; echo went on"""
        r = harness.command(["/bin/bash", "--norc", "-c", script], cwd=p.dir).ok()
        equal(r.out, "last 5\nwent on\n", "what it says")


ESCAPES = "[profile]\nname = \x1b[31mred\n"


def test_hostile_profile():
    """Escape codes and substitutions in an sbx.ini: refused or shown harmlessly; the prompt gets the folder's name."""
    with Project(ini=ESCAPES, name="p") as p:
        r = p.sbx("hook", "--notice").ok()
        equal(r.out, "broken p\n", "the word")
        absent("\x1b", r.err, "what is said")
        p.write("sbx.ini", "[profile]\nname = $(touch hit)%F{red}\n" + NO_NET)
        r = p.sbx("hook", "--notice")
        match(r"^\w+ [\w?]+\n$", r.out, "the word")
        p.write("sbx.ini", "[env]\npass = $(touch hit)\n[mounts]\n/etc/`touch hit` = /x\n")
        for kind in SHELLS:
            with shell_on_pty(kind, "/", "hook") as shell:
                shell.line(f"cd {p.dir}")
                shell.expect(r"sbx: ")
                shell.expect(r"\(sbx:p\) " + PROMPT)
        check(not os.path.exists(p.path("hit")), "nothing was evaluated")


# By the shell's own clock, in microseconds: a thousand prompts in a project, and the quickest of forty prompts in another
# project than before, for that starts a program, and the machine may have other things to do.
COST = {
    "bash": """t0=${EPOCHREALTIME/./}; for ((i = 0; i < 1000; i++)); do eval "$PROMPT_COMMAND"; done
        echo "steady $((${EPOCHREALTIME/./} - t0)) x"
        cd $B; eval "$PROMPT_COMMAND"; best=99999999; for ((i = 0; i < 40; i++)); do cd $A; t0=${EPOCHREALTIME/./}; eval "$PROMPT_COMMAND"
        d=$((${EPOCHREALTIME/./} - t0)); ((d < best)) && best=$d; A=$B B=$PWD; done; echo "change $best x" """,
    "zsh": """zmodload zsh/datetime; float t0; t0=$EPOCHREALTIME; for ((i = 0; i < 1000; i++)); do __sbx_hook; done
        echo "steady $((int((EPOCHREALTIME - t0) * 1000000))) x"
        cd $B; __sbx_hook; best=99999999; for ((i = 0; i < 40; i++)); do cd $A; t0=$EPOCHREALTIME; __sbx_hook
        d=$((int((EPOCHREALTIME - t0) * 1000000))); ((d < best)) && best=$d; A=$B B=$PWD; done; echo "change $best x" """,
    "fish": """set t0 (date +%s%6N); for i in (seq 1000); emit fish_prompt; fish_prompt >/dev/null; end
        echo steady (math (date +%s%6N) - $t0) x
        cd $B; emit fish_prompt; set best 99999999; for i in (seq 20); for to in $A $B; cd $to; set t0 (date +%s%6N); emit fish_prompt
        set d (math (date +%s%6N) - $t0); test $d -lt $best; and set best $d; end; end; echo change $best x """,
}


@limit(120)
def test_cost():
    """A prompt costs less than 5 ms in each shell, also one in another project than before."""
    with Project(name="a") as p, Project(name="b") as q:
        p.run("true").ok()
        for kind in SHELLS:
            before = f"export A={p.dir} B={q.dir} SBX_NOTICE=0" if kind != "fish" else f"set -x A {p.dir}; set -x B {q.dir}; set -x SBX_NOTICE 0"
            before += "; zmodload zsh/mathfunc" if kind == "zsh" else ""
            script = p.write("cost", COST[kind])
            with shell_on_pty(kind, p.dir, "hook", before=before) as shell:
                shell.line(f". {script}" if kind != "fish" else f"source {script}")
                steady = int(shell.expect(r"steady (\d+)(\.\d+)? x", 60).group(1)) / 1e6
                change = int(shell.expect(r"change (\d+)(\.\d+)? x", 60).group(1)) / 1e3
            diagnose(f"{kind}: a prompt {steady:.4f} ms, one in another project {change:.2f} ms")
            check(steady < BUDGET_MS, f"{kind}: {steady} ms a prompt")
            check(change < BUDGET_MS or harness.SANITIZED, f"{kind}: {change} ms for a prompt in another project")


def auto_enter(kind):
    with Project(name="auto") as p, Project(name="new") as fresh:
        p.run("true").ok()
        os.mkdir(p.path("sub"))
        on = "set -x SBX_AUTO_ENTER 1" if kind == "fish" else "export SBX_AUTO_ENTER=1"
        with shell_on_pty(kind, "/", "hook", before=on) as shell:
            # No environment there: it is not entered.
            shell.line(f"cd {fresh.dir}")
            shell.expect("no environment yet")
            shell.expect(r"\(sbx:new\) " + PROMPT)
            shell.line(f"cd {p.path('sub')}")
            shell.expect(r"\(sbx:auto\) ?[^\n]*[$#] ")
            shell.line("echo in $container $PWD x")
            shell.expect(f"in sbx {re.escape(p.path('sub'))} x")
            shell.line("cd ..")
            shell.expect(r"\(sbx:auto\) ?[^\n]*[$#] ")
            shell.line("cd /usr/share")
            shell.expect(PROMPT)
            ask(shell, "echo out $container $PWD x", "out */usr/share x")
            # `exit` stays in the project, outside.
            shell.line(f"cd {p.dir}")
            shell.expect(r"\(sbx:auto\) ?[^\n]*[$#] ")
            shell.line("exit")
            shell.expect(r"\(sbx:auto\) " + PROMPT)
            ask(shell, "echo out $container $PWD x", f"out *{re.escape(p.dir)} x")


def test_auto_enter_bash():
    """bash: SBX_AUTO_ENTER=1 enters what is there, and cd leaves it, to where it went."""
    auto_enter("bash")


def test_auto_enter_zsh():
    """zsh outside"""
    auto_enter("zsh")


def test_auto_enter_fish():
    """fish outside"""
    auto_enter("fish")


def test_inside_zsh_and_fish():
    """zsh and fish inside: the name in the prompt, own start-up files are read, and with --leave cd out ends them."""
    for kind, own in (("zsh", ".zshrc"), ("fish", ".config/fish/config.fish")):
        path = harness.need_program(kind)
        with Project(NO_NET + f"[env]\nset.SHELL = {path}\n[profile]\nname = thesis\n") as p:
            p.sh(f"mkdir -p ~/.config/fish && echo 'echo own start' >~/{own}").ok()
            os.mkdir(p.path("sub"))
            env = dict(p.env, SHELL=path, TERM="xterm")
            for leave in ([], ["--leave"]):
                with Pty([harness.SBX, "enter", *leave], cwd=p.path("sub"), env=env) as shell:
                    shell.expect("own start")
                    shell.expect(r"\(sbx:thesis\) ")
                    shell.line('echo $container "<$SBX_LEAVE$SBX_ZSH$ZDOTDIR>"')
                    shell.expect("sbx <>")
                    shell.line("cd ..; echo he''re")
                    shell.expect("here")
                    shell.line("cd /usr/share; echo the''re")
                    shell.expect("there")
                    if not leave:
                        shell.line("exit")
                    equal(shell.wait(), 0, f"the status of {kind} {leave}")
            equal(p.sbx("hook", "--left").ok().out, "/usr/share\n", f"where {kind} left to")
            equal(p.sh("ls -d /tmp/.sbx-zsh* 2>&1 | grep -c zsh-").out, "0\n", "what stays in /tmp")


def test_inside():
    """`sbx enter`: the name in the prompt, and only what the profile has no word on."""
    with Project(name="thesis") as p:
        with sbx_pty(p, "enter") as shell:
            shell.expect(r"\(sbx:thesis\)")
            shell.line("env | grep -c -e ^PROMPT_COMMAND -e ^debian_chroot; echo d''one")
            shell.expect(r"\n0\r?\n")
            shell.expect("done")
        p.write("sbx.ini", NO_NET + "[env]\nset.PROMPT_COMMAND = echo mine\nset.debian_chroot = other\n")
        p.sbx("stop").ok()
        with sbx_pty(p, "enter") as shell:
            shell.expect("mine")


harness.main(__name__)
