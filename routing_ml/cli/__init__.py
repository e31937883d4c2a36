"""`routing-ml`: every part of the product as a command, a file for each group of commands."""

from routing_ml.cli.command_line import main as main
