"""Runs programs one after the other in one process, since loading PyTorch takes longer than any of them.

Each line of the input is a JSON list: a program's path and its arguments. The answer is a line, "done" or "failed"; what the
program says, and its traceback, go to the error stream.
"""
import json
import runpy
import sys
import traceback

answers = sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    sys.argv = json.loads(line)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        answer = "done"
    except BaseException:
        traceback.print_exc()
        answer = "failed"
    print(answer, file=answers, flush=True)
