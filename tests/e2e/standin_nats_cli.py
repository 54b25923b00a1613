"""What examples/recorder needs of the `nats` CLI, where that is not installed: `sub` with --dump=-,
--raw and --count, printing what natscli 0.4.0 prints (cli/sub_command.go).
"""

import argparse
import asyncio
import base64
import json
import os
import sys

import nats


async def main(given: argparse.Namespace) -> None:
    client = await nats.connect(os.environ["NATS_URL"], inbox_prefix=given.inbox_prefix)
    messages = await client.subscribe(given.subject)
    count = 0
    async for message in messages.messages:
        if given.dump == "-":
            data = base64.b64encode(message.data).decode()
            dumped = {"Subject": message.subject, "Reply": message.reply, "Header": message.headers}
            text = json.dumps(dumped | {"Data": data, "Sub": None}, separators=(",", ":"))
            sys.stdout.buffer.write(text.encode() + b"\0")
        else:
            end = b"" if message.data.endswith(b"\n") else b"\n"
            sys.stdout.buffer.write(message.data + end)
        sys.stdout.flush()
        count += 1
        if count == given.count:
            break
    await client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--inbox-prefix")
    parser.add_argument("verb", choices=["sub"])
    parser.add_argument("subject")
    parser.add_argument("--dump")
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--count", type=int)
    asyncio.run(main(parser.parse_args()))
