"""The command line: `python -m convfast [demo | selftest | bench]`; alone it shows the configuration."""

import argparse
import sys

import convfast


def build_parser():
    parser = argparse.ArgumentParser(
        prog="python -m convfast",
        description="Convolution, pooling and padding for NumPy arrays. Without a command: show the configuration.",
    )
    parser.add_argument("--version", action="version", version=convfast.__version__)
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo = commands.add_parser("demo", help="filter a photograph, check and time the results, draw them")
    demo.add_argument("picture", nargs="?", help="a picture of yours; default: a portrait that matplotlib brings along")
    demo.add_argument("-o", "--output", metavar="FILE", help="where to write the results; default: a free name here")
    demo.add_argument("-f", "--force", action="store_true", help="overwrite the file given with --output")
    demo.add_argument("--max-side", type=int, default=1024, metavar="PIXELS", help="shrink larger pictures to this")
    commands.add_parser("selftest", help="prove this installation in a few seconds")
    commands.add_parser("bench", help="measure against other libraries", add_help=False)
    return parser


def main(argv=None):
    """Run a command. Returns the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["bench"]:
        from convfast.bench import cli

        return cli.main(argv[1:])
    arguments = build_parser().parse_args(argv)
    if arguments.command == "demo":
        from convfast import demo

        return demo.main(arguments.picture, arguments.output, arguments.force, arguments.max_side)
    if arguments.command == "selftest":
        from convfast import selftest

        return selftest.main()
    convfast.show_config()
    return 0


if __name__ == "__main__":
    sys.exit(main())
