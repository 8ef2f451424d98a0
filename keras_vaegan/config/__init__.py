"""What a model, its data and a run are made of: frozen, checked dataclasses, JSON in and out.

A config is the whole record of a model or a run: two equal configs build equal networks. Change
one with `dataclasses.replace`; every check runs again on the copy. The configs of whole runs are
their systems' own.
"""
