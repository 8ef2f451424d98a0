"""`python -m keras_vaegan.train`: the command of `commands/train.py`."""

from keras_vaegan.commands.train import main

if __name__ == "__main__":
    raise SystemExit(main())
