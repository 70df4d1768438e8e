#!/usr/bin/env python3
"""An MCP server on standard input and output, whose tools the policy sidecar guards.

`guarded` is the part to copy: it wraps what a server does on tools/call. The rest is a server that is small enough to read: it
keeps notes in memory, and speaks JSON-RPC, one message a line.
"""

import json
import os
import sys

import guard

TOOLS = {
    "list": {"description": "List the notes.", "inputSchema": {"type": "object"}},
    "add": {"description": "Add a note.", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}},
}
notes = []


def guarded(server, call):
    """Wraps call(name, arguments) so that it runs only if the policy allows mcp__SERVER__NAME. Whatever goes wrong is a denial."""

    def asked_first(name, arguments):
        try:
            verdict, reason = guard.decide(f"mcp__{server}__{name}", arguments, os.getcwd())
        except Exception as err:  # whatever it is, it is no decision
            verdict, reason = "deny", f"the policy sidecar did not decide: {err}"
        if verdict == "allow":
            return call(name, arguments)
        # A server cannot ask the person on its own, so "ask" is a denial here. The agent is told why.
        return {"content": [{"type": "text", "text": f"not permitted: {reason}"}], "isError": True}

    return asked_first


def call(name, arguments):
    if name == "add":
        notes.append(str(arguments["text"]))
    return {"content": [{"type": "text", "text": "\n".join(notes)}]}


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "notes", "version": "1"}}
    if method == "tools/list":
        return {"tools": [{"name": name, **tool} for name, tool in TOOLS.items()]}
    if method == "tools/call":
        if params["name"] not in TOOLS:
            raise ValueError("there is no such tool")
        return guarded("notes", call)(params["name"], params.get("arguments", {}))
    if method == "ping":
        return {}
    raise NotImplementedError(method)


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue  # a notification
        reply = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            reply["result"] = answer(message["method"], message.get("params", {}))
        except NotImplementedError as err:
            reply["error"] = {"code": -32601, "message": f"no such method: {err}"}
        except (KeyError, TypeError, ValueError) as err:
            reply["error"] = {"code": -32602, "message": f"invalid params: {err}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
