"""Real shells on a terminal, with sbx on their path: for the hook and the completion."""

import contextlib
import os

import harness
from harness import need_program
from terminal import Pty

PROMPT = "out> "
SHELLS = ("bash", "zsh", "fish")

# No start-up file of the machine's; a prompt that cannot be missed, set the way a user's own file does.
START = {
    "bash": (["--norc", "--noprofile", "-i"], f"PS1='{PROMPT}'; PS2=; unset PROMPT_COMMAND"),
    "zsh": (["-f", "-i"], f"PROMPT='{PROMPT}'; unsetopt prompt_sp prompt_cr zle_bracketed_paste"),
    "fish": (["--no-config", "-i"], f"function fish_prompt; echo -n '{PROMPT}'; end; set -g fish_autosuggestion_enabled 0"),
}
EVAL = {"bash": 'eval "$(sbx {0} bash)"', "zsh": 'eval "$(sbx {0} zsh)"', "fish": "sbx {0} fish | source"}


@contextlib.contextmanager
def shell_on_pty(kind, cwd, *more, before="", **variables):
    """A `kind` of shell in `cwd`, told `before`, then with `more` ("hook", "completion") evaluated; at its prompt."""
    path = need_program(kind)
    options, start = START[kind]
    env = harness.environment(TERM="xterm", HISTFILE=None, **variables)
    env["PATH"] = os.path.dirname(harness.SBX) + ":" + env["PATH"]
    with Pty([path, *options], cwd=cwd, env=env, rows=50, cols=200) as shell:
        shell.expect(r"[#$%>] ?")
        shell.line(start)
        shell.expect(PROMPT)
        for line in [before, *[EVAL[kind].format(what) for what in more], "echo st''arted"]:
            if line:
                shell.line(line)
        shell.expect("started")
        shell.expect(PROMPT)
        yield shell


def ask(shell, line, pattern, limit=20):
    """Type a line, wait for what it says, and for the prompt."""
    shell.line(line)
    found = shell.expect(pattern, limit)
    shell.expect(PROMPT)
    return found
