"""Images that lie in the folder of the other modality: CT among MRI, or MRI among CT."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vaegan.evaluation.head_features import describe_images
from keras_vaegan.evaluation.inspection import InspectedImage
from keras_vaegan.progress import show_progress

MODALITIES = {"A": "CT", "B": "MRI"}  # by a folder's last letter
FOLDS = 5
SUSPECT = 0.3  # probability of the other modality; 12 of 19 above it in the real set are


def find_wrong_modality(images: list[InspectedImage], copies: np.ndarray) -> dict[str, Any]:
    """Rank images by how probably they belong to the other modality.

    Logistic regression on `describe_images`, cross-validated: copies of an image never judge it.

    Args:
        images: Readable ones; blank ones are passed over. Their folders tell their modality.
        copies: (len(images),) int, equal for images that show the same picture.

    Returns:
        As `Audit.wrong_modality`.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kept = [i for i, image in enumerate(images) if not image.blank]
    images, copies = [images[i] for i in kept], copies[kept]
    labels = np.array([image.path.parent.name.endswith("B") for image in images], int)
    groups = [len(set(copies[labels == label])) for label in (0, 1)]
    if min(groups) < FOLDS:
        found = " and ".join(f"{n} {MODALITIES[d]}" for d, n in zip("AB", groups, strict=True))
        skipped = f"{found} images that differ: expected at least {FOLDS} of both"
        return {"suspects": [], "accuracy": None, "skipped": skipped}
    progress = show_progress(images, "looking for images of the wrong modality")
    features = np.concatenate([describe_images(image.square[None]) for image in progress])
    model = make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=2000, C=0.1, class_weight="balanced")
    )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    chances = cross_val_predict(
        model, features, labels, groups=copies, cv=folds, method="predict_proba"
    )
    wrong = chances[np.arange(len(labels)), 1 - labels]
    suspects = [
        {"file": images[i].name, "probability": round(float(wrong[i]), 4)}
        for i in np.argsort(-wrong, kind="stable") if wrong[i] > SUSPECT
    ]  # fmt: skip
    accuracy = round(float((wrong < 0.5).mean()), 4)
    return {"suspects": suspects, "accuracy": accuracy, "skipped": None}
