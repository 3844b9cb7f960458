"""The benchmark: `python -m convfast bench`. What is measured, and how it is kept fair, stands in measure.py.

layers      the one table of layers, with their FLOPs and bytes
contenders  the libraries, one small class each
worker      the process a library runs in
limits      the machine: its peak, its bandwidth, its drift
measure     the rounds
report      ratios, tables, CSV, JSON, Markdown; html and pictures draw them
cli         the command line
"""
