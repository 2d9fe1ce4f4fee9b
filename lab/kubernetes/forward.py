#!/usr/bin/env python3
"""Carries TCP from the machine's loopback to the loopback of the lab's node.

usage: forward.py NODE_PID PORT:NODE_PORT...

The listening sockets are made in the network namespace that this starts in (the machine's). Then the
process moves to the node's, so that the connections it opens are opened in there: a socket stays in
the namespace it was made in.
"""
import asyncio
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000


def enter_network_of(pid):
    with open(f"/proc/{pid}/ns/net") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


def forward_to(port):
    async def handle(reader, writer):
        try:
            node_reader, node_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, node_writer), pump(node_reader, writer))
        node_writer.close()
        writer.close()

    return handle


async def serve(listeners):
    for sock, port in listeners:
        await asyncio.start_server(forward_to(port), sock=sock)
    await asyncio.Event().wait()


def main():
    node, *pairs = sys.argv[1:]
    listeners = []
    for pair in pairs:
        port, node_port = map(int, pair.split(":"))
        listeners.append((socket.create_server(("127.0.0.1", port)), node_port))
    enter_network_of(node)
    asyncio.run(serve(listeners))


main()
