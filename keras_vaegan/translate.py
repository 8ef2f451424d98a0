"""`python -m keras_vaegan.translate`: the command of `commands/translate.py`."""

from keras_vaegan.commands.translate import main

if __name__ == "__main__":
    raise SystemExit(main())
