"""`python -m keras_vaegan.convert`: the command of `commands/convert.py`."""

from keras_vaegan.commands.convert import main

if __name__ == "__main__":
    raise SystemExit(main())
