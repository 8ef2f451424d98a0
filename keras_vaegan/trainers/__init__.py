"""Trainers: keras.Model subclasses that own train_step and test_step."""
