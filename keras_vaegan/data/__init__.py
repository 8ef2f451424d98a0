"""Image and volume files, preparation, augmentation. Knows neither models nor trainers."""
