#!/usr/bin/python3
"""summary.py: what is counted, and what is said of a failure, from logs as meson writes them."""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import summary  # noqa: E402

HARNESS = """1..3
# an early word
ok 1 - test_good
# 0.10 s
# the size:
#   wanted 1
#   got    2
not ok 2 - test_bad
# 0.20 s
# only a note
ok 3 - test_other
# 0.30 s
"""
CMOCKA = """1..3
not ok 1 - counts
# 0x1 != 0x2
# test_x.c:7: error: Failure!
not ok 2 - adds
# test_x.c:9: error: Failure!
ok 3 - ends
# not ok - tests
"""


def entry(name, result, stdout="", stderr=""):
    return {"name": name, "result": result, "stdout": stdout, "stderr": stderr}


class Summary(unittest.TestCase):
    def told(self, *entries, must_run="1"):
        os.environ["SBX_MUST_RUN"] = must_run
        out = io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(out):
            path = os.path.join(folder, "plain.json")
            with open(path, "w", encoding="utf-8") as f:
                f.writelines(json.dumps(one) + "\n" for one in entries)
            status = summary.main([path])
        return status, out.getvalue().splitlines()

    def test_a_failing_part_of_the_harness(self):
        status, lines = self.told(entry("a", "ERROR", HARNESS), entry("b", "OK", "1..1\nok 1 - x\n"))
        self.assertEqual((status, lines), (1, [
            "failed: plain: a: ERROR", "    not ok 2 - test_bad", "    # the size:", "    #   wanted 1",
            "    #   got    2", "1 passed, 1 failed, 0 skipped"]))

    def test_failing_parts_of_cmocka(self):
        self.assertEqual(self.told(entry("a", "ERROR", CMOCKA))[1][1:-1], [
            "    not ok 1 - counts", "    # 0x1 != 0x2", "    # test_x.c:7: error: Failure!",
            "    not ok 2 - adds", "    # test_x.c:9: error: Failure!"])

    def test_one_that_crashed_says_its_last_words(self):
        lines = self.told(entry("a", "ERROR", "1..2\nok 1 - x\n", "==1==ERROR: LeakSanitizer"))[1]
        self.assertEqual(lines[1:-1], ["    1..2", "    ok 1 - x", "    ==1==ERROR: LeakSanitizer"])

    def test_many_failures_fit_into_the_end_of_a_record(self):
        long = "\n".join(f"# line {n}" for n in range(500))
        lines = self.told(*[entry(f"t{n}", "ERROR", f"1..1\nnot ok 1 - x\n{long}\n", long) for n in range(10)])[1]
        self.assertLess(len(lines), 190)
        self.assertEqual(lines[-11:-1], [f"failed: plain: t{n}: ERROR" for n in range(10)])

    def test_a_long_line_is_cut(self):
        lines = self.told(entry("a", "ERROR", "1..1\n# <" + "x" * 9999 + ">\nnot ok 1 - x\n# 0.1 s\n"))[1]
        self.assertLess(len(lines[2]), summary.LINE_MOST + 20)
        self.assertTrue(lines[2].startswith("    # <x") and lines[2].endswith("x>"))

    def test_a_skip_is_a_failure_where_all_must_run(self):
        skipped = entry("a", "OK", "1..1\nok 1 - x # SKIP no disk\n")
        status, lines = self.told(skipped)
        self.assertEqual((status, lines[:2]), (1, ["skipped: plain: a: no disk",
                                                   "failed: plain: a: a skip, and SBX_MUST_RUN=1"]))
        self.assertEqual(self.told(skipped, must_run="0"), (0, ["skipped: plain: a: no disk",
                                                                "1 passed, 0 failed, 0 skipped"]))

    def test_nothing_run_is_a_failure(self):
        self.assertEqual(self.told(), (1, ["0 passed, 0 failed, 0 skipped"]))


if __name__ == "__main__":
    unittest.main()
