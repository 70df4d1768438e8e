#!/usr/bin/env python3
"""A PreToolUse hook of Claude Code: asks the policy sidecar before each call of a tool.

Claude Code writes the call to standard input and reads the decision from standard output. A hook that exits with 2 blocks the
call and tells Claude what it wrote to standard error; with any other code the call goes on. So all that goes wrong here ends
with 2. What this file cannot see, such as a machine without Python, ends with 2 by the `|| exit 2` in settings.json.
"""

import json
import os
import sys
import threading

import ask

PATH = "agent/guard/decision"
MAX_CALL_BYTES = 900_000  # a request to the sidecar has 1 MiB at most
PATIENCE = 5  # seconds for all of it; less than the timeout in settings.json, after which the call would go on


def decide(tool, arguments, cwd):
    """Returns allow, ask or deny, and the reason. Raises an exception where nothing was decided."""
    answer = ask.evaluate(PATH, {"tool": tool, "input": arguments, "cwd": cwd})
    if not isinstance(answer, dict) or answer.get("decision") not in ("allow", "ask", "deny") or not isinstance(answer.get("reason"), str):
        raise ask.NotDecided(f"{PATH} of the policy is {json.dumps(answer)}")
    return answer["decision"], answer["reason"]


def hook(text):
    """Returns what Claude Code is told about the call in text."""
    if len(text) > MAX_CALL_BYTES:
        raise ask.NotDecided(f"the call has more than {MAX_CALL_BYTES} bytes")
    call = json.loads(text)
    if call.get("hook_event_name") != "PreToolUse" or not isinstance(call.get("tool_name"), str):
        raise ask.NotDecided("standard input is no call of a tool: this program is for PreToolUse")
    verdict, reason = decide(call["tool_name"], call.get("tool_input"), call.get("cwd"))
    return {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": verdict,
            "permissionDecisionReason": f"policy: {reason}",
        }
    }


def refuse(why):
    """Blocks the call."""
    os.write(2, f"The call was blocked, since the policy sidecar did not decide: {why}\n".encode(errors="replace"))
    os._exit(2)


def main():
    late = threading.Timer(PATIENCE, refuse, ["it took too long"])
    late.daemon = True
    late.start()
    try:
        out = json.dumps(hook(sys.stdin.buffer.read(MAX_CALL_BYTES + 1)))
        sys.stdout.write(out + "\n")
        sys.stdout.flush()
    except BaseException as err:  # whatever it is, it is no decision
        refuse(err)


if __name__ == "__main__":
    main()
