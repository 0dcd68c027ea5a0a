"""Asks an MCP server a question, by the protocol of today and by that of before, and prints the tools and the answers as JSON.

agent.py SQL URL
agent.py SQL COMMAND [ARGUMENT...]
"""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters

sql, *server = sys.argv[1:]
if not server[0].startswith("http"):
    server = StdioServerParameters(command=server[0], args=server[1:], env=dict(os.environ))
else:
    server = server[0]


async def ask(mode):
    async with Client(server, mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        answer = await client.call_tool("query", {"sql": sql})
        refusal = await client.call_tool("query", {"sql": "DROP TABLE tiledesk.messages"})
        return {"tools": tools, "rows": answer.structured_content["rows"], "refused": refusal.is_error}


async def main():
    print(json.dumps([await ask("auto"), await ask("legacy")]))


asyncio.run(main())
