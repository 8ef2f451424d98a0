"""`python -m keras_vaegan.export`: the command of `commands/export.py`."""

from keras_vaegan.commands.export import main

if __name__ == "__main__":
    raise SystemExit(main())
