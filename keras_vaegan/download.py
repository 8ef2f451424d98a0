"""`python -m keras_vaegan.download`: the command of `commands/download.py`."""

from keras_vaegan.commands.download import main

if __name__ == "__main__":
    raise SystemExit(main())
