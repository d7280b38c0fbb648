"""The program that Flink starts for an SDK worker: asks the server in worker_server.py for one, and ends when it does."""

import argparse
import json
import socket

parser = argparse.ArgumentParser()
parser.add_argument("server")
parser.add_argument("--id", required=True)
parser.add_argument("--provision_endpoint", required=True)
arguments, _ = parser.parse_known_args()
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(arguments.server)
    connection.sendall(json.dumps([arguments.id, arguments.provision_endpoint]).encode() + b"\n")
    connection.recv(1)
