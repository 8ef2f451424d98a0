"""`python -m keras_vaegan.audit`: the command of `commands/audit.py`."""

from keras_vaegan.commands.audit import main

if __name__ == "__main__":
    raise SystemExit(main())
