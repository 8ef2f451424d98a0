"""`python -m keras_vaegan.synthesize`: the command of `commands/synthesize.py`."""

from keras_vaegan.commands.synthesize import main

if __name__ == "__main__":
    raise SystemExit(main())
